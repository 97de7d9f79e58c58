//! Deliveries that somebody asks for, and what can be read of all of them: `webhook_deliveries`,
//! `webhook_attempts`, `delivery_queue`.

use chrono::{DateTime, Utc};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{AttemptId, DeliveryId, EventId, WebhookEndpointId};
use uuid::Uuid;

use super::backend::{Columns, FromColumns, fetch_all, fetch_optional};
use super::deliveries::NewDelivery;
use super::error::During as _;
use super::objects::ID_MARGIN;
use super::statement::{Statement, statements};
use super::{StoreError, TenantTx};
use crate::ids;

/// Attempts of one delivery that are shown: more than the schedule has.
const ATTEMPTS_MAX: i64 = 100;

/// A delivery, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// To whom.
    pub endpoint_id: WebhookEndpointId,
    /// What is told.
    pub event_id: EventId,
    /// The event's type; none when the event is too old to be kept.
    pub event_type: Option<String>,
    /// `pending`, `succeeded`, `failed` or `canceled`
    pub state: String,
    /// Attempts that were made.
    pub attempts: u32,
    /// When the next one is due.
    pub next_at: Option<DateTime<Utc>>,
    /// What was answered last.
    pub last_status: Option<u16>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

/// An attempt, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedAttempt {
    /// Its id.
    pub id: AttemptId,
    /// From 1 on.
    pub number: u32,
    /// What was answered.
    pub status: Option<u16>,
    /// Why nothing was answered.
    pub error: Option<String>,
    /// How long it took.
    pub duration_us: u64,
    /// The beginning of the answer.
    pub response: Option<String>,
    /// When it began.
    pub created_at: DateTime<Utc>,
}

/// Which deliveries of an endpoint are listed.
#[derive(Debug, Clone)]
pub struct DeliveryFilter {
    /// Which endpoint.
    pub endpoint: WebhookEndpointId,
    /// How many at most.
    pub limit: u32,
    /// Only older than this one.
    pub before: Option<DeliveryId>,
    /// Only in this state.
    pub state: Option<String>,
}

/// An event that may be told again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldEvent {
    /// Which.
    pub id: EventId,
    /// Its type.
    pub event_type: String,
    /// What it is about.
    pub object_id: Uuid,
    /// Which version of it.
    pub sequence: u64,
    /// Whether it is to be told, by what became of its deliveries.
    pub is_wanted: bool,
}

/// Which events may be told again.
#[derive(Debug, Clone)]
pub struct ToldRange {
    /// To whom.
    pub endpoint: WebhookEndpointId,
    /// In which environment.
    pub environment: Environment,
    /// From this time on.
    pub since: DateTime<Utc>,
    /// Before this time.
    pub until: DateTime<Utc>,
    /// Only behind this one.
    pub after: Option<EventId>,
    /// Only those that the endpoint has not taken and is not being told; those of before this time, when it
    /// was not there yet, only where a delivery was given up.
    pub untaken_since: Option<DateTime<Utc>>,
    /// How many at most.
    pub limit: u32,
}

macro_rules! listed {
    ($deliveries:literal) => {
        concat!("select delivery.id, delivery.endpoint_id, delivery.event_id, events.type as event_type,
             delivery.state, delivery.attempts, delivery.next_at, delivery.last_status,
             delivery.created_at, delivery.ended_at
         from ", $deliveries, "
         left join events on events.tenant_id = delivery.tenant_id
             and events.id = delivery.event_id")
    };
}

macro_rules! list {
    ($deliveries:literal) => {
        concat!(
            listed!($deliveries),
            " where delivery.tenant_id = $1 and delivery.endpoint_id = $2 and delivery.id < $3
                 and (cast($4 as text) is null or delivery.state = $4)
             order by delivery.id desc limit $5"
        )
    };
}

macro_rules! attempts {
    ($attempts:literal) => {
        concat!(
            "select id, number, status, error, duration_us, response, created_at
             from ",
            $attempts,
            " where tenant_id = $1 and delivery_id = $2 order by id limit $3"
        )
    };
}

macro_rules! events_failed {
    ($deliveries:literal) => {
        concat!(
            "select id, type, object_id, object_version,
                 (created_at >= $9 or exists (
                     select 1 from ",
            $deliveries,
            " where delivery.tenant_id = $1 and delivery.event_id = events.id
                         and delivery.endpoint_id = $8 and delivery.state in ('failed', 'canceled')))
                 and not exists (
                     select 1 from ",
            $deliveries,
            " where delivery.tenant_id = $1 and delivery.event_id = events.id
                         and delivery.endpoint_id = $8
                         and delivery.state in ('succeeded', 'pending')) as is_wanted
             from events
             where tenant_id = $1 and environment = $2 and id > $3 and id < $4
                 and created_at >= $5 and created_at < $6
             order by id limit $7"
        )
    };
}

statements! {
    // Without statistics SQLite takes the primary key to be as good as these indexes, and would read all
    // that a tenant has.
    LIST = Statement {
        postgres: list!("webhook_deliveries as delivery"),
        sqlite: list!(
            "webhook_deliveries as delivery indexed by webhook_deliveries_endpoint_idx"
        ),
    };
    FIND = Statement::same(concat!(
        listed!("webhook_deliveries as delivery"),
        " where delivery.tenant_id = $1 and delivery.id = $2 and delivery.endpoint_id = $3"
    ));
    ATTEMPTS = Statement {
        postgres: attempts!("webhook_attempts"),
        sqlite: attempts!("webhook_attempts indexed by webhook_attempts_delivery_idx"),
    };
    EVENTS = Statement::same(
        "select id, type, object_id, object_version, true as is_wanted from events
         where tenant_id = $1 and environment = $2 and id > $3 and id < $4
             and created_at >= $5 and created_at < $6
         order by id limit $7",
    );
    /// Wanted are those of which no delivery was taken or is still being made: one was given up, or there was
    /// none, as the endpoint was disabled; those of before the endpoint only where one was given up. As many
    /// are looked at as without that, however few are wanted.
    EVENTS_FAILED = Statement {
        postgres: events_failed!("webhook_deliveries as delivery"),
        sqlite: events_failed!(
            "webhook_deliveries as delivery indexed by webhook_deliveries_event_idx"
        ),
    };
}

impl TenantTx {
    /// Deliveries to an endpoint, newest first.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list_deliveries(
        &mut self,
        filter: &DeliveryFilter,
    ) -> Result<Vec<ListedDelivery>, StoreError> {
        let tenant = self.tenant().uuid();
        let before = filter.before.map_or(Uuid::max(), DeliveryId::uuid);
        fetch_all!(
            self,
            LIST,
            [
                tenant,
                filter.endpoint.uuid(),
                before,
                filter.state.as_deref(),
                i64::from(filter.limit),
            ]
        )
        .during("list deliveries")
    }

    /// A delivery to an endpoint.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_delivery(
        &mut self,
        endpoint: WebhookEndpointId,
        id: DeliveryId,
    ) -> Result<Option<ListedDelivery>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_optional!(self, FIND, [tenant, id.uuid(), endpoint.uuid()]).during("find a delivery")
    }

    /// The attempts of a delivery, in their order.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list_delivery_attempts(
        &mut self,
        delivery: DeliveryId,
    ) -> Result<Vec<ListedAttempt>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_all!(self, ATTEMPTS, [tenant, delivery.uuid(), ATTEMPTS_MAX])
            .during("list the attempts of a delivery")
    }

    /// Events that may be told again, oldest first, and between them those that are not wanted.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list_told_events(
        &mut self,
        range: &ToldRange,
    ) -> Result<Vec<ToldEvent>, StoreError> {
        const OPERATION: &str = "list events that may be told again";
        let tenant = self.tenant().uuid();
        let environment = range.environment.as_str();
        let first = ids::first_of(range.since - ID_MARGIN);
        let after = range.after.map_or(first, |after| after.uuid().max(first));
        let end = ids::first_of(range.until + ID_MARGIN);
        let (since, until) = (range.since, range.until);
        let limit = i64::from(range.limit);
        if let Some(made_at) = range.untaken_since {
            let endpoint = range.endpoint.uuid();
            fetch_all!(
                self,
                EVENTS_FAILED,
                [
                    tenant,
                    environment,
                    after,
                    end,
                    since,
                    until,
                    limit,
                    endpoint,
                    made_at
                ]
            )
        } else {
            fetch_all!(
                self,
                EVENTS,
                [tenant, environment, after, end, since, until, limit]
            )
        }
        .during(OPERATION)
    }

    /// Makes a delivery to an endpoint of each of these events: their ids, in the order of the events.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn deliver_again(
        &mut self,
        endpoint: WebhookEndpointId,
        events: &[ToldEvent],
        now: DateTime<Utc>,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        let again = events.iter().map(|event| NewDelivery {
            id: ids::next(),
            endpoint: endpoint.uuid(),
            event: event.id.uuid(),
            object: event.object_id,
            sequence: event.sequence,
        });
        let again: Vec<_> = again.collect();
        self.insert_deliveries(&again, now).await?;
        let ids = again.iter().map(|again| DeliveryId::from_uuid(again.id));
        Ok(ids.collect())
    }
}

impl FromColumns for ListedDelivery {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: DeliveryId::from_uuid(row.uuid("id")?),
            endpoint_id: WebhookEndpointId::from_uuid(row.uuid("endpoint_id")?),
            event_id: EventId::from_uuid(row.uuid("event_id")?),
            event_type: row.get("event_type")?,
            state: row.text("state")?,
            attempts: row.integer("attempts")?,
            next_at: row.optional_time("next_at")?,
            last_status: row.optional_integer("last_status")?,
            created_at: row.time("created_at")?,
            ended_at: row.optional_time("ended_at")?,
        })
    }
}

impl FromColumns for ListedAttempt {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: AttemptId::from_uuid(row.uuid("id")?),
            number: row.integer("number")?,
            status: row.optional_integer("status")?,
            error: row.get("error")?,
            duration_us: row.integer("duration_us")?,
            response: row.get("response")?,
            created_at: row.time("created_at")?,
        })
    }
}

impl FromColumns for ToldEvent {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: EventId::from_uuid(row.uuid("id")?),
            event_type: row.text("type")?,
            object_id: row.uuid("object_id")?,
            sequence: row.integer("object_version")?,
            is_wanted: row.get("is_wanted")?,
        })
    }
}
