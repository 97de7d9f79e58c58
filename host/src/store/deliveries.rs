//! `webhook_deliveries`: what is to be told to whom. A delivery is written in the statement that writes
//! its event, with a row of the queue.

use chrono::{DateTime, Utc};
use onerouter_domain::id::{DeliveryId, EventId, WebhookEndpointId};
use serde::Serialize;
use sqlx::types::Json;
use uuid::Uuid;

use super::backend::{
    Backend, Columns, FromColumns, execute, fetch_all, fetch_joined, fetch_optional,
};
use super::delivery_queue::{QUEUE, UNQUEUE};
use super::error::During as _;
use super::events::NewEvent;
use super::statement::{Joined, Statement, joined_statements, statements};
use super::{StoreError, TenantTx};
use crate::ids;

/// A delivery with its event.
#[derive(Debug, Clone)]
pub struct DeliveryRow {
    /// Its id.
    pub id: DeliveryId,
    /// To whom.
    pub endpoint_id: WebhookEndpointId,
    /// What is told.
    pub event_id: EventId,
    /// What it is about.
    pub object_id: Uuid,
    /// Which version of it.
    pub sequence: u64,
    /// Tries that were made.
    pub attempts: u32,
    /// Since when it is due.
    pub next_at: DateTime<Utc>,
    /// The event's type.
    pub event_type: String,
    /// The event's data: JSON.
    pub data: String,
    /// When it happened.
    pub event_at: DateTime<Utc>,
}

/// A delivery to be made.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct NewDelivery {
    pub(super) id: Uuid,
    pub(super) endpoint: Uuid,
    pub(super) event: Uuid,
    pub(super) object: Uuid,
    pub(super) sequence: u64,
}

/// Both databases' way to say that an endpoint wants an event: `$1` is the tenant.
macro_rules! wanting {
    ($environment:literal, $wants:literal) => {
        concat!(
            "endpoints.tenant_id = $1 and endpoints.environment = ",
            $environment,
            " and endpoints.disabled_at is null and (endpoints.event_types is null or ",
            $wants,
            ")"
        )
    };
}

/// The steps of a statement that write what is to be told of events: `$1` is the tenant; `$source`
/// gives `event_id`, `environment`, `event_type`, `id`, `event_version` and `event_created_at`. A
/// delivery's id begins with the time of its event's, so that both go at the same time.
macro_rules! deliveries_of {
    ($source:literal) => {
        concat!(
            "delivery as (
                 insert into webhook_deliveries (tenant_id, id, endpoint_id, event_id, object_id,
                     sequence, state, attempts, next_at, created_at)
                 select $1,
                     (left(told.event_id::text, 15) || right(gen_random_uuid()::text, 21))::uuid,
                     endpoints.id, told.event_id, told.id, told.event_version, 'pending', 0,
                     told.event_created_at, told.event_created_at
                 from ",
            $source,
            " as told join webhook_endpoints as endpoints on ",
            $crate::store::deliveries::wanting!(
                "told.environment",
                "endpoints.event_types ? told.event_type
                     or endpoints.event_types ? (split_part(told.event_type, '.', 1) || '.*')"
            ),
            " returning id, endpoint_id, next_at
             ), queued as (
                 insert into delivery_queue (delivery_id, endpoint_id, tenant_id, at)
                 select id, endpoint_id, $1, next_at from delivery
             )"
        )
    };
}

/// To whom something is to be told by the same statement.
macro_rules! queued_for {
    () => {
        "(select string_agg(distinct endpoint_id::text, ',') from delivery) as queued_for"
    };
}

pub(super) use {deliveries_of, queued_for, wanting};

statements! {
    WANTING = Statement {
        postgres: concat!(
            "select id from webhook_endpoints as endpoints where ",
            wanting!("$2", "endpoints.event_types ? $3 or endpoints.event_types ? $4")
        ),
        sqlite: concat!(
            "select id from webhook_endpoints as endpoints where ",
            wanting!(
                "$2",
                "exists (select 1 from json_each(endpoints.event_types) where value in ($3, $4))"
            )
        ),
    };
    DELIVER = Statement {
        postgres: "insert into webhook_deliveries (tenant_id, id, endpoint_id, event_id, object_id,
                 sequence, state, attempts, next_at, created_at)
             select $1, (made->>'id')::uuid, (made->>'endpoint')::uuid, (made->>'event')::uuid,
                 (made->>'object')::uuid, (made->>'sequence')::bigint, 'pending', 0, $3, $3
             from jsonb_array_elements($2) as made",
        sqlite: "insert into webhook_deliveries (tenant_id, id, endpoint_id, event_id, object_id,
                 sequence, state, attempts, next_at, created_at)
             select $1, unhex(made.value->>'id', '-'), unhex(made.value->>'endpoint', '-'),
                 unhex(made.value->>'event', '-'), unhex(made.value->>'object', '-'),
                 made.value->>'sequence', 'pending', 0, $3, $3
             from json_each($2) as made",
    };
    FIND_DUE = Statement::same(
        "select delivery.id, delivery.endpoint_id, delivery.event_id, delivery.object_id,
             delivery.sequence, delivery.attempts, delivery.next_at, event.type as event_type,
             event.data, event.created_at as event_at
         from webhook_deliveries as delivery
         join events as event on event.tenant_id = $1 and event.id = delivery.event_id
         where delivery.tenant_id = $1 and delivery.id = $2 and delivery.state = 'pending'",
    );
    CANCEL = Statement::same(
        "update webhook_deliveries set state = 'canceled', next_at = null, ended_at = $3
         where tenant_id = $1 and id = $2 and state = 'pending'",
    );
    PENDING_OF = Statement::same(
        "select id from webhook_deliveries
         where tenant_id = $1 and endpoint_id = $2 and state = 'pending' and created_at <= $4
         order by object_id, sequence limit $3",
    );
}

joined_statements! {
    FIND_ALL_DUE = Joined {
        postgres: "select delivery.id, delivery.endpoint_id, delivery.event_id, delivery.object_id,
                 delivery.sequence, delivery.attempts, delivery.next_at, event.type as event_type,
                 event.data, event.created_at as event_at
             from unnest($2::uuid[]) as given (id)
             join webhook_deliveries as delivery
                 on delivery.tenant_id = $1 and delivery.id = given.id
             join events as event on event.tenant_id = $1 and event.id = delivery.event_id
             where delivery.state = 'pending'",
        sqlite: &[FIND_DUE],
    };
    CANCEL_ALL = Joined {
        postgres: "with given as (
                 select * from unnest($2::uuid[]) as given (id)
             ), canceled as (
                 update webhook_deliveries as delivery
                 set state = 'canceled', next_at = null, ended_at = $3
                 from given
                 where delivery.tenant_id = $1 and delivery.id = given.id
                     and delivery.state = 'pending'
             ), unqueued as (
                 delete from delivery_queue using given
                 where delivery_queue.delivery_id = given.id
                 returning given.id
             )
             select id from unqueued",
        sqlite: &[CANCEL, UNQUEUE],
    };
}

impl TenantTx {
    /// Something was put into the queue in this transaction: whoever delivers is told after the commit.
    pub(super) fn note_queued(&mut self, endpoint: WebhookEndpointId) {
        self.queued.insert(endpoint);
    }

    /// The same, as a joined statement tells it.
    pub(super) fn note_queued_for(&mut self, queued_for: Option<&str>) {
        let ids = queued_for.unwrap_or_default().split(',');
        for id in ids.filter_map(|id| id.parse().ok()) {
            self.note_queued(WebhookEndpointId::from_uuid(id));
        }
    }

    /// Puts an event into the queue for whom it is to be told to. PostgreSQL does it with the event.
    pub(super) async fn queue_event_in_steps(
        &mut self,
        event: &NewEvent,
    ) -> Result<(), StoreError> {
        let tenant = self.tenant().uuid();
        let family = event.event_type.split('.').next().unwrap_or_default();
        let wanting: Vec<Uuid> = fetch_all!(
            self,
            WANTING,
            [
                tenant,
                event.environment.as_str(),
                &event.event_type,
                format!("{family}.*"),
            ]
        )
        .during("look for whom an event is to be told to")?;
        let new = wanting.into_iter().map(|endpoint| NewDelivery {
            id: ids::at_time_of(event.id.uuid()),
            endpoint,
            event: event.id.uuid(),
            object: event.object_id,
            sequence: event.object_version,
        });
        let new: Vec<_> = new.collect();
        self.insert_deliveries(&new, event.created_at).await
    }

    /// Puts deliveries into the queue, due at a time.
    pub(super) async fn insert_deliveries(
        &mut self,
        new: &[NewDelivery],
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        const OPERATION: &str = "insert deliveries";
        if new.is_empty() {
            return Ok(());
        }
        let tenant = self.tenant().uuid();
        execute!(self, DELIVER, [tenant, Json(new), at]).during(OPERATION)?;
        execute!(self, QUEUE, [tenant, Json(new), at]).during(OPERATION)?;
        for one in new {
            self.note_queued(WebhookEndpointId::from_uuid(one.endpoint));
        }
        Ok(())
    }

    /// Those of these that are still to be made, with their events.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_due_deliveries(
        &mut self,
        deliveries: &[DeliveryId],
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        const OPERATION: &str = "find due deliveries";
        let tenant = self.tenant().uuid();
        let connection = match self.executors() {
            Backend::Postgres(connection) => connection,
            Backend::Sqlite(_) => {
                let mut rows = Vec::with_capacity(deliveries.len());
                for delivery in deliveries {
                    let row = fetch_optional!(self, FIND_DUE, [tenant, delivery.uuid()]);
                    rows.extend(row.during(OPERATION)?);
                }
                return Ok(rows);
            }
        };
        let ids: Vec<_> = deliveries.iter().map(|delivery| delivery.uuid()).collect();
        fetch_joined!(self, connection, FIND_ALL_DUE, [tenant, ids]).during(OPERATION)
    }

    /// Cancels deliveries, and takes them from the queue.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn cancel_deliveries(
        &mut self,
        deliveries: &[DeliveryId],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        const OPERATION: &str = "cancel deliveries";
        let tenant = self.tenant().uuid();
        let connection = match self.executors() {
            Backend::Postgres(connection) => connection,
            Backend::Sqlite(_) => {
                for delivery in deliveries {
                    let delivery = delivery.uuid();
                    execute!(self, CANCEL, [tenant, delivery, now]).during(OPERATION)?;
                    execute!(self, UNQUEUE, [delivery]).during(OPERATION)?;
                }
                return Ok(());
            }
        };
        let ids: Vec<_> = deliveries.iter().map(|delivery| delivery.uuid()).collect();
        let canceled: Result<Vec<Uuid>, _> =
            fetch_joined!(self, connection, CANCEL_ALL, [tenant, ids, now]);
        canceled.map(drop).during(OPERATION)
    }

    /// Some of what is to be told to an endpoint.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn pending_deliveries(
        &mut self,
        endpoint: WebhookEndpointId,
        until: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        let tenant = self.tenant().uuid();
        let ids: Vec<Uuid> = fetch_all!(
            self,
            PENDING_OF,
            [tenant, endpoint.uuid(), i64::from(limit), until]
        )
        .during("list pending deliveries")?;
        Ok(ids.into_iter().map(DeliveryId::from_uuid).collect())
    }
}

impl FromColumns for DeliveryRow {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: DeliveryId::from_uuid(row.uuid("id")?),
            endpoint_id: WebhookEndpointId::from_uuid(row.uuid("endpoint_id")?),
            event_id: EventId::from_uuid(row.uuid("event_id")?),
            object_id: row.uuid("object_id")?,
            sequence: row.integer("sequence")?,
            attempts: row.integer("attempts")?,
            next_at: row.time("next_at")?,
            event_type: row.text("event_type")?,
            data: row.text("data")?,
            event_at: row.time("event_at")?,
        })
    }
}
