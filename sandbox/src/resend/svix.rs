//! How Resend's webhooks are signed and tried again: Svix, <https://docs.svix.com/receiving/verifying-payloads/how-manual>.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderValue, header};
use sha2::Sha256;

use crate::{
    clock::later,
    webhooks::{Delivery, Outcome, Rules, Signature},
};

const PREFIX: &str = "whsec_";
const SECRET_BYTES: usize = 24;
/// From one failure to the next attempt: <https://resend.com/docs/webhooks/retries-and-replays>
const PAUSES: [TimeDelta; 7] = [
    TimeDelta::seconds(5),
    TimeDelta::minutes(5),
    TimeDelta::minutes(30),
    TimeDelta::hours(2),
    TimeDelta::hours(5),
    TimeDelta::hours(10),
    TimeDelta::hours(10),
];

/// The key, and its text form.
#[derive(Clone)]
pub(super) struct Secret {
    text: String,
    key: Vec<u8>,
}

impl Secret {
    pub(super) fn new() -> Secret {
        let key = rand::random::<[u8; SECRET_BYTES]>().to_vec();
        Secret {
            text: format!("{PREFIX}{}", STANDARD.encode(&key)),
            key,
        }
    }

    /// `None`: not `whsec_` and the Base64 of a key.
    pub(super) fn parse(text: &str) -> Option<Secret> {
        let key = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let text = text.to_owned();
        (!key.is_empty()).then_some(Secret { text, key })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(&self.key) else {
            // HMAC takes keys of every length.
            return String::new();
        };
        let mac = mac
            .chain_update(format!("{id}.{seconds}."))
            .chain_update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

pub(super) struct Svix {
    pub(super) secret: Secret,
    /// The same over all attempts.
    pub(super) id: String,
}

impl fmt::Debug for Svix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Svix")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Rules for Svix {
    fn headers(&self, delivery: &Delivery, _at: DateTime<Utc>) -> HeaderMap {
        // The receiver holds it against its own clock, of which the sandbox's may be far ahead.
        let seconds = Utc::now().timestamp();
        let signature = match delivery.signature {
            Signature::Right => self.secret.sign(&self.id, seconds, &delivery.body),
            Signature::Wrong => Secret::new().sign(&self.id, seconds, &delivery.body),
        };
        let mut headers = HeaderMap::from_iter([(
            header::USER_AGENT,
            HeaderValue::from_static(
                "Svix-Webhooks/1.24.0 (sender-9YMgn; +https://www.svix.com/http-sender/)",
            ),
        )]);
        for (name, text) in [
            ("svix-id", self.id.clone()),
            ("svix-timestamp", seconds.to_string()),
            ("svix-signature", signature),
        ] {
            // Base64, digits and letters are always good header values.
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(name, value);
            }
        }
        headers
    }

    fn again(
        &self,
        delivery: &Delivery,
        outcome: &Outcome,
        at: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        if outcome.is_success() {
            return None;
        }
        let failures = usize::try_from(delivery.attempts).ok()?;
        let pause = PAUSES.get(failures.checked_sub(1)?)?;
        Some(later(at, *pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of <https://docs.svix.com/receiving/verifying-payloads/how-manual>.
    #[test]
    fn the_published_example_comes_out() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(
            secret.sign(
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                b"{\"test\": 2432232314}"
            ),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn a_secret_is_its_prefix_and_base64() {
        let made = Secret::new();
        assert!(Secret::parse(made.text()).is_some_and(|read| read.key == made.key));
        for bad in ["", "whsec_", "whsec_?", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert!(Secret::parse(bad).is_none(), "{bad}");
        }
    }
}
