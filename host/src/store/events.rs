//! `events`: what happened to objects, written with the object's new version. Deliveries to tenants
//! start from here.

use chrono::{DateTime, Utc};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::EventId;
use uuid::Uuid;

use super::backend::execute;
use super::error::During as _;
use super::statement::{Statement, statements};
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

impl TenantTx {
    /// Stores an event.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn insert_event(&mut self, event: &NewEvent) -> Result<(), StoreError> {
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
