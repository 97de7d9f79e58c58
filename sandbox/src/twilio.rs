//! Twilio Programmable Messaging, API version 2010-04-01.
//!
//! Sources, read in 2026: the published OpenAPI description (`twilio_api_v2010`), the pages "Message
//! resource", "Test credentials", "Message scheduling" and the error dictionary on twilio.com/docs.

mod account;
mod callback;
mod create;
mod desk;
mod error;
mod form;
mod guide;
mod inbound;
mod list;
mod media;
mod message;
mod number;
mod overrides;
mod resource;
mod segments;
mod signature;
mod status;
mod twiml;
mod update;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{Method, StatusCode};
use serde_json::{Value, json};

pub use self::inbound::InboundSms;
use self::{
    account::{Access, Account, Kind},
    desk::Desk,
    error::TwilioError,
    form::Form,
    message::Message,
    resource::{Resource, Target},
};
use crate::{
    call::Call,
    connection::SandboxConnection,
    core::Core,
    lock,
    provider::{Exchange, Provider},
    reply::Reply,
    shelf::Shelf,
    webhooks::{Delivery, NewWebhook, Outcome, Webhook, WebhookChange, WebhookError},
};

/// The ordinary account: everything works.
pub const ACCOUNT_SID: &str = "AC00000000000000000000000000005a01";
pub const AUTH_TOKEN: &str = "sandboxtwilioauthtoken0000000001";
/// A standard API key of the ordinary account.
pub const API_KEY_SID: &str = "SK00000000000000000000000000005a01";
pub const API_KEY_SECRET: &str = "sandboxtwilioapikeysecret0000001";
/// Test credentials: they only create messages.
pub const TEST_ACCOUNT_SID: &str = "AC00000000000000000000000000007e57";
pub const TEST_AUTH_TOKEN: &str = "sandboxtwiliotesttoken0000000001";
/// The ordinary account's numbers, both in the pool of its Messaging Service.
pub const FROM_NUMBER: &str = "+12025550142";
pub const SECOND_FROM_NUMBER: &str = "+12025550143";
pub const MESSAGING_SERVICE_SID: &str = "MG00000000000000000000000000005a01";

pub(crate) const NAME: &str = "twilio";
const CONCURRENT_REQUESTS: &str = "twilio-concurrent-requests";

#[derive(Clone)]
pub(crate) struct Twilio(Arc<State>);

struct State {
    core: Arc<Core>,
    messages: Mutex<Shelf<Message>>,
    /// Statuses to be told, by their time. An entry holds as long as its message still waits for it.
    agenda: Mutex<BTreeSet<(DateTime<Utc>, String)>>,
    desk: Mutex<Desk>,
    /// Requests under way, per account.
    ordinary_load: AtomicU32,
    test_load: AtomicU32,
}

/// One admitted request; counted until it is dropped.
struct TwilioExchange {
    state: Arc<State>,
    access: Access,
    concurrent: u32,
}

impl Twilio {
    pub(crate) fn new(core: Arc<Core>) -> Twilio {
        let messages = Mutex::new(Shelf::new(core.messages_kept));
        let (ordinary_load, test_load) = (AtomicU32::new(0), AtomicU32::new(0));
        Twilio(Arc::new(State {
            core,
            messages,
            agenda: Mutex::default(),
            desk: Mutex::default(),
            ordinary_load,
            test_load,
        }))
    }
}

impl State {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        lock(&self.desk)
    }

    fn schedule(&self, at: DateTime<Utc>, sid: String) {
        let mut agenda = lock(&self.agenda);
        // A clock that stands still takes nothing out; the earliest are the likeliest to be forgotten.
        if agenda.len() > self.core.messages_kept.saturating_mul(4) {
            agenda.pop_first();
        }
        agenda.insert((at, sid));
        drop(agenda);
        self.core.webhooks.ring();
    }

    /// Tells the statuses that have begun, in the order in which they did.
    fn tell_due(&self) {
        let now = self.core.clock.now();
        loop {
            // One lock after the other: whoever schedules holds none either.
            let mut agenda = lock(&self.agenda);
            if agenda.first().is_none_or(|(at, _)| *at > now) {
                return;
            }
            let Some((at, sid)) = agenda.pop_first() else {
                return;
            };
            drop(agenda);
            let mut messages = lock(&self.messages);
            let Some(message) = messages.find_mut(&sid) else {
                continue;
            };
            let Some((status, _)) = message.next_step().filter(|(_, due)| *due == at) else {
                continue;
            };
            message.step_told();
            callback::tell(&self.core, message, status, at);
            let next = message.next_step();
            drop(messages);
            if let Some((_, next)) = next {
                lock(&self.agenda).insert((next, sid));
            }
        }
    }

    fn load(&self, account: &Account) -> &AtomicU32 {
        match account.kind {
            Kind::Ordinary => &self.ordinary_load,
            Kind::Test => &self.test_load,
        }
    }
}

impl Provider for Twilio {
    fn name(&self) -> &'static str {
        NAME
    }

    fn host(&self) -> &'static str {
        "api.twilio.com"
    }

    fn connection(&self) -> SandboxConnection {
        SandboxConnection {
            service: "sms",
            provider: NAME,
            environment: "test",
            credentials: BTreeMap::from([
                ("account_sid", ACCOUNT_SID.to_owned()),
                ("auth_token", AUTH_TOKEN.to_owned()),
            ]),
            settings: BTreeMap::from([("from_number", FROM_NUMBER.to_owned())]),
            example_path: "/v1/sms",
            example_body: json!({ "to": "+14155550123", "body": "Hello from OneRouter" }),
        }
    }

    fn open(&self, call: &Call) -> Result<Arc<dyn Exchange>, Box<Reply>> {
        let access = account::authenticate(call).map_err(TwilioError::reply)?;
        let state = Arc::clone(&self.0);
        let concurrent = state
            .load(access.account)
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1);
        let exchange = TwilioExchange {
            state,
            access,
            concurrent,
        };
        if concurrent > self.0.core.settings().twilio_concurrency {
            let refused = TwilioError::of(20429).reply();
            return Err(Box::new(refused.with(CONCURRENT_REQUESTS, concurrent)));
        }
        Ok(Arc::new(exchange))
    }

    fn recipients(&self, call: &Call) -> Vec<String> {
        if call.method == Method::POST && call.path().ends_with("/Messages.json") {
            return Form::of(call)
                .get("To")
                .map(str::to_owned)
                .into_iter()
                .collect();
        }
        let Some(Resource::Message(sid) | Resource::Media(sid)) =
            Target::of(call).map(|target| target.resource)
        else {
            return Vec::new();
        };
        lock(&self.0.messages)
            .find(sid)
            .map(|message| message.to.clone())
            .into_iter()
            .collect()
    }

    fn refusal(&self, status: Option<StatusCode>, code: Option<&str>) -> Reply {
        error::refusal(status, code)
    }

    fn force_status(&self, id: &str, change: &Value) -> Option<Result<Value, String>> {
        let now = self.0.core.clock.now();
        lock(&self.0.messages)
            .find_mut(id)
            .map(|message| update::force(&self.0.core, message, change, now))
    }

    fn catch_up(&self) {
        self.0.tell_due();
    }

    fn next_event_at(&self) -> Option<DateTime<Utc>> {
        lock(&self.0.agenda).first().map(|(at, _)| *at)
    }

    fn add_webhook(&self, new: &NewWebhook) -> Result<Webhook, WebhookError> {
        self.0.desk().add(new, self.0.core.webhooks.targets)
    }

    fn webhooks(&self) -> Vec<Webhook> {
        self.0.desk().list()
    }

    fn change_webhook(
        &self,
        id: &str,
        change: &WebhookChange,
    ) -> Option<Result<Webhook, WebhookError>> {
        let targets = self.0.core.webhooks.targets;
        self.0.desk().change(id, change, targets)
    }

    fn remove_webhook(&self, id: &str) -> bool {
        self.0.desk().remove(id)
    }

    fn delivery_ended(&self, delivery: &Delivery, outcome: &Outcome) {
        inbound::answered(&self.0, delivery, outcome);
    }

    fn control(&self, action: &str, body: &Bytes) -> Option<Reply> {
        match action {
            "receive-message" => Some(inbound::control(&self.0, body)),
            _ => None,
        }
    }

    fn guide(&self) -> Value {
        guide::guide()
    }

    fn clear(&self) {
        lock(&self.0.messages).clear();
        lock(&self.0.agenda).clear();
        *self.0.desk() = Desk::default();
    }
}

impl Twilio {
    /// A text from somebody to a number of the ordinary account.
    pub(crate) fn receive(&self, new: &InboundSms) -> Result<String, WebhookError> {
        inbound::receive(&self.0, new)
    }
}

impl Exchange for TwilioExchange {
    fn answer(&self, call: &Call) -> Reply {
        let answered = self.route(call).unwrap_or_else(TwilioError::reply);
        answered.with(CONCURRENT_REQUESTS, self.concurrent)
    }
}

impl Drop for TwilioExchange {
    fn drop(&mut self) {
        self.state
            .load(self.access.account)
            .fetch_sub(1, Ordering::Relaxed);
    }
}

impl TwilioExchange {
    fn route(&self, call: &Call) -> Result<Reply, TwilioError> {
        let Some(target) = Target::of(call) else {
            return Ok(resource::not_json(call.path()));
        };
        let account = self.access.account;
        if target.account.is_empty() {
            return Err(TwilioError::about(20404, call.path()));
        }
        if target.account != account.sid {
            return Err(TwilioError::of(20003));
        }
        let creates = call.method == Method::POST && target.resource == Resource::Messages;
        if account.kind == Kind::Test && !creates {
            return Err(TwilioError::of(20008));
        }
        let state = &self.state;
        match (call.method.as_str(), target.resource) {
            ("POST", Resource::Messages) => create::create(state, account, call),
            ("GET", Resource::Messages) => list::list(state, account, call),
            ("GET", Resource::Message(sid)) => message::fetch(state, account, sid),
            ("POST", Resource::Message(sid)) => update::update(state, sid, call),
            ("DELETE", Resource::Message(sid)) => update::delete(state, sid, call),
            ("GET", Resource::Media(sid)) => media::list(state, account, sid, call),
            ("GET", Resource::Account) => self.access.account_reply(),
            (_, Resource::Other) => Err(TwilioError::about(20404, call.path())),
            (
                _,
                Resource::Account | Resource::Messages | Resource::Message(_) | Resource::Media(_),
            ) => Err(TwilioError::of(20004)),
        }
    }
}
