//! Resend: sending, batches, reading, rescheduling, cancelling.
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
mod guide;
mod idempotency;
mod key;
mod list;
mod rate;
mod schedule;
mod send;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use self::{email::Email, error::ResendError, idempotency::Repeat, key::Permission, rate::Rate};
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
    keys: IdempotencyKeys,
    window: RateWindow,
}

/// One admitted request; it holds its idempotency key until it is dropped.
struct ResendExchange {
    state: Arc<State>,
    rate: Rate,
    claim: Option<Claim>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route<'a> {
    Send,
    Batch,
    List,
    Get(&'a str),
    Reschedule(&'a str),
    Cancel(&'a str),
}

impl Resend {
    pub(crate) fn new(core: Arc<Core>) -> Resend {
        let emails = Mutex::new(Shelf::new(core.messages_kept));
        let keys = IdempotencyKeys::new(core.messages_kept);
        Resend(Arc::new(State {
            core,
            emails,
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
            Ok(Route::List) | Err(_) => Vec::new(),
        }
    }

    fn refusal(&self, status: Option<StatusCode>, code: Option<&str>) -> Reply {
        error::refusal(status, code)
    }

    fn force_status(&self, id: &str, change: &Value) -> Option<Result<Value, String>> {
        let now = self.0.core.clock.now();
        lock(&self.0.emails)
            .find_mut(id)
            .map(|email| change::force(email, change, now))
    }

    fn guide(&self) -> Value {
        guide::guide()
    }

    fn clear(&self) {
        lock(&self.0.emails).clear();
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
        }
    }
}

impl<'a> Route<'a> {
    fn of(call: &'a Call) -> Result<Route<'a>, ResendError> {
        let mut segments = call.path().split('/').skip(1);
        let route = match (
            segments.next(),
            segments.next(),
            segments.next(),
            segments.next(),
        ) {
            (Some("emails"), None | Some(""), None, None) => match call.method {
                Method::POST => Some(Route::Send),
                Method::GET => Some(Route::List),
                _ => None,
            },
            (Some("emails"), Some("batch"), None, None) => {
                (call.method == Method::POST).then_some(Route::Batch)
            }
            (Some("emails"), Some(id), None, None) => match call.method {
                Method::GET => Some(Route::Get(id)),
                Method::PATCH => Some(Route::Reschedule(id)),
                _ => None,
            },
            (Some("emails"), Some(id), Some("cancel"), None) => {
                (call.method == Method::POST).then_some(Route::Cancel(id))
            }
            _ => return Err(ResendError::named("not_found")),
        };
        route.ok_or(ResendError::named("method_not_allowed"))
    }
}
