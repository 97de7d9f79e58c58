//! All SQL. Rows in, rows out; no policy.
//!
//! Two databases, PostgreSQL and embedded SQLite, behind one text per statement:
//!
//! - [`Store`] opens, migrates and checks a database, and answers what must be known before a
//!   tenant is: whose key, whose connection, whose work is due, who has changed something. The tables
//!   behind that hold no data of a tenant.
//! - [`TenantTx`] is the only way to everything else: a transaction that knows its tenant, and
//!   tells PostgreSQL.
//! - One file per table: `tenants`, `api_keys`, `connections`, `data_keys`, `objects`, `attempts`,
//!   `idempotency_keys`, `events`, `call_logs`, `due_work`, `routing_policies`, `audit_log`,
//!   `tenant_changes`, `webhook_endpoints`, `deliveries`, `delivery_queue`, `delivery_tries`,
//!   `received_webhooks`, `recorded_calls`.
//! - `claims` and `settlements`: all that is written of one message before it is sent and after, in
//!   one statement on PostgreSQL; `groups`: those of one moment share statement and transaction.
//! - `deletion`: the end of a tenant. `retention`: the end of what is too old.
//! - `statement` and `backend`: how one text reaches two drivers. `connect`, `session`, `pooler`,
//!   `kept`, `dead_connection`, `migration`, `roles`, `error`.
//!
//! Times that are written must have been cut by [`onerouter_domain::time::cut`], so that both give
//! back what they were given. A connection is never held while anything else is waited for.

mod api_keys;
mod attempts;
mod audit_log;
mod backend;
mod call_logs;
mod claims;
mod connect;
mod connections;
mod data_keys;
mod dead_connection;
mod deletion;
mod deliveries;
mod delivery_queue;
mod delivery_tries;
mod due_work;
mod error;
mod event_feed;
mod events;
mod gateway_nodes;
mod groups;
mod idempotency_keys;
mod kept;
mod migration;
mod objects;
mod payments;
#[cfg(test)]
mod plans;
mod plugin_distrusted_keys;
mod plugin_keys;
mod plugin_tombstones;
mod plugin_versions;
mod plugins;
mod pooler;
mod received_webhooks;
mod recorded_calls;
mod redeliveries;
mod retention;
mod roles;
mod routing_policies;
mod session;
mod settlements;
mod statement;
mod tenant_changes;
mod tenant_tx;
mod tenants;
mod webhook_endpoints;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Executor as _, SqlSafeStr as _, SqlitePool};

use backend::{Backend, Pools};
use error::During as _;
use groups::Groups;
use kept::Kept;
use session::Alone;
use statement::{Joined, Statement};

pub use api_keys::{ApiKeyRow, KeyUse, NewApiKey};
pub use attempts::{AttemptEnd, AttemptRow, NewAttempt};
pub use audit_log::{AuditFilter, AuditRow};
pub use call_logs::NewCallLog;
pub use claims::MessageClaim;
pub use connections::{
    ConnectionGroup, ConnectionRow, ConnectionSlot, ConnectionWrite, NewConnection,
};
pub use data_keys::DataKeyRow;
pub use deliveries::DeliveryRow;
pub use delivery_queue::{DeliveryNotice, DueEndpoint, TakenDelivery};
pub use delivery_tries::{DeliveryEnd, DeliveryTry};
pub use due_work::{DueWork, WorkKind};
pub use error::StoreError;
pub use event_feed::{EventFilter, EventOrder, EventPage, EventRow};
pub use events::NewEvent;
pub use gateway_nodes::NodeRow;
pub use groups::GroupError;
pub use idempotency_keys::{IdempotencyRow, KeyClaim, KeyState, NewKeyClaim};
pub use migration::SchemaState;
pub use objects::{NewObject, ObjectFilter, ObjectKind, ObjectMove, ObjectRow, ObjectUpdate};
pub use payments::{CheckoutPlace, RefundState, RefundSums};
pub use plugin_distrusted_keys::DistrustedKeyRow;
pub use plugin_keys::PluginKeyRow;
pub use plugin_tombstones::PluginTombstoneRow;
pub use plugin_versions::{
    KnownAdvisory, NewPluginVersion, PluginStanding, PluginVersionRow, StoredComponent,
};
pub use plugins::{PluginRow, PluginWrite};
pub use pooler::PoolerCheck;
pub use received_webhooks::{KeyOwner, NewReceivedWebhook, ReceivedWebhookRow, WebhookVerdict};
pub use recorded_calls::{RecordedCallHead, RecordedCallRow, RecordingSettingRow};
pub use redeliveries::{DeliveryFilter, ListedAttempt, ListedDelivery, ToldEvent, ToldRange};
pub use retention::Log;
pub use roles::RoleCheck;
pub use routing_policies::{RoutingPolicyRow, RoutingSlot};
pub use settlements::{MessageSettlement, RequestEnd, SettledRequest};
pub use tenant_changes::{Generations, TenantChange};
pub use tenant_tx::TenantTx;
pub use tenants::{DEFAULT_TENANT, TenantRow};
pub use webhook_endpoints::WebhookEndpointRow;

/// Names of unique constraints that callers care about; see [`StoreError::Duplicate`].
pub mod constraint {
    /// Two API keys with one hash.
    pub const API_KEY_HASH: &str = "api_keys_hash_key";
    /// The provider's reference is bound to another object.
    pub const PROVIDER_REF: &str = "objects_provider_ref_key";
}

/// Which database, and how much of it.
#[derive(Clone)]
pub struct StoreConfig {
    /// `sqlite://path`, `postgres://…` or `postgresql://…`.
    pub url: String,
    /// Connections of this process; with SQLite, those that read (one writes).
    pub max_connections: u32,
    /// How long a free connection may be waited for.
    pub acquire_timeout: Duration,
    /// How long one statement may run. PostgreSQL only.
    pub statement_timeout: Duration,
}

impl StoreConfig {
    /// The database at `url`, with limits for a small machine.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            max_connections: 16,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
        }
    }
}

impl fmt::Debug for StoreConfig {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreConfig")
            .field("max_connections", &self.max_connections)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .finish_non_exhaustive()
    }
}

/// A database. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Store {
    db: Db,
    groups: Arc<WriteGroups>,
    delivery_notice: Arc<DeliveryNotice>,
}

/// Writes that share transactions.
#[derive(Debug, Default)]
struct WriteGroups {
    claims: Groups<MessageClaim>,
    settlements: Groups<MessageSettlement>,
    tries: Groups<DeliveryTry>,
}

#[derive(Debug, Clone)]
enum Db {
    Postgres(Kept),
    Sqlite {
        /// One connection: SQLite has one writer at a time, and here they queue in order.
        write: SqlitePool,
        read: SqlitePool,
    },
}

impl Store {
    /// Opens a database. A missing SQLite file is created in its folder, which must exist;
    /// PostgreSQL is only reached when something is asked of it.
    ///
    /// # Errors
    /// The URL names no database, or the file cannot be opened.
    pub async fn connect(config: &StoreConfig) -> Result<Self, StoreError> {
        let db = match connect::parse(&config.url)? {
            connect::Target::Postgres(options) => Db::Postgres(connect::postgres(*options, config)),
            connect::Target::Sqlite(options) => {
                let (write, read) = connect::sqlite(*options, config).await?;
                Db::Sqlite { write, read }
            }
        };
        Ok(Self {
            db,
            groups: Arc::default(),
            delivery_notice: Arc::default(),
        })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.past_dead_connections(|| async { backend::execute!(self.pools_to_read(), PING, []) })
            .await
            .map(drop)
            .during("ping the database")
    }

    /// The server's clock; none on SQLite, which has the same one as we.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn server_time(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let Db::Postgres(kept) = &self.db else {
            return Ok(None);
        };
        sqlx::query_scalar("select clock_timestamp()")
            .fetch_one(Alone(kept))
            .await
            .map(Some)
            .during("ask the server for the time")
    }

    /// Prepares every statement, so that one that the schema does not fit is found before a
    /// request finds it.
    ///
    /// # Errors
    /// The first statement that was refused; the operation names it.
    pub async fn check_statements(&self) -> Result<(), StoreError> {
        for (name, statement) in statements() {
            match self.pools_to_read() {
                Backend::Postgres(pool) => pool
                    .prepare(statement.postgres.into_sql_str())
                    .await
                    .map(drop),
                Backend::Sqlite(pool) => pool
                    .prepare(statement.sqlite.into_sql_str())
                    .await
                    .map(drop),
            }
            .during(name)?;
        }
        for (name, joined) in joined_statements() {
            match self.pools_to_read() {
                Backend::Postgres(pool) => pool
                    .prepare(joined.postgres.into_sql_str())
                    .await
                    .map(drop)
                    .during(name)?,
                Backend::Sqlite(pool) => {
                    for statement in joined.sqlite {
                        let prepared = pool.prepare(statement.sqlite.into_sql_str()).await;
                        prepared.map(drop).during(name)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Waits for transactions to end and closes every connection.
    pub async fn close(&self) {
        match &self.db {
            Db::Postgres(kept) => kept.close().await,
            Db::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
        }
    }

    fn pools_to_read(&self) -> Pools<'_> {
        match &self.db {
            Db::Postgres(kept) => Backend::Postgres(Alone(kept)),
            Db::Sqlite { read, .. } => Backend::Sqlite(read),
        }
    }

    fn pools_to_write(&self) -> Pools<'_> {
        match &self.db {
            Db::Postgres(kept) => Backend::Postgres(Alone(kept)),
            Db::Sqlite { write, .. } => Backend::Sqlite(write),
        }
    }
}

statement::statements! {
    PING = Statement::same("select 1");
}

fn statements() -> impl Iterator<Item = (&'static str, Statement)> {
    [
        STATEMENTS,
        api_keys::STATEMENTS,
        attempts::STATEMENTS,
        audit_log::STATEMENTS,
        call_logs::STATEMENTS,
        connections::STATEMENTS,
        data_keys::STATEMENTS,
        deletion::STATEMENTS,
        deliveries::STATEMENTS,
        delivery_queue::STATEMENTS,
        delivery_tries::STATEMENTS,
        due_work::STATEMENTS,
        event_feed::STATEMENTS,
        events::STATEMENTS,
        gateway_nodes::STATEMENTS,
        idempotency_keys::STATEMENTS,
        objects::STATEMENTS,
        plugin_distrusted_keys::STATEMENTS,
        plugin_keys::STATEMENTS,
        plugin_tombstones::STATEMENTS,
        plugin_versions::STATEMENTS,
        plugins::STATEMENTS,
        payments::STATEMENTS,
        received_webhooks::STATEMENTS,
        recorded_calls::STATEMENTS,
        redeliveries::STATEMENTS,
        retention::STATEMENTS,
        routing_policies::STATEMENTS,
        tenant_changes::STATEMENTS,
        tenants::STATEMENTS,
        webhook_endpoints::STATEMENTS,
    ]
    .into_iter()
    .flatten()
    .copied()
}

fn joined_statements() -> impl Iterator<Item = (&'static str, Joined)> {
    [
        claims::JOINED,
        deliveries::JOINED,
        delivery_queue::JOINED,
        delivery_tries::JOINED,
        events::JOINED,
        settlements::JOINED,
    ]
    .into_iter()
    .flatten()
    .copied()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What a text writes: `insert into objects`, …
    fn writes(text: &str) -> BTreeSet<String> {
        let words: Vec<_> = text.split_whitespace().collect();
        words
            .windows(3)
            .filter_map(|words| match (words[0], words[1]) {
                ("insert", "into") | ("delete", "from") => Some(words.join(" ")),
                ("update", table) if ["set", "as"].contains(&words[2]) => {
                    Some(format!("update {table}"))
                }
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_joined_statement_writes_what_its_parts_write() {
        for (name, joined) in joined_statements() {
            let parts = joined.sqlite.iter().map(|part| writes(part.sqlite));
            let parts: BTreeSet<_> = parts.flatten().collect();
            // Those that only read are one statement too.
            let only_reads = joined.postgres.trim_start().starts_with("select");
            assert_eq!(parts.is_empty(), only_reads, "{name}");
            assert_eq!(writes(joined.postgres), parts, "{name}");
        }
    }

    /// SQLite tells how it would run a statement without any rows; PostgreSQL's plans depend on
    /// them, but the indexes are the same.
    #[tokio::test]
    async fn every_statement_uses_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/onerouter.db", folder.path().display());
        let store = Store::connect(&StoreConfig::new(url)).await.unwrap();
        store.migrate().await.unwrap();
        let Db::Sqlite { write, .. } = &store.db else {
            panic!("not SQLite")
        };
        let mut slow = Vec::new();
        for (name, statement) in statements() {
            let explain = sqlx::AssertSqlSafe(format!("explain query plan {}", statement.sqlite));
            let steps: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(explain).fetch_all(write).await.unwrap();
            // What a tenant has, in pieces or because it is little.
            if name.contains("::deletion::") {
                let is_whole = |(.., step): &(i64, i64, i64, String)| step.starts_with("SCAN");
                assert!(!steps.iter().any(is_whole), "{name}: {steps:?}");
                continue;
            }
            let slow_steps = steps.into_iter().map(|(.., step)| step).filter(|step| {
                // Values that were bound, and the few rows that an inner query chose.
                let bound = step.contains("VIRTUAL TABLE")
                    || matches!(step.as_str(), "SCAN due" | "SCAN known" | "SCAN lanes");
                let whole = step.starts_with("SCAN") || step.ends_with("(tenant_id=?)");
                !bound && (whole || step.contains("ORDER BY"))
            });
            slow.extend(slow_steps.map(|step| format!("{name}: {step}")));
        }
        // A house has few tenants, a tenant few connections and endpoints, an object few keys; of the queue
        // so much is counted and no more.
        let expected = [
            "PING: SCAN CONSTANT ROW",
            "connections::SAME_PROVIDER: SEARCH other USING INDEX \
             sqlite_autoindex_connections_1 (tenant_id=?)",
            "connections::LIST: SEARCH connections USING INDEX connections_slot_key (tenant_id=?)",
            "connections::LIST: USE TEMP B-TREE FOR LAST TERM OF ORDER BY",
            "connections::CANDIDATES: SEARCH connections USING INDEX \
             sqlite_autoindex_connections_1 (tenant_id=?)",
            "deliveries::WANTING: SEARCH endpoints USING PRIMARY KEY (tenant_id=?)",
            "delivery_queue::DUE_ENDPOINTS: SCAN CONSTANT ROW",
            "delivery_queue::QUEUED: SCAN delivery_queue USING COVERING INDEX \
             delivery_queue_at_idx",
            "delivery_queue::QUEUED: SCAN counted",
            "event_feed::OLDEST_TRANSACTION: SCAN CONSTANT ROW",
            "gateway_nodes::LIST: SCAN gateway_nodes",
            "gateway_nodes::FORGET: SCAN gateway_nodes",
            "idempotency_keys::LIST_BY_OBJECT: USE TEMP B-TREE FOR ORDER BY",
            "plugin_distrusted_keys::LIST: SCAN plugin_distrusted_keys",
            "plugin_keys::LIST: SCAN plugin_keys",
            "plugin_versions::LIST: SCAN plugin_versions",
            // Nobody still wants it: three references, a few rows.
            "plugin_versions::DELETE: SCAN plugins",
            "plugin_versions::DELETE: SCAN plugins",
            "plugin_versions::DELETE: SCAN plugins",
            "plugins::LIST: SCAN plugins",
            // A tenant has calls of a few versions.
            "recorded_calls::FORGET_GONE: SEARCH recording_directory USING PRIMARY KEY (tenant_id=?)",
            "recorded_calls::FORGET: SEARCH recording_directory USING PRIMARY KEY (tenant_id=?)",
            "tenants::LIST: SCAN tenants",
        ];
        assert_eq!(
            slow,
            expected.map(|step| format!("onerouter::store::{step}"))
        );
        store.close().await;
    }
}
