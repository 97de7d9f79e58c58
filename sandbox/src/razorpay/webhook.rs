//! Webhooks as the merchant sets them in the dashboard, and how they are sent.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::Value;

use super::{KEY_ID, NAME, event, id, news::ACCOUNT, signature::sign_with};
use crate::{
    clock::later,
    core::Core,
    webhooks::{
        Delivery, NewWebhook, Outcome, Rules, Signature, Times, Total, Webhook, WebhookChange,
        WebhookError, WebhookTargets, parse_target, pick_events,
    },
};

const PER_ACCOUNT_MAX: usize = 30;
const TRIED_FOR: TimeDelta = TimeDelta::hours(24);
/// Doubled with each attempt; the documentation only says that the intervals grow.
const FIRST_PAUSE: TimeDelta = TimeDelta::minutes(1);
const TIMES: Times = Times {
    connect: Duration::from_secs(5),
    read: Duration::from_secs(5),
    total: Total::OfEachAttempt(Duration::from_secs(5)),
};

#[derive(Debug, Default)]
pub(super) struct Webhooks(Vec<Hook>);

struct Hook {
    id: String,
    url: url::Url,
    secret: Option<String>,
    events: Vec<&'static str>,
    enabled: bool,
    accepted_at: Option<DateTime<Utc>>,
}

/// One thing that happened, told to everybody who wants to hear of it.
#[derive(Debug)]
pub(super) struct Telling<'a> {
    pub(super) event: &'static str,
    pub(super) object: &'a str,
    pub(super) lane: &'a str,
    pub(super) at: DateTime<Utc>,
    pub(super) body: Value,
}

impl Webhooks {
    pub(super) fn is_any_enabled(&self) -> bool {
        self.0.iter().any(|hook| hook.enabled)
    }

    pub(super) fn wants(&self, event: &str) -> bool {
        self.0.iter().any(|hook| hook.wants(event))
    }

    pub(super) fn post(&self, core: &Core, telling: &Telling<'_>) {
        let body = Bytes::from(telling.body.to_string());
        // The same for every webhook that hears of it.
        let event_id = id::characters(14);
        for hook in self.0.iter().filter(|hook| hook.wants(telling.event)) {
            core.post(Delivery {
                provider: NAME,
                account: KEY_ID,
                webhook: hook.id.clone(),
                event: telling.event.to_owned(),
                event_id: event_id.clone(),
                object: telling.object.to_owned(),
                lane: telling.lane.to_owned(),
                method: Method::POST,
                url: hook.url.clone(),
                content_type: Some("application/json"),
                body: body.clone(),
                posted_at: telling.at,
                tried_at: None,
                attempts: 0,
                spent: Duration::ZERO,
                times: TIMES,
                signature: Signature::Right,
                // With the secret of now: a new one is for new events.
                rules: Arc::new(RazorpayRules {
                    secret: hook.secret.clone(),
                    event_id: event_id.clone(),
                }),
            });
        }
    }

    pub(super) fn add(
        &mut self,
        new: &NewWebhook,
        targets: WebhookTargets,
    ) -> Result<Webhook, WebhookError> {
        let account = new.account.as_deref().unwrap_or(KEY_ID);
        if account != KEY_ID && account != ACCOUNT {
            return Err(WebhookError::new(format!("no account {account}")));
        }
        if new.number.is_some() {
            return Err(WebhookError::new("`number` is Twilio's"));
        }
        if self.0.len() >= PER_ACCOUNT_MAX {
            let why = format!("an account has {PER_ACCOUNT_MAX} webhooks at most");
            return Err(WebhookError::new(why));
        }
        let hook = Hook {
            id: id::characters(14),
            url: target(&new.url, targets)?,
            secret: Some(match &new.secret {
                None => id::characters(20),
                Some(secret) => secret.clone(),
            })
            // A webhook without a secret is not signed.
            .filter(|secret| !secret.is_empty()),
            events: pick_events(new.events.as_deref(), &event::NAMES)?,
            enabled: true,
            accepted_at: None,
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

    /// Whether the webhook is switched off by that: an event failed for a day, and no other came through
    /// meanwhile.
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
            hook.accepted_at = Some(now);
            return false;
        }
        if hook.accepted_at >= delivery.tried_at {
            return false;
        }
        hook.enabled = false;
        true
    }
}

impl Hook {
    fn wants(&self, event: &str) -> bool {
        self.enabled && self.events.contains(&event)
    }

    fn change(
        &mut self,
        change: &WebhookChange,
        targets: WebhookTargets,
    ) -> Result<(), WebhookError> {
        let url = change.url.as_deref().map(|url| target(url, targets));
        let url = url.transpose()?;
        let events = change.events.as_deref();
        let events = events.map(|events| pick_events(Some(events), &event::NAMES));
        let events = events.transpose()?;
        if let Some(secret) = &change.secret {
            self.secret = Some(secret.clone()).filter(|secret| !secret.is_empty());
        }
        self.url = url.unwrap_or_else(|| self.url.clone());
        self.events = events.unwrap_or_else(|| self.events.clone());
        self.enabled = change.enabled.unwrap_or(self.enabled);
        Ok(())
    }

    fn view(&self) -> Webhook {
        let events = self.events.iter();
        Webhook {
            id: self.id.clone(),
            provider: NAME,
            account: KEY_ID,
            url: self.url.to_string(),
            secret: self.secret.clone(),
            events: events.map(|event| (*event).to_owned()).collect(),
            enabled: self.enabled,
        }
    }
}

fn target(text: &str, targets: WebhookTargets) -> Result<url::Url, WebhookError> {
    let mut url = parse_target(text, targets)?;
    url.set_fragment(None);
    Ok(url)
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

struct RazorpayRules {
    secret: Option<String>,
    event_id: String,
}

impl fmt::Debug for RazorpayRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RazorpayRules").finish_non_exhaustive()
    }
}

impl Rules for RazorpayRules {
    fn headers(&self, delivery: &Delivery, _at: DateTime<Utc>) -> HeaderMap {
        let mut headers = HeaderMap::from_iter([(
            header::USER_AGENT,
            HeaderValue::from_static("Razorpay-Webhook/v1"),
        )]);
        let key = match (delivery.signature, &self.secret) {
            (Signature::Right, secret) => secret.as_deref(),
            (Signature::Wrong, _) => Some("another secret"),
        };
        let signature = key.map(|key| sign_with(key, &delivery.body));
        for (name, text) in [
            ("x-razorpay-event-id", Some(&self.event_id)),
            ("x-razorpay-signature", signature.as_ref()),
        ] {
            // Letters and digits are always good header values.
            if let Some(Ok(value)) = text.map(|text| HeaderValue::from_str(text)) {
                headers.insert(name, value);
            }
        }
        headers
    }

    /// With growing pauses, and a last time when the day is over.
    fn again(
        &self,
        delivery: &Delivery,
        outcome: &Outcome,
        at: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        if outcome.is_success() {
            return None;
        }
        let end = later(delivery.tried_at?, TRIED_FOR);
        let doublings = delivery.attempts.saturating_sub(1).min(16);
        let pause = FIRST_PAUSE.checked_mul(1 << doublings)?;
        (at < end).then(|| later(at, pause).min(end))
    }
}
