//! Writes on PostgreSQL, with Redis and without, by how many clients there are: what a request costs, how
//! long it takes beyond what it takes through code that only maps, and where its CPU time goes.

use onerouter_tests::redis::TestRedis;

use crate::load::{Figures, Run};
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
    figures: Figures,
    /// Beyond the pass-through's of the same round.
    added_p50_ms: Samples,
    added_p99_ms: Samples,
}

impl Row {
    fn add(&mut self, cpu_us: f64, run: &Run, bare: &Run) {
        self.figures.add(cpu_us, run);
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
    let columns = ["connections", "on"].into_iter().chain(Figures::COLUMNS);
    let columns: Vec<&str> = columns.chain(["added p50, ms", "added p99, ms"]).collect();
    let mut table = Table::new(&columns);
    let turns = CROWDS
        .iter()
        .flat_map(|crowd| peers.iter().map(move |peer| (crowd, peer)));
    for ((crowd, (name, _)), row) in turns.zip(&rows) {
        let mut cells = vec![crowd.to_string(), (*name).to_owned()];
        cells.extend(row.figures.cells());
        cells.extend([row.added_p50_ms.show(2), row.added_p99_ms.show(2)]);
        table.row(&cells);
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
