//! One call: admit, run in a fresh sandbox, check, judge, report.

#[cfg(feature = "measure")]
pub(crate) mod native;
#[cfg(feature = "measure")]
pub(crate) mod reused;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use onerouter_domain::environment::Environment;
use onerouter_manifest::{Capability, WebhookSignature};
use tokio::time::{Instant, timeout_at};
use wasmtime::component::{ComponentExportIndex, ResourceTableError};
use wasmtime::{PoolConcurrencyLimitError, Store, Trap, UpdateDeadline, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::adapter::Shared;
use crate::checked::{Checked as _, Checker, Malformed, clean_text};
use crate::connection::{CallContext, ConnectionContext, Credentials};
use crate::functions::{Function, Returned};
use crate::judge::{Said, judge};
use crate::ledger::Trace;
use crate::limits::{HANDLES_MAX, HOSTCALL_BYTES_MAX, wall};
use crate::outbound::{Key, PromisedKey};
use crate::outcome::{CallReport, FaultKind, NotSent, Outcome, PluginFault};
use crate::record::CallRecord;
use crate::recording::{RecordedKey, Recording, Take, bounded_json, told};
use crate::state::{CallState, Tape};
use crate::wit::common::CallError;

pub(crate) const DETAIL_BYTES_MAX: usize = 1_000;

/// Calls `F` and reports. `fits` holds the result against the request.
pub(crate) async fn run<F: Function>(
    adapter: &Arc<Shared>,
    context: &CallContext,
    key: Option<Key<'_>>,
    params: F::Params<'_>,
    fits: impl FnOnce(&F::Output) -> Result<(), Malformed>,
) -> CallReport<F::Output> {
    let started = Instant::now();
    let record = Arc::new(CallRecord::new(adapter.manifest.limits.log_bytes));
    let take = take::<F>(adapter, context, key.as_ref(), &params);
    let way = Way {
        record: &record,
        key: key.and_then(|key| key.promised),
        tape: take
            .as_ref()
            .map(|take| Tape::Records(Arc::clone(&take.notes))),
    };
    let said = attempt::<F>(adapter, context, way, params).await;
    let result = match (&take, &said) {
        (Some(_), Ok(Ok(answer))) => told(answer),
        _ => None,
    };
    let ledger = record.ledger();
    let outcome = match said {
        Err(reason) => Outcome::NotSent(reason),
        Ok(answer) => {
            let said = heard::<F>(answer, context, &record, fits);
            // Neither breakdowns, nor what a stranger has sent and nobody has signed.
            if !matches!(said, Said::Broke(_))
                && is_believed::<F>(adapter, &record)
                && let (Some(take), Some(result)) = (take, result)
            {
                take.end(&result, &record.secrets(&context.connection.credentials));
            }
            judge(said, Trace::of(&ledger))
        }
    };
    let secrets = record.secrets(&context.connection.credentials);
    let (logs, logs_dropped) = record.take_logs(&secrets);
    let duration = started.elapsed();
    adapter.tally.count(&outcome, duration);
    CallReport {
        outcome,
        ledger,
        duration,
        guest_cpu_ticks: record.ticks(),
        logs,
        logs_dropped,
        memory_peak: record.memory_peak(),
        vouched: record.has_vouched(),
    }
}

/// A webhook whose signature only the adapter can check is anybody's until the host has told it that one fits.
fn is_believed<F: Function>(adapter: &Shared, record: &CallRecord) -> bool {
    let webhook = adapter.manifest.webhook.as_ref();
    let is_left_to_adapter =
        webhook.is_some_and(|webhook| matches!(webhook.signature, WebhookSignature::Adapter {}));
    F::CAPABILITY != Capability::Webhooks || !is_left_to_adapter || record.has_vouched()
}

/// The recording of a call that begins, where it is to be recorded.
fn take<F: Function>(
    adapter: &Shared,
    context: &CallContext,
    key: Option<&Key<'_>>,
    params: &F::Params<'_>,
) -> Option<Take> {
    let connection = &context.connection;
    let recorder = connection.recorder.as_ref()?;
    let operation = F::operation();
    if !recorder.wants(&operation) {
        return None;
    }
    Some(Take {
        recorder: Arc::clone(recorder),
        notes: Arc::default(),
        begun: Recording {
            operation: operation.to_string(),
            sha256: adapter.digest.clone(),
            environment: connection.environment,
            public: connection.credentials.all_public().clone(),
            settings: connection.settings.clone(),
            key: key.map(|key| RecordedKey {
                operation: key.operation.to_owned(),
                text: key.text.to_owned(),
            }),
            params: bounded_json(params)?,
            began_ms: adapter.engine.clock.now_ms(),
            times: Vec::new(),
            signatures: Vec::new(),
            exchanges: Vec::new(),
            result: String::new(),
        },
    })
}

/// What goes with a call into its sandbox.
struct Way<'r> {
    record: &'r Arc<CallRecord>,
    key: Option<PromisedKey>,
    tape: Option<Tape>,
}

/// What came out of the sandbox.
type Answer<F> = Result<Result<<F as Function>::Output, CallError>, PluginFault>;

/// The error says that the adapter did not run at all.
async fn attempt<F: Function>(
    adapter: &Arc<Shared>,
    context: &CallContext,
    way: Way<'_>,
    params: F::Params<'_>,
) -> Result<Answer<F>, NotSent> {
    let Way { record, key, tape } = way;
    let Some(function) = adapter.exports.get::<F>() else {
        return Err(NotSent::Unsupported(format!(
            "{} does not offer {}",
            adapter.manifest.name,
            F::CAPABILITY
        )));
    };
    if context.deadline <= Instant::now() {
        return Err(NotSent::Cancelled);
    }
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
    state.tape = tape;
    state.is_offline = F::CAPABILITY == Capability::Webhooks;
    // On the heap: the future holds the sandbox's store, and callers nest it deeply.
    let executing = Box::pin(execute::<F>(adapter, state, function, params));
    // When the time is over, the future is dropped within this statement, and with it the store,
    // and with that the request under way: the ledger is final from here on.
    let ended = timeout_at(deadline, AssertUnwindSafe(executing).catch_unwind()).await;
    match ended {
        Ok(Ok(Ok(answer))) => Ok(Ok(answer)),
        Ok(Ok(Err(error))) if error.is::<PoolConcurrencyLimitError>() => {
            tracing::error!(%error, "the pool is smaller than the number of slots");
            Err(NotSent::Overloaded)
        }
        Ok(Ok(Err(error))) => Ok(Err(fault(&error, record))),
        Ok(Err(panic)) => {
            let detail = panic_text(panic.as_ref());
            tracing::error!(plugin.id = %adapter.manifest.id, detail, "a host function panicked");
            Ok(Err(PluginFault {
                kind: FaultKind::Host,
                detail: detail.to_owned(),
            }))
        }
        Err(_elapsed) => Ok(Err(PluginFault {
            kind: FaultKind::WallTimeout,
            detail: "the call was not over in time".to_owned(),
        })),
    }
}

/// Makes an instance for nobody and throws it away.
pub(crate) async fn probe(adapter: &Arc<Shared>) -> Result<(), PluginFault> {
    let record = Arc::new(CallRecord::new(adapter.manifest.limits.log_bytes));
    let deadline = Instant::now() + wall(&adapter.manifest.limits);
    let broken = |kind, detail: &str| PluginFault {
        kind,
        detail: detail.to_owned(),
    };
    let _permits = adapter
        .sandboxes
        .admit(&adapter.slots, deadline)
        .await
        .map_err(|_overloaded| broken(FaultKind::Host, "there was no room to try it"))?;
    let nobody = ConnectionContext {
        environment: Environment::Test,
        credentials: Credentials::new(BTreeMap::new(), BTreeMap::new())
            .map_err(|error| broken(FaultKind::Host, &error.to_string()))?,
        settings: BTreeMap::new(),
        recorder: None,
    };
    let mut state = CallState::new(
        Arc::clone(adapter),
        Arc::new(nobody),
        Arc::clone(&record),
        deadline,
    );
    state.is_offline = true;
    let making = Box::pin(async {
        let mut store = store(adapter, state);
        adapter
            .instance
            .instantiate_async(&mut store)
            .await
            .map(drop)
    });
    match timeout_at(deadline, AssertUnwindSafe(making).catch_unwind()).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => Err(fault(&error, &record)),
        Ok(Err(panic)) => Err(broken(FaultKind::Host, panic_text(panic.as_ref()))),
        Err(_elapsed) => Err(broken(FaultKind::WallTimeout, "it was not started in time")),
    }
}

/// A fresh store and instance for this call, and gone after it.
pub(crate) async fn execute<F: Function>(
    adapter: &Shared,
    state: CallState,
    function: ComponentExportIndex,
    params: F::Params<'_>,
) -> wasmtime::Result<Result<F::Output, CallError>> {
    let mut store = store(adapter, state);
    let instance = adapter.instance.instantiate_async(&mut store).await?;
    let function = instance.get_typed_func::<F::Params<'_>, Returned<F>>(&mut store, function)?;
    let (answer,) = function.call_async(&mut store, params).await?;
    Ok(answer)
}

/// A store with its limits.
fn store(adapter: &Shared, state: CallState) -> Store<CallState> {
    let budget = adapter.cpu_ticks;
    let mut store = Store::new(&adapter.sandboxes.wasmtime, state);
    store.limiter(|state| &mut state.memory);
    store.set_hostcall_fuel(HOSTCALL_BYTES_MAX);
    store.set_max_component_handles(HANDLES_MAX);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |mut store| {
        let state = store.data_mut();
        // Called only while the guest runs. A tick that passed while the guest was parked in the
        // host is not its own.
        if std::mem::take(&mut state.waited) {
            return Ok(UpdateDeadline::Continue(1));
        }
        if state.record.count_tick() > budget {
            state.record.spend_cpu();
            return Ok(UpdateDeadline::Interrupt);
        }
        // Lets other tasks run, and the timers that end this one.
        Ok(UpdateDeadline::YieldCustom(
            1,
            Box::pin(tokio::task::yield_now()),
        ))
    });
    store
}

/// What the adapter said, as far as it can be believed.
fn heard<F: Function>(
    answer: Answer<F>,
    context: &CallContext,
    record: &CallRecord,
    fits: impl FnOnce(&F::Output) -> Result<(), Malformed>,
) -> Said<F::Output> {
    let secrets = record.secrets(&context.connection.credentials);
    let mut checker = Checker::new(&secrets);
    let said = match answer {
        Ok(Ok(output)) => {
            let checked = fits(&output).and_then(|()| output.checked(&mut checker));
            match checked {
                Ok(output) => Said::Accepted(output),
                Err(Malformed(detail)) => Said::Broke(PluginFault {
                    kind: FaultKind::Malformed,
                    detail,
                }),
            }
        }
        Ok(Err(error)) => Said::error(checker.error(error)),
        Err(fault) => Said::Broke(PluginFault {
            kind: fault.kind,
            detail: clean_text(&secrets, fault.detail, DETAIL_BYTES_MAX),
        }),
    };
    for remark in checker.into_remarks() {
        record.remark(remark);
    }
    said
}

/// Names what stopped the guest.
pub(crate) fn fault(error: &wasmtime::Error, record: &CallRecord) -> PluginFault {
    let cause = error.root_cause().to_string();
    let (kind, detail) = match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) if record.cpu_is_spent() => {
            (FaultKind::CpuBudget, "the CPU budget is used up".to_owned())
        }
        _ if record.memory_was_refused() => (
            FaultKind::Memory,
            format!("the memory limit was hit: {cause}"),
        ),
        Some(_) => match record
            .panicked()
            .or_else(|| panic_message(&record.printed()))
        {
            Some(message) => (FaultKind::Panic, message),
            None => (FaultKind::Trap, cause),
        },
        None if error.is::<I32Exit>() => (FaultKind::Trap, "the guest called exit".to_owned()),
        None if error.is::<ResourceTableError>() => {
            (FaultKind::Memory, format!("too many handles: {cause}"))
        }
        None => (FaultKind::Malformed, cause),
    };
    let frames = error.downcast_ref::<WasmBacktrace>().map(frames);
    PluginFault {
        kind,
        detail: format!("{detail}{}", frames.unwrap_or_default()),
    }
}

/// From the innermost function outwards.
fn frames(backtrace: &WasmBacktrace) -> String {
    let names = backtrace.frames().iter().map(|frame| {
        frame
            .func_name()
            .map_or_else(|| format!("#{}", frame.func_index()), str::to_owned)
    });
    let names: Vec<_> = names.collect();
    if names.is_empty() {
        String::new()
    } else {
        format!("; in {}", names.join(" < "))
    }
}

/// A Rust guest prints `thread '…' panicked at file:line:column:` and the message below.
fn panic_message(printed: &str) -> Option<String> {
    let at = printed.find("panicked at ")?;
    let text = printed.get(at..)?;
    let lines = text.lines().take_while(|line| !line.starts_with("note: "));
    let lines: Vec<_> = lines.collect();
    Some(lines.join(" "))
}

pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}
