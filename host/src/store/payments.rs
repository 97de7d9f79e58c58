//! What payments need beside their objects: further ids at the provider, how much of one is refunded,
//! and whose a buyer's page is.

use onerouter_domain::environment::Environment;
use onerouter_domain::id::{ConnectionId, TenantId};
use uuid::Uuid;

use super::backend::{Columns, FromColumns, execute, fetch_all, fetch_optional};
use super::error::During as _;
use super::objects::ObjectKind;
use super::statement::{Statement, statements};
use super::{Store, StoreError, TenantTx};

/// What a refund does with its amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundState {
    /// On its way, or nobody knows.
    Held,
    /// The buyer has it.
    Given,
    /// Nothing any more.
    Void,
}

impl RefundState {
    /// The name in the column.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Given => "given",
            Self::Void => "void",
        }
    }
}

/// The amounts of a payment's refunds, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefundSums {
    /// Given back or on its way.
    pub reserved: i64,
    /// Given back.
    pub given: i64,
}

/// Where a buyer's page leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckoutPlace {
    /// Whose object it is.
    pub tenant_id: TenantId,
    /// Which object.
    pub object_id: Uuid,
}

statements! {
    BIND = Statement::same(
        "insert into provider_refs (tenant_id, connection_id, ref, object_id)
         values ($1, $2, $3, $4) on conflict (tenant_id, ref, connection_id) do nothing",
    );
    /// Providers' ids are unique within a connection: several connections may each have one.
    FIND_BY_REF = Statement::same(
        "select distinct id as id from (
             select objects.id, objects.environment, objects.kind from objects
             join connections on connections.tenant_id = objects.tenant_id
                 and connections.id = objects.connection_id
             where objects.tenant_id = $1 and objects.provider_ref = $4
             union all
             select objects.id, objects.environment, objects.kind from provider_refs
             join objects on objects.tenant_id = provider_refs.tenant_id
                 and objects.id = provider_refs.object_id
             where provider_refs.tenant_id = $1 and provider_refs.ref = $4
         ) as known
         where environment = $2 and kind = $3
         limit 2",
    );
    WRITE_AMOUNT = Statement::same(
        "insert into refund_amounts (tenant_id, payment_id, refund_id, amount_minor, status)
         values ($1, $2, $3, $4, $5)
         on conflict (tenant_id, payment_id, refund_id) do update set status = excluded.status",
    );
    SUM_AMOUNTS = Statement {
        postgres: "select cast(coalesce(sum(case when status <> 'void' then amount_minor else 0 end), 0) as bigint) as reserved,
                 cast(coalesce(sum(case when status = 'given' then amount_minor else 0 end), 0) as bigint) as given
             from refund_amounts where tenant_id = $1 and payment_id = $2",
        sqlite: "select coalesce(sum(case when status <> 'void' then amount_minor else 0 end), 0) as reserved,
                 coalesce(sum(case when status = 'given' then amount_minor else 0 end), 0) as given
             from refund_amounts where tenant_id = $1 and payment_id = $2",
    };
    OPEN_PAGE = Statement::same(
        "insert into checkout_directory (token_hash, tenant_id, object_id) values ($1, $2, $3)
         on conflict (token_hash) do nothing",
    );
    FIND_PAGE = Statement::same(
        "select tenant_id, object_id from checkout_directory where token_hash = $1",
    );
}

impl TenantTx {
    /// Remembers a further id of an object at its provider. One that another object has stays that
    /// one's.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn bind_provider_ref(
        &mut self,
        connection: ConnectionId,
        provider_ref: &str,
        object: Uuid,
    ) -> Result<(), StoreError> {
        let tenant = self.tenant().uuid();
        execute!(
            self,
            BIND,
            [tenant, connection.uuid(), provider_ref, object]
        )
        .map(drop)
        .during("bind an id of a provider")
    }

    /// The objects of a kind that a provider knows by this id: one for the most part, and two at most.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_by_provider_ref(
        &mut self,
        kind: ObjectKind,
        environment: Environment,
        provider_ref: &str,
    ) -> Result<Vec<Uuid>, StoreError> {
        let tenant = self.tenant().uuid();
        let found: Vec<Id> = fetch_all!(
            self,
            FIND_BY_REF,
            [tenant, environment.as_str(), kind.as_str(), provider_ref]
        )
        .during("find an object by its provider's id")?;
        Ok(found.into_iter().map(|Id(id)| id).collect())
    }

    /// Notes what a refund does with its amount.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn write_refund_amount(
        &mut self,
        payment: Uuid,
        refund: Uuid,
        amount_minor: i64,
        state: RefundState,
    ) -> Result<(), StoreError> {
        let tenant = self.tenant().uuid();
        execute!(
            self,
            WRITE_AMOUNT,
            [tenant, payment, refund, amount_minor, state.as_str()]
        )
        .map(drop)
        .during("write the amount of a refund")
    }

    /// What of a payment is refunded. Exact only while the payment is locked.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn refund_sums(&mut self, payment: Uuid) -> Result<RefundSums, StoreError> {
        let tenant = self.tenant().uuid();
        let sums = fetch_optional!(self, SUM_AMOUNTS, [tenant, payment])
            .during("add up the refunds of a payment")?;
        Ok(sums.unwrap_or(RefundSums {
            reserved: 0,
            given: 0,
        }))
    }

    /// Makes a buyer's page lead to an object.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn open_checkout(
        &mut self,
        token_hash: &[u8; 32],
        object: Uuid,
    ) -> Result<(), StoreError> {
        let tenant = self.tenant().uuid();
        execute!(self, OPEN_PAGE, [token_hash.as_slice(), tenant, object])
            .map(drop)
            .during("open a buyer's page")
    }
}

impl Store {
    /// Where a buyer's page leads.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_checkout(
        &self,
        token_hash: &[u8; 32],
    ) -> Result<Option<CheckoutPlace>, StoreError> {
        self.past_dead_connections(|| async {
            fetch_optional!(self.pools_to_read(), FIND_PAGE, [token_hash.as_slice()])
        })
        .await
        .during("find a buyer's page")
    }
}

struct Id(Uuid);

impl FromColumns for Id {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        row.uuid("id").map(Self)
    }
}

impl FromColumns for RefundSums {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            reserved: row.get("reserved")?,
            given: row.get("given")?,
        })
    }
}

impl FromColumns for CheckoutPlace {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            tenant_id: TenantId::from_uuid(row.uuid("tenant_id")?),
            object_id: row.uuid("object_id")?,
        })
    }
}
