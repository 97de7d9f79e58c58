//! Whether the credentials work.

use alloc::vec::Vec;

use onerouter_plugin::common::CallError;

use crate::api;
use crate::bindings::exports::onerouter::account::account_check::Account;

/// Reads the newest order: the cheapest read that names no object.
pub(crate) fn check() -> Result<Account, CallError> {
    api::read(api::url("orders").query("count", "1"))?;
    Ok(Account {
        provider_id: None,
        name: None,
        warnings: Vec::new(),
        extra: Vec::new(),
    })
}
