//! What a webhook's events do: objects are looked at or merged, incoming messages taken in, and what is
//! about nothing of ours is shown as it came.

use chrono::TimeDelta;
use onerouter_domain::event::PROVIDER_EVENT;
use onerouter_domain::id::{
    AttemptId, EmailId, EventId, PaymentId, PaymentLinkId, RefundId, SmsId, SubscriptionId,
    TenantId,
};
use onerouter_engine::Adapter;
use onerouter_engine::wit::webhooks::{
    self, Consent, Engagement, EngagementKind, Event, IncomingMessage, MessageReport, News, Subject,
};
use onerouter_manifest::Category;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Inbound;
use super::kept::Kept;
use crate::ids;
use crate::service::email::Email;
use crate::service::kind::{self, Kind};
use crate::service::message::{MessageFacts, Telling};
use crate::service::object::{Object, Reported};
use crate::service::objects::{Looked, TakenIn};
use crate::service::sms::{Sms, SmsRequest};
use crate::store::{
    NewEvent, ObjectKind, ObjectRow, ReceivedWebhookRow, StoreError, TenantTx, WebhookVerdict,
};

/// An object is settled for so long at most: until then what is told may be about it.
const UNBOUND_FOR: TimeDelta = TimeDelta::days(7);
/// What may be about one whose provider's id is not known waits so long for it.
const PERHAPS_FOR: TimeDelta = TimeDelta::days(2);
/// Clocks of nodes differ.
const CLOCK_MARGIN: TimeDelta = TimeDelta::minutes(1);
/// Objects that are looked through for one of the kind.
const UNBOUND_MAX: u32 = 200;
/// News of one event have ids next to each other.
const NEWS_PER_EVENT: usize = 16;

/// Whether what an event says was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    /// Now it cannot be.
    Later,
    /// Too many are asking the provider already.
    NoRoom,
    /// It is about nothing of ours.
    Foreign,
}

/// What of a webhook is still to be done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    #[default]
    Nothing,
    /// Something for which there was no room.
    ForRoom,
    /// Something that could not be done.
    ForLater,
}

impl From<Outcome> for Left {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done | Outcome::Foreign => Self::Nothing,
            Outcome::NoRoom => Self::ForRoom,
            Outcome::Later => Self::ForLater,
        }
    }
}

/// How far doing what a webhook says has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Done(WebhookVerdict),
    Later,
    NoRoom,
}

/// An object that an event speaks of.
enum Found {
    Object(Box<ObjectRow>),
    /// One that is just being made may be it.
    Perhaps,
    Nothing,
}

/// An event, and where it stands in which webhook.
#[derive(Clone, Copy)]
struct At<'a> {
    tenant: TenantId,
    webhook: &'a ReceivedWebhookRow,
    kept: &'a Kept,
    event: &'a Event,
    place: usize,
}

impl Inbound {
    /// Does what a webhook's events say.
    #[expect(clippy::too_many_arguments, reason = "whose, which, and what it says")]
    pub(super) async fn tell(
        &self,
        tenant: TenantId,
        webhook: &ReceivedWebhookRow,
        kept: &Kept,
        adapter: &Adapter,
        events: Vec<Event>,
    ) -> Result<Told, StoreError> {
        let mut left = Left::Nothing;
        let mut is_anything_new = events.is_empty();
        // Another body under the same signature may be a stranger's: it is a reason to ask, and nothing else.
        let is_first = match kept.transmission() {
            Some(id) => {
                let key = format!("transmission:{id}");
                self.is_first_with(tenant, webhook, &key).await?
            }
            None => true,
        };
        for (index, event) in events.iter().enumerate() {
            let is_new = match &event.id {
                _ if !is_first => false,
                Some(id) => {
                    let key = format!("event:{id}");
                    self.is_first_with(tenant, webhook, &key).await?
                }
                None => true,
            };
            is_anything_new |= is_new;
            let at = At {
                tenant,
                webhook,
                kept,
                event,
                place: index * NEWS_PER_EVENT,
            };
            left = left.max(self.tell_event(at, adapter, is_new).await?);
        }
        Ok(match (left, is_anything_new) {
            (Left::ForLater, _) => Told::Later,
            (Left::ForRoom, _) => Told::NoRoom,
            (Left::Nothing, true) => Told::Done(WebhookVerdict::Handled),
            (Left::Nothing, false) => Told::Done(WebhookVerdict::Repeated),
        })
    }

    /// Whether no other webhook has brought this before: an event, or a body under a signature.
    async fn is_first_with(
        &self,
        tenant: TenantId,
        webhook: &ReceivedWebhookRow,
        key: &str,
    ) -> Result<bool, StoreError> {
        let mut tx = self.parts.store.begin(tenant).await?;
        let now = self.parts.clock.now();
        let owner = tx
            .claim_webhook_key(webhook.connection_id, key, webhook.id, now)
            .await?;
        tx.commit().await?;
        Ok(owner.webhook == webhook.id)
    }

    /// Does what an event says. Tells what is left of it.
    async fn tell_event(
        &self,
        at: At<'_>,
        adapter: &Adapter,
        is_new: bool,
    ) -> Result<Left, StoreError> {
        let mut left = Left::Nothing;
        let mut is_ours = false;
        for (index, news) in at.event.news.iter().enumerate() {
            let at = At {
                place: at.place + index,
                ..at
            };
            let told = match news {
                // Whoever brings it, and however often: asking does no harm.
                News::Changed(subject) => self.changed(at, subject).await?,
                // An id that came before may have come with other words.
                _ if !is_new => Outcome::Done,
                News::Reported(report) => self.reported(at, report, adapter).await?,
                News::Received(message) => self.received(at, message).await?,
                News::Engaged(engagement) => self.engaged(at, engagement).await?,
            };
            left = left.max(told.into());
            is_ours |= told != Outcome::Foreign;
        }
        if !is_ours && is_new {
            self.show(at).await?;
        }
        Ok(left)
    }

    async fn changed(&self, at: At<'_>, subject: &Subject) -> Result<Outcome, StoreError> {
        let row = match self.find(at, subject).await? {
            Found::Object(row) => *row,
            Found::Perhaps => return Ok(Outcome::Later),
            Found::Nothing => return Ok(Outcome::Foreign),
        };
        let (parts, tenant) = (&self.parts, at.tenant);
        let Some(_place) = parts.places.take(at.webhook) else {
            return Ok(Outcome::NoRoom);
        };
        let looked = match row.kind {
            ObjectKind::Sms => parts.sms.look_because_told(tenant, row).await,
            ObjectKind::Email => Box::pin(parts.email.look_because_told(tenant, row)).await,
            ObjectKind::Payment => Box::pin(parts.payments.look_because_told(tenant, row)).await,
            ObjectKind::Refund => Box::pin(parts.refunds.look_because_told(tenant, row)).await,
            ObjectKind::Subscription => {
                Box::pin(parts.subscriptions.look_because_told(tenant, row)).await
            }
            ObjectKind::PaymentLink => {
                Box::pin(parts.payment_links.look_because_told(tenant, row)).await
            }
            ObjectKind::Plan => Ok(Looked::Done),
        };
        Ok(match looked? {
            Looked::Done => Outcome::Done,
            Looked::Later => Outcome::Later,
            // By what is known here it never was at the provider, who says something else: that is shown.
            Looked::Absent => Outcome::Foreign,
        })
    }

    async fn reported(
        &self,
        at: At<'_>,
        report: &MessageReport,
        adapter: &Adapter,
    ) -> Result<Outcome, StoreError> {
        let row = match self.find(at, &report.subject).await? {
            Found::Object(row) => *row,
            Found::Perhaps => return Ok(Outcome::Later),
            Found::Nothing => return Ok(Outcome::Foreign),
        };
        let facts = facts_of(report, at);
        let provider_ref = report.subject.provider_id.clone();
        let (parts, tenant) = (&self.parts, at.tenant);
        let merged = match row.kind {
            ObjectKind::Sms => {
                let mut reported = Reported::<Sms> {
                    provider_ref,
                    status: report.status.parse().unwrap_or_else(|_| Sms::unknown()),
                    facts,
                };
                estimate(&mut reported, &row, adapter);
                parts.sms.merge_told(tenant, row, reported).await?
            }
            ObjectKind::Email => {
                let reported = Reported::<Email> {
                    provider_ref,
                    status: report.status.parse().unwrap_or_else(|_| Email::unknown()),
                    facts,
                };
                parts.email.merge_told(tenant, row, reported).await?
            }
            // The engine lets no report about money through.
            ObjectKind::Payment
            | ObjectKind::Refund
            | ObjectKind::Plan
            | ObjectKind::Subscription
            | ObjectKind::PaymentLink => true,
        };
        Ok(if merged {
            Outcome::Done
        } else {
            Outcome::Later
        })
    }

    async fn received(&self, at: At<'_>, message: &IncomingMessage) -> Result<Outcome, StoreError> {
        let made = TakenIn::<Sms> {
            environment: at.webhook.environment,
            provider: &at.webhook.provider,
            connection_id: at.webhook.connection_id,
            request: SmsRequest {
                to: message.to.clone(),
                body: message.body.clone(),
                from_number: Some(message.sender.clone()),
                media_urls: message.media.iter().map(|file| file.url.clone()).collect(),
                send_at: None,
            },
            reported: Reported {
                provider_ref: message.provider_id.clone(),
                status: onerouter_domain::message::SmsStatus::Received,
                facts: MessageFacts {
                    segments: message.segments,
                    consent: message.consent.map(consent),
                    provider_data: at.kept.shown().map(|text| text.get().to_owned()),
                    ..MessageFacts::default()
                },
            },
        };
        self.parts.sms.take_in(at.tenant, made).await?;
        Ok(Outcome::Done)
    }

    /// Opens and clicks change nothing of an e-mail: they are events about it.
    async fn engaged(&self, at: At<'_>, engagement: &Engagement) -> Result<Outcome, StoreError> {
        let row = match self.find(at, &engagement.subject).await? {
            Found::Object(row) => *row,
            Found::Perhaps => return Ok(Outcome::Later),
            Found::Nothing => return Ok(Outcome::Foreign),
        };
        let what = match engagement.what {
            EngagementKind::Opened => "opened",
            EngagementKind::Clicked => "clicked",
        };
        let mut tx = self.parts.store.begin(at.tenant).await?;
        if self.is_to_be_written(&mut tx, at).await? {
            let link = engagement.link.as_deref();
            let with_it = |shown| with_engagement(shown, what, link);
            self.parts
                .email
                .note_told(&mut tx, &row, what, with_it)
                .await?;
        }
        tx.commit().await?;
        Ok(Outcome::Done)
    }

    /// Shows an event that is about nothing of ours.
    async fn show(&self, at: At<'_>) -> Result<(), StoreError> {
        let subject = at.event.news.iter().find_map(subject_of);
        let data = ProviderEvent {
            object: "provider_event",
            provider: &at.webhook.provider,
            connection_id: at.webhook.connection_id.to_string(),
            provider_event_id: at.event.id.as_deref(),
            provider_event_type: Some(&at.event.event_type),
            about: subject.map(|subject| kind_of(subject.kind).as_str()),
            provider_id: subject.map(|subject| subject.provider_id.as_str()),
            payload: at.kept.shown(),
        };
        let mut tx = self.parts.store.begin(at.tenant).await?;
        if self.is_to_be_written(&mut tx, at).await? {
            let event = self.provider_event(at.webhook, &data);
            tx.insert_event(&event).await?;
        }
        tx.commit().await
    }

    /// The event about what nobody here could make anything of.
    pub(super) fn unread(&self, webhook: &ReceivedWebhookRow, kept: Option<&Kept>) -> NewEvent {
        let data = ProviderEvent {
            object: "provider_event",
            provider: &webhook.provider,
            connection_id: webhook.connection_id.to_string(),
            provider_event_id: None,
            provider_event_type: None,
            about: None,
            provider_id: None,
            payload: kept.and_then(Kept::shown),
        };
        self.provider_event(webhook, &data)
    }

    /// Its id is of the moment in which it is written, as readers of the feed go by it.
    fn provider_event(&self, webhook: &ReceivedWebhookRow, data: &ProviderEvent<'_>) -> NewEvent {
        NewEvent {
            id: EventId::from_uuid(ids::next()),
            environment: webhook.environment,
            event_type: PROVIDER_EVENT.to_owned(),
            object_id: webhook.id,
            object_version: 1,
            data: serde_json::to_string(data).unwrap_or_default(),
            created_at: self.parts.clock.now(),
        }
    }

    /// Whether an event was not written when this webhook was acted on before.
    async fn is_to_be_written(&self, tx: &mut TenantTx, at: At<'_>) -> Result<bool, StoreError> {
        let key = format!("written:{}:{}", at.webhook.id, at.place);
        let now = self.parts.clock.now();
        let owner = tx
            .claim_webhook_key(at.webhook.connection_id, &key, at.webhook.id, now)
            .await?;
        Ok(owner.is_new)
    }

    /// The object that an event speaks of: by the provider's id, or by one of ours that the provider has
    /// handed back.
    async fn find(&self, at: At<'_>, subject: &Subject) -> Result<Found, StoreError> {
        let webhook = at.webhook;
        let kind = kind_of(subject.kind);
        let mut tx = self.parts.store.begin_read(at.tenant).await?;
        // First this, then the other: one that is being made at this moment is either still without its
        // provider's id, or has it by the time it is looked for.
        let is_awaited = self.is_awaited(&mut tx, webhook, kind).await?;
        let known = tx
            .find_by_provider_ref(kind, webhook.environment, &subject.provider_id)
            .await?;
        let mut rows = Vec::new();
        for id in known {
            rows.extend(tx.find_object_of_any_kind(id).await?);
        }
        rows.retain(|row| row.provider == webhook.provider);
        // Ids are unique within an account: of two objects, the connection's own.
        if rows.len() > 1 {
            rows.retain(|row| row.connection_id == webhook.connection_id);
        }
        if let Some(row) = rows.pop() {
            return Ok(Found::Object(Box::new(row)));
        }
        for id in self.handed_back(&mut tx, kind, subject).await? {
            let row = tx.find_object(kind, webhook.environment, id).await?;
            let Some(row) = row.filter(|row| row.connection_id == webhook.connection_id) else {
                continue;
            };
            let is_other = row
                .provider_ref
                .as_ref()
                .is_some_and(|known| *known != subject.provider_id);
            if is_other && matches!(kind, ObjectKind::Sms | ObjectKind::Email) {
                continue;
            }
            return Ok(Found::Object(Box::new(row)));
        }
        Ok(if is_awaited {
            Found::Perhaps
        } else {
            Found::Nothing
        })
    }

    /// Whether what is told may be about an object of this kind of which the provider's id is not known.
    async fn is_awaited(
        &self,
        tx: &mut TenantTx,
        webhook: &ReceivedWebhookRow,
        kind: ObjectKind,
    ) -> Result<bool, StoreError> {
        let now = self.parts.clock.now();
        if now.signed_duration_since(webhook.received_at) > PERHAPS_FOR {
            return Ok(false);
        }
        let (after, before) = (webhook.received_at - UNBOUND_FOR, now + CLOCK_MARGIN);
        let unbound = tx
            .list_unbound_objects(webhook.connection_id, after, before, UNBOUND_MAX)
            .await?;
        Ok(unbound.iter().any(|row| row.kind == kind))
    }

    /// Objects by ids of ours that the provider carries.
    async fn handed_back(
        &self,
        tx: &mut TenantTx,
        kind: ObjectKind,
        subject: &Subject,
    ) -> Result<Vec<Uuid>, StoreError> {
        let mut ids = Vec::new();
        ids.extend(
            subject
                .object_id
                .as_deref()
                .and_then(|id| object_of(kind, id)),
        );
        let attempt = subject.attempt_id.as_deref();
        if let Some(attempt) = attempt.and_then(|id| id.parse::<AttemptId>().ok()) {
            ids.extend(tx.find_attempt_object(attempt).await?);
        }
        Ok(ids)
    }
}

/// What a provider has told that is about nothing made here, or that nobody could read.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProviderEvent, example = json!({
    "object": "provider_event", "provider": "acme",
    "connection_id": "con_01h455vb4pex5vsknk084sn02q", "provider_event_id": "ev-17",
    "provider_event_type": "dispute.opened", "about": "payment", "provider_id": "p-0017",
    "payload": {"type": "dispute.opened", "payment": "p-0017"}
}))]
pub struct ProviderEvent<'a> {
    /// `provider_event`
    object: &'static str,
    /// Who has told it.
    provider: &'a str,
    /// To which connection, `con_…`.
    connection_id: String,
    /// The provider's id of the event, where it has one.
    provider_event_id: Option<&'a str>,
    /// The provider's name for it; `null` where nobody could read it.
    provider_event_type: Option<&'a str>,
    /// The kind of object that it is about, where that is known.
    about: Option<&'static str>,
    /// The provider's id of that object.
    provider_id: Option<&'a str>,
    /// What the provider sent; a form as an object. `null` where it is larger than 64 KiB.
    #[schema(value_type = Option<Object>)]
    payload: Option<Box<RawValue>>,
}

fn subject_of(news: &News) -> Option<&Subject> {
    match news {
        News::Changed(subject) => Some(subject),
        News::Reported(report) => Some(&report.subject),
        News::Engaged(engagement) => Some(&engagement.subject),
        News::Received(_) => None,
    }
}

const fn kind_of(kind: webhooks::Kind) -> ObjectKind {
    match kind {
        webhooks::Kind::Sms => ObjectKind::Sms,
        webhooks::Kind::Email => ObjectKind::Email,
        webhooks::Kind::Payment => ObjectKind::Payment,
        webhooks::Kind::Refund => ObjectKind::Refund,
        webhooks::Kind::Subscription => ObjectKind::Subscription,
        webhooks::Kind::PaymentLink => ObjectKind::PaymentLink,
    }
}

/// An id of ours of this kind.
fn object_of(kind: ObjectKind, id: &str) -> Option<Uuid> {
    match kind {
        ObjectKind::Sms => id.parse().map(SmsId::uuid).ok(),
        ObjectKind::Email => id.parse().map(EmailId::uuid).ok(),
        ObjectKind::Payment => id.parse().map(PaymentId::uuid).ok(),
        ObjectKind::Refund => id.parse().map(RefundId::uuid).ok(),
        ObjectKind::Subscription => id.parse().map(SubscriptionId::uuid).ok(),
        ObjectKind::PaymentLink => id.parse().map(PaymentLinkId::uuid).ok(),
        ObjectKind::Plan => None,
    }
}

fn facts_of(report: &MessageReport, at: At<'_>) -> MessageFacts {
    MessageFacts {
        segments: report.segments,
        cost: report.cost.as_ref().and_then(kind::cost),
        sender: report.sender.clone(),
        consent: None,
        failure: report.failure.clone().map(kind::failure),
        provider_data: at.kept.shown().map(|text| text.get().to_owned()),
        told: Some(Telling {
            at_ms: at.event.occurred_at,
        }),
    }
}

/// What a message will probably cost, where its answer was lost and nobody has said it yet.
fn estimate(reported: &mut Reported<Sms>, row: &ObjectRow, adapter: &Adapter) {
    if reported.facts.cost.is_some() {
        return;
    }
    let Ok(object) = Object::<Sms>::from_row(row.clone()) else {
        return;
    };
    if object.facts.cost.is_none() {
        let segments = reported.facts.segments.or(object.facts.segments);
        let (manifest, to) = (adapter.manifest(), &object.request.to);
        let count = segments.unwrap_or(1).max(1);
        reported.facts.cost = kind::estimate(manifest, Category::Sms, to, count);
    }
}

fn consent(consent: Consent) -> String {
    match consent {
        Consent::Stop => "stop",
        Consent::Start => "start",
        Consent::Help => "help",
    }
    .to_owned()
}

/// An e-mail as users see it, with what its recipient has done.
fn with_engagement(mut shown: String, what: &str, link: Option<&str>) -> String {
    let engagement = serde_json::json!({ "type": what, "link": link });
    if shown.pop() == Some('}') {
        shown.push_str(",\"engagement\":");
        shown.push_str(&engagement.to_string());
        shown.push('}');
    }
    shown
}
