//! What the program keeps in memory, and how long it takes to start.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::load::{Client, Target};
use crate::numbers::{Samples, Table};
use crate::peers::{connect, key, plugins, program};
use crate::process::{Process, free_address, listening};
use crate::provider::Provider;

/// Calls that wait for their provider at the same time: as many as the engine has slots.
const IN_FLIGHT: usize = 1_000;
/// One adapter may have three quarters of the slots, so two share them.
const SHARED_BY: usize = 2;
/// After the last answer, until memory is read again.
const AFTER: Duration = Duration::from_secs(3);

/// A program with so many adapters in a folder of its own.
struct Started {
    process: Process,
    address: SocketAddr,
}

async fn start(data_dir: &Path, plugins_dir: &Path, provider: &Provider) -> Started {
    let address = free_address();
    let mut command = program(address, data_dir, plugins_dir, None, provider);
    let process = Process::start(&mut command);
    listening(address).await;
    Started { process, address }
}

pub(crate) async fn measure_memory() {
    let provider = Provider::start().await;
    let mut table = Table::new(&["state", "resident, MiB"]);
    for count in [0, 4, 50] {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let data_dir = folder.path().join("data");
        let plugins_dir = adapters(folder.path(), count);
        // Compiling leaves traces in the heap: memory is that of a start from the cache.
        drop(start(&data_dir, &plugins_dir, &provider).await);
        let gateway = start(&data_dir, &plugins_dir, &provider).await;
        let loaded = gateway.process.resident_mib();
        table.row(&[
            format!("{count} adapters, started from compiled code, idle"),
            format!("{loaded:.1}"),
        ]);
        if count == 0 {
            continue;
        }
        for number in 0..count {
            connect(gateway.address, &id(number)).await;
        }
        let key = key(gateway.address).await;
        for number in 0..count {
            let request = write(gateway.address, &key, number);
            Client::connect(gateway.address)
                .await
                .exchange(&request.request)
                .await;
        }
        let called = gateway.process.resident_mib();
        table.row(&[
            format!("{count} adapters, each connected and called"),
            format!("{called:.1}"),
        ]);
        if count == 4 {
            in_flight(&gateway, &provider, &key, &mut table).await;
        }
    }
    table.print("Memory of the program as shipped, SQLite");
}

async fn in_flight(gateway: &Started, provider: &Provider, key: &str, table: &mut Table) {
    provider.hold();
    let calls: Vec<_> = (0..IN_FLIGHT)
        .map(|number| {
            let request = write(gateway.address, key, number % SHARED_BY);
            tokio::spawn(async move {
                let mut client = Client::connect(request.address).await;
                client.exchange(&request.request).await;
            })
        })
        .collect();
    let all = tokio::time::timeout(Duration::from_secs(25), provider.holds(IN_FLIGHT));
    all.await
        .expect("the calls do not come together at the provider");
    let busy = gateway.process.resident_mib();
    table.row(&[
        format!("{IN_FLIGHT} calls wait for their provider"),
        format!("{busy:.1}"),
    ]);
    provider.release();
    for call in calls {
        call.await.unwrap();
    }
    tokio::time::sleep(AFTER).await;
    let after = gateway.process.resident_mib();
    table.row(&[
        format!("{} s after they have ended", AFTER.as_secs()),
        format!("{after:.1}"),
    ]);
}

pub(crate) async fn measure_starts(rounds: usize) {
    let provider = Provider::start().await;
    let mut table = Table::new(&[
        "adapters",
        "nothing compiled yet, ms (range)",
        "from compiled code, ms (range)",
    ]);
    for count in [0, 2, 50] {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let data_dir = folder.path().join("data");
        let plugins_dir = adapters(folder.path(), count);
        // The first start makes the database, which is no start that happens twice.
        drop(start(&data_dir, &plugins_dir, &provider).await);
        let (mut cold, mut warm) = (Samples::default(), Samples::default());
        for _ in 0..rounds {
            std::fs::remove_dir_all(data_dir.join("compiled")).unwrap();
            for samples in [&mut cold, &mut warm] {
                let began = Instant::now();
                let started = start(&data_dir, &plugins_dir, &provider).await;
                samples.add(began.elapsed().as_secs_f64() * 1e3);
                drop(started);
            }
        }
        table.row(&[count.to_string(), cold.show(0), warm.show(0)]);
    }
    table.print("From the start of the program to its first connection, SQLite, database present");
}

/// A folder with so many adapters: copies of one under names of their own, each compiled and loaded
/// by itself.
fn adapters(parent: &Path, count: usize) -> PathBuf {
    const ID: &[u8] = br#""id":"twilio""#;
    let folder = parent.join("plugins");
    std::fs::create_dir(&folder).unwrap();
    let packed = std::fs::read(plugins().join("twilio.wasm")).unwrap();
    let found: Vec<usize> = packed
        .windows(ID.len())
        .enumerate()
        .filter_map(|(at, window)| (window == ID).then_some(at))
        .collect();
    let [at] = found.as_slice() else {
        panic!("the manifest names its id {} times", found.len())
    };
    for number in 0..count {
        let name = id(number);
        let mut copy = packed.clone();
        let renamed = format!(r#""id":"{name}""#);
        assert_eq!(
            renamed.len(),
            ID.len(),
            "of the same length, so that nothing moves"
        );
        copy[*at..at + ID.len()].copy_from_slice(renamed.as_bytes());
        std::fs::write(folder.join(format!("{name}.wasm")), copy).unwrap();
    }
    folder
}

fn id(number: usize) -> String {
    format!("copy{number:02}")
}

/// `POST /v1/sms` by a certain adapter.
fn write(address: SocketAddr, key: &str, number: usize) -> Target {
    let body =
        json!({"to": "+14155550123", "body": "Your code is 123456.", "provider": id(number)});
    Target::post(address, "/v1/sms", key, &body.to_string())
}
