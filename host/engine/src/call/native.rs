//! One call of a double that is compiled into the host: the same way without a sandbox.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout_at};

use super::heard;
use crate::adapter::Shared;
use crate::connection::CallContext;
use crate::functions::Function;
use crate::judge::judge;
use crate::ledger::Trace;
use crate::limits::wall;
use crate::measure::NativeHost;
use crate::outbound::PromisedKey;
use crate::outcome::{CallReport, FaultKind, NotSent, Outcome, PluginFault};
use crate::record::CallRecord;
use crate::state::CallState;
use crate::wit::common::CallError;

/// As [`super::run`].
pub(crate) async fn run<'r, F: Function>(
    adapter: &Arc<Shared>,
    context: &CallContext,
    key: Option<PromisedKey>,
    work: impl FnOnce(NativeHost) -> Work<'r, F>,
) -> CallReport<F::Output> {
    let started = Instant::now();
    let record = Arc::new(CallRecord::new(adapter.manifest.limits.log_bytes));
    let outcome = match attempt::<F>(adapter, context, &record, key, work).await {
        Err(reason) => Outcome::NotSent(reason),
        Ok(answer) => {
            let said = heard::<F>(answer, context, &record, |_| Ok(()));
            judge(said, Trace::of(&record.ledger()))
        }
    };
    let secrets = record.secrets(&context.connection.credentials);
    let (logs, logs_dropped) = record.take_logs(&secrets);
    CallReport {
        outcome,
        ledger: record.ledger(),
        duration: started.elapsed(),
        guest_cpu_ticks: 0,
        logs,
        logs_dropped,
        memory_peak: 0,
        vouched: record.has_vouched(),
    }
}

/// What a double does.
pub(crate) type Work<'r, F> = BoxFuture<'r, Result<<F as Function>::Output, CallError>>;

async fn attempt<'r, F: Function>(
    adapter: &Arc<Shared>,
    context: &CallContext,
    record: &Arc<CallRecord>,
    key: Option<PromisedKey>,
    work: impl FnOnce(NativeHost) -> Work<'r, F>,
) -> Result<super::Answer<F>, NotSent> {
    let _permits = adapter
        .sandboxes
        .admit(&adapter.slots, context.deadline)
        .await?;
    let deadline = context
        .deadline
        .min(Instant::now() + wall(&adapter.manifest.limits));
    let mut state = CallState::new(
        Arc::clone(adapter),
        Arc::clone(&context.connection),
        Arc::clone(record),
        deadline,
    );
    state.key = key;
    let working = AssertUnwindSafe(work(NativeHost(state))).catch_unwind();
    match timeout_at(deadline, working).await {
        Ok(Ok(answer)) => Ok(Ok(answer)),
        Ok(Err(_)) | Err(_) => Ok(Err(PluginFault {
            kind: FaultKind::Host,
            detail: "the native double broke down".to_owned(),
        })),
    }
}
