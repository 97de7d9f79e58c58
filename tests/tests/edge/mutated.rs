//! The table of hostile requests, damaged at random: whatever comes of it, the gateway answers in
//! whole answers or closes the connection, and goes on serving.
//!
//! `ONEROUTER_SOAK_ROUNDS` and `ONEROUTER_SOAK_SEED` choose how many and which.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use onerouter::gateway::Doubles;
use onerouter_tests::raw::{HEALTH, Raw, gateway, key_request};
use tokio::task::JoinSet;

use crate::hostile::table;

/// As many at a time.
const AT_ONCE: u64 = 64;
/// Bodies to be damaged inside of a request that is as it should be.
const BODIES: [&str; 2] = [
    r#"{"to":"+14155550123","body":"Hi","metadata":{"order":"42"},"from":"+14155550100"}"#,
    r#"{"to":["a@example.com"],"subject":"a \u00e9","text_body":"b","tags":{"c":"d"}}"#,
];
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

/// A body in a request that says how long it is.
fn framed(token: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /v1/sms HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

async fn key(address: SocketAddr) -> String {
    let body = r#"{"name":"mutated","environment":"test","rate_limit":{"per_second":100000,"burst":100000}}"#;
    let head = key_request(&format!("Content-Length: {}\r\n", body.len()));
    let mut client = Raw::to(address).await;
    client
        .say(head.replace("Expect: 100-continue\r\n", "") + body)
        .await;
    let answer = client.answer().await.unwrap();
    answer.json()["key"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn damaged_requests_are_answered_whole_or_not_at_all() {
    let (rounds, seed) = (
        setting("ONEROUTER_SOAK_ROUNDS", ROUNDS),
        setting("ONEROUTER_SOAK_SEED", SEED),
    );
    let patience = Some(Duration::from_secs(2));
    let (gateway, _folder) = gateway(Doubles {
        head_timeout: patience,
        body_timeout: patience,
        ..Doubles::default()
    })
    .await;
    let address = gateway.address();
    let token: Arc<str> = key(address).await.into();
    let rows: Arc<[_]> = table(&token).into_iter().map(|row| row.request).collect();
    let before = memory();
    let mut running = JoinSet::new();
    for lane in 0..AT_ONCE {
        let (rows, token) = (Arc::clone(&rows), Arc::clone(&token));
        running.spawn(async move {
            let (mut answered, mut judged) = (0, 0);
            for round in (lane..rounds).step_by(AT_ONCE as usize) {
                let mut chance = Chance(seed.wrapping_add(round << 20));
                let (one, other) = (chance.below(rows.len()), chance.below(rows.len()));
                let request = if chance.below(3) == 0 {
                    let (one, other) = (BODIES[one % 2].as_bytes(), BODIES[other % 2].as_bytes());
                    framed(&token, &damage(&mut chance, one, other))
                } else {
                    damage(&mut chance, &rows[one], &rows[other])
                };
                let answers = Raw::to(address).await.exchange(&request).await;
                for answer in &answers {
                    let code = answer.code();
                    judged += usize::from(answer.status == 422 || code == "invalid_json");
                    let shown = String::from_utf8_lossy(&request);
                    assert!(
                        answer.status < 500,
                        "seed {seed}, round {round}: {answer:?}\n{shown}"
                    );
                }
                answered += answers.len();
            }
            (answered, judged)
        });
    }
    let (mut answered, mut judged) = (0, 0);
    for (some, of_them) in running.join_all().await {
        answered += some;
        judged += of_them;
    }
    println!(
        "seed {seed}: {rounds} requests, {answered} answers, {judged} about bodies; memory: {before}, then {}",
        memory()
    );
    assert!(
        judged as u64 > rounds / 5,
        "{judged} of {rounds} bodies were read"
    );
    assert!(
        answered as u64 > rounds / 2,
        "{answered} answers to {rounds} requests"
    );
    let answers = Raw::to(address).await.exchange(HEALTH.as_bytes()).await;
    assert_eq!(answers[0].status, 200);
    gateway.shutdown().await;
}
