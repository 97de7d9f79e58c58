//! What is sent to make and change endpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use onerouter_domain::event::EventPattern;
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::WebhookTargets;
use crate::http::fields::Fields;
use crate::service::refusal::Refusal;
use crate::service::webhooks::endpoints::{EndpointChange, NewEndpoint};
use crate::service::webhooks::secrets::SigningKind;
use crate::service::webhooks::target;
use crate::service::webhooks::view::EndpointRateView;

/// Patterns of one endpoint: more than there are types.
pub(crate) const EVENT_TYPES_MAX: usize = 100;
/// Headers of one endpoint.
pub(crate) const HEADERS_MAX: usize = 20;
/// Characters of a header's value: all of them fit into what a request may carry.
pub(crate) const HEADER_VALUE_LENGTH_MAX: usize = 500;
/// Characters of a header's name.
const HEADER_NAME_LENGTH_MAX: usize = 64;
/// Characters of a description.
const DESCRIPTION_LENGTH_MAX: usize = 500;
/// Deliveries a second to one endpoint.
const RATE_MAX: i64 = 10_000;

/// Headers that belong to the connection or to what we write ourselves.
pub(crate) const RESERVED_HEADERS: [&str; 10] = [
    "connection",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "accept-encoding",
];
/// And everything that begins so.
pub(crate) const RESERVED_PREFIXES: [&str; 3] = ["content-", "proxy-", "webhook-"];

/// An endpoint to be made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "url": "https://example.com/hooks", "description": "shop", "event_types": ["payment.*"]
}))]
pub(crate) struct CreateWebhookEndpoint {
    /// Where deliveries are posted to: https, with a public host.
    url: String,
    /// For people.
    #[schema(nullable, min_length = 1, max_length = 500)]
    description: Option<String>,
    /// Of which events it hears: types such as `payment.succeeded` and families such as `payment.*`; of
    /// all when left out.
    #[schema(nullable, min_items = 1, max_items = 100)]
    event_types: Option<Vec<String>>,
    /// Headers of your own that go with each delivery. Their values are never shown again.
    #[schema(nullable)]
    headers: Option<BTreeMap<String, String>>,
    /// Whether of one object's events the next is sent only when the one before has been taken. `false`
    /// when left out.
    #[schema(nullable)]
    ordered: Option<bool>,
    /// How often it is called at most; as often as there is something when left out.
    #[schema(nullable)]
    rate_limit: Option<EndpointRateView>,
    /// `hmac` (when left out): with a shared secret, `v1`; `ed25519`: with a key of which you have the
    /// public part, `v1a`.
    #[schema(nullable, pattern = "^(hmac|ed25519)$")]
    signing: Option<String>,
}

/// What is changed of an endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"event_types": ["payment.*", "refund.*"], "enabled": true}))]
pub(crate) struct UpdateWebhookEndpoint {
    /// Where deliveries are posted to.
    #[schema(nullable)]
    url: Option<String>,
    /// For people; `null` takes it away.
    #[schema(nullable, min_length = 1, max_length = 500)]
    description: Option<String>,
    /// Of which events it hears; `null`: of all.
    #[schema(nullable, min_items = 1, max_items = 100)]
    event_types: Option<Vec<String>>,
    /// All headers that go with each delivery from now on; `null`: none.
    #[schema(nullable)]
    headers: Option<BTreeMap<String, String>>,
    /// Whether of one object's events the next waits for the one before.
    #[schema(nullable)]
    ordered: Option<bool>,
    /// How often it is called at most; `null`: no limit.
    #[schema(nullable)]
    rate_limit: Option<EndpointRateView>,
    /// Whether anything is sent to it. `true` forgets what went wrong before.
    #[schema(nullable)]
    enabled: Option<bool>,
}

/// How a secret is replaced.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"overlap_seconds": 86_400}))]
pub(crate) struct RotateWebhookSecret {
    /// The old secret signs too for this long, in seconds; 86,400 when left out, 0 ends it at once.
    #[schema(nullable, minimum = 0, maximum = 604_800)]
    overlap_seconds: Option<u32>,
}

/// What an endpoint is tried with.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"type": "endpoint.test"}))]
pub(crate) struct TestWebhookEndpoint {
    /// `endpoint.test` when left out. Others with test keys only: a sample of that type.
    #[serde(rename = "type")]
    #[schema(nullable)]
    event_type: Option<String>,
}

/// Which events are sent again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"since": "2026-11-23T09:30:00Z", "only_failed": true}))]
pub(crate) struct ResendWebhookEvents {
    /// Those of this time or later.
    #[schema(format = DateTime)]
    since: String,
    /// Those before this time; until now when left out.
    #[schema(nullable, format = DateTime)]
    until: Option<String>,
    /// Only those that this endpoint has not taken: their delivery was given up, or there was none, as the
    /// endpoint was disabled then. `false` when left out.
    #[schema(nullable)]
    only_failed: Option<bool>,
    /// `next_cursor` of the answer before.
    #[schema(nullable, pattern = "^evt_[0-7][0-9a-hjkmnp-tv-z]{25}$")]
    cursor: Option<String>,
}

/// One type of event.
#[derive(Debug)]
pub(crate) struct EventType(EventPattern);

impl EventType {
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for EventType {
    type Err = NoEventType;

    fn from_str(text: &str) -> Result<Self, NoEventType> {
        let pattern: EventPattern = text.parse().or(Err(NoEventType))?;
        let is_one = pattern.family().is_none();
        if is_one {
            Ok(Self(pattern))
        } else {
            Err(NoEventType)
        }
    }
}

/// The text names no type of event.
#[derive(Debug)]
pub(crate) struct NoEventType;

impl fmt::Display for NoEventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be a type of event such as payment.succeeded")
    }
}

pub(super) fn create(
    mut fields: Fields<'_>,
    targets: WebhookTargets,
) -> Result<NewEndpoint, Refusal> {
    let url = fields.required_text("url");
    let url = url.and_then(|url| checked_url(&mut fields, url, targets));
    let description = fields.text_of("description", 1, DESCRIPTION_LENGTH_MAX);
    let event_types = event_types(&mut fields);
    let headers = headers(&mut fields).unwrap_or_default();
    let ordered = fields.boolean("ordered");
    let rate = rate(&mut fields);
    let signing: Option<SigningKind> = fields.parsed("signing");
    let new = url.map(|url| NewEndpoint {
        url,
        description,
        event_types,
        headers,
        is_ordered: ordered.unwrap_or(false),
        rate_per_second: rate,
        signing: signing.unwrap_or(SigningKind::Hmac),
    });
    fields.finish(new)
}

pub(super) fn update(
    mut fields: Fields<'_>,
    targets: WebhookTargets,
) -> Result<EndpointChange, Refusal> {
    let url = fields.text("url");
    let url = url.and_then(|url| checked_url(&mut fields, url, targets));
    // Of what may be absent, `null` says that it is to be.
    let takes_away = |fields: &mut Fields<'_>, name: &str| fields.is_null(name);
    let no_description = takes_away(&mut fields, "description");
    let no_types = takes_away(&mut fields, "event_types");
    let no_headers = takes_away(&mut fields, "headers");
    let no_rate = takes_away(&mut fields, "rate_limit");
    let description = fields.text_of("description", 1, DESCRIPTION_LENGTH_MAX);
    let event_types = event_types(&mut fields);
    let headers = headers(&mut fields);
    let is_ordered = fields.boolean("ordered");
    let rate = rate(&mut fields);
    let is_enabled = fields.boolean("enabled");
    let change = EndpointChange {
        url,
        description: description.map(Some).or(no_description.then_some(None)),
        event_types: event_types.map(Some).or(no_types.then_some(None)),
        headers: headers.or(no_headers.then(Vec::new)),
        is_ordered,
        rate_per_second: rate.map(Some).or(no_rate.then_some(None)),
        is_enabled,
    };
    fields.finish(Some(change))
}

fn checked_url(fields: &mut Fields<'_>, url: String, targets: WebhookTargets) -> Option<String> {
    match target::check(&url, targets) {
        Ok(()) => Some(url),
        Err(rule) => {
            fields.mistake("url", "invalid", rule);
            None
        }
    }
}

fn event_types(fields: &mut Fields<'_>) -> Option<Vec<EventPattern>> {
    let types: Vec<EventPattern> = fields.parsed_list("event_types", EVENT_TYPES_MAX)?;
    if types.is_empty() {
        let detail = "needs at least one type; leave it out to hear of all";
        fields.mistake("event_types", "required", detail);
        return None;
    }
    Some(types)
}

fn headers(fields: &mut Fields<'_>) -> Option<Vec<(String, String)>> {
    const LIST: &str = "headers";
    let pairs = fields.pairs(LIST, HEADERS_MAX)?;
    let mut names = BTreeSet::new();
    for (name, value) in &pairs {
        let lower = name.to_ascii_lowercase();
        let is_reserved = RESERVED_HEADERS.contains(&lower.as_str())
            || RESERVED_PREFIXES
                .iter()
                .any(|prefix| lower.starts_with(prefix));
        if !is_header_name(name) {
            fields.mistake_in(LIST, name, "invalid", "is not the name of a header");
        } else if is_reserved {
            let detail = "may not be set here: it belongs to the connection or is written by us";
            fields.mistake_in(LIST, name, "invalid", detail);
        } else if !is_header_value(value) {
            let detail = format!(
                "must be 1 to {HEADER_VALUE_LENGTH_MAX} printable ASCII characters without spaces at its ends"
            );
            fields.mistake_in(LIST, name, "invalid", detail);
        } else if !names.insert(lower) {
            let detail = "stands there twice; upper and lower case are the same";
            fields.mistake_in(LIST, name, "duplicate", detail);
        }
    }
    Some(pairs)
}

fn is_header_name(name: &str) -> bool {
    (1..=HEADER_NAME_LENGTH_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn is_header_value(value: &str) -> bool {
    (1..=HEADER_VALUE_LENGTH_MAX).contains(&value.len())
        && value.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
        && value.trim() == value
}

fn rate(fields: &mut Fields<'_>) -> Option<u32> {
    let mut inner = fields.inner("rate_limit")?;
    let per_second = inner.required_integer("per_second", 1, RATE_MAX);
    fields.adopt(inner.end());
    per_second.and_then(|number| u32::try_from(number).ok())
}
