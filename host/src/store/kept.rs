//! Connections to PostgreSQL that go from one transaction to the next.
//!
//! The driver's pool asks each connection that comes back whether it still works: a task and a
//! round trip for every transaction. One that has just committed is known to work, so some of those
//! are kept aside for whoever begins next. The pool still counts them, and gets back whatever
//! anybody may be waiting for.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, PgPool, Postgres};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::session::{Session, Statements};

/// Connections that are kept aside go back to the pool after this time, which knows how old they may
/// become and how long they may lie idle.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// A pool with the connections that are kept aside. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pool: PgPool,
    aside: Arc<Aside>,
    way: Arc<Way>,
}

/// How the server is reached.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) session: Session,
    /// Without settings of a session.
    pub(super) bare: PgConnectOptions,
    /// What each transaction begins with, after its `begin`.
    pub(super) begin: String,
    pub(super) statement_timeout: Duration,
}

/// None once the pool is being closed.
struct Aside(Mutex<Option<Vec<Held>>>);

/// A connection outside of a transaction, and when it came from the pool. Dropped, it goes back there.
struct Held {
    connection: PoolConnection<Postgres>,
    since: Instant,
}

impl Kept {
    pub(super) fn new(pool: PgPool, way: Way) -> Self {
        Self {
            pool,
            aside: Arc::new(Aside(Mutex::new(Some(Vec::new())))),
            way: Arc::new(way),
        }
    }

    pub(super) fn session(&self) -> Session {
        self.way.session
    }

    pub(super) fn bare(&self) -> &PgConnectOptions {
        &self.way.bare
    }

    pub(super) fn statement_timeout(&self) -> Duration {
        self.way.statement_timeout
    }

    /// The pool, for what is no transaction and needs no session; see [`super::session::Alone`].
    pub(super) fn pool(&self) -> &PgPool {
        self.give_back_old();
        &self.pool
    }

    /// How many connections there may be.
    pub(super) fn max(&self) -> u32 {
        self.pool.options().get_max_connections()
    }

    /// Begins a transaction by this text, which names no value.
    pub(super) async fn begin(&self, text: String) -> Result<KeptTransaction, sqlx::Error> {
        self.give_back_old();
        let held = match self.aside.change(Vec::pop).flatten() {
            Some(held) => held,
            None => Held {
                connection: self.pool.acquire().await?,
                since: Instant::now(),
            },
        };
        let mut transaction = KeptTransaction {
            held: Some(held),
            kept: self.clone(),
        };
        let begin = AssertSqlSafe(text + &self.way.begin);
        match self.way.session {
            Session::Own => {
                transaction.connection().execute(begin).await?;
            }
            // A pooler may have none to lend, and does not say so.
            Session::Lent => {
                let patience = self.pool.options().get_acquire_timeout();
                let begun = timeout(patience, transaction.connection().execute(begin)).await;
                let Ok(begun) = begun else {
                    transaction.give_up();
                    return Err(sqlx::Error::PoolTimedOut);
                };
                begun?;
            }
        }
        Ok(transaction)
    }

    /// Closes the pool; nothing is kept aside from now on.
    pub(super) async fn close(&self) {
        drop(self.aside.end());
        self.pool.close().await;
    }

    fn give_back_old(&self) {
        let old = self.aside.change(|held| {
            let is_old = |one: &mut Held| one.since.elapsed() >= KEPT_FOR;
            held.extract_if(.., is_old).collect::<Vec<_>>()
        });
        drop(old);
    }

    /// Keeps a connection aside, or gives it back: when half of them are kept already, and when the
    /// pool has none left to give, so that somebody may be waiting for this one.
    fn keep(&self, held: Held) {
        let max = self.max();
        let has_more = self.pool.num_idle() > 0 || self.pool.size() < max;
        let mut held = Some(held);
        if has_more {
            self.aside.change(|kept| {
                if kept.len() < (max / 2) as usize {
                    kept.extend(held.take());
                }
            });
        }
        // Outside of the lock: the pool's part of this starts a task.
        drop(held);
    }
}

impl Aside {
    /// Nothing that can panic is done under this lock.
    fn change<T>(&self, change: impl FnOnce(&mut Vec<Held>) -> T) -> Option<T> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_mut().map(change)
    }

    fn end(&self) -> Option<Vec<Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aside").finish_non_exhaustive()
    }
}

impl Drop for Aside {
    /// Giving back takes a runtime. Without one, nobody is left who could use the connections.
    fn drop(&mut self) {
        if Handle::try_current().is_err() {
            self.end().into_iter().flatten().for_each(std::mem::forget);
        }
    }
}

/// An open transaction; dropped, it is rolled back.
pub(super) struct KeptTransaction {
    /// None once it is committed.
    held: Option<Held>,
    kept: Kept,
}

impl KeptTransaction {
    #[expect(
        clippy::expect_used,
        reason = "only a commit takes the connection, and it takes the transaction too"
    )]
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        let held = self.held.as_mut();
        &mut held
            .expect("an open transaction has a connection")
            .connection
    }

    /// Where its statements run.
    pub(super) fn statements(&mut self) -> Statements<'_> {
        let session = self.kept.way.session;
        let connection = self.connection();
        Statements {
            connection,
            session,
        }
    }

    /// Closes the connection: nobody waits for what it waits for.
    fn give_up(mut self) {
        if let Some(mut held) = self.held.take() {
            held.connection.close_on_drop();
        }
    }

    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        self.connection().execute("commit").await?;
        if let Some(held) = self.held.take() {
            self.kept.keep(held);
        }
        Ok(())
    }
}

impl fmt::Debug for KeptTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptTransaction").finish_non_exhaustive()
    }
}

impl Drop for KeptTransaction {
    /// Rolls back, then gives the connection to the pool, which asks whether it still works. Nobody
    /// has to wait for it: a server that does not hear of it rolls back by itself.
    fn drop(&mut self) {
        let Some(mut held) = self.held.take() else {
            return;
        };
        let way = &self.kept.way;
        let patience = self.kept.pool.options().get_acquire_timeout() + way.statement_timeout;
        match Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(async move {
                    let rollback = timeout(patience, held.connection.execute("rollback"));
                    let rolled_back = rollback.await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
                    if let Err(error) = rolled_back {
                        tracing::debug!(%error, "cannot roll back; closing the connection");
                        held.connection.close_on_drop();
                    }
                });
            }
            Err(_) => std::mem::forget(held),
        }
    }
}
