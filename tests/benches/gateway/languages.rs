//! The same adapter in three languages: what a call costs, what a loaded plugin keeps in memory, how long
//! it takes to load. Examples whose compiler is not there are left out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use onerouter_domain::environment::Environment;
use onerouter_egress::{Answer, Egress, EgressConfig};
use onerouter_engine::{
    Adapter, CallContext, Compiler, CompilerProcess, ConnectionContext, Credentials, Engine,
    EngineConfig, MacKey, Outcome,
};
use onerouter_tests::harness::built;
use onerouter_tests::languages::Example;
use zeroize::Zeroizing;

use crate::call::text;
use crate::numbers::{Samples, Table, percentile};

/// An interpreter takes hundreds of times as long as a translator.
const CALLS_LESS: usize = 20;

/// Loading compiles for ten seconds.
const LOADS: usize = 3;

struct Subject {
    name: &'static str,
    plugin: Bytes,
}

pub(crate) async fn measure(rounds: usize, calls: usize) {
    let subjects = subjects();
    if subjects.len() == 1 {
        println!("\nNo compilers of other languages: `languages` is left out");
        return;
    }
    loading(&subjects).await;
    calling(&subjects, rounds, calls / CALLS_LESS).await;
}

fn subjects() -> Vec<Subject> {
    let rust = built("ONEROUTER_TEST_FIXTURES_DIR", "fixtures").join("acme-texts.wasm");
    let mut files: Vec<(_, PathBuf)> = vec![("Rust", rust)];
    for example in Example::ALL {
        let name = match example {
            Example::Python => "Python",
            Example::JavaScript => "JavaScript",
        };
        files.extend(example.plugin_if_possible().map(|file| (name, file)));
    }
    let read = |(name, file): (_, PathBuf)| Subject {
        name,
        plugin: std::fs::read(file).unwrap().into(),
    };
    files.into_iter().map(read).collect()
}

/// An engine whose provider answers at once and without a network.
fn engine(cache: &Path) -> Engine {
    let egress = Arc::new(Egress::new(EgressConfig::default()).unwrap());
    let mut config = EngineConfig::new(MacKey::new([7; 32]));
    config.cache_dir = Some(cache.to_owned());
    // As the gateway has it.
    config.compiler = Compiler::Apart(CompilerProcess {
        program: built("ONEROUTER_TEST_BIN", "release/onerouter"),
        ..CompilerProcess::this_program().unwrap()
    });
    let engine = Engine::new(config, egress).unwrap();
    engine.answer_at_once(|_request| Answer {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: Bytes::from_static(br#"{"id":"m-1","state":"waiting"}"#),
    });
    engine
}

async fn loading(subjects: &[Subject]) {
    let mut table = Table::new(&[
        "adapter in",
        "component, MiB",
        "loaded and compiled, ms (range)",
        "loaded from the cache, ms (range)",
        "resident for it, MiB",
        "and after its first call",
    ]);
    for subject in subjects {
        let (mut cold, mut warm) = (Samples::default(), Samples::default());
        for _ in 0..LOADS {
            let cache = tempfile::tempdir().unwrap();
            for samples in [&mut cold, &mut warm] {
                let engine = engine(cache.path());
                let began = Instant::now();
                engine.load(subject.plugin.clone()).await.unwrap();
                samples.add(began.elapsed().as_secs_f64() * 1e3);
            }
        }
        let cache = tempfile::tempdir().unwrap();
        engine(cache.path())
            .load(subject.plugin.clone())
            .await
            .unwrap();
        let engine = engine(cache.path());
        let before = resident_mib();
        let adapter = engine.load(subject.plugin.clone()).await.unwrap();
        let loaded = resident_mib() - before;
        call(&adapter).await;
        let called = resident_mib() - before;
        table.row(&[
            subject.name.to_owned(),
            format!("{:.2}", subject.plugin.len() as f64 / 1_048_576.0),
            cold.show(0),
            warm.show(1),
            format!("{loaded:.1}"),
            format!("{called:.1}"),
        ]);
    }
    table.print(&format!("One adapter loaded, {LOADS} times"));
}

async fn calling(subjects: &[Subject], rounds: usize, calls: usize) {
    let cache = tempfile::tempdir().unwrap();
    let mut benches = Vec::new();
    for subject in subjects {
        let engine = engine(cache.path());
        let adapter = engine.load(subject.plugin.clone()).await.unwrap();
        benches.push((
            subject.name,
            adapter,
            Samples::default(),
            Samples::default(),
        ));
    }
    for round in 0..=rounds {
        for (_, adapter, p50_us, p99_us) in &mut benches {
            let mut times = Vec::with_capacity(calls);
            for _ in 0..calls {
                let began = Instant::now();
                call(adapter).await;
                times.push(began.elapsed().as_secs_f64() * 1e6);
            }
            times.sort_by(f64::total_cmp);
            // The first round warms up.
            if round > 0 {
                p50_us.add(percentile(&times, 0.5));
                p99_us.add(percentile(&times, 0.99));
            }
        }
    }
    let mut table = Table::new(&[
        "adapter in",
        "p50, µs (range)",
        "p99, µs (range)",
        "memory of a call, MiB",
    ]);
    for (name, adapter, p50_us, p99_us) in &benches {
        table.row(&[
            (*name).to_owned(),
            p50_us.show(0),
            p99_us.show(0),
            format!("{:.1}", call(adapter).await as f64 / 1_048_576.0),
        ]);
    }
    table.print(&format!(
        "One call in a fresh instance, provider answers at once without a network, {rounds} rounds of {calls} calls"
    ));
}

/// One message; the guest's memory in bytes.
async fn call(adapter: &Adapter) -> u64 {
    let secret = BTreeMap::from([(
        "token".to_owned(),
        Zeroizing::new("acme-token-0123456789".to_owned()),
    )]);
    let context = CallContext {
        connection: Arc::new(ConnectionContext {
            environment: Environment::Test,
            credentials: Credentials::new(BTreeMap::new(), secret).unwrap(),
            settings: BTreeMap::from([("sender".to_owned(), "+4930123456".to_owned())]),
            recorder: None,
        }),
        deadline: tokio::time::Instant::now() + Duration::from_secs(60),
    };
    let report = adapter.sms_send(&context, &text()).await;
    assert!(
        matches!(report.outcome, Outcome::Accepted(_)),
        "{:?}: {:?}",
        report.outcome,
        report.logs
    );
    report.memory_peak
}

/// Of this process.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.and_then(|kib| kib.parse::<f64>().ok()).unwrap() / 1024.0
}
