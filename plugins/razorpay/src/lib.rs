//! Payments over Razorpay: orders and their payments, refunds, payment links, plans, subscriptions.
//!
//! - `api`: how requests are made; `account`: whether the credentials work
//! - `money`: amounts as Razorpay counts them; `notes`: what travels with an object
//! - `attempts`: what the buyers' tries at an order come to; `shown`: how that looks as a payment
//! - `payment`, `checkout`, `refund`, `link`: the capabilities on top of these
//! - `plan`, `subscription`, `mandate`: what is charged again and again
//! - `search`: objects found again by our id in their notes
//! - `webhook`: what Razorpay tells of its own accord
//! - `refusal`: Razorpay's errors

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use bindings::exports::onerouter::account::account_check;
use bindings::exports::onerouter::payments as exported;
use bindings::exports::onerouter::webhooks::webhooks;
use exported::{payment_links, payments, plans, refunds, subscriptions};
use onerouter_plugin::common::CallError;
use onerouter_plugin::payments::{Attempt, Moment, Money, Reference, Window};

mod account;
mod api;
mod attempts;
mod checkout;
mod link;
mod mandate;
mod money;
mod notes;
mod payment;
mod plan;
mod refund;
mod refusal;
mod search;
mod shown;
mod subscription;
mod webhook;

mod bindings {
    use super::Razorpay;

    onerouter_plugin::adapter! {
        wit: "../../wit",
        world: "
            package onerouter:razorpay;
            world razorpay {
                include onerouter:adapter/host@1.0.0;
                export onerouter:account/account-check@1.0.0;
                export onerouter:payments/payments@1.0.0;
                export onerouter:payments/payment-lookup@1.0.0;
                export onerouter:payments/checkout@1.0.0;
                export onerouter:payments/refunds@1.0.0;
                export onerouter:payments/refund-lookup@1.0.0;
                export onerouter:payments/plans@1.0.0;
                export onerouter:payments/plan-lookup@1.0.0;
                export onerouter:payments/subscriptions@1.0.0;
                export onerouter:payments/subscription-lookup@1.0.0;
                export onerouter:payments/payment-links@1.0.0;
                export onerouter:payments/payment-link-lookup@1.0.0;
                export onerouter:webhooks/webhooks@1.0.0;
            }
        ",
    }
    export!(Razorpay with_types_in self);
}

struct Razorpay;

impl account_check::Guest for Razorpay {
    fn check() -> Result<account_check::Account, CallError> {
        account::check()
    }
}

impl payments::Guest for Razorpay {
    fn create(request: payments::CreateRequest) -> Result<payments::Payment, CallError> {
        payment::create(&request)
    }

    fn get(payment: Reference) -> Result<payments::Payment, CallError> {
        payment::get(&payment)
    }

    fn authorize(_payment: Reference, _attempt: Attempt) -> Result<payments::Payment, CallError> {
        Err(CallError::Unsupported(
            "Razorpay reserves the money by itself as soon as the buyer has paid".to_owned(),
        ))
    }

    fn capture(
        payment: Reference,
        amount: Money,
        _attempt: Attempt,
    ) -> Result<payments::Payment, CallError> {
        payment::capture(&payment, &amount)
    }

    fn cancel(_payment: Reference, _attempt: Attempt) -> Result<payments::Payment, CallError> {
        Err(CallError::Unsupported(
            "Razorpay cannot cancel an order; money that is reserved and not captured goes back by itself"
                .to_owned(),
        ))
    }
}

impl exported::payment_lookup::Guest for Razorpay {
    fn find(
        request: payments::CreateRequest,
        _window: Window,
    ) -> Result<Vec<payments::Payment>, CallError> {
        payment::find(&request)
    }
}

impl exported::checkout::Guest for Razorpay {
    fn confirm(
        payment: Reference,
        response: Vec<(String, String)>,
    ) -> Result<payments::Payment, CallError> {
        checkout::confirm(&payment, &response)
    }
}

impl refunds::Guest for Razorpay {
    fn create(request: refunds::CreateRequest) -> Result<refunds::Refund, CallError> {
        refund::create(&request)
    }

    fn get(refund: Reference) -> Result<refunds::Refund, CallError> {
        refund::get(&refund)
    }
}

impl exported::refund_lookup::Guest for Razorpay {
    fn find(
        request: refunds::CreateRequest,
        _window: Window,
    ) -> Result<Vec<refunds::Refund>, CallError> {
        refund::find(&request)
    }
}

impl plans::Guest for Razorpay {
    fn create(request: plans::CreateRequest) -> Result<plans::Plan, CallError> {
        plan::create(&request)
    }

    fn get(plan: Reference) -> Result<plans::Plan, CallError> {
        plan::get(&plan.provider_id)
    }
}

impl exported::plan_lookup::Guest for Razorpay {
    fn find(request: plans::CreateRequest, window: Window) -> Result<Vec<plans::Plan>, CallError> {
        plan::find(&request, &window)
    }
}

impl subscriptions::Guest for Razorpay {
    fn create(
        request: subscriptions::CreateRequest,
    ) -> Result<subscriptions::Subscription, CallError> {
        mandate::create(&request)
    }

    fn get(subscription: Reference) -> Result<subscriptions::Subscription, CallError> {
        subscription::get(&subscription.provider_id)
    }

    fn cancel(
        subscription: Reference,
        moment: Moment,
        _attempt: Attempt,
    ) -> Result<subscriptions::Subscription, CallError> {
        subscription::cancel(&subscription.provider_id, moment)
    }

    fn pause(
        subscription: Reference,
        moment: Moment,
        _attempt: Attempt,
    ) -> Result<subscriptions::Subscription, CallError> {
        subscription::pause(&subscription.provider_id, moment)
    }

    fn resume(
        subscription: Reference,
        _attempt: Attempt,
    ) -> Result<subscriptions::Subscription, CallError> {
        subscription::resume(&subscription.provider_id)
    }

    fn change_plan(
        subscription: Reference,
        plan: Reference,
        moment: Option<Moment>,
        _attempt: Attempt,
    ) -> Result<subscriptions::Subscription, CallError> {
        subscription::change_plan(&subscription.provider_id, &plan.provider_id, moment)
    }
}

impl exported::subscription_lookup::Guest for Razorpay {
    fn find(
        request: subscriptions::CreateRequest,
        window: Window,
    ) -> Result<Vec<subscriptions::Subscription>, CallError> {
        mandate::find(&request, &window)
    }
}

impl payment_links::Guest for Razorpay {
    fn create(
        request: payment_links::CreateRequest,
    ) -> Result<payment_links::PaymentLink, CallError> {
        link::create(&request)
    }

    fn get(link: Reference) -> Result<payment_links::PaymentLink, CallError> {
        link::get(&link.provider_id)
    }

    fn capture(
        _link: Reference,
        _attempt: Attempt,
    ) -> Result<payment_links::PaymentLink, CallError> {
        Err(CallError::Unsupported(
            "Razorpay takes the money of payment links by itself".to_owned(),
        ))
    }

    fn cancel(link: Reference, _attempt: Attempt) -> Result<payment_links::PaymentLink, CallError> {
        link::cancel(&link.provider_id)
    }
}

impl exported::payment_link_lookup::Guest for Razorpay {
    fn find(
        request: payment_links::CreateRequest,
        _window: Window,
    ) -> Result<Vec<payment_links::PaymentLink>, CallError> {
        link::find(&request.object_id)
    }
}

impl webhooks::Guest for Razorpay {
    fn read(request: webhooks::Request) -> Result<webhooks::Reading, CallError> {
        webhook::read(&request)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn manifest_and_package_have_the_same_version() {
        let line = concat!("\nversion = \"", env!("CARGO_PKG_VERSION"), "\"\n");
        assert!(include_str!("../plugin.toml").contains(line));
    }
}
