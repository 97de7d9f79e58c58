//! What is wrong with an adapter, and what to do about it.

use serde::Serialize;

/// Texts in reports are cut: an adapter chooses them.
const TEXT_CHARACTERS_MAX: usize = 600;

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Whether the scenario fails by it.
    pub severity: Severity,
    /// Stable, in snake case.
    pub code: &'static str,
    /// What was seen.
    pub message: String,
    /// What to do.
    pub fix: &'static str,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth a look.
    Warning,
    /// The scenario fails.
    Failure,
}

impl Finding {
    pub(crate) fn new(code: &'static str, message: impl Into<String>, fix: &'static str) -> Self {
        let message: String = message.into();
        Self {
            severity: Severity::Failure,
            code,
            message: message.chars().take(TEXT_CHARACTERS_MAX).collect(),
            fix,
        }
    }
}

/// How a scenario came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Passed,
    /// As it should be, and worth a look.
    Warned,
    /// It could not be tried.
    NotCovered,
    /// Not as it should be.
    Failed,
}

impl Verdict {
    /// One word for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Warned => "warning",
            Self::NotCovered => "not covered",
            Self::Failed => "FAILED",
        }
    }
}

/// Of one scenario.
#[derive(Debug, Clone, Default)]
pub(crate) struct Findings {
    pub(crate) all: Vec<Finding>,
    /// What was seen, without judgement.
    pub(crate) notes: Vec<String>,
    /// Why it could not be tried.
    pub(crate) uncovered: Option<String>,
}

impl Findings {
    pub(crate) fn fail(&mut self, finding: Finding) {
        self.all.push(finding);
    }

    pub(crate) fn warn(&mut self, finding: Finding) {
        self.all.push(Finding {
            severity: Severity::Warning,
            ..finding
        });
    }

    pub(crate) fn note(&mut self, text: impl Into<String>) {
        let text: String = text.into();
        self.notes
            .push(text.chars().take(TEXT_CHARACTERS_MAX).collect());
    }

    pub(crate) fn not_covered(&mut self, why: impl Into<String>) {
        self.uncovered = Some(why.into());
    }

    pub(crate) fn add(&mut self, mut others: Self) {
        self.all.append(&mut others.all);
        self.notes.append(&mut others.notes);
        if self.uncovered.is_none() {
            self.uncovered = others.uncovered;
        }
    }

    pub(crate) fn verdict(&self) -> Verdict {
        let worst = self.all.iter().map(|finding| finding.severity).max();
        match (worst, &self.uncovered) {
            (Some(Severity::Failure), _) => Verdict::Failed,
            (_, Some(_)) => Verdict::NotCovered,
            (Some(Severity::Warning), None) => Verdict::Warned,
            (None, None) => Verdict::Passed,
        }
    }
}
