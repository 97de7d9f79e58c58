//! An instance that serves one call after another: the guest's own work, and the border to it.
//!
//! A call through [`Adapter`] takes longer than one through this by more than its fresh instance:
//! it is also admitted, given a deadline, checked, judged and reported. The difference is an upper
//! bound of what the instance costs.

use std::fmt;
use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::{ComponentExportIndex, Instance};

use super::store;
use crate::adapter::Adapter;
use crate::connection::CallContext;
use crate::functions::{EmailSend, Function, Returned, SmsSend};
use crate::record::CallRecord;
use crate::state::CallState;
use crate::wit::common::CallError;
use crate::wit::{email, sms};

/// An instance of an adapter that is kept. Its allocator frees nothing: take a new one now and then.
pub struct Reused {
    store: Store<CallState>,
    instance: Instance,
    sms_send: Option<ComponentExportIndex>,
    email_send: Option<ComponentExportIndex>,
}

impl Reused {
    /// Instantiates.
    ///
    /// # Errors
    /// As wasmtime says.
    pub async fn new(adapter: &Adapter, context: &CallContext) -> wasmtime::Result<Self> {
        let shared = &adapter.shared;
        let state = CallState::new(
            Arc::clone(shared),
            Arc::clone(&context.connection),
            Arc::new(CallRecord::new(shared.manifest.limits.log_bytes)),
            context.deadline,
        );
        let mut store = store(shared, state);
        let instance = shared.instance.instantiate_async(&mut store).await?;
        Ok(Self {
            store,
            instance,
            sms_send: shared.exports.get::<SmsSend>(),
            email_send: shared.exports.get::<EmailSend>(),
        })
    }

    /// One more text message. What it said is not judged.
    ///
    /// # Errors
    /// As wasmtime says.
    pub async fn sms_send(
        &mut self,
        request: &sms::SendRequest,
    ) -> wasmtime::Result<Result<sms::Message, CallError>> {
        self.call::<SmsSend>(self.sms_send, (request,)).await
    }

    /// One more e-mail. What it said is not judged.
    ///
    /// # Errors
    /// As wasmtime says.
    pub async fn email_send(
        &mut self,
        request: &email::SendRequest,
    ) -> wasmtime::Result<Result<email::Message, CallError>> {
        self.call::<EmailSend>(self.email_send, (request,)).await
    }

    async fn call<F: Function>(
        &mut self,
        function: Option<ComponentExportIndex>,
        params: F::Params<'_>,
    ) -> wasmtime::Result<Result<F::Output, CallError>> {
        let function = function
            .ok_or_else(|| wasmtime::Error::msg("the adapter does not offer the function"))?;
        let state = self.store.data_mut();
        state.requests = 0;
        state.record = Arc::new(CallRecord::new(state.adapter.manifest.limits.log_bytes));
        self.store.set_epoch_deadline(1);
        let function = self
            .instance
            .get_typed_func::<F::Params<'_>, Returned<F>>(&mut self.store, function)?;
        let (answer,) = function.call_async(&mut self.store, params).await?;
        Ok(answer)
    }
}

impl fmt::Debug for Reused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reused").finish_non_exhaustive()
    }
}
