//! Webhooks: the API that manages them, and posting to them.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    NAME, State, TEAM,
    email::{check_id, timestamp},
    error::ResendError,
    event,
    list::Cursor,
    send::parse_json,
    svix::{Secret, Svix},
};
use crate::{
    call::Call,
    core::Core,
    lock,
    reply::Reply,
    webhooks::{
        Delivery, NewWebhook, Outcome, Signature, Times, Total, Webhook, WebhookChange,
        WebhookError, WebhookTargets, parse_target, pick_events,
    },
};

/// More is a loop gone wrong.
const WEBHOOKS_MAX: usize = 1_000;
/// Without a single success; after that an endpoint is switched off.
const FAILING_MAX: TimeDelta = TimeDelta::days(5);
const TIMES: Times = Times {
    connect: Duration::from_secs(15),
    read: Duration::from_secs(15),
    total: Total::OfEachAttempt(Duration::from_secs(15)),
};

#[derive(Debug, Default)]
pub(super) struct Webhooks(Vec<Hook>);

struct Hook {
    id: String,
    endpoint: url::Url,
    events: Vec<&'static str>,
    secret: Secret,
    enabled: bool,
    created_at: DateTime<Utc>,
    failing_since: Option<DateTime<Utc>>,
}

/// One thing that happened, told to everybody who wants to hear of it.
#[derive(Debug)]
pub(super) struct Telling<'a> {
    pub(super) event: &'static str,
    pub(super) object: &'a str,
    pub(super) at: DateTime<Utc>,
    pub(super) body: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    endpoint: Option<String>,
    events: Option<Vec<String>>,
    status: Option<Status>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Enabled,
    Disabled,
}

/// `POST /webhooks`
pub(super) fn create(state: &State, call: &Call) -> Result<Reply, ResendError> {
    let body = parse(call)?;
    let new = NewWebhook {
        url: body
            .endpoint
            .ok_or_else(|| ResendError::missing("endpoint"))?,
        events: Some(body.events.ok_or_else(|| ResendError::missing("events"))?),
        ..NewWebhook::default()
    };
    let now = state.core.clock.now();
    let targets = state.core.webhooks.targets;
    let hook = lock(&state.webhooks)
        .add(&new, targets, now)
        .map_err(invalid)?;
    state.core.webhooks.ring();
    let answer = json!({ "object": "webhook", "id": hook.id, "signing_secret": hook.secret });
    Ok(Reply::json(StatusCode::CREATED, &answer))
}

/// `GET /webhooks`: newest first, without secrets.
pub(super) fn list(state: &State, call: &Call) -> Result<Reply, ResendError> {
    let cursor = Cursor::of(call)?;
    let webhooks = lock(&state.webhooks);
    let newest_first = webhooks.0.iter().enumerate().rev();
    let place = |id: &str| {
        check_id(id)?;
        let place = webhooks.0.iter().position(|hook| hook.id == id);
        place.ok_or_else(not_found)
    };
    let (found, has_more) = cursor.page(newest_first, place)?;
    let data: Vec<Value> = found.into_iter().map(Hook::view_without_secret).collect();
    let page = json!({ "object": "list", "has_more": has_more, "data": data });
    Ok(Reply::json(StatusCode::OK, &page))
}

/// `GET /webhooks/{id}`
pub(super) fn fetch(state: &State, id: &str) -> Result<Reply, ResendError> {
    check_id(id)?;
    let webhooks = lock(&state.webhooks);
    let hook = webhooks.find(id).ok_or_else(not_found)?;
    let mut view = hook.view_without_secret();
    if let Value::Object(fields) = &mut view {
        fields.insert("object".to_owned(), "webhook".into());
        fields.insert("signing_secret".to_owned(), hook.secret.text().into());
    }
    Ok(Reply::json(StatusCode::OK, &view))
}

/// `PATCH /webhooks/{id}`
pub(super) fn update(state: &State, id: &str, call: &Call) -> Result<Reply, ResendError> {
    check_id(id)?;
    let body = parse(call)?;
    let change = WebhookChange {
        url: body.endpoint,
        secret: None,
        events: body.events,
        enabled: body.status.map(|status| status == Status::Enabled),
    };
    let targets = state.core.webhooks.targets;
    let changed = lock(&state.webhooks).change(id, &change, targets);
    changed.ok_or_else(not_found)?.map_err(invalid)?;
    state.core.webhooks.ring();
    Ok(Reply::json(
        StatusCode::OK,
        &json!({ "object": "webhook", "id": id }),
    ))
}

/// `DELETE /webhooks/{id}`
pub(super) fn remove(state: &State, id: &str) -> Result<Reply, ResendError> {
    check_id(id)?;
    if !lock(&state.webhooks).remove(id) {
        return Err(not_found());
    }
    state.core.webhooks.withdraw(id);
    Ok(Reply::json(
        StatusCode::OK,
        &json!({ "object": "webhook", "id": id, "deleted": true }),
    ))
}

fn parse(call: &Call) -> Result<Body, ResendError> {
    serde_json::from_value(parse_json(&call.body)?)
        .map_err(|error| ResendError::validation(error.to_string()))
}

fn invalid(error: WebhookError) -> ResendError {
    ResendError::validation(error.to_string())
}

fn not_found() -> ResendError {
    ResendError::saying("not_found", "Webhook not found")
}

impl Webhooks {
    pub(super) fn is_any_enabled(&self) -> bool {
        self.0.iter().any(|hook| hook.enabled)
    }

    pub(super) fn post(&self, core: &Core, telling: &Telling<'_>) {
        let wants = |hook: &&Hook| hook.enabled && hook.events.contains(&telling.event);
        let body = Bytes::from(telling.body.to_string());
        // The same message for every endpoint.
        let id = format!("msg_{}", Uuid::from_u128(rand::random()).simple());
        for hook in self.0.iter().filter(wants) {
            core.post(Delivery {
                provider: NAME,
                account: TEAM,
                webhook: hook.id.clone(),
                event: telling.event.to_owned(),
                event_id: id.clone(),
                object: telling.object.to_owned(),
                lane: telling.object.to_owned(),
                method: Method::POST,
                url: hook.endpoint.clone(),
                content_type: Some("application/json"),
                body: body.clone(),
                posted_at: telling.at,
                tried_at: None,
                attempts: 0,
                spent: Duration::ZERO,
                times: TIMES,
                signature: Signature::Right,
                rules: Arc::new(Svix {
                    secret: hook.secret.clone(),
                    id: id.clone(),
                }),
            });
        }
    }

    pub(super) fn add(
        &mut self,
        new: &NewWebhook,
        targets: WebhookTargets,
        now: DateTime<Utc>,
    ) -> Result<Webhook, WebhookError> {
        let account = new.account.as_deref().unwrap_or(TEAM);
        if account != TEAM {
            return Err(WebhookError::new(format!(
                "no account {account}; there is {TEAM}"
            )));
        }
        if new.number.is_some() {
            return Err(WebhookError::new("`number` is Twilio's"));
        }
        if self.0.len() >= WEBHOOKS_MAX {
            return Err(WebhookError::new(format!(
                "at most {WEBHOOKS_MAX} webhooks"
            )));
        }
        let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
        let hook = Hook {
            id: id.to_string(),
            endpoint: target(&new.url, targets)?,
            events: pick_events(new.events.as_deref(), &event::NAMES)?,
            secret: new
                .secret
                .as_deref()
                .map_or_else(|| Ok(Secret::new()), secret)?,
            enabled: true,
            created_at: now,
            failing_since: None,
        };
        let view = hook.view();
        self.0.push(hook);
        Ok(view)
    }

    pub(super) fn list(&self) -> Vec<Webhook> {
        self.0.iter().map(Hook::view).collect()
    }

    pub(super) fn change(
        &mut self,
        id: &str,
        change: &WebhookChange,
        targets: WebhookTargets,
    ) -> Option<Result<Webhook, WebhookError>> {
        let hook = self.0.iter_mut().find(|hook| hook.id == id)?;
        Some(hook.change(change, targets).map(|()| hook.view()))
    }

    pub(super) fn remove(&mut self, id: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|hook| hook.id != id);
        self.0.len() < before
    }

    /// Whether the endpoint is switched off by that.
    pub(super) fn ended(
        &mut self,
        delivery: &Delivery,
        outcome: &Outcome,
        now: DateTime<Utc>,
    ) -> bool {
        let Some(hook) = self.0.iter_mut().find(|hook| hook.id == delivery.webhook) else {
            return false;
        };
        if outcome.is_success() {
            hook.failing_since = None;
            return false;
        }
        let since = *hook
            .failing_since
            .get_or_insert(delivery.tried_at.unwrap_or(now));
        let is_over = now.signed_duration_since(since) >= FAILING_MAX;
        if is_over {
            hook.enabled = false;
        }
        is_over
    }

    fn find(&self, id: &str) -> Option<&Hook> {
        self.0.iter().find(|hook| hook.id == id)
    }
}

impl Hook {
    fn change(
        &mut self,
        change: &WebhookChange,
        targets: WebhookTargets,
    ) -> Result<(), WebhookError> {
        let endpoint = change.url.as_deref().map(|url| target(url, targets));
        let endpoint = endpoint.transpose()?;
        let events = change.events.as_deref();
        let events = events.map(|events| pick_events(Some(events), &event::NAMES));
        let events = events.transpose()?;
        let new_secret = change.secret.as_deref().map(secret).transpose()?;
        self.endpoint = endpoint.unwrap_or_else(|| self.endpoint.clone());
        self.events = events.unwrap_or_else(|| self.events.clone());
        self.secret = new_secret.unwrap_or_else(|| self.secret.clone());
        if let Some(enabled) = change.enabled {
            self.enabled = enabled;
            self.failing_since = None;
        }
        Ok(())
    }

    fn view(&self) -> Webhook {
        let events = self.events.iter();
        Webhook {
            id: self.id.clone(),
            provider: NAME,
            account: TEAM,
            url: self.endpoint.to_string(),
            secret: Some(self.secret.text().to_owned()),
            events: events.map(|event| (*event).to_owned()).collect(),
            enabled: self.enabled,
        }
    }

    fn view_without_secret(&self) -> Value {
        let status = if self.enabled { "enabled" } else { "disabled" };
        json!({
            "id": self.id,
            "endpoint": self.endpoint.as_str(),
            "events": self.events,
            "status": status,
            "created_at": timestamp(self.created_at),
        })
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

fn target(text: &str, targets: WebhookTargets) -> Result<url::Url, WebhookError> {
    let mut url = parse_target(text, targets)?;
    url.set_fragment(None);
    Ok(url)
}

fn secret(text: &str) -> Result<Secret, WebhookError> {
    let wrong = || WebhookError::new("a secret is `whsec_` and the Base64 of a key");
    Secret::parse(text).ok_or_else(wrong)
}
