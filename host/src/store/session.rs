//! Whose session of PostgreSQL's a connection is.
//!
//! A pooler in transaction mode lends one of its own for each transaction. What a session keeps is then
//! lost, or another's: its settings, the statements that were prepared in it, its advisory locks. The
//! URL of the database says that there may be such a pooler (`statement-cache-capacity=0`); nothing
//! is kept then. Each transaction begins with the settings, each statement is prepared without a name,
//! and what belongs to no transaction gets one: between preparing a statement and running it the
//! driver waits for the server, and only in a transaction it is the same one.

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Either, Error, Execute, Executor, PgConnection, Postgres, SqlStr};
use url::Url;

use super::kept::Kept;

/// What the driver's own option means here when it is 0: keep nothing.
const OPTION: &str = "statement-cache-capacity";

/// Whether a session is ours for as long as the connection, or for one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Session {
    Own,
    Lent,
}

impl Session {
    /// What the URL of a database says.
    pub(super) fn of(url: &str) -> Self {
        let is_lent = Url::parse(url).is_ok_and(|url| {
            url.query_pairs()
                .any(|(name, value)| name == OPTION && value.parse() == Ok(0_usize))
        });
        if is_lent { Self::Lent } else { Self::Own }
    }
}

type Step = Either<PgQueryResult, PgRow>;

/// Where a statement runs that belongs to no transaction: any free connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alone<'a>(pub(super) &'a Kept);

impl<'c> Executor<'c> for Alone<'_> {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        match self.0.session() {
            Session::Own => self.0.pool().fetch_many(query),
            Session::Lent => stream::once(run_in_transaction(self.0.clone(), query))
                .map_ok(|steps| stream::iter(steps).map(Ok))
                .try_flatten()
                .boxed(),
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        match self.0.session() {
            Session::Own => self.0.pool().fetch_optional(query),
            Session::Lent => {
                let kept = self.0.clone();
                Box::pin(async move {
                    let steps = run_in_transaction(kept, query).await?;
                    Ok(steps.into_iter().find_map(Either::right))
                })
            }
        }
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        match self.0.session() {
            Session::Own => self.0.pool().prepare_with(sql, parameters),
            Session::Lent => refused(),
        }
    }

    /// Of the driver's macros, which are not used.
    fn describe<'e>(self, _sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'c: 'e,
    {
        refused()
    }
}

/// Whole, so that the session can be given back.
async fn run_in_transaction<'q, E>(kept: Kept, query: E) -> Result<Vec<Step>, Error>
where
    E: 'q + Execute<'q, Postgres>,
{
    let mut transaction = kept.begin("begin".to_owned()).await?;
    let steps = transaction.statements().fetch_many(query);
    let steps = steps.try_collect().await?;
    transaction.commit().await?;
    Ok(steps)
}

/// Where a transaction's statements run.
#[derive(Debug)]
pub(super) struct Statements<'a> {
    pub(super) connection: &'a mut PgConnection,
    pub(super) session: Session,
}

impl<'c> Executor<'c> for Statements<'c> {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let session = self.session;
        self.connection.fetch_many(InSession { query, session })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let session = self.session;
        self.connection.fetch_optional(InSession { query, session })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        match self.session {
            Session::Own => self.connection.prepare_with(sql, parameters),
            Session::Lent => refused(),
        }
    }

    /// Of the driver's macros, which are not used.
    fn describe<'e>(self, _sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'c: 'e,
    {
        refused()
    }
}

/// Only tests ask for it, and of a server itself.
fn refused<T>() -> BoxFuture<'static, Result<T, Error>> {
    let error = Error::Protocol("a statement is prepared in a session that is lent".to_owned());
    Box::pin(async move { Err(error) })
}

/// A statement that has a name in its session only where that is ours.
struct InSession<E> {
    query: E,
    session: Session,
}

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for InSession<E> {
    fn sql(self) -> SqlStr {
        self.query.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.query.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        self.query.take_arguments()
    }

    fn persistent(&self) -> bool {
        self.session == Session::Own && self.query.persistent()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_whether_sessions_are_lent() {
        let of = |query: &str| Session::of(&format!("postgres://me:secret@db/onerouter{query}"));
        assert_eq!(of("?statement-cache-capacity=0"), Session::Lent);
        let further = "?sslmode=require&statement-cache-capacity=0";
        assert_eq!(of(further), Session::Lent);
        for own in ["", "?statement-cache-capacity=10", "?sslmode=require"] {
            assert_eq!(of(own), Session::Own, "{own}");
        }
    }
}
