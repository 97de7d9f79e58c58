//! One line per scenario.

use std::fmt::Write as _;

use super::Report;
use crate::finding::Severity;

/// What an adapter wrote must not steer a terminal.
fn plain(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                '\u{fffd}'
            } else {
                character
            }
        })
        .collect()
}

pub(super) fn write(report: &Report) -> String {
    let plugin = &report.plugin;
    let mut text = format!(
        "{} {} ({})\n",
        plain(&plugin.name),
        plugin.version,
        plugin.id
    );
    for (capability, cases) in report.groups() {
        // Writing into a text cannot fail.
        let _ = writeln!(text, "\n{capability}");
        for case in cases {
            let verdict = case.verdict.as_str();
            let scenario = plain(&case.scenario);
            let _ = write!(text, "  {verdict:<12} {}  {scenario}", case.operation);
            let explained = case.not_covered.iter().chain(&case.notes);
            let explained: Vec<_> = explained.map(|note| plain(note)).collect();
            if !explained.is_empty() {
                let _ = write!(text, "  ({})", explained.join("; "));
            }
            text.push('\n');
            for finding in &case.findings {
                let kind = match finding.severity {
                    Severity::Warning => "warning",
                    Severity::Failure => "failure",
                };
                let _ = writeln!(
                    text,
                    "      {kind} {}: {}",
                    finding.code,
                    plain(&finding.message)
                );
                let _ = writeln!(text, "      do: {}", finding.fix);
            }
        }
    }
    let _ = writeln!(
        text,
        "\nthe most that a call used: {}",
        report.peak.describe()
    );
    let _ = writeln!(text, "{}", report.totals.describe());
    text
}
