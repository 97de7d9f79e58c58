//! What `plugin check` has to say.

use std::fmt;

use serde::Serialize;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Severity {
    /// The plugin does not load.
    Error,
    /// It loads, and an operator or a tenant will regret it.
    Warning,
    /// It could be better.
    Note,
}

impl Severity {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// A stable name.
    pub(super) code: &'static str,
    /// Where in the manifest; empty for the whole plugin.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) place: String,
    /// What is so, and what to do.
    pub(super) text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.severity.as_str(), self.code)?;
        if !self.place.is_empty() {
            write!(f, " {}", self.place)?;
        }
        write!(f, ": {}", self.text)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn error(&mut self, code: &'static str, place: &str, text: impl Into<String>) {
        self.add(Severity::Error, code, place, text.into());
    }

    pub(super) fn warning(&mut self, code: &'static str, place: &str, text: impl Into<String>) {
        self.add(Severity::Warning, code, place, text.into());
    }

    pub(super) fn note(&mut self, code: &'static str, place: &str, text: impl Into<String>) {
        self.add(Severity::Note, code, place, text.into());
    }

    fn add(&mut self, severity: Severity, code: &'static str, place: &str, text: String) {
        self.0.push(Finding {
            severity,
            code,
            place: plain(place),
            text: plain(&text),
        });
    }

    /// The heaviest first.
    pub(super) fn sorted(mut self) -> Vec<Finding> {
        self.0.sort_by_key(|finding| finding.severity);
        self.0
    }
}

/// Without what could make a terminal do something: names in a stranger's file stand in here.
fn plain(text: &str) -> String {
    let is_kept = |c: &char| *c == '\n' || !c.is_control();
    text.chars().filter(is_kept).collect()
}

/// Whether the plugin loads.
pub(super) fn is_fit(findings: &[Finding]) -> bool {
    count(findings, Severity::Error) == 0
}

/// How many there are, in words.
pub(super) fn totals(findings: &[Finding]) -> String {
    let kinds = [Severity::Error, Severity::Warning, Severity::Note];
    let counts = kinds.map(|severity| {
        let count = count(findings, severity);
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {}{plural}", severity.as_str())
    });
    counts.join(", ")
}

fn count(findings: &[Finding], severity: Severity) -> usize {
    let all = findings.iter();
    all.filter(|finding| finding.severity == severity).count()
}
