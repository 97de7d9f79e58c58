//! Razorpay: orders, payments, refunds, payment links, plans, subscriptions, and the pages on which
//! a buyer pays.
//!
//! Sources, read in 2026: the published documentation (razorpay.com/docs, as Markdown in the repository
//! razorpay/markdown-docs) and the answers recorded in the official SDKs.

mod access;
mod agenda;
mod billing;
mod books;
mod buying;
mod checkout;
mod error;
mod event;
mod fields;
mod guide;
mod id;
mod link;
mod link_draft;
mod list;
mod money;
mod news;
mod notes;
mod order;
mod paying;
mod payment;
mod plan;
mod proration;
mod refund;
mod repeat;
mod route;
mod signature;
mod subscription;
mod subscription_change;
mod terms;
mod view;
mod webhook;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use chrono::{DateTime, Utc};
use http::StatusCode;
use serde_json::{Map, Value, json};

use self::{
    books::{Books, Cause},
    error::RazorpayError,
    repeat::Repeat,
    route::Route,
};
use crate::{
    buyer::{Buyer, SentBack},
    call::Call,
    connection::SandboxConnection,
    core::Core,
    idempotency::{Claim, IdempotencyKeys},
    lock,
    provider::{Exchange, Provider},
    rate::RateWindow,
    reply::Reply,
    subscription::Charge,
    webhooks::{Delivery, NewWebhook, Outcome, Webhook, WebhookChange, WebhookError},
};

/// A test key: the prefix is all that tells it from a live one.
pub const KEY_ID: &str = "rzp_test_sandbox00000001";
pub const KEY_SECRET: &str = "sandboxrazorpaysecret001";
/// The receipt, or the value of a note, that makes a refund fail.
pub const REFUND_FAILS: &str = "sandbox_refund_fails";
/// … that keeps a refund pending.
pub const REFUND_STAYS_PENDING: &str = "sandbox_refund_pending";
/// … that makes an instant refund impossible: it becomes a normal one.
pub const REFUND_NOT_INSTANT: &str = "sandbox_refund_not_instant";
/// … that has an instant refund refused.
pub const REFUND_REFUSED_INSTANT: &str = "sandbox_refund_refused_instant";

const NAME: &str = "razorpay";

pub(crate) struct Razorpay(Arc<State>);

struct State {
    core: Arc<Core>,
    books: Mutex<Books>,
    keys: IdempotencyKeys,
    window: RateWindow,
}

/// One admitted request; it holds its idempotency key until it is dropped.
struct RazorpayExchange {
    state: Arc<State>,
    claim: Option<Claim>,
}

impl Razorpay {
    pub(crate) fn new(core: Arc<Core>) -> Razorpay {
        let books = Mutex::new(Books::new(core.messages_kept));
        let keys = IdempotencyKeys::new(core.messages_kept);
        Razorpay(Arc::new(State {
            core,
            books,
            keys,
            window: RateWindow::default(),
        }))
    }

    fn admit(&self, call: &Call) -> Result<Arc<dyn Exchange>, RazorpayError> {
        let state = &self.0;
        let mut claim = None;
        let route = Route::of(call);
        if !route.as_ref().is_ok_and(Route::is_for_browsers) {
            access::authenticate(call)?;
            let now = state.core.clock.now();
            let limit = state.core.settings().razorpay_rate_limit;
            state
                .window
                .count(now, limit)
                .ok_or_else(RazorpayError::too_many_requests)?;
            if let Route::Refund(_) = route? {
                match repeat::claim(&state.keys, call, now)? {
                    Repeat::Unkeyed => {}
                    Repeat::First(first) => claim = Some(first),
                    Repeat::Again(reply) => return Ok(Arc::new(Answered(reply))),
                }
            }
        }
        Ok(Arc::new(RazorpayExchange {
            state: Arc::clone(state),
            claim,
        }))
    }
}

/// A request that was answered before, and its answer.
struct Answered(Reply);

impl Exchange for Answered {
    fn answer(&self, _call: &Call) -> Reply {
        self.0.clone()
    }
}

impl State {
    /// The books as they are now: what has become due is done.
    fn books(&self) -> MutexGuard<'_, Books> {
        let now = self.core.clock.now();
        let mut books = lock(&self.books);
        books.catch_up(&self.core, now);
        books
    }
}

impl Provider for Razorpay {
    fn name(&self) -> &'static str {
        NAME
    }

    fn host(&self) -> &'static str {
        "api.razorpay.com"
    }

    fn connection(&self) -> SandboxConnection {
        SandboxConnection {
            service: "payments",
            provider: NAME,
            environment: "test",
            credentials: BTreeMap::from([
                ("key_id", KEY_ID.to_owned()),
                ("key_secret", KEY_SECRET.to_owned()),
            ]),
            settings: BTreeMap::new(),
            example_path: "/v1/payments",
            example_body: json!({ "amount": "500.00", "currency": "INR", "provider": NAME }),
        }
    }

    fn open(&self, call: &Call) -> Result<Arc<dyn Exchange>, Box<Reply>> {
        self.admit(call).map_err(|error| Box::new(error.reply()))
    }

    /// The customer of the payment link that the request creates or names.
    fn recipients(&self, call: &Call) -> Vec<String> {
        match Route::of(call) {
            Ok(Route::CreateLink) => {
                let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
                let texts = ["/customer/email", "/customer/contact"]
                    .map(|path| body.pointer(path).and_then(Value::as_str));
                texts.into_iter().flatten().map(str::to_owned).collect()
            }
            Ok(Route::Link(id) | Route::UpdateLink(id) | Route::CancelLink(id)) => {
                let books = lock(&self.0.books);
                let link = books.links.find(id);
                link.map(|link| link.payer().addresses())
                    .unwrap_or_default()
            }
            Ok(_) | Err(_) => Vec::new(),
        }
    }

    fn refusal(&self, status: Option<StatusCode>, code: Option<&str>) -> Reply {
        error::refusal(status, code)
    }

    fn force_status(&self, _id: &str, _change: &Value) -> Option<Result<Value, String>> {
        None
    }

    fn play_buyer(
        &self,
        id: &str,
        buyer: Buyer,
        details: &Map<String, Value>,
    ) -> Option<Result<SentBack, String>> {
        if !buying::knows(&self.0, id) {
            return None;
        }
        match serde_json::from_value(Value::Object(details.clone())) {
            Ok(details) => buying::decide(&self.0, id, buyer, details),
            Err(error) => Some(Err(error.to_string())),
        }
    }

    fn bill_cycle(&self, id: &str, charge: Charge) -> Option<Result<Value, String>> {
        let mut books = self.0.books();
        books.subscriptions.find(id)?;
        Some(books.force_cycle(&Cause::buyer(&self.0.core), id, charge))
    }

    fn catch_up(&self) {
        drop(self.0.books());
    }

    fn next_event_at(&self) -> Option<DateTime<Utc>> {
        let books = lock(&self.0.books);
        books.next_due().filter(|_| books.webhooks.is_any_enabled())
    }

    fn is_listened_to(&self) -> bool {
        lock(&self.0.books).webhooks.is_any_enabled()
    }

    fn add_webhook(&self, new: &NewWebhook) -> Result<Webhook, WebhookError> {
        let targets = self.0.core.webhooks.targets;
        self.0.books().webhooks.add(new, targets)
    }

    fn webhooks(&self) -> Vec<Webhook> {
        self.0.books().webhooks.list()
    }

    fn change_webhook(
        &self,
        id: &str,
        change: &WebhookChange,
    ) -> Option<Result<Webhook, WebhookError>> {
        let targets = self.0.core.webhooks.targets;
        self.0.books().webhooks.change(id, change, targets)
    }

    fn remove_webhook(&self, id: &str) -> bool {
        let removed = self.0.books().webhooks.remove(id);
        if removed {
            self.0.core.webhooks.withdraw(id);
        }
        removed
    }

    fn delivery_ended(&self, delivery: &Delivery, outcome: &Outcome) {
        let now = self.0.core.clock.now();
        let is_off = self.0.books().webhooks.ended(delivery, outcome, now);
        if is_off {
            self.0.core.webhooks.withdraw(&delivery.webhook);
        }
    }

    fn guide(&self) -> Value {
        guide::guide()
    }

    fn clear(&self) {
        lock(&self.0.books).clear();
        self.0.keys.clear();
        self.0.window.clear();
    }
}

impl Exchange for RazorpayExchange {
    fn answer(&self, call: &Call) -> Reply {
        let answered = Route::of(call)
            .and_then(|route| route.answer(&self.state, call))
            .unwrap_or_else(RazorpayError::reply);
        if let Some(claim) = &self.claim
            && answered.status.is_success()
        {
            claim.keep(&answered);
        }
        answered
    }
}
