//! What came of a run.

mod html;
mod text;

use onerouter_engine::Adapter;
use serde::Serialize;

use crate::finding::{Finding, Verdict};
use crate::meter::Metered;

/// One scenario.
#[derive(Debug, Clone, Serialize)]
pub struct Case {
    /// The capability that it belongs to: `sms`.
    pub capability: &'static str,
    /// What was called: `sms.send`.
    pub operation: &'static str,
    /// How the provider behaved: `cut_off`.
    pub scenario: String,
    /// How it came out.
    pub verdict: Verdict,
    /// Why it could not be tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_covered: Option<String>,
    /// What is wrong, and what to do.
    pub findings: Vec<Finding>,
    /// What was seen, without judgement.
    pub notes: Vec<String>,
    /// What the call used; none where the adapter was not asked.
    pub metered: Option<Metered>,
}

/// What was tried.
#[derive(Debug, Clone, Serialize)]
pub struct Plugin {
    /// `acme-texts`
    pub id: String,
    /// `1.0.0`
    pub version: String,
    /// For people.
    pub name: String,
    /// SHA-256 of the component.
    pub sha256: String,
    /// What it can do.
    pub capabilities: Vec<&'static str>,
}

/// Who answered in the provider's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Recorded answers.
    Cassettes,
    /// A live sandbox.
    Sandbox,
}

/// How many scenarios came out how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// As they should be.
    pub passed: usize,
    /// As they should be, and worth a look.
    pub warned: usize,
    /// Could not be tried.
    pub not_covered: usize,
    /// Not as they should be.
    pub failed: usize,
}

/// The whole.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// `conformance_report`
    pub object: &'static str,
    /// What was tried.
    pub plugin: Plugin,
    /// Who answered.
    pub source: Source,
    /// In sum.
    pub totals: Totals,
    /// The most that any call used.
    pub peak: Metered,
    /// One by one.
    pub cases: Vec<Case>,
}

impl Plugin {
    pub(crate) fn of(adapter: &Adapter) -> Self {
        let manifest = adapter.manifest();
        Self {
            id: manifest.id.to_string(),
            version: manifest.version.to_string(),
            name: manifest.name.clone(),
            sha256: adapter.digest().to_owned(),
            capabilities: adapter
                .capabilities()
                .iter()
                .map(|capability| capability.as_str())
                .collect(),
        }
    }
}

impl Report {
    pub(crate) fn new(plugin: Plugin, source: Source, cases: Vec<Case>) -> Self {
        let mut totals = Totals::default();
        let mut peak = Metered::default();
        for case in &cases {
            let count = match case.verdict {
                Verdict::Passed => &mut totals.passed,
                Verdict::Warned => &mut totals.warned,
                Verdict::NotCovered => &mut totals.not_covered,
                Verdict::Failed => &mut totals.failed,
            };
            *count += 1;
            if let Some(metered) = case.metered {
                peak = peak.peak(metered);
            }
        }
        // The limits too, where nothing was used.
        if let Some(first) = cases.iter().find_map(|case| case.metered) {
            peak = first.peak(peak);
        }
        Self {
            object: "conformance_report",
            plugin,
            source,
            totals,
            peak,
            cases,
        }
    }

    /// Nothing failed.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.totals.failed == 0
    }

    /// Nothing failed, and everything was tried.
    #[must_use]
    pub fn passes_strictly(&self) -> bool {
        self.passes() && self.totals.not_covered == 0
    }

    /// The scenarios that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Case> {
        self.cases
            .iter()
            .filter(|case| case.verdict == Verdict::Failed)
    }

    /// For people on a terminal.
    #[must_use]
    pub fn to_text(&self) -> String {
        text::write(self)
    }

    /// One page without scripts, and without anything from elsewhere.
    #[must_use]
    pub fn to_html(&self) -> String {
        html::write(self)
    }

    /// The capabilities that were tried, in order, each with its scenarios.
    fn groups(&self) -> Vec<(&'static str, Vec<&Case>)> {
        let mut groups: Vec<(&'static str, Vec<&Case>)> = Vec::new();
        for case in &self.cases {
            match groups.iter_mut().find(|(name, _)| *name == case.capability) {
                Some((_, cases)) => cases.push(case),
                None => groups.push((case.capability, vec![case])),
            }
        }
        groups
    }
}

impl Totals {
    fn describe(&self) -> String {
        format!(
            "{} passed, {} with a warning, {} not covered, {} failed",
            self.passed, self.warned, self.not_covered, self.failed
        )
    }
}

impl Metered {
    fn describe(&self) -> String {
        format!(
            "CPU {} of {} ms, memory {} of {} KiB, {} of {} requests, wall {} of {} ms",
            self.cpu_ms.used,
            self.cpu_ms.limit,
            self.memory_bytes.used >> 10,
            self.memory_bytes.limit >> 10,
            self.requests.used,
            self.requests.limit,
            self.wall_ms.used,
            self.wall_ms.limit
        )
    }
}
