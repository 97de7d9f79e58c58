//! Failures that every provider has, and that need no recording.

use std::collections::BTreeMap;

use onerouter_engine::{FaultKind, LedgerEntry, NotSent, RefusalKind, Trace, UnknownReason};
use onerouter_manifest::Manifest;
use serde_json::json;

use crate::cassette::Answered;
use crate::finding::{Finding, Findings};
use crate::operation::Operation;
use crate::provider::{By, Heard, Received};
use crate::run::{Ending, Run};

/// One way in which a provider fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 401.
    Unauthorized,
    /// 400 with a code that nobody knows.
    BadRequest,
    /// 429 with `Retry-After`.
    RateLimited,
    /// 500 with a page for people.
    ServerError,
    /// 503 with JSON.
    Unavailable,
    /// The connection is closed after the request.
    NoAnswer,
    /// The call's time is over before an answer comes.
    NoAnswerInTime,
    /// The connection is closed within the body.
    CutOff,
    /// 200, and not JSON.
    NotJson,
    /// 200, and JSON of another shape.
    OtherJson,
    /// 200, and a byte more than the manifest allows.
    Enormous,
    /// 400, and everything that was sent, credentials too.
    Reflection,
}

/// What a fault allows an adapter to conclude.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// The provider refused.
    Refused,
    /// The provider refused the credentials.
    Unauthorized,
    /// The provider refused at the door.
    Limited,
    /// Nobody can tell, and the answer is there.
    Unclear,
    /// Nobody can tell: there is no whole answer.
    Unanswered,
}

impl Fault {
    pub(crate) const ALL: [Self; 12] = [
        Self::Unauthorized,
        Self::BadRequest,
        Self::RateLimited,
        Self::ServerError,
        Self::Unavailable,
        Self::NoAnswer,
        Self::NoAnswerInTime,
        Self::CutOff,
        Self::NotJson,
        Self::OtherJson,
        Self::Enormous,
        Self::Reflection,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::BadRequest => "bad_request",
            Self::RateLimited => "rate_limited",
            Self::ServerError => "server_error",
            Self::Unavailable => "unavailable",
            Self::NoAnswer => "no_answer",
            Self::NoAnswerInTime => "no_answer_in_time",
            Self::CutOff => "cut_off",
            Self::NotJson => "not_json",
            Self::OtherJson => "other_json",
            Self::Enormous => "enormous",
            Self::Reflection => "reflection",
        }
    }

    const fn meaning(self) -> Meaning {
        match self {
            Self::Unauthorized => Meaning::Unauthorized,
            Self::BadRequest | Self::Reflection => Meaning::Refused,
            Self::RateLimited => Meaning::Limited,
            Self::ServerError | Self::Unavailable | Self::NotJson | Self::OtherJson => {
                Meaning::Unclear
            }
            Self::NoAnswer | Self::NoAnswerInTime | Self::CutOff | Self::Enormous => {
                Meaning::Unanswered
            }
        }
    }

    /// A whole answer; none where there is no such thing.
    pub(crate) fn answer(self, received: &Received) -> Option<Answered> {
        let answered = |status, json, text: Option<String>| Answered {
            status,
            headers: BTreeMap::new(),
            json,
            text,
        };
        let refusal = json!({"error": "kit_made_this_up", "message": "Made up by the kit."});
        let page = "<!doctype html><title>Error</title><p>Something went wrong.";
        Some(match self {
            Self::Unauthorized => answered(401, Some(refusal), None),
            Self::BadRequest => answered(400, Some(refusal), None),
            Self::RateLimited => Answered {
                headers: BTreeMap::from([("retry-after".to_owned(), "2".to_owned())]),
                ..answered(429, Some(refusal), None)
            },
            Self::ServerError => answered(500, None, Some(page.to_owned())),
            Self::Unavailable => answered(503, Some(refusal), None),
            Self::NotJson => answered(200, None, Some(page.to_owned())),
            Self::OtherJson => answered(200, Some(json!([{"kit": [null, 1, "x"]}])), None),
            Self::Reflection => {
                let sent = format!(
                    "{} {}?{} {:?} {}",
                    received.method,
                    received.path,
                    received.query,
                    received.headers,
                    String::from_utf8_lossy(&received.body),
                );
                let body = json!({
                    "error": "kit_made_this_up", "message": sent, "code": sent, "name": sent,
                });
                answered(400, Some(body), None)
            }
            Self::NoAnswer | Self::NoAnswerInTime | Self::CutOff | Self::Enormous => return None,
        })
    }

    /// Status of the answer, where it is one that a manifest may declare "not processed".
    const fn status(self) -> Option<u16> {
        match self {
            Self::Unauthorized => Some(401),
            Self::BadRequest | Self::Reflection => Some(400),
            Self::RateLimited => Some(429),
            Self::ServerError => Some(500),
            Self::Unavailable => Some(503),
            Self::NotJson | Self::OtherJson => Some(200),
            Self::NoAnswer | Self::NoAnswerInTime | Self::CutOff | Self::Enormous => None,
        }
    }

    /// Whether the manifest says that such an answer means "not processed".
    fn is_declared(self, manifest: &Manifest) -> bool {
        manifest
            .not_processed
            .iter()
            .any(|rule| Some(rule.status) == self.status() && rule.pointer.is_none())
    }

    /// Holds how a call ended against what can be known after this fault.
    pub(crate) fn judge(
        self,
        operation: Operation,
        manifest: &Manifest,
        (run, heard): (&Run, &Heard),
    ) -> Findings {
        let mut findings = Findings::default();
        let failed = |entry: &&Received| entry.by == By::Fault;
        let Some(hit) = heard.received.iter().find(failed) else {
            // It broke before it asked anything: nothing else would come of it in production either.
            if let Some(finding) = breakdown(self, &run.ending) {
                findings.fail(finding);
                return findings;
            }
            findings.not_covered(
                "no request came so far: a success cassette would say what exists at the provider",
            );
            return findings;
        };
        let is_write = run.ledger.iter().any(|entry| {
            entry.state_changing && entry.method == hit.method && entry.path == hit.path
        });
        let wrote_before = !is_write && !matches!(Trace::of(&run.ledger), Trace::Clean { .. });
        let answered = |entry: &LedgerEntry| {
            entry.state_changing && entry.answer.is_some_and(|answer| !answer.not_processed)
        };
        let position = Position {
            is_write,
            wrote_before,
            is_in_part: is_write
                && run
                    .ledger
                    .iter()
                    .any(|entry| answered(entry) && entry.path != hit.path),
            is_declared: self.is_declared(manifest),
        };
        if let Some(finding) = self.wrong(&run.ending, position) {
            if self.is_minor(operation, &run.ending, position) {
                findings.warn(finding);
            } else {
                findings.fail(finding);
            }
        }
        check_failure(&run.ending, &mut findings);
        findings
    }

    /// What is better done otherwise, and misleads nobody.
    fn is_minor(self, operation: Operation, ending: &Ending, position: Position) -> bool {
        match ending {
            // Some providers say by the status alone that credentials work, or that something has ended.
            Ending::Accepted => {
                matches!(self, Self::NotJson | Self::OtherJson) && operation.needs_no_answer()
            }
            // Older releases of the SDK do so.
            Ending::NotSent(NotSent::Fault(broken)) => {
                self == Self::Enormous && !position.is_write && broken.kind == FaultKind::Other
            }
            Ending::Declined(_) | Ending::NotSent(_) | Ending::Unknown(_) => false,
        }
    }

    fn wrong(self, ending: &Ending, position: Position) -> Option<Finding> {
        let found = ending.describe();
        if let Some(finding) = breakdown(self, ending) {
            return Some(finding);
        }
        let wrong = |code, expected: &str, fix| {
            Some(Finding::new(
                code,
                format!("the outcome is {found}; {expected}"),
                fix,
            ))
        };
        match (ending, self.meaning()) {
            // What was done before has its answer: saying so is right, whatever came after.
            (Ending::Accepted | Ending::Unknown(_), _) if position.wrote_before => None,
            (Ending::Accepted, _) => wrong(
                "accepted_after_failure",
                "nothing says that it was done",
                "accept only an answer of the shape and status that the provider documents for success",
            ),
            (Ending::Declined(refusal), Meaning::Unauthorized) => {
                if refusal.kind == RefusalKind::Unauthorized {
                    return None;
                }
                wrong(
                    "wrong_refusal",
                    "after a 401 it must be declined as `unauthorized`",
                    "map 401 to `unauthorized`, so that the tenant is told that the credentials are wrong",
                )
            }
            (_, Meaning::Unauthorized) => wrong(
                "wrong_refusal",
                "after a 401 it must be declined as `unauthorized`",
                "map 401 to `unauthorized`, so that the tenant is told that the credentials are wrong",
            ),
            (Ending::Declined(_), Meaning::Refused) => None,
            (_, Meaning::Refused) if position.is_declared => None,
            (_, Meaning::Refused) => wrong(
                "wrong_refusal",
                "after a 400 it must be declined",
                "map answers of 400 and above that have no meaning of their own to `declined`, with a code",
            ),
            (Ending::NotSent(NotSent::Adapter(_)), _)
                if position.is_declared || !position.is_write =>
            {
                None
            }
            // The host cannot call it "not sent" any more.
            (Ending::Unknown(_), Meaning::Limited) if position.is_in_part => None,
            (Ending::Unknown(unknown), Meaning::Limited)
                if unknown.reason == UnknownReason::Contradicted =>
            {
                wrong(
                    "undeclared_not_processed",
                    "the adapter says that a 429 was not processed, and the manifest does not",
                    "add `[[not_processed]]` with `status = 429` to the manifest if the provider documents that, else answer `unknown`",
                )
            }
            (Ending::Declined(_) | Ending::Unknown(_), Meaning::Limited)
                if !position.is_declared =>
            {
                None
            }
            (_, Meaning::Limited) => wrong(
                "wrong_limit",
                "a rate limit that the manifest declares \"not processed\" must end as `not-sent`",
                "map 429 to `not-sent` with the code `rate_limited` and `retryable`",
            ),
            (Ending::Unknown(unknown), Meaning::Unclear | Meaning::Unanswered) => {
                match &unknown.reason {
                    UnknownReason::Adapter => None,
                    UnknownReason::Fault(_) if self == Self::NoAnswerInTime => None,
                    UnknownReason::Unanswered
                    | UnknownReason::Contradicted
                    | UnknownReason::Fault(_) => wrong(
                        "claim_without_knowledge",
                        "the adapter said something else than `unknown`, and only the host's own ledger kept that from being believed",
                        "answer `unknown` whenever a request that changes something left and no answer says what became of it",
                    ),
                }
            }
            (Ending::Declined(_) | Ending::NotSent(_), Meaning::Unclear | Meaning::Unanswered) => {
                if !position.is_write && matches!(ending, Ending::NotSent(_)) {
                    return None;
                }
                wrong(
                    "claim_without_knowledge",
                    if position.is_write {
                        "nobody can tell what the provider did: it must be `unknown`"
                    } else {
                        "the provider refused nothing: a read that failed is `not-sent`"
                    },
                    "answer `unknown` after a write and `not-sent` after a read when the provider's answer says nothing",
                )
            }
        }
    }
}

/// Which request failed.
#[derive(Debug, Clone, Copy)]
struct Position {
    /// One that changes something.
    is_write: bool,
    /// One that reads, after another that changed something.
    wrote_before: bool,
    /// One that changes something, after another that did.
    is_in_part: bool,
    is_declared: bool,
}

/// The adapter itself broke, or answered `other`.
fn breakdown(fault: Fault, ending: &Ending) -> Option<Finding> {
    let broken = match ending {
        Ending::NotSent(NotSent::Fault(broken)) => broken,
        Ending::Unknown(unknown) => match &unknown.reason {
            UnknownReason::Fault(broken) => broken,
            UnknownReason::Adapter | UnknownReason::Unanswered | UnknownReason::Contradicted => {
                return None;
            }
        },
        Ending::Accepted | Ending::Declined(_) | Ending::NotSent(_) => return None,
    };
    if broken.kind == FaultKind::WallTimeout && fault == Fault::NoAnswerInTime {
        return None;
    }
    Some(Finding::new(
        "breakdown",
        format!(
            "the adapter broke down: {}: {}",
            broken.kind.as_str(),
            broken.detail
        ),
        "answer with one of the errors of `onerouter:types/common`; `other`, traps and results that break the contract are counted against the plugin",
    ))
}

/// Every failure has a code and a sentence.
pub(crate) fn check_failure(ending: &Ending, findings: &mut Findings) {
    let failure = match ending {
        Ending::Declined(refusal) => &refusal.failure,
        Ending::NotSent(NotSent::Adapter(failure)) => failure,
        Ending::Unknown(unknown) => match &unknown.failure {
            Some(failure) => failure,
            None => return,
        },
        Ending::Accepted | Ending::NotSent(_) => return,
    };
    let is_code = !failure.code.is_empty()
        && failure
            .code
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if !is_code {
        findings.fail(Finding::new(
            "no_code",
            format!("the failure's code is \"{}\"", failure.code),
            "give every failure a unified code in snake case; `onerouter:types/common` lists the known ones",
        ));
    }
    if failure.message.trim().is_empty() {
        findings.fail(Finding::new(
            "no_message",
            format!("the failure {} has no message", failure.code),
            "say in one sentence what the provider refused",
        ));
    }
}
