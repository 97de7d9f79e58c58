//! Statuses of messages, and how what a provider reports changes them.
//!
//! Merging takes the greater of two: see [`crate::status`].

use crate::status::statuses;

statuses! {
    /// What became of a text message.
    SmsStatus {
        /// The provider may have it; nobody knows yet.
        Unknown = "unknown",
        /// Accepted here, or waiting at the provider.
        Queued = "queued",
        /// Waits for its time.
        Scheduled = "scheduled",
        /// On its way to the carrier.
        Sending = "sending",
        /// The carrier has it.
        Sent = "sent",
        /// Taken back before it was sent.
        Canceled = "canceled",
        /// Never sent.
        Failed = "failed",
        /// Sent, and not delivered.
        Undelivered = "undelivered",
        /// On the phone.
        Delivered = "delivered",
        /// Came from outside.
        Received = "received",
    }
}

impl SmsStatus {
    /// Whether the gateway stops asking. Events may still arrive.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Unknown | Self::Queued | Self::Scheduled | Self::Sending | Self::Sent => false,
            Self::Canceled
            | Self::Failed
            | Self::Undelivered
            | Self::Delivered
            | Self::Received => true,
        }
    }
}

statuses! {
    /// What became of an e-mail. Opens and clicks are events, not statuses.
    EmailStatus {
        /// The provider may have it; nobody knows yet.
        Unknown = "unknown",
        /// Accepted here, or waiting at the provider.
        Queued = "queued",
        /// Waits for its time.
        Scheduled = "scheduled",
        /// Handed to the recipient's server.
        Sent = "sent",
        /// The recipient's server asks to wait.
        Delayed = "delayed",
        /// Taken back before it was sent.
        Canceled = "canceled",
        /// Never sent.
        Failed = "failed",
        /// The recipient's server has it.
        Delivered = "delivered",
        /// Sent back for good.
        Bounced = "bounced",
        /// The recipient called it spam.
        Complained = "complained",
    }
}

impl EmailStatus {
    /// Whether the gateway stops asking. Events may still arrive.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Unknown | Self::Queued | Self::Scheduled | Self::Sent | Self::Delayed => false,
            Self::Canceled | Self::Failed | Self::Delivered | Self::Bounced | Self::Complained => {
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_read_back() {
        for status in SmsStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(*status));
        }
        for status in EmailStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(*status));
        }
        assert!("read".parse::<SmsStatus>().is_err());
    }

    fn sms() -> impl Strategy<Value = SmsStatus> {
        prop::sample::select(SmsStatus::ALL)
    }

    fn email() -> impl Strategy<Value = EmailStatus> {
        prop::sample::select(EmailStatus::ALL)
    }

    proptest! {
        #[test]
        fn any_order_of_sms_reports_ends_alike(reports in prop::collection::vec(sms(), 0..12).prop_flat_map(|v| (Just(v.clone()), Just(v).prop_shuffle()))) {
            let end = |reports: &[SmsStatus]| reports.iter().fold(SmsStatus::Queued, |status, report| status.merge(*report));
            prop_assert_eq!(end(&reports.0), end(&reports.1));
        }

        #[test]
        fn a_terminal_sms_never_becomes_open_again(terminal in sms(), report in sms()) {
            prop_assume!(terminal.is_terminal());
            prop_assert!(terminal.merge(report).is_terminal());
        }

        #[test]
        fn any_order_of_email_reports_ends_alike(reports in prop::collection::vec(email(), 0..12).prop_flat_map(|v| (Just(v.clone()), Just(v).prop_shuffle()))) {
            let end = |reports: &[EmailStatus]| reports.iter().fold(EmailStatus::Queued, |status, report| status.merge(*report));
            prop_assert_eq!(end(&reports.0), end(&reports.1));
        }

        #[test]
        fn a_terminal_email_never_becomes_open_again(terminal in email(), report in email()) {
            prop_assume!(terminal.is_terminal());
            prop_assert!(terminal.merge(report).is_terminal());
        }
    }
}
