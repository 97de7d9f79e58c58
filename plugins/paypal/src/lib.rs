//! Payments over PayPal: Orders v2, Payments v2, Catalog Products v1, Subscriptions v1.
//!
//! - `api`: how requests are made; `account`: whether the credentials work
//! - `money`: amounts as PayPal writes them; `text`: texts cut to what it takes
//! - `order`, `movement`: PayPal's view of an order and of the money moved for it; `standing`: what that
//!   comes to
//! - `checkout`: the order that a buyer approves; `taking`: taking or reserving what was approved;
//!   `known`: what later calls remember of it; `shown`: how it looks as a payment
//! - `payment`, `refund`, `link`: the capabilities on top of these
//! - `plan`, `agreement`, `subscription`: what is charged again and again
//! - `webhook`: what PayPal tells of its own accord
//! - `refusal`: PayPal's error names

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

use bindings::exports::onerouter::account::account_check;
use bindings::exports::onerouter::payments::{
    payment_links, payments, plans, refunds, subscriptions,
};
use bindings::exports::onerouter::webhooks::webhooks;
use onerouter_plugin::common::CallError;
use onerouter_plugin::payments::{Attempt, Moment, Money, Reference};

mod account;
mod agreement;
mod api;
mod checkout;
mod known;
mod link;
mod money;
mod movement;
mod order;
mod payment;
mod plan;
mod refund;
mod refusal;
mod shown;
mod standing;
mod subscription;
mod taking;
mod text;
mod webhook;

mod bindings {
    use super::Paypal;

    onerouter_plugin::adapter! {
        wit: "../../wit",
        world: "
            package onerouter:paypal;
            world paypal {
                include onerouter:adapter/host@1.0.0;
                export onerouter:account/account-check@1.0.0;
                export onerouter:payments/payments@1.0.0;
                export onerouter:payments/refunds@1.0.0;
                export onerouter:payments/plans@1.0.0;
                export onerouter:payments/subscriptions@1.0.0;
                export onerouter:payments/payment-links@1.0.0;
                export onerouter:webhooks/webhooks@1.0.0;
            }
        ",
    }
    export!(Paypal with_types_in self);
}

struct Paypal;

impl account_check::Guest for Paypal {
    fn check() -> Result<account_check::Account, CallError> {
        account::check()
    }
}

impl payments::Guest for Paypal {
    fn create(request: payments::CreateRequest) -> Result<payments::Payment, CallError> {
        payment::create(&request)
    }

    fn get(payment: Reference) -> Result<payments::Payment, CallError> {
        payment::get(&payment)
    }

    fn authorize(payment: Reference, attempt: Attempt) -> Result<payments::Payment, CallError> {
        payment::authorize(&payment, &attempt)
    }

    fn capture(
        payment: Reference,
        amount: Money,
        attempt: Attempt,
    ) -> Result<payments::Payment, CallError> {
        payment::capture(&payment, &amount, &attempt)
    }

    fn cancel(payment: Reference, attempt: Attempt) -> Result<payments::Payment, CallError> {
        payment::cancel(&payment, &attempt)
    }
}

impl refunds::Guest for Paypal {
    fn create(request: refunds::CreateRequest) -> Result<refunds::Refund, CallError> {
        refund::create(&request)
    }

    fn get(refund: Reference) -> Result<refunds::Refund, CallError> {
        refund::get(&refund)
    }
}

impl plans::Guest for Paypal {
    fn create(request: plans::CreateRequest) -> Result<plans::Plan, CallError> {
        plan::create(&request)
    }

    fn get(plan: Reference) -> Result<plans::Plan, CallError> {
        plan::get(&plan)
    }
}

impl subscriptions::Guest for Paypal {
    fn create(
        request: subscriptions::CreateRequest,
    ) -> Result<subscriptions::Subscription, CallError> {
        agreement::create(&request)
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
        _moment: Option<Moment>,
        _attempt: Attempt,
    ) -> Result<subscriptions::Subscription, CallError> {
        agreement::change_plan(&subscription.provider_id, &plan)
    }
}

impl payment_links::Guest for Paypal {
    fn create(
        request: payment_links::CreateRequest,
    ) -> Result<payment_links::PaymentLink, CallError> {
        link::create(&request)
    }

    fn get(link: Reference) -> Result<payment_links::PaymentLink, CallError> {
        link::get(&link)
    }

    fn capture(link: Reference, attempt: Attempt) -> Result<payment_links::PaymentLink, CallError> {
        link::capture(&link, &attempt)
    }

    fn cancel(
        _link: Reference,
        _attempt: Attempt,
    ) -> Result<payment_links::PaymentLink, CallError> {
        link::cancel()
    }
}

impl webhooks::Guest for Paypal {
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
