//! The five headers of a transmission, and how often one is tried.
//! <https://developer.paypal.com/api/rest/webhooks/rest/>

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use http::{HeaderMap, HeaderValue, header};
use uuid::Uuid;

use super::certificate::Identity;
use crate::{
    clock::later,
    webhooks::{Delivery, Outcome, Rules, Signature},
};

pub(super) const ALGORITHM: &str = "SHA256withRSA";
const RETRIES_MAX: u32 = 25;
/// 25 retries "over the course of three days"; how they are spread is not documented. Pauses double from
/// one minute up to this, so that the last falls just within the third day.
const PAUSE_MAX: TimeDelta = TimeDelta::minutes(239);

#[derive(Debug)]
pub(super) struct PaypalRules {
    pub(super) identity: Identity,
    pub(super) webhook: String,
}

/// What is signed.
pub(super) fn message(id: &str, time: &str, webhook: &str, body: &[u8]) -> String {
    format!("{id}|{time}|{webhook}|{}", crc32fast::hash(body))
}

impl PaypalRules {
    fn values(&self, body: &Bytes, signature: Signature) -> Option<[(&'static str, String); 5]> {
        let id = Uuid::from_u128(rand::random()).to_string();
        // Of the machine's clock, as whoever receives it has no other.
        let time = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
        let webhook = match signature {
            Signature::Right => self.webhook.as_str(),
            Signature::Wrong => "another webhook",
        };
        let signed = self.identity.sign(&message(&id, &time, webhook, body))?;
        Some([
            ("paypal-transmission-id", id),
            ("paypal-transmission-time", time),
            ("paypal-transmission-sig", STANDARD.encode(signed)),
            ("paypal-cert-url", self.identity.url()?),
            ("paypal-auth-algo", ALGORITHM.to_owned()),
        ])
    }
}

impl Rules for PaypalRules {
    fn headers(&self, delivery: &Delivery, _at: DateTime<Utc>) -> HeaderMap {
        let mut headers = HeaderMap::from_iter([
            (header::ACCEPT, HeaderValue::from_static("*/*")),
            (
                header::USER_AGENT,
                HeaderValue::from_static("PayPal/AUHD-214.0-58843684"),
            ),
        ]);
        let values = self.values(&delivery.body, delivery.signature);
        for (name, text) in values.into_iter().flatten() {
            // Base64, times and ids are always good header values.
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
        if outcome.is_success() || delivery.attempts > RETRIES_MAX {
            return None;
        }
        let doublings = delivery.attempts.saturating_sub(1).min(16);
        let pause = TimeDelta::minutes(1).checked_mul(1 << doublings)?;
        Some(later(at, pause.min(PAUSE_MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_bytes_as_an_unsigned_number() {
        // The check value of CRC-32.
        assert_eq!(
            message("id", "time", "webhook", b"123456789"),
            "id|time|webhook|3421780262"
        );
    }

    #[test]
    fn all_retries_fall_within_three_days() {
        let pauses = (0..RETRIES_MAX).map(|doublings| {
            let minutes = 1_i64 << doublings.min(16);
            minutes.min(PAUSE_MAX.num_minutes())
        });
        let minutes: i64 = pauses.sum();
        assert!((4_300..=3 * 24 * 60).contains(&minutes), "{minutes}");
    }
}
