//! One loaded adapter and the calls that it takes.

mod payments;

use std::sync::Arc;

use onerouter_manifest::{Capability, Manifest};
use tokio::sync::Semaphore;
use wasmtime::component::InstancePre;

use crate::call::run;
use crate::checked::Malformed;
use crate::connection::CallContext;
use crate::engine::Inner;
use crate::functions::{
    AccountCheck, EmailCancel, EmailGet, EmailSend, EmailSendBatch, Exports, SmsCancel, SmsFind,
    SmsGet, SmsSend, WebhooksRead,
};
use crate::judge::{self, Said};
use crate::ledger::Trace;
use crate::outbound::{Key, PromisedKey, Rules};
use crate::outcome::{CallReport, ItemRefusal, PluginFault};
use crate::sandboxes::Sandboxes;
use crate::state::CallState;
use crate::tally::{Calls, Tally};
use crate::wit::{account, email, sms, webhooks};

/// A component that is ready to run. Calls may be made concurrently; each gets a sandbox of its
/// own.
///
/// Dropping one of the futures below ends the call at once and loses its report, ledger included:
/// run calls that change something on a task that outlives the client.
#[derive(Debug)]
pub struct Adapter {
    pub(crate) shared: Arc<Shared>,
}

/// What the calls of an adapter share.
pub(crate) struct Shared {
    pub(crate) engine: Arc<Inner>,
    /// Those of the engine's sandboxes that it runs in.
    pub(crate) sandboxes: Arc<Sandboxes>,
    pub(crate) manifest: Manifest,
    pub(crate) capabilities: Vec<Capability>,
    pub(crate) digest: String,
    pub(crate) rules: Rules,
    pub(crate) cpu_ticks: u32,
    pub(crate) instance: InstancePre<CallState>,
    pub(crate) exports: Exports,
    /// The share of the sandboxes' slots that this adapter may take.
    pub(crate) slots: Semaphore,
    pub(crate) tally: Tally,
    #[cfg(feature = "measure")]
    pub(crate) native: std::sync::OnceLock<Box<dyn crate::measure::Native>>,
}

impl Adapter {
    pub(crate) fn new(shared: Shared) -> Self {
        Self {
            shared: Arc::new(shared),
        }
    }

    /// What it says about itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.shared.manifest
    }

    /// What it can do, sorted.
    #[must_use]
    pub fn capabilities(&self) -> &[Capability] {
        &self.shared.capabilities
    }

    /// Whether it can do this.
    #[must_use]
    pub fn can(&self, capability: Capability) -> bool {
        self.capabilities().contains(&capability)
    }

    /// SHA-256 of the component, in lower-case hex.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.shared.digest
    }

    /// How its calls have gone since it was loaded.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.shared.tally.read()
    }

    /// Calls that run, or wait for room in its share.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        let share = self.shared.sandboxes.slots_per_adapter;
        share.saturating_sub(self.shared.slots.available_permits())
    }

    /// Makes an instance and throws it away: what a component does when it starts must work.
    ///
    /// # Errors
    /// It breaks down, or takes longer or more than its manifest allows a call.
    pub async fn probe(&self) -> Result<(), PluginFault> {
        crate::call::probe(&self.shared).await
    }

    /// Whether it runs in one of the few sandboxes for components that bring an interpreter along.
    #[must_use]
    pub fn is_wide(&self) -> bool {
        Arc::ptr_eq(&self.shared.sandboxes, &self.shared.engine.wide)
    }

    /// The key toward the provider.
    pub(crate) fn key<'k>(&self, operation: &'static str, text: &'k str) -> Key<'k> {
        Key {
            operation,
            text,
            promised: self.shared.promised(operation, text),
        }
    }

    /// Tells whether the credentials work. Reads only.
    pub async fn account_check(&self, context: &CallContext) -> CallReport<account::Account> {
        run::<AccountCheck>(&self.shared, context, None, (), anything).await
    }

    /// Reads one webhook. Sends nothing.
    pub async fn webhooks_read(
        &self,
        context: &CallContext,
        request: &webhooks::Request,
    ) -> CallReport<webhooks::Reading> {
        run::<WebhooksRead>(&self.shared, context, None, (request,), anything).await
    }

    /// Sends one text message.
    pub async fn sms_send(
        &self,
        context: &CallContext,
        request: &sms::SendRequest,
    ) -> CallReport<sms::Message> {
        let key = self.key("sms.send", &request.idempotency_key);
        #[cfg(feature = "measure")]
        if let Some(native) = self.shared.native.get() {
            let work = |host| native.sms_send(host, request);
            return crate::call::native::run::<SmsSend>(&self.shared, context, key.promised, work)
                .await;
        }
        run::<SmsSend>(&self.shared, context, Some(key), (request,), anything).await
    }

    /// Reads one text message.
    pub async fn sms_get(
        &self,
        context: &CallContext,
        provider_id: &str,
    ) -> CallReport<sms::Message> {
        run::<SmsGet>(&self.shared, context, None, (provider_id,), anything).await
    }

    /// Cancels one text message.
    pub async fn sms_cancel(
        &self,
        context: &CallContext,
        provider_id: &str,
    ) -> CallReport<sms::Message> {
        run::<SmsCancel>(&self.shared, context, None, (provider_id,), anything).await
    }

    /// Finds text messages that equal `request` and were created inside `window`.
    pub async fn sms_find(
        &self,
        context: &CallContext,
        request: &sms::SendRequest,
        window: sms::Window,
    ) -> CallReport<Vec<sms::Message>> {
        let params = (request, &window);
        run::<SmsFind>(&self.shared, context, None, params, anything).await
    }

    /// Sends one e-mail.
    pub async fn email_send(
        &self,
        context: &CallContext,
        request: &email::SendRequest,
    ) -> CallReport<email::Message> {
        let key = self.key("email.send", &request.idempotency_key);
        #[cfg(feature = "measure")]
        if let Some(native) = self.shared.native.get() {
            let work = |host| native.email_send(host, request);
            return crate::call::native::run::<EmailSend>(
                &self.shared,
                context,
                key.promised,
                work,
            )
            .await;
        }
        run::<EmailSend>(&self.shared, context, Some(key), (request,), anything).await
    }

    /// Reads one e-mail.
    pub async fn email_get(
        &self,
        context: &CallContext,
        provider_id: &str,
    ) -> CallReport<email::Message> {
        run::<EmailGet>(&self.shared, context, None, (provider_id,), anything).await
    }

    /// Cancels one e-mail.
    pub async fn email_cancel(
        &self,
        context: &CallContext,
        provider_id: &str,
    ) -> CallReport<email::Message> {
        run::<EmailCancel>(&self.shared, context, None, (provider_id,), anything).await
    }

    /// Sends several e-mails in one call: one result per request, in order. `Accepted` says only
    /// that the adapter answered for each of them and that each of its requests was answered.
    pub async fn email_send_batch(
        &self,
        context: &CallContext,
        requests: &[email::SendRequest],
        idempotency_key: &str,
    ) -> CallReport<Vec<Result<email::Message, ItemRefusal>>> {
        let one_each = |results: &Vec<_>| {
            if results.len() == requests.len() {
                return Ok(());
            }
            Err(Malformed(format!(
                "{} results for {} e-mails",
                results.len(),
                requests.len()
            )))
        };
        let params = (requests, idempotency_key);
        let key = self.key("email.send_batch", idempotency_key);
        let report =
            run::<EmailSendBatch>(&self.shared, context, Some(key), params, one_each).await;
        let trace = Trace::of(&report.ledger);
        report.map(|results| {
            let said = results
                .into_iter()
                .map(|result| result.map_or_else(Said::error, Said::Accepted));
            judge::items(said, trace)
        })
    }
}

impl Shared {
    /// The header that must carry the key toward the provider, where the manifest says that the
    /// provider honours one for this operation: a repetition relies on it.
    pub(crate) fn promised(&self, operation: &str, key: &str) -> Option<PromisedKey> {
        let operation = self.manifest.operations.get(operation)?;
        let rule = operation.idempotency.as_ref()?;
        PromisedKey::new(&rule.header, key)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Adapter")
            .field("id", &self.manifest.id)
            .field("version", &self.manifest.version)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// Nothing in the request that the result would have to match.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the type of a check that can fail"
)]
fn anything<T>(_result: &T) -> Result<(), Malformed> {
    Ok(())
}
