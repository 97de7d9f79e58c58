//! Objects as users see them: in answers, in lists, and in events.

pub mod payment;

use std::collections::BTreeMap;

use onerouter_domain::cost::CostSource;
use onerouter_domain::failure::Failure;
use onerouter_domain::money::Money;
use onerouter_domain::time;
use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::email::{Email, EmailContent};
use super::object::Object;
use super::sms::Sms;

/// Why a message failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Failure)]
pub struct FailureView {
    /// Unified code in snake case; an open list.
    code: String,
    /// A sentence for people.
    message: String,
    /// Whether the same message may go through later.
    retryable: bool,
    /// The provider's own code.
    provider_code: Option<String>,
    /// The provider's own words.
    provider_message: Option<String>,
}

impl From<&Failure> for FailureView {
    fn from(failure: &Failure) -> Self {
        Self {
            code: failure.code.clone(),
            message: failure.message.clone(),
            retryable: failure.retryable,
            provider_code: failure.provider_code.clone(),
            provider_message: failure.provider_message.clone(),
        }
    }
}

/// A decimal that is written as a JSON number, digit by digit.
#[derive(Debug)]
pub struct ExactNumber(Decimal);

impl ExactNumber {
    /// With exactly the currency's decimals.
    fn of(money: Money) -> Self {
        let scale = money.currency().decimals();
        Self(Decimal::new(money.minor_units(), scale))
    }
}

impl Serialize for ExactNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.to_string())
            .map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}

/// A text message.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sms, example = json!({
    "id": "sms_01h455vb4pex5vsknk084sn02q", "message_id": "sms_01h455vb4pex5vsknk084sn02q",
    "object": "sms", "environment": "test", "livemode": false, "provider": "acme",
    "service": "acme", "status": "queued", "to": "+14155550123", "body": "Your code is 123456.",
    "from_number": "+14155550100", "media_urls": [], "send_at": null, "segments": 1, "cost": 0.0083,
    "cost_currency": "USD", "currency": "USD", "cost_source": "estimate", "consent": null, "failure": null,
    "provider_message_id": "m-0017", "provider_data": null,
    "metadata": {"order": "17"}, "version": 2,
    "created_at": "2026-11-23T09:30:00.000000Z", "updated_at": "2026-11-23T09:30:00.120000Z"
}))]
pub struct SmsView<'a> {
    /// `sms_…`
    id: String,
    /// Second name of `id`.
    message_id: String,
    /// `sms`
    object: &'static str,
    /// `test` or `live`
    environment: &'static str,
    /// Whether the environment is `live`.
    livemode: bool,
    /// Who serves it.
    provider: &'a str,
    /// Second name of `provider`.
    service: &'a str,
    /// An open list: `queued`, `scheduled`, `sending`, `sent`, `delivered`, `undelivered`,
    /// `failed`, `canceled`, `received`, `unknown`.
    status: &'static str,
    /// The recipient, E.164.
    to: &'a str,
    /// The text.
    body: &'a str,
    /// The sender, once it is known.
    from_number: Option<&'a str>,
    /// Media that go with it.
    media_urls: &'a [String],
    /// When it is to be sent.
    send_at: Option<String>,
    /// Number of parts, once it is known.
    segments: Option<u32>,
    /// What it cost, exactly; `null` until known.
    #[schema(value_type = Option<f64>)]
    cost: Option<ExactNumber>,
    /// ISO 4217.
    cost_currency: Option<&'a str>,
    /// Second name of `cost_currency`.
    currency: Option<&'a str>,
    /// `estimate` or `provider`
    cost_source: Option<&'static str>,
    /// What an incoming message asks for: `stop`, `start` or `help`, by the words that carriers know.
    consent: Option<&'a str>,
    /// Why it failed.
    failure: Option<FailureView>,
    /// The provider's id.
    provider_message_id: Option<&'a str>,
    /// The provider's last raw answer.
    #[schema(value_type = Option<Object>)]
    provider_data: Option<&'a RawValue>,
    /// The caller's pairs.
    metadata: &'a BTreeMap<String, String>,
    /// Grows with every change.
    version: u64,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl<'a> From<&'a Object<Sms>> for SmsView<'a> {
    fn from(sms: &'a Object<Sms>) -> Self {
        let cost = sms.facts.cost.as_ref();
        let currency = cost.map(onerouter_domain::cost::Cost::currency);
        Self {
            id: sms.id.to_string(),
            message_id: sms.id.to_string(),
            object: "sms",
            environment: sms.environment.as_str(),
            livemode: sms.environment.is_live(),
            provider: &sms.provider,
            service: &sms.provider,
            status: sms.status.as_str(),
            to: &sms.request.to,
            body: &sms.request.body,
            from_number: sms
                .facts
                .sender
                .as_deref()
                .or(sms.request.from_number.as_deref()),
            media_urls: &sms.request.media_urls,
            send_at: sms.request.send_at.map(time::to_text),
            segments: sms.facts.segments,
            cost: cost.map(|cost| ExactNumber(cost.amount())),
            cost_currency: currency,
            currency,
            cost_source: cost.map(|cost| source(cost.source())),
            consent: sms.facts.consent.as_deref(),
            failure: sms.facts.failure.as_ref().map(Into::into),
            provider_message_id: sms.provider_ref.as_deref(),
            provider_data: raw(sms.facts.provider_data.as_deref()),
            metadata: sms.metadata.pairs(),
            version: sms.version,
            created_at: time::to_text(sms.created_at),
            updated_at: time::to_text(sms.updated_at),
        }
    }
}

/// An e-mail.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Email, example = json!({
    "id": "em_01h455vb4pex5vsknk084sn02q", "email_id": "em_01h455vb4pex5vsknk084sn02q",
    "object": "email", "environment": "test", "livemode": false, "provider": "acme",
    "service": "acme", "status": "queued", "to": ["ada@example.com"], "cc": [], "bcc": [],
    "reply_to": [], "subject": "Welcome", "html_body": null, "text_body": "Good to have you here.",
    "from_email": "Shop <hello@example.com>", "attachments": [], "headers": {}, "tags": {},
    "send_at": null, "cost": null, "cost_currency": null, "currency": null, "cost_source": null,
    "failure": null, "provider_message_id": "4ef9a417-02e9-4d39-ad75-9611e0fcc33c",
    "provider_data": null, "metadata": {}, "version": 2,
    "created_at": "2026-11-23T09:30:00.000000Z", "updated_at": "2026-11-23T09:30:00.120000Z"
}))]
pub struct EmailView<'a> {
    /// `em_…`
    id: String,
    /// Second name of `id`.
    email_id: String,
    /// `email`
    object: &'static str,
    /// `test` or `live`
    environment: &'static str,
    /// Whether the environment is `live`.
    livemode: bool,
    /// Who serves it.
    provider: &'a str,
    /// Second name of `provider`.
    service: &'a str,
    /// An open list: `queued`, `scheduled`, `sent`, `delivered`, `delayed`, `bounced`,
    /// `complained`, `failed`, `canceled`, `unknown`.
    status: &'static str,
    /// The recipients.
    to: &'a [String],
    /// Who gets a copy.
    cc: &'a [String],
    /// Who gets a hidden copy.
    bcc: &'a [String],
    /// Where answers go.
    reply_to: &'a [String],
    /// The subject.
    subject: &'a str,
    /// The text as HTML. Left out of lists.
    #[serde(skip_serializing_if = "Body::is_left_out")]
    #[schema(value_type = Option<String>)]
    html_body: Body<'a>,
    /// The plain text. Left out of lists.
    #[serde(skip_serializing_if = "Body::is_left_out")]
    #[schema(value_type = Option<String>)]
    text_body: Body<'a>,
    /// The sender.
    from_email: Option<&'a str>,
    /// What is attached, without the contents.
    attachments: Vec<AttachmentView<'a>>,
    /// Headers of the e-mail itself.
    headers: &'a BTreeMap<String, String>,
    /// Names and values for sorting at the provider.
    tags: &'a BTreeMap<String, String>,
    /// When it is to be sent.
    send_at: Option<String>,
    /// What it cost, exactly; `null` until known.
    #[schema(value_type = Option<f64>)]
    cost: Option<ExactNumber>,
    /// ISO 4217.
    cost_currency: Option<&'a str>,
    /// Second name of `cost_currency`.
    currency: Option<&'a str>,
    /// `estimate` or `provider`
    cost_source: Option<&'static str>,
    /// Why it failed.
    failure: Option<FailureView>,
    /// The provider's id.
    provider_message_id: Option<&'a str>,
    /// The provider's last raw answer.
    #[schema(value_type = Option<Object>)]
    provider_data: Option<&'a RawValue>,
    /// The caller's pairs.
    metadata: &'a BTreeMap<String, String>,
    /// Grows with every change.
    version: u64,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    updated_at: String,
}

/// One attached file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EmailAttachment)]
pub struct AttachmentView<'a> {
    /// File name.
    filename: &'a str,
    /// Media type.
    content_type: Option<&'a str>,
    /// Where the provider fetches it.
    url: Option<&'a str>,
    /// Size of the content in bytes, where it came with the request.
    size_bytes: Option<u64>,
}

/// A body that is there, absent, or not shown in this place.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Body<'a> {
    /// As it was given.
    Shown(Option<&'a str>),
    /// Not read from the store.
    LeftOut,
}

impl Body<'_> {
    const fn is_left_out(&self) -> bool {
        matches!(self, Self::LeftOut)
    }
}

impl<'a> EmailView<'a> {
    /// The view of an e-mail; without its content, the bodies are left out.
    #[must_use]
    pub fn new(email: &'a Object<Email>, content: Option<&'a EmailContent>) -> Self {
        let request = &email.request;
        let cost = email.facts.cost.as_ref();
        let currency = cost.map(onerouter_domain::cost::Cost::currency);
        Self {
            id: email.id.to_string(),
            email_id: email.id.to_string(),
            object: "email",
            environment: email.environment.as_str(),
            livemode: email.environment.is_live(),
            provider: &email.provider,
            service: &email.provider,
            status: email.status.as_str(),
            to: &request.to,
            cc: &request.cc,
            bcc: &request.bcc,
            reply_to: &request.reply_to,
            subject: &request.subject,
            html_body: content.map_or(Body::LeftOut, |content| {
                Body::Shown(content.html_body.as_deref())
            }),
            text_body: content.map_or(Body::LeftOut, |content| {
                Body::Shown(content.text_body.as_deref())
            }),
            from_email: email
                .facts
                .sender
                .as_deref()
                .or(request.from_email.as_deref()),
            attachments: request
                .attachments
                .iter()
                .map(|attachment| AttachmentView {
                    filename: &attachment.filename,
                    content_type: attachment.content_type.as_deref(),
                    url: attachment.url.as_deref(),
                    size_bytes: attachment.size_bytes,
                })
                .collect(),
            headers: &request.headers,
            tags: &request.tags,
            send_at: request.send_at.map(time::to_text),
            cost: cost.map(|cost| ExactNumber(cost.amount())),
            cost_currency: currency,
            currency,
            cost_source: cost.map(|cost| source(cost.source())),
            failure: email.facts.failure.as_ref().map(Into::into),
            provider_message_id: email.provider_ref.as_deref(),
            provider_data: raw(email.facts.provider_data.as_deref()),
            metadata: email.metadata.pairs(),
            version: email.version,
            created_at: time::to_text(email.created_at),
            updated_at: time::to_text(email.updated_at),
        }
    }
}

const fn source(source: CostSource) -> &'static str {
    match source {
        CostSource::Estimate => "estimate",
        CostSource::Provider => "provider",
    }
}

/// The engine has checked that it is JSON.
fn raw(text: Option<&str>) -> Option<&RawValue> {
    text.and_then(|text| serde_json::from_str(text).ok())
}
