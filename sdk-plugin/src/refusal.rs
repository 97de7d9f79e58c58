//! What a provider's error answers mean.
//!
//! A provider has error codes of its own. The ones that an adapter knows stand in a table; the HTTP
//! status gives the general class of the others. The provider's code and words are always kept.

use alloc::string::String;

use crate::common::{CallError, Failure};
use crate::context;
use crate::failure::failure;
use crate::http::Answer;

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The provider refused; nothing was created.
    Declined,
    /// The provider refused the credentials.
    Unauthorized,
    /// Nothing was processed.
    NotSent,
    /// The provider does not know the object.
    NotFound,
    /// The object's state does not allow this.
    InvalidState,
    /// Nobody can tell what the provider did: a server error, or no error at all.
    Unclear,
}

impl Ending {
    /// The result of a call whose request may have changed something.
    #[must_use]
    pub fn after_write(self, failure: Failure) -> CallError {
        match self {
            Self::Declined => CallError::Declined(failure),
            Self::Unauthorized => CallError::Unauthorized(failure),
            Self::NotSent => CallError::NotSent(failure),
            Self::NotFound => CallError::NotFound(failure),
            Self::InvalidState => CallError::InvalidState(failure),
            Self::Unclear => CallError::Unknown(failure),
        }
    }

    /// The result of a call whose request only read.
    #[must_use]
    pub fn after_read(self, failure: Failure) -> CallError {
        match self {
            Self::Unclear => CallError::NotSent(failure),
            ending => ending.after_write(failure),
        }
    }
}

/// What one of the provider's error codes means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The provider's code, as text.
    pub code: &'static str,
    /// How a call ends with it.
    pub ending: Ending,
    /// The unified code; the WIT file of [`common`](crate::common) lists the known ones.
    pub unified: &'static str,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// One sentence for people.
    pub message: &'static str,
}

/// A row whose request will not succeed later either.
#[must_use]
pub const fn lasting(
    code: &'static str,
    ending: Ending,
    unified: &'static str,
    message: &'static str,
) -> Refusal {
    Refusal {
        code,
        ending,
        unified,
        retryable: false,
        message,
    }
}

/// A row whose request may succeed later.
#[must_use]
pub const fn passing(
    code: &'static str,
    ending: Ending,
    unified: &'static str,
    message: &'static str,
) -> Refusal {
    Refusal {
        code,
        ending,
        unified,
        retryable: true,
        message,
    }
}

/// What an answer that is no success means, by its code where `table` has it, else by its status.
///
/// `code` and `words` are what the provider says in the answer's body. `Retry-After` is read where
/// the request asked for it.
#[must_use]
pub fn understand(
    table: &[Refusal],
    answer: &Answer,
    code: Option<String>,
    words: Option<String>,
) -> (Ending, Failure) {
    let row = table
        .iter()
        .find(|row| code.as_deref() == Some(row.code))
        .copied()
        .unwrap_or_else(|| by_status(answer.status));
    let failure = Failure {
        retryable: row.retryable,
        provider_code: code,
        provider_message: words,
        http_status: Some(answer.status),
        retry_after_ms: answer
            .header("retry-after")
            .and_then(|_| answer.retry_after_ms(context::now())),
        ..failure(row.unified, row.message)
    };
    (row.ending, failure)
}

/// The general class of an answer; its `code` is empty.
fn by_status(status: u16) -> Refusal {
    let unclear = passing(
        "",
        Ending::Unclear,
        "provider_error",
        "The provider failed to answer the request.",
    );
    match status {
        401 => lasting(
            "",
            Ending::Unauthorized,
            "credentials_refused",
            "The credentials were refused.",
        ),
        403 => lasting(
            "",
            Ending::Declined,
            "permission_denied",
            "The account may not do this.",
        ),
        404 | 410 => lasting(
            "",
            Ending::NotFound,
            "not_found",
            "The provider does not know this.",
        ),
        // The provider gave up waiting for the rest of the request. Nobody says what it did with the
        // start.
        408 => unclear,
        409 => lasting(
            "",
            Ending::InvalidState,
            "invalid_state",
            "The state of the object does not allow this.",
        ),
        429 => passing("", Ending::NotSent, "rate_limited", "Too many requests."),
        400..=499 => lasting(
            "",
            Ending::Declined,
            "provider_error",
            "The provider refused the request.",
        ),
        _ => unclear,
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn answer(status: u16) -> Answer {
        Answer {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    #[test]
    fn a_known_code_decides_whatever_the_status() {
        let table = [lasting("E1", Ending::Declined, "invalid_content", "No.")];
        for status in [200, 400, 429, 500] {
            let (ending, failure) = understand(
                &table,
                &answer(status),
                Some("E1".into()),
                Some("theirs".into()),
            );
            assert_eq!(ending, Ending::Declined);
            assert_eq!(failure.code, "invalid_content");
            assert_eq!(failure.provider_code.as_deref(), Some("E1"));
            assert_eq!(failure.provider_message.as_deref(), Some("theirs"));
            assert_eq!(failure.http_status, Some(status));
        }
    }

    #[test]
    fn an_unknown_code_is_kept_and_the_status_decides() {
        for (status, ending, code, retryable) in [
            (302, Ending::Unclear, "provider_error", true),
            (400, Ending::Declined, "provider_error", false),
            (401, Ending::Unauthorized, "credentials_refused", false),
            (403, Ending::Declined, "permission_denied", false),
            (404, Ending::NotFound, "not_found", false),
            (408, Ending::Unclear, "provider_error", true),
            (409, Ending::InvalidState, "invalid_state", false),
            (410, Ending::NotFound, "not_found", false),
            (422, Ending::Declined, "provider_error", false),
            (429, Ending::NotSent, "rate_limited", true),
            (500, Ending::Unclear, "provider_error", true),
            (503, Ending::Unclear, "provider_error", true),
        ] {
            for theirs in [None, Some("E9")] {
                let (found, failure) =
                    understand(&[], &answer(status), theirs.map(Into::into), None);
                assert_eq!((found, failure.code.as_str()), (ending, code), "{status}");
                assert_eq!(failure.retryable, retryable, "{status}");
                assert_eq!(failure.provider_code.as_deref(), theirs);
            }
        }
    }

    #[test]
    fn what_is_unclear_is_unknown_after_a_write_and_not_sent_after_a_read() {
        let failure = || failure("provider_error", "");
        assert!(matches!(
            Ending::Unclear.after_write(failure()),
            CallError::Unknown(_)
        ));
        assert!(matches!(
            Ending::Unclear.after_read(failure()),
            CallError::NotSent(_)
        ));
        assert!(matches!(
            Ending::NotFound.after_read(failure()),
            CallError::NotFound(_)
        ));
    }
}
