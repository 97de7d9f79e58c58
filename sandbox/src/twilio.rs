//! Twilio Programmable Messaging, API version 2010-04-01.
//!
//! Sources, read in 2026: the published OpenAPI description (`twilio_api_v2010`), the pages "Message
//! resource", "Test credentials", "Message scheduling" and the error dictionary on twilio.com/docs.

mod account;
mod create;
mod error;
mod form;
mod guide;
mod list;
mod media;
mod message;
mod number;
mod resource;
mod segments;
mod status;
mod update;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use self::{
    account::{Access, Account, Kind},
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

const NAME: &str = "twilio";
const CONCURRENT_REQUESTS: &str = "twilio-concurrent-requests";

pub(crate) struct Twilio(Arc<State>);

struct State {
    core: Arc<Core>,
    messages: Mutex<Shelf<Message>>,
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
            ordinary_load,
            test_load,
        }))
    }
}

impl State {
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
            .map(|message| update::force(message, change, now))
    }

    fn guide(&self) -> Value {
        guide::guide()
    }

    fn clear(&self) {
        lock(&self.0.messages).clear();
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
