//! What each emulated provider implements. A new one is a folder of its own and one line in [`all`].

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::StatusCode;
use serde_json::{Map, Value};

use crate::{
    buyer::{Buyer, SentBack},
    call::Call,
    connection::SandboxConnection,
    core::Core,
    paypal::Paypal,
    razorpay::Razorpay,
    reply::Reply,
    resend::Resend,
    subscription::Charge,
    twilio::Twilio,
    webhooks::{Delivery, NewWebhook, Outcome, Webhook, WebhookChange, WebhookError},
};

pub(crate) trait Provider: Send + Sync {
    /// The path prefix, and the name in ledger and log.
    fn name(&self) -> &'static str;

    /// The real provider's host name.
    fn host(&self) -> &'static str;

    /// Other host names of its, for what is not the API.
    fn other_hosts(&self) -> &'static [&'static str] {
        &[]
    }

    fn connection(&self) -> SandboxConnection;

    /// Authenticates, counts against the limits and claims the idempotency key. What it claims is held
    /// until the exchange is dropped, after the answer: that is how twins can meet.
    fn open(&self, call: &Call) -> Result<Arc<dyn Exchange>, Box<Reply>>;

    /// To whom the request is addressed, for faults that match a recipient.
    fn recipients(&self, call: &Call) -> Vec<String>;

    /// The documented error body for a status, an error code, or both.
    fn refusal(&self, status: Option<StatusCode>, code: Option<&str>) -> Reply;

    /// Sets what became of a message. `None`: not one of ours.
    fn force_status(&self, id: &str, change: &Value) -> Option<Result<Value, String>>;

    /// Plays the buyer of an open checkout without a browser. `details` are the fields beside `action`;
    /// the provider refuses those it does not know. `None`: not one of ours.
    fn play_buyer(
        &self,
        _id: &str,
        _buyer: Buyer,
        _details: &Map<String, Value>,
    ) -> Option<Result<SentBack, String>> {
        None
    }

    /// Makes a subscription's next billing cycle due at once and charges it; answers with the
    /// subscription. `None`: not one of ours.
    fn bill_cycle(&self, _id: &str, _charge: Charge) -> Option<Result<Value, String>> {
        None
    }

    /// Does what has become due on the clock. Called before every request that could see it.
    fn catch_up(&self) {}

    /// When `catch_up` next has something to tell the merchant, as far as that is known.
    fn next_event_at(&self) -> Option<DateTime<Utc>> {
        None
    }

    /// Whether `catch_up` may have something to tell at any time, because somebody has a webhook.
    fn is_listened_to(&self) -> bool {
        false
    }

    /// Sets a webhook up, as the merchant would on a page or with the API.
    fn add_webhook(&self, new: &NewWebhook) -> Result<Webhook, WebhookError>;

    fn webhooks(&self) -> Vec<Webhook>;

    /// `None`: not one of ours.
    fn change_webhook(
        &self,
        id: &str,
        change: &WebhookChange,
    ) -> Option<Result<Webhook, WebhookError>>;

    /// Whether it was one of ours.
    fn remove_webhook(&self, id: &str) -> bool;

    /// A delivery is over: accepted, or not tried any more.
    fn delivery_ended(&self, _delivery: &Delivery, _outcome: &Outcome) {}

    /// `POST /_sandbox/{name}/{action}`: what only this provider can be told. `None`: no such action.
    fn control(&self, _action: &str, _body: &Bytes) -> Option<Reply> {
        None
    }

    /// `GET /_sandbox/{name}/{what}`: what only this provider can tell. `None`: no such thing.
    fn show(&self, _what: &str) -> Option<Reply> {
        None
    }

    /// Credentials, magic values and departures, for people and for the index.
    fn guide(&self) -> Value;

    fn clear(&self);
}

/// An admitted request.
pub(crate) trait Exchange: Send + Sync {
    /// Does what is asked and says so. Called at most once.
    fn answer(&self, call: &Call) -> Reply;
}

/// Those that can be told more than others.
pub(crate) struct Known {
    pub(crate) twilio: Twilio,
    pub(crate) paypal: Paypal,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").finish_non_exhaustive()
    }
}

pub(crate) fn all(core: &Arc<Core>) -> (Vec<Arc<dyn Provider>>, Known) {
    let known = Known {
        twilio: Twilio::new(Arc::clone(core)),
        paypal: Paypal::new(Arc::clone(core)),
    };
    let all: Vec<Arc<dyn Provider>> = vec![
        Arc::new(known.twilio.clone()),
        Arc::new(Resend::new(Arc::clone(core))),
        Arc::new(Razorpay::new(Arc::clone(core))),
        Arc::new(known.paypal.clone()),
    ];
    (all, known)
}

/// By the name in `new`.
pub(crate) fn add_webhook(
    providers: &[Arc<dyn Provider>],
    new: &NewWebhook,
) -> Result<Webhook, WebhookError> {
    let mut found = providers.iter();
    let provider = found
        .find(|provider| provider.name() == new.provider)
        .ok_or_else(|| WebhookError::new(format!("no provider {:?}", new.provider)))?;
    provider.add_webhook(new)
}

pub(crate) fn webhooks(providers: &[Arc<dyn Provider>]) -> Vec<Webhook> {
    let all = providers.iter().flat_map(|provider| provider.webhooks());
    all.collect()
}

/// `None`: nobody has it.
pub(crate) fn change_webhook(
    providers: &[Arc<dyn Provider>],
    id: &str,
    change: &WebhookChange,
) -> Option<Result<Webhook, WebhookError>> {
    let mut providers = providers.iter();
    providers.find_map(|provider| provider.change_webhook(id, change))
}

/// Whether anybody had it.
pub(crate) fn remove_webhook(providers: &[Arc<dyn Provider>], id: &str) -> bool {
    let mut providers = providers.iter();
    providers.any(|provider| provider.remove_webhook(id))
}
