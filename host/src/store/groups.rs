//! Writes that wait at the same moment share one transaction: one beginning, one statement and one
//! commit for all of them, with one wake-up each.
//!
//! Nobody waits for company. While fewer than [`AT_ONCE`] transactions of a tenant are under way, a
//! write goes at once; what comes meanwhile goes together as soon as one of them has ended. A group is
//! of one tenant, as a transaction is. One write that the database refuses does not fail the others:
//! they are then made one by one.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use onerouter_domain::id::TenantId;
use tokio::sync::oneshot;

use super::{Store, StoreError, TenantTx};

/// Transactions of one tenant and one kind that are under way: with a second one, a commit that waits
/// for the disk does not hold up what could be prepared meanwhile.
const AT_ONCE: usize = 2;
/// Writes of one transaction: locks are held for a short time, and statements stay of a size that the
/// server is used to.
const MEMBERS_MAX: usize = 64;
/// Bytes of one transaction's writes, about: an e-mail with large attachments goes alone.
const GROUP_BYTES_MAX: usize = 1 << 20;
/// Writes of one tenant that wait. Whoever comes later is refused at once.
const WAITING_MAX: usize = 4_096;
/// As long as for a free connection: a database that hangs holds nobody for longer.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Why a write that was to share a transaction was not made.
#[derive(Debug, Clone)]
pub struct GroupError {
    /// What failed, for each that shared it.
    pub error: Arc<StoreError>,
    /// Whether it was the commit: then the write may have been made.
    pub is_undecided: bool,
}

impl GroupError {
    fn before_commit(error: StoreError) -> Self {
        Self {
            error: Arc::new(error),
            is_undecided: false,
        }
    }

    fn at_commit(error: StoreError) -> Self {
        Self {
            error: Arc::new(error),
            is_undecided: true,
        }
    }
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for GroupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.error)
    }
}

/// A write that may share its transaction with others of its kind.
pub(super) trait Shared: Sized + Send + Sync {
    /// What becomes of it.
    type Outcome: Send;

    /// Its size in bytes, about.
    fn bytes(&self) -> usize;

    /// Makes all of these in one transaction of a tenant: what became of each, in their order, and the
    /// transaction, which is yet to be committed.
    fn write(
        store: &Store,
        tenant: TenantId,
        writes: &[Self],
    ) -> impl Future<Output = Result<(TenantTx, Vec<Self::Outcome>), StoreError>> + Send;
}

/// Groups of one kind of write, by tenant.
pub(super) struct Groups<T: Shared> {
    lanes: Mutex<HashMap<TenantId, Lane<T>>>,
    /// Tells those apart who wait.
    numbers: AtomicU64,
}

/// What a tenant has under way.
struct Lane<T: Shared> {
    running: usize,
    waiting: VecDeque<Waiting<T>>,
}

struct Waiting<T: Shared> {
    number: u64,
    write: T,
    turn: oneshot::Sender<Turn<T>>,
}

/// What somebody who waits is told.
enum Turn<T: Shared> {
    /// Somebody else has written it.
    Written(Result<T::Outcome, GroupError>),
    /// Write these, your own first.
    Lead(T, Vec<Waiting<T>>),
}

impl<T: Shared> Default for Groups<T> {
    fn default() -> Self {
        Self {
            lanes: Mutex::default(),
            numbers: AtomicU64::new(0),
        }
    }
}

impl<T: Shared> fmt::Debug for Groups<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Groups").finish_non_exhaustive()
    }
}

impl<T: Shared> Groups<T> {
    /// Makes a write, perhaps together with others.
    ///
    /// Dropped while it leads, it leaves the others of its group undecided.
    pub(super) async fn join(
        &self,
        store: &Store,
        tenant: TenantId,
        own: T,
    ) -> Result<T::Outcome, GroupError> {
        let (own, others) = match self.take_part(tenant, own) {
            Part::Lead(own) => (own, Vec::new()),
            Part::Wait(number, turn) => match self.wait(tenant, number, turn).await {
                Some(Turn::Written(result)) => return result,
                Some(Turn::Lead(own, others)) => (own, others),
                None => return Err(GroupError::at_commit(abandoned())),
            },
            Part::Refused => return Err(GroupError::before_commit(overrun())),
        };
        let _leading = Leading {
            groups: self,
            tenant,
        };
        let (turns, writes) = split(own, others);
        let mut results = write_all(store, tenant, &writes).await.into_iter();
        let own = results.next();
        for (turn, result) in turns.into_iter().zip(results) {
            // Nobody may wait for it any more.
            let _ = turn.send(Turn::Written(result));
        }
        own.unwrap_or_else(|| Err(GroupError::at_commit(abandoned())))
    }

    /// Waits for a turn, but not for too long; none when the one who led is gone. A write that is on its
    /// way already cannot be taken back.
    async fn wait(
        &self,
        tenant: TenantId,
        number: u64,
        mut turn: oneshot::Receiver<Turn<T>>,
    ) -> Option<Turn<T>> {
        if let Ok(told) = tokio::time::timeout(WAIT_MAX, &mut turn).await {
            return told.ok();
        }
        let is_taken_back = self.change(|lanes| {
            let lane = lanes.get_mut(&tenant)?;
            let place = lane.waiting.iter().position(|one| one.number == number)?;
            lane.waiting.remove(place)
        });
        match is_taken_back {
            Some(_) => Some(Turn::Written(Err(GroupError::before_commit(overrun())))),
            None => turn.await.ok(),
        }
    }

    fn take_part(&self, tenant: TenantId, own: T) -> Part<T> {
        self.change(|lanes| {
            let lane = lanes.entry(tenant).or_insert_with(|| Lane {
                running: 0,
                waiting: VecDeque::new(),
            });
            if lane.running < AT_ONCE {
                lane.running += 1;
                return Part::Lead(own);
            }
            if lane.waiting.len() >= WAITING_MAX {
                return Part::Refused;
            }
            let (turn, told) = oneshot::channel();
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            lane.waiting.push_back(Waiting {
                number,
                write: own,
                turn,
            });
            Part::Wait(number, told)
        })
    }

    /// A transaction has ended: the first of those who wait leads the next one.
    fn pass_on(&self, tenant: TenantId) {
        self.change(|lanes| {
            let Some(lane) = lanes.get_mut(&tenant) else {
                return;
            };
            while let Some(first) = lane.waiting.pop_front() {
                let others = lane.company_of(&first.write);
                match first.turn.send(Turn::Lead(first.write, others)) {
                    Ok(()) => return,
                    // It was dropped; the next one leads.
                    Err(Turn::Lead(_, others)) => {
                        for other in others.into_iter().rev() {
                            lane.waiting.push_front(other);
                        }
                    }
                    Err(Turn::Written(_)) => return,
                }
            }
            lane.running = lane.running.saturating_sub(1);
            if lane.running == 0 {
                lanes.remove(&tenant);
            }
        });
    }

    /// Nothing that can panic is done under this lock.
    fn change<C>(&self, change: impl FnOnce(&mut HashMap<TenantId, Lane<T>>) -> C) -> C {
        change(&mut self.lanes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

enum Part<T: Shared> {
    Lead(T),
    Wait(u64, oneshot::Receiver<Turn<T>>),
    /// Too many wait already.
    Refused,
}

impl<T: Shared> Lane<T> {
    /// Those that go together with the first, in their order.
    fn company_of(&mut self, first: &T) -> Vec<Waiting<T>> {
        let mut bytes = first.bytes();
        let mut others = Vec::new();
        while others.len() + 1 < MEMBERS_MAX
            && let Some(next) = self.waiting.pop_front_if(|next| {
                bytes = bytes.saturating_add(next.write.bytes());
                bytes <= GROUP_BYTES_MAX
            })
        {
            others.push(next);
        }
        others
    }
}

/// Whatever ends a transaction, the lane goes on.
struct Leading<'g, T: Shared> {
    groups: &'g Groups<T>,
    tenant: TenantId,
}

impl<T: Shared> Drop for Leading<'_, T> {
    fn drop(&mut self) {
        self.groups.pass_on(self.tenant);
    }
}

type Turns<T> = Vec<oneshot::Sender<Turn<T>>>;

fn split<T: Shared>(own: T, others: Vec<Waiting<T>>) -> (Turns<T>, Vec<T>) {
    let mut turns = Vec::with_capacity(others.len());
    let mut writes = Vec::with_capacity(others.len() + 1);
    writes.push(own);
    for Waiting { write, turn, .. } in others {
        writes.push(write);
        turns.push(turn);
    }
    (turns, writes)
}

/// One transaction for all, or, where the database refuses one of them, one for each.
async fn write_all<T: Shared>(
    store: &Store,
    tenant: TenantId,
    writes: &[T],
) -> Vec<Result<T::Outcome, GroupError>> {
    match write_together(store, tenant, writes).await {
        Ok(results) => results.into_iter().map(Ok).collect(),
        Err(failed) if failed.is_undecided || writes.len() == 1 || is_away(&failed.error) => {
            writes.iter().map(|_| Err(failed.clone())).collect()
        }
        Err(_one_was_refused) => {
            let mut results = Vec::with_capacity(writes.len());
            for one in writes {
                let alone = write_together(store, tenant, std::slice::from_ref(one)).await;
                results.push(alone.and_then(|results| {
                    let only = results.into_iter().next();
                    only.ok_or_else(|| GroupError::at_commit(abandoned()))
                }));
            }
            results
        }
    }
}

async fn write_together<T: Shared>(
    store: &Store,
    tenant: TenantId,
    writes: &[T],
) -> Result<Vec<T::Outcome>, GroupError> {
    let (tx, results) = T::write(store, tenant, writes)
        .await
        .map_err(GroupError::before_commit)?;
    tx.commit().await.map_err(GroupError::at_commit)?;
    Ok(results)
}

/// Trying again one by one would only take longer.
const fn is_away(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable { .. })
}

fn overrun() -> StoreError {
    StoreError::Unavailable {
        operation: "share a transaction",
        source: sqlx::Error::PoolTimedOut,
    }
}

fn abandoned() -> StoreError {
    StoreError::Unavailable {
        operation: "share a transaction",
        source: sqlx::Error::WorkerCrashed,
    }
}

#[cfg(test)]
mod tests {
    use crate::store::{DEFAULT_TENANT, StoreConfig};

    use super::*;

    /// A write of a size.
    struct Sized(usize);

    impl Shared for Sized {
        type Outcome = ();

        fn bytes(&self) -> usize {
            self.0
        }

        async fn write(
            store: &Store,
            tenant: TenantId,
            writes: &[Self],
        ) -> Result<(TenantTx, Vec<()>), StoreError> {
            Ok((store.begin(tenant).await?, vec![(); writes.len()]))
        }
    }

    /// All places of the tenant are taken.
    fn busy() -> Groups<Sized> {
        let groups = Groups::default();
        for _ in 0..AT_ONCE {
            assert!(matches!(
                groups.take_part(DEFAULT_TENANT, Sized(1)),
                Part::Lead(_)
            ));
        }
        groups
    }

    fn waiting(groups: &Groups<Sized>, bytes: usize) -> oneshot::Receiver<Turn<Sized>> {
        match groups.take_part(DEFAULT_TENANT, Sized(bytes)) {
            Part::Wait(_, told) => told,
            Part::Lead(_) | Part::Refused => panic!("does not wait"),
        }
    }

    /// Sizes of the group that the one who was told leads.
    fn led(told: &mut oneshot::Receiver<Turn<Sized>>) -> Vec<usize> {
        match told.try_recv() {
            Ok(Turn::Lead(own, others)) => {
                let others = others.iter().map(|other| other.write.0);
                std::iter::once(own.0).chain(others).collect()
            }
            Ok(Turn::Written(_)) | Err(_) => panic!("does not lead"),
        }
    }

    #[test]
    fn a_group_has_a_bound_in_bytes_and_in_writes() {
        let groups = busy();
        let mut told = [600 << 10, 600 << 10, 100, 2 << 20, 5].map(|one| waiting(&groups, one));
        groups.pass_on(DEFAULT_TENANT);
        assert_eq!(led(&mut told[0]), [600 << 10]);
        groups.pass_on(DEFAULT_TENANT);
        assert_eq!(led(&mut told[1]), [600 << 10, 100]);
        // What is too large for company goes all the same.
        groups.pass_on(DEFAULT_TENANT);
        assert_eq!(led(&mut told[3]), [2 << 20]);
        let mut crowd: Vec<_> = (0..2 * MEMBERS_MAX).map(|_| waiting(&groups, 1)).collect();
        groups.pass_on(DEFAULT_TENANT);
        assert_eq!(led(&mut told[4]).len(), MEMBERS_MAX);
        groups.pass_on(DEFAULT_TENANT);
        let next = &mut crowd[MEMBERS_MAX - 1];
        assert_eq!(led(next).len(), MEMBERS_MAX);
    }

    #[test]
    fn a_tenant_has_no_more_than_so_many_waiting() {
        let groups = busy();
        let told: Vec<_> = (0..WAITING_MAX).map(|_| waiting(&groups, 1)).collect();
        let refused = groups.take_part(DEFAULT_TENANT, Sized(1));
        assert!(matches!(refused, Part::Refused));
        drop(told);
        // Nobody who waits is there any more: the places are free again.
        for _ in 0..AT_ONCE {
            groups.pass_on(DEFAULT_TENANT);
        }
        assert!(groups.change(|lanes| lanes.is_empty()));
    }

    #[tokio::test]
    async fn whoever_waits_for_too_long_takes_the_write_back() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/onerouter.db", folder.path().display());
        let store = Store::connect(&StoreConfig::new(url)).await.unwrap();
        let groups = busy();
        tokio::time::pause();
        let refused = groups.join(&store, DEFAULT_TENANT, Sized(1)).await;
        let refused = refused.unwrap_err();
        assert!(!refused.is_undecided && is_away(&refused.error));
        groups.pass_on(DEFAULT_TENANT);
        let running = groups.change(|lanes| lanes[&DEFAULT_TENANT].running);
        assert_eq!(running, AT_ONCE - 1);
        tokio::time::resume();
        store.close().await;
    }
}
