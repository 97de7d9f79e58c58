//! The sandbox as its clients meet it: over HTTP. Time is moved by the control API, never waited for.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what helps a test may fail as loudly as the test"
)]

mod control;
mod faults;
mod resend_changes;
mod resend_keys;
mod resend_refusals;
mod resend_sending;
mod rig;
mod twilio_changes;
mod twilio_lists;
mod twilio_refusals;
mod twilio_sending;
