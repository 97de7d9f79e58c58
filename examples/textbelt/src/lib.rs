//! Text messages over Textbelt.
//!
//! - `message`: sending and reading, and the provider's view of a message in the gateway's words
//! - `refusal`: what errors mean

#![cfg_attr(target_arch = "wasm32", no_std)]

mod message;
mod refusal;

use bindings::sms;
use onerouter_plugin::prelude::*;

onerouter_plugin::adapter!(Adapter: sms);

struct Adapter;

impl sms::Guest for Adapter {
    fn send(request: sms::SendRequest) -> Result<sms::Message, CallError> {
        message::send(&request)
    }

    fn get(provider_id: String) -> Result<sms::Message, CallError> {
        message::get(&provider_id)
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
