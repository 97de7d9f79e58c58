//! What each emulated provider implements. A new one is a folder of its own and one line in [`all`].

use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;

use crate::{
    call::Call, connection::SandboxConnection, core::Core, reply::Reply, resend::Resend,
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
    ]
}
