//! The host's last word on how a call ended.
//!
//! An adapter says what it understood; the ledger says what left the house. Both together give
//! the outcome, by this table and nothing else:
//!
//! | the adapter … \ state-changing requests that left | none | all answered "not processed" | all answered in full | one without a complete answer |
//! | --- | --- | --- | --- | --- |
//! | says `ok`, well-formed | accepted | accepted | accepted | **unknown** |
//! | says `declined`, `unauthorized`, `not-found`, `invalid-state` | declined | declined | declined | **unknown** |
//! | says `not-sent`, `unsupported`, `invalid` | not sent | not sent | **unknown** | **unknown** |
//! | says `other`: a bug of its own | not sent | not sent | **unknown** | **unknown** |
//! | says `unknown` | not sent | **unknown** | **unknown** | **unknown** |
//! | traps, hits a limit, times out, answers nonsense | not sent | **unknown** | **unknown** | **unknown** |
//!
//! A request that found nobody to connect to has not left. A request that only reads does not
//! count, so an error of a reading call is never unknown.
//!
//! "All answered in full" includes 5xx answers: whether they created something is for the adapter
//! to say, and it has `unknown` for when it cannot tell.
//!
//! In a batch, one provider call stands for many e-mails. The table above judges the call as a
//! whole; [`items`] judges what the adapter says of each e-mail in a list that counts.

use crate::ledger::Trace;
use crate::outcome::{
    FaultKind, ItemRefusal, NotSent, Outcome, PluginFault, Refusal, RefusalKind, Unknown,
    UnknownReason,
};
use crate::wit::common::{CallError, Failure, FieldError};

/// What an adapter said, or what happened to it instead.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Said<T> {
    Accepted(T),
    Refused(RefusalKind, Failure),
    NotSent(Failure),
    Unsupported(String),
    Invalid(Vec<FieldError>),
    Unknown(Failure),
    Broke(PluginFault),
}

impl<T> Said<T> {
    pub(crate) fn error(error: CallError) -> Self {
        match error {
            CallError::Declined(failure) => Self::Refused(RefusalKind::Declined, failure),
            CallError::Unauthorized(failure) => Self::Refused(RefusalKind::Unauthorized, failure),
            CallError::NotFound(failure) => Self::Refused(RefusalKind::NotFound, failure),
            CallError::InvalidState(failure) => Self::Refused(RefusalKind::InvalidState, failure),
            CallError::NotSent(failure) => Self::NotSent(failure),
            CallError::Unsupported(text) => Self::Unsupported(text),
            CallError::Invalid(errors) => Self::Invalid(errors),
            CallError::Unknown(failure) => Self::Unknown(failure),
            CallError::Other(detail) => Self::Broke(PluginFault {
                kind: FaultKind::Other,
                detail,
            }),
        }
    }
}

/// The outcome of a call.
pub(crate) fn judge<T>(said: Said<T>, trace: Trace) -> Outcome<T> {
    match trace {
        Trace::Clean { unreachable } => match said {
            Said::Accepted(value) => Outcome::Accepted(value),
            Said::Refused(kind, failure) => Outcome::Declined(Refusal { kind, failure }),
            claim => Outcome::NotSent(not_sent(claim, unreachable)),
        },
        Trace::NotProcessed => match said {
            Said::Accepted(value) => Outcome::Accepted(value),
            Said::Refused(kind, failure) => Outcome::Declined(Refusal { kind, failure }),
            Said::Unknown(_) => unknown(said, UnknownReason::Adapter),
            Said::Broke(ref fault) if fault.kind != FaultKind::Other => {
                let reason = UnknownReason::Fault(fault.clone());
                unknown(said, reason)
            }
            claim => Outcome::NotSent(not_sent(claim, false)),
        },
        Trace::Answered => match said {
            Said::Accepted(value) => Outcome::Accepted(value),
            Said::Refused(kind, failure) => Outcome::Declined(Refusal { kind, failure }),
            claim => {
                let reason = reason(&claim, UnknownReason::Contradicted);
                unknown(claim, reason)
            }
        },
        Trace::Open => {
            let reason = reason(&said, UnknownReason::Unanswered);
            unknown(said, reason)
        }
    }
}

/// Only claims that nothing happened, and breakdowns, come here.
fn not_sent<T>(claim: Said<T>, unreachable: bool) -> NotSent {
    match claim {
        Said::NotSent(failure) | Said::Unknown(failure) | Said::Refused(_, failure) => {
            if unreachable {
                NotSent::Unreachable(Some(failure))
            } else {
                NotSent::Adapter(failure)
            }
        }
        Said::Unsupported(text) => NotSent::Unsupported(text),
        Said::Invalid(errors) => NotSent::Invalid(errors),
        Said::Broke(fault) if unreachable && fault.kind == FaultKind::Other => {
            NotSent::Unreachable(None)
        }
        Said::Broke(fault) => NotSent::Fault(fault),
        Said::Accepted(_) => NotSent::Fault(PluginFault {
            kind: FaultKind::Host,
            detail: "a success was taken for a failure".to_owned(),
        }),
    }
}

fn reason<T>(said: &Said<T>, otherwise: UnknownReason) -> UnknownReason {
    match said {
        Said::Unknown(_) => UnknownReason::Adapter,
        Said::Broke(fault) => UnknownReason::Fault(fault.clone()),
        Said::Accepted(_)
        | Said::Refused(..)
        | Said::NotSent(_)
        | Said::Unsupported(_)
        | Said::Invalid(_) => otherwise,
    }
}

fn unknown<T>(said: Said<T>, reason: UnknownReason) -> Outcome<T> {
    let failure = match said {
        Said::Refused(_, failure) | Said::NotSent(failure) | Said::Unknown(failure) => {
            Some(failure)
        }
        Said::Accepted(_) | Said::Unsupported(_) | Said::Invalid(_) | Said::Broke(_) => None,
    };
    Outcome::Unknown(Unknown { reason, failure })
}

/// The outcomes of a batch, in order.
pub(crate) fn items<T>(
    said: impl Iterator<Item = Said<T>>,
    trace: Trace,
) -> Vec<Result<T, ItemRefusal>> {
    let mut items = Vec::with_capacity(said.size_hint().0);
    for said in said {
        items.push(item(said, trace));
    }
    items
}

/// The outcome of one e-mail of a batch whose list was accepted: each request of the call has a
/// complete answer, or none left.
///
/// `invalid` and `unsupported` beside a full answer mean that the adapter kept this one out of the
/// request. That may be true, but it cannot be shown: it counts as a refusal, which is final,
/// rather than as "not sent", which could be sent again.
#[expect(
    clippy::result_large_err,
    reason = "goes into a list beside messages of the same size"
)]
fn item<T>(said: Said<T>, trace: Trace) -> Result<T, ItemRefusal> {
    let said = match (trace, said) {
        (Trace::Answered, Said::Unsupported(text)) => refused_locally(text),
        (Trace::Answered, Said::Invalid(errors)) => refused_locally(details(&errors)),
        (_, said) => said,
    };
    match judge(said, trace) {
        Outcome::Accepted(value) => Ok(value),
        Outcome::Declined(refusal) => Err(ItemRefusal::Declined(refusal)),
        Outcome::NotSent(reason) => Err(ItemRefusal::NotSent(reason)),
        Outcome::Unknown(unknown) => Err(ItemRefusal::Unknown(unknown)),
    }
}

fn refused_locally<T>(message: String) -> Said<T> {
    let failure = Failure {
        code: "invalid_content".to_owned(),
        message,
        retryable: false,
        provider_code: None,
        provider_message: None,
        http_status: None,
        retry_after_ms: None,
    };
    Said::Refused(RefusalKind::Declined, failure)
}

fn details(errors: &[FieldError]) -> String {
    let details: Vec<_> = errors.iter().map(|error| error.detail.as_str()).collect();
    details.join(" ")
}

#[cfg(test)]
mod tests {
    use super::{Said, item, judge};
    use crate::ledger::Trace;
    use crate::outcome::{
        FaultKind, ItemRefusal, NotSent, Outcome, PluginFault, Refusal, RefusalKind, Unknown,
        UnknownReason,
    };
    use crate::wit::common::{CallError, Failure, FieldError};

    const CLEAN: Trace = Trace::Clean { unreachable: false };
    const UNREACHABLE: Trace = Trace::Clean { unreachable: true };
    const COLUMNS: [Trace; 4] = [CLEAN, Trace::NotProcessed, Trace::Answered, Trace::Open];

    fn failure() -> Failure {
        Failure {
            code: "rate_limited".to_owned(),
            message: "Slow down".to_owned(),
            retryable: true,
            provider_code: None,
            provider_message: None,
            http_status: Some(429),
            retry_after_ms: Some(1_000),
        }
    }

    fn fault(kind: FaultKind) -> PluginFault {
        PluginFault {
            kind,
            detail: "detail".to_owned(),
        }
    }

    fn field_error() -> FieldError {
        FieldError {
            pointer: "/to".to_owned(),
            code: "invalid".to_owned(),
            detail: "Not a number.".to_owned(),
        }
    }

    fn unknown(reason: UnknownReason, failure: Option<Failure>) -> Outcome<u8> {
        Outcome::Unknown(Unknown { reason, failure })
    }

    #[track_caller]
    fn row(said: &Said<u8>, expected: [Outcome<u8>; 4]) {
        for (trace, expected) in COLUMNS.into_iter().zip(expected) {
            assert_eq!(
                judge(said.clone(), trace),
                expected,
                "{said:?} with {trace:?}"
            );
        }
    }

    #[test]
    fn a_success_counts_when_every_request_is_answered() {
        row(
            &Said::Accepted(1),
            [
                Outcome::Accepted(1),
                Outcome::Accepted(1),
                Outcome::Accepted(1),
                unknown(UnknownReason::Unanswered, None),
            ],
        );
    }

    #[test]
    fn a_refusal_counts_when_every_request_is_answered() {
        for (error, kind) in [
            (CallError::Declined(failure()), RefusalKind::Declined),
            (
                CallError::Unauthorized(failure()),
                RefusalKind::Unauthorized,
            ),
            (CallError::NotFound(failure()), RefusalKind::NotFound),
            (
                CallError::InvalidState(failure()),
                RefusalKind::InvalidState,
            ),
        ] {
            let declined = || {
                Outcome::Declined(Refusal {
                    kind,
                    failure: failure(),
                })
            };
            row(
                &Said::error(error),
                [
                    declined(),
                    declined(),
                    declined(),
                    unknown(UnknownReason::Unanswered, Some(failure())),
                ],
            );
        }
    }

    #[test]
    fn not_sent_counts_when_nothing_was_processed() {
        let not_sent = || Outcome::NotSent(NotSent::Adapter(failure()));
        row(
            &Said::error(CallError::NotSent(failure())),
            [
                not_sent(),
                not_sent(),
                unknown(UnknownReason::Contradicted, Some(failure())),
                unknown(UnknownReason::Unanswered, Some(failure())),
            ],
        );
    }

    #[test]
    fn a_request_that_cannot_be_made_counts_when_nothing_was_processed() {
        let unsupported = || Outcome::NotSent(NotSent::Unsupported("media".to_owned()));
        row(
            &Said::error(CallError::Unsupported("media".to_owned())),
            [
                unsupported(),
                unsupported(),
                unknown(UnknownReason::Contradicted, None),
                unknown(UnknownReason::Unanswered, None),
            ],
        );
        let invalid = || Outcome::NotSent(NotSent::Invalid(vec![field_error()]));
        row(
            &Said::error(CallError::Invalid(vec![field_error()])),
            [
                invalid(),
                invalid(),
                unknown(UnknownReason::Contradicted, None),
                unknown(UnknownReason::Unanswered, None),
            ],
        );
    }

    #[test]
    fn an_adapters_own_bug_counts_when_nothing_was_processed() {
        let fault = || fault(FaultKind::Other);
        row(
            &Said::error(CallError::Other("detail".to_owned())),
            [
                Outcome::NotSent(NotSent::Fault(fault())),
                Outcome::NotSent(NotSent::Fault(fault())),
                unknown(UnknownReason::Fault(fault()), None),
                unknown(UnknownReason::Fault(fault()), None),
            ],
        );
    }

    #[test]
    fn unknown_stays_unknown_unless_nothing_left() {
        row(
            &Said::error(CallError::Unknown(failure())),
            [
                Outcome::NotSent(NotSent::Adapter(failure())),
                unknown(UnknownReason::Adapter, Some(failure())),
                unknown(UnknownReason::Adapter, Some(failure())),
                unknown(UnknownReason::Adapter, Some(failure())),
            ],
        );
    }

    #[test]
    fn a_breakdown_after_a_request_is_unknown() {
        for kind in [
            FaultKind::Trap,
            FaultKind::Panic,
            FaultKind::CpuBudget,
            FaultKind::Memory,
            FaultKind::WallTimeout,
            FaultKind::Malformed,
            FaultKind::Host,
        ] {
            let reason = || UnknownReason::Fault(fault(kind));
            row(
                &Said::Broke(fault(kind)),
                [
                    Outcome::NotSent(NotSent::Fault(fault(kind))),
                    unknown(reason(), None),
                    unknown(reason(), None),
                    unknown(reason(), None),
                ],
            );
        }
    }

    #[test]
    fn nobody_to_connect_to_is_told_apart() {
        for error in [CallError::NotSent(failure()), CallError::Unknown(failure())] {
            assert_eq!(
                judge(Said::<u8>::error(error), UNREACHABLE),
                Outcome::NotSent(NotSent::Unreachable(Some(failure())))
            );
        }
        assert_eq!(
            judge(
                Said::<u8>::error(CallError::Other(String::new())),
                UNREACHABLE
            ),
            Outcome::NotSent(NotSent::Unreachable(None))
        );
        let trap = fault(FaultKind::Trap);
        assert_eq!(
            judge(Said::<u8>::Broke(trap.clone()), UNREACHABLE),
            Outcome::NotSent(NotSent::Fault(trap))
        );
    }

    #[test]
    fn an_item_that_was_kept_out_of_an_answered_batch_is_final() {
        let invalid = Said::<u8>::Invalid(vec![field_error()]);
        let Err(ItemRefusal::Declined(refusal)) = item(invalid.clone(), Trace::Answered) else {
            panic!("not declined");
        };
        assert_eq!(refusal.failure.message, "Not a number.");
        assert_eq!(
            item(invalid, CLEAN),
            Err(ItemRefusal::NotSent(NotSent::Invalid(vec![field_error()])))
        );
        assert!(matches!(
            item(Said::<u8>::NotSent(failure()), Trace::Answered),
            Err(ItemRefusal::Unknown(_))
        ));
        assert_eq!(item(Said::Accepted(1), Trace::Answered), Ok(1));
    }
}
