//! `onerouter:host/signature`: signatures checked with secrets that the adapter never sees.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use onerouter_manifest::{Signature, SignatureAlgorithm, SignatureEncoding};
use sha2::Sha256;
use wasmtime::Trap;

use crate::bindings::onerouter::host::signature;
use crate::bindings::onerouter::payments::types;
use crate::recording::signature_digest;
use crate::state::{CallState, Tape};

/// Hashing is work that the host does for the guest: so many bytes of it count as one tick, which is what
/// a processor without instructions for SHA-256 takes.
const BYTES_PER_TICK: usize = 1 << 20;

impl types::Host for CallState {}

impl signature::Host for CallState {
    fn verify(&mut self, name: String, message: Vec<u8>, tag: String) -> wasmtime::Result<bool> {
        let signatures = &self.adapter.manifest.signatures;
        let Some(signature) = signatures.get(&name) else {
            // A mistake of the adapter's author: "no" would look like a forgery.
            return Err(wasmtime::Error::msg(
                "the manifest has no signature of the name that the adapter asked for",
            ));
        };
        let ticks = u32::try_from(message.len() / BYTES_PER_TICK).unwrap_or(u32::MAX);
        if self.record.count_ticks(ticks) > self.adapter.cpu_ticks {
            self.record.spend_cpu();
            return Err(Trap::Interrupt.into());
        }
        let secret = self.connection.credentials.secret(&signature.credential);
        let secret = secret.filter(|secret| !secret.is_empty());
        let check = || secret.is_some_and(|secret| is_signed(signature, secret, &message, &tag));
        let fits = match &self.tape {
            None => check(),
            Some(Tape::Records(notes)) => {
                let fits = check();
                notes.signature(signature_digest(&name, &message, &tag), fits);
                fits
            }
            Some(Tape::Plays(playback)) => {
                playback.signature(&signature_digest(&name, &message, &tag))
            }
        };
        if fits {
            self.record.vouch();
        }
        Ok(fits)
    }
}

fn is_signed(signature: &Signature, secret: &str, message: &[u8], tag: &str) -> bool {
    let tag = match signature.encoding {
        SignatureEncoding::Hex => hex(tag),
        SignatureEncoding::Base64 => STANDARD.decode(tag).ok(),
    };
    let Some(tag) = tag else {
        return false;
    };
    match signature.algorithm {
        SignatureAlgorithm::HmacSha256 => {
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
                return false;
            };
            mac.update(message);
            mac.verify_slice(&tag).is_ok()
        }
    }
}

/// The bytes of lower-case hexadecimal digits.
pub(crate) fn hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let bytes = pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    if rest.is_empty() {
        bytes.collect()
    } else {
        None
    }
}
