//! `api_keys`, and `key_directory`, which tells whose a key is before its tenant is known.

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{ApiKeyId, TenantId};
use sqlx::types::Json;
use uuid::Uuid;

use super::backend::{Columns, FromColumns, decode, execute, fetch_all, fetch_optional};
use super::error::During as _;
use super::statement::{Statement, statements};
use super::{Store, StoreError, TenantTx, constraint};

/// An API key as it is stored: without the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRow {
    /// Its id.
    pub id: ApiKeyId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The one environment that it opens.
    pub environment: Environment,
    /// What people call it.
    pub name: String,
    /// How the key begins.
    pub prefix: String,
    /// Its last four characters.
    pub last4: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Its own rate limit, where it has one.
    pub rate_per_second: Option<u32>,
    /// Its own burst, where it has one.
    pub rate_burst: Option<u32>,
    /// From where it may be used; none for anywhere.
    pub allowed_ips: Option<Vec<IpNet>>,
    /// From when on it is refused.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was used last, within the precision of batched writing.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A key to be stored.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// The one environment that it opens.
    pub environment: Environment,
    /// What people call it.
    pub name: String,
    /// SHA-256 of the whole key.
    pub hash: [u8; 32],
    /// How the key begins.
    pub prefix: String,
    /// Its last four characters.
    pub last4: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Its own rate limit.
    pub rate_per_second: Option<u32>,
    /// Its own burst.
    pub rate_burst: Option<u32>,
    /// From where it may be used; none for anywhere.
    pub allowed_ips: Option<Vec<IpNet>>,
    /// From when on it is refused.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// That a key was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUse {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Which key.
    pub id: ApiKeyId,
    /// When.
    pub at: DateTime<Utc>,
}

macro_rules! columns {
    () => {
        "id, tenant_id, environment, name, prefix, last4, scopes, rate_per_second, rate_burst,
         allowed_ips, expires_at, last_used_at, revoked_at, created_at"
    };
}

statements! {
    INSERT = Statement::same(
        "insert into api_keys (id, tenant_id, environment, name, hash, prefix, last4, scopes,
             rate_per_second, rate_burst, expires_at, created_at, allowed_ips)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    );
    INSERT_DIRECTORY = Statement::same(
        "insert into key_directory (hash, tenant_id, key_id) values ($1, $2, $3)",
    );
    FIND_DIRECTORY = Statement::same("select tenant_id, key_id from key_directory where hash = $1");
    FIND = Statement::same(concat!(
        "select ", columns!(), " from api_keys where tenant_id = $1 and id = $2"
    ));
    LIST = Statement::same(concat!(
        "select ", columns!(), " from api_keys where tenant_id = $1 and id < $2
         order by id desc limit $3"
    ));
    REVOKE = Statement::same(
        "update api_keys set revoked_at = $3
         where tenant_id = $1 and id = $2 and revoked_at is null",
    );
    SET_EXPIRY = Statement::same(
        "update api_keys set expires_at = $3
         where tenant_id = $1 and id = $2 and revoked_at is null",
    );
    TOUCH = Statement::same(
        "update api_keys set last_used_at = $3
         where tenant_id = $1 and id = $2 and (last_used_at is null or last_used_at < $3)",
    );
}

impl Store {
    /// The key with this hash, revoked and expired ones too.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_api_key_by_hash(
        &self,
        hash: &[u8; 32],
    ) -> Result<Option<ApiKeyRow>, StoreError> {
        let found = self
            .past_dead_connections(|| async {
                fetch_optional!(self.pools_to_read(), FIND_DIRECTORY, [hash.as_slice()])
            })
            .await
            .during("look up an API key")?;
        let Some(DirectoryRow { tenant_id, key_id }) = found else {
            return Ok(None);
        };
        let mut tx = self.begin_read(tenant_id).await?;
        let key = tx.find_api_key(key_id).await?;
        tx.commit().await?;
        Ok(key)
    }

    /// Records when keys were used last. Later uses that are known already stay.
    ///
    /// # Errors
    /// The database cannot be reached; what was written until then stays written.
    pub async fn touch_api_keys(&self, uses: &[KeyUse]) -> Result<(), StoreError> {
        // Always in the same order, so that two nodes never wait for each other's locks.
        let mut uses = uses.to_vec();
        uses.sort_by_key(|key_use| (key_use.tenant_id, key_use.id, key_use.at));
        for of_tenant in uses.chunk_by(|a, b| a.tenant_id == b.tenant_id) {
            let Some(KeyUse { tenant_id, .. }) = of_tenant.first() else {
                continue;
            };
            let mut tx = self.begin(*tenant_id).await?;
            for KeyUse { tenant_id, id, at } in of_tenant {
                execute!(tx, TOUCH, [tenant_id.uuid(), id.uuid(), *at])
                    .during("record the use of an API key")?;
            }
            tx.commit().await?;
        }
        Ok(())
    }
}

impl TenantTx {
    /// Stores a key and its directory entry.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] by [`constraint::API_KEY_HASH`].
    pub async fn insert_api_key(&mut self, key: &NewApiKey) -> Result<(), StoreError> {
        let tenant = self.tenant().uuid();
        execute!(
            self,
            INSERT,
            [
                key.id.uuid(),
                tenant,
                key.environment.as_str(),
                &key.name,
                key.hash.as_slice(),
                &key.prefix,
                &key.last4,
                Json(&key.scopes),
                key.rate_per_second.map(i64::from),
                key.rate_burst.map(i64::from),
                key.expires_at,
                key.created_at,
                key.allowed_ips.as_deref().map(texts).map(Json),
            ]
        )
        .during_unique("insert an API key", constraint::API_KEY_HASH)?;
        execute!(
            self,
            INSERT_DIRECTORY,
            [key.hash.as_slice(), tenant, key.id.uuid()]
        )
        .map(drop)
        .during("insert an API key into the directory")
    }

    /// A key of the tenant's.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_api_key(&mut self, id: ApiKeyId) -> Result<Option<ApiKeyRow>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_optional!(self, FIND, [tenant, id.uuid()]).during("find an API key")
    }

    /// Up to `limit` keys older than `before`, newest first.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list_api_keys(
        &mut self,
        before: Option<ApiKeyId>,
        limit: u32,
    ) -> Result<Vec<ApiKeyRow>, StoreError> {
        let tenant = self.tenant().uuid();
        let before = before.map_or(Uuid::max(), ApiKeyId::uuid);
        fetch_all!(self, LIST, [tenant, before, i64::from(limit)]).during("list API keys")
    }

    /// Revokes a key; `false` when there is no such key or it has been revoked before.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn revoke_api_key(
        &mut self,
        id: ApiKeyId,
        at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        execute!(self, REVOKE, [tenant, id.uuid(), at])
            .map(|rows| rows == 1)
            .during("revoke an API key")
    }

    /// Sets from when on a key is refused; `false` when there is no such key or it is revoked.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn set_api_key_expiry(
        &mut self,
        id: ApiKeyId,
        expires_at: Option<DateTime<Utc>>,
    ) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        execute!(self, SET_EXPIRY, [tenant, id.uuid(), expires_at])
            .map(|rows| rows == 1)
            .during("set an API key's expiry")
    }
}

struct DirectoryRow {
    tenant_id: TenantId,
    key_id: ApiKeyId,
}

impl FromColumns for DirectoryRow {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            tenant_id: TenantId::from_uuid(row.uuid("tenant_id")?),
            key_id: ApiKeyId::from_uuid(row.uuid("key_id")?),
        })
    }
}

fn texts(networks: &[IpNet]) -> Vec<String> {
    networks.iter().map(IpNet::to_string).collect()
}

/// A key whose networks cannot be read is not used from anywhere.
fn networks(texts: &[String]) -> Result<Vec<IpNet>, sqlx::Error> {
    let parsed: Result<_, _> = texts.iter().map(|text| text.parse()).collect();
    parsed.map_err(|error| decode("allowed_ips", error))
}

impl FromColumns for ApiKeyRow {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: ApiKeyId::from_uuid(row.uuid("id")?),
            tenant_id: TenantId::from_uuid(row.uuid("tenant_id")?),
            environment: row.environment()?,
            name: row.text("name")?,
            prefix: row.text("prefix")?,
            last4: row.text("last4")?,
            scopes: row.json("scopes")?,
            rate_per_second: row.optional_integer("rate_per_second")?,
            rate_burst: row.optional_integer("rate_burst")?,
            allowed_ips: row
                .get::<Option<Json<Vec<String>>>>("allowed_ips")?
                .map(|Json(texts)| networks(&texts))
                .transpose()?,
            expires_at: row.optional_time("expires_at")?,
            last_used_at: row.optional_time("last_used_at")?,
            revoked_at: row.optional_time("revoked_at")?,
            created_at: row.time("created_at")?,
        })
    }
}
