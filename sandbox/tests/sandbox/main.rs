//! The sandbox as its clients meet it: over HTTP. Time is moved by the control API, never waited for.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what helps a test may fail as loudly as the test"
)]

mod control;
mod faults;
mod paypal_authorizations;
mod paypal_buyer;
mod paypal_capturing;
mod paypal_catalog;
mod paypal_cycles;
mod paypal_endings;
mod paypal_events;
mod paypal_failed_payments;
mod paypal_faults;
mod paypal_order_checks;
mod paypal_orders;
mod paypal_refunds;
mod paypal_request_ids;
mod paypal_revisions;
mod paypal_rig;
mod paypal_subscriptions;
mod paypal_tokens;
mod paypal_voids;
mod paypal_webhooks;
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
mod razorpay_terms;
mod razorpay_webhooks;
mod resend_changes;
mod resend_keys;
mod resend_refusals;
mod resend_sending;
mod resend_webhooks;
mod rig;
mod twilio_changes;
mod twilio_inbound;
mod twilio_lists;
mod twilio_refusals;
mod twilio_sending;
mod twilio_webhooks;
mod webhook_rig;
mod webhooks;
