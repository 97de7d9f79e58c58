//! Tells endpoints of events: takes what is due from the queue, sends it, writes down how it went.
//!
//! Any number of nodes does so over one database. What a node takes is leased to it; when it dies,
//! another one takes it over. A delivery may arrive twice, and does not get lost.
//!
//! - `lanes`: whose turn it is
//! - `prepare`: what is to be sent, with which secrets, and what must wait for an earlier one
//! - `request`: the request itself, and what is kept of its answer
//! - `attempt`: one try, from the limit to the rows

mod attempt;
mod lanes;
mod prepare;
mod request;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::id::{TenantId, WebhookEndpointId};
use onerouter_egress::Egress;
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock::Clock;
use crate::config::WebhookTargets;
use crate::service::limits::Limits;
use crate::store::{Store, StoreError, TakenDelivery};
use crate::vault::Vault;

use self::attempt::Ended;
use self::lanes::{Health, Lanes};
use self::prepare::Batch;

/// How often the queue is looked through: for what is tried again, and for what other nodes left.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Endpoints of one look; the next one goes on after them.
const LOOK_MAX: u32 = 1_000;
/// Longer than a try and its writing down take; after this a killed node's work is taken over.
const LEASE: TimeDelta = TimeDelta::seconds(30);
/// What is under way when the node stops has so long to end: as long as a try may take, and a moment
/// to write it down. What has not ended then is taken over.
const STOP_MAX: Duration = Duration::from_secs(16);
/// How often the queue is counted, and up to how many.
const COUNT_EVERY: Duration = Duration::from_secs(10);
const COUNT_MAX: u32 = 10_000;

/// Who tells endpoints of events.
#[derive(Debug, Clone)]
pub struct Deliveries {
    parts: Arc<DeliveryParts>,
}

/// What it is done with.
#[derive(Debug)]
pub struct DeliveryParts {
    /// Rows.
    pub store: Store,
    /// Opens the endpoints' secrets.
    pub vault: Vault,
    /// Times.
    pub clock: Clock,
    /// Sends; its guards fit `targets`.
    pub egress: Arc<Egress>,
    /// Counts deliveries to endpoints that want few at a time.
    pub limits: Limits,
    /// Where endpoints may be.
    pub targets: WebhookTargets,
}

impl Deliveries {
    /// Nothing is under way yet.
    #[must_use]
    pub fn new(parts: DeliveryParts) -> Self {
        Self {
            parts: Arc::new(parts),
        }
    }

    /// Delivers until `stop`; what is under way then ends, or is left to others.
    pub async fn run(self, stop: CancellationToken) {
        let notice = Arc::clone(self.parts.store.delivery_notice());
        let mut work = Work::new(self);
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut counted_at = None;
        loop {
            let pause = work.until_pause_ends();
            tokio::select! {
                () = stop.cancelled() => break,
                _ = looks.tick() => {
                    if let Err(error) = work.look().await {
                        tracing::warn!(%error, "cannot look for due deliveries");
                    }
                    if counted_at.is_none_or(|at: Instant| at.elapsed() >= COUNT_EVERY) {
                        counted_at = Some(Instant::now());
                        work.count().await;
                    }
                }
                endpoints = notice.taken() => work.note_all(endpoints),
                true = work.step() => {}
                () = tokio::time::sleep(pause) => {}
            }
            if let Err(error) = work.fill().await {
                tracing::warn!(%error, "cannot take due deliveries");
            }
        }
        work.finish().await;
    }

    /// Delivers everything that is due now, and waits for it. Tells how much that was. What is for an
    /// endpoint that is to be left alone stays.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn deliver_due(&self) -> Result<usize, StoreError> {
        let mut work = Work::new(self.clone());
        let mut count = 0;
        loop {
            work.look().await?;
            count += work.fill().await?;
            if !work.step().await {
                return Ok(count);
            }
        }
    }
}

/// What a task has done.
enum Step {
    Prepared(Batch),
    Ended(Ended),
}

/// What is under way on this node.
struct Work {
    deliveries: Deliveries,
    lanes: Lanes,
    running: JoinSet<Step>,
    /// Whose places the tasks take up, one for each delivery.
    places: HashMap<task::Id, Vec<WebhookEndpointId>>,
    /// Where the next look begins.
    looked_until: WebhookEndpointId,
    /// What has waited for longest of those that this look has seen.
    oldest: Option<DateTime<Utc>>,
}

const FIRST: WebhookEndpointId = WebhookEndpointId::from_uuid(Uuid::nil());

impl Work {
    fn new(deliveries: Deliveries) -> Self {
        Self {
            deliveries,
            lanes: Lanes::default(),
            running: JoinSet::new(),
            places: HashMap::new(),
            looked_until: FIRST,
            oldest: None,
        }
    }

    fn now(&self) -> DateTime<Utc> {
        self.deliveries.parts.clock.now()
    }

    fn note_all(&mut self, endpoints: impl IntoIterator<Item = (WebhookEndpointId, TenantId)>) {
        let now = self.now();
        for (endpoint, tenant) in endpoints {
            self.lanes.note((tenant, endpoint), now);
        }
    }

    /// Looks for endpoints for which something is due, a part of them at a time.
    async fn look(&mut self) -> Result<(), StoreError> {
        let now = self.now();
        let store = &self.deliveries.parts.store;
        let due = store
            .due_endpoints(self.looked_until, now, LOOK_MAX)
            .await?;
        let is_last = due.len() < usize::try_from(LOOK_MAX).unwrap_or(usize::MAX);
        self.looked_until = match due.last() {
            Some(last) if !is_last => last.id,
            _ => FIRST,
        };
        for endpoint in due {
            self.oldest = Some(self.oldest.map_or(endpoint.at, |at| at.min(endpoint.at)));
            self.lanes.note((endpoint.tenant_id, endpoint.id), now);
        }
        if is_last {
            let waited = self.oldest.take().map(|at| now.signed_duration_since(at));
            let waited = waited.unwrap_or_default().to_std().unwrap_or_default();
            metrics::gauge!("onerouter_webhook_queue_age_seconds").set(waited.as_secs_f64());
        }
        Ok(())
    }

    /// For people only: what cannot be counted now is counted the next time.
    async fn count(&self) {
        let counted = self.deliveries.parts.store.queued_deliveries(COUNT_MAX);
        if let Ok(counted) = counted.await {
            let counted = u32::try_from(counted).unwrap_or(COUNT_MAX);
            metrics::gauge!("onerouter_webhook_queue_deliveries").set(counted);
        }
    }

    /// Takes as much as there are places for. Tells how much.
    async fn fill(&mut self) -> Result<usize, StoreError> {
        let now = self.now();
        let wanted = self.lanes.next(now);
        if wanted.is_empty() {
            return Ok(0);
        }
        let store = &self.deliveries.parts.store;
        let taken = store.take_deliveries(&wanted, now, now + LEASE).await;
        let taken = taken.inspect_err(|_| {
            for one in &wanted {
                self.lanes.took_in_vain(*one);
            }
        })?;
        let count = taken.len();
        let mut of_tenant: HashMap<TenantId, Vec<TakenDelivery>> = HashMap::new();
        let mut of_endpoint: HashMap<WebhookEndpointId, u32> = HashMap::new();
        for one in taken {
            *of_endpoint.entry(one.endpoint_id).or_default() += 1;
            of_tenant.entry(one.tenant_id).or_default().push(one);
        }
        for one in wanted {
            let taken = of_endpoint.get(&one.0).copied().unwrap_or_default();
            self.lanes.took(one, taken);
        }
        for (tenant, taken) in of_tenant {
            let places = taken.iter().map(|one| one.endpoint_id).collect();
            let deliveries = self.deliveries.clone();
            self.spawn(places, async move {
                Step::Prepared(deliveries.prepare(tenant, &taken).await)
            });
        }
        metrics::gauge!("onerouter_webhook_deliveries_running").set(self.lanes.running());
        Ok(count)
    }

    /// Waits for the next task to end, and goes on with what it has done; `false` where there is none.
    ///
    /// Dropped while it waits, it has done nothing.
    async fn step(&mut self) -> bool {
        let Some(ended) = self.running.join_next_with_id().await else {
            return false;
        };
        match ended {
            Ok((id, step)) => {
                let places = self.places.remove(&id).unwrap_or_default();
                self.go_on(step, places);
            }
            Err(error) => {
                tracing::error!(%error, "a delivery broke; its lease ends");
                let places = self.places.remove(&error.id()).unwrap_or_default();
                for endpoint in places {
                    self.lanes.ended(endpoint, Health::Unasked);
                }
            }
        }
        true
    }

    fn go_on(&mut self, step: Step, mut places: Vec<WebhookEndpointId>) {
        match step {
            Step::Prepared(Batch { ready, left_alone }) => {
                for one in ready {
                    let endpoint = one.endpoint();
                    if let Some(place) = places.iter().position(|place| *place == endpoint) {
                        places.swap_remove(place);
                    }
                    let deliveries = self.deliveries.clone();
                    self.spawn(vec![endpoint], async move {
                        Step::Ended(Box::pin(deliveries.attempt(one)).await)
                    });
                }
                // Nothing is sent of those that are left.
                for endpoint in places {
                    self.lanes.ended(endpoint, Health::Unasked);
                }
                for (endpoint, until) in left_alone {
                    self.lanes.pause(endpoint, until);
                }
            }
            Step::Ended(Ended {
                endpoint,
                health,
                pause_until,
            }) => {
                self.lanes.ended(endpoint, health);
                if let Some(until) = pause_until {
                    self.lanes.pause(endpoint, until);
                }
            }
        }
    }

    fn spawn(
        &mut self,
        places: Vec<WebhookEndpointId>,
        work: impl Future<Output = Step> + Send + 'static,
    ) {
        let task = self.running.spawn(work);
        self.places.insert(task.id(), places);
    }

    fn until_pause_ends(&self) -> Duration {
        let now = self.now();
        let pause = self.lanes.first_pause_ends(now);
        let pause = pause.map(|at| at.signed_duration_since(now).to_std().unwrap_or_default());
        pause.unwrap_or(LOOK_EVERY).min(LOOK_EVERY)
    }

    /// Waits for what is under way, but not for too long. What has not begun is given back.
    async fn finish(mut self) {
        let until = Instant::now() + STOP_MAX;
        loop {
            match tokio::time::timeout_at(until, self.running.join_next()).await {
                Ok(Some(Ok(Step::Prepared(batch)))) => {
                    for one in batch.ready {
                        self.deliveries.give_back(&one).await;
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(_elapsed) => {
                    let count = self.running.len();
                    tracing::warn!(count, "deliveries are cut; they are made again");
                    return;
                }
            }
        }
    }
}
