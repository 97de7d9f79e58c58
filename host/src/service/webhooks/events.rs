//! Events: read as a list and as a feed, told once more, and made to try things with.

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::code::ErrorCode;
use onerouter_domain::environment::Environment;
use onerouter_domain::event::{ENDPOINT_TEST, EventPattern};
use onerouter_domain::id::{EventId, WebhookEndpointId};
use uuid::Uuid;

use super::samples;
use super::view::{DeliveryView, EndpointView, EventView, ResendView};
use super::{Asked, Webhooks, finish, reach, repeats};
use crate::ids;
use crate::service::audit::Change;
use crate::service::authentication::unavailable;
use crate::service::caller::Caller;
use crate::service::objects::Answer;
use crate::service::refusal::{FieldMistake, Refusal};
use crate::store::TenantTx;
use crate::store::{EventFilter, EventOrder, NewEvent, ToldEvent, ToldRange, WebhookEndpointRow};

/// Events appear in the feed when they are this old: the id of an event is made before its transaction is
/// seen, by one of several clocks, and a reader who has passed an id never comes back to it. On PostgreSQL a
/// transaction that lasts longer holds the feed back until it has ended.
pub const FEED_DELAY: TimeDelta = TimeDelta::seconds(30);

/// Events that one request to tell them again looks at.
pub const RESEND_MAX: u32 = 1_000;

/// In which order a caller reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// The newest first.
    Newest,
    /// The oldest first: the feed.
    Feed,
}

/// Which events a caller wants to see.
#[derive(Debug, Clone)]
pub struct EventQuery {
    /// In which order.
    pub reading: Reading,
    /// How many at most.
    pub limit: u16,
    /// Behind this one.
    pub cursor: Option<EventId>,
    /// Only these.
    pub types: Option<EventPattern>,
    /// Only about this object.
    pub object_id: Option<Uuid>,
    /// Only of this time or later.
    pub created_after: Option<DateTime<Utc>>,
    /// Only before this time.
    pub created_before: Option<DateTime<Utc>>,
}

/// A page of events.
#[derive(Debug)]
pub struct Events {
    /// In the order that was asked for.
    pub data: Vec<EventView>,
    /// Whether there are more now.
    pub has_more: bool,
    /// Where to go on; in the feed it is always there.
    pub next_cursor: Option<EventId>,
}

/// Which events are told again to one endpoint.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Again {
    /// From this time on.
    pub since: DateTime<Utc>,
    /// Before this time; until now where there is none.
    pub until: Option<DateTime<Utc>>,
    /// Only those that the endpoint has not taken, and is not still told.
    pub only_failed: bool,
    /// Behind this one.
    pub cursor: Option<EventId>,
}

impl Webhooks {
    /// A page of the events that the caller may hear of.
    ///
    /// # Errors
    /// `insufficient_scope` where it asks for others.
    pub async fn events(&self, caller: &Caller, query: EventQuery) -> Result<Events, Refusal> {
        let failed = |error| unavailable("cannot list events", &error);
        let families = match &query.types {
            Some(types) => {
                reach::may_hear_of(caller, types.as_str())?;
                None
            }
            None => reach::families(caller),
        };
        let mut tx = self.store.begin_read(caller.tenant).await.map_err(failed)?;
        let order = match query.reading {
            Reading::Newest => EventOrder::Newest,
            Reading::Feed => {
                let wanted = self.clock.now() - FEED_DELAY;
                let until = tx.events_complete_until(wanted).await.map_err(failed)?;
                EventOrder::OldestUntil(until)
            }
        };
        let filter = EventFilter {
            environment: caller.environment,
            order,
            limit: u32::from(query.limit),
            cursor: query.cursor,
            types: query.types,
            families,
            object_id: query.object_id,
            created_after: query.created_after,
            created_before: query.created_before,
        };
        let mut page = tx.list_events(&filter).await.map_err(failed)?;
        let limit = usize::from(query.limit);
        let is_full = page.rows.len() > limit;
        page.rows.truncate(limit);
        let last = page.rows.last().map(|row| row.id);
        // With a filter the page may have ended before the events did.
        let reached = if is_full { last } else { page.looked_until };
        let next_cursor = match query.reading {
            Reading::Newest => reached,
            Reading::Feed => {
                let start = || query.cursor.unwrap_or(EventId::from_uuid(Uuid::nil()));
                Some(reached.or(last).unwrap_or_else(start))
            }
        };
        Ok(Events {
            data: page.rows.into_iter().map(EventView::from).collect(),
            has_more: reached.is_some(),
            next_cursor,
        })
    }

    /// One event.
    ///
    /// # Errors
    /// `not_found`; `insufficient_scope` where the caller may not read what it is about.
    pub async fn event(&self, caller: &Caller, id: EventId) -> Result<EventView, Refusal> {
        let failed = |error| unavailable("cannot read an event", &error);
        let mut tx = self.store.begin_read(caller.tenant).await.map_err(failed)?;
        let found = tx.find_event(id).await.map_err(failed)?;
        let row = found
            .filter(|row| row.environment == caller.environment)
            .ok_or_else(|| Refusal::not_found("event"))?;
        reach::may_hear_of(caller, &row.event_type)?;
        Ok(row.into())
    }

    /// Tells an event once more: to one endpoint, or to each that wants it. The answer has the deliveries.
    ///
    /// # Errors
    /// `not_found`; `invalid_state` for an endpoint that is disabled; `insufficient_scope` for one that does
    /// not want it, where the caller may not read what it is about.
    pub async fn resend_event(
        &self,
        asked: Asked<'_>,
        id: EventId,
        endpoint: Option<WebhookEndpointId>,
    ) -> Result<Answer, Refusal> {
        let caller = asked.caller;
        let failed = |error| unavailable("cannot resend an event", &error);
        let now = self.clock.now();
        let mut tx = self.store.begin(caller.tenant).await.map_err(failed)?;
        if let Some(kept) = repeats::claim(&mut tx, asked, id.uuid(), now).await? {
            return Ok(kept.answer());
        }
        let found = tx.find_event(id).await.map_err(failed)?;
        let event = found
            .filter(|row| row.environment == caller.environment)
            .ok_or_else(|| Refusal::not_found("event"))?;
        let told = ToldEvent {
            id,
            event_type: event.event_type,
            object_id: event.object_id,
            sequence: event.object_version,
            is_wanted: true,
        };
        let endpoints = match endpoint {
            Some(endpoint) => {
                let row = enabled(&mut tx, caller, endpoint).await?;
                if !row.wants(&told.event_type) {
                    reach::may_hear_of(caller, &told.event_type)?;
                }
                vec![row.id]
            }
            None => wanting(&mut tx, caller, &told.event_type).await?,
        };
        let mut made = Vec::with_capacity(endpoints.len());
        for endpoint in endpoints {
            made.push(deliver(&mut tx, endpoint, &told, now).await?);
        }
        let change = noted(
            "event.resent",
            id,
            serde_json::json!({"deliveries": made.len()}),
        );
        let body = serde_json::to_vec(&DeliveriesMade::of(made)).unwrap_or_default();
        done(tx, asked, change, body, now).await
    }

    /// Tells an endpoint once more what has happened in a time and it wants to hear of. The answer has the
    /// number of deliveries, and where to go on.
    ///
    /// # Errors
    /// `not_found`; `invalid_state` for an endpoint that is disabled.
    pub async fn resend_range(
        &self,
        asked: Asked<'_>,
        id: WebhookEndpointId,
        again: Again,
    ) -> Result<Answer, Refusal> {
        let caller = asked.caller;
        let failed = |error| unavailable("cannot resend events", &error);
        let now = self.clock.now();
        let until = again.until.unwrap_or(now);
        if until <= again.since {
            let mistake = FieldMistake::new("/since", "out_of_range", "must lie before until");
            return Err(Refusal::invalid(vec![mistake]));
        }
        let mut tx = self.store.begin(caller.tenant).await.map_err(failed)?;
        if let Some(kept) = repeats::claim(&mut tx, asked, id.uuid(), now).await? {
            return Ok(kept.answer());
        }
        let endpoint = enabled(&mut tx, caller, id).await?;
        let range = ToldRange {
            endpoint: id,
            environment: caller.environment,
            since: again.since,
            until,
            after: again.cursor,
            untaken_since: again.only_failed.then_some(endpoint.created_at),
            limit: RESEND_MAX,
        };
        let mut events = tx.list_told_events(&range).await.map_err(failed)?;
        let is_full = events.len() >= usize::try_from(RESEND_MAX).unwrap_or(usize::MAX);
        let next = events.last().map(|event| event.id).filter(|_| is_full);
        // Nobody is tested with another endpoint's test.
        let is_others_test =
            |event: &ToldEvent| event.event_type == ENDPOINT_TEST && event.object_id != id.uuid();
        let wants = |event: &ToldEvent| endpoint.wants(&event.event_type) && !is_others_test(event);
        events.retain(|event| event.is_wanted && wants(event));
        let made = tx.deliver_again(id, &events, now).await.map_err(failed)?;
        let told = serde_json::json!({
            "since": onerouter_domain::time::to_text(again.since),
            "until": onerouter_domain::time::to_text(until),
            "only_failed": again.only_failed,
            "deliveries": made.len(),
        });
        let change = noted("webhook_endpoint.resent", id, told);
        let view = ResendView::new(made.len(), next.map(|next| next.to_string()));
        let body = serde_json::to_vec(&view).unwrap_or_default();
        done(tx, asked, change, body, now).await
    }

    /// Tells one endpoint of something that has not happened. The answer has the delivery.
    ///
    /// # Errors
    /// `not_found`; `invalid_state` for an endpoint that is disabled; `validation_failed` for another type
    /// than that of test events with a live key: nobody is to take it for real.
    pub async fn test(
        &self,
        asked: Asked<'_>,
        id: WebhookEndpointId,
        event_type: Option<&str>,
    ) -> Result<Answer, Refusal> {
        let caller = asked.caller;
        let failed = |error| unavailable("cannot test a webhook endpoint", &error);
        let now = self.clock.now();
        let (row, secrets) = match self.opened(caller, id).await {
            Ok(opened) => opened,
            Err(refused) => {
                let kept = repeats::or_refused(&self.store, asked, now, refused);
                return Ok(kept.await?.answer());
            }
        };
        let event = match event_type {
            Some(event_type) if event_type != ENDPOINT_TEST => {
                sample(caller.environment, event_type, now)?
            }
            Some(_) | None => {
                let data = serde_json::to_string(&EndpointView::of(&row, &secrets, now));
                NewEvent {
                    id: EventId::from_uuid(ids::next()),
                    environment: caller.environment,
                    event_type: ENDPOINT_TEST.to_owned(),
                    object_id: id.uuid(),
                    // An endpoint has no versions; its events have an order.
                    object_version: onerouter_domain::time::to_millis(now),
                    data: data.unwrap_or_default(),
                    created_at: now,
                }
            }
        };
        let mut tx = self.store.begin(caller.tenant).await.map_err(failed)?;
        if let Some(kept) = repeats::claim(&mut tx, asked, id.uuid(), now).await? {
            return Ok(kept.answer());
        }
        enabled(&mut tx, caller, id).await?;
        tx.insert_untold_event(&event).await.map_err(failed)?;
        let told = ToldEvent {
            id: event.id,
            event_type: event.event_type,
            object_id: event.object_id,
            sequence: event.object_version,
            is_wanted: true,
        };
        let delivery = deliver(&mut tx, id, &told, now).await?;
        let shown = serde_json::json!({"type": told.event_type, "event_id": told.id});
        let change = noted("webhook_endpoint.tested", id, shown);
        let body = serde_json::to_vec(&delivery).unwrap_or_default();
        done(tx, asked, change, body, now).await
    }

    /// Makes an event of something that has not happened, and tells it to everybody who wants to hear of its
    /// type. The answer has the event.
    ///
    /// # Errors
    /// `validation_failed` with a live key: nobody is to take it for real.
    pub async fn create_sample(
        &self,
        asked: Asked<'_>,
        event_type: &str,
    ) -> Result<Answer, Refusal> {
        let caller = asked.caller;
        let failed = |error| unavailable("cannot make a sample event", &error);
        let now = self.clock.now();
        let event = sample(caller.environment, event_type, now)?;
        let mut tx = self.store.begin(caller.tenant).await.map_err(failed)?;
        if let Some(kept) = repeats::claim(&mut tx, asked, event.id.uuid(), now).await? {
            return Ok(kept.answer());
        }
        tx.insert_event(&event).await.map_err(failed)?;
        let shown = serde_json::json!({"type": event.event_type});
        let change = noted("event.sampled", event.id, shown);
        let stored = tx.find_event(event.id).await.map_err(failed)?;
        let row = stored.ok_or_else(|| Refusal::not_found("event"))?;
        let body = serde_json::to_vec(&EventView::from(row)).unwrap_or_default();
        done(tx, asked, change, body, now).await
    }
}

/// Ends a request that was done, and answers it.
async fn done(
    tx: TenantTx,
    asked: Asked<'_>,
    change: Change,
    body: Vec<u8>,
    now: DateTime<Utc>,
) -> Result<Answer, Refusal> {
    const DONE: u16 = 200;
    finish(tx, asked, change, (DONE, &body), now).await?;
    Ok(Answer {
        status: DONE,
        body: body.into(),
        is_replay: false,
    })
}

/// The deliveries of one event.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = WebhookDeliveriesMade)]
pub struct DeliveriesMade {
    /// `list`
    object: &'static str,
    /// One for each endpoint.
    data: Vec<DeliveryView>,
    /// `false`: these are all.
    has_more: bool,
    /// Null: these are all.
    next_cursor: Option<String>,
}

impl DeliveriesMade {
    const fn of(data: Vec<DeliveryView>) -> Self {
        Self {
            object: "list",
            data,
            has_more: false,
            next_cursor: None,
        }
    }
}

fn sample(
    environment: Environment,
    event_type: &str,
    now: DateTime<Utc>,
) -> Result<NewEvent, Refusal> {
    let refused =
        |detail: &str| Refusal::invalid(vec![FieldMistake::new("/type", "invalid", detail)]);
    if environment.is_live() {
        return Err(refused(
            "samples are made with test keys only; with a live key an endpoint can be sent endpoint.test",
        ));
    }
    samples::event(event_type, environment, now).ok_or_else(|| {
        refused("must be a type of event about an object, such as payment.succeeded")
    })
}

/// One of the caller's endpoints, to which something is sent.
async fn enabled(
    tx: &mut TenantTx,
    caller: &Caller,
    id: WebhookEndpointId,
) -> Result<WebhookEndpointRow, Refusal> {
    let found = tx.find_webhook_endpoint(id).await;
    let found = found.map_err(|error| unavailable("cannot find a webhook endpoint", &error))?;
    let row = found
        .filter(|row| row.environment == caller.environment)
        .ok_or_else(|| Refusal::not_found(super::NOUN))?;
    if row.disabled_at.is_some() {
        return Err(Refusal::new(
            ErrorCode::InvalidState,
            "This webhook endpoint is disabled; enable it first.",
        )
        .about(id));
    }
    Ok(row)
}

/// The caller's endpoints that are enabled and want to hear of a type.
async fn wanting(
    tx: &mut TenantTx,
    caller: &Caller,
    event_type: &str,
) -> Result<Vec<WebhookEndpointId>, Refusal> {
    let most = u32::try_from(super::endpoints::ENDPOINTS_MAX).unwrap_or(u32::MAX);
    let rows = tx.list_webhook_endpoints(caller.environment, None, most);
    let rows = rows
        .await
        .map_err(|error| unavailable("cannot list webhook endpoints", &error))?;
    let wanting = rows
        .into_iter()
        .filter(|row| row.disabled_at.is_none() && row.wants(event_type))
        .map(|row| row.id);
    Ok(wanting.collect())
}

async fn deliver(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    event: &ToldEvent,
    now: DateTime<Utc>,
) -> Result<DeliveryView, Refusal> {
    let failed = |error| unavailable("cannot make a delivery", &error);
    let made = tx
        .deliver_again(endpoint, std::slice::from_ref(event), now)
        .await;
    let id = made.map_err(failed)?.pop();
    let missing = || Refusal::not_found("delivery");
    let found = tx
        .find_delivery(endpoint, id.ok_or_else(missing)?)
        .await
        .map_err(failed)?;
    found.map(DeliveryView::from).ok_or_else(missing)
}

/// Something that was done and changed nothing that there is, as the audit log tells it.
fn noted(action: &'static str, target: impl ToString, what: serde_json::Value) -> Change {
    Change {
        action,
        target: target.to_string(),
        before: None,
        after: Some(what),
    }
}
