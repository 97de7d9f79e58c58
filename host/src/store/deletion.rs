//! The deletion of a tenant: at once what opens anything, then row by row what is left.

use chrono::{DateTime, Utc};

use super::backend::{execute, fetch_optional};
use super::error::During as _;
use super::objects::Text;
use super::statement::{Statement, statements};
use super::{StoreError, TenantTx};

/// Rows of one table that go in one transaction.
const BATCH: i64 = 1_000;

/// Up to a number of a tenant's rows of a table, by the column that follows the tenant in its key.
macro_rules! some_of {
    ($table:literal, $column:literal) => {
        Statement::same(concat!(
            "delete from ",
            $table,
            " where tenant_id = $1 and ",
            $column,
            " in (
                 select ",
            $column,
            " from ",
            $table,
            " where tenant_id = $1 limit $2)"
        ))
    };
}

statements! {
    NAME = Statement::same("select name as text from tenants where id = $1");
    MARK = Statement::same(
        "update tenants set deleted_at = $3 where id = $1 and name = $2 and deleted_at is null",
    );
    KEYS_OF_DIRECTORY = Statement::same(
        "delete from key_directory
         where hash in (select hash from api_keys where tenant_id = $1)",
    );
    CONNECTIONS_OF_DIRECTORY = Statement::same(
        "delete from connection_directory
         where connection_id in (select id from connections where tenant_id = $1)",
    );
    API_KEYS = Statement::same("delete from api_keys where tenant_id = $1");
    CONNECTIONS = Statement::same("delete from connections where tenant_id = $1");
    DATA_KEYS = Statement::same("delete from data_keys where tenant_id = $1");
    ROUTING_POLICIES = Statement::same("delete from routing_policies where tenant_id = $1");
    OBJECTS = some_of!("objects", "id");
    OBJECT_CONTENTS = some_of!("object_contents", "object_id");
    OBJECT_METADATA = some_of!("object_metadata", "object_id");
    ATTEMPTS = some_of!("attempts", "id");
    ATTEMPT_OBJECTS = some_of!("attempt_objects", "attempt_id");
    IDEMPOTENCY_KEYS = some_of!("idempotency_keys", "key");
    EVENTS = some_of!("events", "id");
    WEBHOOK_ENDPOINTS = Statement::same("delete from webhook_endpoints where tenant_id = $1");
    /// Of the same deliveries as the next one.
    DELIVERY_QUEUE = Statement::same(
        "delete from delivery_queue where delivery_id in (
             select id from webhook_deliveries where tenant_id = $1 order by id limit $2)",
    );
    WEBHOOK_DELIVERIES = Statement::same(
        "delete from webhook_deliveries where tenant_id = $1 and id in (
             select id from webhook_deliveries where tenant_id = $1 order by id limit $2)",
    );
    WEBHOOK_ATTEMPTS = some_of!("webhook_attempts", "id");
    CALL_LOGS = some_of!("call_logs", "id");
    PROVIDER_REFS = some_of!("provider_refs", "ref");
    RECEIVED_WEBHOOKS = some_of!("received_webhooks", "id");
    WEBHOOK_KEYS = some_of!("webhook_keys", "key");
    RECORDED_CALLS = some_of!("recorded_calls", "id");
    RECORDING_DIRECTORY = some_of!("recording_directory", "sha256");
    RECORDING_SETTINGS = Statement::same("delete from recording_settings where tenant_id = $1");
    REFUND_AMOUNTS = some_of!("refund_amounts", "refund_id");
}

impl TenantTx {
    /// The tenant's name, also of one that was deleted.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn tenant_name(&mut self) -> Result<Option<String>, StoreError> {
        let tenant = self.tenant().uuid();
        let found: Option<Text> =
            fetch_optional!(self, NAME, [tenant]).during("find a tenant's name")?;
        Ok(found.map(|Text(name)| name))
    }

    /// Marks the tenant as deleted and destroys its data keys, credentials and API keys: from the
    /// commit on nobody can act for it, and nothing of it can be decrypted. `false` when it was marked
    /// before; what somebody was still writing at that moment goes now.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn end_tenant(&mut self, name: &str, at: DateTime<Utc>) -> Result<bool, StoreError> {
        const OPERATION: &str = "delete a tenant";
        let tenant = self.tenant().uuid();
        let marked = execute!(self, MARK, [tenant, name, at]).during(OPERATION)?;
        execute!(self, KEYS_OF_DIRECTORY, [tenant]).during(OPERATION)?;
        execute!(self, CONNECTIONS_OF_DIRECTORY, [tenant]).during(OPERATION)?;
        execute!(self, API_KEYS, [tenant]).during(OPERATION)?;
        execute!(self, CONNECTIONS, [tenant]).during(OPERATION)?;
        execute!(self, DATA_KEYS, [tenant]).during(OPERATION)?;
        execute!(self, ROUTING_POLICIES, [tenant]).during(OPERATION)?;
        execute!(self, RECORDING_SETTINGS, [tenant]).during(OPERATION)?;
        execute!(self, WEBHOOK_ENDPOINTS, [tenant]).during(OPERATION)?;
        Ok(marked == 1)
    }

    /// Deletes some of the rows that a deleted tenant has left: how many. Work that is due on them ends
    /// when somebody looks at it; a buyer's page leads nowhere. The audit log stays.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn purge_some(&mut self) -> Result<u64, StoreError> {
        const OPERATION: &str = "delete a tenant's rows";
        let tenant = self.tenant().uuid();
        let mut deleted = 0;
        // Each statement is a constant, whose parameters are counted when this is compiled.
        macro_rules! delete {
            ($($statement:ident),+ $(,)?) => {$(
                deleted += execute!(self, $statement, [tenant, BATCH]).during(OPERATION)?;
            )+};
        }
        delete!(
            OBJECT_CONTENTS,
            OBJECT_METADATA,
            ATTEMPT_OBJECTS,
            ATTEMPTS,
            IDEMPOTENCY_KEYS,
            DELIVERY_QUEUE,
            WEBHOOK_DELIVERIES,
            WEBHOOK_ATTEMPTS,
            EVENTS,
            CALL_LOGS,
            PROVIDER_REFS,
            RECEIVED_WEBHOOKS,
            WEBHOOK_KEYS,
            RECORDED_CALLS,
            RECORDING_DIRECTORY,
            REFUND_AMOUNTS,
            OBJECTS,
        );
        Ok(deleted)
    }
}
