//! The statuses of a message: <https://www.twilio.com/docs/messaging/api/message-resource#message-status-values>.

use serde::{Deserialize, Serialize};

use super::number::Course;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Accepted,
    Scheduled,
    Queued,
    Sending,
    Sent,
    Delivered,
    Undelivered,
    Failed,
    Canceled,
    Receiving,
    Received,
    Read,
    PartiallyDelivered,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Status::Accepted => "accepted",
            Status::Scheduled => "scheduled",
            Status::Queued => "queued",
            Status::Sending => "sending",
            Status::Sent => "sent",
            Status::Delivered => "delivered",
            Status::Undelivered => "undelivered",
            Status::Failed => "failed",
            Status::Canceled => "canceled",
            Status::Receiving => "receiving",
            Status::Received => "received",
            Status::Read => "read",
            Status::PartiallyDelivered => "partially_delivered",
        }
    }

    /// Not yet on its way: it can still be cancelled.
    pub(super) fn is_waiting(self) -> bool {
        matches!(self, Status::Accepted | Status::Scheduled | Status::Queued)
    }

    pub(super) fn is_final(self) -> bool {
        match self {
            Status::Delivered
            | Status::Undelivered
            | Status::Failed
            | Status::Canceled
            | Status::Received
            | Status::Read
            | Status::PartiallyDelivered => true,
            Status::Accepted
            | Status::Scheduled
            | Status::Queued
            | Status::Sending
            | Status::Sent
            | Status::Receiving => false,
        }
    }

    pub(super) fn is_sent(self) -> bool {
        matches!(
            self,
            Status::Sent
                | Status::Delivered
                | Status::Undelivered
                | Status::Read
                | Status::PartiallyDelivered
        )
    }
}

/// What follows `first` on the way to the course's end.
pub(super) fn steps(course: Course, first: Status) -> &'static [Status] {
    use Status::{Delivered, Failed, Queued, Sending, Sent, Undelivered};
    let from_accepted: &'static [Status] = match course {
        Course::Delivered => &[Queued, Sending, Sent, Delivered],
        Course::Undelivered(_) => &[Queued, Sending, Sent, Undelivered],
        Course::Failed(_) => &[Queued, Sending, Failed],
        Course::StaysQueued => &[Queued],
        Course::StaysSending => &[Queued, Sending],
        Course::StaysSent => &[Queued, Sending, Sent],
    };
    match (first, from_accepted) {
        (Queued, [_, from_queued @ ..]) => from_queued,
        _ => from_accepted,
    }
}
