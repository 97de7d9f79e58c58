//! Idle connections, kept for the next request on the same route.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::EgressConfig;
use crate::connection::Connection;
use crate::dial::Route;

#[derive(Debug)]
pub(crate) struct Pool {
    idle: Mutex<Idle>,
    per_route: usize,
    total: usize,
    timeout: Duration,
}

#[derive(Debug, Default)]
struct Idle {
    by_route: HashMap<Route, Vec<Parked>>,
    count: usize,
}

#[derive(Debug)]
struct Parked {
    connection: Connection,
    since: Instant,
}

impl Pool {
    pub(crate) fn new(config: &EgressConfig) -> Self {
        Self {
            idle: Mutex::default(),
            per_route: config.idle_per_origin,
            total: config.idle_total,
            timeout: config.idle_timeout,
        }
    }

    /// The connection that was used last: those that are not needed grow old and are closed.
    pub(crate) fn take(&self, route: &Route) -> Option<Connection> {
        let now = Instant::now();
        loop {
            // The guard lives for this statement only; the check below is a system call.
            let mut parked = self.lock().pop(route)?;
            let fresh = now.saturating_duration_since(parked.since) < self.timeout;
            if fresh && parked.connection.is_usable() {
                return Some(parked.connection);
            }
        }
    }

    pub(crate) fn put(&self, route: Route, connection: Connection) {
        let now = Instant::now();
        let mut closed = Vec::new();
        let mut idle = self.lock();
        if idle.count >= self.total {
            closed = idle.drain_older(now, self.timeout);
        }
        let room = idle.count < self.total;
        let parked = idle.by_route.entry(route).or_default();
        if room && parked.len() < self.per_route {
            parked.push(Parked {
                connection,
                since: now,
            });
            idle.count += 1;
        }
        // Sockets are closed after the lock is gone.
        drop(idle);
        drop(closed);
    }

    /// Closes what has been idle for too long.
    pub(crate) fn sweep(&self) {
        let closed = self.lock().drain_older(Instant::now(), self.timeout);
        drop(closed);
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().count
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    fn pop(&mut self, route: &Route) -> Option<Parked> {
        let parked = self.by_route.get_mut(route)?.pop()?;
        self.count -= 1;
        Some(parked)
    }

    fn drain_older(&mut self, now: Instant, timeout: Duration) -> Vec<Parked> {
        let mut old = Vec::new();
        self.by_route.retain(|_, parked| {
            // Sorted by age, because the newest is taken first and put back last.
            let keep = parked
                .partition_point(|parked| now.saturating_duration_since(parked.since) >= timeout);
            old.extend(parked.drain(..keep));
            !parked.is_empty()
        });
        self.count -= old.len();
        old
    }
}
