//! How a recorded scenario must end.

use onerouter_engine::RefusalKind;

use crate::cassette::{Cassette, Expect, ExpectedKind, ExpectedOutcome};
use crate::fault::check_failure;
use crate::finding::{Finding, Findings};
use crate::operation::{Nature, Operation};
use crate::provider::{By, Heard};
use crate::run::{Ending, Run};

/// Codes that say nothing.
const EMPTY_CODES: [&str; 2] = ["provider_error", "unknown_failure"];

/// Currencies in which amounts are tried: two decimals, none, three.
pub(crate) const AMOUNTS: [(&str, &str, u64); 3] = [
    ("amount_inr", "INR", 123_456),
    ("amount_jpy", "JPY", 5_000),
    ("amount_kwd", "KWD", 5_250),
];

/// Scenarios that an author is asked to record.
pub(crate) fn wanted(operation: Operation) -> &'static [&'static str] {
    if matches!(
        operation,
        // Each e-mail of a batch has an ending of its own.
        Operation::AccountCheck | Operation::EmailSendBatch
    ) || operation.finds()
    {
        return &["success"];
    }
    match operation.nature() {
        Nature::Creates => &["success", "declined"],
        Nature::Changes => &["success"],
        Nature::Reads => &["success", "not_found"],
    }
}

impl Expect {
    fn of(outcome: ExpectedOutcome, kind: Option<ExpectedKind>) -> Self {
        Self {
            outcome,
            kind,
            code: None,
            status: None,
            count: None,
        }
    }

    /// What a name promises; none where the cassette has to say it.
    pub(crate) fn from_name(scenario: &str) -> Option<Self> {
        let declined = |kind| Some(Self::of(ExpectedOutcome::Declined, Some(kind)));
        match scenario {
            "success" => Some(Self::of(ExpectedOutcome::Accepted, None)),
            "declined" => declined(ExpectedKind::Declined),
            "unauthorized" => declined(ExpectedKind::Unauthorized),
            "not_found" => declined(ExpectedKind::NotFound),
            "invalid_state" => declined(ExpectedKind::InvalidState),
            name if AMOUNTS.iter().any(|(amount, ..)| *amount == name) => {
                Some(Self::of(ExpectedOutcome::Accepted, None))
            }
            _ => None,
        }
    }

    /// How a scenario must end, by its cassette or by its name.
    pub(crate) fn for_scenario(scenario: &str, cassette: &Cassette) -> Option<Self> {
        cassette
            .expect
            .clone()
            .or_else(|| Self::from_name(scenario))
    }

    /// Holds how a call ended against it.
    pub(crate) fn judge(&self, run: &Run) -> Findings {
        let mut findings = Findings::default();
        let fits = match (&run.ending, self.outcome) {
            (Ending::Accepted, ExpectedOutcome::Accepted)
            | (Ending::NotSent(_), ExpectedOutcome::NotSent)
            | (Ending::Unknown(_), ExpectedOutcome::Unknown) => true,
            (Ending::Declined(refusal), ExpectedOutcome::Declined) => {
                self.kind.is_none_or(|kind| kind.is(refusal.kind))
            }
            _ => false,
        };
        if !fits {
            findings.fail(Finding::new(
                "wrong_outcome",
                format!(
                    "the outcome is {}; {} is expected",
                    run.ending.describe(),
                    self.describe()
                ),
                "read the recorded answer as the provider documents it",
            ));
        }
        let facts = &run.facts;
        if let Some(status) = &self.status
            && facts.status.as_ref() != Some(status)
        {
            findings.fail(Finding::new(
                "wrong_status",
                format!("the status is {:?}; \"{status}\" is expected", facts.status),
                "translate the provider's status to the one that the interface names",
            ));
        }
        if let Some(count) = self.count
            && facts.count != count
        {
            findings.fail(Finding::new(
                "wrong_count",
                format!("{} were found; {count} are expected", facts.count),
                "read the whole list, and nothing that was not asked for",
            ));
        }
        if let Some(expected) = &self.code {
            let code = code(&run.ending);
            if code != Some(expected) {
                findings.fail(Finding::new(
                    "wrong_code",
                    format!("the code is {code:?}; \"{expected}\" is expected"),
                    "map the provider's code to the unified one",
                ));
            }
        } else if let Ending::Declined(refusal) = &run.ending
            && EMPTY_CODES.contains(&refusal.failure.code.as_str())
        {
            findings.warn(Finding::new(
                "empty_code",
                format!(
                    "a recorded refusal has the code \"{}\"",
                    refusal.failure.code
                ),
                "map the provider's code to a unified one that says what was refused",
            ));
        }
        check_failure(&run.ending, &mut findings);
        findings
    }

    fn describe(&self) -> String {
        let outcome = match self.outcome {
            ExpectedOutcome::Accepted => "accepted",
            ExpectedOutcome::Declined => "declined",
            ExpectedOutcome::NotSent => "not sent",
            ExpectedOutcome::Unknown => "unknown",
        };
        match self.kind {
            None => outcome.to_owned(),
            Some(kind) => format!("{outcome} ({kind:?})"),
        }
    }
}

impl ExpectedKind {
    fn is(self, kind: RefusalKind) -> bool {
        matches!(
            (self, kind),
            (Self::Declined, RefusalKind::Declined)
                | (Self::Unauthorized, RefusalKind::Unauthorized)
                | (Self::NotFound, RefusalKind::NotFound)
                | (Self::InvalidState, RefusalKind::InvalidState)
        )
    }
}

fn code(ending: &Ending) -> Option<&String> {
    use onerouter_engine::NotSent;
    match ending {
        Ending::Declined(refusal) => Some(&refusal.failure.code),
        Ending::NotSent(NotSent::Adapter(failure)) => Some(&failure.code),
        Ending::Unknown(unknown) => unknown.failure.as_ref().map(|failure| &failure.code),
        Ending::Accepted | Ending::NotSent(_) => None,
    }
}

/// The requests are those of the cassette, in its order.
pub(crate) fn followed(heard: &Heard) -> Findings {
    let mut findings = Findings::default();
    let fix = "record the scenario again if the adapter is right: `onerouter plugin test --record`";
    if let Some(odd) = heard.received.iter().find(|one| one.by == By::Nobody) {
        let expected = heard.missing.first().map_or_else(
            || "no further request".to_owned(),
            |asked| format!("{} {}{}", asked.method, asked.host, asked.path),
        );
        findings.fail(Finding::new(
            "other_request",
            format!(
                "the adapter asked for {} {}{}; the cassette has {expected}",
                odd.method, odd.host, odd.path
            ),
            fix,
        ));
    } else if let Some(asked) = heard.missing.first() {
        findings.fail(Finding::new(
            "missing_request",
            format!(
                "the cassette's {} {}{} was not asked for",
                asked.method, asked.host, asked.path
            ),
            fix,
        ));
    }
    findings
}

/// What the host had to say about a call that should go well.
pub(crate) fn remarks(run: &Run) -> Findings {
    let mut findings = Findings::default();
    for remark in run.remarks() {
        let finding = Finding::new(
            "host_remark",
            format!("the host remarked: {remark}"),
            "keep to the contract in wit/ and to the manifest's rules",
        );
        // The request was part of what the adapter wanted to do, and was not made.
        if remark.starts_with("a request was refused") {
            findings.fail(Finding {
                code: "request_refused",
                fix: "name the place under `outbound` in the manifest, or leave the request out",
                ..finding
            });
        } else {
            findings.warn(finding);
        }
    }
    if run.logs_dropped > 0 {
        findings.fail(Finding::new(
            "log_flood",
            format!("{} lines of the log did not fit", run.logs_dropped),
            "write a line or two where something is odd, and nothing in the normal case",
        ));
    }
    findings
}
