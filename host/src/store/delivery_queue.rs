//! `delivery_queue`: which delivery is due when, by endpoint. It is read before a tenant is known.
//!
//! To take a delivery is to move it to when somebody else may have it: that is its lease.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use onerouter_domain::id::{DeliveryId, TenantId, WebhookEndpointId};
use tokio::sync::Notify;
use uuid::Uuid;

use super::backend::{
    Backend, Columns, FromColumns, execute, fetch_all, fetch_joined, fetch_optional,
};
use super::deliveries::DeliveryRow;
use super::error::During as _;
use super::statement::{Joined, Statement, joined_statements, statements};
use super::{Store, StoreError, TenantTx};

/// Endpoints that are told of by name. Those beyond are found by whoever looks through the queue.
const NOTICED_MAX: usize = 4_096;

/// A delivery that was taken from the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenDelivery {
    /// Which.
    pub id: DeliveryId,
    /// To whom.
    pub endpoint_id: WebhookEndpointId,
    /// Whose.
    pub tenant_id: TenantId,
}

/// An endpoint for which something is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueEndpoint {
    /// Which.
    pub id: WebhookEndpointId,
    /// Whose.
    pub tenant_id: TenantId,
    /// Since when.
    pub at: DateTime<Utc>,
}

/// Endpoints for which something is in the queue, in their order: each is found by one look into the
/// index, whatever the others have waiting.
macro_rules! due_endpoints {
    () => {
        "with recursive lanes (id) as (
             select (select endpoint_id from delivery_queue
                     where endpoint_id > $1 order by endpoint_id limit 1)
             union all
             select (select endpoint_id from delivery_queue
                     where endpoint_id > lanes.id order by endpoint_id limit 1)
             from lanes where lanes.id is not null
         ), firsts as (
             select lanes.id, (select at from delivery_queue
                     where endpoint_id = lanes.id order by at limit 1) as at
             from lanes where lanes.id is not null
         )
         select id, at,
             (select tenant_id from delivery_queue
                 where endpoint_id = firsts.id order by at limit 1) as tenant_id
         from firsts where at <= $2 limit $3"
    };
}

statements! {
    QUEUE = Statement {
        postgres: "insert into delivery_queue (delivery_id, endpoint_id, tenant_id, at)
             select (made->>'id')::uuid, (made->>'endpoint')::uuid, $1, $3
             from jsonb_array_elements($2) as made",
        sqlite: "insert into delivery_queue (delivery_id, endpoint_id, tenant_id, at)
             select unhex(made.value->>'id', '-'), unhex(made.value->>'endpoint', '-'), $1, $3
             from json_each($2) as made",
    };
    DUE_ENDPOINTS = Statement::same(due_endpoints!());
    QUEUED = Statement::same(
        "select count(*) as count from (select 1 as one from delivery_queue limit $1) as counted",
    );
    TAKE_OF_ONE = Statement::same(
        "update delivery_queue set at = $3, is_waiting = false
         where delivery_id in (
             select delivery_id from delivery_queue as due
             where due.endpoint_id = $1 and due.at <= $2 order by due.at limit $4)
         returning delivery_id, endpoint_id, tenant_id",
    );
    UNQUEUE = Statement::same("delete from delivery_queue where delivery_id = $1");
    PUT_OFF = Statement::same("update delivery_queue set at = $2 where delivery_id = $1");
    WAIT = Statement::same(
        "update delivery_queue set at = $2, is_waiting = true where delivery_id = $1",
    );
    EARLIER = Statement::same(
        "select earlier.next_at as at from webhook_deliveries as earlier
         where earlier.tenant_id = $1 and earlier.endpoint_id = $2 and earlier.object_id = $3
             and earlier.state = 'pending' and earlier.sequence < $4
         order by earlier.sequence limit 1",
    );
}

joined_statements! {
    TAKE = Joined {
        postgres: "with wanted as (
                 select * from unnest($1::uuid[], $2::bigint[]) as wanted (endpoint_id, room)
             ), due as (
                 select taken.delivery_id from wanted cross join lateral (
                     select queue.delivery_id from delivery_queue as queue
                     where queue.endpoint_id = wanted.endpoint_id and queue.at <= $3
                     order by queue.at limit wanted.room for update skip locked
                 ) as taken
             )
             update delivery_queue set at = $4, is_waiting = false from due
             where delivery_queue.delivery_id = due.delivery_id
             returning delivery_queue.delivery_id, delivery_queue.endpoint_id,
                 delivery_queue.tenant_id",
        sqlite: &[TAKE_OF_ONE],
    };
    HOLD_BACK = Joined {
        postgres: "with earlier as (
                 select earlier.next_at from webhook_deliveries as earlier
                 where earlier.tenant_id = $1 and earlier.endpoint_id = $2
                     and earlier.object_id = $3 and earlier.state = 'pending'
                     and earlier.sequence < $4
                 order by earlier.sequence limit 1 for share
             )
             update delivery_queue
             set at = greatest($6, earlier.next_at), is_waiting = true from earlier
             where delivery_queue.delivery_id = $5
             returning delivery_id as id",
        sqlite: &[EARLIER, WAIT],
    };
}

/// Tells whoever delivers that something was put into the queue, by this process and for good.
#[derive(Debug, Default)]
pub struct DeliveryNotice {
    endpoints: Mutex<HashMap<WebhookEndpointId, TenantId>>,
    given: Notify,
}

impl DeliveryNotice {
    /// Something was put into the queue for these of a tenant's, and is committed.
    pub(super) fn give(
        &self,
        tenant: TenantId,
        endpoints: impl IntoIterator<Item = WebhookEndpointId>,
    ) {
        let mut noticed = self
            .endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for endpoint in endpoints {
            if noticed.len() >= NOTICED_MAX {
                break;
            }
            noticed.insert(endpoint, tenant);
        }
        drop(noticed);
        self.given.notify_one();
    }

    /// Waits for a notice: all that were given since the last one.
    ///
    /// Dropped while it waits, it has taken nothing.
    pub async fn taken(&self) -> HashMap<WebhookEndpointId, TenantId> {
        self.given.notified().await;
        std::mem::take(
            &mut *self
                .endpoints
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

impl Store {
    /// Where it is said that something was put into the queue.
    #[must_use]
    pub fn delivery_notice(&self) -> &Arc<DeliveryNotice> {
        &self.delivery_notice
    }

    /// Up to `limit` endpoints after one, in the order of their ids, for which something is due.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn due_endpoints(
        &self,
        after: WebhookEndpointId,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<DueEndpoint>, StoreError> {
        self.past_dead_connections(|| async {
            fetch_all!(
                self.pools_to_read(),
                DUE_ENDPOINTS,
                [after.uuid(), now, i64::from(limit)]
            )
        })
        .await
        .during("look for due deliveries")
    }

    /// How many deliveries are in the queue, counted up to a number.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn queued_deliveries(&self, at_most: u32) -> Result<u64, StoreError> {
        let counted: Option<Count> = self
            .past_dead_connections(|| async {
                fetch_optional!(self.pools_to_read(), QUEUED, [i64::from(at_most)])
            })
            .await
            .during("count queued deliveries")?;
        Ok(counted.map_or(0, |Count(count)| count))
    }

    /// Takes what is due for these endpoints, as much for each as there is room for: nobody else gets it
    /// before `lease_until`.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn take_deliveries(
        &self,
        wanted: &[(WebhookEndpointId, u32)],
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
    ) -> Result<Vec<TakenDelivery>, StoreError> {
        const OPERATION: &str = "take due deliveries";
        // What was taken by a connection that died before it said so is due again later.
        self.past_dead_connections(|| async {
            let pools = self.pools_to_write();
            let Backend::Postgres(pool) = pools.executors() else {
                let mut taken = Vec::new();
                for (endpoint, room) in wanted {
                    let (endpoint, room) = (endpoint.uuid(), i64::from(*room));
                    let of_one: Vec<TakenDelivery> =
                        fetch_all!(pools, TAKE_OF_ONE, [endpoint, now, lease_until, room])?;
                    taken.extend(of_one);
                }
                return Ok(taken);
            };
            let endpoints: Vec<_> = wanted.iter().map(|(endpoint, _)| endpoint.uuid()).collect();
            let rooms: Vec<_> = wanted.iter().map(|(_, room)| i64::from(*room)).collect();
            fetch_joined!(pools, pool, TAKE, [endpoints, rooms, now, lease_until])
        })
        .await
        .during(OPERATION)
    }

    /// Puts a delivery back into the queue, for a time.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn put_off_delivery(
        &self,
        delivery: DeliveryId,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.past_dead_connections(|| async {
            execute!(self.pools_to_write(), PUT_OFF, [delivery.uuid(), at])
        })
        .await
        .map(drop)
        .during("put off a delivery")
    }
}

impl TenantTx {
    /// Has a delivery wait if an earlier one of the same object's has not ended: `true` if it waits, at
    /// least until `until`, or until that one has ended.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn hold_back_delivery(
        &mut self,
        delivery: &DeliveryRow,
        until: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        const OPERATION: &str = "hold a delivery back";
        let tenant = self.tenant().uuid();
        let (endpoint, object) = (delivery.endpoint_id.uuid(), delivery.object_id);
        let (id, sequence) = (delivery.id.uuid(), delivery.sequence.cast_signed());
        let connection = match self.executors() {
            Backend::Postgres(connection) => connection,
            Backend::Sqlite(_) => {
                let earlier: Option<At> =
                    fetch_optional!(self, EARLIER, [tenant, endpoint, object, sequence])
                        .during(OPERATION)?;
                let Some(At(earlier)) = earlier else {
                    return Ok(false);
                };
                let at = until.max(earlier.unwrap_or(until));
                return execute!(self, WAIT, [id, at])
                    .map(|_| true)
                    .during(OPERATION);
            }
        };
        let held: Vec<Uuid> = fetch_joined!(
            self,
            connection,
            HOLD_BACK,
            [tenant, endpoint, object, sequence, id, until]
        )
        .during(OPERATION)?;
        Ok(!held.is_empty())
    }
}

struct Count(u64);

impl FromColumns for Count {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        row.integer("count").map(Self)
    }
}

struct At(Option<DateTime<Utc>>);

impl FromColumns for At {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        row.optional_time("at").map(Self)
    }
}

impl FromColumns for DueEndpoint {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: WebhookEndpointId::from_uuid(row.uuid("id")?),
            tenant_id: TenantId::from_uuid(row.uuid("tenant_id")?),
            at: row.time("at")?,
        })
    }
}

impl FromColumns for TakenDelivery {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: DeliveryId::from_uuid(row.uuid("delivery_id")?),
            endpoint_id: WebhookEndpointId::from_uuid(row.uuid("endpoint_id")?),
            tenant_id: TenantId::from_uuid(row.uuid("tenant_id")?),
        })
    }
}
