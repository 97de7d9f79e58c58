//! Whose turn it is: what is under way at each endpoint, and how much may be.
//!
//! An endpoint begins with a little, gets more with each delivery that it takes quickly, and one at a
//! time when it fails or is slow. Those that have not shown themselves to be quick may take up a part of
//! the places only, so that any number of them does not delay the others. Of both, a tenant gets no more
//! than is left free, so that whoever comes finds a place, whatever the others' endpoints do.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::id::{TenantId, WebhookEndpointId};

/// Deliveries that one node has under way.
pub(super) const AT_ONCE: u32 = 256;
/// How many of them may be those of endpoints that are not known to be quick.
pub(super) const AT_ONCE_UNPROVEN: u32 = 128;
/// Deliveries under way at one endpoint.
pub(super) const AT_ONE: u32 = 8;
/// The same, until it has shown how quick it is.
pub(super) const AT_A_NEW_ONE: u32 = 2;
/// Endpoints that are known of. What is due for those beyond is found when there is room.
pub(super) const LANES_MAX: usize = 10_000;
/// What is known of an endpoint is forgotten when nothing was delivered to it for so long.
const KNOWN_FOR: TimeDelta = TimeDelta::minutes(10);

/// How an endpoint did with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// It took it quickly.
    Quick,
    /// It failed, or took its time.
    Poor,
    /// It was not asked.
    Unasked,
}

/// Endpoints with something to do.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: HashMap<WebhookEndpointId, Lane>,
    /// Those for which something may be due, whoever has waited for longest first.
    waiting: VecDeque<WebhookEndpointId>,
    places: Places,
    /// The places of those that have any.
    of_tenant: HashMap<TenantId, Places>,
}

/// Places that are taken.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Places {
    all: u32,
    /// Those of endpoints that are not known to be quick.
    unproven: u32,
}

#[derive(Debug)]
struct Lane {
    tenant: TenantId,
    running: u32,
    /// How many may be.
    room: u32,
    is_proven: bool,
    is_waiting: bool,
    /// Where it is to be left alone until then.
    not_before: Option<DateTime<Utc>>,
    used_at: DateTime<Utc>,
}

impl Places {
    fn add(&mut self, count: u32, is_proven: bool) {
        self.all = self.all.saturating_add(count);
        if !is_proven {
            self.unproven = self.unproven.saturating_add(count);
        }
    }

    fn remove(&mut self, count: u32, is_proven: bool) {
        self.all = self.all.saturating_sub(count);
        if !is_proven {
            self.unproven = self.unproven.saturating_sub(count);
        }
    }
}

/// How much a tenant may take of what is free, one after the other: as long as it has less than that. So
/// one tenant alone gets half, each of two a third, and as much is left for the next one.
const fn share(free: u32, own: u32) -> u32 {
    free.saturating_sub(own).div_ceil(2)
}

impl Lanes {
    /// Something may be due for a tenant's endpoint.
    pub(super) fn note(
        &mut self,
        (tenant, endpoint): (TenantId, WebhookEndpointId),
        now: DateTime<Utc>,
    ) {
        if self.lanes.len() >= LANES_MAX && !self.lanes.contains_key(&endpoint) {
            self.forget_idle(now);
            if self.lanes.len() >= LANES_MAX {
                return;
            }
        }
        self.lanes.entry(endpoint).or_insert(Lane {
            tenant,
            running: 0,
            room: AT_A_NEW_ONE,
            is_proven: false,
            is_waiting: false,
            not_before: None,
            used_at: now,
        });
        self.wait(endpoint);
    }

    /// Something may be due still.
    fn wait(&mut self, endpoint: WebhookEndpointId) {
        if let Some(lane) = self.lanes.get_mut(&endpoint)
            && !lane.is_waiting
        {
            lane.is_waiting = true;
            self.waiting.push_back(endpoint);
        }
    }

    /// For whom to take something now, and how much. Their places are taken until [`Lanes::took`].
    pub(super) fn next(&mut self, now: DateTime<Utc>) -> Vec<(WebhookEndpointId, u32)> {
        let mut wanted = Vec::new();
        for _ in 0..self.waiting.len() {
            let left = AT_ONCE.saturating_sub(self.places.all);
            let unproven_left = AT_ONCE_UNPROVEN.saturating_sub(self.places.unproven);
            if left == 0 {
                break;
            }
            let Some(endpoint) = self.waiting.pop_front() else {
                break;
            };
            let Some(lane) = self.lanes.get_mut(&endpoint) else {
                continue;
            };
            let is_early = lane.not_before.is_some_and(|at| at > now);
            let own = self.of_tenant.get(&lane.tenant).copied();
            let own = own.unwrap_or_default();
            let mut room = lane.room.saturating_sub(lane.running);
            room = room.min(share(left, own.all));
            if !lane.is_proven {
                room = room.min(share(unproven_left, own.unproven));
            }
            if is_early || room == 0 {
                self.waiting.push_back(endpoint);
                continue;
            }
            lane.not_before = None;
            lane.is_waiting = false;
            lane.used_at = now;
            self.begin(endpoint, room);
            wanted.push((endpoint, room));
        }
        wanted
    }

    /// How much was taken of what [`Lanes::next`] had asked for. An endpoint that had as much may have
    /// more.
    pub(super) fn took(&mut self, (endpoint, asked): (WebhookEndpointId, u32), taken: u32) {
        self.end(endpoint, asked.saturating_sub(taken));
        if taken >= asked {
            self.wait(endpoint);
        }
    }

    /// Nothing could be taken of what [`Lanes::next`] had asked for.
    pub(super) fn took_in_vain(&mut self, (endpoint, asked): (WebhookEndpointId, u32)) {
        self.end(endpoint, asked);
        self.wait(endpoint);
    }

    /// A delivery is over.
    pub(super) fn ended(&mut self, endpoint: WebhookEndpointId, health: Health) {
        self.end(endpoint, 1);
        let Some(lane) = self.lanes.get_mut(&endpoint) else {
            return;
        };
        let was_proven = lane.is_proven;
        match health {
            Health::Quick => {
                lane.room = lane.room.saturating_mul(2).min(AT_ONE);
                lane.is_proven = true;
            }
            Health::Poor => {
                lane.room = 1;
                lane.is_proven = false;
            }
            Health::Unasked => {}
        }
        let (count, is_proven) = (lane.running, lane.is_proven);
        if was_proven != is_proven {
            self.free(endpoint, count, was_proven);
            self.occupy(endpoint, count, is_proven);
        }
    }

    /// Leaves an endpoint alone until then, with whatever is due for it.
    pub(super) fn pause(&mut self, endpoint: WebhookEndpointId, until: DateTime<Utc>) {
        self.wait(endpoint);
        if let Some(lane) = self.lanes.get_mut(&endpoint) {
            lane.not_before = lane.not_before.max(Some(until));
        }
    }

    /// When the first of those that are left alone is to be looked at again.
    pub(super) fn first_pause_ends(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let waiting = self.waiting.iter();
        waiting
            .filter_map(|endpoint| self.lanes.get(endpoint)?.not_before)
            // The others wait for room.
            .filter(|at| *at > now)
            .min()
    }

    /// Deliveries under way.
    pub(super) const fn running(&self) -> u32 {
        self.places.all
    }

    fn begin(&mut self, endpoint: WebhookEndpointId, count: u32) {
        if let Some(lane) = self.lanes.get_mut(&endpoint) {
            lane.running = lane.running.saturating_add(count);
            let is_proven = lane.is_proven;
            self.occupy(endpoint, count, is_proven);
        }
    }

    fn end(&mut self, endpoint: WebhookEndpointId, count: u32) {
        if let Some(lane) = self.lanes.get_mut(&endpoint) {
            lane.running = lane.running.saturating_sub(count);
            let is_proven = lane.is_proven;
            self.free(endpoint, count, is_proven);
        }
    }

    fn occupy(&mut self, endpoint: WebhookEndpointId, count: u32, is_proven: bool) {
        self.places.add(count, is_proven);
        if let Some(lane) = self.lanes.get(&endpoint) {
            let own = self.of_tenant.entry(lane.tenant).or_default();
            own.add(count, is_proven);
        }
    }

    fn free(&mut self, endpoint: WebhookEndpointId, count: u32, is_proven: bool) {
        self.places.remove(count, is_proven);
        let Some(lane) = self.lanes.get(&endpoint) else {
            return;
        };
        if let Entry::Occupied(mut own) = self.of_tenant.entry(lane.tenant) {
            own.get_mut().remove(count, is_proven);
            if own.get().all == 0 {
                own.remove();
            }
        }
    }

    fn forget_idle(&mut self, now: DateTime<Utc>) {
        self.lanes.retain(|_, lane| {
            let is_busy = lane.running > 0 || lane.is_waiting;
            is_busy || now.signed_duration_since(lane.used_at) < KNOWN_FOR
        });
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const NOW: DateTime<Utc> = DateTime::from_timestamp_nanos(1_800_000_000_000_000_000);

    fn endpoint(number: u128) -> WebhookEndpointId {
        WebhookEndpointId::from_uuid(Uuid::from_u128(number))
    }

    /// An endpoint of a tenant that has no other.
    fn alone(number: u128) -> (TenantId, WebhookEndpointId) {
        of(number, number)
    }

    fn of(tenant: u128, number: u128) -> (TenantId, WebhookEndpointId) {
        let tenant = TenantId::from_uuid(Uuid::from_u128(tenant));
        (tenant, endpoint(number))
    }

    /// All that may be taken of a lane which has any amount.
    fn take_all(lanes: &mut Lanes) -> HashMap<WebhookEndpointId, u32> {
        let mut all = HashMap::new();
        loop {
            let wanted = lanes.next(NOW);
            if wanted.is_empty() {
                return all;
            }
            for one in wanted {
                lanes.took(one, one.1);
                *all.entry(one.0).or_default() += one.1;
            }
        }
    }

    #[test]
    fn an_endpoint_that_is_quick_gets_more_and_one_that_is_not_gets_one() {
        let mut lanes = Lanes::default();
        lanes.note(alone(1), NOW);
        let mut running = take_all(&mut lanes)[&endpoint(1)];
        assert_eq!(running, AT_A_NEW_ONE);
        for expected in [4, 8, 8] {
            lanes.ended(endpoint(1), Health::Quick);
            running = running - 1 + take_all(&mut lanes)[&endpoint(1)];
            assert_eq!(running, expected);
        }
        lanes.ended(endpoint(1), Health::Poor);
        // Seven are still under way.
        for _ in 0..7 {
            assert!(take_all(&mut lanes).is_empty());
            lanes.ended(endpoint(1), Health::Poor);
        }
        assert_eq!(take_all(&mut lanes)[&endpoint(1)], 1);
    }

    #[test]
    fn any_number_of_slow_endpoints_leaves_places_for_a_quick_one() {
        let mut lanes = Lanes::default();
        lanes.note(alone(0), NOW);
        assert_eq!(lanes.next(NOW), [(endpoint(0), AT_A_NEW_ONE)]);
        lanes.took((endpoint(0), AT_A_NEW_ONE), 1);
        lanes.ended(endpoint(0), Health::Quick);
        for number in 1..1_000 {
            lanes.note(alone(number), NOW);
        }
        let taken = take_all(&mut lanes);
        assert_eq!(taken.values().sum::<u32>(), AT_ONCE_UNPROVEN);
        lanes.note(alone(0), NOW);
        assert_eq!(take_all(&mut lanes), HashMap::from([(endpoint(0), 4)]));
        assert_eq!(lanes.running(), AT_ONCE_UNPROVEN + 4);
    }

    #[test]
    fn a_node_has_so_much_under_way_and_no_more() {
        let mut lanes = Lanes::default();
        for number in 0..100 {
            lanes.note(alone(number), NOW);
        }
        // All have shown how quick they are.
        for _ in 0..6 {
            for (endpoint, asked) in lanes.next(NOW) {
                lanes.took((endpoint, asked), 1);
                lanes.ended(endpoint, Health::Quick);
                lanes.wait(endpoint);
            }
        }
        let taken = take_all(&mut lanes);
        assert_eq!(taken.values().sum::<u32>(), AT_ONCE);
        // Whoever has waited is next.
        let (served, _) = taken.iter().next().unwrap();
        lanes.ended(*served, Health::Quick);
        let next = lanes.next(NOW);
        assert_eq!(next.len(), 1);
        assert!(!taken.contains_key(&next[0].0));
    }

    #[test]
    fn a_tenant_leaves_as_many_places_as_it_has() {
        let mut lanes = Lanes::default();
        for number in 0..100 {
            lanes.note(of(1, number), NOW);
        }
        let sum = |taken: HashMap<_, u32>| taken.values().sum::<u32>();
        assert_eq!(sum(take_all(&mut lanes)), AT_ONCE_UNPROVEN / 2);
        for number in 100..200 {
            lanes.note(of(2, number), NOW);
        }
        assert_eq!(sum(take_all(&mut lanes)), AT_ONCE_UNPROVEN / 4);
        // The first one has more than its third and gets nothing, until it has less.
        lanes.note(alone(200), NOW);
        assert_eq!(take_all(&mut lanes), HashMap::from([(endpoint(200), 2)]));
        for number in 0..32 {
            lanes.ended(endpoint(number), Health::Poor);
            lanes.ended(endpoint(number), Health::Poor);
        }
        assert_eq!(lanes.of_tenant.len(), 2);
        let (places, own) = (lanes.places, lanes.of_tenant.values());
        assert_eq!(places.all, own.map(|own| own.all).sum::<u32>());
        let taken = take_all(&mut lanes);
        assert!(taken.keys().any(|one| *one < endpoint(100)), "{taken:?}");
    }

    #[test]
    fn quick_endpoints_of_one_tenant_leave_places_too() {
        let mut lanes = Lanes::default();
        for number in 0..100 {
            lanes.note(of(1, number), NOW);
        }
        for _ in 0..8 {
            for one in lanes.next(NOW) {
                lanes.took(one, 1);
                lanes.ended(one.0, Health::Quick);
                lanes.wait(one.0);
            }
        }
        let taken = take_all(&mut lanes);
        assert_eq!(taken.values().sum::<u32>(), AT_ONCE / 2);
        // Whatever they do now.
        lanes.note(alone(100), NOW);
        assert_eq!(take_all(&mut lanes), HashMap::from([(endpoint(100), 2)]));
        for (endpoint, count) in taken {
            for _ in 0..count {
                lanes.ended(endpoint, Health::Poor);
            }
        }
        lanes.ended(endpoint(100), Health::Unasked);
        lanes.ended(endpoint(100), Health::Unasked);
        assert_eq!(
            (lanes.places, lanes.of_tenant.len()),
            (Places::default(), 0)
        );
    }

    #[test]
    fn an_endpoint_that_is_left_alone_is_looked_at_again_in_time() {
        let mut lanes = Lanes::default();
        let until = NOW + TimeDelta::seconds(3);
        lanes.note(alone(1), NOW);
        lanes.pause(endpoint(1), until);
        lanes.pause(endpoint(1), NOW + TimeDelta::seconds(1));
        assert!(lanes.next(NOW).is_empty());
        assert_eq!(lanes.first_pause_ends(NOW), Some(until));
        assert_eq!(lanes.first_pause_ends(until), None);
        assert_eq!(lanes.next(until), [(endpoint(1), AT_A_NEW_ONE)]);
        assert_eq!(lanes.first_pause_ends(NOW), None);
    }

    #[test]
    fn what_is_known_has_a_bound() {
        let mut lanes = Lanes::default();
        let count = u128::try_from(LANES_MAX).unwrap();
        for number in 0..count {
            lanes.note(alone(number), NOW);
        }
        lanes.note(alone(count), NOW);
        assert_eq!(lanes.lanes.len(), LANES_MAX);
        for one in lanes.next(NOW) {
            lanes.took(one, 0);
        }
        lanes.note(alone(count), NOW + KNOWN_FOR);
        assert!(lanes.lanes.len() <= LANES_MAX);
        assert!(lanes.lanes.contains_key(&endpoint(count)));
    }
}
