//! What proves to the merchant that a browser's return comes from here: HMAC-SHA256 with the key's
//! secret, in lower-case hex.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::KEY_SECRET;
use crate::ledger::hex;

/// Of the parts with a bar between them.
pub(super) fn sign(parts: &[&str]) -> String {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(KEY_SECRET.as_bytes()) else {
        // HMAC takes keys of every length.
        return String::new();
    };
    hex(&mac.chain_update(parts.join("|")).finalize().into_bytes())
}
