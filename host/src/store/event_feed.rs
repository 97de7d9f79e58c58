//! What is read of `events`: one, a page of the newest, and the feed that goes on where it ended.
//!
//! Ids begin with their time, and a page is read along them. With a filter that few events pass, a page
//! looks at [`SCANNED_MAX`] of them and no more.

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::environment::Environment;
use onerouter_domain::event::EventPattern;
use onerouter_domain::id::EventId;
use uuid::Uuid;

use super::backend::{Columns, FromColumns, fetch_all, fetch_optional};
use super::error::During as _;
use super::objects::{END_OF_TIME, ID_MARGIN};
use super::statement::{Statement, statements};
use super::{StoreError, TenantTx};
use crate::ids;

/// Events that one page looks at.
const SCANNED_MAX: i64 = 10_000;
/// How much older than its transaction an event may be, by its id: ids are made in their transaction, or
/// before the wait for a connection, five seconds; and whoever makes them may be behind the database's clock,
/// by ten seconds with five to spare.
const ID_BEFORE_TRANSACTION_MAX: TimeDelta = TimeDelta::seconds(20);

/// An event, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Its id.
    pub id: EventId,
    /// In which environment.
    pub environment: Environment,
    /// `sms.delivered`, …
    pub event_type: String,
    /// What it is about.
    pub object_id: Uuid,
    /// Which version of it.
    pub object_version: u64,
    /// The object as a client saw it: JSON.
    pub data: String,
    /// When it happened.
    pub created_at: DateTime<Utc>,
}

/// In which order events are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventOrder {
    /// Newest first.
    Newest,
    /// Oldest first, none as young as this.
    OldestUntil(DateTime<Utc>),
}

/// Which events are read.
#[derive(Debug, Clone)]
pub struct EventFilter {
    /// In which environment.
    pub environment: Environment,
    /// In which order.
    pub order: EventOrder,
    /// How many at most.
    pub limit: u32,
    /// Only those behind this one, in the order.
    pub cursor: Option<EventId>,
    /// Only these.
    pub types: Option<EventPattern>,
    /// Only of these families.
    pub families: Option<Vec<&'static str>>,
    /// Only about this object.
    pub object_id: Option<Uuid>,
    /// Only of this time or later.
    pub created_after: Option<DateTime<Utc>>,
    /// Only before this time.
    pub created_before: Option<DateTime<Utc>>,
}

impl EventFilter {
    const fn is_narrow(&self) -> bool {
        self.types.is_some() || self.families.is_some() || self.object_id.is_some()
    }
}

/// Events that were read.
#[derive(Debug, Clone)]
pub struct EventPage {
    /// In the order that was asked for; one more than `limit` where there are more.
    pub rows: Vec<EventRow>,
    /// The event up to which was looked, where that was not the end.
    pub looked_until: Option<EventId>,
}

macro_rules! columns {
    () => {
        "id, environment, type, object_id, object_version, data, created_at"
    };
}

macro_rules! list {
    ($object:literal, $family:literal, $between:literal, $order:literal) => {
        concat!(
            "select ",
            columns!(),
            " from events
             where tenant_id = $1 and environment = $2 and ",
            $between,
            "
                 and (cast($5 as text) is null or type = $5)
                 and (cast($6 as text) is null or substr(type, 1, length($6)) = $6)
                 and (cast($11 as text) is null or ",
            $family,
            ")
                 and (",
            $object,
            " is null or object_id = $7)
                 and created_at >= $8 and created_at < $9
             order by id ",
            $order,
            " limit $10"
        )
    };
}

/// Families stand between commas, also before the first and behind the last.
macro_rules! list_postgres {
    ($between:literal, $order:literal) => {
        list!(
            "$7::uuid",
            "strpos($11, ',' || split_part(type, '.', 1) || ',') > 0",
            $between,
            $order
        )
    };
}

macro_rules! list_sqlite {
    ($between:literal, $order:literal) => {
        list!(
            "$7",
            "instr($11, ',' || substr(type, 1, instr(type, '.') - 1) || ',') > 0",
            $between,
            $order
        )
    };
}

statements! {
    FIND = Statement::same(concat!(
        "select ", columns!(), " from events where tenant_id = $1 and id = $2"
    ));
    LIST_NEWEST = Statement {
        postgres: list_postgres!("id >= $3 and id < $4", "desc"),
        sqlite: list_sqlite!("id >= $3 and id < $4", "desc"),
    };
    LIST_OLDEST = Statement {
        postgres: list_postgres!("id > $3 and id < $4", "asc"),
        sqlite: list_sqlite!("id > $3 and id < $4", "asc"),
    };
    /// The last of the next so many.
    REACH_NEWEST = Statement::same(
        "select id from events
         where tenant_id = $1 and environment = $2 and id >= $3 and id < $4
         order by id desc limit 1 offset $5",
    );
    REACH_OLDEST = Statement::same(
        "select id from events
         where tenant_id = $1 and environment = $2 and id > $3 and id < $4
         order by id asc limit 1 offset $5",
    );
    /// When an object has changed last: its events are not younger.
    OBJECT_CHANGED = Statement::same(
        "select updated_at as at from objects where tenant_id = $1 and id = $2",
    );
    /// Since when the oldest transaction runs that this role can see, which is any of a gateway's.
    OLDEST_TRANSACTION = Statement {
        postgres: "select min(xact_start) as at from pg_stat_get_activity(null)
             where pid <> pg_backend_pid()
                 and datid = (select oid from pg_database where datname = current_database())",
        // One writes at a time, in this process.
        sqlite: "select null as at",
    };
}

impl TenantTx {
    /// An event of the tenant's.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_event(&mut self, id: EventId) -> Result<Option<EventRow>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_optional!(self, FIND, [tenant, id.uuid()]).during("find an event")
    }

    /// Up to which time every event is there that ever will be: `wanted`, or before the oldest
    /// transaction that may still bring one.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn events_complete_until(
        &mut self,
        wanted: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, StoreError> {
        let oldest: Option<At> =
            fetch_optional!(self, OLDEST_TRANSACTION, []).during("look for open transactions")?;
        let open = oldest.and_then(|At(at)| at);
        Ok(open.map_or(wanted, |open| wanted.min(open - ID_BEFORE_TRANSACTION_MAX)))
    }

    /// A page of events.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list_events(&mut self, filter: &EventFilter) -> Result<EventPage, StoreError> {
        const OPERATION: &str = "list events";
        let tenant = self.tenant().uuid();
        let environment = filter.environment.as_str();
        let after = filter.created_after.unwrap_or(DateTime::UNIX_EPOCH);
        let before = filter.created_before.unwrap_or(END_OF_TIME);
        let (mut first, mut end) = self.reach_of(filter).await?;
        let looked_until = if filter.is_narrow() {
            let last = SCANNED_MAX - 1;
            let reached: Option<Uuid> = match filter.order {
                EventOrder::Newest => {
                    fetch_optional!(self, REACH_NEWEST, [tenant, environment, first, end, last])
                }
                EventOrder::OldestUntil(_) => {
                    fetch_optional!(self, REACH_OLDEST, [tenant, environment, first, end, last])
                }
            }
            .during(OPERATION)?;
            if let Some(reached) = reached {
                match filter.order {
                    EventOrder::Newest => first = reached,
                    EventOrder::OldestUntil(_) => end = next_id(reached),
                }
            }
            reached.map(EventId::from_uuid)
        } else {
            None
        };
        let exact = filter
            .types
            .as_ref()
            .filter(|types| types.family().is_none());
        let exact = exact.map(EventPattern::as_str);
        let family = filter.types.as_ref().and_then(EventPattern::family);
        let family = family.map(|family| format!("{family}."));
        let families = filter.families.as_ref();
        let families = families.map(|families| format!(",{},", families.join(",")));
        let families = families.as_deref();
        let limit = i64::from(filter.limit).saturating_add(1);
        let object = filter.object_id;
        let rows = match filter.order {
            EventOrder::Newest => fetch_all!(
                self,
                LIST_NEWEST,
                [
                    tenant,
                    environment,
                    first,
                    end,
                    exact,
                    family.as_deref(),
                    object,
                    after,
                    before,
                    limit,
                    families
                ]
            ),
            EventOrder::OldestUntil(_) => fetch_all!(
                self,
                LIST_OLDEST,
                [
                    tenant,
                    environment,
                    first,
                    end,
                    exact,
                    family.as_deref(),
                    object,
                    after,
                    before,
                    limit,
                    families
                ]
            ),
        };
        Ok(EventPage {
            rows: rows.during(OPERATION)?,
            looked_until,
        })
    }

    /// Between which ids the page lies.
    async fn reach_of(&mut self, filter: &EventFilter) -> Result<(Uuid, Uuid), StoreError> {
        let after = filter.created_after.unwrap_or(DateTime::UNIX_EPOCH);
        let before = filter.created_before.unwrap_or(END_OF_TIME);
        let mut first = ids::first_of(after - ID_MARGIN);
        let mut end = ids::first_of(before + ID_MARGIN);
        if let Some(object) = filter.object_id {
            // Its events are not older than itself: its id has a time too.
            first = first.max(time_of(object));
            let tenant = self.tenant().uuid();
            let changed: Option<At> = fetch_optional!(self, OBJECT_CHANGED, [tenant, object])
                .during("find an object's last change")?;
            if let Some(At(Some(changed))) = changed {
                end = end.min(ids::first_of(changed + ID_MARGIN));
            }
        }
        let cursor = filter.cursor.map(EventId::uuid);
        match filter.order {
            EventOrder::Newest => end = cursor.map_or(end, |cursor| end.min(cursor)),
            EventOrder::OldestUntil(until) => {
                first = cursor.map_or(first, |cursor| first.max(cursor));
                end = end.min(ids::first_of(until));
            }
        }
        Ok((first, end))
    }
}

/// The first id of an id's hour.
fn time_of(id: Uuid) -> Uuid {
    let margin = u128::try_from(ID_MARGIN.num_milliseconds()).unwrap_or_default() << 80;
    Uuid::from_u128(id.as_u128().saturating_sub(margin))
}

fn next_id(id: Uuid) -> Uuid {
    Uuid::from_u128(id.as_u128().saturating_add(1))
}

struct At(Option<DateTime<Utc>>);

impl FromColumns for At {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        row.optional_time("at").map(Self)
    }
}

impl FromColumns for EventRow {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: EventId::from_uuid(row.uuid("id")?),
            environment: row.environment()?,
            event_type: row.text("type")?,
            object_id: row.uuid("object_id")?,
            object_version: row.integer("object_version")?,
            data: row.text("data")?,
            created_at: row.time("created_at")?,
        })
    }
}
