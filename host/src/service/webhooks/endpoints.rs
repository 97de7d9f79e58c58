//! Endpoints: made, shown, changed, given new secrets, deleted. What changes one is noted in the audit log.

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::code::ErrorCode;
use onerouter_domain::event::EventPattern;
use onerouter_domain::id::{DeliveryId, WebhookEndpointId};
use onerouter_domain::time;
use serde::Serialize;
use serde_json::{Value, json};

use super::secrets::{EndpointSecrets, SigningKind, SigningSecret};
use super::view::{DeletedEndpointView, DeliveryView, EndpointView};
use super::{Asked, NOUN, Webhooks, finish, place_of, reach, repeats, sealing_failed};
use crate::ids;
use crate::service::audit::{self, Actor, Change};
use crate::service::authentication::unavailable;
use crate::service::caller::Caller;
use crate::service::objects::{Answer, Intent};
use crate::service::refusal::Refusal;
use crate::store::{DeliveryFilter, WebhookEndpointRow};

/// Endpoints of one tenant and environment. Each event is written down for each that wants it.
pub const ENDPOINTS_MAX: u64 = 50;
/// Old secrets sign for this long at most.
pub const OVERLAP_MAX: TimeDelta = TimeDelta::hours(168);
/// Secrets that sign at the same time: each makes the header of every delivery longer.
const SECRETS_MAX: usize = 5;
/// Why an endpoint is disabled that its tenant has disabled.
const REQUESTED: &str = "requested";
/// How often a change is tried while others change the same endpoint.
const TRIES: usize = 3;

/// An endpoint to be made.
#[derive(Debug, Clone, Serialize)]
pub struct NewEndpoint {
    /// Where deliveries are posted to.
    pub url: String,
    /// For people.
    pub description: Option<String>,
    /// Of which events it hears; none for all.
    pub event_types: Option<Vec<EventPattern>>,
    /// What goes with each delivery.
    pub headers: Vec<(String, String)>,
    /// Whether of one object's events the next waits for the one before.
    pub is_ordered: bool,
    /// Deliveries a second.
    pub rate_per_second: Option<u32>,
    /// How deliveries are signed.
    pub signing: SigningKind,
}

/// What is changed of an endpoint: what is none stays.
#[derive(Debug, Clone, Default)]
pub struct EndpointChange {
    /// Where deliveries are posted to.
    pub url: Option<String>,
    /// For people.
    pub description: Option<Option<String>>,
    /// Of which events it hears.
    pub event_types: Option<Option<Vec<EventPattern>>>,
    /// What goes with each delivery: all of it.
    pub headers: Option<Vec<(String, String)>>,
    /// Whether of one object's events the next waits for the one before.
    pub is_ordered: Option<bool>,
    /// Deliveries a second.
    pub rate_per_second: Option<Option<u32>>,
    /// Whether anything is sent.
    pub is_enabled: Option<bool>,
}

impl EndpointChange {
    /// The endpoint after it.
    fn of(&self, row: &WebhookEndpointRow, now: DateTime<Utc>) -> WebhookEndpointRow {
        let mut next = row.clone();
        if let Some(url) = &self.url {
            next.url.clone_from(url);
            if row.url != *url {
                // How the other one did says nothing about this one.
                next.failing_since = None;
                next.paused_until = None;
            }
        }
        if let Some(description) = &self.description {
            next.description.clone_from(description);
        }
        if let Some(event_types) = &self.event_types {
            next.event_types.clone_from(event_types);
        }
        if let Some(is_ordered) = self.is_ordered {
            next.is_ordered = is_ordered;
        }
        if let Some(rate) = self.rate_per_second {
            next.rate_per_second = rate;
        }
        match self.is_enabled {
            // Whatever went wrong before counts no more.
            Some(true) => {
                next.disabled_reason = None;
                next.disabled_at = None;
                next.failing_since = None;
                next.paused_until = None;
            }
            Some(false) if row.disabled_at.is_none() => {
                next.disabled_reason = Some(REQUESTED.to_owned());
                next.disabled_at = Some(now);
            }
            Some(false) | None => {}
        }
        next.updated_at = after(row, now);
        next
    }
}

/// A time that differs from the one at which the endpoint was last written, by which others notice.
fn after(row: &WebhookEndpointRow, now: DateTime<Utc>) -> DateTime<Utc> {
    now.max(row.updated_at + TimeDelta::microseconds(1))
}

impl Webhooks {
    /// Makes an endpoint. The answer shows its secret.
    ///
    /// # Errors
    /// `insufficient_scope` where the caller may not read what it is to hear of; `conflict` when there are
    /// too many.
    pub async fn create(&self, asked: Asked<'_>, new: NewEndpoint) -> Result<Answer, Refusal> {
        let caller = asked.caller;
        let during = "cannot make a webhook endpoint";
        let failed = |error| unavailable(during, &error);
        let sealing = |error| sealing_failed(during, &error);
        reach::may_hear(caller, new.event_types.as_deref())?;
        let now = self.clock.now();
        let secret = SigningSecret::generate(new.signing).map_err(sealing)?;
        let secrets = EndpointSecrets {
            signing: vec![secret],
            headers: new.headers,
        };
        let mut row = WebhookEndpointRow {
            id: WebhookEndpointId::from_uuid(ids::next()),
            tenant_id: caller.tenant,
            environment: caller.environment,
            url: new.url,
            description: new.description,
            event_types: new.event_types,
            secrets: Vec::new(),
            is_ordered: new.is_ordered,
            rate_per_second: new.rate_per_second,
            disabled_reason: None,
            disabled_at: None,
            failing_since: None,
            paused_until: None,
            created_at: now,
            updated_at: now,
        };
        row.secrets = self.seal(&row, &secrets, during).await?;
        let shown = self.with_secret(&row, &secrets, asked.intent, 201).await?;
        let mut tx = self.store.begin(caller.tenant).await.map_err(failed)?;
        if let Some(kept) = repeats::claim(&mut tx, asked, row.id.uuid(), now).await? {
            drop(tx);
            return self.opened_answer(caller, kept).await;
        }
        let count = tx.count_webhook_endpoints(caller.environment).await;
        if count.map_err(failed)? >= ENDPOINTS_MAX {
            return Err(Refusal::new(
                ErrorCode::Conflict,
                format!(
                    "There are {ENDPOINTS_MAX} webhook endpoints in this environment, which is the most; delete one first."
                ),
            ));
        }
        tx.insert_webhook_endpoint(&row).await.map_err(failed)?;
        let change = change("webhook_endpoint.created", None, Some((&row, &secrets)));
        finish(tx, asked, change, (201, &shown.kept), now).await?;
        Ok(shown.answer)
    }

    /// The caller's endpoints, newest first; one more than `limit` tells whether there are more.
    ///
    /// # Errors
    /// The database or the vault cannot be used.
    pub async fn list(
        &self,
        caller: &Caller,
        limit: u16,
        before: Option<WebhookEndpointId>,
    ) -> Result<Vec<(WebhookEndpointId, EndpointView)>, Refusal> {
        let failed = |error| unavailable("cannot list webhook endpoints", &error);
        let limit = u32::from(limit) + 1;
        let mut tx = self.store.begin_read(caller.tenant).await.map_err(failed)?;
        let rows = tx.list_webhook_endpoints(caller.environment, before, limit);
        let rows = rows.await.map_err(failed)?;
        drop(tx);
        let now = self.clock.now();
        let mut views = Vec::with_capacity(rows.len());
        for row in rows {
            let secrets = self.open(&row).await?;
            views.push((row.id, EndpointView::of(&row, &secrets, now)));
        }
        Ok(views)
    }

    /// One endpoint.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get(
        &self,
        caller: &Caller,
        id: WebhookEndpointId,
    ) -> Result<EndpointView, Refusal> {
        let (row, secrets) = self.opened(caller, id).await?;
        Ok(EndpointView::of(&row, &secrets, self.clock.now()))
    }

    /// Changes an endpoint.
    ///
    /// # Errors
    /// `not_found`; `insufficient_scope` where the caller may not read what it hears of then, whatever is
    /// changed: it may be where that is sent; `conflict` when others change it at the same moment.
    pub async fn update(
        &self,
        caller: &Caller,
        actor: &Actor,
        id: WebhookEndpointId,
        asked: &EndpointChange,
    ) -> Result<EndpointView, Refusal> {
        let during = "cannot change a webhook endpoint";
        let failed = |error| unavailable(during, &error);
        for _ in 0..TRIES {
            let (row, before) = self.opened(caller, id).await?;
            let now = self.clock.now();
            let mut next = asked.of(&row, now);
            reach::may_hear(caller, next.event_types.as_deref())?;
            let mut secrets = self.open(&row).await?;
            if let Some(headers) = &asked.headers {
                secrets.headers.clone_from(headers);
                next.secrets = self.seal(&next, &secrets, during).await?;
            }
            let mut tx = self.store.begin(caller.tenant).await.map_err(failed)?;
            let written = tx.update_webhook_endpoint(&next, row.updated_at).await;
            if !written.map_err(failed)? {
                continue;
            }
            let (old, new) = (Some((&row, &before)), Some((&next, &secrets)));
            audit::record_by(
                &mut tx,
                actor,
                change("webhook_endpoint.updated", old, new),
                now,
            )
            .await
            .map_err(failed)?;
            tx.commit().await.map_err(failed)?;
            return Ok(EndpointView::of(&next, &secrets, now));
        }
        Err(restless())
    }

    /// Gives an endpoint a new secret. Those from before sign too for `overlap`. The answer shows the new
    /// one.
    ///
    /// # Errors
    /// `not_found`; `conflict` where too many secrets sign already, or others change the endpoint.
    pub async fn rotate_secret(
        &self,
        asked: Asked<'_>,
        id: WebhookEndpointId,
        overlap: TimeDelta,
    ) -> Result<Answer, Refusal> {
        match self.rotate(asked, id, overlap).await {
            Ok(answer) => Ok(answer),
            // Perhaps by this very request, which has made the last secret that there is room for.
            Err(refused) => {
                let now = self.clock.now();
                let kept = repeats::or_refused(&self.store, asked, now, refused).await?;
                self.opened_answer(asked.caller, kept).await
            }
        }
    }

    async fn rotate(
        &self,
        asked: Asked<'_>,
        id: WebhookEndpointId,
        overlap: TimeDelta,
    ) -> Result<Answer, Refusal> {
        let caller = asked.caller;
        let during = "cannot rotate the secret of a webhook endpoint";
        let failed = |error| unavailable(during, &error);
        for _ in 0..TRIES {
            let (row, before) = self.opened(caller, id).await?;
            let now = self.clock.now();
            let secrets = rotated(self.open(&row).await?, now, overlap)?;
            let mut next = WebhookEndpointRow {
                updated_at: after(&row, now),
                ..row.clone()
            };
            next.secrets = self.seal(&next, &secrets, during).await?;
            let shown = self.with_secret(&next, &secrets, asked.intent, 200).await?;
            let mut tx = self.store.begin(caller.tenant).await.map_err(failed)?;
            if let Some(kept) = repeats::claim(&mut tx, asked, id.uuid(), now).await? {
                drop(tx);
                return self.opened_answer(caller, kept).await;
            }
            let written = tx.update_webhook_endpoint(&next, row.updated_at).await;
            if !written.map_err(failed)? {
                continue;
            }
            let (old, new) = (Some((&row, &before)), Some((&next, &secrets)));
            let change = change("webhook_endpoint.secret_rotated", old, new);
            finish(tx, asked, change, (200, &shown.kept), now).await?;
            return Ok(shown.answer);
        }
        Err(restless())
    }

    /// Deletes an endpoint. What was still to be told to it is told no more.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn delete(
        &self,
        caller: &Caller,
        actor: &Actor,
        id: WebhookEndpointId,
    ) -> Result<DeletedEndpointView, Refusal> {
        let failed = |error| unavailable("cannot delete a webhook endpoint", &error);
        let (row, secrets) = self.opened(caller, id).await?;
        let now = self.clock.now();
        let mut tx = self.store.begin(caller.tenant).await.map_err(failed)?;
        if !tx.delete_webhook_endpoint(id).await.map_err(failed)? {
            return Err(Refusal::not_found(NOUN));
        }
        let change = change("webhook_endpoint.deleted", Some((&row, &secrets)), None);
        audit::record_by(&mut tx, actor, change, now)
            .await
            .map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        Ok(id.into())
    }

    /// Deliveries to an endpoint, newest first; one more than the limit tells whether there are more.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn deliveries(
        &self,
        caller: &Caller,
        mut filter: DeliveryFilter,
    ) -> Result<Vec<(DeliveryId, DeliveryView)>, Refusal> {
        let failed = |error| unavailable("cannot list deliveries", &error);
        self.endpoint(caller, filter.endpoint).await?;
        filter.limit = filter.limit.saturating_add(1);
        let mut tx = self.store.begin_read(caller.tenant).await.map_err(failed)?;
        let rows = tx.list_deliveries(&filter).await.map_err(failed)?;
        let views = rows.into_iter().map(|row| (row.id, row.into()));
        Ok(views.collect())
    }

    /// One delivery, with its attempts.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn delivery(
        &self,
        caller: &Caller,
        endpoint: WebhookEndpointId,
        id: DeliveryId,
    ) -> Result<DeliveryView, Refusal> {
        let failed = |error| unavailable("cannot read a delivery", &error);
        self.endpoint(caller, endpoint).await?;
        let mut tx = self.store.begin_read(caller.tenant).await.map_err(failed)?;
        let found = tx.find_delivery(endpoint, id).await.map_err(failed)?;
        let row = found.ok_or_else(|| Refusal::not_found("delivery"))?;
        let attempts = tx.list_delivery_attempts(id).await.map_err(failed)?;
        Ok(DeliveryView::from(row).with_attempts(attempts))
    }

    async fn seal(
        &self,
        row: &WebhookEndpointRow,
        secrets: &EndpointSecrets,
        during: &str,
    ) -> Result<Vec<u8>, Refusal> {
        let sealed = secrets.seal(&self.vault, place_of(row)).await;
        sealed.map_err(|error| sealing_failed(during, &error))
    }

    /// The answer that shows an endpoint's secret, and as it is kept: encrypted.
    async fn with_secret(
        &self,
        row: &WebhookEndpointRow,
        secrets: &EndpointSecrets,
        intent: &Intent,
        status: u16,
    ) -> Result<WithSecret, Refusal> {
        let mut view = EndpointView::of(row, secrets, self.clock.now());
        if let Some(newest) = secrets.signing.first() {
            view = view.with_secret(newest);
        }
        let body = serde_json::to_vec(&view).unwrap_or_default();
        let kept = if intent.key.is_some() {
            let sealed = place_of(row).seal_answer(&self.vault, &body).await;
            sealed.map_err(|error| sealing_failed("cannot keep an answer", &error))?
        } else {
            Vec::new()
        };
        let answer = Answer {
            status,
            body: body.into(),
            is_replay: false,
        };
        Ok(WithSecret { answer, kept })
    }

    async fn opened_answer(&self, caller: &Caller, kept: repeats::Kept) -> Result<Answer, Refusal> {
        let place = super::EndpointPlace {
            tenant: caller.tenant,
            environment: caller.environment,
            endpoint: WebhookEndpointId::from_uuid(kept.object),
        };
        let body = place.open_answer(&self.vault, &kept.body).await;
        let body = body.map_err(|error| sealing_failed("cannot open a kept answer", &error))?;
        let mut answer = kept.answer();
        answer.body = body.to_vec().into();
        Ok(answer)
    }
}

/// An answer that shows a secret.
struct WithSecret {
    answer: Answer,
    kept: Vec<u8>,
}

/// A new secret before those that there are, which end after `overlap`.
fn rotated(
    mut secrets: EndpointSecrets,
    now: DateTime<Utc>,
    overlap: TimeDelta,
) -> Result<EndpointSecrets, Refusal> {
    let kind = secrets
        .signing
        .first()
        .map_or(SigningKind::Hmac, |one| one.kind);
    let new = SigningSecret::generate(kind)
        .map_err(|error| sealing_failed("cannot make a secret", &error))?;
    let ends = now + overlap;
    for old in &mut secrets.signing {
        old.expires_at = Some(old.expires_at.map_or(ends, |expires| expires.min(ends)));
    }
    secrets.signing.retain(|old| old.is_in_use(now));
    if secrets.signing.len() >= SECRETS_MAX {
        return Err(Refusal::new(
            ErrorCode::Conflict,
            format!(
                "{SECRETS_MAX} secrets of this endpoint sign already; wait until one has ended, or end them by overlap_seconds 0."
            ),
        ));
    }
    secrets.signing.insert(0, new);
    Ok(secrets)
}

fn restless() -> Refusal {
    Refusal::new(
        ErrorCode::Conflict,
        "Others change this webhook endpoint at the same moment. Try again.",
    )
}

type Seen<'a> = (&'a WebhookEndpointRow, &'a EndpointSecrets);

/// An endpoint's change, as the audit log tells it.
fn change(action: &'static str, before: Option<Seen<'_>>, after: Option<Seen<'_>>) -> Change {
    let target = before.or(after).map(|(row, _)| row.id.to_string());
    Change {
        action,
        target: target.unwrap_or_default(),
        before: before.map(shown),
        after: after.map(shown),
    }
}

fn shown((row, secrets): Seen<'_>) -> Value {
    let names: Vec<&str> = secrets
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let types = row.event_types.as_ref().map(|types| {
        let texts = types.iter().map(EventPattern::as_str);
        texts.collect::<Vec<_>>()
    });
    let signing: Vec<Value> = secrets
        .signing
        .iter()
        .map(|one| {
            json!({"kind": one.kind.as_str(), "expires_at": one.expires_at.map(time::to_text)})
        })
        .collect();
    json!({
        "environment": row.environment,
        "url": row.url,
        "description": row.description,
        "event_types": types,
        "headers": names,
        "ordered": row.is_ordered,
        "rate_limit": row.rate_per_second.map(|per_second| json!({"per_second": per_second})),
        "signing": signing,
        "disabled_reason": row.disabled_reason,
        "disabled_at": row.disabled_at.map(time::to_text),
    })
}
