//! What was taken from the queue is read, with its endpoint and its secrets. What nobody is to be told
//! any more is canceled; what must wait for an earlier delivery waits.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::id::{DeliveryId, TenantId, WebhookEndpointId};

use super::Deliveries;
use super::request::Target;
use crate::service::webhooks::secrets::{EndpointPlace, EndpointSecrets};
use crate::store::{DeliveryRow, StoreError, TakenDelivery, WebhookEndpointRow};

/// A delivery that waits for an earlier one is looked at again after this, whatever happens: usually it
/// is woken when that one has ended.
const WAIT_MIN: TimeDelta = TimeDelta::seconds(5);

/// A delivery that can be sent.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) tenant: TenantId,
    pub(super) delivery: DeliveryRow,
    pub(super) target: Arc<Target>,
}

impl Prepared {
    pub(super) fn endpoint(&self) -> WebhookEndpointId {
        self.delivery.endpoint_id
    }
}

/// What can be sent of what was taken.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) ready: Vec<Prepared>,
    /// Endpoints that are to be left alone, and until when.
    pub(super) left_alone: HashMap<WebhookEndpointId, DateTime<Utc>>,
}

impl Deliveries {
    /// Reads what is to be sent of what was taken. What cannot be read now is due again when its lease
    /// ends.
    pub(super) async fn prepare(&self, tenant: TenantId, taken: &[TakenDelivery]) -> Batch {
        match self.read(tenant, taken).await {
            Ok(prepared) => self.sendable(prepared).await,
            Err(error) => {
                tracing::warn!(%error, tenant.id = %tenant, "cannot read due deliveries; their lease ends");
                Batch::default()
            }
        }
    }

    /// Those whose endpoint is not to be left alone. One after the other, as they are due: of what an
    /// endpoint's limit lets through, whoever has waited for longest goes first.
    async fn sendable(&self, mut prepared: Vec<Prepared>) -> Batch {
        prepared.sort_by_key(|one| (one.delivery.next_at, one.delivery.id));
        let mut batch = Batch::default();
        for one in prepared {
            let endpoint = one.endpoint();
            let until = match batch.left_alone.get(&endpoint) {
                Some(until) => Some(*until),
                None => {
                    let wait = self.left_alone_for(&one).await;
                    wait.map(|wait| self.parts.clock.now() + wait)
                }
            };
            match until {
                Some(until) => {
                    self.give_back(&one).await;
                    batch.left_alone.insert(endpoint, until);
                }
                None => batch.ready.push(one),
            }
        }
        batch
    }

    async fn read(
        &self,
        tenant: TenantId,
        taken: &[TakenDelivery],
    ) -> Result<Vec<Prepared>, StoreError> {
        let ids: Vec<_> = taken.iter().map(|one| one.id).collect();
        let mut tx = self.parts.store.begin_read(tenant).await?;
        let rows = tx.find_due_deliveries(&ids).await?;
        let mut endpoints = HashMap::new();
        for row in &rows {
            if let Entry::Vacant(endpoint) = endpoints.entry(row.endpoint_id) {
                endpoint.insert(tx.find_webhook_endpoint(row.endpoint_id).await?);
            }
        }
        tx.commit().await?;
        // Without a row there is nothing to tell.
        let is_read = |id: &DeliveryId| rows.iter().any(|row| row.id == *id);
        let mut canceled: Vec<_> = ids.into_iter().filter(|id| !is_read(id)).collect();
        let targets = self.targets(tenant, endpoints).await;
        let mut prepared = Vec::with_capacity(rows.len());
        for delivery in rows {
            match targets.get(&delivery.endpoint_id) {
                Some(Opened::Ready(target)) => prepared.push(Prepared {
                    tenant,
                    delivery,
                    target: Arc::clone(target),
                }),
                Some(Opened::Closed) => {}
                None => canceled.push(delivery.id),
            }
        }
        if !canceled.is_empty() {
            self.cancel(tenant, &canceled).await?;
        }
        Ok(self.hold_back(tenant, prepared).await)
    }

    /// Endpoints that something may be sent to; none for one that is gone or disabled.
    async fn targets(
        &self,
        tenant: TenantId,
        endpoints: HashMap<WebhookEndpointId, Option<WebhookEndpointRow>>,
    ) -> HashMap<WebhookEndpointId, Opened> {
        let mut targets = HashMap::new();
        let enabled = endpoints
            .into_values()
            .flatten()
            .filter(|row| row.disabled_at.is_none());
        for row in enabled {
            let place = EndpointPlace {
                tenant,
                environment: row.environment,
                endpoint: row.id,
            };
            let id = row.id;
            let opened = EndpointSecrets::open(&self.parts.vault, place, &row.secrets).await;
            let opened = match opened {
                Ok(secrets) => Opened::Ready(Arc::new(Target { row, secrets })),
                Err(error) => {
                    tracing::error!(%error, endpoint.id = %id, "cannot open an endpoint's secrets; its deliveries wait");
                    Opened::Closed
                }
            };
            targets.insert(id, opened);
        }
        targets
    }

    pub(super) async fn cancel(
        &self,
        tenant: TenantId,
        deliveries: &[DeliveryId],
    ) -> Result<(), StoreError> {
        let mut tx = self.parts.store.begin(tenant).await?;
        tx.cancel_deliveries(deliveries, self.parts.clock.now())
            .await?;
        tx.commit().await?;
        let count = u64::try_from(deliveries.len()).unwrap_or_default();
        metrics::counter!("onerouter_webhook_deliveries_total", "result" => "canceled")
            .increment(count);
        Ok(())
    }

    /// Those that need not wait for an earlier one.
    async fn hold_back(&self, tenant: TenantId, prepared: Vec<Prepared>) -> Vec<Prepared> {
        if !prepared.iter().any(|one| one.target.row.is_ordered) {
            return prepared;
        }
        let until = self.parts.clock.now() + WAIT_MIN;
        let mut ready = Vec::with_capacity(prepared.len());
        for one in prepared {
            if !one.target.row.is_ordered {
                ready.push(one);
                continue;
            }
            match self.waits(tenant, &one, until).await {
                Ok(true) => {}
                Ok(false) => ready.push(one),
                // Its lease ends; the others need not wait for that.
                Err(error) => {
                    tracing::warn!(%error, delivery.id = %one.delivery.id, "cannot tell whose turn it is");
                }
            }
        }
        ready
    }

    /// Whether a delivery waits for an earlier one. Each in a transaction of its own: it locks the earlier
    /// one, which may be ending at this moment together with others.
    async fn waits(
        &self,
        tenant: TenantId,
        one: &Prepared,
        until: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut tx = self.parts.store.begin(tenant).await?;
        let waits = tx.hold_back_delivery(&one.delivery, until).await?;
        tx.commit().await?;
        Ok(waits)
    }

    /// Leaves a delivery that has not begun to other nodes, at once and at its place.
    pub(super) async fn give_back(&self, one: &Prepared) {
        let delivery = &one.delivery;
        let given_back = self
            .parts
            .store
            .put_off_delivery(delivery.id, delivery.next_at)
            .await;
        if let Err(error) = given_back {
            tracing::warn!(%error, delivery.id = %delivery.id, "cannot give a delivery back; its lease ends");
        }
    }
}

/// An endpoint that is enabled.
enum Opened {
    Ready(Arc<Target>),
    /// Its secrets cannot be read now.
    Closed,
}
