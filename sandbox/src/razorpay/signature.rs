//! What proves to the merchant that a browser's return or a webhook comes from here: HMAC-SHA256 in
//! lower-case hex, with the key's secret or the webhook's.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::KEY_SECRET;
use crate::ledger::hex;

/// Of the parts with a bar between them.
pub(super) fn sign(parts: &[&str]) -> String {
    sign_with(KEY_SECRET, parts.join("|").as_bytes())
}

pub(super) fn sign_with(secret: &str, message: &[u8]) -> String {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        // HMAC takes keys of every length.
        return String::new();
    };
    hex(&mac.chain_update(message).finalize().into_bytes())
}
