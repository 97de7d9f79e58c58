//! What is done in the background: settling, and small housekeeping. Any number of nodes may run
//! it; the work is leased in the database.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::StreamExt as _;
use futures_util::stream;
use onerouter_domain::id::TenantId;
use tokio_util::sync::CancellationToken;

use super::authentication::Authentication;
use super::email::Email;
use super::objects::Objects;
use super::payment::Payment;
use super::payment_link::PaymentLink;
use super::plan::Plan;
use super::refund::Refund;
use super::sms::Sms;
use super::subscription::Subscription;
use crate::clock::Clock;
use crate::store::ObjectKind;
use crate::store::{DueWork, WorkKind};
use crate::store::{Store, StoreError};

/// How often due work is looked for.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// Work that one look takes at most: [`AT_ONCE`] at a time, all of it is done within the lease.
const LEASE_MAX: u32 = 24;
/// Pieces that are worked on at the same time.
const AT_ONCE: usize = 8;
/// Longer than any piece takes; a killed node's work is taken over after this.
const LEASE: TimeDelta = TimeDelta::seconds(90);
/// Looks between two rounds of housekeeping: an hour.
const HOUSEKEEPING_EVERY: u32 = 3_600;
/// Rows that one statement of the housekeeping removes.
const EXPIRED_MAX: u32 = 10_000;

/// The background's hands.
#[derive(Debug, Clone)]
pub struct Sweeper {
    /// Rows.
    pub store: Store,
    /// Times.
    pub clock: Clock,
    /// Text messages.
    pub sms: Objects<Sms>,
    /// E-mail.
    pub email: Objects<Email>,
    /// Payments.
    pub payments: Objects<Payment>,
    /// Refunds.
    pub refunds: Objects<Refund>,
    /// Plans.
    pub plans: Objects<Plan>,
    /// Subscriptions.
    pub subscriptions: Objects<Subscription>,
    /// Payment links.
    pub payment_links: Objects<PaymentLink>,
    /// Knows which keys were used.
    pub authentication: Arc<Authentication>,
}

impl Sweeper {
    /// Works until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(POLL_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut looks: u32 = 0;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            if let Err(error) = self.sweep().await {
                tracing::warn!(%error, "cannot look for due work");
            }
            if let Err(error) = self.authentication.write_uses().await {
                tracing::warn!(%error, "cannot write when keys were used");
            }
            if looks.is_multiple_of(HOUSEKEEPING_EVERY)
                && let Err(error) = self.remove_expired().await
            {
                tracing::warn!(%error, "cannot remove expired idempotency keys");
            }
            looks = looks.wrapping_add(1);
        }
        if let Err(error) = self.authentication.write_uses().await {
            tracing::warn!(%error, "cannot write when keys were used");
        }
    }

    /// Works on everything that is due now. Tells how much that was.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        let mut count = 0;
        for kind in [WorkKind::Settle, WorkKind::Postponed, WorkKind::Watch] {
            let now = self.clock.now();
            let due = self
                .store
                .lease_due(kind, now, now + LEASE, LEASE_MAX)
                .await?;
            count += due.len();
            stream::iter(due)
                .for_each_concurrent(AT_ONCE, |work| async move {
                    if let Err(error) = Box::pin(self.work_on(&work)).await {
                        tracing::warn!(%error, object = %work.object_id, kind = kind.as_str(), "cannot work on an object");
                    }
                })
                .await;
        }
        Ok(count)
    }

    async fn work_on(&self, work: &DueWork) -> Result<(), StoreError> {
        let mut tx = self.store.begin_read(work.tenant_id).await?;
        let row = tx.find_object_of_any_kind(work.object_id).await?;
        drop(tx);
        match row {
            Some(row) => match row.kind {
                ObjectKind::Sms => self.sms.due(work, row).await,
                ObjectKind::Email => self.email.due(work, row).await,
                ObjectKind::Payment => Box::pin(self.payments.due(work, row)).await,
                ObjectKind::Refund => self.refunds.due(work, row).await,
                ObjectKind::Plan => self.plans.due(work, row).await,
                ObjectKind::Subscription => Box::pin(self.subscriptions.due(work, row)).await,
                ObjectKind::PaymentLink => self.payment_links.due(work, row).await,
            },
            None => {
                let mut tx = self.store.begin(work.tenant_id).await?;
                tx.finish_work(work.kind, work.object_id).await?;
                tx.commit().await
            }
        }
    }

    async fn remove_expired(&self) -> Result<(), StoreError> {
        for tenant in self.store.list_tenants().await? {
            // One tenant's trouble is not the others'.
            while let Ok(removed) = self
                .remove_expired_of(tenant.id)
                .await
                .inspect_err(|error| tracing::warn!(%error, tenant.id = %tenant.id, "cannot remove expired idempotency keys"))
                && removed >= u64::from(EXPIRED_MAX)
            {}
        }
        Ok(())
    }

    async fn remove_expired_of(&self, tenant: TenantId) -> Result<u64, StoreError> {
        let mut tx = self.store.begin(tenant).await?;
        let removed = tx
            .delete_expired_keys(self.clock.now(), EXPIRED_MAX)
            .await?;
        tx.commit().await?;
        Ok(removed)
    }
}
