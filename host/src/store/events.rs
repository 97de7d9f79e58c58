//! `events`: what happened to objects, written with the object's new version and with the deliveries to
//! whoever wants to hear of it.

use chrono::{DateTime, Utc};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::EventId;
use uuid::Uuid;

use super::backend::{Backend, Columns, FromColumns, execute, fetch_joined};
use super::deliveries::{self, deliveries_of, queued_for};
use super::delivery_queue;
use super::error::During as _;
use super::statement::{Joined, Statement, joined_statements, statements};
use super::{StoreError, TenantTx};

/// An event to be stored.
#[derive(Debug, Clone)]
pub struct NewEvent {
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
    /// The object as a client sees it: JSON.
    pub data: String,
    /// Now.
    pub created_at: DateTime<Utc>,
}

statements! {
    INSERT = Statement::same(
        "insert into events (id, tenant_id, environment, type, object_id, object_version, data,
             created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    );
}

joined_statements! {
    TELL = Joined {
        postgres: concat!(
            "with told as (
                 insert into events (id, tenant_id, environment, type, object_id, object_version,
                     data, created_at)
                 values ($2, $1, $3, $4, $5, $6, $7, $8)
                 returning id as event_id, environment, type as event_type, object_id as id,
                     object_version as event_version, created_at as event_created_at
             ), ",
            deliveries_of!("told"),
            " select ", queued_for!()
        ),
        sqlite: &[
            INSERT,
            deliveries::WANTING,
            deliveries::DELIVER,
            delivery_queue::QUEUE,
        ],
    };
}

impl TenantTx {
    /// Stores an event, and has it told to whoever wants to hear of it.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn insert_event(&mut self, event: &NewEvent) -> Result<(), StoreError> {
        const OPERATION: &str = "insert an event";
        let tenant = self.tenant().uuid();
        let connection = match self.executors() {
            Backend::Postgres(connection) => connection,
            Backend::Sqlite(_) => {
                self.insert_untold_event(event).await?;
                return self.queue_event_in_steps(event).await;
            }
        };
        let told: Vec<Told> = fetch_joined!(
            self,
            connection,
            TELL,
            [
                tenant,
                event.id.uuid(),
                event.environment.as_str(),
                &event.event_type,
                event.object_id,
                event.object_version.cast_signed(),
                &event.data,
                event.created_at,
            ]
        )
        .during(OPERATION)?;
        for Told { queued_for } in told {
            self.note_queued_for(queued_for.as_deref());
        }
        Ok(())
    }

    /// Stores an event that is told to nobody by itself.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn insert_untold_event(&mut self, event: &NewEvent) -> Result<(), StoreError> {
        let tenant = self.tenant().uuid();
        execute!(
            self,
            INSERT,
            [
                event.id.uuid(),
                tenant,
                event.environment.as_str(),
                &event.event_type,
                event.object_id,
                event.object_version.cast_signed(),
                &event.data,
                event.created_at,
            ]
        )
        .map(drop)
        .during("insert an event")
    }
}

/// To whom.
struct Told {
    queued_for: Option<String>,
}

impl FromColumns for Told {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            queued_for: row.get("queued_for")?,
        })
    }
}
