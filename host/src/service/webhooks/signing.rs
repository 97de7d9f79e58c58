//! Signatures of Standard Webhooks: HMAC-SHA256 as `v1`, Ed25519 as `v1a`, over id, time and body.

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;

use super::secrets::{KEY_BYTES, SigningKind, SigningSecret};

/// The value of `webhook-signature`: one signature by each secret that is in use, newest first. Empty
/// when none is.
#[must_use]
pub fn signatures(secrets: &[SigningSecret], id: &str, at: DateTime<Utc>, body: &[u8]) -> String {
    let content = content(id, at, body);
    let mut signatures = String::new();
    for secret in secrets.iter().filter(|secret| secret.is_in_use(at)) {
        let key = secret.key.expose_secret();
        let signature = match secret.kind {
            SigningKind::Hmac => Some(("v1", by_hmac(key, &content))),
            SigningKind::Ed25519 => by_ed25519(key, &content).map(|by| ("v1a", by)),
        };
        if let Some((version, signature)) = signature {
            let gap = if signatures.is_empty() { "" } else { " " };
            // Writing to a text does not fail.
            let _ = write!(signatures, "{gap}{version},{signature}");
        }
    }
    signatures
}

/// What is signed. Neither the id nor the time has a dot in it, so nothing else reads the same.
fn content(id: &str, at: DateTime<Utc>, body: &[u8]) -> Vec<u8> {
    let mut content = format!("{id}.{}.", at.timestamp()).into_bytes();
    content.extend_from_slice(body);
    content
}

fn by_hmac(key: &[u8], content: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    STANDARD.encode(hmac::sign(&key, content))
}

/// None only for a seed of another length.
fn by_ed25519(seed: &[u8; KEY_BYTES], content: &[u8]) -> Option<String> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
    Some(STANDARD.encode(pair.sign(content)))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, KeyPair as _, UnparsedPublicKey};
    use chrono::TimeDelta;
    use proptest::prelude::*;
    use secrecy::SecretBox;

    use super::*;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;

    fn at() -> DateTime<Utc> {
        DateTime::from_timestamp(1_614_265_330, 0).unwrap()
    }

    fn seed() -> [u8; KEY_BYTES] {
        std::array::from_fn(|place| u8::try_from(place).unwrap())
    }

    fn secret(kind: SigningKind, key: [u8; KEY_BYTES]) -> SigningSecret {
        SigningSecret {
            kind,
            key: SecretBox::new(Box::new(key)),
            expires_at: None,
        }
    }

    /// From the tests of the project itself, whose secret has 24 bytes.
    #[test]
    fn the_published_vector_of_v1_is_met() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(
            by_hmac(&key, &content(ID, at(), BODY)),
            "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    /// Made with two other implementations that agree: no vector is published.
    #[test]
    fn v1a_is_as_others_sign_it() {
        let secrets = [secret(SigningKind::Ed25519, seed())];
        assert_eq!(
            signatures(&secrets, ID, at(), BODY),
            "v1a,yoUrgEkc12aGqm0n4Sydmdz55xJfTz4AsAgieHFjmkR7LJtqVCZOQYzvvHjI5kAey+r4iaBGxTFRrl2iBQxtDQ=="
        );
    }

    #[test]
    fn every_secret_that_is_in_use_signs() {
        let mut secrets = [
            secret(SigningKind::Ed25519, seed()),
            secret(SigningKind::Hmac, seed()),
            secret(SigningKind::Hmac, [7; KEY_BYTES]),
        ];
        let versions = |secrets: &[SigningSecret]| -> Vec<String> {
            let all = signatures(secrets, ID, at(), BODY);
            let versions = all.split(' ').filter_map(|one| one.split_once(','));
            versions.map(|(version, _)| version.to_owned()).collect()
        };
        assert_eq!(versions(&secrets), ["v1a", "v1", "v1"]);
        secrets[1].expires_at = Some(at());
        secrets[2].expires_at = Some(at() + TimeDelta::seconds(1));
        assert_eq!(versions(&secrets), ["v1a", "v1"]);
        assert_eq!(signatures(&[], ID, at(), BODY), "");
    }

    proptest! {
        #[test]
        fn a_changed_byte_is_noticed(
            key: [u8; KEY_BYTES], mut body in prop::collection::vec(any::<u8>(), 1..100), place: prop::sample::Index,
        ) {
            let signed = content(ID, at(), &body);
            let pair = Ed25519KeyPair::from_seed_unchecked(&key).unwrap();
            let public = UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref().to_vec());
            let by_ed25519 = STANDARD.decode(by_ed25519(&key, &signed).unwrap()).unwrap();
            let by_hmac = STANDARD.decode(by_hmac(&key, &signed)).unwrap();
            let hmac_key = hmac::Key::new(hmac::HMAC_SHA256, &key);
            prop_assert!(public.verify(&signed, &by_ed25519).is_ok());
            prop_assert!(hmac::verify(&hmac_key, &signed, &by_hmac).is_ok());
            let place = place.index(body.len());
            body[place] ^= 1;
            let changed = content(ID, at(), &body);
            prop_assert!(public.verify(&changed, &by_ed25519).is_err());
            prop_assert!(hmac::verify(&hmac_key, &changed, &by_hmac).is_err());
        }
    }
}
