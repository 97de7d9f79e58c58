//! Text messages over Twilio Programmable Messaging (API 2010-04-01).
//!
//! - `account`: which account, how to authenticate, and whether that works
//! - `sender`: whom a message comes from
//! - `send`: the form that creates a message, and what is refused before it is sent
//! - `message`: Twilio's view of a message in our words; `delivery`: why one failed later
//! - `lookup`: finding a message again whose answer was lost, as Twilio honours no key of ours
//! - `webhook`: what Twilio tells of its own accord
//! - `refusal`: Twilio's error codes

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

use bindings::exports::onerouter::account::account_check;
use bindings::exports::onerouter::sms::{sms, sms_cancel, sms_lookup};
use bindings::exports::onerouter::webhooks::webhooks;
use onerouter_plugin::common::CallError;

mod account;
mod delivery;
mod lookup;
mod message;
mod refusal;
mod send;
mod sender;
mod webhook;

mod bindings {
    use super::Twilio;

    onerouter_plugin::adapter! {
        wit: "../../wit",
        world: "
            package onerouter:twilio;
            world twilio {
                include onerouter:adapter/host@1.0.0;
                export onerouter:account/account-check@1.0.0;
                export onerouter:sms/sms@1.0.0;
                export onerouter:sms/sms-cancel@1.0.0;
                export onerouter:sms/sms-lookup@1.0.0;
                export onerouter:webhooks/webhooks@1.0.0;
            }
        ",
    }
    export!(Twilio with_types_in self);
}

struct Twilio;

impl account_check::Guest for Twilio {
    fn check() -> Result<account_check::Account, CallError> {
        account::check()
    }
}

impl sms::Guest for Twilio {
    fn send(request: sms::SendRequest) -> Result<sms::Message, CallError> {
        send::send(&request)
    }

    fn get(provider_id: String) -> Result<sms::Message, CallError> {
        message::get(&provider_id)
    }
}

impl sms_cancel::Guest for Twilio {
    fn cancel(provider_id: String) -> Result<sms::Message, CallError> {
        message::cancel(&provider_id)
    }
}

impl sms_lookup::Guest for Twilio {
    fn find(
        request: sms::SendRequest,
        window: sms_lookup::Window,
    ) -> Result<Vec<sms::Message>, CallError> {
        lookup::find(&request, &window)
    }
}

impl webhooks::Guest for Twilio {
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
