//! Transactions: a tenant's, the only way to a tenant's data, and the operators'.

use std::collections::HashSet;
use std::sync::Arc;

use onerouter_domain::id::{TenantId, WebhookEndpointId};
use sqlx::SqlitePool;

use super::backend::{Backend, Connection, Transaction};
use super::dead_connection::past_dead_connections;
use super::delivery_queue::DeliveryNotice;
use super::error::During as _;
use super::kept::Kept;
use super::{Db, Store, StoreError};

/// A transaction in which only one tenant's rows are seen and written.
///
/// Functions on tables are methods of this type, each in its table's file. Dropped without
/// [`TenantTx::commit`], it is rolled back; so is one in which a statement failed.
///
/// It holds a connection, with SQLite perhaps the only one that writes: ask nothing else of the
/// store or the vault before it has ended.
#[derive(Debug)]
#[must_use = "a transaction that is dropped is rolled back"]
pub struct TenantTx {
    tenant: TenantId,
    transaction: Transaction,
    /// PostgreSQL undoes everything when one statement fails, and says nothing at the commit; SQLite
    /// undoes only the statement. Here it is the same with both, and said.
    failed: bool,
    /// For whom something was put into the queue.
    pub(super) queued: HashSet<WebhookEndpointId>,
    notice: Arc<DeliveryNotice>,
}

impl Store {
    /// Begins a transaction that may write.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: no connection came free in time, or none can be made.
    pub async fn begin(&self, tenant: TenantId) -> Result<TenantTx, StoreError> {
        let transaction = match &self.db {
            Db::Postgres(kept) => begin_postgres(kept, "begin", &of(tenant)).await,
            // At once with the lock for writing: one that is asked for halfway may be refused.
            Db::Sqlite { write, .. } => begin_sqlite(write, "begin immediate").await,
        };
        TenantTx::begun(self, tenant, transaction)
    }

    /// Begins a transaction that only reads: with SQLite it does not queue for the writer, with
    /// both a write in it is an error.
    ///
    /// # Errors
    /// As [`Store::begin`].
    pub async fn begin_read(&self, tenant: TenantId) -> Result<TenantTx, StoreError> {
        let transaction = match &self.db {
            Db::Postgres(kept) => begin_postgres(kept, "begin read only", &of(tenant)).await,
            Db::Sqlite { read, .. } => begin_sqlite(read, "begin").await,
        };
        TenantTx::begun(self, tenant, transaction)
    }

    /// Begins a transaction that reads what operators see of all tenants, which is not their data.
    ///
    /// # Errors
    /// As [`Store::begin`].
    pub(super) async fn begin_as_operator(&self) -> Result<OperatorTx, StoreError> {
        let transaction = match &self.db {
            Db::Postgres(kept) => begin_postgres(kept, "begin read only", OPERATOR).await,
            Db::Sqlite { read, .. } => begin_sqlite(read, "begin").await,
        };
        transaction.map(OperatorTx).during("begin a transaction")
    }
}

/// A transaction that reads what operators see of all tenants.
#[derive(Debug)]
pub(super) struct OperatorTx(Transaction);

impl OperatorTx {
    /// Ends it.
    pub(super) async fn end(self) -> Result<(), StoreError> {
        commit(self.0).await
    }

    /// What a statement runs on.
    pub(super) fn executors(&mut self) -> Connection<'_> {
        connection(&mut self.0)
    }

    /// Nothing depends on how it went.
    pub(super) fn noted<T>(&self, result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        result
    }
}

impl TenantTx {
    fn begun(
        store: &Store,
        tenant: TenantId,
        transaction: Result<Transaction, sqlx::Error>,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            tenant,
            transaction: transaction.during("begin a transaction")?,
            failed: false,
            queued: HashSet::new(),
            notice: Arc::clone(store.delivery_notice()),
        })
    }

    /// Whose rows these are.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Makes what was written last.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: the connection was lost, and with it the answer: the
    /// transaction may have been committed or not. [`StoreError::Aborted`]: a statement had failed.
    pub async fn commit(self) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Aborted);
        }
        let committed = commit(self.transaction).await;
        // Also where the answer was lost: to look for nothing does no harm.
        if !self.queued.is_empty() {
            self.notice.give(self.tenant, self.queued);
        }
        committed
    }

    /// What a statement runs on.
    pub(super) fn executors(&mut self) -> Connection<'_> {
        connection(&mut self.transaction)
    }

    /// Remembers whether a statement failed.
    pub(super) fn noted<T>(&mut self, result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        self.failed |= result.is_err();
        result
    }
}

/// What PostgreSQL's policies let operators see.
const OPERATOR: &str = "set local onerouter.operator = 'on'";

/// What they let a tenant see. The text of a UUID holds nothing that SQL could misread; `set` answers
/// without a row, and ends with the transaction.
fn of(tenant: TenantId) -> String {
    format!("set local onerouter.tenant = '{}'", tenant.uuid())
}

fn connection(transaction: &mut Transaction) -> Connection<'_> {
    match transaction {
        Backend::Postgres(transaction) => Backend::Postgres(transaction.statements()),
        Backend::Sqlite(transaction) => Backend::Sqlite(&mut **transaction),
    }
}

async fn commit(transaction: Transaction) -> Result<(), StoreError> {
    match transaction {
        Backend::Postgres(transaction) => transaction.commit().await,
        Backend::Sqlite(transaction) => transaction.commit().await,
    }
    .during("commit a transaction")
}

/// Beginning and naming the tenant take one round trip. A server that was restarted leaves dead
/// connections in the pool, which are noticed here: nothing has been done yet.
async fn begin_postgres(
    kept: &Kept,
    begin: &'static str,
    scope: &str,
) -> Result<Transaction, sqlx::Error> {
    past_dead_connections(kept.max(), || kept.begin(format!("{begin}; {scope}")))
        .await
        .map(Backend::Postgres)
}

async fn begin_sqlite(pool: &SqlitePool, begin: &'static str) -> Result<Transaction, sqlx::Error> {
    pool.begin_with(begin).await.map(Backend::Sqlite)
}
