//! Connections that died while they lay in the pool. Asking each time before one is used would cost
//! a round trip; instead, what can be run twice is run again.

use super::{Db, Store};

impl Store {
    /// Runs what has no effect, or one that running it again does no harm, past every connection of
    /// the pool that a server has closed meanwhile.
    pub(super) async fn past_dead_connections<T, F>(
        &self,
        run: impl Fn() -> F,
    ) -> Result<T, sqlx::Error>
    where
        F: Future<Output = Result<T, sqlx::Error>>,
    {
        let most = match &self.db {
            Db::Postgres(kept) => kept.max(),
            Db::Sqlite { .. } => 0,
        };
        past_dead_connections(most, run).await
    }
}

/// The same, past `most` of them: one more than a pool holds was made just now.
pub(super) async fn past_dead_connections<T, F>(
    most: u32,
    run: impl Fn() -> F,
) -> Result<T, sqlx::Error>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    for _ in 0..most {
        match run().await {
            Err(error) if is_dead_connection(&error) => {}
            result => return result,
        }
    }
    run().await
}

/// The server closed the connection while it lay in the pool: a restart (57P01, 57P02) or a timeout
/// of its own (57P05). A pool that has none to give is not asked again: it has waited already.
fn is_dead_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| ["57P01", "57P02", "57P05"].contains(&code.as_ref())),
        _ => false,
    }
}
