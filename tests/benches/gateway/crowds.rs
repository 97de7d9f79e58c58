//! Writes on PostgreSQL, with Redis and without, by how many clients there are.

use crate::numbers::{Samples, Table};
use crate::peers::{self, Database};
use crate::provider::Provider;
use crate::schedule::Schedule;
use crate::writes::slot;
use onerouter_tests::redis::TestRedis;

/// Connections, each with one request at a time.
const CROWDS: [usize; 4] = [1, 16, 64, 256];

#[derive(Default)]
struct Row {
    cpu_us: Samples,
    per_second: Samples,
    p50_ms: Samples,
    p99_ms: Samples,
}

pub(crate) async fn measure(schedule: &Schedule) {
    let provider = Provider::start().await;
    let redis = TestRedis::start();
    let peers = [
        (
            "PostgreSQL",
            peers::shipped(&provider, Database::Postgres, None).await,
        ),
        (
            "PostgreSQL and Redis",
            peers::shipped(&provider, Database::Postgres, Some(&redis)).await,
        ),
    ];
    let mut rows: Vec<Row> = Vec::new();
    rows.resize_with(CROWDS.len() * peers.len(), Row::default);
    for round in 0..=schedule.rounds {
        let turns = CROWDS
            .iter()
            .flat_map(|crowd| peers.iter().map(move |peer| (*crowd, peer)));
        for ((crowd, (_, peer)), row) in turns.zip(&mut rows) {
            let (cpu_us, run) = slot(peer, &peer.write(), crowd, schedule.slot).await;
            // The first round warms up.
            if round > 0 {
                row.cpu_us.add(cpu_us);
                row.per_second.add(run.per_second);
                row.p50_ms.add(run.p50_ms);
                row.p99_ms.add(run.p99_ms);
            }
        }
    }
    let mut table = Table::new(&[
        "connections",
        "on",
        "CPU per request, µs (range)",
        "requests per second",
        "p50, ms",
        "p99, ms",
    ]);
    let turns = CROWDS
        .iter()
        .flat_map(|crowd| peers.iter().map(move |peer| (crowd, peer)));
    for ((crowd, (name, _)), row) in turns.zip(&rows) {
        table.row(&[
            &crowd.to_string(),
            *name,
            &row.cpu_us.show(0),
            &row.per_second.show(0),
            &row.p50_ms.show(2),
            &row.p99_ms.show(2),
        ]);
    }
    table.print(&format!(
        "`POST /v1/sms`, the program as shipped, {} rounds in turn, {} s each",
        schedule.rounds,
        schedule.slot.as_secs_f64()
    ));
}
