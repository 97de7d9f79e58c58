//! Why a message failed after it was accepted: `error_code` on the message.
//!
//! Twilio says that these codes change and should not drive logic. A few known ones get a code of
//! ours, the rest a general one; the number itself is always kept.

use alloc::string::String;

use onerouter_plugin::common::Failure;
use onerouter_plugin::failure::failure;

/// What a delivery code means.
pub(crate) struct Delivery {
    pub(crate) code: u32,
    pub(crate) unified: &'static str,
    /// Whether the same message may get through later.
    pub(crate) retryable: bool,
    pub(crate) message: &'static str,
}

const fn row(code: u32, unified: &'static str, retryable: bool, message: &'static str) -> Delivery {
    Delivery {
        code,
        unified,
        retryable,
        message,
    }
}

/// The codes that have a meaning of their own here.
#[rustfmt::skip]
pub(crate) const DELIVERIES: [Delivery; 13] = [
    row(30001, "queue_overflow", true, "Too many messages are waiting for this sender."),
    row(30002, "account_suspended", false, "The account was suspended before the message was sent."),
    row(30003, "recipient_unreachable", true, "The handset is switched off or out of reach."),
    row(30004, "recipient_unreachable", false, "The recipient's side blocks this message."),
    row(30005, "invalid_recipient", false, "The number is unknown or no longer in use."),
    row(30006, "recipient_unreachable", false, "The number is a landline, or its carrier cannot be reached."),
    row(30007, "content_filtered", false, "The carrier filtered the message."),
    row(30008, "unknown_failure", true, "The message was not delivered; the carrier gave no reason."),
    row(30009, "unknown_failure", true, "A part of the message got lost."),
    row(30010, "price_limit", false, "The message costs more than the price limit."),
    row(30024, "sender_not_allowed", false, "The sender is not set up at the recipient's carrier."),
    row(30032, "sender_not_allowed", false, "The toll-free sender is not verified."),
    row(30034, "sender_not_allowed", false, "The sender is not registered for US A2P 10DLC."),
];

/// Codes of WhatsApp and the other channels lie here; their reasons are the channel's own.
const CHANNELS: core::ops::RangeInclusive<u32> = 63_000..=63_999;

/// The failure of a message that ended `failed` or `undelivered`.
pub(crate) fn failure_of(code: Option<String>, message: Option<String>) -> Failure {
    let number = code.as_deref().and_then(|code| code.parse().ok());
    let known = DELIVERIES.iter().find(|row| Some(row.code) == number);
    let described = match known {
        Some(row) => Failure {
            retryable: row.retryable,
            ..failure(row.unified, row.message)
        },
        None if number.is_some_and(|code| CHANNELS.contains(&code)) => failure(
            "unknown_failure",
            "The messaging channel did not deliver the message.",
        ),
        None => failure("unknown_failure", "The message was not delivered."),
    };
    Failure {
        provider_code: code,
        provider_message: message,
        ..described
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_is_found_by_its_code_and_keeps_it() {
        let mut seen = HashSet::new();
        for row in &DELIVERIES {
            assert!(seen.insert(row.code));
            let failure = failure_of(Some(row.code.to_string()), Some("their words".into()));
            assert_eq!(failure.code, row.unified);
            assert_eq!(failure.retryable, row.retryable);
            assert_eq!(failure.provider_code, Some(row.code.to_string()));
            assert_eq!(failure.provider_message.as_deref(), Some("their words"));
        }
    }

    #[test]
    fn an_unknown_code_is_kept_under_a_general_name() {
        for code in ["30999", "63016", "not a number"] {
            let failure = failure_of(Some(code.into()), None);
            assert_eq!(failure.code, "unknown_failure");
            assert_eq!(failure.provider_code.as_deref(), Some(code));
        }
        assert_eq!(failure_of(None, None).code, "unknown_failure");
    }
}
