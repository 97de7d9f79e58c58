//! Text messages.

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::id::SmsId;
use onerouter_domain::message::SmsStatus;
use onerouter_domain::time;
use onerouter_engine::wit::sms as wit;
use onerouter_engine::{Adapter, CallContext, CallReport};
use onerouter_manifest::{Capability, Category};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::kind::{self, CallIds, Kind, NoContent, Window, still_open};
use super::message::{self, CANCEL, Cancel, MessageFacts};
use super::object::{Object, Reported};
use super::refusal::Refusal;
use super::view::SmsView;
use crate::store::ObjectKind;

/// Characters of a text.
pub const BODY_LENGTH_MAX: usize = 1_600;
/// Media of one message.
pub const MEDIA_MAX: usize = 10;
/// A receipt that has not come after this will not come.
const SENT_IS_FINAL_AFTER: TimeDelta = TimeDelta::hours(72);

/// The kind.
#[derive(Debug, Clone, Copy)]
pub struct Sms;

/// What a caller asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmsRequest {
    /// E.164.
    pub to: String,
    /// The text.
    pub body: String,
    /// The message's own sender.
    pub from_number: Option<String>,
    /// What goes with it.
    pub media_urls: Vec<String>,
    /// When to send.
    pub send_at: Option<DateTime<Utc>>,
}

impl Kind for Sms {
    type Id = SmsId;
    type Status = SmsStatus;
    type Request = SmsRequest;
    type Facts = MessageFacts;
    type Action = Cancel;
    type Content = NoContent;

    const NAME: &'static str = "sms";
    const OBJECT: ObjectKind = ObjectKind::Sms;
    const HAS_CONTENT: bool = false;
    const NOUN: &'static str = "text message";
    const CATEGORY: Category = Category::Sms;
    const CREATE: Capability = Capability::Sms;
    const CREATE_NAME: &'static str = "send";
    const SENDER_POINTER: Option<&'static str> = Some("/from_number");
    const CREATE_OPERATION: &'static str = "sms.send";

    fn id(uuid: Uuid) -> SmsId {
        SmsId::from_uuid(uuid)
    }

    fn uuid(id: SmsId) -> Uuid {
        id.uuid()
    }

    fn queued() -> SmsStatus {
        SmsStatus::Queued
    }

    fn failed() -> SmsStatus {
        SmsStatus::Failed
    }

    fn unknown() -> SmsStatus {
        SmsStatus::Unknown
    }

    fn is_terminal(status: SmsStatus) -> bool {
        status.is_terminal()
    }

    fn merge(status: SmsStatus, _facts: &MessageFacts, reported: &Reported<Self>) -> SmsStatus {
        status.merge(reported.status)
    }

    fn is_settled_by_age(object: &Object<Self>, now: DateTime<Utc>) -> bool {
        let since = object
            .request
            .send_at
            .unwrap_or(object.created_at)
            .max(object.created_at);
        object.status == SmsStatus::Sent && now.signed_duration_since(since) > SENT_IS_FINAL_AFTER
    }

    fn sender(request: &SmsRequest) -> Option<&str> {
        request.from_number.as_deref()
    }

    fn latest(object: &Object<Self>) -> Option<DateTime<Utc>> {
        object.request.send_at
    }

    fn same_recipient(one: &SmsRequest, other: &SmsRequest) -> bool {
        one.to == other.to
    }

    fn recipients(request: &SmsRequest) -> Vec<&str> {
        vec![&request.to]
    }

    fn set_sender(request: &mut SmsRequest, sender: Option<String>) {
        request.from_number = sender;
    }

    async fn create(
        adapter: &Adapter,
        context: &CallContext,
        ids: CallIds,
        object: &Object<Self>,
        _content: &NoContent,
    ) -> CallReport<Reported<Self>> {
        let request = &object.request;
        let report = adapter.sms_send(context, &to_wit(ids, request)).await;
        report.map(|message| {
            let mut reported = from_wit(message);
            if reported.facts.cost.is_none() {
                let segments = reported.facts.segments.unwrap_or(1).max(1);
                reported.facts.cost =
                    kind::estimate(adapter.manifest(), Category::Sms, &request.to, segments);
            }
            reported
        })
    }

    async fn get(
        adapter: &Adapter,
        context: &CallContext,
        _object: &Object<Self>,
        provider_ref: &str,
    ) -> CallReport<Reported<Self>> {
        adapter.sms_get(context, provider_ref).await.map(from_wit)
    }

    fn needed_for(_action: &Cancel) -> Capability {
        Capability::SmsCancel
    }

    fn allow(object: &Object<Self>, _action: &Cancel) -> Result<(), Refusal> {
        still_open(object, "canceled any more")
    }

    fn has_happened(object: &Object<Self>, action: &str) -> bool {
        action == CANCEL && object.status == SmsStatus::Canceled
    }

    fn is_word_on_the_first(code: &str) -> bool {
        message::is_word_on_the_first(code)
    }

    async fn act(
        adapter: &Adapter,
        context: &CallContext,
        _ids: CallIds,
        _object: &Object<Self>,
        provider_ref: &str,
        _action: &Cancel,
    ) -> CallReport<Reported<Self>> {
        adapter
            .sms_cancel(context, provider_ref)
            .await
            .map(from_wit)
    }

    async fn find(
        adapter: &Adapter,
        context: &CallContext,
        ids: CallIds,
        object: &Object<Self>,
        window: Window,
    ) -> Option<CallReport<Vec<Reported<Self>>>> {
        if !adapter.can(Capability::SmsLookup) {
            return None;
        }
        let window = wit::Window {
            after: window.after_ms,
            before: window.before_ms,
        };
        let report = adapter
            .sms_find(context, &to_wit(ids, &object.request), window)
            .await;
        Some(report.map(|messages| messages.into_iter().map(from_wit).collect()))
    }

    fn no_content() -> Option<NoContent> {
        Some(NoContent {})
    }

    fn present(object: &Object<Self>, _content: Option<&NoContent>) -> Vec<u8> {
        serde_json::to_vec(&SmsView::from(object)).unwrap_or_default()
    }
}

/// What the URL of the connection's webhook is called among an adapter's extra texts.
const WEBHOOK_URL: &str = "webhook_url";

fn to_wit(ids: CallIds, request: &SmsRequest) -> wit::SendRequest {
    let webhook = ids.webhook_url.map(|url| (WEBHOOK_URL.to_owned(), url));
    wit::SendRequest {
        object_id: ids.object_id,
        attempt_id: ids.attempt_id,
        idempotency_key: ids.provider_key,
        to: request.to.clone(),
        sender: request.from_number.clone(),
        body: request.body.clone(),
        media_urls: request.media_urls.clone(),
        send_at: request.send_at.map(time::to_millis),
        extra: webhook.into_iter().collect(),
    }
}

fn from_wit(message: wit::Message) -> Reported<Sms> {
    Reported {
        provider_ref: message.provider_id,
        // The engine refuses every other text; `unknown` never moves a status.
        status: message.status.parse().unwrap_or(SmsStatus::Unknown),
        facts: MessageFacts {
            segments: message.segments,
            cost: message.cost.as_ref().and_then(kind::cost),
            sender: message.sender,
            consent: None,
            failure: message.failure.map(kind::failure),
            provider_data: message.raw,
            told: None,
        },
    }
}
