//! All SQL of the service: rows in, rows out; no policy.
//!
//! One text per statement, for PostgreSQL and SQLite. `execute!`, `fetch_all!` and `fetch_optional!`
//! write its call twice, once per driver. Everything runs in a transaction.

mod accounts;
mod backend;
mod blobs;
mod downloads;
mod log;
mod manifests;
mod names;
mod uploads;
mod versions;

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

pub(super) use accounts::{AccountRow, TokenRow};
pub(super) use backend::Tx;
pub(super) use blobs::BlobRow;
pub(super) use downloads::DownloadRow;
pub(super) use manifests::{ManifestRow, ReferrerRow};
pub(super) use names::{NameRow, PluginFilter};
pub(super) use uploads::{ChunkRow, UploadRow};
pub(super) use versions::{AdvisoryRow, KeyRow, VersionRow};

/// Of this process; with SQLite, those that read (one writes).
const CONNECTIONS_MAX: u32 = 8;
/// How long a free connection, or SQLite's lock, may be waited for.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// So that a gateway's own migrations in the same database are not mistaken for ours.
const MIGRATIONS_TABLE: &str = "registry_migrations";

/// Something between us and the database went wrong.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL names no database that can be used.
    #[error(
        "the registry's database URL must start with sqlite:, postgres: or postgresql:, and name a file with SQLite"
    )]
    InvalidUrl,
    /// A statement failed, or a row holds what no row should.
    #[error("the registry's database failed")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("cannot migrate the registry's database")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

/// Who sees to the schema.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Schema {
    /// Whoever opens the registry: for SQLite, and for one role that owns the tables.
    #[default]
    Migrate,
    /// Somebody has called [`migrate`] before, as the owner; the registry's role owns nothing.
    Expect,
}

#[derive(Debug, Clone)]
pub(super) enum Store {
    Postgres(PgPool),
    Sqlite {
        /// One connection: SQLite has one writer at a time, and here they queue in order.
        write: SqlitePool,
        read: SqlitePool,
    },
}

impl Store {
    /// Opens the database, whose schema must be there unless it is to be brought up to date.
    pub(super) async fn open(url: &str, schema: Schema) -> Result<Self, StoreError> {
        let store = match target(url)? {
            Target::Postgres(options) => {
                let pool = PgPoolOptions::new()
                    .max_connections(CONNECTIONS_MAX)
                    .acquire_timeout(WAIT_MAX)
                    .connect_with(*options)
                    .await?;
                Self::Postgres(pool)
            }
            Target::Sqlite(options) => Self::sqlite(*options).await?,
        };
        if schema == Schema::Migrate {
            store.migrate().await?;
        }
        Ok(store)
    }

    async fn sqlite(options: SqliteConnectOptions) -> Result<Self, StoreError> {
        let options = options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // Not `Normal`: a power cut may not undo what a publisher was told.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(WAIT_MAX);
        let pool = SqlitePoolOptions::new()
            .acquire_timeout(WAIT_MAX)
            .idle_timeout(None)
            .max_lifetime(None);
        let write = pool
            .clone()
            .max_connections(1)
            .connect_with(options.clone())
            .await?;
        let read = pool
            .max_connections(CONNECTIONS_MAX)
            .connect_lazy_with(options.pragma("query_only", "on"));
        Ok(Self::Sqlite { write, read })
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        match self {
            Self::Postgres(pool) => {
                migrator(sqlx::migrate!("migrations/postgres"))
                    .run(pool)
                    .await?
            }
            Self::Sqlite { write, .. } => {
                migrator(sqlx::migrate!("migrations/sqlite"))
                    .run(write)
                    .await?;
            }
        }
        Ok(())
    }

    /// A transaction that changes nothing. It sees one state from its first statement on.
    pub(super) async fn read(&self) -> Result<Tx, sqlx::Error> {
        match self {
            Self::Postgres(pool) => pool
                .begin_with("begin isolation level repeatable read read only")
                .await
                .map(Tx::Postgres),
            Self::Sqlite { read, .. } => read.begin().await.map(Tx::Sqlite),
        }
    }

    /// A transaction that may change something.
    pub(super) async fn write(&self) -> Result<Tx, sqlx::Error> {
        match self {
            Self::Postgres(pool) => pool.begin().await.map(Tx::Postgres),
            // Otherwise two that read first and write then could both wait for the other.
            Self::Sqlite { write, .. } => write.begin_with("begin immediate").await.map(Tx::Sqlite),
        }
    }

    /// Closes all connections.
    pub(super) async fn close(&self) {
        match self {
            Self::Postgres(pool) => pool.close().await,
            Self::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
        }
    }
}

/// Brings a registry's schema up to date as the owner of its tables, and lets `service`, a role that
/// owns nothing, use them. With SQLite there are no roles, and `service` is not looked at.
///
/// # Errors
/// The URL names no database, or a migration failed.
pub async fn migrate(owner_url: &str, service: Option<&str>) -> Result<(), StoreError> {
    let store = Store::open(owner_url, Schema::Migrate).await?;
    if let (Store::Postgres(pool), Some(service)) = (&store, service) {
        let tables: Vec<String> = sqlx::query_scalar(
            "select tablename::text from pg_tables
             where schemaname = current_schema() and starts_with(tablename, 'registry_')",
        )
        .fetch_all(pool)
        .await?;
        for table in tables {
            let (table, service) = (quoted(&table), quoted(service));
            let rights = rights(&table);
            // What was given before may have been more.
            let revoke = format!("revoke all on {table} from {service}");
            let grant = format!("grant {rights} on {table} to {service}");
            let mut tx = pool.begin().await?;
            sqlx::query(AssertSqlSafe(revoke)).execute(&mut *tx).await?;
            sqlx::query(AssertSqlSafe(grant)).execute(&mut *tx).await?;
            tx.commit().await?;
        }
    }
    store.close().await;
    Ok(())
}

/// What a service may do with a table. The log is appended to, and not even whoever has taken over the
/// service can take something out of it.
fn rights(quoted_table: &str) -> &'static str {
    match quoted_table {
        "\"registry_entries\"" => "select, insert",
        "\"registry_migrations\"" => "select",
        _ => "select, insert, update, delete",
    }
}

/// A name as SQL writes it, whatever is in it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

enum Target {
    Postgres(Box<PgConnectOptions>),
    Sqlite(Box<SqliteConnectOptions>),
}

fn target(url: &str) -> Result<Target, StoreError> {
    match url.split_once(':') {
        Some(("postgres" | "postgresql", _)) => {
            let options = PgConnectOptions::from_str(url)?.application_name("onerouter-registry");
            Ok(Target::Postgres(Box::new(options)))
        }
        Some(("sqlite", place)) if !place.is_empty() && !url.contains(":memory:") => Ok(
            Target::Sqlite(Box::new(SqliteConnectOptions::from_str(url)?)),
        ),
        _ => Err(StoreError::InvalidUrl),
    }
}

fn migrator(mut migrator: Migrator) -> Migrator {
    migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
    migrator
}
