//! What providers tell of their own accord, about objects that are here.

use onerouter_domain::id::TenantId;
use onerouter_domain::metadata::Metadata;

use super::Objects;
use super::settlement::needs_settling;
use crate::ids;
use crate::service::kind::Kind;
use crate::service::object::{Object, Reported};
use crate::store::{NewObject, ObjectRow, StoreError, TenantTx, constraint};

/// Answers in a row, while others change the object.
const LOOKS_MAX: usize = 4;

impl<K: Kind> Objects<K> {
    /// Asks the provider about an object because something has happened to it.
    pub(in crate::service) async fn look_because_told(
        &self,
        tenant: TenantId,
        row: ObjectRow,
    ) -> Result<Looked, StoreError> {
        let mut object = Object::<K>::from_row(row)?;
        let now = self.parts.clock.now();
        if object.claimed_until.is_some_and(|until| until > now) {
            return Ok(Looked::Later);
        }
        if object.provider_ref.is_none() && !needs_settling(&object) {
            return Ok(Looked::Absent);
        }
        for _ in 0..LOOKS_MAX {
            let version = object.version;
            let Some(seen) = self.ask_or_bury(tenant, object).await else {
                return Ok(Looked::Later);
            };
            // Where the order counts, an answer to which something came in between says nothing: it holds
            // when another one finds it so.
            if K::reports_commute(&seen) || seen.version == version {
                return Ok(Looked::Done);
            }
            object = seen;
        }
        Ok(Looked::Later)
    }

    /// Writes an event about an object that changes nothing else of it. Its version grows all the same, so
    /// that events about one object have an order.
    pub(in crate::service) async fn note_told(
        &self,
        tx: &mut TenantTx,
        row: &ObjectRow,
        verb: &str,
        data: impl FnOnce(String) -> String,
    ) -> Result<(), StoreError> {
        let now = self.parts.clock.now();
        let locked = tx.lock_object(K::OBJECT, row.environment, row.id).await?;
        let Some(mut object) = locked.map(Object::<K>::from_row).transpose()? else {
            return Ok(());
        };
        if !tx.update_object(&Self::update(&object, now)).await? {
            return Ok(());
        }
        Self::count_up(&mut object, now);
        let shown = super::shown(K::present(&object, None));
        let mut event = Self::event(&object, data(shown));
        event.event_type = format!("{}.{verb}", K::NAME);
        tx.insert_event(&event).await
    }

    /// Merges what a provider reports. `false`: not now, as a call of the object's own is running, or another
    /// object has just been bound to the provider's id.
    pub(in crate::service) async fn merge_told(
        &self,
        tenant: TenantId,
        row: ObjectRow,
        mut reported: Reported<K>,
    ) -> Result<bool, StoreError> {
        let mut object = Object::<K>::from_row(row)?;
        // A report is about the object by whichever of its ids it was found.
        if let Some(known) = &object.provider_ref {
            reported.provider_ref.clone_from(known);
        }
        if object.claimed_until.is_some() {
            object = self.bury_dead_claim(tenant, object).await?;
        }
        match self.apply(tenant, &object, reported).await {
            Ok(applied) => Ok(applied.is_some()),
            // Another object was bound to it meanwhile: that one is meant.
            Err(StoreError::Duplicate {
                constraint: constraint::PROVIDER_REF,
                ..
            }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Stores an object that was made elsewhere, with the event about it; `false` where it is here already.
    pub(in crate::service) async fn take_in(
        &self,
        tenant: TenantId,
        made: TakenIn<'_, K>,
    ) -> Result<bool, StoreError> {
        let now = self.parts.clock.now();
        let mut object = Object::<K> {
            id: K::id(ids::next()),
            environment: made.environment,
            provider: made.provider.to_owned(),
            connection_id: made.connection_id,
            status: K::queued(),
            provider_ref: None,
            request: made.request,
            facts: K::first_facts(),
            metadata: Metadata::default(),
            version: 1,
            claimed_until: None,
            refreshed_at: None,
            created_at: now,
            updated_at: now,
        };
        let mut tx = self.parts.store.begin(tenant).await?;
        tx.insert_object(&NewObject {
            id: K::uuid(object.id),
            environment: object.environment,
            kind: K::OBJECT,
            provider: object.provider.clone(),
            connection_id: object.connection_id,
            status: object.status.to_string(),
            request: super::to_json(&object.request),
            result: super::to_json(&object.facts),
            content: None,
            metadata: object.metadata.clone(),
            claimed_until: None,
            created_at: now,
        })
        .await?;
        let before = object.status;
        object.merge(made.reported, true);
        match Self::write(&mut tx, &mut object, Some(before), now).await {
            Ok(_) => tx.commit().await.map(|()| true),
            Err(StoreError::Duplicate {
                constraint: constraint::PROVIDER_REF,
                ..
            }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// What a look at an object has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::service) enum Looked {
    /// It is as the provider has it.
    Done,
    /// It cannot be found out now.
    Later,
    /// As far as is known here, it never was at the provider.
    Absent,
}

/// An object that was made elsewhere.
#[derive(Debug)]
pub(in crate::service) struct TakenIn<'a, K: Kind> {
    pub(in crate::service) environment: onerouter_domain::environment::Environment,
    pub(in crate::service) provider: &'a str,
    pub(in crate::service) connection_id: onerouter_domain::id::ConnectionId,
    pub(in crate::service) request: K::Request,
    pub(in crate::service) reported: Reported<K>,
}
