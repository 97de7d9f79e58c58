//! How many webhooks have their provider asked at the same time: one that hangs takes up a part of the
//! places only. Whatever asks nobody needs none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use onerouter_domain::id::ConnectionId;

use super::{AT_ONE_CONNECTION, AT_ONE_PROVIDER};
use crate::store::ReceivedWebhookRow;

/// Which places are taken.
#[derive(Debug, Clone, Default)]
pub struct Places(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    of_provider: HashMap<String, usize>,
    of_connection: HashMap<ConnectionId, usize>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    provider: String,
    connection: ConnectionId,
}

impl Places {
    /// Whether there would be a place for a webhook.
    pub(super) fn has_room(&self, row: &ReceivedWebhookRow) -> bool {
        self.lock().has_room(row)
    }

    /// A place for a webhook; none where its provider or its connection has as many as it may.
    pub(super) fn take(&self, row: &ReceivedWebhookRow) -> Option<Place> {
        let mut taken = self.lock();
        if !taken.has_room(row) {
            return None;
        }
        *taken.of_provider.entry(row.provider.clone()).or_default() += 1;
        *taken.of_connection.entry(row.connection_id).or_default() += 1;
        Some(Place {
            places: self.clone(),
            provider: row.provider.clone(),
            connection: row.connection_id,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn has_room(&self, row: &ReceivedWebhookRow) -> bool {
        let count = |count: Option<&usize>| count.copied().unwrap_or_default();
        count(self.of_provider.get(&row.provider)) < AT_ONE_PROVIDER
            && count(self.of_connection.get(&row.connection_id)) < AT_ONE_CONNECTION
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(count) = taken.of_provider.get_mut(&self.provider) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = taken.of_connection.get_mut(&self.connection) {
            *count = count.saturating_sub(1);
        }
        taken.of_provider.retain(|_, count| *count > 0);
        taken.of_connection.retain(|_, count| *count > 0);
    }
}
