//! Whole requests: what each costs its gateway in CPU, and where the time of a write goes.

use std::time::Duration;

use onerouter_stages::Stage;

use crate::load::{self, Run, Target};
use crate::numbers::{Samples, Table};
use crate::peers::{self, BODY, Database, PAYMENT, Peer};
use crate::provider::Provider;
use crate::schedule::Schedule;

/// One row of the table.
struct Row {
    name: &'static str,
    /// Which of the peers.
    peer: usize,
    target: Target,
    cpu_us: Samples,
    per_second: Samples,
    p50_ms: Samples,
    p99_ms: Samples,
}

impl Row {
    fn new(name: &'static str, peer: usize, target: Target) -> Self {
        Self {
            name,
            peer,
            target,
            cpu_us: Samples::default(),
            per_second: Samples::default(),
            p50_ms: Samples::default(),
            p99_ms: Samples::default(),
        }
    }

    fn add(&mut self, cpu_us: f64, run: &Run) {
        self.cpu_us.add(cpu_us);
        self.per_second.add(run.per_second);
        self.p50_ms.add(run.p50_ms);
        self.p99_ms.add(run.p99_ms);
    }
}

/// The stages of one peer.
struct Stages {
    name: &'static str,
    peer: usize,
    /// µs per request, in the order of [`Stage::ALL`]; last of all the rest of the process.
    us: Vec<Samples>,
    readings: Samples,
}

pub(crate) async fn measure(schedule: &Schedule, has_postgres: bool) {
    let provider = Provider::start().await;
    let durable = if has_postgres {
        Database::Postgres
    } else {
        Database::Sqlite
    };
    let mut peers = Vec::new();
    let mut rows = Vec::new();
    let mut add = |peers: &mut Vec<Peer>, name, peer: Peer| {
        rows.push(Row::new(name, peers.len(), peer.write()));
        peers.push(peer);
    };
    if let Some(peer) = peers::nginx(&provider).await {
        add(&mut peers, "nginx, passes on without looking", peer);
    }
    let peer = peers::pass_through(&provider).await;
    add(
        &mut peers,
        "native pass-through (axum, hyper-util), bare",
        peer,
    );
    let native = peers::measured(&provider, durable, true).await;
    add(
        &mut peers,
        "this gateway's path with a native adapter, everything on",
        native,
    );
    let component = peers::measured(&provider, durable, false).await;
    add(
        &mut peers,
        "this gateway's path with the component, everything on",
        component,
    );
    let stages = [
        ("native adapter", peers.len() - 2),
        ("component", peers.len() - 1),
    ];
    let shipped = peers.len();
    if has_postgres {
        let peer = peers::shipped(&provider, Database::Postgres, None).await;
        add(&mut peers, "onerouter as shipped, PostgreSQL", peer);
    }
    let peer = peers::shipped(&provider, Database::Sqlite, None).await;
    add(&mut peers, "onerouter as shipped, SQLite", peer);
    for (client, name) in [
        ("aiohttp", "FastAPI with aiohttp, bare"),
        ("httpx", "FastAPI with httpx, bare"),
    ] {
        if let Some(peer) = peers::fastapi(&provider, client).await {
            add(&mut peers, name, peer);
        }
    }
    let Peer { address, key, .. } = &peers[shipped];
    let sms = stored(*address, key, "/v1/sms", BODY).await;
    let payment = stored(*address, key, "/v1/payments", PAYMENT).await;
    let health = Target::get(*address, "/api/health/live", key);
    let read = Target::get(*address, &format!("/v1/sms/{sms}?refresh=false"), key);
    rows.push(Row::new(
        "the same, `GET /api/health/live`",
        shipped,
        health,
    ));
    rows.push(Row::new(
        "the same, `GET /v1/sms/{id}` (stored)",
        shipped,
        read,
    ));
    rows.push(Row::new(
        "the same, `POST /v1/payments`",
        shipped,
        Target::post(*address, "/v1/payments", key, PAYMENT),
    ));
    rows.push(Row::new(
        "the same, `GET /v1/payments/{id}` (stored)",
        shipped,
        Target::get(
            *address,
            &format!("/v1/payments/{payment}?refresh=false"),
            key,
        ),
    ));
    let mut stages = stages.map(|(name, peer)| Stages {
        name,
        peer,
        us: vec![Samples::default(); Stage::ALL.len() + 1],
        readings: Samples::default(),
    });

    for round in 0..=schedule.rounds {
        for row in &mut rows {
            let (cpu_us, run) = slot(
                &peers[row.peer],
                &row.target,
                schedule.connections,
                schedule.slot,
            )
            .await;
            // The first round warms up.
            if round > 0 {
                row.add(cpu_us, &run);
            }
        }
        for stages in &mut stages {
            stages
                .slot(&mut peers[stages.peer], schedule, round > 0)
                .await;
        }
    }

    print(&rows, schedule);
    print_stages(&stages);
    print_ratios(&rows);
    drop(peers);
}

/// CPU µs per request of the peer's process while its target is asked over so many connections.
pub(crate) async fn slot(
    peer: &Peer,
    target: &Target,
    connections: usize,
    time: Duration,
) -> (f64, Run) {
    let before = peer.process.cpu_ns();
    let run = load::run(target, connections, time).await;
    let cpu_ns = peer.process.cpu_ns().saturating_sub(before);
    (cpu_ns as f64 / 1e3 / run.requests as f64, run)
}

impl Stages {
    async fn slot(&mut self, peer: &mut Peer, schedule: &Schedule, counts: bool) {
        let before = spent(&peer.process.ask(Some("run")));
        let (cpu_us, run) = slot(peer, &peer.write(), schedule.connections, schedule.slot).await;
        let after = spent(&peer.process.ask(Some("stop")));
        if !counts {
            return;
        }
        let requests = run.requests as f64;
        let mut rest_us = cpu_us;
        let spent = before
            .iter()
            .zip(&after)
            .map(|(before, after)| after - before);
        for (at, spent) in spent.enumerate() {
            if at == 0 {
                self.readings.add(spent / requests);
                continue;
            }
            let us = spent / 1e3 / requests;
            rest_us -= us;
            self.us[at - 1].add(us);
        }
        self.us[Stage::ALL.len()].add(rest_us);
    }
}

/// Readings of the clock, then ns by stage.
fn spent(line: &str) -> Vec<f64> {
    line.split(' ')
        .map(|number| number.parse().unwrap())
        .collect()
}

/// The id of an object that is there to be read.
async fn stored(
    address: std::net::SocketAddr,
    key: &str,
    path: &str,
    body: &'static str,
) -> String {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = http
        .post(format!("http://{address}{path}"))
        .bearer_auth(key)
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
        .unwrap();
    let made: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    made["id"].as_str().unwrap().to_owned()
}

fn print(rows: &[Row], schedule: &Schedule) {
    let mut table = Table::new(&[
        "gateway",
        "CPU per request, µs (range)",
        "requests per second",
        "p50, ms",
        "p99, ms",
    ]);
    for row in rows {
        table.row(&[
            row.name,
            &row.cpu_us.show(0),
            &row.per_second.show(0),
            &row.p50_ms.show(2),
            &row.p99_ms.show(2),
        ]);
    }
    table.print(&format!(
        "Whole requests, {} connections, {} rounds in turn, {} s each",
        schedule.connections,
        schedule.rounds,
        schedule.slot.as_secs_f64()
    ));
}

fn print_stages(stages: &[Stages]) {
    let mut columns = vec!["stage of `POST /v1/sms`, CPU µs".to_owned()];
    columns.extend(stages.iter().map(|stages| stages.name.to_owned()));
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut table = Table::new(&columns);
    let names = Stage::ALL.iter().map(|stage| stage.name());
    let rest = "the rest: HTTP server, runtime, background";
    for (at, name) in names.chain([rest]).enumerate() {
        let mut row = vec![name.to_owned()];
        row.extend(stages.iter().map(|stages| stages.us[at].show(1)));
        table.row(&row);
    }
    let mut row = vec![format!(
        "readings of the clock ({:.2} µs each, contained above)",
        reading_us()
    )];
    row.extend(stages.iter().map(|stages| stages.readings.show(1)));
    table.row(&row);
    table.print("Where the CPU time of a write goes, with the clock running");
}

/// What one reading of the stages' clock costs here.
fn reading_us() -> f64 {
    const READINGS: u32 = 20_000;
    let began = std::time::Instant::now();
    for _ in 0..READINGS {
        let _now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    }
    let spent: Duration = began.elapsed();
    spent.as_secs_f64() * 1e6 / f64::from(READINGS)
}

fn print_ratios(rows: &[Row]) {
    let cpu = |part: &str| {
        let row = rows.iter().find(|row| row.name.contains(part));
        row.map_or(f64::NAN, |row| row.cpu_us.median())
    };
    let component = cpu("with the component");
    println!("Ratios of medians, from the first table:\n");
    println!(
        "- component to native adapter on the full path: {:.2} (aim: at most 1.5)",
        component / cpu("with a native adapter")
    );
    println!(
        "- bare FastAPI with aiohttp to the full path: {:.2} (aim: at least 2)",
        cpu("aiohttp") / component
    );
    println!(
        "- bare FastAPI with httpx to the full path: {:.2}",
        cpu("httpx,") / component
    );
    println!(
        "- full path to the bare native pass-through: {:.2}",
        component / cpu("pass-through")
    );
}
