//! What Twilio posts to the merchant: the statuses of messages, and messages that came in.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue, Method, header};
use url::{Url, form_urlencoded};
use uuid::Uuid;

use super::{
    MESSAGING_SERVICE_SID, NAME, account::Account, message::Message, overrides::Overrides,
    signature::sign, status::Status,
};
use crate::{
    core::Core,
    webhooks::{Delivery, Outcome, Rules, Signature},
};

const API_VERSION: &str = "2010-04-01";
const FORM: &str = "application/x-www-form-urlencoded; charset=UTF-8";

pub(super) type Parameters = Vec<(String, String)>;

/// What is to be posted, and where.
#[derive(Debug)]
pub(super) struct Post<'a> {
    pub(super) account: &'static Account,
    pub(super) url: &'a str,
    pub(super) webhook: String,
    pub(super) event: &'static str,
    pub(super) object: &'a str,
    pub(super) parameters: Parameters,
}

/// Posts a status to where the message said.
pub(super) fn tell(core: &Core, message: &Message, status: Status, at: DateTime<Utc>) {
    let Some(url) = &message.status_callback else {
        return;
    };
    let post = Post {
        account: message.account,
        url,
        webhook: message.sid.clone(),
        event: status.name(),
        object: &message.sid,
        parameters: status_parameters(message, status),
    };
    post.send(core, at);
}

fn status_parameters(message: &Message, status: Status) -> Parameters {
    let mut parameters = common_parameters(message, message.from(status).unwrap_or_default());
    parameters.push(("MessageStatus".to_owned(), status.name().to_owned()));
    parameters.push(("SmsStatus".to_owned(), status.name().to_owned()));
    if message.is_by_service() {
        let service = MESSAGING_SERVICE_SID.to_owned();
        parameters.push(("MessagingServiceSid".to_owned(), service));
    }
    if let (Some(code), _) = message.error(status) {
        parameters.push(("ErrorCode".to_owned(), code.to_string()));
    }
    parameters
}

/// What every request about a message has.
pub(super) fn common_parameters(message: &Message, from: &str) -> Parameters {
    [
        ("MessageSid", message.sid.as_str()),
        ("SmsSid", &message.sid),
        ("AccountSid", message.account.sid),
        ("From", from),
        ("To", &message.to),
        ("ApiVersion", API_VERSION),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

impl Post<'_> {
    pub(super) fn send(self, core: &Core, at: DateTime<Utc>) {
        let Ok(mut url) = Url::parse(self.url) else {
            // It was checked when it was given.
            return;
        };
        let overrides = Overrides::of(url.fragment());
        url.set_fragment(None);
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.parameters)
            .finish();
        let token = Uuid::from_u128(rand::random()).to_string();
        core.post(Delivery {
            provider: NAME,
            account: self.account.sid,
            webhook: self.webhook,
            event: self.event.to_owned(),
            event_id: token.clone(),
            object: self.object.to_owned(),
            lane: self.object.to_owned(),
            method: Method::POST,
            url,
            content_type: Some(FORM),
            body: Bytes::from(body),
            posted_at: at,
            tried_at: None,
            attempts: 0,
            spent: Duration::ZERO,
            times: overrides.times,
            signature: Signature::Right,
            rules: Arc::new(TwilioRules {
                auth_token: self.account.auth_token,
                parameters: self.parameters,
                overrides,
                token,
            }),
        });
    }
}

struct TwilioRules {
    auth_token: &'static str,
    parameters: Parameters,
    overrides: Overrides,
    /// The same over all attempts.
    token: String,
}

impl fmt::Debug for TwilioRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwilioRules").finish_non_exhaustive()
    }
}

impl Rules for TwilioRules {
    fn headers(&self, delivery: &Delivery, _at: DateTime<Utc>) -> HeaderMap {
        let key = match delivery.signature {
            Signature::Right => self.auth_token,
            Signature::Wrong => "another auth token",
        };
        let signature = sign(key, delivery.url.as_str(), &self.parameters);
        let mut headers = HeaderMap::from_iter([
            (header::ACCEPT, HeaderValue::from_static("*/*")),
            (
                header::USER_AGENT,
                HeaderValue::from_static("TwilioProxy/1.1"),
            ),
        ]);
        for (name, text) in [
            ("x-twilio-signature", &signature),
            ("i-twilio-idempotency-token", &self.token),
        ] {
            // Base64 and UUIDs are always good header values.
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(name, value);
            }
        }
        headers
    }

    /// At once, where at all.
    fn again(
        &self,
        delivery: &Delivery,
        outcome: &Outcome,
        at: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let has_time = !delivery.time_left().is_zero();
        (has_time && self.overrides.tries_again(delivery.attempts, outcome)).then_some(at)
    }
}
