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
    /// Opens the database and brings its schema up to date.
    pub(super) async fn open(url: &str) -> Result<Self, StoreError> {
        match url.split_once(':') {
            Some(("postgres" | "postgresql", _)) => Self::postgres(url).await,
            Some(("sqlite", place)) if !place.is_empty() && !url.contains(":memory:") => {
                Self::sqlite(url).await
            }
            _ => Err(StoreError::InvalidUrl),
        }
    }

    async fn postgres(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)?.application_name("onerouter-registry");
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(WAIT_MAX)
            .connect_with(options)
            .await?;
        migrator(sqlx::migrate!("migrations/postgres"))
            .run(&pool)
            .await?;
        Ok(Self::Postgres(pool))
    }

    async fn sqlite(url: &str) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::from_str(url)?
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
        migrator(sqlx::migrate!("migrations/sqlite"))
            .run(&write)
            .await?;
        let read = pool
            .max_connections(CONNECTIONS_MAX)
            .connect_lazy_with(options.pragma("query_only", "on"));
        Ok(Self::Sqlite { write, read })
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

fn migrator(mut migrator: Migrator) -> Migrator {
    migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
    migrator
}
