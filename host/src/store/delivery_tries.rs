//! `webhook_attempts`: every try to deliver, and what it makes of its delivery, its place in the queue and
//! its endpoint. On PostgreSQL all of it is one statement, for as many tries as end together, which writes
//! nothing of one that another node has written.

use chrono::{DateTime, Utc};
use onerouter_domain::id::{AttemptId, DeliveryId, TenantId, WebhookEndpointId};
use uuid::Uuid;

use super::backend::{Backend, Columns, FromColumns, execute, fetch_joined, fetch_optional};
use super::delivery_queue::{PUT_OFF, UNQUEUE};
use super::error::During as _;
use super::groups::{GroupError, Shared};
use super::statement::{Joined, Statement, joined_statements, statements};
use super::webhook_endpoints::{NOTE_FAILING, NOTE_PAUSED, NOTE_TAKEN};
use super::{Store, StoreError, TenantTx};

/// What a try leaves a delivery as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryEnd {
    /// It was taken.
    Succeeded,
    /// It is tried again.
    Again {
        /// When.
        at: DateTime<Utc>,
    },
    /// It was tried often enough.
    Failed,
    /// Nobody is to be told any more.
    Canceled,
}

impl DeliveryEnd {
    /// The name in the column.
    #[must_use]
    pub const fn state(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Again { .. } => PENDING,
            Self::Failed => "failed",
            Self::Canceled => CANCELED,
        }
    }

    const fn next_at(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Again { at } => Some(at),
            Self::Succeeded | Self::Failed | Self::Canceled => None,
        }
    }
}

const PENDING: &str = "pending";
const CANCELED: &str = "canceled";

/// One try, and what it leaves its delivery as.
#[derive(Debug, Clone)]
pub struct DeliveryTry {
    /// The try's id.
    pub id: AttemptId,
    /// Of which delivery.
    pub delivery_id: DeliveryId,
    /// To whom.
    pub endpoint_id: WebhookEndpointId,
    /// Whether the next event of the same object waits for this one.
    pub is_ordered: bool,
    /// The first is 1.
    pub number: u32,
    /// What was answered.
    pub status: Option<u16>,
    /// Why nothing was.
    pub error: Option<String>,
    /// How long it took.
    pub duration_us: u64,
    /// How the answer began.
    pub response: Option<String>,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// When it was over.
    pub ended_at: DateTime<Utc>,
    /// What becomes of the delivery.
    pub end: DeliveryEnd,
    /// Until when the endpoint asks to be left alone.
    pub pause_until: Option<DateTime<Utc>>,
}

statements! {
    MOVE_ON = Statement::same(
        "update webhook_deliveries set attempts = $3, state = $4, next_at = $5, last_status = $6,
             ended_at = $7
         where tenant_id = $1 and id = $2 and state = 'pending' and attempts = $3 - 1
         returning object_id as id, sequence",
    );
    INSERT_TRY = Statement::same(
        "insert into webhook_attempts (tenant_id, id, delivery_id, number, status, error,
             duration_us, response, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    );
    WAKE_NEXT = Statement::same(
        "update delivery_queue set at = $5, is_waiting = false
         where is_waiting and delivery_id = (
             select id from webhook_deliveries as next
             where next.tenant_id = $1 and next.endpoint_id = $2 and next.object_id = $3
                 and next.state = 'pending' and next.sequence > $4 and next.attempts = 0
             order by next.sequence limit 1)",
    );
}

// Whether the next one waits is asked where it is woken and not before: it may be told to wait while this
// statement waits for it, and is then seen only in the row that is written.
joined_statements! {
    END_TRIES = Joined {
        postgres: "with given as (
                 select * from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::boolean[],
                     $6::bigint[], $7::bigint[], $8::text[], $9::bigint[], $10::text[],
                     $11::timestamptz[], $12::text[], $13::timestamptz[], $14::timestamptz[],
                     $15::timestamptz[], $16::timestamptz[])
                 as given (id, delivery_id, endpoint_id, is_ordered, number, status, error,
                     duration_us, response, at, state, next_at, ended_at, over_at, pause_until)
             ), moved as (
                 update webhook_deliveries as delivery
                 set attempts = given.number, state = given.state, next_at = given.next_at,
                     last_status = given.status, ended_at = given.ended_at
                 from given
                 where delivery.tenant_id = $1 and delivery.id = given.delivery_id
                     and delivery.state = 'pending' and delivery.attempts = given.number - 1
                 returning given.*, delivery.object_id, delivery.sequence
             ), tried as (
                 insert into webhook_attempts (tenant_id, id, delivery_id, number, status, error,
                     duration_us, response, created_at)
                 select $1, id, delivery_id, number, status, error, duration_us, response, at
                 from moved
             ), over as (
                 delete from delivery_queue using moved
                 where delivery_queue.delivery_id = moved.delivery_id and moved.next_at is null
             ), again as (
                 update delivery_queue set at = moved.next_at from moved
                 where delivery_queue.delivery_id = moved.delivery_id
                     and moved.next_at is not null
             ), next as (
                 select moved.over_at, later.id
                 from moved cross join lateral (
                     select next.id, next.attempts from webhook_deliveries as next
                     where next.tenant_id = $1 and next.endpoint_id = moved.endpoint_id
                         and next.object_id = moved.object_id and next.state = 'pending'
                         and next.sequence > moved.sequence
                     order by next.sequence limit 1
                 ) as later
                 where moved.is_ordered and moved.next_at is null and later.attempts = 0
             ), woken as (
                 update delivery_queue
                 set at = case when is_waiting then next.over_at else at end, is_waiting = false
                 from next
                 where delivery_queue.delivery_id = next.id
                     and not exists (select 1 from given where given.delivery_id = next.id)
             ), heard as (
                 select endpoint_id, bool_or(state = 'succeeded') as is_taken, min(at) as at,
                     max(pause_until) as pause_until
                 from moved group by endpoint_id
             ), noted as (
                 update webhook_endpoints as endpoint
                 set failing_since = case when not heard.is_taken
                         then coalesce(endpoint.failing_since, heard.at) end,
                     paused_until = greatest(endpoint.paused_until, heard.pause_until)
                 from heard
                 where endpoint.tenant_id = $1 and endpoint.id = heard.endpoint_id
                     and endpoint.disabled_at is null
                     and ((endpoint.failing_since is null) <> heard.is_taken
                         or heard.pause_until > coalesce(endpoint.paused_until, '-infinity'))
             )
             select delivery_id as id from moved",
        sqlite: &[
            MOVE_ON, INSERT_TRY, UNQUEUE, PUT_OFF, WAKE_NEXT, NOTE_TAKEN, NOTE_FAILING, NOTE_PAUSED,
        ],
    };
}

impl Store {
    /// Writes down a try in a transaction that it shares with others of its tenant that end at the same
    /// moment; `false` when that try is written already.
    ///
    /// # Errors
    /// As [`TenantTx::end_tries`].
    pub async fn end_try(&self, tenant: TenantId, one: DeliveryTry) -> Result<bool, GroupError> {
        self.groups.tries.join(self, tenant, one).await
    }
}

impl Shared for DeliveryTry {
    type Outcome = bool;

    fn bytes(&self) -> usize {
        self.response.as_ref().map_or(0, String::len)
    }

    async fn write(
        store: &Store,
        tenant: TenantId,
        tries: &[Self],
    ) -> Result<(TenantTx, Vec<bool>), StoreError> {
        let mut tx = store.begin(tenant).await?;
        let written = tx.end_tries(tries).await?;
        Ok((tx, written))
    }
}

impl TenantTx {
    /// Writes down tries; each result, in their order, is `false` when that try of its delivery is
    /// written already, or the delivery has ended otherwise, and nothing was written of it.
    ///
    /// # Errors
    /// The database refuses or cannot be reached; then nothing is written of any of them.
    pub async fn end_tries(&mut self, tries: &[DeliveryTry]) -> Result<Vec<bool>, StoreError> {
        let tenant = self.tenant().uuid();
        let connection = match self.executors() {
            Backend::Postgres(connection) => connection,
            Backend::Sqlite(_) => {
                let mut written = Vec::with_capacity(tries.len());
                for one in tries {
                    written.push(self.end_try_in_steps(one).await?);
                }
                return Ok(written);
            }
        };
        let of = Tries(tries);
        let written: Vec<Uuid> = fetch_joined!(
            self,
            connection,
            END_TRIES,
            [
                tenant,
                of.each(|one| one.id.uuid()),
                of.each(|one| one.delivery_id.uuid()),
                of.each(|one| one.endpoint_id.uuid()),
                of.each(|one| one.is_ordered),
                of.each(|one| i64::from(one.number)),
                of.each(|one| one.status.map(i64::from)),
                of.each(|one| one.error.as_deref()),
                of.each(|one| one.duration_us.cast_signed()),
                of.each(|one| one.response.as_deref()),
                of.each(|one| one.at),
                of.each(|one| one.end.state()),
                of.each(|one| one.end.next_at()),
                of.each(DeliveryTry::delivery_ended_at),
                of.each(|one| one.ended_at),
                of.each(|one| one.pause_until),
            ]
        )
        .during("write down tries to deliver")?;
        let is_written = |one: &DeliveryTry| written.contains(&one.delivery_id.uuid());
        // What waited for one of these may be due.
        for one in tries {
            if one.is_ordered && one.end.next_at().is_none() {
                self.note_queued(one.endpoint_id);
            }
        }
        Ok(tries.iter().map(is_written).collect())
    }

    async fn end_try_in_steps(&mut self, one: &DeliveryTry) -> Result<bool, StoreError> {
        const OPERATION: &str = "write down a try to deliver";
        let (tenant, delivery) = (self.tenant().uuid(), one.delivery_id.uuid());
        let endpoint = one.endpoint_id.uuid();
        let (number, status) = (i64::from(one.number), one.status.map(i64::from));
        let moved: Option<Moved> = fetch_optional!(
            self,
            MOVE_ON,
            [
                tenant,
                delivery,
                number,
                one.end.state(),
                one.end.next_at(),
                status,
                one.delivery_ended_at(),
            ]
        )
        .during(OPERATION)?;
        let Some(Moved { object, sequence }) = moved else {
            return Ok(false);
        };
        execute!(
            self,
            INSERT_TRY,
            [
                tenant,
                one.id.uuid(),
                delivery,
                number,
                status,
                one.error.as_deref(),
                one.duration_us.cast_signed(),
                one.response.as_deref(),
                one.at,
            ]
        )
        .during(OPERATION)?;
        match one.end.next_at() {
            Some(at) => execute!(self, PUT_OFF, [delivery, at]),
            None => execute!(self, UNQUEUE, [delivery]),
        }
        .during(OPERATION)?;
        if one.is_ordered && one.end.next_at().is_none() {
            execute!(
                self,
                WAKE_NEXT,
                [tenant, endpoint, object, sequence, one.ended_at]
            )
            .during(OPERATION)?;
            self.note_queued(one.endpoint_id);
        }
        match one.end {
            DeliveryEnd::Succeeded => self.note_webhook_endpoint_taken(one.endpoint_id).await?,
            DeliveryEnd::Again { .. } | DeliveryEnd::Failed | DeliveryEnd::Canceled => {
                self.note_webhook_endpoint_failing(one.endpoint_id, one.at)
                    .await?
            }
        };
        if let Some(until) = one.pause_until {
            self.note_webhook_endpoint_paused(one.endpoint_id, until)
                .await?;
        }
        Ok(true)
    }
}

impl DeliveryTry {
    fn delivery_ended_at(&self) -> Option<DateTime<Utc>> {
        self.end.next_at().is_none().then_some(self.ended_at)
    }
}

/// The arrays that the statement takes.
struct Tries<'t>(&'t [DeliveryTry]);

impl<'t> Tries<'t> {
    fn each<T>(&self, pick: impl Fn(&'t DeliveryTry) -> T) -> Vec<T> {
        self.0.iter().map(pick).collect()
    }
}

/// What a try has moved on.
struct Moved {
    object: Uuid,
    sequence: i64,
}

impl FromColumns for Moved {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            object: row.uuid("id")?,
            sequence: row.get("sequence")?,
        })
    }
}
