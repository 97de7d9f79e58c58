//! What every object has in common: the typed form of a row, and what a provider reported.

use chrono::{DateTime, Utc};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::ConnectionId;
use onerouter_domain::metadata::Metadata;

use super::kind::{Facts as _, Kind, Weight};
use crate::store::ObjectRow;
use crate::store::StoreError;

/// One object, as it is stored.
#[derive(Debug, Clone)]
pub struct Object<K: Kind> {
    /// Its id.
    pub id: K::Id,
    /// Which world it belongs to.
    pub environment: Environment,
    /// Who serves it.
    pub provider: String,
    /// Over which connection.
    pub connection_id: ConnectionId,
    /// What became of it.
    pub status: K::Status,
    /// The provider's id, once it is known.
    pub provider_ref: Option<String>,
    /// What was asked for.
    pub request: K::Request,
    /// What came back.
    pub facts: K::Facts,
    /// The caller's pairs.
    pub metadata: Metadata,
    /// Grows with every change.
    pub version: u64,
    /// A call on it runs until then at the latest.
    pub claimed_until: Option<DateTime<Utc>>,
    /// When the provider was last asked.
    pub refreshed_at: Option<DateTime<Utc>>,
    /// When it was accepted here.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// A provider's view of an object, checked by the engine.
#[derive(Debug, Clone)]
pub struct Reported<K: Kind> {
    /// The provider's id.
    pub provider_ref: String,
    /// What became of it.
    pub status: K::Status,
    /// What else is known.
    pub facts: K::Facts,
}

impl<K: Kind> Object<K> {
    /// Reads a row.
    ///
    /// # Errors
    /// The row holds what this version does not understand.
    pub fn from_row(row: ObjectRow) -> Result<Self, StoreError> {
        let unreadable = |what: &'static str| StoreError::unreadable(what);
        Ok(Self {
            id: K::id(row.id),
            environment: row.environment,
            provider: row.provider,
            connection_id: row.connection_id,
            status: row
                .status
                .parse()
                .map_err(|_unknown| unreadable("status"))?,
            provider_ref: row.provider_ref,
            request: serde_json::from_str(&row.request)
                .map_err(|_unknown| unreadable("request"))?,
            facts: serde_json::from_str(&row.result).map_err(|_unknown| unreadable("result"))?,
            metadata: row.metadata,
            version: row.version,
            claimed_until: row.claimed_until,
            refreshed_at: row.refreshed_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }

    /// Merges what the provider reports. `is_latest`: nothing has changed here since it was asked.
    /// Tells whether anything changed.
    pub fn merge(&mut self, reported: Reported<K>, is_latest: bool) -> bool {
        let before = (self.status, self.facts.clone(), self.provider_ref.clone());
        let status = K::merge(self.status, &self.facts, &reported);
        let weight = Weight {
            moved: status == reported.status,
            was_known: status == self.status,
            has_ended: K::is_terminal(status),
            is_latest,
        };
        if status != self.status {
            self.facts.set_refusal(None);
        }
        self.status = status;
        if self.provider_ref.is_none() {
            self.provider_ref = Some(reported.provider_ref);
        }
        self.facts.merge(reported.facts, weight);
        before != (self.status, self.facts.clone(), self.provider_ref.clone())
    }
}
