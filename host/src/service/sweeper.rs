//! What is done in the background: settling, and small housekeeping. Any number of nodes may run
//! it; the work is leased in the database.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::id::{ConnectionId, TenantId};
use tokio::task::{self, JoinSet};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::authentication::Authentication;
use super::changes::Changes;
use super::email::Email;
use super::inbound::Inbound;
use super::objects::Objects;
use super::payment::Payment;
use super::payment_link::PaymentLink;
use super::plan::Plan;
use super::recordings;
use super::refund::Refund;
use super::sms::Sms;
use super::subscription::Subscription;
use crate::clock::Clock;
use crate::config::Retention;
use crate::store::{DueWork, WorkKind};
use crate::store::{Log, ObjectKind, ObjectRow};
use crate::store::{Store, StoreError};

/// How often due work is looked for.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// Pieces of one kind of work that are worked on at the same time: each kind has its own.
const AT_ONCE: usize = 24;
/// How many of them may be one provider's, which may hang.
const AT_ONE_PROVIDER: usize = 12;
/// How many of them may be one connection's, which may have more due than all others.
const AT_ONE_CONNECTION: usize = 6;
/// Looks for work in a row, while what is found has to wait.
const LOOKS_MAX: usize = 8;
/// Pieces that wait here for their provider or connection.
const WAITING_MAX: usize = 48;
/// Those for which there is no room are given back for so long.
const DEFERRED_FOR: TimeDelta = TimeDelta::seconds(5);
/// Longer than a piece waits and takes; a killed node's work is taken over after this.
const LEASE: TimeDelta = TimeDelta::seconds(120);
/// A piece that has waited longer is left to its lease: there must be time to work on it.
const WAITED_MAX: TimeDelta = TimeDelta::seconds(45);
/// How often what is old is removed.
const CLEAN_EVERY: Duration = Duration::from_secs(3_600);
/// A clock that is further from the database's removes nothing.
const CLOCK_OFF_MAX: TimeDelta = TimeDelta::minutes(5);
/// Logs have room for so long ahead.
const PARTITIONS_AHEAD: TimeDelta = TimeDelta::days(90);
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
    /// Knows what was changed elsewhere.
    pub changes: Arc<Changes>,
    /// Acts on what providers tell.
    pub inbound: Inbound,
    /// What is deleted when.
    pub retention: Retention,
}

impl Sweeper {
    /// Works until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let work = KINDS.map(|kind| self.run_kind(kind, &stop));
        tokio::join!(
            futures_util::future::join_all(work),
            self.inbound.clone().run(stop.clone()),
            self.keep_house(&stop),
            self.keep_clean(&stop)
        );
    }

    /// Works on one kind of work until `stop`; what has begun then is finished.
    async fn run_kind(&self, kind: WorkKind, stop: &CancellationToken) {
        let mut hands = Hands::new(self, kind);
        let mut ticks = ticks();
        loop {
            let mut ended = None;
            let look = tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => true,
                Some(place) = hands.next_ended() => {
                    ended = Some(place);
                    hands.may_have_more
                }
            };
            if let Some(place) = ended {
                hands.ended(&place).await;
            }
            if look && let Err(error) = hands.fill().await {
                tracing::warn!(%error, kind = kind.as_str(), "cannot look for due work");
            }
        }
        hands.give_back_waiting().await;
        while hands.finish_one().await {}
    }

    async fn keep_house(&self, stop: &CancellationToken) {
        let mut ticks = ticks();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            self.write_uses().await;
        }
        self.write_uses().await;
    }

    /// Cleans up until `stop`, which may come at any time: what is not committed is done again.
    async fn keep_clean(&self, stop: &CancellationToken) {
        let mut ticks = tokio::time::interval(CLEAN_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let clean = async {
            loop {
                ticks.tick().await;
                self.clean_up_where_clocks_agree().await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = clean => {}
        }
    }

    /// What is deleted is deleted for good: not by a clock that the database does not share. Tells
    /// whether it does.
    pub async fn clean_up_where_clocks_agree(&self) -> bool {
        let agree = self.knows_the_time().await;
        if agree {
            self.clean_up().await;
        }
        agree
    }

    async fn knows_the_time(&self) -> bool {
        match self.store.server_time().await {
            Ok(Some(there)) => {
                let off = self.clock.now().signed_duration_since(there).abs();
                if off > CLOCK_OFF_MAX {
                    tracing::error!(
                        seconds = off.num_seconds(),
                        "nothing old is removed: the clocks of this machine and of the database differ"
                    );
                }
                off <= CLOCK_OFF_MAX
            }
            Ok(None) => true,
            Err(error) => {
                warn_of::<()>("ask for the time", Err(error));
                false
            }
        }
    }

    async fn write_uses(&self) {
        if let Err(error) = self.authentication.write_uses().await {
            tracing::warn!(%error, "cannot write when keys were used");
        }
    }

    /// Works on everything that is due now. Tells how much that was.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        let sweeps = KINDS.map(|kind| async move {
            let mut hands = Hands::new(self, kind);
            let mut count = hands.fill().await?;
            while hands.finish_one().await {
                if hands.may_have_more {
                    count += hands.fill().await?;
                }
            }
            Ok(count)
        });
        let counts: Vec<usize> = futures_util::future::try_join_all(sweeps).await?;
        Ok(counts.into_iter().sum::<usize>() + self.inbound.sweep().await?)
    }

    async fn find(&self, work: &DueWork) -> Result<Option<ObjectRow>, StoreError> {
        let mut tx = self.store.begin_read(work.tenant_id).await?;
        tx.find_object_of_any_kind(work.object_id).await
    }

    async fn give_back(&self, work: &DueWork, at: DateTime<Utc>) -> Result<(), StoreError> {
        let mut tx = self.store.begin(work.tenant_id).await?;
        tx.defer(work, at).await?;
        tx.commit().await
    }

    async fn work_on(&self, work: &DueWork, row: ObjectRow) -> Result<(), StoreError> {
        match row.kind {
            ObjectKind::Sms => self.sms.due(work, row).await,
            ObjectKind::Email => Box::pin(self.email.due(work, row)).await,
            ObjectKind::Payment => Box::pin(self.payments.due(work, row)).await,
            ObjectKind::Refund => self.refunds.due(work, row).await,
            ObjectKind::Plan => self.plans.due(work, row).await,
            ObjectKind::Subscription => Box::pin(self.subscriptions.due(work, row)).await,
            ObjectKind::PaymentLink => self.payment_links.due(work, row).await,
        }
    }

    /// Removes what nobody needs any more, and makes room for what is to come. What fails is tried
    /// again the next time.
    pub async fn clean_up(&self) {
        let now = self.clock.now();
        let logs = [
            (Log::Events, now - self.retention.events),
            (Log::CallLogs, now - self.retention.call_logs),
            (Log::ReceivedWebhooks, now - self.retention.events),
            // As long as the events that they are of.
            (Log::Deliveries, now - self.retention.events),
            (Log::DeliveryAttempts, now - self.retention.events),
        ];
        // What fails must not keep the rest from being done.
        warn_of("remove old changes", self.changes.remove_seen().await);
        let made = self.store.make_partitions(now + PARTITIONS_AHEAD).await;
        warn_of("make room for logs", made);
        for (log, before) in logs {
            let dropped = self.store.drop_partitions(log, before).await;
            if dropped.as_ref().is_ok_and(|dropped| *dropped > 0) {
                tracing::info!(?log, "dropped old partitions");
            }
            warn_of("drop old partitions", dropped);
        }
        let tenants = match self.store.list_tenants().await {
            Ok(tenants) => tenants,
            Err(error) => return warn_of::<()>("remove what is old", Err(error)),
        };
        for tenant in tenants {
            // One tenant's trouble is not the others'.
            if let Err(error) = self.clean_up_of(tenant.id, now, &logs).await {
                tracing::warn!(%error, tenant.id = %tenant.id, "cannot remove what is old");
            }
        }
    }

    async fn clean_up_of(
        &self,
        tenant: TenantId,
        now: DateTime<Utc>,
        logs: &[(Log, DateTime<Utc>)],
    ) -> Result<(), StoreError> {
        let mut removed = u64::from(EXPIRED_MAX);
        while removed >= u64::from(EXPIRED_MAX) {
            let mut tx = self.store.begin(tenant).await?;
            removed = tx.delete_expired_keys(now, EXPIRED_MAX).await?;
            tx.commit().await?;
        }
        let before = now - self.retention.events;
        let mut deleted = 1;
        while deleted > 0 {
            let mut tx = self.store.begin(tenant).await?;
            deleted = tx.delete_old_webhook_keys(before).await?;
            tx.commit().await?;
        }
        let mut deleted = 1;
        while deleted > 0 {
            let mut tx = self.store.begin(tenant).await?;
            deleted = tx
                .delete_old_recorded_calls(now - recordings::KEPT_FOR)
                .await?;
            tx.commit().await?;
        }
        let before = now - self.retention.attempts;
        let mut deleted = 1;
        while deleted > 0 {
            let mut tx = self.store.begin(tenant).await?;
            deleted = tx.delete_old_attempts(before).await?;
            tx.commit().await?;
        }
        if self.store.has_partitions() {
            return Ok(());
        }
        for (log, before) in logs {
            let mut deleted = 1;
            while deleted > 0 {
                let mut tx = self.store.begin(tenant).await?;
                deleted = tx.delete_old_log(*log, *before).await?;
                tx.commit().await?;
            }
        }
        Ok(())
    }
}

fn warn_of<T>(what: &str, done: Result<T, StoreError>) {
    if let Err(error) = done {
        tracing::warn!(%error, "cannot {what}");
    }
}

const KINDS: [WorkKind; 3] = [WorkKind::Settle, WorkKind::Postponed, WorkKind::Watch];

fn ticks() -> Interval {
    let mut ticks = tokio::time::interval(POLL_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Whose provider is asked about a piece of work.
#[derive(Debug, Clone)]
struct Place {
    provider: String,
    connection: ConnectionId,
}

impl Place {
    fn of(row: &ObjectRow) -> Self {
        Self {
            provider: row.provider.clone(),
            connection: row.connection_id,
        }
    }
}

/// Work of one kind that is being done, and that waits for its turn: a provider that hangs takes up a
/// part of the hands only.
struct Hands<'a> {
    sweeper: &'a Sweeper,
    kind: WorkKind,
    /// Tasks: a piece that holds a connection goes on while the next ones are looked for.
    running: JoinSet<()>,
    places: HashMap<task::Id, Place>,
    of_provider: HashMap<String, usize>,
    of_connection: HashMap<ConnectionId, usize>,
    waiting: VecDeque<(DueWork, Place, DateTime<Utc>)>,
    /// The last look has found as much as it could take.
    may_have_more: bool,
}

impl<'a> Hands<'a> {
    fn new(sweeper: &'a Sweeper, kind: WorkKind) -> Self {
        Self {
            sweeper,
            kind,
            running: JoinSet::new(),
            places: HashMap::new(),
            of_provider: HashMap::new(),
            of_connection: HashMap::new(),
            waiting: VecDeque::new(),
            may_have_more: false,
        }
    }

    /// Takes as much work as there are hands, beyond what has to wait. Tells how much.
    async fn fill(&mut self) -> Result<usize, StoreError> {
        let mut count = 0;
        for _ in 0..LOOKS_MAX {
            count += self.look().await?;
            if !self.may_have_more {
                break;
            }
        }
        Ok(count)
    }

    async fn look(&mut self) -> Result<usize, StoreError> {
        let room = AT_ONCE.saturating_sub(self.running.len());
        if room == 0 {
            // The next one that ends makes room.
            self.may_have_more = true;
            return Ok(0);
        }
        let now = self.sweeper.clock.now();
        let limit = u32::try_from(room).unwrap_or(u32::MAX);
        let store = &self.sweeper.store;
        let due = store.lease_due(self.kind, now, now + LEASE, limit).await?;
        let count = due.len();
        self.may_have_more = count == room;
        for work in due {
            if let Err(error) = self.take(&work, now).await {
                // Its lease ends.
                tracing::warn!(%error, object = %work.object_id, "cannot begin due work");
            }
        }
        Ok(count)
    }

    /// Begins a piece of work, or has it wait.
    async fn take(&mut self, work: &DueWork, leased_at: DateTime<Utc>) -> Result<(), StoreError> {
        let Some(row) = self.sweeper.find(work).await? else {
            let mut tx = self.sweeper.store.begin(work.tenant_id).await?;
            tx.finish_work(work.kind, work.object_id).await?;
            return tx.commit().await;
        };
        let place = Place::of(&row);
        if self.has_room(&place) {
            self.begin(*work, row);
        } else if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back((*work, place, leased_at));
        } else {
            let at = leased_at + DEFERRED_FOR;
            self.sweeper.give_back(work, at).await?;
        }
        Ok(())
    }

    /// Leaves what has not begun to other nodes, at once.
    async fn give_back_waiting(&mut self) {
        for (work, _, leased_at) in std::mem::take(&mut self.waiting) {
            if let Err(error) = self.sweeper.give_back(&work, leased_at).await {
                tracing::warn!(%error, object = %work.object_id, "cannot give due work back; its lease ends");
            }
        }
    }

    fn has_room(&self, place: &Place) -> bool {
        let of_provider = self.of_provider.get(&place.provider).copied();
        let of_connection = self.of_connection.get(&place.connection).copied();
        of_provider.unwrap_or_default() < AT_ONE_PROVIDER
            && of_connection.unwrap_or_default() < AT_ONE_CONNECTION
    }

    fn begin(&mut self, work: DueWork, row: ObjectRow) {
        let place = Place::of(&row);
        let count = |count: &mut usize| *count = count.saturating_add(1);
        count(self.of_provider.entry(place.provider.clone()).or_default());
        count(self.of_connection.entry(place.connection).or_default());
        let sweeper = self.sweeper.clone();
        let piece = self.running.spawn(async move {
            if let Err(error) = sweeper.work_on(&work, row).await {
                tracing::warn!(%error, object = %work.object_id, kind = work.kind.as_str(), "cannot work on an object");
            }
        });
        self.places.insert(piece.id(), place);
    }

    /// Where the next piece that ends was; none where none is being done.
    async fn next_ended(&mut self) -> Option<Place> {
        let ended = self.running.join_next_with_id().await?;
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                tracing::error!(%error, "a piece of due work broke; its lease ends");
                error.id()
            }
        };
        self.places.remove(&id)
    }

    /// Waits until a piece is done; `false` where none is being done.
    async fn finish_one(&mut self) -> bool {
        let ended = self.next_ended().await;
        if let Some(place) = &ended {
            self.ended(place).await;
        }
        ended.is_some()
    }

    /// A piece is done: what waited for that begins.
    async fn ended(&mut self, place: &Place) {
        count_down(&mut self.of_provider, &place.provider);
        count_down(&mut self.of_connection, &place.connection);
        self.begin_waiting().await;
    }

    async fn begin_waiting(&mut self) {
        let now = self.sweeper.clock.now();
        for _ in 0..self.waiting.len() {
            let Some((work, place, leased_at)) = self.waiting.pop_front() else {
                return;
            };
            if now.signed_duration_since(leased_at) > WAITED_MAX {
                continue;
            }
            if !self.has_room(&place) {
                self.waiting.push_back((work, place, leased_at));
            } else if let Err(error) = self.take(&work, leased_at).await {
                tracing::warn!(%error, object = %work.object_id, "cannot begin due work");
            }
        }
    }
}

/// One less of these; what has none is forgotten, for connections come and go.
fn count_down<K: Eq + Hash>(counts: &mut HashMap<K, usize>, of: &K) {
    if let Some(count) = counts.get_mut(of) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(of);
        }
    }
}
