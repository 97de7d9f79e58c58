//! `connections`, and `connection_directory`, which tells whose a connection is before its tenant
//! is known.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{ConnectionId, TenantId};
use sqlx::types::Json;
use uuid::Uuid;

use super::backend::{Columns, FromColumns, execute, fetch_all, fetch_optional};
use super::error::During as _;
use super::statement::{Statement, statements};
use super::{Store, StoreError, TenantTx};

/// A tenant's credentials for a provider in one environment.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectionRow {
    /// Its id.
    pub id: ConnectionId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Where it may be used.
    pub environment: Environment,
    /// `sms`, `email`, …
    pub category: String,
    /// Which provider.
    pub provider: String,
    /// Tells connections to the same provider apart.
    pub label: String,
    /// The credential fields that are no secret.
    pub public: BTreeMap<String, String>,
    /// The tenant's settings.
    pub settings: BTreeMap<String, String>,
    /// The secret credential fields as the vault wrote them.
    pub secrets: Vec<u8>,
    /// The provider's name for the account, where it is known.
    pub account: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was written last.
    pub updated_at: DateTime<Utc>,
    /// When it was taken away; its objects can still be read.
    pub deleted_at: Option<DateTime<Utc>>,
}

impl fmt::Debug for ConnectionRow {
    /// Without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionRow")
            .field("id", &self.id)
            .field("environment", &self.environment)
            .field("category", &self.category)
            .field("provider", &self.provider)
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

/// What at most one live connection of a tenant's stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionSlot<'a> {
    /// Where it may be used.
    pub environment: Environment,
    /// `sms`, `email`, …
    pub category: &'a str,
    /// Which provider.
    pub provider: &'a str,
    /// Tells connections to the same provider apart.
    pub label: &'a str,
}

/// A slot, or those of every label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionGroup<'a> {
    /// Where they may be used.
    pub environment: Environment,
    /// `sms`, `email`, …
    pub category: &'a str,
    /// Which provider.
    pub provider: &'a str,
    /// Only the one with this label.
    pub label: Option<&'a str>,
}

/// A connection to be written.
#[derive(Clone, Copy)]
pub struct NewConnection<'a> {
    /// That of the slot's live connection, or a new one. `secrets` are bound to it.
    pub id: ConnectionId,
    /// What it stands for.
    pub slot: ConnectionSlot<'a>,
    /// The credential fields that are no secret.
    pub public: &'a BTreeMap<String, String>,
    /// The tenant's settings.
    pub settings: &'a BTreeMap<String, String>,
    /// The secret credential fields as the vault wrote them.
    pub secrets: &'a [u8],
    /// The provider's name for the account.
    pub account: Option<&'a str>,
    /// Now.
    pub at: DateTime<Utc>,
}

impl fmt::Debug for NewConnection<'_> {
    /// Without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewConnection")
            .field("id", &self.id)
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

/// How a connection was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionWrite {
    /// A new connection.
    Inserted,
    /// The slot's connection got new credentials and settings, and kept its id.
    Replaced,
    /// Nothing was written: another connection took the slot in the meantime. Encrypt the secrets
    /// for its id and write again.
    TakenBy(ConnectionId),
}

macro_rules! columns {
    () => {
        "id, tenant_id, environment, category, provider, label, public, settings, secrets, account,
         created_at, updated_at, deleted_at"
    };
}

statements! {
    REPLACE = Statement::same(
        "update connections
         set public = $7, settings = $8, secrets = $9, account = $10, updated_at = $11
         where tenant_id = $1 and id = $2 and environment = $3 and category = $4
             and provider = $5 and label = $6 and deleted_at is null",
    );
    INSERT = Statement::same(
        "insert into connections (tenant_id, id, environment, category, provider, label, public,
             settings, secrets, account, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)
         on conflict (tenant_id, environment, category, provider, label)
             where deleted_at is null do nothing",
    );
    INSERT_DIRECTORY = Statement::same(
        "insert into connection_directory (connection_id, tenant_id) values ($1, $2)",
    );
    FIND_DIRECTORY = Statement::same(
        "select tenant_id as id from connection_directory where connection_id = $1",
    );
    FIND = Statement::same(concat!(
        "select ", columns!(), " from connections where tenant_id = $1 and id = $2"
    ));
    FIND_IN_SLOT = Statement::same(concat!(
        "select ", columns!(), " from connections
         where tenant_id = $1 and environment = $2 and category = $3 and provider = $4
             and label = $5 and deleted_at is null"
    ));
    SAME_PROVIDER = Statement::same(
        "select other.id from connections as own
         join connections as other on other.tenant_id = own.tenant_id
             and other.environment = own.environment and other.category = own.category
             and other.provider = own.provider
         where own.tenant_id = $1 and own.id = $2
         order by other.id",
    );
    LIST = Statement::same(concat!(
        "select ", columns!(), " from connections
         where tenant_id = $1 and environment = coalesce($2, environment) and deleted_at is null
         order by environment, category, id"
    ));
    CANDIDATES = Statement::same(concat!(
        "select ", columns!(), " from connections
         where tenant_id = $1 and environment = $2 and category = $3 and deleted_at is null
         order by id"
    ));
    DELETE = Statement::same(
        "update connections set deleted_at = $6, updated_at = $6
         where tenant_id = $1 and environment = $2 and category = $3 and provider = $4
             and label = coalesce($5, label) and deleted_at is null",
    );
}

impl Store {
    /// Whose a connection is; deleted ones too.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_connection_tenant(
        &self,
        id: ConnectionId,
    ) -> Result<Option<TenantId>, StoreError> {
        let tenant: Option<Uuid> =
            fetch_optional!(self.pools_to_read(), FIND_DIRECTORY, [id.uuid()])
                .during("look up a connection")?;
        Ok(tenant.map(TenantId::from_uuid))
    }
}

impl TenantTx {
    /// Writes a connection: into its slot if that is free, over the slot's connection if that has
    /// the same id.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn write_connection(
        &mut self,
        new: &NewConnection<'_>,
    ) -> Result<ConnectionWrite, StoreError> {
        if self.replace_connection(new).await? {
            return Ok(ConnectionWrite::Replaced);
        }
        if self.insert_connection(new).await? {
            return Ok(ConnectionWrite::Inserted);
        }
        match self.find_connection_in(&new.slot).await? {
            Some(taken) => Ok(ConnectionWrite::TakenBy(taken.id)),
            // Taken a moment ago and free again.
            None => Err(StoreError::new(
                "insert a connection",
                sqlx::Error::RowNotFound,
            )),
        }
    }

    async fn replace_connection(&mut self, new: &NewConnection<'_>) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        execute!(
            self,
            REPLACE,
            [
                tenant,
                new.id.uuid(),
                new.slot.environment.as_str(),
                new.slot.category,
                new.slot.provider,
                new.slot.label,
                Json(new.public),
                Json(new.settings),
                new.secrets,
                new.account,
                new.at,
            ]
        )
        .map(|rows| rows == 1)
        .during("replace a connection")
    }

    async fn insert_connection(&mut self, new: &NewConnection<'_>) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        let inserted = execute!(
            self,
            INSERT,
            [
                tenant,
                new.id.uuid(),
                new.slot.environment.as_str(),
                new.slot.category,
                new.slot.provider,
                new.slot.label,
                Json(new.public),
                Json(new.settings),
                new.secrets,
                new.account,
                new.at,
            ]
        )
        .during("insert a connection")?;
        if inserted == 0 {
            return Ok(false);
        }
        execute!(self, INSERT_DIRECTORY, [new.id.uuid(), tenant])
            .during("insert a connection into the directory")?;
        Ok(true)
    }

    /// A connection, deleted ones too: their objects can still be read.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_connection(
        &mut self,
        id: ConnectionId,
    ) -> Result<Option<ConnectionRow>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_optional!(self, FIND, [tenant, id.uuid()]).during("find a connection")
    }

    /// The connections that may lead to the same account at the provider as this one, itself among
    /// them: under another label, or deleted and made again. What one of them has sent, the other
    /// one finds.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list_connections_like(
        &mut self,
        id: ConnectionId,
    ) -> Result<Vec<ConnectionId>, StoreError> {
        let tenant = self.tenant().uuid();
        let ids: Vec<Uuid> = fetch_all!(self, SAME_PROVIDER, [tenant, id.uuid()])
            .during("list connections to one provider")?;
        Ok(ids.into_iter().map(ConnectionId::from_uuid).collect())
    }

    /// The live connection of a slot.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_connection_in(
        &mut self,
        slot: &ConnectionSlot<'_>,
    ) -> Result<Option<ConnectionRow>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_optional!(
            self,
            FIND_IN_SLOT,
            [
                tenant,
                slot.environment.as_str(),
                slot.category,
                slot.provider,
                slot.label
            ]
        )
        .during("find a connection by its label")
    }

    /// Every live connection, by environment and category, oldest first.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list_connections(
        &mut self,
        environment: Option<Environment>,
    ) -> Result<Vec<ConnectionRow>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_all!(self, LIST, [tenant, environment.map(Environment::as_str)])
            .during("list connections")
    }

    /// The live connections that could serve a category, oldest first.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn connection_candidates(
        &mut self,
        environment: Environment,
        category: &str,
    ) -> Result<Vec<ConnectionRow>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_all!(self, CANDIDATES, [tenant, environment.as_str(), category])
            .during("list connections of a category")
    }

    /// Takes live connections away and tells how many.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn delete_connections(
        &mut self,
        group: &ConnectionGroup<'_>,
        at: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let tenant = self.tenant().uuid();
        execute!(
            self,
            DELETE,
            [
                tenant,
                group.environment.as_str(),
                group.category,
                group.provider,
                group.label,
                at
            ]
        )
        .during("delete connections")
    }
}

impl FromColumns for ConnectionRow {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: ConnectionId::from_uuid(row.uuid("id")?),
            tenant_id: TenantId::from_uuid(row.uuid("tenant_id")?),
            environment: row.environment()?,
            category: row.text("category")?,
            provider: row.text("provider")?,
            label: row.text("label")?,
            public: row.json("public")?,
            settings: row.json("settings")?,
            secrets: row.get("secrets")?,
            account: row.get("account")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
            deleted_at: row.optional_time("deleted_at")?,
        })
    }
}
