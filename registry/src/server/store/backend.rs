//! The two databases behind one body of code.

use std::fmt::Display;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{Decode, Row as _, Transaction, Type};
use uuid::Uuid;

/// A transaction of either database. Dropped without a commit, it is rolled back.
#[derive(Debug)]
pub(in crate::server) enum Tx {
    Postgres(Transaction<'static, Postgres>),
    Sqlite(Transaction<'static, Sqlite>),
}

impl Tx {
    pub(in crate::server) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(transaction) => transaction.commit().await,
            Self::Sqlite(transaction) => transaction.commit().await,
        }
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

    fn optional_text(&self, name: &str) -> Result<Option<String>, sqlx::Error> {
        self.get(name)
    }

    fn time(&self, name: &str) -> Result<DateTime<Utc>, sqlx::Error> {
        self.get(name)
    }

    fn optional_time(&self, name: &str) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
        self.get(name)
    }

    /// A count: never negative.
    fn count(&self, name: &str) -> Result<u64, sqlx::Error> {
        u64::try_from(self.get::<i64>(name)?).map_err(|error| decode(name, error))
    }

    /// A text that is one of a type's values.
    fn parsed<T>(&self, name: &str) -> Result<T, sqlx::Error>
    where
        T: FromStr<Err: Display>,
    {
        let text = self.text(name)?;
        T::from_str(&text).map_err(|error| decode(name, error.to_string()))
    }
}

pub(super) fn decode(
    name: &str,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: name.to_owned(),
        source: error.into(),
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

/// A count, in a column of that name.
pub(super) struct Count(pub(super) u64);

impl FromColumns for Count {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        row.count("count").map(Self)
    }
}

/// A text, in a column named `value`.
pub(super) struct Text(pub(super) String);

impl FromColumns for Text {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        row.text("value").map(Self)
    }
}

/// For the database, which has no unsigned numbers.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Runs a statement with its values, and gives what `$finish` makes of it.
macro_rules! run {
    ($tx:expr, $text:expr, [$($value:expr),*], |$query:ident, $executor:ident| $finish:expr) => {
        match $tx {
            $crate::server::store::backend::Tx::Postgres(transaction) => {
                let $query = sqlx::query::<sqlx::Postgres>($text)$(.bind($value))*;
                let $executor = &mut **transaction;
                $finish
            }
            $crate::server::store::backend::Tx::Sqlite(transaction) => {
                let $query = sqlx::query::<sqlx::Sqlite>($text)$(.bind($value))*;
                let $executor = &mut **transaction;
                $finish
            }
        }
    };
}

/// Runs a statement and gives the number of rows that it touched.
macro_rules! execute {
    ($tx:expr, $text:expr, [$($value:expr),* $(,)?]) => {
        $crate::server::store::backend::run!($tx, $text, [$($value),*], |query, executor| {
            query.execute(executor).await.map(|done| done.rows_affected())
        })
    };
}

/// The first row, if there is one.
macro_rules! fetch_optional {
    ($tx:expr, $text:expr, [$($value:expr),* $(,)?]) => {
        $crate::server::store::backend::run!($tx, $text, [$($value),*], |query, executor| {
            query
                .try_map(|row| $crate::server::store::backend::FromColumns::from_columns(&row))
                .fetch_optional(executor)
                .await
        })
    };
}

/// The one row that there is.
macro_rules! fetch_one {
    ($tx:expr, $text:expr, [$($value:expr),* $(,)?]) => {
        $crate::server::store::backend::run!($tx, $text, [$($value),*], |query, executor| {
            query
                .try_map(|row| $crate::server::store::backend::FromColumns::from_columns(&row))
                .fetch_one(executor)
                .await
        })
    };
}

/// Every row.
macro_rules! fetch_all {
    ($tx:expr, $text:expr, [$($value:expr),* $(,)?]) => {
        $crate::server::store::backend::run!($tx, $text, [$($value),*], |query, executor| {
            query
                .try_map(|row| $crate::server::store::backend::FromColumns::from_columns(&row))
                .fetch_all(executor)
                .await
        })
    };
}

pub(super) use {execute, fetch_all, fetch_one, fetch_optional, run};
