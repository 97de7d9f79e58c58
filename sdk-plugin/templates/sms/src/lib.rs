//! Text messages over {{name}}.
//!
//! - `message`: sending and reading, and the provider's view of a message in the gateway's words
//! - `webhook`: what the provider tells of its own accord
//! - `account`: whether the credentials work
//! - `api`, `refusal`: how requests are made, and what errors mean

#![cfg_attr(target_arch = "wasm32", no_std)]

mod account;
mod api;
mod message;
mod refusal;
mod webhook;

use bindings::{account_check, sms, webhooks};
use onerouter_plugin::prelude::*;

onerouter_plugin::adapter!(Adapter: account_check, sms, webhooks);

struct Adapter;

impl account_check::Guest for Adapter {
    fn check() -> Result<account_check::Account, CallError> {
        account::check()
    }
}

impl sms::Guest for Adapter {
    fn send(request: sms::SendRequest) -> Result<sms::Message, CallError> {
        message::send(&request)
    }

    fn get(provider_id: String) -> Result<sms::Message, CallError> {
        message::get(&provider_id)
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
