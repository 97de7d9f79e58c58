//! Writes on PostgreSQL, with Redis and without, by how many clients there are: what a request costs, how
//! long it takes beyond what it takes through code that only maps, and where its CPU time goes.

use onerouter_tests::redis::TestRedis;

use crate::load::Run;
use crate::numbers::{Samples, Table};
use crate::peers::{self, Database, ServedBy};
use crate::provider::Provider;
use crate::schedule::Schedule;
use crate::stages::{self, Stages};
use crate::writes::slot;

/// Connections, each with one request at a time.
const CROWDS: [usize; 4] = [1, 16, 64, 256];

#[derive(Default)]
struct Row {
    cpu_us: Samples,
    per_second: Samples,
    p50_ms: Samples,
    p99_ms: Samples,
    /// Beyond the pass-through's of the same round.
    added_p50_ms: Samples,
    added_p99_ms: Samples,
}

impl Row {
    fn add(&mut self, cpu_us: f64, run: &Run, bare: &Run) {
        self.cpu_us.add(cpu_us);
        self.per_second.add(run.per_second);
        self.p50_ms.add(run.p50_ms);
        self.p99_ms.add(run.p99_ms);
        self.added_p50_ms.add(run.p50_ms - bare.p50_ms);
        self.added_p99_ms.add(run.p99_ms - bare.p99_ms);
    }
}

pub(crate) async fn measure(schedule: &Schedule) {
    let provider = Provider::start().await;
    let redis = TestRedis::start();
    let bare = peers::pass_through(&provider).await;
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
    let measured = peers::measured(
        &provider,
        Database::Postgres,
        Some(&redis),
        ServedBy::Component,
    );
    let mut measured = measured.await;
    let mut rows: Vec<Row> = Vec::new();
    rows.resize_with(CROWDS.len() * peers.len(), Row::default);
    let mut stages = CROWDS.map(|crowd| Stages::new(format!("{crowd} connections")));
    for round in 0..=schedule.rounds {
        // The first round warms up.
        let counts = round > 0;
        let mut rows = rows.iter_mut();
        for (crowd, stages) in CROWDS.into_iter().zip(&mut stages) {
            let (_, passed) = slot(&bare, &bare.write(), crowd, schedule.slot).await;
            for (_, peer) in &peers {
                let (cpu_us, run) = slot(peer, &peer.write(), crowd, schedule.slot).await;
                let row = rows.next().unwrap();
                if counts {
                    row.add(cpu_us, &run, &passed);
                }
            }
            stages
                .slot(&mut measured, crowd, (schedule.slot, counts))
                .await;
        }
    }
    let mut table = Table::new(&[
        "connections",
        "on",
        "CPU per request, µs (range)",
        "requests per second",
        "p50, ms",
        "p99, ms",
        "added p50, ms",
        "added p99, ms",
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
            &row.added_p50_ms.show(2),
            &row.added_p99_ms.show(2),
        ]);
    }
    table.print(&format!(
        "`POST /v1/sms`, the program as shipped, {} rounds in turn, {} s each",
        schedule.rounds,
        schedule.slot.as_secs_f64()
    ));
    let stages: Vec<&Stages> = stages.iter().collect();
    stages::print(
        &stages,
        "Where its CPU time goes, PostgreSQL and Redis, with the clock running",
    );
}
