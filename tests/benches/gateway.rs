//! What a request costs the gateway: CPU of the real release binary, in one run, interleaved.
//!
//! The gateway is a process of its own, and its CPU time is read from `/proc`. Client and provider
//! sandbox run in this one. Each round sends the same number of requests of every kind in turn;
//! medians and ranges over the rounds are printed, and ratios to the cheapest kind, because a busy
//! machine moves all of them alike.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs};

use futures_util::{StreamExt as _, stream};
use onerouter_sandbox::{Sandbox, SandboxConfig};
use onerouter_tests::harness::{ADMIN_TOKEN, built};
use serde_json::{Value, json};
use tempfile::TempDir;

const ROUNDS: usize = 5;
const REQUESTS: usize = 2_000;
const CONCURRENCY: usize = 32;

struct Gateway {
    process: Child,
    base: String,
    key: String,
    _folder: TempDir,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Health,
    Read,
    Send,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Health, Self::Read, Self::Send];

    fn name(self) -> &'static str {
        match self {
            Self::Health => "GET /api/health/live",
            Self::Read => "GET /v1/sms/{id} (stored)",
            Self::Send => "POST /v1/sms",
        }
    }
}

#[derive(Default)]
struct Samples {
    cpu_us: Vec<f64>,
    per_second: Vec<f64>,
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
}

fn main() {
    // `cargo test --benches` only checks that it builds.
    if !env::args().any(|argument| argument == "--bench") {
        return;
    }
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(measure());
}

async fn measure() {
    let sandbox = Sandbox::start(SandboxConfig {
        requests_kept: 0,
        ..SandboxConfig::default()
    })
    .await
    .unwrap();
    let mut databases = vec![("SQLite", None)];
    let postgres = onerouter_tests::database::TestDatabase::postgres().await;
    if let Some(database) = &postgres {
        databases.push(("PostgreSQL", Some(database.url().to_owned())));
    }
    println!("{}", conditions());
    for (name, url) in databases {
        let gateway = start(&sandbox, url).await;
        println!("\n{name}, {CONCURRENCY} connections, {ROUNDS} rounds of {REQUESTS} requests");
        println!(
            "{:<28} {:>22} {:>10} {:>9} {:>9} {:>7}",
            "", "gateway CPU µs/request", "req/s", "p50 ms", "p99 ms", "ratio"
        );
        let sms = send_one(&gateway).await;
        let mut samples: [Samples; 3] = Default::default();
        for round in 0..=ROUNDS {
            for (kind, samples) in Kind::ALL.into_iter().zip(&mut samples) {
                let sample = run(&gateway, kind, &sms).await;
                // The first round warms up caches and connections.
                if round > 0 {
                    samples.cpu_us.push(sample.0);
                    samples.per_second.push(sample.1);
                    samples.p50_ms.push(sample.2);
                    samples.p99_ms.push(sample.3);
                }
            }
        }
        let cheapest = median(&mut samples[0].cpu_us.clone());
        for (kind, samples) in Kind::ALL.into_iter().zip(&mut samples) {
            let cpu = median(&mut samples.cpu_us);
            let range = (samples.cpu_us[0], samples.cpu_us[samples.cpu_us.len() - 1]);
            println!(
                "{:<28} {:>6.0} ({:>5.0}–{:>5.0})   {:>10.0} {:>9.2} {:>9.2} {:>7.1}",
                kind.name(),
                cpu,
                range.0,
                range.1,
                median(&mut samples.per_second),
                median(&mut samples.p50_ms),
                median(&mut samples.p99_ms),
                cpu / cheapest,
            );
        }
        println!("resident memory {} MiB", resident_mib(gateway.process.id()));
    }
    sandbox.shutdown().await;
}

/// The release binary with the sandbox behind it and everything connected.
async fn start(sandbox: &Sandbox, database_url: Option<String>) -> Gateway {
    let folder = tempfile::tempdir().unwrap();
    let program = built("ONEROUTER_TEST_BIN", "release/onerouter");
    let upstreams: Vec<_> = sandbox
        .upstreams()
        .into_iter()
        .map(|(host, base)| format!("{host}={base}"))
        .collect();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut command = Command::new(program);
    command
        .arg("serve")
        .env("ONEROUTER_BIND", format!("127.0.0.1:{port}"))
        .env("ONEROUTER_DATA_DIR", folder.path().join("data"))
        .env(
            "ONEROUTER_PLUGINS_DIR",
            built("ONEROUTER_TEST_PLUGINS_DIR", "plugins"),
        )
        .env("ONEROUTER_ADMIN_TOKEN", ADMIN_TOKEN)
        .env("ONEROUTER_UPSTREAMS", upstreams.join(","))
        .env("RUST_LOG", "error")
        .stderr(Stdio::null());
    if let Some(url) = database_url {
        command.env("DATABASE_URL", url);
    }
    let process = command
        .spawn()
        .expect("cargo xtask bench builds target/release/onerouter");
    let base = format!("http://127.0.0.1:{port}");
    let mut gateway = Gateway {
        process,
        base,
        key: ADMIN_TOKEN.to_owned(),
        _folder: folder,
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    let http = client();
    while http
        .get(format!("{}/api/health/ready", gateway.base))
        .send()
        .await
        .is_err()
    {
        assert!(Instant::now() < deadline, "the gateway does not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for connection in sandbox.connections() {
        let path = format!(
            "/api/services/{}/{}/connect",
            connection.service, connection.provider
        );
        let body = json!({
            "environment": connection.environment, "credentials": connection.credentials,
            "settings": connection.settings,
        });
        post(&gateway, &path, &body).await;
    }
    let rate = json!({"per_second": 100_000, "burst": 100_000});
    let body = json!({"name": "bench", "environment": "test", "rate_limit": rate});
    let key = post(&gateway, "/api/api-keys", &body).await;
    gateway.key = key["key"].as_str().unwrap().to_owned();
    gateway
}

async fn post(gateway: &Gateway, path: &str, body: &Value) -> Value {
    let url = format!("{}{path}", gateway.base);
    let answer = client()
        .post(url)
        .bearer_auth(&gateway.key)
        .json(body)
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    answer.json().await.unwrap()
}

async fn send_one(gateway: &Gateway) -> String {
    let sms = post(
        gateway,
        "/v1/sms",
        &json!({"to": "+14155550123", "body": "Hello"}),
    )
    .await;
    sms["id"].as_str().unwrap().to_owned()
}

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .tcp_nodelay(true)
        .build()
        .unwrap()
}

/// CPU µs per request, requests per second, p50 and p99 in ms.
async fn run(gateway: &Gateway, kind: Kind, sms: &str) -> (f64, f64, f64, f64) {
    let http = client();
    let (base, key): (Arc<str>, Arc<str>) =
        (gateway.base.as_str().into(), gateway.key.as_str().into());
    let before = cpu(gateway.process.id());
    let started = Instant::now();
    let mut times: Vec<f64> = stream::iter(0..REQUESTS)
        .map(|_| {
            let (http, base, key, sms) = (http.clone(), base.clone(), key.clone(), sms.to_owned());
            async move {
                let started = Instant::now();
                let request = match kind {
                    Kind::Health => http.get(format!("{base}/api/health/live")),
                    Kind::Read => http.get(format!("{base}/v1/sms/{sms}?refresh=false")),
                    Kind::Send => http
                        .post(format!("{base}/v1/sms"))
                        .json(&json!({"to": "+14155550123", "body": "Your code is 123456."})),
                };
                let answer = request.bearer_auth(&key).send().await.unwrap();
                assert!(answer.status().is_success(), "{}", answer.status());
                answer.bytes().await.unwrap();
                started.elapsed().as_secs_f64() * 1e3
            }
        })
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;
    let elapsed = started.elapsed().as_secs_f64();
    let cpu_us = (cpu(gateway.process.id()) - before).as_secs_f64() * 1e6 / REQUESTS as f64;
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    (cpu_us, REQUESTS as f64 / elapsed, at(0.5), at(0.99))
}

/// User and system time of a process. `/proc` counts in hundredths of a second on Linux.
fn cpu(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn resident_mib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1_024
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn conditions() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name\t: "))
        .unwrap_or("?");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{model}, {cores} cores, Linux {}, onerouter {}",
        read("/proc/sys/kernel/osrelease").trim(),
        env!("CARGO_PKG_VERSION")
    )
}
