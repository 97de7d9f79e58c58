//! Whole requests: what each costs its gateway in CPU, and where the time of a write goes.

use std::time::Duration;

use crate::load::{self, Figures, Run, Target};
use crate::numbers::Table;
use crate::peers::{self, BODY, Database, PAYMENT, Peer, ServedBy};
use crate::provider::Provider;
use crate::schedule::Schedule;
use crate::stages::{self, Stages};

/// One row of the table.
struct Row {
    name: &'static str,
    /// Which of the peers.
    peer: usize,
    target: Target,
    figures: Figures,
}

impl Row {
    fn new(name: &'static str, peer: usize, target: Target) -> Self {
        Self {
            name,
            peer,
            target,
            figures: Figures::default(),
        }
    }
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
    let native = peers::measured(&provider, durable, None, ServedBy::NativeCode).await;
    add(
        &mut peers,
        "this gateway's path with a native adapter, everything on",
        native,
    );
    let component = peers::measured(&provider, durable, None, ServedBy::Component).await;
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
        let peer = peers::shipped(&provider, Database::PostgresSocket, None).await;
        let name = "onerouter as shipped, PostgreSQL by its socket";
        add(&mut peers, name, peer);
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
        "as shipped, the first of them: `GET /api/health/live`",
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
    let mut stages = stages.map(|(name, peer)| (peer, Stages::new(name)));

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
                row.figures.add(cpu_us, &run);
            }
        }
        for (peer, stages) in &mut stages {
            let peer = &mut peers[*peer];
            stages
                .slot(peer, schedule.connections, (schedule.slot, round > 0))
                .await;
        }
    }

    print(&rows, schedule);
    let stages: Vec<&Stages> = stages.iter().map(|(_, stages)| stages).collect();
    stages::print(
        &stages,
        "Where the CPU time of a write goes, with the clock running",
    );
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
    let columns: Vec<&str> = ["gateway"].into_iter().chain(Figures::COLUMNS).collect();
    let mut table = Table::new(&columns);
    for row in rows {
        let mut cells = vec![row.name.to_owned()];
        cells.extend(row.figures.cells());
        table.row(&cells);
    }
    table.print(&format!(
        "Whole requests, {} connections, {} rounds in turn, {} s each",
        schedule.connections,
        schedule.rounds,
        schedule.slot.as_secs_f64()
    ));
}

fn print_ratios(rows: &[Row]) {
    let cpu = |part: &str| {
        let row = rows.iter().find(|row| row.name.contains(part));
        row.map_or(f64::NAN, |row| row.figures.cpu_us.median())
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
