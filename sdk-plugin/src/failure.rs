//! How a call ended when it did not succeed.

use alloc::borrow::ToOwned as _;
use alloc::string::String;

use crate::common::{CallError, Failure, FieldError};
use crate::outbound::SendError;

/// A failure with these words and nothing else; the rest is filled in with `..failure(…)`.
///
/// ```
/// use onerouter_plugin::common::Failure;
/// use onerouter_plugin::failure::failure;
///
/// let refused = Failure {
///     provider_code: Some("21211".into()),
///     http_status: Some(400),
///     ..failure("invalid_recipient", "The recipient is not a valid number.")
/// };
/// assert!(!refused.retryable);
/// ```
#[must_use]
pub fn failure(code: &str, message: &str) -> Failure {
    Failure {
        code: code.to_owned(),
        message: message.to_owned(),
        retryable: false,
        provider_code: None,
        provider_message: None,
        http_status: None,
        retry_after_ms: None,
    }
}

/// A field of the caller's request that this provider cannot take.
#[must_use]
pub fn field_error(pointer: &str, code: &str, detail: &str) -> FieldError {
    FieldError {
        pointer: pointer.to_owned(),
        code: code.to_owned(),
        detail: detail.to_owned(),
    }
}

/// JSON Pointer to the entry `name` of the map at `parent`.
///
/// ```
/// assert_eq!(onerouter_plugin::failure::pointer("/tags", "a/b~c"), "/tags/a~1b~0c");
/// ```
#[must_use]
pub fn pointer(parent: &str, name: &str) -> String {
    let mut pointer = parent.to_owned();
    pointer.push('/');
    for character in name.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            plain => pointer.push(plain),
        }
    }
    pointer
}

/// What it means that a request which may change something got no complete answer.
#[must_use]
pub fn after_write(error: SendError) -> CallError {
    match error {
        SendError::Interrupted(text) => CallError::Unknown(Failure {
            retryable: true,
            provider_message: Some(text),
            ..failure(
                "provider_error",
                "The provider's answer did not arrive; it may have acted.",
            )
        }),
        SendError::TooLarge(_) => CallError::Unknown(failure(
            "unexpected_answer",
            "The provider's answer is larger than allowed; it may have acted.",
        )),
        SendError::Unreachable(text) => unreachable_provider(text),
        SendError::Denied(text) | SendError::Other(text) => CallError::Other(text),
    }
}

/// What it means that a request which only reads got no complete answer.
#[must_use]
pub fn after_read(error: SendError) -> CallError {
    match error {
        SendError::Interrupted(text) | SendError::Unreachable(text) => unreachable_provider(text),
        SendError::TooLarge(_) => CallError::NotSent(failure(
            "unexpected_answer",
            "The provider's answer is larger than allowed.",
        )),
        SendError::Denied(text) | SendError::Other(text) => CallError::Other(text),
    }
}

/// What it means that a complete answer to a request which may change something makes no sense.
#[must_use]
pub fn unreadable_after_write(status: u16) -> CallError {
    CallError::Unknown(Failure {
        http_status: Some(status),
        ..failure(
            "unexpected_answer",
            "The provider's answer could not be understood; it may have acted.",
        )
    })
}

/// What it means that a complete answer to a request which only reads makes no sense.
#[must_use]
pub fn unreadable_after_read(status: u16) -> CallError {
    CallError::NotSent(Failure {
        http_status: Some(status),
        ..failure(
            "unexpected_answer",
            "The provider's answer could not be understood.",
        )
    })
}

fn unreachable_provider(text: String) -> CallError {
    CallError::NotSent(Failure {
        retryable: true,
        provider_message: Some(text),
        ..failure("provider_unavailable", "The provider could not be reached.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_answer_is_unknown_after_a_write_and_not_sent_after_a_read() {
        let lost = || SendError::Interrupted("reset by peer".to_owned());
        assert!(matches!(after_write(lost()), CallError::Unknown(_)));
        assert!(matches!(after_read(lost()), CallError::NotSent(_)));
        assert!(matches!(
            after_write(SendError::TooLarge(1)),
            CallError::Unknown(_)
        ));
        assert!(matches!(
            after_read(SendError::TooLarge(1)),
            CallError::NotSent(_)
        ));
    }

    #[test]
    fn what_never_left_is_not_unknown() {
        let refused = || SendError::Unreachable("connection refused".to_owned());
        assert!(matches!(after_write(refused()), CallError::NotSent(_)));
        let denied = || SendError::Denied("host not declared".to_owned());
        assert!(matches!(after_write(denied()), CallError::Other(_)));
        assert!(matches!(after_read(denied()), CallError::Other(_)));
    }
}
