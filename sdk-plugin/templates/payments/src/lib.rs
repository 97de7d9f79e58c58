//! Payments and refunds over {{name}}.
//!
//! - `order`: what is to be paid; the provider's view of it in the gateway's words
//! - `refund`: money that goes back
//! - `amount`: amounts as the provider writes them
//! - `webhook`: what the provider tells of its own accord
//! - `account`: whether the credentials work
//! - `api`, `refusal`: how requests are made, and what errors mean

#![cfg_attr(target_arch = "wasm32", no_std)]

mod account;
mod amount;
mod api;
mod order;
mod refund;
mod refusal;
mod webhook;

use bindings::{account_check, payments, refunds, webhooks};
use onerouter_plugin::payments::{Attempt, Money, Reference};
use onerouter_plugin::prelude::*;

onerouter_plugin::adapter!(Adapter: account_check, payments, refunds, webhooks);

struct Adapter;

impl account_check::Guest for Adapter {
    fn check() -> Result<account_check::Account, CallError> {
        account::check()
    }
}

impl payments::Guest for Adapter {
    fn create(request: payments::CreateRequest) -> Result<payments::Payment, CallError> {
        order::create(&request)
    }

    fn get(payment: Reference) -> Result<payments::Payment, CallError> {
        order::get(&payment.provider_id)
    }

    fn authorize(_payment: Reference, _attempt: Attempt) -> Result<payments::Payment, CallError> {
        Err(CallError::Unsupported(
            "This provider reserves the money by itself as soon as the buyer has agreed."
                .to_owned(),
        ))
    }

    fn capture(
        payment: Reference,
        amount: Money,
        attempt: Attempt,
    ) -> Result<payments::Payment, CallError> {
        order::capture(&payment.provider_id, &amount, &attempt)
    }

    fn cancel(payment: Reference, attempt: Attempt) -> Result<payments::Payment, CallError> {
        order::cancel(&payment.provider_id, &attempt)
    }
}

impl refunds::Guest for Adapter {
    fn create(request: refunds::CreateRequest) -> Result<refunds::Refund, CallError> {
        refund::create(&request)
    }

    fn get(refund: Reference) -> Result<refunds::Refund, CallError> {
        refund::get(&refund.provider_id)
    }
}

impl webhooks::Guest for Adapter {
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
