//! PayPal: orders, payments, products, plans, subscriptions, and the pages on which a buyer approves.
//!
//! Sources: the published OpenAPI descriptions (github.com/paypal/paypal-rest-api-specifications, of
//! 2024: Orders v2, Payments v2, Catalog Products v1, Subscriptions v1, Webhooks v1), the reference pages on
//! developer.paypal.com and the official SDKs, read in 2026.

mod authorization;
mod books;
mod buyer;
mod capture;
mod checkout;
mod consent;
mod course;
mod desk;
mod error;
mod fields;
mod force;
mod guide;
mod happened;
mod id;
mod issues;
mod list;
mod mock;
mod money;
mod notification;
mod operation;
mod order;
mod outcome;
mod plan;
mod product;
mod refund;
mod request_id;
mod route;
mod subscription;
mod terms;
mod token;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{Method, StatusCode, header};
use serde_json::{Map, Value, json};

use self::{
    books::Books,
    desk::Desk,
    error::PaypalError,
    notification::{Notifications, certificate, certificate::Identity},
    operation::{operate, page},
    outcome::Outcome,
    request_id::{Claimed, RequestIds},
    route::Route,
    subscription::SubscriptionStatus,
    token::Tokens,
};
use crate::{
    buyer::{Buyer, SentBack},
    call::Call,
    connection::SandboxConnection,
    core::Core,
    lock,
    provider::{Exchange, Provider},
    rate::RateWindow,
    reply::Reply,
    subscription::Charge,
    webhooks::{NewWebhook, Webhook, WebhookChange, WebhookError},
};

/// The application's credentials, in the shape of real ones.
pub const CLIENT_ID: &str =
    "AsandboxpaypalclientidQ0neR0uter4emulated7app9dev0nlyN0tReal_a1b2c3d4e5f6g7h8i9j0";
pub const CLIENT_SECRET: &str =
    "EsandboxpaypalsecretQ0neR0uter4emulated7app9dev0nlyN0tReal_z9y8x7w6v5u4t3s2r1q0p";

/// The merchant's account, as the ledger names it.
const MERCHANT_ID: &str = "5ANDB0XMERCH2";
const MERCHANT_EMAIL: &str = "merchant@example.com";
pub(crate) const NAME: &str = "paypal";
const PEM: &str = "application/x-pem-file";
/// The sandbox of PayPal itself: the host tells test from live.
const HOST: &str = "api-m.sandbox.paypal.com";

#[derive(Clone)]
pub(crate) struct Paypal(Arc<State>);

struct State {
    core: Arc<Core>,
    books: Mutex<Books>,
    /// Taken after the books, never before.
    notifications: Mutex<Notifications>,
    identity: Identity,
    request_ids: RequestIds,
    tokens: Tokens,
    window: RateWindow,
}

/// One admitted request; it holds its request id until it is dropped.
struct PaypalExchange {
    state: Arc<State>,
    claimed: Claimed,
}

impl State {
    fn base(&self) -> String {
        format!("{}/{NAME}", self.core.base_url)
    }
}

impl Paypal {
    pub(crate) fn new(core: Arc<Core>) -> Paypal {
        let max = core.messages_kept;
        Paypal(Arc::new(State {
            core,
            books: Mutex::new(Books::new(max)),
            notifications: Mutex::new(Notifications::new()),
            identity: Identity::default(),
            request_ids: RequestIds::new(max),
            tokens: Tokens::new(),
            window: RateWindow::default(),
        }))
    }

    fn admit(&self, call: &Call) -> Result<Arc<dyn Exchange>, Box<Reply>> {
        let state = &self.0;
        let now = state.core.clock.now();
        let refuse = |error: PaypalError| Box::new(error.reply());
        let route = Route::of(call);
        let mut claimed = Claimed::Free;
        if !route.as_ref().is_ok_and(|route| route.is_public()) {
            let limit = state.core.settings().paypal_rate_limit;
            if state.window.count(now, limit).is_none() {
                return Err(refuse(PaypalError::status(StatusCode::TOO_MANY_REQUESTS)));
            }
            if !matches!(route, Ok(Route::Token)) {
                state.tokens.check(call, now)?;
                let route = route.map_err(refuse)?;
                check_type(call).map_err(refuse)?;
                mock::refused(call).map_err(refuse)?;
                claimed = state.request_ids.claim(call, route, now).map_err(refuse)?;
            }
        }
        Ok(Arc::new(PaypalExchange {
            state: Arc::clone(state),
            claimed,
        }))
    }
}

/// What is sent must be JSON, and said to be, even where nothing is.
fn check_type(call: &Call) -> Result<(), PaypalError> {
    if call.method != Method::POST && call.method != Method::PATCH {
        return Ok(());
    }
    let content_type = call.header(header::CONTENT_TYPE.as_str());
    let essence = content_type
        .and_then(|text| text.split(';').next())
        .unwrap_or_default();
    match essence.trim().eq_ignore_ascii_case("application/json") {
        true => Ok(()),
        false => Err(PaypalError::status(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
    }
}

impl Provider for Paypal {
    fn name(&self) -> &'static str {
        NAME
    }

    fn host(&self) -> &'static str {
        HOST
    }

    fn other_hosts(&self) -> &'static [&'static str] {
        &[certificate::HOST]
    }

    fn connection(&self) -> SandboxConnection {
        SandboxConnection {
            service: "payments",
            provider: NAME,
            environment: "test",
            credentials: BTreeMap::from([
                ("client_id", CLIENT_ID.to_owned()),
                ("client_secret", CLIENT_SECRET.to_owned()),
            ]),
            settings: BTreeMap::new(),
            example_path: "/v1/payments",
            example_body: json!({
                "amount": "25.00",
                "currency": "USD",
                "provider": NAME,
                "return_url": "https://example.com/return",
                "cancel_url": "https://example.com/cancel",
            }),
        }
    }

    fn open(&self, call: &Call) -> Result<Arc<dyn Exchange>, Box<Reply>> {
        self.admit(call)
    }

    /// Payments have no address.
    fn recipients(&self, _call: &Call) -> Vec<String> {
        Vec::new()
    }

    fn refusal(&self, status: Option<StatusCode>, code: Option<&str>) -> Reply {
        error::refusal(status, code)
    }

    fn force_status(&self, id: &str, change: &Value) -> Option<Result<Value, String>> {
        let desk = Desk::unasked(&self.0);
        let state = &self.0;
        state.with_books(&desk, |books| force::force(books, &desk, id, change))
    }

    fn play_buyer(
        &self,
        id: &str,
        buyer: Buyer,
        details: &Map<String, Value>,
    ) -> Option<Result<SentBack, String>> {
        let desk = Desk::unasked(&self.0);
        self.0.with_books(&desk, |books| {
            if books.orders.find(id).is_some() {
                return Some(checkout::play(books, &desk, id, (buyer, details)));
            }
            if books.subscriptions.find(id).is_some() || books.consents.find(id).is_some() {
                return Some(consent::play(books, &desk, id, (buyer, details)));
            }
            None
        })
    }

    fn bill_cycle(&self, id: &str, charge: Charge) -> Option<Result<Value, String>> {
        let desk = Desk::unasked(&self.0);
        self.0.with_books(&desk, |books| {
            let subscription = books.subscriptions.find_mut(id)?;
            if subscription.status != SubscriptionStatus::Active || subscription.next_at.is_none() {
                let status = subscription.status.name();
                return Some(Err(format!("nothing is billed while it is {status}")));
            }
            subscription.bill(&desk, desk.now, Some(charge));
            let view = subscription.view(&desk.base(), &["last_failed_payment"]);
            books.schedule(id);
            Some(Ok(view))
        })
    }

    fn catch_up(&self) {
        let desk = Desk::unasked(&self.0);
        self.0.with_books(&desk, |books| books.settle(&desk));
    }

    fn next_event_at(&self) -> Option<DateTime<Utc>> {
        let next_due = lock(&self.0.books).next_due;
        next_due.filter(|_| !lock(&self.0.notifications).webhooks.is_empty())
    }

    fn is_listened_to(&self) -> bool {
        !lock(&self.0.notifications).webhooks.is_empty()
    }

    fn add_webhook(&self, new: &NewWebhook) -> Result<Webhook, WebhookError> {
        let targets = self.0.core.webhooks.targets;
        let added = lock(&self.0.notifications).webhooks.add(new, targets)?;
        // The key takes a moment to make: now, not when the first event is sent.
        self.0.identity.prepare();
        Ok(added)
    }

    fn webhooks(&self) -> Vec<Webhook> {
        lock(&self.0.notifications).webhooks.list()
    }

    fn change_webhook(
        &self,
        id: &str,
        change: &WebhookChange,
    ) -> Option<Result<Webhook, WebhookError>> {
        let targets = self.0.core.webhooks.targets;
        let mut notifications = lock(&self.0.notifications);
        notifications.webhooks.change(id, change, targets)
    }

    fn remove_webhook(&self, id: &str) -> bool {
        let removed = lock(&self.0.notifications).webhooks.remove(id);
        if removed {
            self.0.core.webhooks.withdraw(id);
        }
        removed
    }

    fn show(&self, what: &str) -> Option<Reply> {
        match what {
            "root-certificate" => {
                let root = self.root_certificate()?;
                Some(Reply::of(StatusCode::OK, PEM, root))
            }
            _ => None,
        }
    }

    fn control(&self, action: &str, _body: &Bytes) -> Option<Reply> {
        match action {
            "revoke-tokens" => {
                self.0.tokens.revoke();
                Some(Reply::empty(StatusCode::NO_CONTENT))
            }
            _ => None,
        }
    }

    fn guide(&self) -> Value {
        guide::guide()
    }

    fn clear(&self) {
        lock(&self.0.books).clear();
        *lock(&self.0.notifications) = Notifications::new();
        self.0.request_ids.clear();
        self.0.tokens.revoke();
        self.0.window.clear();
    }
}

impl Paypal {
    /// The root under which the webhooks' signatures are made, as PEM.
    pub(crate) fn root_certificate(&self) -> Option<String> {
        self.0.identity.root()
    }
}

impl Exchange for PaypalExchange {
    fn answer(&self, call: &Call) -> Reply {
        let answered = self.route(call).unwrap_or_else(PaypalError::reply);
        error::traced(answered)
    }
}

impl PaypalExchange {
    fn route(&self, call: &Call) -> Result<Reply, PaypalError> {
        let state = &self.state;
        let desk = Desk::of(state, call);
        let route = Route::of(call)?;
        if route == Route::Token {
            let ttl_s = state.core.settings().paypal_token_ttl_s;
            return Ok(state.tokens.issue(call, desk.now, ttl_s));
        }
        if let Route::Certificate(id) = route {
            let chain = state.identity.chain(id);
            let chain = chain.ok_or_else(|| PaypalError::status(StatusCode::NOT_FOUND))?;
            return Ok(Reply::of(StatusCode::OK, PEM, chain));
        }
        state.with_books(&desk, |books| {
            books.settle(&desk.by_clock());
            if let Claimed::Repeat(made) = &self.claimed {
                return made.reply(StatusCode::OK, books, &desk);
            }
            if route.is_page() {
                return Ok(page(books, &desk, route, call));
            }
            let outcome = operate(books, &desk, route, call)?;
            if let (Claimed::New(claim), Outcome::Made(_, made)) = (&self.claimed, &outcome) {
                claim.keep(made.clone());
            }
            outcome.reply(books, &desk)
        })
    }
}
