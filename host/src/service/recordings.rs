//! Calls that are kept for a while, so that a new version of a plugin can be tried with them before it
//! serves.
//!
//! Bounded in every way: some calls of an operation in a minute, the newest of each plugin, for a week;
//! encrypted under the tenant's data key, so that nothing of a deleted tenant can be read. In `live` only
//! where the tenant has chosen so. Whatever goes wrong with a recording is the recording's trouble alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{ConnectionId, TenantId};
use onerouter_engine::{Operation, Recorder, Recording};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::audit::{self, Change};
use super::authentication::unavailable;
use super::caller::Operator;
use super::refusal::Refusal;
use crate::clock::Clock;
use crate::ids;
use crate::store::{RecordedCallHead, RecordedCallRow, Store, StoreError};
use crate::vault::{SecretPlace, Vault, VaultError};

/// How long a call is kept.
pub const KEPT_FOR: TimeDelta = TimeDelta::days(7);
/// Calls that are kept of one operation of a plugin, for each tenant and environment.
pub const KEPT_MAX: u16 = 20;

/// Calls of one operation, tenant and plugin that a node keeps in [`WINDOW`].
const CALLS_PER_WINDOW: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// How long a node believes that a tenant's calls are not to be kept.
const OFF_FOR: Duration = Duration::from_secs(60);
/// What nodes remember of whom.
const REMEMBERED_MAX: u64 = 50_000;
/// Calls that wait to be written; more are not kept. Each is 256 KiB at most.
const WAITING_MAX: usize = 128;
/// Tenants whose calls are looked at, and how many of each.
const TENANTS_MAX: i64 = 200;
const HEADS_MAX: i64 = 500;

/// Keeps calls. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Recordings(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    vault: Vault,
    clock: Clock,
    queue: mpsc::Sender<Waiting>,
    waiting: tokio::sync::Mutex<mpsc::Receiver<Waiting>>,
    /// How many calls were kept in this window.
    recent: moka::sync::Cache<(TenantId, Environment, Arc<str>, Operation), Arc<AtomicU32>>,
    /// Whose calls are not kept.
    off: moka::sync::Cache<(TenantId, Environment), ()>,
}

/// A call that is to be written.
#[derive(Debug)]
struct Waiting {
    of: Arc<Owner>,
    recording: Recording,
}

/// Whose calls they are.
#[derive(Debug)]
struct Owner {
    tenant: TenantId,
    environment: Environment,
    connection: ConnectionId,
    plugin: Arc<str>,
}

/// What an opened connection keeps its calls with.
#[derive(Debug)]
struct ConnectionRecorder {
    recordings: Recordings,
    owner: Arc<Owner>,
}

/// A call that was kept.
#[derive(Debug)]
pub(super) struct KeptCall {
    pub(super) tenant: TenantId,
    pub(super) recorded_at: DateTime<Utc>,
    pub(super) recording: Recording,
}

/// Calls that were kept, and how many nobody can read.
#[derive(Debug, Default)]
pub(super) struct KeptCalls {
    pub(super) calls: Vec<KeptCall>,
    pub(super) unreadable: usize,
}

/// Whether a tenant's calls in an environment are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordingSetting {
    /// Where.
    pub environment: Environment,
    /// They are.
    pub enabled: bool,
    /// How many there are.
    pub kept: u64,
    /// When somebody chose that.
    pub updated_at: Option<DateTime<Utc>>,
}

/// Why a call was not kept.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// While nobody has chosen.
const fn is_kept_by_default(environment: Environment) -> bool {
    !environment.is_live()
}

impl Recordings {
    /// Nothing waits yet.
    #[must_use]
    pub fn new(store: Store, vault: Vault, clock: Clock) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        Self(Arc::new(Inner {
            store,
            vault,
            clock,
            queue,
            waiting: tokio::sync::Mutex::new(waiting),
            recent: moka::sync::Cache::builder()
                .max_capacity(REMEMBERED_MAX)
                .time_to_live(WINDOW)
                .build(),
            off: moka::sync::Cache::builder()
                .max_capacity(REMEMBERED_MAX)
                .time_to_live(OFF_FOR)
                .build(),
        }))
    }

    /// Keeps the calls of one connection.
    pub(super) fn recorder(
        &self,
        tenant: TenantId,
        environment: Environment,
        (connection, plugin): (ConnectionId, &str),
    ) -> Arc<dyn Recorder> {
        Arc::new(ConnectionRecorder {
            recordings: self.clone(),
            owner: Arc::new(Owner {
                tenant,
                environment,
                connection,
                plugin: plugin.into(),
            }),
        })
    }

    /// Writes what is to be kept, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut waiting = self.0.waiting.lock().await;
        loop {
            let next = tokio::select! {
                () = stop.cancelled() => break,
                next = waiting.recv() => next,
            };
            let Some(next) = next else { break };
            self.write_or_warn(next).await;
        }
    }

    /// Writes what waits.
    pub async fn write_waiting(&self) {
        let mut waiting = self.0.waiting.lock().await;
        while let Ok(next) = waiting.try_recv() {
            self.write_or_warn(next).await;
        }
    }

    async fn write_or_warn(&self, waiting: Waiting) {
        let owner = Arc::clone(&waiting.of);
        match self.write(waiting).await {
            Ok(true) => count("kept"),
            Ok(false) => {}
            Err(error) => {
                count("failed");
                tracing::warn!(%error, plugin = %owner.plugin, "a call is not recorded");
            }
        }
    }

    /// Keeps a call; `false` where none is to be kept.
    async fn write(&self, waiting: Waiting) -> Result<bool, KeepError> {
        let Waiting { of, recording } = waiting;
        let default = is_kept_by_default(of.environment);
        // A deleted tenant's data key must not be made anew for this.
        let mut tx = self.0.store.begin_read(of.tenant).await?;
        let is_wanted = tx.records_calls(of.environment, default).await?;
        drop(tx);
        if !is_wanted {
            self.0.off.insert((of.tenant, of.environment), ());
            return Ok(false);
        }
        let id = ids::next();
        let plain = Zeroizing::new(serde_json::to_vec(&recording)?);
        let field = field(id);
        let place = SecretPlace {
            tenant: of.tenant,
            environment: of.environment,
            connection: of.connection,
            field: &field,
        };
        // Before the transaction: the vault may need one of its own.
        let sealed = self.0.vault.encrypt(&place, &plain).await?;
        let mut tx = self.0.store.begin(of.tenant).await?;
        let is_kept = tx.hold_records_calls(of.environment, default).await?;
        if is_kept {
            let row = RecordedCallRow {
                id,
                environment: of.environment,
                connection_id: of.connection,
                plugin: of.plugin.to_string(),
                operation: recording.operation,
                sha256: recording.sha256,
                recording: sealed,
                recorded_at: self.0.clock.now(),
            };
            tx.insert_recorded_call(&row, KEPT_MAX.into()).await?;
            tx.commit().await?;
        }
        Ok(is_kept)
    }

    /// Whether a tenant's calls are kept, and how many are.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn setting(
        &self,
        tenant: TenantId,
        environment: Environment,
    ) -> Result<RecordingSetting, Refusal> {
        let failed = |error| unavailable("cannot read whether calls are recorded", &error);
        let mut tx = self.0.store.begin_read(tenant).await.map_err(failed)?;
        let row = tx
            .find_recording_setting(environment)
            .await
            .map_err(failed)?;
        let kept = tx.count_recorded_calls(environment).await.map_err(failed)?;
        Ok(RecordingSetting {
            environment,
            enabled: row.map_or(is_kept_by_default(environment), |row| row.enabled),
            kept,
            updated_at: row.and_then(|row| row.updated_at),
        })
    }

    /// Chooses whether a tenant's calls are kept. When they are not, those that were kept go.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn choose(
        &self,
        operator: &Operator,
        environment: Environment,
        enabled: bool,
    ) -> Result<RecordingSetting, Refusal> {
        let failed = |error| unavailable("cannot choose whether calls are recorded", &error);
        let tenant = operator.tenant;
        let before = self.setting(tenant, environment).await?;
        let now = self.0.clock.now();
        let mut tx = self.0.store.begin(tenant).await.map_err(failed)?;
        tx.write_recording_setting(environment, enabled, now)
            .await
            .map_err(failed)?;
        let change = Change {
            action: "recordings.chosen",
            target: environment.to_string(),
            before: Some(json!({"enabled": before.enabled})),
            after: Some(json!({"enabled": enabled})),
        };
        audit::record(&mut tx, operator, change, now)
            .await
            .map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        // Other nodes learn of a no with the next call that they would keep, and of a yes within [`OFF_FOR`].
        self.0.off.invalidate(&(tenant, environment));
        self.setting(tenant, environment).await
    }

    /// Calls of a version, the newest of each tenant's operations in turns: neither a tenant nor an operation
    /// that is busier than the others stands for all.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub(super) async fn latest(&self, sha256: &str, limit: u16) -> Result<KeptCalls, Refusal> {
        let failed = |error| unavailable("cannot read recorded calls", &error);
        let since = self.0.clock.now() - KEPT_FOR;
        let store = &self.0.store;
        let tenants = store
            .tenants_with_recorded_calls(sha256, since, TENANTS_MAX)
            .await
            .map_err(failed)?;
        let mut heads = Vec::new();
        for tenant in tenants {
            let mut tx = store.begin_read(tenant).await.map_err(failed)?;
            let latest = tx
                .latest_recorded_calls(sha256, since, HEADS_MAX)
                .await
                .map_err(failed)?;
            heads.extend(latest.into_iter().map(|head| (tenant, head)));
        }
        let mut kept = KeptCalls::default();
        for (tenant, id) in in_turns(heads, limit) {
            let mut tx = store.begin_read(tenant).await.map_err(failed)?;
            let row = tx.find_recorded_call(id).await.map_err(failed)?;
            drop(tx);
            // Gone in this moment, with what is too old.
            let Some(row) = row else { continue };
            match self.open(tenant, &row).await {
                Some(recording) => kept.calls.push(KeptCall {
                    tenant,
                    recorded_at: row.recorded_at,
                    recording,
                }),
                None => kept.unreadable += 1,
            }
        }
        Ok(kept)
    }

    async fn open(&self, tenant: TenantId, row: &RecordedCallRow) -> Option<Recording> {
        let field = field(row.id);
        let place = SecretPlace {
            tenant,
            environment: row.environment,
            connection: row.connection_id,
            field: &field,
        };
        let opened = self.0.vault.decrypt(&place, &row.recording).await;
        let opened = opened.inspect_err(|error| {
            tracing::warn!(%error, id = %row.id, "a recorded call cannot be decrypted");
        });
        // One of another version of this program may have another form.
        serde_json::from_slice(&opened.ok()?).ok()
    }
}

/// The newest of every tenant's operations, then the next ones, up to a number. The newest come first.
fn in_turns(mut heads: Vec<(TenantId, RecordedCallHead)>, limit: u16) -> Vec<(TenantId, Uuid)> {
    heads.sort_unstable_by_key(|(_, head)| std::cmp::Reverse(head.id));
    let mut before: HashMap<(TenantId, String), u32> = HashMap::new();
    let mut turns: Vec<(u32, TenantId, Uuid)> = heads
        .into_iter()
        .map(|(tenant, head)| {
            let turn = before.entry((tenant, head.operation)).or_default();
            *turn += 1;
            (*turn, tenant, head.id)
        })
        .collect();
    // Stable: within a turn the newest stay first.
    turns.sort_by_key(|(turn, ..)| *turn);
    turns.truncate(limit.into());
    let turns = turns.into_iter();
    turns.map(|(_, tenant, id)| (tenant, id)).collect()
}

/// The vault's name for a recording.
fn field(id: Uuid) -> String {
    format!("recorded_call:{id}")
}

fn count(result: &'static str) {
    metrics::counter!("onerouter_recorded_calls_total", "result" => result).increment(1);
}

impl Recorder for ConnectionRecorder {
    fn wants(&self, operation: &Operation) -> bool {
        let Owner {
            tenant,
            environment,
            ref plugin,
            ..
        } = *self.owner;
        let inner = &self.recordings.0;
        if inner.off.contains_key(&(tenant, environment)) {
            return false;
        }
        let key = (tenant, environment, Arc::clone(plugin), *operation);
        let recent = inner.recent.get_with(key, Arc::default);
        recent.fetch_add(1, Ordering::Relaxed) < CALLS_PER_WINDOW
    }

    fn keep(&self, recording: Recording) {
        let waiting = Waiting {
            of: Arc::clone(&self.owner),
            recording,
        };
        if self.recordings.0.queue.try_send(waiting).is_err() {
            count("dropped");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busy_leave_room_for_the_others() {
        let tenant = |number| TenantId::from_uuid(Uuid::from_u128(number));
        let head = |id: u128, operation: &str| RecordedCallHead {
            id: Uuid::from_u128(id),
            operation: operation.to_owned(),
        };
        let busy = (10..60).map(|id| (tenant(1), head(id, "sms.get")));
        let rare = [
            (tenant(1), head(1, "sms.send")),
            (tenant(2), head(2, "sms.get")),
        ];
        let chosen = in_turns(busy.chain(rare).collect(), 4);
        let chosen: Vec<_> = chosen.into_iter().map(|(_, id)| id.as_u128()).collect();
        assert_eq!(chosen, [59, 2, 1, 58]);
    }
}
