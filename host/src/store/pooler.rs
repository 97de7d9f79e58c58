//! Finding out what stands between us and PostgreSQL.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use super::error::During as _;
use super::session::{Alone, Session};
use super::{Db, Store, StoreError};

const OPERATION: &str = "look for a pooler";
/// The pooler's answer would else be waited for as long as it keeps clients waiting.
const LOOK_MAX: Duration = Duration::from_secs(5);
/// Of a session, across servers.
const IDENTITY: &str =
    "select pg_backend_pid()::text || ' ' || extract(epoch from pg_postmaster_start_time())";
/// The first of our settings.
const BOUND: &str = "select setting from pg_settings where name = 'statement_timeout'";

const LENDS: &str = "a pooler in transaction mode stands before the database, behind which a \
                     statement of one request could run for another";
const DROPS: &str = "something before the database drops the settings of a session, so that nothing \
                     bounds a statement";
const REFUSES: &str = "something before the database refuses the settings of a session";

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolerCheck {
    /// The URL says that there may be a pooler that lends sessions.
    pub is_expected: bool,
    /// There is one.
    pub lends: bool,
    /// What is wrong, in words.
    pub fault: Option<&'static str>,
}

impl Store {
    /// Looks for a pooler that does not do what the URL lets us expect. None on SQLite.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn check_pooler(&self) -> Result<Option<PoolerCheck>, StoreError> {
        let Db::Postgres(kept) = &self.db else {
            return Ok(None);
        };
        let lends = lends_sessions(kept.bare()).await?;
        let is_expected = kept.session() == Session::Lent;
        let fault = match (is_expected, lends) {
            (true, _) => None,
            (false, true) => Some(LENDS),
            (false, false) => self.fault_of_settings().await?,
        };
        Ok(Some(PoolerCheck {
            is_expected,
            lends,
            fault,
        }))
    }

    /// Whether sessions begin with the settings that they were asked to begin with. One that can be had
    /// without them, and not with them, cannot be had from PostgreSQL itself.
    async fn fault_of_settings(&self) -> Result<Option<&'static str>, StoreError> {
        let Db::Postgres(kept) = &self.db else {
            return Ok(None);
        };
        let bound: Result<String, _> = sqlx::query_scalar(BOUND).fetch_one(Alone(kept)).await;
        match bound {
            Ok(bound) if kept.statement_timeout().as_millis().to_string() == bound => Ok(None),
            Ok(_other) => Ok(Some(DROPS)),
            Err(sqlx::Error::Database(_)) => Ok(Some(REFUSES)),
            Err(error) => Err(error).during(OPERATION),
        }
    }
}

/// Whether two connections that are open at the same time meet in one session, or one connection is in
/// one session now and in another then.
pub(super) async fn lends_sessions(address: &PgConnectOptions) -> Result<bool, StoreError> {
    let look = async {
        let mut first = address.connect().await?;
        let mut second = address.connect().await?;
        // The session that was given back last is lent next, or that which has waited longest: each is
        // noticed by asking twice on each.
        let of_first = [identity(&mut first).await?, identity(&mut first).await?];
        let of_second = [identity(&mut second).await?, identity(&mut second).await?];
        first.close().await?;
        second.close().await?;
        let is_constant = of_first[0] == of_first[1] && of_second[0] == of_second[1];
        Ok(!is_constant || of_first[0] == of_second[0])
    };
    tokio::time::timeout(LOOK_MAX, look)
        .await
        .unwrap_or(Err(sqlx::Error::PoolTimedOut))
        .during(OPERATION)
}

/// By a statement that is not prepared.
async fn identity(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    let row = sqlx::raw_sql(IDENTITY).fetch_one(connection).await?;
    sqlx::Row::try_get(&row, 0)
}
