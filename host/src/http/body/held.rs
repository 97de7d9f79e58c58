//! What all bodies that are held may have together, whatever their clients declare: a share grows
//! with what has arrived, and is given back when the body is dropped.
//!
//! One tenant gets a part of it only, and all of them leave something for operators: whoever fills
//! the gateway keeps out neither other tenants nor those who can do something about it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use onerouter_domain::id::{ConnectionId, TenantId};

/// Bodies that are held at the same time, however many connections send slowly.
const HELD_BYTES_MAX: usize = 256 << 20;
/// Of them, those of one tenant.
const TENANT_BYTES_MAX: usize = HELD_BYTES_MAX / 4;
/// Of them, what tenants leave to operators.
const OPERATOR_BYTES_MIN: usize = 32 << 20;
/// Of them, those of providers, of whom nobody knows yet who they are.
const WEBHOOK_BYTES_MAX: usize = 64 << 20;
/// Of these, those to one connection.
const CONNECTION_BYTES_MAX: usize = WEBHOOK_BYTES_MAX / 8;
/// Even one byte costs a request's memory.
const STEP_BYTES: usize = 1 << 10;

/// The account of one gateway. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bodies(Arc<Mutex<Account>>);

#[derive(Debug, Default)]
struct Account {
    all: usize,
    /// Those of tenants that hold any.
    tenants: HashMap<TenantId, usize>,
    webhooks: usize,
    /// Those of connections that get any.
    connections: HashMap<ConnectionId, usize>,
}

/// Whose body it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Tenant(TenantId),
    Operator,
    /// Whoever sends to a connection's webhook.
    Webhook(ConnectionId),
}

/// There is no room for more.
#[derive(Debug)]
pub(crate) struct Full;

/// What one body is charged.
#[derive(Debug)]
pub(crate) struct Share {
    bodies: Bodies,
    owner: Owner,
    bytes: usize,
}

/// A body with its share.
struct Held {
    bytes: Bytes,
    _share: Share,
}

impl Bodies {
    /// An empty share.
    pub(crate) fn share(&self, owner: Owner) -> Share {
        Share {
            bodies: self.clone(),
            owner,
            bytes: 0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    fn charge(&mut self, owner: Owner, bytes: usize) -> Result<(), Full> {
        let all = self.all.saturating_add(bytes);
        match owner {
            Owner::Operator if all <= HELD_BYTES_MAX => {}
            Owner::Tenant(tenant) if all <= HELD_BYTES_MAX - OPERATOR_BYTES_MIN => {
                let held = self.tenants.get(&tenant).map_or(0, |held| *held);
                let held = held.saturating_add(bytes);
                if held > TENANT_BYTES_MAX {
                    return Err(Full);
                }
                self.tenants.insert(tenant, held);
            }
            Owner::Webhook(connection) if all <= HELD_BYTES_MAX - OPERATOR_BYTES_MIN => {
                let held = self.connections.get(&connection).map_or(0, |held| *held);
                let held = held.saturating_add(bytes);
                let webhooks = self.webhooks.saturating_add(bytes);
                if held > CONNECTION_BYTES_MAX || webhooks > WEBHOOK_BYTES_MAX {
                    return Err(Full);
                }
                self.webhooks = webhooks;
                self.connections.insert(connection, held);
            }
            Owner::Operator | Owner::Tenant(_) | Owner::Webhook(_) => return Err(Full),
        }
        self.all = all;
        Ok(())
    }

    fn give_back(&mut self, owner: Owner, bytes: usize) {
        self.all = self.all.saturating_sub(bytes);
        match owner {
            Owner::Tenant(tenant) => take_off(&mut self.tenants, tenant, bytes),
            Owner::Webhook(connection) => {
                self.webhooks = self.webhooks.saturating_sub(bytes);
                take_off(&mut self.connections, connection, bytes);
            }
            Owner::Operator => {}
        }
    }
}

/// One that holds nothing any more is forgotten.
fn take_off<K: Eq + Hash>(held: &mut HashMap<K, usize>, key: K, bytes: usize) {
    if let Some(of_key) = held.get_mut(&key) {
        *of_key = of_key.saturating_sub(bytes);
        if *of_key == 0 {
            held.remove(&key);
        }
    }
}

impl Share {
    /// How much is charged.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Charges `bytes` in all, in whole steps.
    ///
    /// # Errors
    /// [`Full`]: it stays as it is.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        let more = bytes
            .next_multiple_of(STEP_BYTES)
            .saturating_sub(self.bytes);
        if more > 0 {
            self.bodies.lock().charge(self.owner, more)?;
            self.bytes = self.bytes.saturating_add(more);
            metrics::gauge!("onerouter_http_body_bytes_held").increment(gauged(more));
        }
        Ok(())
    }

    /// The body that is charged.
    pub(crate) fn hold(self, bytes: Bytes) -> Bytes {
        if bytes.is_empty() {
            return bytes;
        }
        Bytes::from_owner(Held {
            bytes,
            _share: self,
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.bodies.lock().give_back(self.owner, self.bytes);
            metrics::gauge!("onerouter_http_body_bytes_held").decrement(gauged(self.bytes));
        }
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// In whole steps, which are exact.
fn gauged(bytes: usize) -> f64 {
    u32::try_from(bytes / STEP_BYTES).map_or(0.0, |steps| f64::from(steps) * 1_024.0)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn tenant(number: u128) -> Owner {
        Owner::Tenant(TenantId::from_uuid(Uuid::from_u128(number)))
    }

    #[test]
    fn one_tenant_gets_a_part_and_all_of_them_leave_the_operators_theirs() {
        let bodies = Bodies::default();
        let filled = |owner| {
            let mut share = bodies.share(owner);
            while share.grow(share.bytes() + (1 << 20)).is_ok() {}
            share
        };
        let shares: Vec<_> = (0..5).map(|number| filled(tenant(number))).collect();
        let held: Vec<_> = shares.iter().map(|share| share.bytes() >> 20).collect();
        assert_eq!(held, [64, 64, 64, 32, 0]);
        assert!(bodies.share(tenant(9)).grow(1).is_err());
        let operator = filled(Owner::Operator);
        assert_eq!(operator.bytes(), OPERATOR_BYTES_MIN);
        drop(shares);
        assert!(bodies.share(tenant(9)).grow(TENANT_BYTES_MAX).is_ok());
        drop(operator);
        let account = bodies.lock();
        assert_eq!((account.all, account.tenants.len()), (0, 0));
    }
}
