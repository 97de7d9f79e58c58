//! `/v1/notifications/webhooks`, and posting to what was set up there.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use super::{
    super::{
        MERCHANT_ID, NAME, State,
        error::PaypalError,
        fields::{self, Dialect, Fields},
        id,
        outcome::{Outcome, link},
    },
    event::{self, Event},
    transmission::PaypalRules,
};
use crate::{
    call::Call,
    lock,
    webhooks::{
        Delivery, NewWebhook, Signature, TargetError, Times, Total, Webhook, WebhookChange,
        WebhookError, WebhookTargets, parse_target,
    },
};

const PATH: &str = "/v1/notifications/webhooks";
const EVERYTHING: &str = "*";
const PER_APP_MAX: usize = 10;
/// Not documented; no answer in this time counts as none.
const TIMES: Times = Times {
    connect: Duration::from_secs(10),
    read: Duration::from_secs(30),
    total: Total::OfEachAttempt(Duration::from_secs(30)),
};

#[derive(Debug, Default)]
pub(in super::super) struct Webhooks(Vec<Hook>);

#[derive(Debug)]
struct Hook {
    id: String,
    url: Url,
    /// Names, or `*` alone.
    events: Vec<&'static str>,
}

pub(in super::super) fn create(state: &State, call: &Call) -> Result<Outcome, PaypalError> {
    let body = fields::body(call)?;
    let body = Fields::of(&body, Dialect::Billing)?;
    let url = body.required_text("url", 1..=2048)?;
    let types = body.objects("event_types", 1..=500)?;
    let types = types.ok_or_else(|| body.missing("event_types"))?;
    let hook = Hook {
        id: id::payment(),
        url: target(url, state.core.webhooks.targets).map_err(|_elsewhere| elsewhere("/url"))?,
        events: parse_types(&types)?,
    };
    let view = hook.resource();
    lock(&state.notifications).webhooks.insert(hook)?;
    // The key takes a moment to make: now, not when the first event is sent.
    state.identity.prepare();
    state.core.webhooks.ring();
    Ok(Outcome::Answered(StatusCode::CREATED, view))
}

pub(in super::super) fn list(state: &State) -> Outcome {
    let notifications = lock(&state.notifications);
    let webhooks: Vec<Value> = notifications
        .webhooks
        .0
        .iter()
        .map(Hook::resource)
        .collect();
    Outcome::Shown(json!({ "webhooks": webhooks }))
}

pub(in super::super) fn get(state: &State, id: &str) -> Result<Outcome, PaypalError> {
    let notifications = lock(&state.notifications);
    let hook = notifications.webhooks.find(id).ok_or_else(unknown)?;
    Ok(Outcome::Shown(hook.resource()))
}

/// JSON patch, `replace` only, on `/url` and `/event_types`.
pub(in super::super) fn patch(
    state: &State,
    id: &str,
    call: &Call,
) -> Result<Outcome, PaypalError> {
    let body = fields::body(call)?;
    let wrong = || PaypalError::issue("INVALID_PARAMETER_SYNTAX").at("/");
    let changes = body.as_array().ok_or_else(wrong)?;
    let (mut url, mut events) = (None, None);
    for (index, change) in changes.iter().enumerate() {
        let at = format!("/{index}");
        let change = Fields::below(change, at.clone(), Dialect::Billing)?;
        change.check_choice("op", &["replace"])?;
        match change.required_text("path", 1..=64)? {
            "/url" => {
                let new = change.required_text("value", 1..=2048)?;
                let new = target(new, state.core.webhooks.targets);
                url = Some(new.map_err(|_elsewhere| elsewhere(&format!("{at}/value")))?);
            }
            "/event_types" => {
                let types = change.objects("value", 1..=500)?;
                let types = types.ok_or_else(|| change.missing("value"))?;
                events = Some(parse_types(&types)?);
            }
            _ => return Err(change.wrong("INVALID_PARAMETER_VALUE", "path")),
        }
    }
    let mut notifications = lock(&state.notifications);
    let hook = notifications.webhooks.find_mut(id).ok_or_else(unknown)?;
    hook.url = url.unwrap_or_else(|| hook.url.clone());
    hook.events = events.unwrap_or_else(|| hook.events.clone());
    Ok(Outcome::Shown(hook.resource()))
}

pub(in super::super) fn delete(state: &State, id: &str) -> Result<Outcome, PaypalError> {
    if !lock(&state.notifications).webhooks.remove(id) {
        return Err(unknown());
    }
    state.core.webhooks.withdraw(id);
    Ok(Outcome::Done)
}

/// `GET /v1/notifications/webhooks-event-types`
pub(in super::super) fn types() -> Outcome {
    let types: Vec<Value> = event::NAMES.into_iter().map(event_type).collect();
    Outcome::Shown(json!({ "event_types": types }))
}

fn event_type(name: &str) -> Value {
    json!({
        "name": name,
        "description": event::summary(name),
        "status": "ENABLED",
        "resource_versions": ["1.0", "2.0"],
    })
}

fn parse_types(types: &[Fields<'_>]) -> Result<Vec<&'static str>, PaypalError> {
    let parse = |each: &Fields<'_>| {
        let name = each.required_text("name", 1..=64)?;
        known(name).ok_or_else(|| each.wrong("INVALID_PARAMETER_VALUE", "name"))
    };
    types.iter().map(parse).collect()
}

fn known(name: &str) -> Option<&'static str> {
    let mut names = std::iter::once(EVERYTHING).chain(event::NAMES);
    names.find(|known| *known == name)
}

fn target(text: &str, targets: WebhookTargets) -> Result<Url, TargetError> {
    let mut url = parse_target(text, targets)?;
    url.set_fragment(None);
    Ok(url)
}

fn elsewhere(field: &str) -> PaypalError {
    PaypalError::issue("VALIDATION_ERROR").at(field)
}

fn unknown() -> PaypalError {
    PaypalError::issue("INVALID_RESOURCE_ID").in_path("webhook_id")
}

impl Webhooks {
    pub(in super::super) fn wants(&self, event: &str) -> bool {
        self.0.iter().any(|hook| hook.wants(event))
    }

    pub(in super::super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.find(id).is_some()
    }

    pub(super) fn post(&self, state: &State, event: &Event, lane: &str, at: DateTime<Utc>) {
        for hook in self.0.iter().filter(|hook| hook.wants(event.event_type)) {
            hook.post(state, event, lane, at);
        }
    }

    /// To those webhooks, or to all that want it, unless it is on its way there already.
    pub(super) fn post_again(&self, state: &State, event: &Event, ids: Option<&[&str]>) {
        let at = state.core.clock.now();
        let chosen = self.0.iter().filter(|hook| match ids {
            Some(ids) => ids.contains(&hook.id.as_str()),
            None => hook.wants(event.event_type),
        });
        for hook in chosen {
            if !state.core.webhooks.is_waiting(&hook.id, &event.id) {
                hook.post(state, event, &event.id, at);
            }
        }
    }

    pub(in super::super) fn add(
        &mut self,
        new: &NewWebhook,
        targets: WebhookTargets,
    ) -> Result<Webhook, WebhookError> {
        let account = new.account.as_deref().unwrap_or(MERCHANT_ID);
        if account != MERCHANT_ID && account != super::super::CLIENT_ID {
            return Err(WebhookError::new(format!("no account {account}")));
        }
        if new.secret.is_some() {
            let why = "PayPal signs with its certificate: `secret` cannot be set";
            return Err(WebhookError::new(why));
        }
        if new.number.is_some() {
            return Err(WebhookError::new("`number` is Twilio's"));
        }
        let hook = Hook {
            id: id::payment(),
            url: target(&new.url, targets)?,
            events: pick(new.events.as_deref())?,
        };
        let view = hook.view();
        match self.insert(hook) {
            Ok(()) => Ok(view),
            Err(_refused) => Err(WebhookError::new(
                "the URL has a webhook already, or the app has ten",
            )),
        }
    }

    pub(in super::super) fn list(&self) -> Vec<Webhook> {
        self.0.iter().map(Hook::view).collect()
    }

    pub(in super::super) fn change(
        &mut self,
        id: &str,
        change: &WebhookChange,
        targets: WebhookTargets,
    ) -> Option<Result<Webhook, WebhookError>> {
        let hook = self.find_mut(id)?;
        Some(hook.change(change, targets).map(|()| hook.view()))
    }

    pub(in super::super) fn remove(&mut self, id: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|hook| hook.id != id);
        self.0.len() < before
    }

    fn insert(&mut self, hook: Hook) -> Result<(), PaypalError> {
        if self.0.iter().any(|known| known.url == hook.url) {
            return Err(PaypalError::issue("WEBHOOK_URL_ALREADY_EXISTS").at("/url"));
        }
        if self.0.len() >= PER_APP_MAX {
            return Err(PaypalError::issue("WEBHOOK_NUMBER_LIMIT_EXCEEDED"));
        }
        self.0.push(hook);
        Ok(())
    }

    fn find(&self, id: &str) -> Option<&Hook> {
        self.0.iter().find(|hook| hook.id == id)
    }

    fn find_mut(&mut self, id: &str) -> Option<&mut Hook> {
        self.0.iter_mut().find(|hook| hook.id == id)
    }
}

fn pick(events: Option<&[String]>) -> Result<Vec<&'static str>, WebhookError> {
    let Some(events) = events.filter(|events| !events.is_empty()) else {
        return Ok(vec![EVERYTHING]);
    };
    let find = |name: &String| {
        known(name).ok_or_else(|| WebhookError::new(format!("{name:?} is no event")))
    };
    events.iter().map(find).collect()
}

impl Hook {
    fn wants(&self, event: &str) -> bool {
        self.events.contains(&EVERYTHING) || self.events.contains(&event)
    }

    fn post(&self, state: &State, event: &Event, lane: &str, at: DateTime<Utc>) {
        state.core.post(Delivery {
            provider: NAME,
            account: MERCHANT_ID,
            webhook: self.id.clone(),
            event: event.event_type.to_owned(),
            event_id: event.id.clone(),
            object: event.object.clone(),
            lane: lane.to_owned(),
            method: Method::POST,
            url: self.url.clone(),
            content_type: Some("application/json"),
            body: event.body(),
            posted_at: at,
            tried_at: None,
            attempts: 0,
            spent: Duration::ZERO,
            times: TIMES,
            signature: Signature::Right,
            rules: Arc::new(PaypalRules {
                identity: state.identity.clone(),
                webhook: self.id.clone(),
            }),
        });
    }

    fn change(
        &mut self,
        change: &WebhookChange,
        targets: WebhookTargets,
    ) -> Result<(), WebhookError> {
        if change.secret.is_some() || change.enabled.is_some() {
            let why = "a webhook of PayPal's has neither a secret nor a switch";
            return Err(WebhookError::new(why));
        }
        let url = change.url.as_deref().map(|url| target(url, targets));
        let url = url.transpose()?;
        let events = change.events.as_deref();
        let events = events.map(|events| pick(Some(events))).transpose()?;
        self.url = url.unwrap_or_else(|| self.url.clone());
        self.events = events.unwrap_or_else(|| self.events.clone());
        Ok(())
    }

    fn view(&self) -> Webhook {
        let events = self.events.iter();
        Webhook {
            id: self.id.clone(),
            provider: NAME,
            account: MERCHANT_ID,
            url: self.url.to_string(),
            secret: None,
            events: events.map(|event| (*event).to_owned()).collect(),
            enabled: true,
        }
    }

    /// As the API shows it.
    fn resource(&self) -> Value {
        let path = format!("{PATH}/{}", self.id);
        let types = self.events.iter().map(|name| match *name {
            EVERYTHING => json!({ "name": EVERYTHING, "description": "ALL" }),
            name => event_type(name),
        });
        json!({
            "id": self.id,
            "url": self.url.as_str(),
            "event_types": types.collect::<Vec<_>>(),
            "links": [
                link(&path, "self", "GET"),
                link(&path, "update", "PATCH"),
                link(&path, "delete", "DELETE"),
            ],
        })
    }
}
