//! `received_webhooks`, `webhook_keys`: what providers have told, kept before anything is made of it, and
//! by what it is known again.

use chrono::{DateTime, Utc};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::ConnectionId;
use uuid::Uuid;

use super::backend::{Columns, FromColumns, execute, fetch_optional};
use super::error::During as _;
use super::statement::{Statement, statements};
use super::{StoreError, TenantTx};

/// A webhook to be kept.
#[derive(Debug, Clone)]
pub struct NewReceivedWebhook {
    /// Its id.
    pub id: Uuid,
    /// In which environment.
    pub environment: Environment,
    /// To which connection.
    pub connection_id: ConnectionId,
    /// Whose.
    pub provider: String,
    /// As the vault wrote it.
    pub request: Vec<u8>,
    /// By what it is known again.
    pub keys: Vec<String>,
    /// Now.
    pub received_at: DateTime<Utc>,
}

/// A webhook that is kept.
#[derive(Debug, Clone)]
pub struct ReceivedWebhookRow {
    /// Its id.
    pub id: Uuid,
    /// In which environment.
    pub environment: Environment,
    /// To which connection.
    pub connection_id: ConnectionId,
    /// Whose.
    pub provider: String,
    /// As the vault wrote it.
    pub request: Vec<u8>,
    /// What came of it.
    pub verdict: String,
    /// When it came.
    pub received_at: DateTime<Utc>,
}

/// The webhook that has a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyOwner {
    /// Which.
    pub webhook: Uuid,
    /// It has got the key just now.
    pub is_new: bool,
}

/// What came of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookVerdict {
    /// Everything that it says was done.
    Handled,
    /// All its events had come before.
    Repeated,
    /// It does not count: the adapter, which alone could tell, did not find it signed, or its connection was
    /// taken away before anything was made of it.
    Refused,
    /// It could not be read, or what it says could not be done, for too long.
    GivenUp,
}

impl WebhookVerdict {
    /// The name in the column.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Handled => "handled",
            Self::Repeated => "repeated",
            Self::Refused => "refused",
            Self::GivenUp => "given_up",
        }
    }
}

impl FromColumns for ReceivedWebhookRow {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.uuid("id")?,
            environment: row.environment()?,
            connection_id: ConnectionId::from_uuid(row.uuid("connection_id")?),
            provider: row.text("provider")?,
            request: row.get("request")?,
            verdict: row.text("verdict")?,
            received_at: row.time("received_at")?,
        })
    }
}

statements! {
    INSERT = Statement::same(
        "insert into received_webhooks (tenant_id, id, environment, connection_id, provider, request,
             verdict, received_at)
         values ($1, $2, $3, $4, $5, $6, 'accepted', $7)",
    );
    CLAIM_KEY = Statement::same(
        "insert into webhook_keys (tenant_id, connection_id, key, webhook_id, created_at)
         values ($1, $2, $3, $4, $5)
         on conflict (tenant_id, connection_id, key) do nothing",
    );
    FIND_KEY = Statement::same(
        "select webhook_id as id from webhook_keys
         where tenant_id = $1 and connection_id = $2 and key = $3",
    );
    FIND = Statement::same(
        "select id, environment, connection_id, provider, request, verdict, received_at
         from received_webhooks where tenant_id = $1 and id = $2",
    );
    END = Statement::same(
        "update received_webhooks set verdict = $3, event_type = $4, handled_at = $5
         where tenant_id = $1 and id = $2 and verdict = 'accepted'",
    );
    DELETE_KEYS = Statement::same(
        "delete from webhook_keys where tenant_id = $1 and (connection_id, key) in (
             select connection_id, key from webhook_keys
             where tenant_id = $1 and created_at < $2 order by created_at limit $3)",
    );
}

/// Keys that go in one transaction.
const BATCH: i64 = 1_000;

impl TenantTx {
    /// Keeps a webhook; `false` where one with such a key is there already: then the transaction is to be
    /// dropped. Of two that come at once, one waits for the other.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn insert_received_webhook(
        &mut self,
        new: &NewReceivedWebhook,
    ) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        // In one order, so that two that have several keys in common do not wait for each other.
        let mut keys: Vec<&String> = new.keys.iter().collect();
        keys.sort_unstable();
        for key in keys {
            let owner = self
                .claim_webhook_key(new.connection_id, key, new.id, new.received_at)
                .await?;
            if owner.webhook != new.id {
                return Ok(false);
            }
        }
        execute!(
            self,
            INSERT,
            [
                tenant,
                new.id,
                new.environment.as_str(),
                new.connection_id.uuid(),
                &new.provider,
                new.request.as_slice(),
                new.received_at,
            ]
        )
        .map(|_inserted| true)
        .during("keep a webhook")
    }

    /// Takes a key for a webhook, or tells which one has it.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn claim_webhook_key(
        &mut self,
        connection: ConnectionId,
        key: &str,
        webhook: Uuid,
        at: DateTime<Utc>,
    ) -> Result<KeyOwner, StoreError> {
        const OPERATION: &str = "take a webhook's key";
        let tenant = self.tenant().uuid();
        let connection = connection.uuid();
        let taken = execute!(self, CLAIM_KEY, [tenant, connection, key, webhook, at]);
        if taken.during(OPERATION)? == 1 {
            return Ok(KeyOwner {
                webhook,
                is_new: true,
            });
        }
        let owner: Option<Uuid> =
            fetch_optional!(self, FIND_KEY, [tenant, connection, key]).during(OPERATION)?;
        Ok(KeyOwner {
            // Gone in this moment with what is too old.
            webhook: owner.unwrap_or(webhook),
            is_new: false,
        })
    }

    /// A webhook that was kept.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_received_webhook(
        &mut self,
        id: Uuid,
    ) -> Result<Option<ReceivedWebhookRow>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_optional!(self, FIND, [tenant, id]).during("find a webhook")
    }

    /// Notes what came of a webhook; `false` where that is known already.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn end_received_webhook(
        &mut self,
        id: Uuid,
        verdict: WebhookVerdict,
        event_type: Option<&str>,
        at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        execute!(self, END, [tenant, id, verdict.as_str(), event_type, at])
            .map(|ended| ended == 1)
            .during("end a webhook")
    }

    /// Deletes some of the keys that were taken before a time: how many.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn delete_old_webhook_keys(
        &mut self,
        before: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let tenant = self.tenant().uuid();
        execute!(self, DELETE_KEYS, [tenant, before, BATCH]).during("delete old webhook keys")
    }
}
