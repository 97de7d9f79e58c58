//! One page that can be sent around.

use std::fmt::Write as _;

use super::Report;
use crate::finding::{Severity, Verdict};

const STYLE: &str = "
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1a1a1a; background: #fff; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid #ddd; }
td.passed { color: #17633a; } td.warned { color: #7a4b00; } td.not_covered { color: #555; } td.failed { color: #a11212; font-weight: bold; }
p { margin: 0; } p.fix { color: #444; }
@media (prefers-color-scheme: dark) { body { color: #eee; background: #161616; } th, td { border-color: #444; } td.passed { color: #7fd6a4; } td.warned { color: #f0c060; } td.not_covered { color: #aaa; } td.failed { color: #ff8a8a; } p.fix { color: #bbb; } }
";

pub(super) fn write(report: &Report) -> String {
    let plugin = &report.plugin;
    let title = escape(&format!("{} {}: conformance", plugin.name, plugin.version));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    // Writing into a text cannot fail.
    let _ = writeln!(
        page,
        "<p>{}</p>\n<p>Plugin <code>{}</code>, SHA-256 <code>{}</code></p>\n<p>The most that a call used: {}</p>",
        escape(&report.totals.describe()),
        escape(&plugin.id),
        escape(&plugin.sha256),
        escape(&report.peak.describe()),
    );
    for (capability, cases) in report.groups() {
        let _ = writeln!(
            page,
            "<h2>{}</h2>\n<table>\n<thead><tr><th scope=\"col\">Result</th><th scope=\"col\">Operation</th>\
             <th scope=\"col\">Scenario</th><th scope=\"col\">Details</th></tr></thead>\n<tbody>",
            escape(capability)
        );
        for case in cases {
            let _ = write!(
                page,
                "<tr><td class=\"{}\">{}</td><td>{}</td><td>{}</td><td>",
                class(case.verdict),
                case.verdict.as_str(),
                escape(case.operation),
                escape(&case.scenario)
            );
            for note in case.not_covered.iter().chain(&case.notes) {
                let _ = write!(page, "<p>{}</p>", escape(note));
            }
            for finding in &case.findings {
                let kind = match finding.severity {
                    Severity::Warning => "Warning",
                    Severity::Failure => "Failure",
                };
                let _ = write!(
                    page,
                    "<p>{kind} <code>{}</code>: {}</p><p class=\"fix\">{}</p>",
                    escape(finding.code),
                    escape(&finding.message),
                    escape(finding.fix)
                );
            }
            if let Some(metered) = &case.metered {
                let _ = write!(page, "<p class=\"fix\">{}</p>", escape(&metered.describe()));
            }
            page.push_str("</td></tr>\n");
        }
        page.push_str("</tbody>\n</table>\n");
    }
    page.push_str("</body>\n</html>\n");
    page
}

const fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Warned => "warned",
        Verdict::NotCovered => "not_covered",
        Verdict::Failed => "failed",
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            control if control.is_control() => escaped.push('\u{fffd}'),
            plain => escaped.push(plain),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use crate::finding::{Finding, Severity, Verdict};
    use crate::report::{Case, Plugin, Report, Source};

    #[test]
    fn what_a_plugin_says_does_not_become_markup() {
        let case = Case {
            capability: "sms",
            operation: "sms.send",
            scenario: "<img src=x>".to_owned(),
            verdict: Verdict::Failed,
            not_covered: None,
            findings: vec![Finding {
                severity: Severity::Failure,
                code: "breakdown",
                message: "\"><script>alert(1)</script>\u{1b}[2J".to_owned(),
                fix: "mend it",
            }],
            notes: vec!["a & b".to_owned()],
            metered: None,
        };
        let plugin = Plugin {
            id: "acme".to_owned(),
            version: "1.0.0".to_owned(),
            name: "</title><script>".to_owned(),
            sha256: "00".to_owned(),
            capabilities: vec!["sms"],
        };
        let report = Report::new(plugin, Source::Cassettes, vec![case]);
        let page = report.to_html();
        assert!(
            !page.contains("<script") && !page.contains("<img"),
            "{page}"
        );
        assert!(
            page.contains("a &amp; b") && page.contains("&lt;img src=x&gt;"),
            "{page}"
        );
        for text in [page, report.to_text()] {
            assert!(!text.contains('\u{1b}'), "{text}");
        }
        assert!(!report.passes());
        assert_eq!(report.failed().count(), 1);
    }
}
