//! What each emulated provider implements. A new one is a folder of its own and one line in [`all`].

use std::sync::Arc;

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
};

pub(crate) trait Provider: Send + Sync {
    /// The path prefix, and the name in ledger and log.
    fn name(&self) -> &'static str;

    /// The real provider's host name.
    fn host(&self) -> &'static str;

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

    /// `POST /_sandbox/{name}/{action}`: what only this provider can be told. `None`: no such action.
    fn control(&self, _action: &str) -> Option<Reply> {
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

pub(crate) fn all(core: &Arc<Core>) -> Vec<Arc<dyn Provider>> {
    vec![
        Arc::new(Twilio::new(Arc::clone(core))),
        Arc::new(Resend::new(Arc::clone(core))),
        Arc::new(Razorpay::new(Arc::clone(core))),
        Arc::new(Paypal::new(Arc::clone(core))),
    ]
}
