//! What can go wrong between us and the database.

use std::path::PathBuf;

use sqlx::error::ErrorKind;

/// What failed. `Display` names the operation; the cause is the source.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL names no database that can be used.
    #[error("the database URL cannot be used: {reason}")]
    InvalidUrl {
        /// What is wrong with it.
        reason: &'static str,
        /// The parser's opinion, where it was asked.
        #[source]
        source: Option<sqlx::Error>,
    },
    /// The database cannot be reached, has no free connection, or is shutting down. Nothing was
    /// changed unless `operation` is a commit.
    #[error("cannot {operation}: the database is unavailable")]
    Unavailable {
        /// What was being done.
        operation: &'static str,
        /// The driver's error.
        #[source]
        source: sqlx::Error,
    },
    /// There is such a row already. Constraints that callers care about are in [`super::constraint`].
    #[error("cannot {operation}: refused by {constraint}")]
    Duplicate {
        /// What was being done.
        operation: &'static str,
        /// The name of the constraint.
        constraint: &'static str,
    },
    /// A statement failed, or a row holds what no row should.
    #[error("cannot {operation}")]
    Internal {
        /// What was being done.
        operation: &'static str,
        /// The driver's error.
        #[source]
        source: sqlx::Error,
    },
    /// A transaction was to be committed in which a statement had failed; it was rolled back.
    #[error("cannot commit a transaction: one of its statements failed")]
    Aborted,
    /// The database's file cannot be opened or made.
    #[error("cannot open the database file {}", path.display())]
    File {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The schema could not be brought up to date.
    #[error("cannot migrate the database")]
    Migrate(#[source] sqlx::migrate::MigrateError),
}

impl StoreError {
    /// A row holds what this program does not understand.
    pub(crate) fn unreadable(what: &'static str) -> Self {
        Self::Internal {
            operation: "read a row",
            source: sqlx::Error::Decode(what.into()),
        }
    }

    pub(super) fn new(operation: &'static str, source: sqlx::Error) -> Self {
        if is_unavailable(&source) {
            Self::Unavailable { operation, source }
        } else {
            Self::Internal { operation, source }
        }
    }
}

/// Whether the same might work later: no connection, no resources (53), a shutdown (57P), a timeout
/// in a transaction (25P03), for a lock (55P03) or for a statement (57014), a deadlock (40P01); in
/// SQLite, another process that writes (5).
pub(super) fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            ["08", "53", "57P"]
                .iter()
                .any(|class| code.starts_with(class))
                || ["25P03", "40P01", "55P03", "57014", "5"].contains(&code.as_ref())
        }),
        _ => false,
    }
}

/// Gives a driver's error the name of what was being done.
pub(super) trait During<T> {
    fn during(self, operation: &'static str) -> Result<T, StoreError>;

    /// The same for a statement that the named constraint may refuse.
    fn during_unique(
        self,
        operation: &'static str,
        constraint: &'static str,
    ) -> Result<T, StoreError>;
}

impl<T> During<T> for Result<T, sqlx::Error> {
    fn during(self, operation: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::new(operation, source))
    }

    fn during_unique(
        self,
        operation: &'static str,
        constraint: &'static str,
    ) -> Result<T, StoreError> {
        self.map_err(|source| {
            if violates(&source, constraint) {
                StoreError::Duplicate {
                    operation,
                    constraint,
                }
            } else {
                StoreError::new(operation, source)
            }
        })
    }
}

/// PostgreSQL names the constraint. SQLite only tells a unique index (2067) from a primary key; no
/// table has two unique indexes that one statement may run into.
fn violates(error: &sqlx::Error, constraint: &str) -> bool {
    let Some(error) = error.as_database_error() else {
        return false;
    };
    match error.constraint() {
        Some(name) => error.kind() == ErrorKind::UniqueViolation && name == constraint,
        None => error.code().is_some_and(|code| code == "2067"),
    }
}
