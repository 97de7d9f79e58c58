//! Schedules: what happens when.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngSeed, TestRunner};

/// Schedules for each story and database, unless `ONEROUTER_SOAK_ROUNDS` says otherwise.
const ROUNDS: u64 = 12;
/// `ONEROUTER_SOAK_SEED`
const SEED: u64 = 20_261_128;
/// Each try to make a failure smaller plays the story again.
const SHRINK_MAX: u32 = 48;
/// Seconds that pass. Few of them in all: certificates and signed times must stay good over all rounds.
const PAUSES: &[u32] = &[1, 3, 10, 45];

/// One thing that happens. An [`Index`] is of a webhook among those that were sent by then.
#[derive(Debug, Clone)]
pub(super) enum Move {
    /// The next step of the story.
    Next,
    /// A webhook arrives, for the first time or again.
    Arrive(Index),
    /// Two arrive at once, which may be the same.
    Together(Index, Index),
    /// One that has not arrived yet does, and what the provider answers about it comes after what happens next.
    Late(Index),
    /// All that have not arrived yet do, in order.
    Rest,
    /// So many seconds pass.
    Pass(u32),
    /// The background works on what is due.
    Sweep,
    /// Somebody reads, which may ask the provider.
    Read,
    /// The provider cannot be asked for a moment.
    Deaf,
}

#[derive(Debug, Clone)]
pub(super) struct Schedule {
    pub(super) moves: Vec<Move>,
    /// In which order arrives what has not by then.
    pub(super) rest: Vec<Index>,
}

impl Schedule {
    /// Everything arrives as soon as it is sent.
    pub(super) fn in_order(steps: usize) -> Self {
        let moves = (0..steps).flat_map(|_| [Move::Rest, Move::Next]);
        Self {
            moves: moves.chain([Move::Rest]).collect(),
            rest: Vec::new(),
        }
    }

    /// Which of so many arrives as the `place`th of the rest.
    pub(super) fn rest(&self, place: usize, count: usize) -> usize {
        let chosen = self.rest.get(place % self.rest.len().max(1));
        chosen.map_or(0, |index| index.index(count))
    }
}

fn one() -> impl Strategy<Value = Move> {
    let index = any::<Index>;
    prop_oneof![
        5 => Just(Move::Next),
        6 => index().prop_map(Move::Arrive),
        2 => (index(), index()).prop_map(|(one, other)| Move::Together(one, other)),
        2 => index().prop_map(Move::Late),
        1 => Just(Move::Rest),
        2 => prop::sample::select(PAUSES).prop_map(Move::Pass),
        1 => Just(Move::Sweep),
        1 => Just(Move::Read),
        1 => Just(Move::Deaf),
    ]
}

fn any_schedule() -> impl Strategy<Value = Schedule> {
    let moves = prop::collection::vec(one(), 0..28);
    let rest = prop::collection::vec(any::<Index>(), 1..8);
    (moves, rest).prop_map(|(moves, rest)| Schedule { moves, rest })
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Does something by each of many schedules. Panics with a small one where it panics.
pub(super) fn for_each(play: impl Fn(Schedule)) {
    let rounds = setting("ONEROUTER_SOAK_ROUNDS", ROUNDS);
    let config = Config {
        cases: u32::try_from(rounds).unwrap(),
        failure_persistence: None,
        max_shrink_iters: SHRINK_MAX,
        rng_seed: RngSeed::Fixed(setting("ONEROUTER_SOAK_SEED", SEED)),
        ..Config::default()
    };
    let ended = TestRunner::new(config).run(&any_schedule(), |schedule| {
        play(schedule);
        Ok(())
    });
    if let Err(failed) = ended {
        panic!("{failed}");
    }
}
