//! A recorded call, made again on another version: nothing is sent, every answer is the recorded one.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use onerouter_manifest::Capability;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use url::Url;
use wasmtime::PoolConcurrencyLimitError;
use zeroize::Zeroizing;

use crate::adapter::{Adapter, Shared};
use crate::bindings::onerouter::outbound::http as wit;
use crate::call::{DETAIL_BYTES_MAX, execute, fault, panic_text};
use crate::checked::{Checked, Checker, Malformed, clean_text};
use crate::connection::{ConnectionContext, Credentials};
use crate::differences::{Difference, Results, differences, shortened};
use crate::functions::Function;
use crate::limits::wall;
use crate::outcome::{FaultKind, PluginFault};
use crate::record::CallRecord;
use crate::recording::{Asked, Recording, Told, asked_bytes, told};
use crate::scrub::Scrubber;
use crate::state::{CallState, Tape};
use crate::wit::common::CallError;

/// What a version may ask in one replay: more than any recording holds.
const ASKED_BYTES_MAX: usize = 1 << 20;

/// Stands where a secret stood: what is attached is not sent, and not looked at.
const STAND_IN: &str = "stand-in-of-a-secret";

/// How a recorded call went on another version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// What is different; nothing where the two do the same.
    pub differences: Vec<Difference>,
    /// How the version broke down, where it did.
    pub fault: Option<PluginFault>,
}

/// Why a recorded call cannot be made again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// Recorded by another version of the host.
    #[error("this host cannot read the recording: {0}")]
    Unreadable(String),
    /// No sandbox was free.
    #[error("there was no room to run it")]
    Overloaded,
}

impl Adapter {
    /// Makes a recorded call again. Nothing leaves the host.
    ///
    /// # Errors
    /// The recording is another host's, or no sandbox is free in time.
    pub async fn replay(&self, recording: &Recording) -> Result<Replay, ReplayError> {
        crate::functions::replay(&self.shared, recording).await
    }
}

/// Makes a call of `F` again.
pub(crate) async fn replay<F: Function>(
    adapter: &Arc<Shared>,
    recording: &Recording,
) -> Result<Replay, ReplayError> {
    let unreadable = |error: serde_json::Error| ReplayError::Unreadable(error.to_string());
    let params: F::Owned = serde_json::from_str(&recording.params).map_err(unreadable)?;
    let recorded = serde_json::from_str(&recording.result).map_err(unreadable)?;
    let Some(function) = adapter.exports.get::<F>() else {
        return Ok(Replay {
            differences: vec![Difference {
                at: "/result".to_owned(),
                recorded: Some(shortened(&recording.result)),
                now: Some("it does not offer this any more".to_owned()),
            }],
            fault: None,
        });
    };
    let patience = Instant::now() + wall(&adapter.manifest.limits);
    let _permits = adapter
        .sandboxes
        .admit(&adapter.slots, patience)
        .await
        .map_err(|_not_admitted| ReplayError::Overloaded)?;
    // All of its time, however long it has waited for its place.
    let deadline = Instant::now() + wall(&adapter.manifest.limits);
    let record = Arc::new(CallRecord::new(adapter.manifest.limits.log_bytes));
    let playback = Arc::new(Playback::of(recording));
    let mut state = CallState::new(
        Arc::clone(adapter),
        Arc::new(stand_in(adapter, recording)?),
        Arc::clone(&record),
        deadline,
    );
    state.key = recording
        .key
        .as_ref()
        .and_then(|key| adapter.promised(&key.operation, &key.text));
    state.is_offline = F::CAPABILITY == Capability::Webhooks;
    state.tape = Some(Tape::Plays(Arc::clone(&playback)));
    let executing = Box::pin(execute::<F>(adapter, state, function, F::lend(&params)));
    let ended = timeout_at(deadline, AssertUnwindSafe(executing).catch_unwind()).await;
    let answer = match ended {
        Ok(Ok(Ok(answer))) => Ok(answer),
        Ok(Ok(Err(error))) if error.is::<PoolConcurrencyLimitError>() => {
            return Err(ReplayError::Overloaded);
        }
        Ok(Ok(Err(error))) => Err(fault(&error, &record)),
        Ok(Err(panic)) => Err(PluginFault {
            kind: FaultKind::Host,
            detail: panic_text(panic.as_ref()).to_owned(),
        }),
        Err(_elapsed) => Err(PluginFault {
            kind: FaultKind::WallTimeout,
            detail: "the call was not over in time".to_owned(),
        }),
    };
    let (result, fault) = match answer {
        Err(fault) => (None, Some(fault)),
        Ok(answer) => {
            // One that is too large to be recorded is another one than the recorded one.
            let result = told(&answer).unwrap_or(Value::Null);
            (Some(result), malformed(answer, &record))
        }
    };
    let results = Results {
        recorded: &recorded,
        now: result.as_ref(),
    };
    let played = playback.end();
    let differences = differences(recording, &played, &results);
    let nothing = Scrubber::new(std::iter::empty());
    let fault = fault.map(|fault| PluginFault {
        kind: fault.kind,
        detail: clean_text(&nothing, fault.detail, DETAIL_BYTES_MAX),
    });
    Ok(Replay { differences, fault })
}

/// A result that the contract does not allow is a breakdown, as it is in a call.
fn malformed<T: Checked>(answer: Result<T, CallError>, record: &CallRecord) -> Option<PluginFault> {
    let nobody = Credentials::new(BTreeMap::new(), BTreeMap::new()).ok()?;
    let secrets = record.secrets(&nobody);
    let mut checker = Checker::new(&secrets);
    let Malformed(detail) = answer.ok()?.checked(&mut checker).err()?;
    Some(PluginFault {
        kind: FaultKind::Malformed,
        detail,
    })
}

/// The connection as it was, with something in the place of every secret.
fn stand_in(adapter: &Shared, recording: &Recording) -> Result<ConnectionContext, ReplayError> {
    let fields = adapter.manifest.credentials.iter();
    let secret = fields
        .filter(|field| !recording.public.contains_key(&field.name))
        .map(|field| (field.name.clone(), Zeroizing::new(STAND_IN.to_owned())))
        .collect();
    Ok(ConnectionContext {
        environment: recording.environment,
        credentials: Credentials::new(recording.public.clone(), secret)
            .map_err(|error| ReplayError::Unreadable(error.to_string()))?,
        settings: recording.settings.clone(),
        recorder: None,
    })
}

/// Answers from a recording.
#[derive(Debug)]
pub(crate) struct Playback {
    recording: Recording,
    state: Mutex<Played>,
}

#[derive(Debug, Default)]
pub(crate) struct Played {
    times: usize,
    bytes: usize,
    pub(crate) asked: Vec<Replayed>,
    /// More was asked than is compared.
    pub(crate) is_cut: bool,
}

/// A request of the version that is tried.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) asked: Asked,
    /// Which of the recorded requests it stands for.
    pub(crate) stands_for: Option<usize>,
    /// Why it may not be sent.
    pub(crate) refused: Option<String>,
}

impl Playback {
    fn of(recording: &Recording) -> Self {
        Self {
            recording: recording.clone(),
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Played> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) -> Played {
        std::mem::take(&mut *self.lock())
    }

    /// A request, as far as there is room for it.
    pub(crate) fn asked(&self, request: &wit::Request) -> Option<Asked> {
        let mut played = self.lock();
        played.bytes = played.bytes.saturating_add(asked_bytes(request));
        played.is_cut |= played.bytes > ASKED_BYTES_MAX;
        (!played.is_cut).then(|| Asked::of(request))
    }

    /// The times that were told, in their order; after the last of them, that one.
    pub(crate) fn time(&self) -> u64 {
        let mut played = self.lock();
        let times = &self.recording.times;
        let told = times.get(played.times).or(times.last());
        played.times += 1;
        told.copied().unwrap_or(self.recording.began_ms)
    }

    /// What was found of this very signature; one that nobody checked fits nobody.
    pub(crate) fn signature(&self, of: &str) -> bool {
        let mut signatures = self.recording.signatures.iter();
        signatures.any(|signature| signature.of == of && signature.fits)
    }

    /// The recorded answer to a request that stands for this one: the next to the same place, else the
    /// next of the same method. So a version that asks elsewhere goes on, and what it makes of the answer
    /// is seen too.
    pub(crate) fn answer(
        &self,
        asked: Asked,
        refused: Option<wit::SendError>,
        response_bytes_max: u64,
    ) -> Result<wit::Response, wit::SendError> {
        let mut played = self.lock();
        let stands_for = {
            let is_free = |at: &usize| played.asked.iter().all(|one| one.stands_for != Some(*at));
            let exchanges = || self.recording.exchanges.iter().enumerate();
            let place = place(&asked.url);
            let same_place = exchanges().find(|(at, one)| {
                is_free(at)
                    && one.asked.method == asked.method
                    && self::place(&one.asked.url) == place
            });
            same_place
                .or_else(|| {
                    exchanges().find(|(at, one)| is_free(at) && one.asked.method == asked.method)
                })
                .map(|(at, _)| at)
        };
        let told = stands_for.and_then(|at| self.recording.exchanges.get(at));
        let told = told.map(|exchange| &exchange.told);
        played.asked.push(Replayed {
            asked,
            stands_for,
            refused: refused.as_ref().map(refusal),
        });
        drop(played);
        if let Some(error) = refused {
            return Err(error);
        }
        let answer = told.map_or_else(
            || {
                let text = "no answer was recorded for this request";
                Err(wit::SendError::Unreachable(text.to_owned()))
            },
            Told::again,
        )?;
        if answer.body.len() as u64 > response_bytes_max {
            return Err(wit::SendError::TooLarge(response_bytes_max));
        }
        Ok(answer)
    }
}

/// Why the host did not send a request.
fn refusal(error: &wit::SendError) -> String {
    match error {
        wit::SendError::Denied(text)
        | wit::SendError::Unreachable(text)
        | wit::SendError::Interrupted(text)
        | wit::SendError::Other(text) => text.clone(),
        wit::SendError::TooLarge(limit) => format!("larger than {limit} bytes"),
    }
}

/// Without what varies within one place.
fn place(url: &str) -> Option<(String, String)> {
    let url = Url::parse(url).ok()?;
    Some((url.host_str()?.to_owned(), url.path().to_owned()))
}
