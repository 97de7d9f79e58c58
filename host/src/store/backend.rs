//! The two databases behind one body of code.
//!
//! `execute!`, `fetch_optional!` and `fetch_all!` write a statement's call twice, once per driver,
//! with the same text and the same values. The compiler checks the values against both drivers'
//! types, and their count against the text.

use chrono::{DateTime, Utc};
use onerouter_domain::environment::Environment;
use serde::de::DeserializeOwned;
use sqlx::postgres::{PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::types::Json;
use sqlx::{Decode, Row as _, SqliteConnection, SqlitePool};
use sqlx::{SqliteTransaction, Type};
use uuid::Uuid;

use super::kept::KeptTransaction;
use super::session::{Alone, Statements};

/// One thing of PostgreSQL's or its counterpart of SQLite's.
#[derive(Debug, Clone, Copy)]
pub(super) enum Backend<P, S> {
    Postgres(P),
    Sqlite(S),
}

pub(super) type Pools<'a> = Backend<Alone<'a>, &'a SqlitePool>;
pub(super) type Transaction = Backend<KeptTransaction, SqliteTransaction<'static>>;
pub(super) type Connection<'a> = Backend<Statements<'a>, &'a mut SqliteConnection>;

/// What a statement runs on. A tenant's transaction has the same two functions.
impl Pools<'_> {
    /// What the drivers run it on: any free connection.
    pub(super) const fn executors(self) -> Self {
        self
    }

    /// Nothing depends on how it went.
    pub(super) const fn noted<T>(self, result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        result
    }
}

/// A type that both databases can give.
pub(super) trait Value:
    for<'r> Decode<'r, Postgres> + Type<Postgres> + for<'r> Decode<'r, Sqlite> + Type<Sqlite>
{
}

impl<T> Value for T where
    T: for<'r> Decode<'r, Postgres> + Type<Postgres> + for<'r> Decode<'r, Sqlite> + Type<Sqlite>
{
}

/// A row of either database.
pub(super) trait Columns {
    fn get<T: Value>(&self, name: &str) -> Result<T, sqlx::Error>;

    fn uuid(&self, name: &str) -> Result<Uuid, sqlx::Error> {
        self.get(name)
    }

    fn text(&self, name: &str) -> Result<String, sqlx::Error> {
        self.get(name)
    }

    fn time(&self, name: &str) -> Result<DateTime<Utc>, sqlx::Error> {
        self.get(name)
    }

    fn optional_time(&self, name: &str) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
        self.get(name)
    }

    /// A text that is one of a type's values.
    fn parsed<T>(&self, name: &str) -> Result<T, sqlx::Error>
    where
        T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
    {
        self.text(name)?
            .parse()
            .map_err(|error| decode(name, error))
    }

    fn environment(&self) -> Result<Environment, sqlx::Error> {
        self.parsed("environment")
    }

    /// An integer in a narrower type than the database's.
    fn integer<T>(&self, name: &str) -> Result<T, sqlx::Error>
    where
        T: TryFrom<i64, Error: std::error::Error + Send + Sync + 'static>,
    {
        T::try_from(self.get::<i64>(name)?).map_err(|error| decode(name, error))
    }

    fn optional_integer<T>(&self, name: &str) -> Result<Option<T>, sqlx::Error>
    where
        T: TryFrom<i64, Error: std::error::Error + Send + Sync + 'static>,
    {
        self.get::<Option<i64>>(name)?
            .map(|number| T::try_from(number).map_err(|error| decode(name, error)))
            .transpose()
    }

    /// Bytes of a known number.
    fn bytes<const N: usize>(&self, name: &str) -> Result<[u8; N], sqlx::Error> {
        let bytes: Vec<u8> = self.get(name)?;
        <[u8; N]>::try_from(bytes.as_slice()).map_err(|error| decode(name, error))
    }

    fn json<T: DeserializeOwned + 'static>(&self, name: &str) -> Result<T, sqlx::Error> {
        self.get(name).map(|Json(value)| value)
    }
}

pub(super) fn decode(
    name: &str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: name.to_owned(),
        source: Box::new(error),
    }
}

impl Columns for PgRow {
    fn get<T: Value>(&self, name: &str) -> Result<T, sqlx::Error> {
        self.try_get(name)
    }
}

impl Columns for SqliteRow {
    fn get<T: Value>(&self, name: &str) -> Result<T, sqlx::Error> {
        self.try_get(name)
    }
}

/// Something that is read from a row.
pub(super) trait FromColumns: Sized {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error>;
}

impl FromColumns for Uuid {
    /// The column is named `id`.
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        row.uuid("id")
    }
}

/// A statement of one driver with its values.
macro_rules! bound {
    ($driver:ty, $statement:expr, $text:ident, [$($value:expr),*]) => {{
        const {
            let values: &[&str] = &[$(stringify!($value)),*];
            assert!($statement.parameters() == values.len(), "a value for each parameter");
        }
        sqlx::query::<$driver>($statement.$text)$(.bind($value))*
    }};
}

/// Runs a statement on a tenant's transaction or on a pool, and gives what `$finish` makes of it.
macro_rules! run {
    ($on:expr, $statement:expr, [$($value:expr),*], |$query:ident, $executor:ident| $finish:expr) => {{
        let result = match $on.executors() {
            $crate::store::backend::Backend::Postgres($executor) => {
                let $query =
                    $crate::store::backend::bound!(sqlx::Postgres, $statement, postgres, [$($value),*]);
                $finish
            }
            $crate::store::backend::Backend::Sqlite($executor) => {
                let $query =
                    $crate::store::backend::bound!(sqlx::Sqlite, $statement, sqlite, [$($value),*]);
                $finish
            }
        };
        $on.noted(result)
    }};
}

/// Runs a statement and gives the number of rows that it touched.
macro_rules! execute {
    ($on:expr, $statement:expr, [$($value:expr),* $(,)?]) => {
        $crate::store::backend::run!($on, $statement, [$($value),*], |query, executor| {
            query.execute(executor).await.map(|done| done.rows_affected())
        })
    };
}

/// Runs a joined statement on PostgreSQL, and gives the rows that its last part returns.
macro_rules! fetch_joined {
    ($on:expr, $executor:ident, $statement:expr, [$($value:expr),* $(,)?]) => {{
        let query =
            $crate::store::backend::bound!(sqlx::Postgres, $statement, postgres, [$($value),*]);
        let result = query
            .try_map(|row| $crate::store::backend::FromColumns::from_columns(&row))
            .fetch_all($executor)
            .await;
        $on.noted(result)
    }};
}

/// The first row, if there is one.
macro_rules! fetch_optional {
    ($on:expr, $statement:expr, [$($value:expr),* $(,)?]) => {
        $crate::store::backend::run!($on, $statement, [$($value),*], |query, executor| {
            query
                .try_map(|row| $crate::store::backend::FromColumns::from_columns(&row))
                .fetch_optional(executor)
                .await
        })
    };
}

/// Every row.
macro_rules! fetch_all {
    ($on:expr, $statement:expr, [$($value:expr),* $(,)?]) => {
        $crate::store::backend::run!($on, $statement, [$($value),*], |query, executor| {
            query
                .try_map(|row| $crate::store::backend::FromColumns::from_columns(&row))
                .fetch_all(executor)
                .await
        })
    };
}

pub(super) use {bound, execute, fetch_all, fetch_joined, fetch_optional, run};
