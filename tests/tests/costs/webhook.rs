//! What webhooks cost that nobody has signed: the first one is looked up, and those after it cost the database
//! nothing.

use std::time::{Duration, Instant};

use onerouter::service::changes::STALE_MAX;
use onerouter::store::DEFAULT_TENANT;
use onerouter_tests::harness::Harness;
use onerouter_tests::write_path::Ground;

use crate::statements;

/// After the first one.
const FORGED: usize = 100;
/// After each that is looked up.
const FORGED_IN_A_ROW: usize = 20;
/// Looking one up: the directory, and a transaction with one statement.
const ROUND_TRIPS_MAX: usize = 6;
/// Longer than that takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// A path, and how what is sent there is refused.
struct Case {
    what: &'static str,
    path: String,
    statuses: &'static [u16],
}

/// One test for both databases: they share the counter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_forged_webhooks_costs_the_database_nothing() {
    statements::watch();
    flood(&Ground::sqlite().await, || 0).await;
    let Some(ground) = Ground::wired().await else {
        return;
    };
    flood(&ground, || ground.wire().round_trips()).await;
}

async fn flood(ground: &Ground, round_trips: impl Fn() -> usize) {
    let host = ground.host().await;
    let own = host.operator().connection("twilio").await;
    let cases = [
        Case {
            what: "a connection's own",
            path: format!("/webhooks/twilio/{own}"),
            // Above a number of them nobody is told why.
            statuses: &[401, 429],
        },
        Case {
            what: "another provider's",
            path: format!("/webhooks/razorpay/{own}"),
            statuses: &[404],
        },
        Case {
            what: "nobody's",
            path: "/webhooks/twilio/con_01h455vb4pex5vsknk084sn02q".to_owned(),
            statuses: &[404],
        },
        Case {
            what: "a provider's whom nobody knows",
            path: format!("/webhooks/nobody/{own}"),
            statuses: &[404],
        },
    ];
    let mut firsts = Vec::new();
    for case in &cases {
        let first = repeated(&host, case, &round_trips).await;
        println!("{}: {first:?}", case.what);
        assert!(first.round_trips <= ROUND_TRIPS_MAX, "{}", case.what);
        firsts.push(first.statements);
    }
    let [own, others, nobodys, unknown] = firsts.as_slice() else {
        panic!("{firsts:?}");
    };
    assert!(*own > 0);
    // The same steps, so that the time does not tell whether a connection is there.
    assert_eq!(others, nobodys);
    assert_eq!(*unknown, 0);
    host.stop().await;
}

/// What a webhook that was looked up has cost: the least of several, as the gateway has other things to ask too.
#[derive(Debug)]
struct First {
    statements: u64,
    round_trips: usize,
}

/// Sends forged webhooks, most of which must cost nothing.
async fn repeated(host: &Harness, case: &Case, round_trips: impl Fn() -> usize) -> First {
    let changes = &host.gateway.parts().sweeper.changes;
    let until = Instant::now() + PATIENCE;
    let mut first = First {
        statements: u64::MAX,
        round_trips: usize::MAX,
    };
    let mut counted = 0;
    while counted < FORGED {
        assert!(Instant::now() < until, "{}: {counted}", case.what);
        // So that it is read again.
        changes.note(DEFAULT_TENANT);
        let read_at = Instant::now();
        let before = (statements::asked(), round_trips());
        forged(host, case).await;
        first.statements = first.statements.min(statements::asked() - before.0);
        first.round_trips = first.round_trips.min(round_trips() - before.1);
        for _ in 0..FORGED_IN_A_ROW {
            let before = statements::asked();
            forged(host, case).await;
            if read_at.elapsed() >= STALE_MAX {
                // A slow machine: what was read may be used for a second.
                break;
            }
            assert_eq!(statements::asked(), before, "{}: {counted}", case.what);
            counted += 1;
        }
    }
    first
}

/// A webhook that nobody has signed.
async fn forged(host: &Harness, case: &Case) {
    let url = format!("{}{}", host.gateway.url(), case.path);
    let request = host.http.post(url).body("MessageStatus=delivered");
    let request = request
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-twilio-signature", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    assert!(case.statuses.contains(&status), "{}: {status}", case.what);
}
