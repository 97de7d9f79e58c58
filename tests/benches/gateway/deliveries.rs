//! Deliveries to webhook endpoints: how many a second, what each costs the gateway, and how soon after
//! its event the first try of one arrives.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use crate::load::{Client, content_length, end_of_head};
use crate::numbers::{Samples, Table, percentile};
use crate::peers::{self, Database, Peer};
use crate::provider::Provider;
use crate::schedule::Schedule;

/// Deliveries that lie in the queue when a round begins.
const QUEUED: usize = 5_000;
const ENDPOINTS: [usize; 2] = [1, 100];
/// A tenant has no more of them in one environment.
const OF_ONE_TENANT: usize = 50;
/// Events a second while latencies are taken.
const EVENTS_PER_SECOND: u32 = 100;
const PATIENCE: Duration = Duration::from_secs(120);

/// What one kind of round gave.
#[derive(Default)]
struct Row {
    cpu_us: Samples,
    per_second: Samples,
}

pub(crate) async fn measure(schedule: &Schedule) {
    let provider = Provider::start().await;
    let receiver = Receiver::start().await;
    let peer = peers::shipped(&provider, Database::Postgres, None).await;
    let mut keys = vec![peer.key.clone()];
    while keys.len() * OF_ONE_TENANT < ENDPOINTS[1] {
        keys.push(peers::another_tenant(&peer).await.key);
    }
    // Of each an event that the others are made after.
    let mut client = Client::connect(peer.address).await;
    for key in &keys {
        client.exchange(&peer.write_with(key).request).await;
    }
    let mut rows = [Row::default(), Row::default()];
    let (mut p50_ms, mut p99_ms) = (Samples::default(), Samples::default());
    for round in 0..=schedule.rounds {
        for (endpoints, row) in ENDPOINTS.into_iter().zip(&mut rows) {
            let (cpu_us, per_second) = drain(&peer, &keys, &receiver, endpoints).await;
            // The first round warms up.
            if round > 0 {
                row.cpu_us.add(cpu_us);
                row.per_second.add(per_second);
            }
        }
        let late_ms = late(&peer, &receiver, schedule.slot).await;
        if round > 0 {
            p50_ms.add(percentile(&late_ms, 0.5));
            p99_ms.add(percentile(&late_ms, 0.99));
        }
    }
    let mut table = Table::new(&[
        "endpoints",
        "deliveries per second",
        "CPU per delivery, µs (range)",
    ]);
    for (endpoints, row) in ENDPOINTS.into_iter().zip(&rows) {
        table.row(&[
            endpoints.to_string(),
            row.per_second.show(0),
            row.cpu_us.show(0),
        ]);
    }
    table.print(&format!(
        "{QUEUED} webhook deliveries that lie in the queue, PostgreSQL, the program as shipped, {} rounds in turn",
        schedule.rounds
    ));
    let mut table = Table::new(&["from event to first try", "ms (range)"]);
    table.row(&["p50".to_owned(), p50_ms.show(1)]);
    table.row(&["p99".to_owned(), p99_ms.show(1)]);
    table.print(&format!(
        "At {EVENTS_PER_SECOND} events a second, one endpoint, {} s a round",
        schedule.slot.as_secs_f64()
    ));
}

/// CPU µs per delivery and deliveries per second while a full queue is emptied.
async fn drain(peer: &Peer, keys: &[String], receiver: &Receiver, endpoints: usize) -> (f64, f64) {
    let made = make_endpoints(peer, keys, receiver, endpoints).await;
    receiver.forget().await;
    let cpu_before = peer.process.cpu_ns();
    fill(peer).await;
    let until = Instant::now() + PATIENCE;
    while receiver.count() < QUEUED {
        assert!(Instant::now() < until, "only {} arrived", receiver.count());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let cpu_ns = peer.process.cpu_ns().saturating_sub(cpu_before);
    let times = receiver.times().await;
    let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    let took = last.duration_since(*first).as_secs_f64();
    remove_endpoints(peer, &made).await;
    (cpu_ns as f64 / 1e3 / QUEUED as f64, QUEUED as f64 / took)
}

/// Sorted ms from the time that an event bears to its arrival, at a steady rate of messages.
async fn late(peer: &Peer, receiver: &Receiver, time: Duration) -> Vec<f64> {
    let keys = std::slice::from_ref(&peer.key);
    let made = make_endpoints(peer, keys, receiver, 1).await;
    receiver.forget().await;
    let target = peer.write();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / EVENTS_PER_SECOND);
    let until = Instant::now() + time;
    let mut sending = Vec::new();
    while Instant::now() < until {
        ticks.tick().await;
        let target = target.clone();
        sending.push(tokio::spawn(async move {
            let mut client = Client::connect(target.address).await;
            client.exchange(&target.request).await;
        }));
    }
    let count = sending.len();
    for one in sending {
        one.await.unwrap();
    }
    let until = Instant::now() + PATIENCE;
    while receiver.count() < count {
        assert!(Instant::now() < until, "only {} arrived", receiver.count());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut late_ms = receiver.late_ms().await;
    late_ms.sort_by(f64::total_cmp);
    remove_endpoints(peer, &made).await;
    late_ms
}

/// An endpoint, and a key of whose it is.
struct Made {
    key: String,
    id: String,
}

/// So many endpoints, of the first tenants that they need.
async fn make_endpoints(
    peer: &Peer,
    keys: &[String],
    receiver: &Receiver,
    count: usize,
) -> Vec<Made> {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut made = Vec::new();
    for number in 0..count {
        let url = format!("http://{}/{number}", receiver.address);
        let key = &keys[number / OF_ONE_TENANT];
        let answer = http
            .post(format!("http://{}/v1/webhook-endpoints", peer.address))
            .bearer_auth(key)
            .json(&json!({ "url": url }))
            .send()
            .await
            .unwrap();
        let endpoint: serde_json::Value = answer.json().await.unwrap();
        let id = endpoint["id"].as_str();
        let id = id.unwrap_or_else(|| panic!("{endpoint}")).to_owned();
        made.push(Made {
            key: key.clone(),
            id,
        });
    }
    made
}

async fn remove_endpoints(peer: &Peer, made: &[Made]) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for Made { key, id } in made {
        let answer = http
            .delete(format!("http://{}/v1/webhook-endpoints/{id}", peer.address))
            .bearer_auth(key)
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }
}

/// Puts deliveries into the queue, the same number to each endpoint, as the gateway would.
async fn fill(peer: &Peer) {
    let sql = format!(
        "with endpoint as (
             select tenant_id, id from webhook_endpoints
         ), sample as (
             select distinct on (tenant_id) * from events
             where tenant_id in (select tenant_id from endpoint) order by tenant_id, id desc
         ), event as (
             insert into events (id, tenant_id, environment, type, object_id, object_version, data,
                 created_at)
             select (left(sample.id::text, 15) || right(gen_random_uuid()::text, 21))::uuid,
                 sample.tenant_id, 'test', sample.type, gen_random_uuid(), 1, sample.data, now()
             from generate_series(1, {QUEUED} / (select count(*) from endpoint)) as number
             cross join sample
             returning id, tenant_id, object_id
         ), delivery as (
             insert into webhook_deliveries (tenant_id, id, endpoint_id, event_id, object_id,
                 sequence, state, attempts, next_at, created_at)
             select event.tenant_id,
                 (left(event.id::text, 15) || right(gen_random_uuid()::text, 21))::uuid,
                 endpoint.id, event.id, event.object_id, 1, 'pending', 0, now(), now()
             from event join endpoint on endpoint.tenant_id = event.tenant_id
             returning tenant_id, id, endpoint_id
         )
         insert into delivery_queue (delivery_id, endpoint_id, tenant_id, at)
         select id, endpoint_id, tenant_id, now() from delivery"
    );
    let mut connection = PgConnection::connect(peer.owner_url()).await.unwrap();
    let filled = sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut connection)
        .await
        .unwrap();
    assert_eq!(filled.rows_affected(), QUEUED as u64);
}

/// Somebody who hears of events, at as little cost as can be.
struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    count: AtomicUsize,
    arrived: Mutex<Vec<Arrived>>,
}

/// When, and how long after what the event says.
struct Arrived {
    at: Instant,
    late_ms: f64,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let state = Arc::clone(&shared);
                tokio::spawn(async move { serve(stream, &state).await });
            }
        });
        Self { address, state }
    }

    fn count(&self) -> usize {
        self.state.count.load(Relaxed)
    }

    async fn forget(&self) {
        self.state.arrived.lock().await.clear();
        self.state.count.store(0, Relaxed);
    }

    async fn times(&self) -> Vec<Instant> {
        let arrived = self.state.arrived.lock().await;
        arrived.iter().map(|one| one.at).collect()
    }

    async fn late_ms(&self) -> Vec<f64> {
        let arrived = self.state.arrived.lock().await;
        arrived.iter().map(|one| one.late_ms).collect()
    }
}

/// An error is a client that has gone.
async fn serve(mut stream: TcpStream, state: &State) -> Option<()> {
    const MARK: &str = "\"timestamp\":\"";
    let mut buffer = Vec::with_capacity(4 << 10);
    loop {
        let end = loop {
            if let Some(end) = end_of_head(&buffer) {
                break end;
            }
            if stream.read_buf(&mut buffer).await.ok()? == 0 {
                return None;
            }
        };
        let (at, now) = (Instant::now(), DateTime::<Utc>::from(SystemTime::now()));
        let length = content_length(std::str::from_utf8(buffer.get(..end)?).ok()?)?;
        while buffer.len() < end + length {
            if stream.read_buf(&mut buffer).await.ok()? == 0 {
                return None;
            }
        }
        let body = std::str::from_utf8(buffer.get(end..)?).ok()?;
        let (_, rest) = body.split_once(MARK)?;
        let happened: DateTime<Utc> = rest.split('"').next()?.parse().ok()?;
        let late = now.signed_duration_since(happened);
        let late_ms = late.num_microseconds()? as f64 / 1e3;
        state.arrived.lock().await.push(Arrived { at, late_ms });
        state.count.fetch_add(1, Relaxed);
        buffer.clear();
        let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
        stream.write_all(answer).await.ok()?;
    }
}
