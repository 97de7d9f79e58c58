//! Resend: sending, batches, reading, rescheduling, cancelling, webhooks.
//!
//! Sources, read in 2026: the published OpenAPI description (resend.yaml) and the pages "Errors",
//! "Usage limits", "Idempotency keys", "Batch validation modes", "Schedule email" and "Send test
//! emails" on resend.com/docs.

mod address;
mod attachment;
mod batch;
mod change;
mod draft;
mod email;
mod error;
mod event;
mod guide;
mod idempotency;
mod key;
mod list;
mod rate;
mod route;
mod schedule;
mod send;
mod svix;
mod webhook;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use chrono::{DateTime, Utc};
use http::{StatusCode, header};
use serde_json::{Value, json};

use self::{
    email::{Email, Event},
    error::ResendError,
    idempotency::Repeat,
    key::Permission,
    rate::Rate,
    route::Route,
    webhook::Webhooks,
};
use crate::{
    call::Call,
    connection::SandboxConnection,
    core::Core,
    idempotency::{Claim, IdempotencyKeys},
    lock,
    provider::{Exchange, Provider},
    rate::RateWindow,
    reply::Reply,
    shelf::Shelf,
    webhooks::{Delivery, NewWebhook, Outcome, Webhook, WebhookChange, WebhookError},
};

/// A key that may do everything.
pub const FULL_ACCESS_KEY: &str = "re_sandbox_full_access_000000001";
/// A key that may only send.
pub const SENDING_ACCESS_KEY: &str = "re_sandbox_sending_access_000001";
/// A sender in the verified domain.
pub const FROM_EMAIL: &str = "OneRouter <hello@example.com>";
/// The address to which `…@resend.dev` senders may write, besides the magic ones.
pub const OWN_ADDRESS: &str = "owner@example.com";

const NAME: &str = "resend";
/// The team that both keys belong to, as the ledger names it.
const TEAM: &str = "sandbox-team";

pub(crate) struct Resend(Arc<State>);

struct State {
    core: Arc<Core>,
    emails: Mutex<Shelf<Email>>,
    /// Events to come, by their time. An entry holds as long as its e-mail still waits for it.
    agenda: Mutex<BTreeSet<(DateTime<Utc>, String)>>,
    /// Taken after `emails`, never before.
    webhooks: Mutex<Webhooks>,
    keys: IdempotencyKeys,
    window: RateWindow,
}

/// One admitted request; it holds its idempotency key until it is dropped.
struct ResendExchange {
    state: Arc<State>,
    rate: Rate,
    claim: Option<Claim>,
}

impl Resend {
    pub(crate) fn new(core: Arc<Core>) -> Resend {
        let emails = Mutex::new(Shelf::new(core.messages_kept));
        let keys = IdempotencyKeys::new(core.messages_kept);
        Resend(Arc::new(State {
            core,
            emails,
            agenda: Mutex::default(),
            webhooks: Mutex::default(),
            keys,
            window: RateWindow::default(),
        }))
    }

    fn admit(&self, call: &Call) -> Result<Arc<dyn Exchange>, Box<Reply>> {
        let state = &self.0;
        let now = state.core.clock.now();
        let permission = key::authenticate(call).map_err(ResendError::reply)?;
        let limit = state.core.settings().resend_rate_limit;
        let rate = Rate::of(limit, state.window.count(now, limit))?;
        let refuse = |error: ResendError| Box::new(rate.label(error.reply()));
        let route = Route::of(call).map_err(refuse)?;
        let sends = matches!(route, Route::Send | Route::Batch);
        if permission == Permission::Sending && !sends {
            return Err(refuse(ResendError::named("restricted_api_key")));
        }
        let claim = match idempotency::claim(&state.keys, call, sends, now).map_err(refuse)? {
            Repeat::Unkeyed => None,
            Repeat::First(claim) => Some(claim),
            Repeat::Again(reply) => return Err(Box::new(rate.label(reply))),
        };
        Ok(Arc::new(ResendExchange {
            state: Arc::clone(state),
            rate,
            claim,
        }))
    }
}

impl State {
    /// From here on the e-mail exists.
    fn take_in(&self, email: Email, now: DateTime<Utc>) {
        let (id, next) = (email.id.clone(), email.next_step());
        if email.last_event(now) == Event::Scheduled {
            self.tell(&email, Event::Scheduled, now);
        }
        lock(&self.emails).push(id.clone(), email);
        if let Some((_, at)) = next {
            self.schedule(at, id);
        }
    }

    fn schedule(&self, at: DateTime<Utc>, id: String) {
        let mut agenda = lock(&self.agenda);
        // A clock that stands still takes nothing out; the earliest are the likeliest to be forgotten.
        if agenda.len() > self.core.messages_kept.saturating_mul(4) {
            agenda.pop_first();
        }
        agenda.insert((at, id));
    }

    fn tell(&self, email: &Email, event: Event, at: DateTime<Utc>) {
        let webhooks = lock(&self.webhooks);
        if webhooks.is_any_enabled()
            && let Some(telling) = event::telling(email, event, at)
        {
            webhooks.post(&self.core, &telling);
        }
    }

    /// Tells the events that have come, in the order in which they did.
    fn tell_due(&self) {
        let now = self.core.clock.now();
        loop {
            // One lock after the other: whoever schedules holds none either.
            let mut agenda = lock(&self.agenda);
            if agenda.first().is_none_or(|(at, _)| *at > now) {
                return;
            }
            let Some((at, id)) = agenda.pop_first() else {
                return;
            };
            drop(agenda);
            let mut emails = lock(&self.emails);
            let Some(email) = emails.find_mut(&id) else {
                continue;
            };
            let Some((event, _)) = email.next_step().filter(|(_, due)| *due == at) else {
                continue;
            };
            email.step_told();
            self.tell(email, event, at);
            let next = email.next_step();
            drop(emails);
            if let Some((_, next)) = next {
                lock(&self.agenda).insert((next, id));
            }
        }
    }
}

impl Provider for Resend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn host(&self) -> &'static str {
        "api.resend.com"
    }

    fn connection(&self) -> SandboxConnection {
        SandboxConnection {
            service: "email",
            provider: NAME,
            environment: "test",
            credentials: BTreeMap::from([("api_key", FULL_ACCESS_KEY.to_owned())]),
            settings: BTreeMap::from([("from_email", FROM_EMAIL.to_owned())]),
            example_path: "/v1/email",
            example_body: json!({
                "to": "ada@example.com",
                "subject": "Hello",
                "text_body": "Hello from OneRouter",
            }),
        }
    }

    fn open(&self, call: &Call) -> Result<Arc<dyn Exchange>, Box<Reply>> {
        if call
            .header(header::USER_AGENT.as_str())
            .is_none_or(str::is_empty)
        {
            // The edge answers, before the API: no JSON.
            return Err(Box::new(Reply::text(
                StatusCode::FORBIDDEN,
                "error code: 1010",
            )));
        }
        self.admit(call)
    }

    fn recipients(&self, call: &Call) -> Vec<String> {
        match Route::of(call) {
            Ok(Route::Send | Route::Batch) => send::recipients(&call.body),
            Ok(Route::Get(id) | Route::Reschedule(id) | Route::Cancel(id)) => {
                let emails = lock(&self.0.emails);
                emails
                    .find(id)
                    .map(|email| email.to().to_vec())
                    .unwrap_or_default()
            }
            Ok(
                Route::List
                | Route::CreateWebhook
                | Route::Webhooks
                | Route::Webhook(_)
                | Route::UpdateWebhook(_)
                | Route::RemoveWebhook(_),
            )
            | Err(_) => Vec::new(),
        }
    }

    fn refusal(&self, status: Option<StatusCode>, code: Option<&str>) -> Reply {
        error::refusal(status, code)
    }

    fn force_status(&self, id: &str, change: &Value) -> Option<Result<Value, String>> {
        let now = self.0.core.clock.now();
        lock(&self.0.emails)
            .find_mut(id)
            .map(|email| change::force(&self.0, email, change, now))
    }

    fn catch_up(&self) {
        self.0.tell_due();
    }

    fn next_event_at(&self) -> Option<DateTime<Utc>> {
        if !lock(&self.0.webhooks).is_any_enabled() {
            return None;
        }
        lock(&self.0.agenda).first().map(|(at, _)| *at)
    }

    fn is_listened_to(&self) -> bool {
        lock(&self.0.webhooks).is_any_enabled()
    }

    fn add_webhook(&self, new: &NewWebhook) -> Result<Webhook, WebhookError> {
        // What happened before is nobody's news.
        self.0.tell_due();
        let core = &self.0.core;
        lock(&self.0.webhooks).add(new, core.webhooks.targets, core.clock.now())
    }

    fn webhooks(&self) -> Vec<Webhook> {
        lock(&self.0.webhooks).list()
    }

    fn change_webhook(
        &self,
        id: &str,
        change: &WebhookChange,
    ) -> Option<Result<Webhook, WebhookError>> {
        let targets = self.0.core.webhooks.targets;
        lock(&self.0.webhooks).change(id, change, targets)
    }

    fn remove_webhook(&self, id: &str) -> bool {
        let removed = lock(&self.0.webhooks).remove(id);
        if removed {
            self.0.core.webhooks.withdraw(id);
        }
        removed
    }

    fn delivery_ended(&self, delivery: &Delivery, outcome: &Outcome) {
        let now = self.0.core.clock.now();
        let is_off = lock(&self.0.webhooks).ended(delivery, outcome, now);
        if is_off {
            self.0.core.webhooks.withdraw(&delivery.webhook);
        }
    }

    fn guide(&self) -> Value {
        guide::guide()
    }

    fn clear(&self) {
        lock(&self.0.emails).clear();
        lock(&self.0.agenda).clear();
        *lock(&self.0.webhooks) = Webhooks::default();
        self.0.keys.clear();
        self.0.window.clear();
    }
}

impl Exchange for ResendExchange {
    fn answer(&self, call: &Call) -> Reply {
        let answered = self.route(call).unwrap_or_else(ResendError::reply);
        if let Some(claim) = &self.claim
            && answered.status.is_success()
        {
            claim.keep(&answered);
        }
        self.rate.label(answered)
    }
}

impl ResendExchange {
    fn route(&self, call: &Call) -> Result<Reply, ResendError> {
        let state = &self.state;
        match Route::of(call)? {
            Route::Send => send::send(state, call),
            Route::Batch => batch::send(state, call),
            Route::List => list::list(state, call),
            Route::Get(id) => email::fetch(state, id),
            Route::Reschedule(id) => change::reschedule(state, id, call),
            Route::Cancel(id) => change::cancel(state, id),
            Route::CreateWebhook => webhook::create(state, call),
            Route::Webhooks => webhook::list(state, call),
            Route::Webhook(id) => webhook::fetch(state, id),
            Route::UpdateWebhook(id) => webhook::update(state, id, call),
            Route::RemoveWebhook(id) => webhook::remove(state, id),
        }
    }
}
