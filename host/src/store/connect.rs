//! Opening a database.

use std::fs::OpenOptions;
use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::kept::{Kept, Way};
use super::session::Session;
use super::{StoreConfig, StoreError};

/// How long a lock may be waited for: other transactions are short, and a request has a deadline.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// A transaction never waits for anything outside the database; one that does hangs.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle connections are given back after this time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// So that a changed address or role reaches all connections in the end.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(1800);

/// Which database a URL names, with the driver's options.
pub(super) enum Target {
    Postgres(Box<PgConnectOptions>),
    Sqlite(Box<SqliteConnectOptions>),
}

pub(super) fn parse(url: &str) -> Result<Target, StoreError> {
    let invalid = |reason, source| StoreError::InvalidUrl { reason, source };
    match url.split_once(':') {
        Some(("postgres" | "postgresql", _)) => PgConnectOptions::from_str(url)
            .map(|options| Target::Postgres(Box::new(options.application_name("onerouter"))))
            .map_err(|error| invalid("not a PostgreSQL URL", Some(error))),
        Some(("sqlite", place)) => {
            // Readers and the writer have connections of their own; they must meet in a file.
            if ["", ":memory:", "//", "//:memory:"].contains(&place) || url.contains("mode=memory")
            {
                return Err(invalid("the database must be a file", None));
            }
            SqliteConnectOptions::from_str(url)
                .map(|options| Target::Sqlite(Box::new(options)))
                .map_err(|error| invalid("not an SQLite URL", Some(error)))
        }
        _ => Err(invalid(
            "it must start with sqlite:, postgres: or postgresql:",
            None,
        )),
    }
}

/// A pool that opens its connections when they are needed.
pub(super) fn postgres(options: PgConnectOptions, config: &StoreConfig) -> Kept {
    let session = Session::of(&config.url);
    let bare = bare(&options);
    let (options, begin) = match session {
        Session::Own => (options.options(settings(config)), String::new()),
        Session::Lent => {
            let begin =
                settings(config).map(|(name, value)| format!("; set local {name} = {value}"));
            (bare.clone(), begin.concat())
        }
    };
    let pool = PgPoolOptions::new()
        .max_connections(config.max_connections)
        .acquire_timeout(config.acquire_timeout)
        .idle_timeout(IDLE_TIMEOUT)
        .max_lifetime(CONNECTION_LIFETIME)
        // Costs a round trip each time; a dead connection is noticed when a transaction begins.
        .test_before_acquire(false)
        .connect_lazy_with(options);
    Kept::new(
        pool,
        Way {
            session,
            bare,
            begin,
            statement_timeout: config.statement_timeout,
        },
    )
}

/// Without what poolers do not know, and refuse.
pub(super) fn bare(options: &PgConnectOptions) -> PgConnectOptions {
    options.clone().extra_float_digits(None)
}

/// Of a session that is ours, or of each transaction.
fn settings(config: &StoreConfig) -> [(&'static str, String); 6] {
    let millis = |duration: Duration| duration.as_millis().to_string();
    [
        // Every statement goes by an index. A plan that was made while a table was empty would
        // read the whole table for as long as it is kept.
        ("enable_seqscan", "off".to_owned()),
        ("enable_hashjoin", "off".to_owned()),
        ("enable_mergejoin", "off".to_owned()),
        ("statement_timeout", millis(config.statement_timeout)),
        ("lock_timeout", millis(LOCK_TIMEOUT)),
        (
            "idle_in_transaction_session_timeout",
            millis(IDLE_IN_TRANSACTION_TIMEOUT),
        ),
    ]
}

/// The pools for writing and for reading.
pub(super) async fn sqlite(
    options: SqliteConnectOptions,
    config: &StoreConfig,
) -> Result<(SqlitePool, SqlitePool), StoreError> {
    let path = options.get_filename();
    create_file(path).map_err(|source| StoreError::File {
        path: path.to_owned(),
        source,
    })?;
    let options = options
        .journal_mode(SqliteJournalMode::Wal)
        // Not `Normal`: a power cut may not undo what a caller was told.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // For other processes; within this one the writers queue for their one connection.
        .busy_timeout(LOCK_TIMEOUT);
    let pool = SqlitePoolOptions::new()
        .acquire_timeout(config.acquire_timeout)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None);
    let write = pool
        .clone()
        .max_connections(1)
        .connect_with(options.clone())
        .await
        .map_err(|error| StoreError::new("open the database", error))?;
    let read = pool
        .max_connections(config.max_connections)
        .connect_lazy_with(options.pragma("query_only", "on"));
    Ok((write, read))
}

/// Only its owner may read the file; SQLite gives its companions the same mode.
fn create_file(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}
