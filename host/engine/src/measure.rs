//! For benchmarks only: a provider that answers at once, a double that answers in the component's
//! place, and an instance that is used again. None of it is compiled into a gateway.

use std::fmt;

use futures_util::future::BoxFuture;
use onerouter_egress::{Answer, OutboundRequest};

use crate::adapter::Adapter;
use crate::engine::Engine;
use crate::state::CallState;
use crate::wit::common::CallError;
use crate::wit::{email, sms};

pub use crate::bindings::onerouter::outbound::http as outbound;
pub use crate::call::reused::Reused;
pub use wasmtime::Enabled;

/// What a provider without a network says.
pub type AtOnce = dyn Fn(&OutboundRequest) -> Answer + Send + Sync;

/// Native code that answers for an adapter.
pub trait Native: Send + Sync + 'static {
    /// In place of `sms.send`.
    fn sms_send<'r>(
        &'r self,
        host: NativeHost,
        request: &'r sms::SendRequest,
    ) -> BoxFuture<'r, Result<sms::Message, CallError>>;

    /// In place of `email.send`.
    fn email_send<'r>(
        &'r self,
        host: NativeHost,
        request: &'r email::SendRequest,
    ) -> BoxFuture<'r, Result<email::Message, CallError>>;
}

/// What a component reaches by its imports.
pub struct NativeHost(pub(crate) CallState);

impl NativeHost {
    /// As `context.credential`.
    #[must_use]
    pub fn credential(&self, name: &str) -> Option<&str> {
        let value = self.0.connection.credentials.public(name);
        value.filter(|value| !value.is_empty())
    }

    /// As `context.setting`.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.0.connection.settings.get(name).map(String::as_str)
    }

    /// As `context.now`.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.0.adapter.engine.clock.now_ms()
    }

    /// As `http.send`: the same rules, credentials, client and scrubbing.
    ///
    /// # Errors
    /// As there.
    pub async fn send(
        &mut self,
        request: outbound::Request,
    ) -> Result<outbound::Response, outbound::SendError> {
        self.0.send_one(request).await
    }
}

impl fmt::Debug for NativeHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeHost").finish_non_exhaustive()
    }
}

impl Engine {
    /// Nothing is sent from now on; this answers. The first one stays.
    pub fn answer_at_once(
        &self,
        answer: impl Fn(&OutboundRequest) -> Answer + Send + Sync + 'static,
    ) {
        let _first_stays = self.inner.at_once.set(Box::new(answer));
    }
}

impl Adapter {
    /// `native` answers from now on in place of the component. The first one stays.
    pub fn answer_natively(&self, native: impl Native) {
        let _first_stays = self.shared.native.set(Box::new(native));
    }
}
