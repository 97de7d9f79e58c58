//! Whether a new version does worse than the one beside or before it.
//!
//! A canary is held against the version that serves everybody else, over the same time. After a version
//! has taken over, nothing is beside it that it could be held against, and a provider that goes down
//! looks like a bad version; so from then on only what is its own fault counts: breakdowns.

use std::time::Duration;

use chrono::TimeDelta;
use onerouter_domain::id::InstallationId;
use onerouter_engine::Calls;

use super::Plugins;
use super::desired::Regressed;
use super::following::Following;
use crate::store::PluginRow;

/// Breakdowns that may happen to anybody.
const FAULTS_FREE: u64 = 2;
/// How much more often than the other it may break down.
const FAULTS_MORE: f64 = 0.01;
/// Calls that a rate of failures takes, of each.
const CALLS_MIN: u64 = 20;
/// How much more often than the other it may fail.
const FAILURES_MORE: f64 = 0.05;
/// How sure one must be that it is no chance, in standard deviations.
const SIGMAS: f64 = 3.0;
/// Calls that a percentile takes, of each.
const TIMED_MIN: u64 = 50;
/// How much slower it may be: so many times, and by so much.
const SLOWER_TIMES: u32 = 2;
const SLOWER_BY: Duration = Duration::from_millis(50);
/// How long a version is watched that has taken over.
pub(super) const WATCHED_FOR: TimeDelta = TimeDelta::minutes(10);

/// Since when two versions are held against each other.
#[derive(Debug)]
pub(super) struct Watched {
    new: InstallationId,
    is_canary: bool,
    /// What each had counted by then.
    new_before: Calls,
    old_before: Calls,
}

/// What is known of two versions since they are held against each other.
#[derive(Debug, Clone, Copy)]
struct Comparison<'c> {
    new: &'c Calls,
    /// None where nothing is beside it.
    old: Option<&'c Calls>,
}

impl Following {
    /// Begins to watch what is new.
    pub(super) fn note_watched(&mut self) {
        let mut watched = std::mem::take(&mut self.watched);
        for plugin in &self.wanted {
            let Some((new, is_canary)) = newest(plugin) else {
                continue;
            };
            let kept = watched
                .remove(&plugin.name)
                .filter(|known| known.new == new && known.is_canary == is_canary);
            let counted = |id| self.adapter(id).map(|one| one.calls()).unwrap_or_default();
            let begun = kept.unwrap_or_else(|| Watched {
                new,
                is_canary,
                new_before: counted(Some(new)),
                old_before: counted(plugin.active),
            });
            self.watched.insert(plugin.name.clone(), begun);
        }
    }
}

/// What is new of a plugin: its canary, or the version that has taken over from another a while ago.
fn newest(plugin: &PluginRow) -> Option<(InstallationId, bool)> {
    match (plugin.canary, plugin.watched_until, plugin.active) {
        (Some(canary), ..) => Some((canary, true)),
        (None, Some(_), Some(active)) if plugin.previous.is_some() => Some((active, false)),
        _ => None,
    }
}

impl Plugins {
    /// Takes back what does worse than what was before it.
    pub async fn watch(&self) {
        let free = u64::try_from(self.parts().engine.free_slots()).unwrap_or(u64::MAX);
        metrics::gauge!("onerouter_engine_slots_free").set(count(free));
        for regressed in self.regressions().await {
            let Regressed { plugin, reason, .. } = &regressed;
            match self.take_back(&regressed).await {
                Ok(true) => {
                    tracing::error!(plugin, reason, "a new version was taken back");
                    metrics::counter!("onerouter_plugin_rollbacks_total", "plugin" => plugin.clone())
                        .increment(1);
                }
                Ok(false) => {}
                Err(refusal) => tracing::error!(
                    plugin,
                    reason,
                    detail = refusal.detail,
                    "a new version does worse and cannot be taken back"
                ),
            }
        }
    }

    async fn regressions(&self) -> Vec<Regressed> {
        let following = self.0.following.lock().await;
        let now = self.parts().clock.now();
        let mut found = Vec::new();
        for plugin in &following.wanted {
            let Some(watched) = following.watched.get(&plugin.name) else {
                continue;
            };
            let is_over = plugin.watched_until.is_none_or(|until| now > until);
            let Some(new) = following.adapter(Some(watched.new)) else {
                continue;
            };
            if !watched.is_canary && is_over {
                continue;
            }
            let new = new.calls().since(&watched.new_before);
            let old = following
                .adapter(plugin.active)
                .filter(|_| watched.is_canary)
                .map(|old| old.calls().since(&watched.old_before));
            let comparison = Comparison {
                new: &new,
                old: old.as_ref(),
            };
            if let Some(reason) = comparison.worse() {
                found.push(Regressed {
                    plugin: plugin.name.clone(),
                    generation: plugin.generation,
                    version: watched.new,
                    reason,
                });
            }
        }
        found
    }
}

impl Comparison<'_> {
    /// In what the new version does worse.
    fn worse(&self) -> Option<String> {
        self.breaks_down()
            .or_else(|| self.fails())
            .or_else(|| self.is_slow())
    }

    fn breaks_down(&self) -> Option<String> {
        let new = rate(self.new.faults, self.new.calls);
        let old = self.old.map_or(0.0, |old| rate(old.faults, old.calls));
        (self.new.faults > FAULTS_FREE && new > old * 2.0 + FAULTS_MORE).then(|| {
            format!(
                "it broke down in {} of {} calls{}",
                self.new.faults,
                self.new.calls,
                self.beside(|old| format!("{} of {}", old.faults, old.calls))
            )
        })
    }

    fn fails(&self) -> Option<String> {
        let old = self.old?;
        if self.new.calls < CALLS_MIN || old.calls < CALLS_MIN {
            return None;
        }
        let (n, m) = (count(self.new.calls), count(old.calls));
        let (p, q) = (
            rate(self.new.failed, self.new.calls),
            rate(old.failed, old.calls),
        );
        let pooled = (p * n + q * m) / (n + m);
        let deviation = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
        (p - q > FAILURES_MORE && p - q > SIGMAS * deviation).then(|| {
            format!(
                "{} of {} calls failed{}",
                self.new.failed,
                self.new.calls,
                self.beside(|old| format!("{} of {}", old.failed, old.calls))
            )
        })
    }

    fn is_slow(&self) -> Option<String> {
        let old = self.old?;
        if self.new.calls < TIMED_MIN || old.calls < TIMED_MIN {
            return None;
        }
        let (new_p95, old_p95) = (self.new.p95(), old.p95());
        let allowed = old_p95
            .saturating_mul(SLOWER_TIMES)
            .max(old_p95.saturating_add(SLOWER_BY));
        (new_p95 > allowed).then(|| {
            format!(
                "95 of 100 calls took up to {new_p95:.0?}{}",
                self.beside(|old| format!("{:.0?}", old.p95()))
            )
        })
    }

    fn beside(&self, of: impl Fn(&Calls) -> String) -> String {
        self.old
            .map(|old| format!(", against {} of the version that serves", of(old)))
            .unwrap_or_default()
    }
}

fn rate(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    count(part) / count(whole)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of calls; a rate needs no more than 52 bits"
)]
const fn count(of: u64) -> f64 {
    of as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(calls: u64, failed: u64, faults: u64) -> Calls {
        let mut counted = Calls::default();
        (counted.calls, counted.failed, counted.faults) = (calls, failed, faults);
        counted
    }

    fn worse(new: &Calls, old: Option<&Calls>) -> Option<String> {
        Comparison { new, old }.worse()
    }

    #[test]
    fn breakdowns_are_its_own_fault_with_or_without_another_beside_it() {
        assert_eq!(worse(&calls(2, 2, 2), None), None);
        assert!(worse(&calls(3, 3, 3), None).unwrap().contains("3 of 3"));
        // One in a thousand is no reason to wake somebody.
        assert_eq!(worse(&calls(3_000, 3, 3), None), None);
        let as_bad = calls(100, 20, 20);
        assert_eq!(worse(&calls(100, 20, 20), Some(&as_bad)), None);
        assert!(worse(&calls(100, 60, 60), Some(&as_bad)).is_some());
    }

    #[test]
    fn failures_count_only_beside_another_and_beyond_chance() {
        assert_eq!(worse(&calls(100, 100, 0), None), None);
        // The provider is down for both.
        assert_eq!(worse(&calls(100, 100, 0), Some(&calls(900, 900, 0))), None);
        assert_eq!(worse(&calls(19, 19, 0), Some(&calls(900, 0, 0))), None);
        assert!(worse(&calls(20, 8, 0), Some(&calls(900, 9, 0))).is_some());
        // Two of twenty against one of twenty is chance.
        assert_eq!(worse(&calls(20, 2, 0), Some(&calls(20, 1, 0))), None);
    }
}
