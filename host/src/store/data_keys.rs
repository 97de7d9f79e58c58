//! `data_keys`: what the vault encrypts with, each wrapped by a master key.

use chrono::{DateTime, Utc};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::TenantId;
use uuid::Uuid;

use super::backend::{Columns, FromColumns, execute, fetch_all, fetch_optional};
use super::error::During as _;
use super::statement::{Statement, statements};
use super::{StoreError, TenantTx};

/// A data key, wrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataKeyRow {
    /// Its id, which stands in every ciphertext.
    pub id: Uuid,
    /// Whose secrets it encrypts.
    pub tenant_id: TenantId,
    /// In which environment.
    pub environment: Environment,
    /// Which master key wraps it.
    pub master_key_id: String,
    /// The key, encrypted by the master key.
    pub wrapped: Vec<u8>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From when on nothing new is encrypted with it.
    pub retired_at: Option<DateTime<Utc>>,
}

macro_rules! columns {
    () => {
        "id, tenant_id, environment, master_key_id, wrapped, created_at, retired_at"
    };
}

statements! {
    FIND_ACTIVE = Statement::same(concat!(
        "select ", columns!(), " from data_keys
         where tenant_id = $1 and environment = $2 and retired_at is null"
    ));
    FIND = Statement::same(concat!(
        "select ", columns!(), " from data_keys where tenant_id = $1 and id = $2"
    ));
    INSERT_IF_ABSENT = Statement::same(
        "insert into data_keys (id, tenant_id, environment, master_key_id, wrapped, created_at)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (tenant_id, environment) where retired_at is null do nothing",
    );
    LIST = Statement::same(concat!(
        "select ", columns!(), " from data_keys
         where tenant_id = $1 and id > $2 order by id limit $3"
    ));
    REWRAP = Statement::same(
        "update data_keys set master_key_id = $4, wrapped = $5
         where tenant_id = $1 and id = $2 and master_key_id = $3",
    );
}

impl TenantTx {
    /// The key that new secrets are encrypted with.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_active_data_key(
        &mut self,
        environment: Environment,
    ) -> Result<Option<DataKeyRow>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_optional!(self, FIND_ACTIVE, [tenant, environment.as_str()])
            .during("find the active data key")
    }

    /// A key, retired ones too.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_data_key(&mut self, id: Uuid) -> Result<Option<DataKeyRow>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_optional!(self, FIND, [tenant, id]).during("find a data key")
    }

    /// Stores a key as the active one; `false` when there is one already. The row's tenant is the
    /// transaction's.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn insert_data_key_if_absent(
        &mut self,
        key: &DataKeyRow,
    ) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        execute!(
            self,
            INSERT_IF_ABSENT,
            [
                key.id,
                tenant,
                key.environment.as_str(),
                &key.master_key_id,
                key.wrapped.as_slice(),
                key.created_at,
            ]
        )
        .map(|rows| rows == 1)
        .during("insert a data key")
    }

    /// Up to `limit` keys in the order of their ids, retired ones too.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list_data_keys(
        &mut self,
        after: Uuid,
        limit: u32,
    ) -> Result<Vec<DataKeyRow>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_all!(self, LIST, [tenant, after, i64::from(limit)]).during("list data keys")
    }

    /// Replaces the wrapping of `old` by another master key's; `false` when it has been replaced
    /// since `old` was read.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn rewrap_data_key(
        &mut self,
        old: &DataKeyRow,
        master_key_id: &str,
        wrapped: &[u8],
    ) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        execute!(
            self,
            REWRAP,
            [tenant, old.id, &old.master_key_id, master_key_id, wrapped]
        )
        .map(|rows| rows == 1)
        .during("rewrap a data key")
    }
}

impl FromColumns for DataKeyRow {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.uuid("id")?,
            tenant_id: TenantId::from_uuid(row.uuid("tenant_id")?),
            environment: row.environment()?,
            master_key_id: row.text("master_key_id")?,
            wrapped: row.get("wrapped")?,
            created_at: row.time("created_at")?,
            retired_at: row.optional_time("retired_at")?,
        })
    }
}
