//! Something signed: the exact bytes, what kind of thing they are, and one ed25519 signature.
//!
//! The form is DSSE (Dead Simple Signing Envelope, <https://github.com/secure-systems-lab/dsse>). What
//! is signed is the bytes together with their type, so a signature over a statement can never be
//! shown as one over the head of an index, and nothing has to be written in a canonical form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::keys::{KeyId, KeyPair, PublicKey, SIGNATURE_BYTES};

/// Signed bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    payload_type: &'static str,
    payload: Vec<u8>,
    key: KeyId,
    signature: [u8; SIGNATURE_BYTES],
}

/// Why bytes are no envelope of the kind that was wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// More than anything honest needs.
    #[error("the signed document has {found} bytes; {most} are allowed")]
    TooLarge {
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// Not JSON, an unknown or missing field, or a wrong type.
    #[error("the signed document cannot be read: {0}")]
    Syntax(String),
    /// Something else was signed.
    #[error("the signed document is of another kind than {wanted}")]
    OtherType {
        /// What it should be.
        wanted: &'static str,
    },
    /// None, or several of which it is not clear which one counts.
    #[error("the signed document has {0} signatures; it needs exactly one")]
    Signatures(usize),
    /// Payload or signature are not Base64, or of a wrong length.
    #[error("the {0} of the signed document is not standard Base64 of the right length")]
    Encoding(&'static str),
}

/// The signature is not one over these bytes with that key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not fit the document and the key {0}")]
pub struct WrongSignature(pub KeyId);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Wire {
    payload_type: String,
    payload: String,
    signatures: Vec<WireSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSignature {
    keyid: KeyId,
    sig: String,
}

impl Envelope {
    /// Signs `payload` as a thing of this type.
    #[must_use]
    pub fn sign(payload_type: &'static str, payload: Vec<u8>, key: &KeyPair) -> Self {
        let signature = key.sign(&authenticated(payload_type, &payload));
        Self {
            payload_type,
            payload,
            key: key.public().id(),
            signature,
        }
    }

    /// Reads an envelope. Its signature has not been checked then.
    ///
    /// # Errors
    /// Anything but one signed document of this type, of at most `bytes_max`.
    pub fn parse(
        json: &[u8],
        payload_type: &'static str,
        bytes_max: usize,
    ) -> Result<Self, EnvelopeError> {
        if json.len() > bytes_max {
            return Err(EnvelopeError::TooLarge {
                found: json.len(),
                most: bytes_max,
            });
        }
        let wire: Wire = serde_json::from_slice(json)
            .map_err(|error| EnvelopeError::Syntax(error.to_string()))?;
        if wire.payload_type != payload_type {
            return Err(EnvelopeError::OtherType {
                wanted: payload_type,
            });
        }
        let [signature] = wire.signatures.as_slice() else {
            return Err(EnvelopeError::Signatures(wire.signatures.len()));
        };
        Ok(Self {
            payload_type,
            payload: decoded(&wire.payload, "payload")?,
            key: signature.keyid,
            signature: <[u8; SIGNATURE_BYTES]>::try_from(decoded(&signature.sig, "signature")?)
                .map_err(|_bytes| EnvelopeError::Encoding("signature"))?,
        })
    }

    /// The JSON form: what stands in a `.sig` file.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let wire = Wire {
            payload_type: self.payload_type.to_owned(),
            payload: STANDARD.encode(&self.payload),
            signatures: vec![WireSignature {
                keyid: self.key,
                sig: STANDARD.encode(self.signature),
            }],
        };
        // Texts only: there is nothing that JSON could not hold.
        serde_json::to_vec(&wire).unwrap_or_default()
    }

    /// What was signed, unchecked.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Whose signature it claims to carry.
    #[must_use]
    pub const fn key(&self) -> KeyId {
        self.key
    }

    /// What was signed, after the signature was checked.
    ///
    /// # Errors
    /// The signature is not this key's over this payload.
    pub fn verified_by(&self, key: &PublicKey) -> Result<&[u8], WrongSignature> {
        let signed = authenticated(self.payload_type, &self.payload);
        if self.key == key.id() && key.verifies(&signed, &self.signature) {
            Ok(&self.payload)
        } else {
            Err(WrongSignature(key.id()))
        }
    }
}

fn decoded(text: &str, what: &'static str) -> Result<Vec<u8>, EnvelopeError> {
    STANDARD
        .decode(text)
        .map_err(|_error| EnvelopeError::Encoding(what))
}

/// DSSE's pre-authentication encoding: lengths before contents, so no two pairs look alike.
fn authenticated(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    )
    .into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "application/vnd.onerouter.test+json";

    #[test]
    fn the_signed_bytes_are_those_of_the_dsse_specification() {
        assert_eq!(
            authenticated("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn a_signature_of_one_kind_is_none_of_another() {
        let key = KeyPair::generate();
        let envelope = Envelope::sign(TYPE, b"{}".to_vec(), &key);
        let json = envelope.to_json();
        assert_eq!(Envelope::parse(&json, TYPE, 1_000), Ok(envelope));
        assert_eq!(
            Envelope::parse(&json, "application/other", 1_000),
            Err(EnvelopeError::OtherType {
                wanted: "application/other"
            })
        );
        let renamed = String::from_utf8(json)
            .unwrap()
            .replace(TYPE, "application/other");
        let renamed = Envelope::parse(renamed.as_bytes(), "application/other", 1_000).unwrap();
        assert_eq!(
            renamed.verified_by(&key.public()),
            Err(WrongSignature(key.public().id()))
        );
    }

    #[test]
    fn what_is_too_large_or_has_no_single_signature_is_refused() {
        let key = KeyPair::generate();
        let json = Envelope::sign(TYPE, b"{}".to_vec(), &key).to_json();
        assert_eq!(
            Envelope::parse(&json, TYPE, 10),
            Err(EnvelopeError::TooLarge {
                found: json.len(),
                most: 10
            })
        );
        let mut wire: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let signature = wire["signatures"][0].clone();
        wire["signatures"] = serde_json::json!([]);
        let parse = |wire: &serde_json::Value| {
            Envelope::parse(&serde_json::to_vec(wire).unwrap(), TYPE, 10_000)
        };
        assert_eq!(parse(&wire), Err(EnvelopeError::Signatures(0)));
        wire["signatures"] = serde_json::json!([signature, signature]);
        assert_eq!(parse(&wire), Err(EnvelopeError::Signatures(2)));
        wire["signatures"] = serde_json::json!([{"keyid": key.public().id(), "sig": "AAAA"}]);
        assert_eq!(parse(&wire), Err(EnvelopeError::Encoding("signature")));
    }
}
