//! Endpoints, deliveries and events as clients see them.

use chrono::{DateTime, Utc};
use onerouter_domain::event::EventPattern;
use onerouter_domain::id::{EmailId, PaymentId, PaymentLinkId, PlanId, RefundId, SmsId};
use onerouter_domain::id::{SubscriptionId, WebhookEndpointId};
use onerouter_domain::time;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::secrets::{EndpointSecrets, SigningKind, SigningSecret};
use crate::store::{EventRow, ListedAttempt, ListedDelivery, WebhookEndpointRow};

/// Where a tenant wants to hear of events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookEndpoint, example = json!({
    "id": "we_01h455vb4pex5vsknk084sn02q", "object": "webhook_endpoint", "environment": "test",
    "livemode": false, "status": "enabled", "enabled": true, "url": "https://example.com/hooks",
    "description": "shop", "event_types": ["payment.*", "refund.succeeded"],
    "headers": ["X-Shop"], "ordered": false, "rate_limit": {"per_second": 50}, "signing": "hmac",
    "public_key": null, "old_secrets_expire_at": null, "disabled_reason": null,
    "disabled_at": null, "failing_since": null, "paused_until": null,
    "created_at": "2026-11-23T09:30:00.000000Z", "updated_at": "2026-11-23T09:30:00.000000Z"
}))]
pub struct EndpointView {
    /// `we_…`
    id: String,
    /// `webhook_endpoint`
    object: &'static str,
    /// `test` or `live`
    environment: &'static str,
    /// Whether the environment is `live`.
    livemode: bool,
    /// `enabled` or `disabled`
    status: &'static str,
    /// Whether anything is sent to it.
    enabled: bool,
    /// Where deliveries are posted to.
    url: String,
    /// For people.
    description: Option<String>,
    /// Of which events it hears: types, and families such as `payment.*`; null for all.
    event_types: Option<Vec<String>>,
    /// The names of the headers that go with each delivery. Their values are never shown.
    headers: Vec<String>,
    /// Whether of one object's events the next is sent when the one before has been taken.
    ordered: bool,
    /// How often it is called; null where that is not limited.
    rate_limit: Option<EndpointRateView>,
    /// `hmac` or `ed25519`
    signing: &'static str,
    /// `whpk_…`, to verify with, where `signing` is `ed25519`.
    public_key: Option<String>,
    /// Until when the secrets from before a rotation sign too; null where there are none.
    #[schema(format = DateTime)]
    old_secrets_expire_at: Option<String>,
    /// Why nothing is sent: `requested`, by a `PATCH`; `gone`, the endpoint has answered 410;
    /// `failing`, it has taken nothing for days. An open list.
    disabled_reason: Option<String>,
    /// Since when nothing is sent.
    #[schema(format = DateTime)]
    disabled_at: Option<String>,
    /// Since when it has taken nothing.
    #[schema(format = DateTime)]
    failing_since: Option<String>,
    /// Until when nothing is sent, as a 429 or 503 with `Retry-After` has asked: an hour at most. Null
    /// where it has not.
    #[schema(format = DateTime)]
    paused_until: Option<String>,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    updated_at: String,
    /// `whsec_…`, to verify with, where `signing` is `hmac`. Only the answers to the creation and to a
    /// rotation have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// How often an endpoint is called at most.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookRateLimit)]
pub struct EndpointRateView {
    /// Deliveries a second.
    #[schema(minimum = 1, maximum = 10_000)]
    per_second: u32,
}

impl EndpointView {
    /// Without the secret.
    #[must_use]
    pub fn of(row: &WebhookEndpointRow, secrets: &EndpointSecrets, now: DateTime<Utc>) -> Self {
        let newest = secrets.signing.first();
        let signing = newest.map_or(SigningKind::Hmac, |secret| secret.kind);
        let public = newest.filter(|secret| secret.kind == SigningKind::Ed25519);
        let old = secrets.in_use(now).filter_map(|secret| secret.expires_at);
        let is_enabled = row.disabled_at.is_none();
        Self {
            id: row.id.to_string(),
            object: "webhook_endpoint",
            environment: row.environment.as_str(),
            livemode: row.environment.is_live(),
            status: if is_enabled { "enabled" } else { "disabled" },
            enabled: is_enabled,
            url: row.url.clone(),
            description: row.description.clone(),
            event_types: row.event_types.as_ref().map(|types| {
                let texts = types.iter().map(EventPattern::to_string);
                texts.collect()
            }),
            headers: secrets
                .headers
                .iter()
                .map(|(name, _)| name.clone())
                .collect(),
            ordered: row.is_ordered,
            rate_limit: row
                .rate_per_second
                .map(|per_second| EndpointRateView { per_second }),
            signing: signing.as_str(),
            public_key: public.map(|secret| secret.verifier().to_string()),
            old_secrets_expire_at: old.max().map(time::to_text),
            disabled_reason: row.disabled_reason.clone(),
            disabled_at: row.disabled_at.map(time::to_text),
            failing_since: row.failing_since.map(time::to_text),
            paused_until: row.paused_at(now).map(time::to_text),
            created_at: time::to_text(row.created_at),
            updated_at: time::to_text(row.updated_at),
            secret: None,
        }
    }

    /// With the secret that deliveries are signed with from now on, where it is one that is shared.
    #[must_use]
    pub(super) fn with_secret(self, secret: &SigningSecret) -> Self {
        let shared = (secret.kind == SigningKind::Hmac).then(|| secret.verifier().to_string());
        Self {
            secret: shared,
            ..self
        }
    }
}

/// An endpoint that is gone.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeletedWebhookEndpoint)]
pub struct DeletedEndpointView {
    /// `we_…`
    id: String,
    /// `webhook_endpoint`
    object: &'static str,
    /// `true`
    deleted: bool,
}

impl From<WebhookEndpointId> for DeletedEndpointView {
    fn from(id: WebhookEndpointId) -> Self {
        Self {
            id: id.to_string(),
            object: "webhook_endpoint",
            deleted: true,
        }
    }
}

/// An event that is told to an endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
pub struct DeliveryView {
    /// `whd_…`
    id: String,
    /// `webhook_delivery`
    object: &'static str,
    /// `we_…`
    endpoint_id: String,
    /// `evt_…`: the `webhook-id` of each attempt.
    event_id: String,
    /// The event's type; null when the event is no longer kept.
    event_type: Option<String>,
    /// `pending`, `succeeded`, `failed` or `canceled`
    status: String,
    /// How many attempts were made.
    attempt_count: u32,
    /// What the last one was answered.
    last_status: Option<u16>,
    /// When the next one is due; null when it has ended.
    #[schema(format = DateTime)]
    next_attempt_at: Option<String>,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it ended.
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// Every attempt in its order. Lists do not have them; read one delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<DeliveryAttemptView>>,
}

impl From<ListedDelivery> for DeliveryView {
    fn from(row: ListedDelivery) -> Self {
        Self {
            id: row.id.to_string(),
            object: "webhook_delivery",
            endpoint_id: row.endpoint_id.to_string(),
            event_id: row.event_id.to_string(),
            event_type: row.event_type,
            status: row.state,
            attempt_count: row.attempts,
            last_status: row.last_status,
            next_attempt_at: row.next_at.map(time::to_text),
            created_at: time::to_text(row.created_at),
            ended_at: row.ended_at.map(time::to_text),
            attempts: None,
        }
    }
}

impl DeliveryView {
    /// With its attempts.
    #[must_use]
    pub(super) fn with_attempts(self, attempts: Vec<ListedAttempt>) -> Self {
        Self {
            attempts: Some(
                attempts
                    .into_iter()
                    .map(DeliveryAttemptView::from)
                    .collect(),
            ),
            ..self
        }
    }
}

/// One try to tell an event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookAttempt)]
pub struct DeliveryAttemptView {
    /// `att_…`
    id: String,
    /// From 1 on.
    number: u32,
    /// The HTTP status of the answer; null where there was none.
    status: Option<u16>,
    /// Why there was no answer.
    error: Option<String>,
    /// How long it took.
    #[schema(value_type = f64)]
    duration_ms: Box<RawValue>,
    /// The first 4 KiB of the answer.
    response: Option<String>,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<ListedAttempt> for DeliveryAttemptView {
    fn from(row: ListedAttempt) -> Self {
        let (millis, rest) = (row.duration_us / 1_000, row.duration_us % 1_000);
        Self {
            id: row.id.to_string(),
            number: row.number,
            status: row.status,
            error: row.error,
            duration_ms: RawValue::from_string(format!("{millis}.{rest:03}")).unwrap_or_default(),
            response: row.response,
            created_at: time::to_text(row.created_at),
        }
    }
}

/// What was made of a wish to be told again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookResend)]
pub struct ResendView {
    /// `webhook_resend`
    object: &'static str,
    /// How many deliveries were made.
    count: usize,
    /// Whether the range holds more: send the same again with `next_cursor` as `cursor`.
    has_more: bool,
    /// Where to go on.
    next_cursor: Option<String>,
}

impl ResendView {
    pub(super) fn new(count: usize, next_cursor: Option<String>) -> Self {
        Self {
            object: "webhook_resend",
            count,
            has_more: next_cursor.is_some(),
            next_cursor,
        }
    }
}

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event, example = json!({
    "id": "evt_01h455vb4pex5vsknk084sn02q", "object": "event", "type": "payment.succeeded",
    "environment": "test", "livemode": false, "created_at": "2026-11-23T09:30:00.000000Z",
    "timestamp": "2026-11-23T09:30:00.000000Z", "sequence": 3,
    "object_id": "pay_01h455vb4pex5vsknk084sn02q",
    "data": {"id": "pay_01h455vb4pex5vsknk084sn02q", "object": "payment", "status": "succeeded"}
}))]
pub struct EventView {
    /// `evt_…`: the `webhook-id` of its deliveries.
    id: String,
    /// `event`
    object: &'static str,
    /// `payment.succeeded`, …: an open list.
    #[serde(rename = "type")]
    event_type: String,
    /// `test` or `live`
    environment: &'static str,
    /// Whether the environment is `live`.
    livemode: bool,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
    /// Second name of `created_at`, as deliveries have it.
    #[schema(format = DateTime)]
    timestamp: String,
    /// The object's `version`: of two events about one object, the greater is the later.
    sequence: u64,
    /// What it is about.
    object_id: String,
    /// The object as it was then.
    #[schema(value_type = Object)]
    data: Box<RawValue>,
}

impl From<EventRow> for EventView {
    fn from(row: EventRow) -> Self {
        let at = time::to_text(row.created_at);
        Self {
            id: row.id.to_string(),
            object: "event",
            object_id: object_id(&row.event_type, row.object_id),
            event_type: row.event_type,
            environment: row.environment.as_str(),
            livemode: row.environment.is_live(),
            created_at: at.clone(),
            timestamp: at,
            sequence: row.object_version,
            data: RawValue::from_string(row.data).unwrap_or_default(),
        }
    }
}

/// The id of an event's object, with the prefix of its family.
fn object_id(event_type: &str, id: Uuid) -> String {
    match event_type.split('.').next().unwrap_or_default() {
        "payment" => PaymentId::from_uuid(id).to_string(),
        "refund" => RefundId::from_uuid(id).to_string(),
        "plan" => PlanId::from_uuid(id).to_string(),
        "subscription" => SubscriptionId::from_uuid(id).to_string(),
        "payment_link" => PaymentLinkId::from_uuid(id).to_string(),
        "sms" => SmsId::from_uuid(id).to_string(),
        "email" => EmailId::from_uuid(id).to_string(),
        "endpoint" => WebhookEndpointId::from_uuid(id).to_string(),
        _ => id.to_string(),
    }
}

/// The UUID of any object that events are about.
#[must_use]
pub fn parse_object_id(text: &str) -> Option<Uuid> {
    fn of<T: std::str::FromStr>(text: &str, uuid: fn(T) -> Uuid) -> Option<Uuid> {
        text.parse().ok().map(uuid)
    }
    of(text, PaymentId::uuid)
        .or_else(|| of(text, RefundId::uuid))
        .or_else(|| of(text, PlanId::uuid))
        .or_else(|| of(text, SubscriptionId::uuid))
        .or_else(|| of(text, PaymentLinkId::uuid))
        .or_else(|| of(text, SmsId::uuid))
        .or_else(|| of(text, EmailId::uuid))
        .or_else(|| of(text, WebhookEndpointId::uuid))
}
