//! OAuth 2 client credentials ([RFC 6749, section 4.4]): tokens that the host gets, keeps and renews,
//! and that no guest ever sees.
//!
//! - [`grant`]: what is asked for, and how
//! - [`exchange`]: asking, and what the answer means
//! - [`token`]: what comes of it
//!
//! Tokens are kept per engine, by a digest of everything that they depend on, the client's secret
//! included: two connections share one only where they were given the same client.
//!
//! [RFC 6749, section 4.4]: https://www.rfc-editor.org/rfc/rfc6749#section-4.4

mod exchange;
mod grant;
mod token;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::time::{Instant, timeout_at};

use crate::engine::Inner;
pub(crate) use exchange::TokenError;
use grant::Key;
pub(crate) use grant::{Client, Grant};
pub(crate) use token::Token;

/// Tokens that are kept, about 25 KiB each with the search for it. Whoever is pushed out has to ask
/// again.
const TOKENS_MAX: usize = 10_000;

/// An exchange that takes longer has failed, for everybody who waits for it: tokens come within a
/// second, and a call has more to do than to wait for one.
const EXCHANGE_TIME_MAX: Duration = Duration::from_secs(10);

/// The tokens of an engine.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    entries: Mutex<HashMap<Key, Arc<Entry>>>,
}

/// A token, or the place for one.
#[derive(Debug, Default)]
struct Entry {
    token: ArcSwapOption<Token>,
    /// Exchanges that have ended, well or not.
    rounds: AtomicU64,
    /// How the last round failed. Held while an exchange is under way, which is what an asynchronous
    /// lock is for: whoever else needs the token waits for this exchange instead of making one.
    exchanging: tokio::sync::Mutex<Option<TokenError>>,
    used_at_ms: AtomicU64,
}

impl Tokens {
    /// A token that is good for now: the one that is kept, or a fresh one.
    ///
    /// Of many calls that need one at the same time one asks, and the others get what it got, be it a
    /// failure. A call that is dropped or runs out of its own time while it asks leaves the question
    /// to the next.
    pub(crate) async fn get(
        &self,
        engine: &Inner,
        grant: &Grant,
        deadline: Instant,
    ) -> Result<Arc<Token>, TokenError> {
        let entry = self.entry(grant, engine.clock.now_ms());
        if let Some(token) = entry.fresh(engine.clock.now_ms()) {
            return Ok(token);
        }
        let seen = entry.rounds.load(Ordering::Acquire);
        let mut failed = timeout_at(deadline, entry.exchanging.lock())
            .await
            .map_err(|_elapsed| TokenError::Late)?;
        if let Some(token) = entry.fresh(engine.clock.now_ms()) {
            return Ok(token);
        }
        if entry.rounds.load(Ordering::Acquire) != seen
            && let Some(error) = &*failed
        {
            return Err(error.clone());
        }
        let limit = Instant::now() + EXCHANGE_TIME_MAX;
        let asked = exchange::exchange(engine, grant, deadline.min(limit)).await;
        match &asked {
            Ok(token) => {
                entry.token.store(Some(Arc::clone(token)));
                *failed = None;
            }
            // The others may have more time than this call had.
            Err(_) if Instant::now() >= deadline => return asked,
            Err(error) => *failed = Some(error.clone()),
        }
        entry.rounds.fetch_add(1, Ordering::Release);
        asked
    }

    /// The provider does not accept this token any more. A newer one stays.
    pub(crate) fn discard(&self, grant: &Grant, token: &Arc<Token>) {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(grant.key()) {
            let refused = Some(Arc::clone(token));
            entry.token.compare_and_swap(&refused, None);
        }
    }

    fn entry(&self, grant: &Grant, now_ms: u64) -> Arc<Entry> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(grant.key()) {
            entry.used_at_ms.store(now_ms, Ordering::Relaxed);
            return Arc::clone(entry);
        }
        if entries.len() >= TOKENS_MAX {
            make_room(&mut entries, now_ms);
        }
        let entry = Arc::new(Entry {
            used_at_ms: AtomicU64::new(now_ms),
            ..Entry::default()
        });
        entries.insert(*grant.key(), Arc::clone(&entry));
        entry
    }
}

impl Entry {
    fn fresh(&self, now_ms: u64) -> Option<Arc<Token>> {
        let token = self.token.load_full()?;
        token.is_fresh(now_ms).then_some(token)
    }
}

/// Without the tokens that have expired, or else without the one that was not used for longest. A call
/// that has an entry in its hands keeps it.
fn make_room(entries: &mut HashMap<Key, Arc<Entry>>, now_ms: u64) {
    entries.retain(|_, entry| entry.fresh(now_ms).is_some());
    if entries.len() < TOKENS_MAX {
        return;
    }
    let used_at = |entry: &Arc<Entry>| entry.used_at_ms.load(Ordering::Relaxed);
    let oldest = entries.iter().min_by_key(|(_, entry)| used_at(entry));
    if let Some(key) = oldest.map(|(key, _)| *key) {
        entries.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use onerouter_egress::Origin;

    use super::{Client, Grant, TOKENS_MAX, Token, Tokens};

    fn grant(number: usize) -> Grant {
        let client = Client {
            id: "client",
            secret: &format!("secret-{number:08}"),
        };
        let origin = Origin::https("api.example.com");
        Grant::new(origin, "/token", "", &client)
    }

    fn token(fresh_until_ms: u64) -> Arc<Token> {
        Arc::new(Token::new("access-token", fresh_until_ms).unwrap())
    }

    #[test]
    fn what_is_full_loses_what_has_expired_or_was_not_used_for_longest() {
        let tokens = Tokens::default();
        let held = || tokens.entries.lock().unwrap().len();
        for number in 0..TOKENS_MAX {
            let entry = tokens.entry(&grant(number), 1_000 + u64::try_from(number).unwrap());
            entry.token.store(Some(token(50_000)));
        }
        let oldest = tokens.entry(&grant(0), 20_000);
        assert_eq!(held(), TOKENS_MAX);

        // All are fresh: the second goes, as the first has just been used.
        tokens.entry(&grant(TOKENS_MAX), 20_001);
        assert_eq!(held(), TOKENS_MAX);
        let same = tokens.entry(&grant(0), 20_002);
        assert!(Arc::ptr_eq(&same, &oldest));
        assert!(same.fresh(20_002).is_some());
        assert!(!tokens.entries.lock().unwrap().contains_key(grant(1).key()));

        // All have expired.
        tokens.entry(&grant(TOKENS_MAX + 1), 50_000);
        assert_eq!(held(), 1);
    }

    #[test]
    fn a_newer_token_is_not_discarded_with_an_older_one() {
        let tokens = Tokens::default();
        let [old, new] = [token(1_000), token(1_000)];
        let entry = tokens.entry(&grant(0), 0);
        entry.token.store(Some(Arc::clone(&new)));
        tokens.discard(&grant(0), &old);
        assert!(Arc::ptr_eq(&entry.fresh(0).unwrap(), &new));
        tokens.discard(&grant(0), &new);
        assert!(entry.fresh(0).is_none());
        assert_eq!(entry.rounds.load(Ordering::Acquire), 0);
    }
}
