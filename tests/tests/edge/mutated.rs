//! The table of hostile requests, damaged at random: whatever comes of it, the gateway answers in
//! whole answers or closes the connection, and goes on serving.
//!
//! `ONEROUTER_SOAK_ROUNDS` and `ONEROUTER_SOAK_SEED` choose how many and which.

use std::sync::Arc;
use std::time::Duration;

use onerouter::gateway::Doubles;
use onerouter_tests::harness::ADMIN_TOKEN;
use tokio::task::JoinSet;

use crate::hostile::table;
use crate::raw::{HEALTH, Raw, gateway};

/// As many at a time.
const AT_ONCE: u64 = 32;
const ROUNDS: u64 = 600;
const SEED: u64 = 20_261_123;
/// Bytes that mean something to a parser.
const SPECIAL: &[u8] = b"\r\n\t\0 :;,/%0123afxPG\"\xff\x7f";

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// What this process holds, where the system tells.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap_or("unknown").trim().to_owned()
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

fn damage(chance: &mut Chance, request: &[u8], other: &[u8]) -> Vec<u8> {
    // The long ones would only be long.
    let mut bytes = request[..request.len().min(4_000)].to_vec();
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len());
        let end = (at + chance.below(40)).min(bytes.len());
        match chance.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << chance.below(8),
            1 => bytes.insert(at, SPECIAL[chance.below(SPECIAL.len())]),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            4 => bytes.truncate(at.max(1)),
            _ => {
                let from = chance.below(other.len());
                let to = (from + chance.below(200)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
        }
    }
    bytes
}

#[tokio::test]
async fn damaged_requests_are_answered_whole_or_not_at_all() {
    let (rounds, seed) = (
        setting("ONEROUTER_SOAK_ROUNDS", ROUNDS),
        setting("ONEROUTER_SOAK_SEED", SEED),
    );
    let patience = Some(Duration::from_millis(200));
    let (gateway, _folder) = gateway(Doubles {
        head_timeout: patience,
        body_timeout: patience,
        ..Doubles::default()
    })
    .await;
    let address = gateway.address();
    let rows: Arc<[_]> = table(ADMIN_TOKEN)
        .into_iter()
        .map(|row| row.request)
        .collect();
    let before = memory();
    let mut running = JoinSet::new();
    for lane in 0..AT_ONCE {
        let rows = Arc::clone(&rows);
        running.spawn(async move {
            let mut answered = 0;
            for round in (lane..rounds).step_by(AT_ONCE as usize) {
                let mut chance = Chance(seed.wrapping_add(round << 20));
                let (one, other) = (chance.below(rows.len()), chance.below(rows.len()));
                let request = damage(&mut chance, &rows[one], &rows[other]);
                let answers = Raw::to(address).await.exchange(&request).await;
                for answer in &answers {
                    answer.code();
                    let shown = String::from_utf8_lossy(&request);
                    assert!(
                        answer.status < 500,
                        "seed {seed}, round {round}: {answer:?}\n{shown}"
                    );
                }
                answered += answers.len();
            }
            answered
        });
    }
    let answered: usize = running.join_all().await.into_iter().sum();
    println!(
        "seed {seed}: {rounds} requests, {answered} answers; memory: {before}, then {}",
        memory()
    );
    assert!(
        answered as u64 > rounds / 2,
        "{answered} answers to {rounds} requests"
    );
    let answers = Raw::to(address).await.exchange(HEALTH.as_bytes()).await;
    assert_eq!(answers[0].status, 200);
    gateway.shutdown().await;
}
