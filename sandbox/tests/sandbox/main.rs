//! The sandbox as its clients meet it: over HTTP. Time is moved by the control API, never waited for.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what helps a test may fail as loudly as the test"
)]

mod control;
mod faults;
mod razorpay_checkout;
mod razorpay_control;
mod razorpay_cycles;
mod razorpay_link_payments;
mod razorpay_links;
mod razorpay_orders;
mod razorpay_payments;
mod razorpay_plans;
mod razorpay_refunds;
mod razorpay_requests;
mod razorpay_rig;
mod razorpay_subscription_changes;
mod razorpay_subscriptions;
mod resend_changes;
mod resend_keys;
mod resend_refusals;
mod resend_sending;
mod rig;
mod twilio_changes;
mod twilio_lists;
mod twilio_refusals;
mod twilio_sending;
