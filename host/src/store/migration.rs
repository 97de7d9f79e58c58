//! Bringing the schema up to date.
//!
//! Migrations are compiled in. They only go forward, and run while the version before them serves.

use sqlx::migrate::{Migrate, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _, SqlitePool};

use super::backend::Columns;
use super::error::During as _;
use super::session::{Alone, Session};
use super::{Db, Store, StoreError, connect, pooler, roles};

static POSTGRES: Migrator = sqlx::migrate!("../migrations/postgres");
static SQLITE: Migrator = sqlx::migrate!("../migrations/sqlite");

/// A migration that waits longer for a table stops everybody who queues behind it.
const BOUND_LOCKS: &str = "set lock_timeout = '5s'";
/// Any number that nobody else locks.
const MIGRATION_LOCK: i64 = 0x6f6e_6572_6f75_7465;

/// The lock would stay with the pooler, and what is to be bound would not be.
const NO_SESSION: StoreError = StoreError::InvalidUrl {
    reason: "migrations need a session of their own, which a pooler in transaction mode does not give; \
             set ONEROUTER_MIGRATE_DATABASE_URL to the address of PostgreSQL itself",
    source: None,
};

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
            Db::Postgres(kept) => {
                if kept.session() == Session::Lent {
                    return Err(NO_SESSION);
                }
                let options = kept.pool().connect_options();
                migrate_postgres(&options, options.get_username()).await
            }
            Db::Sqlite { write, .. } => migrate_sqlite(write).await,
        }
    }

    /// Applies the migrations that are missing as the owner of the tables, and lets the role of the
    /// store's own URL use them.
    ///
    /// # Errors
    /// As [`Store::migrate`]; also a URL that names no such database.
    pub async fn migrate_as(&self, owner: &str) -> Result<(), StoreError> {
        if Session::of(owner) == Session::Lent {
            return Err(NO_SESSION);
        }
        match (&self.db, connect::parse(owner)?) {
            (Db::Postgres(kept), connect::Target::Postgres(owner)) => {
                let options = kept.pool().connect_options();
                migrate_postgres(&owner, options.get_username()).await
            }
            (Db::Sqlite { write, .. }, connect::Target::Sqlite(_)) => migrate_sqlite(write).await,
            _ => Err(StoreError::InvalidUrl {
                reason: "the owner's URL names another kind of database",
                source: None,
            }),
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
                let pool = Alone(kept);
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
async fn migrate_postgres(owner: &PgConnectOptions, service: &str) -> Result<(), StoreError> {
    if pooler::lends_sessions(&connect::bare(owner)).await? {
        return Err(NO_SESSION);
    }
    let mut connection = owner
        .clone()
        .options([("lock_timeout", "0"), ("statement_timeout", "0")])
        .connect()
        .await
        .during("connect to the database")?;
    let result = migrate_alone(&mut connection, owner.get_username(), service).await;
    // Closed, it gives back its lock.
    let closed = connection.close().await.during("close the connection");
    result.and(closed)
}

/// One after another: nodes that start at the same moment wait for the one that migrates.
async fn migrate_alone(
    connection: &mut PgConnection,
    owner: &str,
    service: &str,
) -> Result<(), StoreError> {
    sqlx::query("select pg_advisory_lock($1)")
        .bind(MIGRATION_LOCK)
        .execute(&mut *connection)
        .await
        .during("wait for other migrations")?;
    sqlx::query(BOUND_LOCKS)
        .execute(&mut *connection)
        .await
        .during("bound the wait for locks")?;
    run(&POSTGRES, connection).await?;
    if owner == service {
        return Ok(());
    }
    roles::grant(connection, service).await
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
