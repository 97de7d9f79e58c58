//! E-mail over Resend.
//!
//! - `account`: how requests are made, and whether the key works
//! - `draft`: an e-mail as Resend wants it, and what is refused before it is sent
//! - `send`, `batch`: handing over one e-mail, or several at once
//! - `message`: Resend's view of an e-mail in our words
//! - `webhook`: what Resend tells of its own accord
//! - `refusal`: Resend's error names

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

use bindings::exports::onerouter::account::account_check;
use bindings::exports::onerouter::email::{email, email_batch, email_cancel};
use bindings::exports::onerouter::webhooks::webhooks;
use onerouter_plugin::common::CallError;

mod account;
mod batch;
mod draft;
mod message;
mod refusal;
mod send;
mod webhook;

mod bindings {
    use super::Resend;

    onerouter_plugin::adapter! {
        wit: "../../wit",
        world: "
            package onerouter:resend;
            world resend {
                include onerouter:adapter/host@1.0.0;
                export onerouter:account/account-check@1.0.0;
                export onerouter:email/email@1.0.0;
                export onerouter:email/email-cancel@1.0.0;
                export onerouter:email/email-batch@1.0.0;
                export onerouter:webhooks/webhooks@1.0.0;
            }
        ",
    }
    export!(Resend with_types_in self);
}

struct Resend;

impl account_check::Guest for Resend {
    fn check() -> Result<account_check::Account, CallError> {
        account::check()
    }
}

impl email::Guest for Resend {
    fn send(request: email::SendRequest) -> Result<email::Message, CallError> {
        send::send(&request)
    }

    fn get(provider_id: String) -> Result<email::Message, CallError> {
        message::get(&provider_id)
    }
}

impl email_cancel::Guest for Resend {
    fn cancel(provider_id: String) -> Result<email::Message, CallError> {
        message::cancel(&provider_id)
    }
}

impl email_batch::Guest for Resend {
    fn send_batch(
        requests: Vec<email::SendRequest>,
        idempotency_key: String,
    ) -> Result<Vec<Result<email::Message, CallError>>, CallError> {
        batch::send(&requests, &idempotency_key)
    }
}

impl webhooks::Guest for Resend {
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
