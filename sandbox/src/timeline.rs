//! The statuses that a message passes through by itself, computed from the clock when someone looks:
//! no timers, and a clock moved forward shows what it should.

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::later;

/// Begins with `first`, then reaches the steps of `then` in equal parts of `lasts`, the last one at its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeline<S: Copy + 'static> {
    pub(crate) begins_at: DateTime<Utc>,
    pub(crate) lasts: TimeDelta,
    pub(crate) first: S,
    pub(crate) then: &'static [S],
}

impl<S: Copy + PartialEq + 'static> Timeline<S> {
    /// The status at `now` and when it began.
    pub(crate) fn at(&self, now: DateTime<Utc>) -> (S, DateTime<Utc>) {
        self.steps()
            .take_while(|(_, since)| *since <= now)
            .last()
            .unwrap_or((self.first, self.begins_at))
    }

    /// When `status` begins, if it is on the way at all.
    pub(crate) fn time_of(&self, status: S) -> Option<DateTime<Utc>> {
        self.steps()
            .find(|(step, _)| *step == status)
            .map(|(_, since)| since)
    }

    /// All of them with their times, `first` included.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (S, DateTime<Utc>)> {
        let count = i32::try_from(self.then.len()).unwrap_or(i32::MAX).max(1);
        let begins = std::iter::once((self.first, self.begins_at));
        begins.chain((1..).zip(self.then).map(move |(step, status)| {
            let after = self.lasts.checked_mul(step).unwrap_or(TimeDelta::MAX) / count;
            (*status, later(self.begins_at, after))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_spread_evenly_and_the_last_comes_at_the_end() {
        let begins_at = DateTime::UNIX_EPOCH;
        let timeline = Timeline {
            begins_at,
            lasts: TimeDelta::seconds(6),
            first: 'q',
            then: &['s', 't', 'd'],
        };
        let at = |ms| timeline.at(begins_at + TimeDelta::milliseconds(ms)).0;
        assert_eq!(
            [at(0), at(1999), at(2000), at(4000), at(5999), at(6000)],
            ['q', 'q', 's', 't', 't', 'd']
        );
        assert_eq!(
            timeline.time_of('t'),
            Some(begins_at + TimeDelta::seconds(4))
        );
        assert_eq!(timeline.time_of('x'), None);
    }
}
