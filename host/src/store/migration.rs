//! Bringing the schema up to date.
//!
//! Migrations are compiled in. They only go forward, and run while the version before them serves.

use sqlx::migrate::{Migrate, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqlitePool};

use super::backend::Columns;
use super::error::During as _;
use super::{Db, Store, StoreError, connect};

static POSTGRES: Migrator = sqlx::migrate!("../migrations/postgres");
static SQLITE: Migrator = sqlx::migrate!("../migrations/sqlite");

/// A migration that waits longer for a lock stops everybody who queues behind it.
const LOCK_TIMEOUT_MS: &str = "5000";

/// How the database's schema compares with the one that this program was built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    /// They are the same.
    UpToDate,
    /// Migrations have yet to run.
    Behind {
        /// How many.
        pending: usize,
    },
    /// A newer program has migrated it. Migrations keep the program before them working.
    Ahead,
}

impl Store {
    /// Applies the migrations that are missing, as the role of the store's own URL.
    ///
    /// # Errors
    /// [`StoreError::Migrate`]: one failed, or one that was applied has been changed since.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        match &self.db {
            Db::Postgres(kept) => migrate_postgres(kept.pool().connect_options().as_ref()).await,
            Db::Sqlite { write, .. } => migrate_sqlite(write).await,
        }
    }

    /// Applies the migrations to a database, which a role other than that of [`Store::connect`] may
    /// own.
    ///
    /// # Errors
    /// As [`Store::migrate`]; also a URL that names no database.
    pub async fn migrate_with(url: &str) -> Result<(), StoreError> {
        match connect::parse(url)? {
            connect::Target::Postgres(options) => migrate_postgres(&options).await,
            connect::Target::Sqlite(_) => {
                Self::connect(&super::StoreConfig::new(url))
                    .await?
                    .migrate()
                    .await
            }
        }
    }

    /// Compares the schema with the one that this program was built for.
    ///
    /// # Errors
    /// The database cannot be asked.
    pub async fn schema_state(&self) -> Result<SchemaState, StoreError> {
        const OPERATION: &str = "read the schema's version";
        let (migrator, applied) = match &self.db {
            Db::Postgres(kept) => {
                let pool = kept.pool();
                let exists: bool =
                    sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null")
                        .fetch_one(pool)
                        .await
                        .during(OPERATION)?;
                let rows = if exists {
                    sqlx::query(APPLIED)
                        .fetch_all(pool)
                        .await
                        .during(OPERATION)?
                } else {
                    Vec::new()
                };
                (&POSTGRES, versions(&rows).during(OPERATION)?)
            }
            Db::Sqlite { read, .. } => {
                let exists: bool = sqlx::query_scalar(
                    "select count(*) > 0 from sqlite_master where name = '_sqlx_migrations'",
                )
                .fetch_one(read)
                .await
                .during(OPERATION)?;
                let rows = if exists {
                    sqlx::query(APPLIED)
                        .fetch_all(read)
                        .await
                        .during(OPERATION)?
                } else {
                    Vec::new()
                };
                (&SQLITE, versions(&rows).during(OPERATION)?)
            }
        };
        Ok(compare(migrator, &applied))
    }
}

const APPLIED: &str = "select version from _sqlx_migrations where success";

fn versions<R: Columns>(rows: &[R]) -> Result<Vec<i64>, sqlx::Error> {
    rows.iter().map(|row| row.get("version")).collect()
}

fn compare(migrator: &Migrator, applied: &[i64]) -> SchemaState {
    let pending = migrator
        .iter()
        .filter(|migration| !applied.contains(&migration.version))
        .count();
    if pending > 0 {
        SchemaState::Behind { pending }
    } else if applied
        .iter()
        .all(|version| migrator.version_exists(*version))
    {
        SchemaState::UpToDate
    } else {
        SchemaState::Ahead
    }
}

/// On a connection of its own: a migration may take longer than a statement of a request may.
async fn migrate_postgres(options: &PgConnectOptions) -> Result<(), StoreError> {
    let mut connection = options
        .clone()
        .options([
            ("lock_timeout", LOCK_TIMEOUT_MS),
            ("statement_timeout", "0"),
        ])
        .connect()
        .await
        .during("connect to the database")?;
    let result = run(&POSTGRES, &mut connection).await;
    let closed = connection.close().await.during("close the connection");
    result.and(closed)
}

async fn migrate_sqlite(pool: &SqlitePool) -> Result<(), StoreError> {
    let mut connection = pool.acquire().await.during("open the database")?;
    run(&SQLITE, &mut *connection).await
}

async fn run(migrator: &Migrator, connection: &mut impl Migrate) -> Result<(), StoreError> {
    migrator
        .run_direct(None, connection, false)
        .await
        .map_err(StoreError::Migrate)
}
