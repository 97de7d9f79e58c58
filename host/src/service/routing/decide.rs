//! Decides over which connections a message goes: a pure function of the policy, the connections
//! and the message.

use onerouter_domain::id::ConnectionId;
use serde::Serialize;

use super::policy::{DEFAULT_WEIGHT, Facts, Policy, Target};

/// Why a connection does not serve a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// Its breaker is open: its provider has failed again and again.
    Unavailable,
    /// Neither the message nor a setting names a sender.
    NoSender,
    /// Its credentials cannot be decrypted.
    Unreadable,
    /// Its provider does not take the currency.
    Currency,
    /// Its adapter cannot do this.
    Unsupported,
    /// Its plugin is not installed on this gateway.
    PluginMissing,
    /// The caller named another provider.
    OtherProvider,
    /// An earlier object went over another one.
    OtherConnection,
    /// The policy leaves it out.
    NotInPolicy,
    /// Without failover only the first one serves.
    NotFirst,
    /// The policy names it, but it is not connected any more.
    Disconnected,
}

/// A connection as the decision sees it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Which connection.
    pub id: ConnectionId,
    /// To whom.
    pub provider: &'a str,
    /// Why it cannot serve, whatever the policy says.
    pub unable: Option<SkipReason>,
}

/// Over which connections a message may go, and why not over the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Version of the policy; 0 where there is none.
    pub policy_version: u64,
    /// The rule that fitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// In the order in which they are tried.
    pub candidates: Vec<Target>,
    /// The others.
    pub skipped: Vec<Skipped>,
}

/// A connection that does not serve a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Which connection.
    pub connection_id: ConnectionId,
    /// Why not.
    pub reason: SkipReason,
}

/// What a message asks for.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// What rules look at.
    pub facts: Facts<'a>,
    /// The provider that the caller named.
    pub provider: Option<&'a str>,
    /// Decides between weights; the same seed decides the same.
    pub seed: u128,
}

/// Decides. `candidates` are all connections of the category and environment, oldest first; without
/// a policy the oldest one that can serves alone.
#[must_use]
pub fn decide(
    policy: Option<(&Policy, u64)>,
    candidates: &[Candidate<'_>],
    question: &Question<'_>,
) -> Decision {
    let (order, rule) = match policy {
        Some((policy, _)) => policy.order_for(&question.facts),
        None => (&[] as &[Target], None),
    };
    let wanted = |candidate: &Candidate<'_>| {
        question
            .provider
            .is_none_or(|provider| provider == candidate.provider)
    };
    let named = |id: ConnectionId| order.iter().find(|target| target.connection_id == id);
    // A provider that the caller names counts for more than an order that knows nothing of it, but
    // not for more than a rule.
    let use_order = !order.is_empty()
        && (rule.is_some()
            || question.provider.is_none()
            || candidates
                .iter()
                .any(|candidate| wanted(candidate) && named(candidate.id).is_some()));
    let mut skipped = Vec::new();
    let mut able = Vec::new();
    for (age, candidate) in candidates.iter().enumerate() {
        let target = if use_order {
            named(candidate.id).copied()
        } else {
            Some(by_age(candidate.id, age))
        };
        let reason = if !wanted(candidate) {
            Some(SkipReason::OtherProvider)
        } else if target.is_none() {
            Some(SkipReason::NotInPolicy)
        } else {
            candidate.unable
        };
        match (reason, target) {
            (None, Some(target)) => able.push(target),
            (reason, _) => skipped.push(Skipped {
                connection_id: candidate.id,
                reason: reason.unwrap_or(SkipReason::NotInPolicy),
            }),
        }
    }
    let gone = order.iter().filter(|target| {
        candidates
            .iter()
            .all(|candidate| candidate.id != target.connection_id)
    });
    skipped.extend(gone.map(|target| Skipped {
        connection_id: target.connection_id,
        reason: SkipReason::Disconnected,
    }));
    let mut tried = sorted(able, question.seed);
    if policy.is_none_or(|(policy, _)| !policy.failover) && tried.len() > 1 {
        skipped.extend(tried.drain(1..).map(|target| Skipped {
            connection_id: target.connection_id,
            reason: SkipReason::NotFirst,
        }));
    }
    Decision {
        policy_version: policy.map_or(0, |(_, version)| version),
        rule: rule.map(ToOwned::to_owned),
        candidates: tried,
        skipped,
    }
}

fn by_age(connection_id: ConnectionId, age: usize) -> Target {
    Target {
        connection_id,
        priority: u32::try_from(age).unwrap_or(u32::MAX).saturating_add(1),
        weight: DEFAULT_WEIGHT,
    }
}

/// By priority; within one, drawn one after the other with the odds of their weights.
fn sorted(mut able: Vec<Target>, seed: u128) -> Vec<Target> {
    able.sort_by_key(|target| target.priority);
    let mut random = SplitMix::new(seed);
    let mut result = Vec::with_capacity(able.len());
    while let Some(priority) = able.first().map(|target| target.priority) {
        let equal = able
            .iter()
            .take_while(|target| target.priority == priority)
            .count();
        let mut pool: Vec<Target> = able.drain(..equal).collect();
        while !pool.is_empty() {
            let picked = pick(&pool, &mut random);
            result.push(pool.remove(picked));
        }
    }
    result
}

fn pick(pool: &[Target], random: &mut SplitMix) -> usize {
    let total: u64 = pool.iter().map(|target| u64::from(target.weight)).sum();
    if total == 0 || pool.len() == 1 {
        return 0;
    }
    let mut drawn = random.below(total);
    for (index, target) in pool.iter().enumerate() {
        match drawn.checked_sub(u64::from(target.weight)) {
            Some(left) => drawn = left,
            None => return index,
        }
    }
    0
}

/// SplitMix64: nothing here is secret, and the same seed must decide the same for ever.
struct SplitMix(u64);

impl SplitMix {
    fn new(seed: u128) -> Self {
        let [high, low] = [seed >> 64, seed & u128::from(u64::MAX)]
            .map(|half| u64::try_from(half).unwrap_or_default());
        Self(high.rotate_left(32) ^ low)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // The high half of the product: fair to within 2^-40 for weights as small as ours.
        let wide = u128::from(mixed).wrapping_mul(u128::from(bound)) >> 64;
        u64::try_from(wide).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use onerouter_domain::id::ConnectionId;
    use uuid::Uuid;

    use super::*;
    use crate::service::routing::policy::{Condition, Rule};

    static NO_METADATA: BTreeMap<String, String> = BTreeMap::new();

    fn id(number: u128) -> ConnectionId {
        ConnectionId::from_uuid(Uuid::from_u128(number))
    }

    fn target(number: u128, priority: u32, weight: u32) -> Target {
        Target {
            connection_id: id(number),
            priority,
            weight,
        }
    }

    fn able(number: u128, provider: &'static str) -> Candidate<'static> {
        Candidate {
            id: id(number),
            provider,
            unable: None,
        }
    }

    fn ask(to: &str, seed: u128) -> Question<'_> {
        Question {
            facts: Facts {
                recipients: vec![to],
                currency: None,
                metadata: &NO_METADATA,
            },
            provider: None,
            seed,
        }
    }

    fn tried(decision: &Decision) -> Vec<ConnectionId> {
        let targets = decision.candidates.iter();
        targets.map(|target| target.connection_id).collect()
    }

    fn reasons(decision: &Decision) -> Vec<(ConnectionId, SkipReason)> {
        let skipped = decision.skipped.iter();
        skipped.map(|one| (one.connection_id, one.reason)).collect()
    }

    #[test]
    fn without_a_policy_the_oldest_that_can_serves_alone() {
        let candidates = [
            Candidate {
                unable: Some(SkipReason::Unsupported),
                ..able(1, "one")
            },
            able(2, "two"),
            able(3, "three"),
        ];
        let decision = decide(None, &candidates, &ask("+1", 7));
        assert_eq!(tried(&decision), [id(2)]);
        assert_eq!(
            reasons(&decision),
            [
                (id(1), SkipReason::Unsupported),
                (id(3), SkipReason::NotFirst)
            ]
        );
    }

    #[test]
    fn an_empty_order_with_failover_tries_all_by_age() {
        let policy = Policy {
            failover: true,
            ..Policy::default()
        };
        let candidates = [able(1, "one"), able(2, "two")];
        let decision = decide(Some((&policy, 4)), &candidates, &ask("+1", 7));
        assert_eq!(tried(&decision), [id(1), id(2)]);
        assert_eq!(decision.policy_version, 4);
    }

    #[test]
    fn the_order_leaves_others_out_and_tells_of_what_is_gone() {
        let policy = Policy {
            order: vec![target(3, 1, 100), target(9, 2, 100), target(1, 3, 100)],
            rules: Vec::new(),
            failover: true,
        };
        let candidates = [able(1, "one"), able(2, "two"), able(3, "three")];
        let decision = decide(Some((&policy, 1)), &candidates, &ask("+1", 7));
        assert_eq!(tried(&decision), [id(3), id(1)]);
        assert_eq!(
            reasons(&decision),
            [
                (id(2), SkipReason::NotInPolicy),
                (id(9), SkipReason::Disconnected)
            ]
        );
    }

    #[test]
    fn a_rule_that_fits_replaces_the_order_even_if_nothing_in_it_can_serve() {
        let policy = Policy {
            order: vec![target(1, 1, 100)],
            rules: vec![Rule {
                name: "uk".to_owned(),
                when: Condition {
                    to_prefixes: vec!["+44".to_owned()],
                    ..Condition::default()
                },
                order: vec![target(2, 1, 100)],
            }],
            failover: true,
        };
        let down = Candidate {
            unable: Some(SkipReason::Unavailable),
            ..able(2, "two")
        };
        let candidates = [able(1, "one"), down];
        let decision = decide(Some((&policy, 1)), &candidates, &ask("+447700900123", 7));
        assert_eq!(decision.rule.as_deref(), Some("uk"));
        assert_eq!(tried(&decision), []);
        let decision = decide(Some((&policy, 1)), &candidates, &ask("+15005550006", 7));
        assert_eq!((tried(&decision), decision.rule), (vec![id(1)], None));
    }

    #[test]
    fn a_named_provider_keeps_to_itself_within_the_order_or_outside_of_it() {
        let policy = Policy {
            order: vec![target(3, 1, 100), target(2, 2, 100)],
            rules: Vec::new(),
            failover: true,
        };
        let candidates = [
            able(1, "one"),
            able(2, "two"),
            able(3, "two"),
            able(4, "one"),
        ];
        let named = |provider| Question {
            provider: Some(provider),
            ..ask("+1", 7)
        };
        let decision = decide(Some((&policy, 1)), &candidates, &named("two"));
        assert_eq!(tried(&decision), [id(3), id(2)]);
        let decision = decide(Some((&policy, 1)), &candidates, &named("one"));
        assert_eq!(tried(&decision), [id(1), id(4)]);
    }

    #[test]
    fn a_rule_is_final_for_a_named_provider_too() {
        let policy = Policy {
            order: Vec::new(),
            rules: vec![Rule {
                name: "uk".to_owned(),
                when: Condition {
                    to_prefixes: vec!["+44".to_owned()],
                    ..Condition::default()
                },
                order: vec![target(1, 1, 100)],
            }],
            failover: true,
        };
        let candidates = [able(1, "one"), able(2, "two")];
        let named = Question {
            provider: Some("two"),
            ..ask("+447700900123", 7)
        };
        let decision = decide(Some((&policy, 1)), &candidates, &named);
        assert_eq!(tried(&decision), []);
    }

    #[test]
    fn weights_share_the_traffic_and_the_same_seed_decides_the_same() {
        let policy = Policy {
            order: vec![
                target(1, 1, 70),
                target(2, 1, 30),
                target(3, 1, 0),
                target(4, 2, 100),
            ],
            rules: Vec::new(),
            failover: true,
        };
        let candidates = [able(1, "a"), able(2, "b"), able(3, "c"), able(4, "d")];
        let mut first: BTreeMap<ConnectionId, u32> = BTreeMap::new();
        for seed in 0..10_000_u128 {
            // As UUIDs version 7 differ: in the time above and at random below.
            let seed = (seed << 80) | seed.wrapping_mul(0x1234_5678_9abc_def1);
            let decision = decide(Some((&policy, 1)), &candidates, &ask("+1", seed));
            assert_eq!(
                decision,
                decide(Some((&policy, 1)), &candidates, &ask("+1", seed))
            );
            let order = tried(&decision);
            assert_eq!(
                order.get(2..),
                Some(&[id(3), id(4)][..]),
                "0 comes last in its priority"
            );
            *first.entry(order[0]).or_default() += 1;
        }
        let share = first[&id(1)];
        assert!(
            (6_800..7_200).contains(&share),
            "70 % of 10,000 were {share}"
        );
        assert_eq!(share + first[&id(2)], 10_000);
    }
}
