//! How long operators wait: from a file to a version that serves, and back to the one before.

use std::time::{Duration, Instant};

use onerouter_tests::acme;
use onerouter_tests::harness::ADMIN_TOKEN;
use serde_json::{Value, json};

use crate::numbers::{Samples, Table};
use crate::peers::program;
use crate::process::{Process, free_address, listening};
use crate::provider::Provider;

/// Swaps of each round.
const SWAPS: usize = 50;

/// The API of a program that runs.
struct Api {
    base: String,
    http: reqwest::Client,
}

impl Api {
    /// Posts, and tells how long the answer took.
    async fn post(&self, path: &str, body: Value) -> Duration {
        let request = self.http.post(format!("{}{path}", self.base));
        let request = request.bearer_auth(ADMIN_TOKEN).json(&body);
        let began = Instant::now();
        let answer = request.send().await.unwrap();
        let took = began.elapsed();
        assert!(
            answer.status().is_success(),
            "{path}: {:?}",
            answer.text().await
        );
        took
    }

    async fn delete(&self, path: &str) {
        let request = self.http.delete(format!("{}{path}", self.base));
        let answer = request.bearer_auth(ADMIN_TOKEN).send().await.unwrap();
        assert!(answer.status().is_success(), "{:?}", answer.text().await);
    }
}

pub(crate) async fn measure(rounds: usize) {
    let provider = Provider::start().await;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let plugins = folder.path().join("plugins");
    std::fs::create_dir(&plugins).unwrap();
    let address = free_address();
    let data_dir = folder.path().join("data");
    let mut command = program(address, &data_dir, &plugins, None, &provider);
    let _process = Process::start(&mut command);
    listening(address).await;
    let api = Api {
        base: format!("http://{address}"),
        http: reqwest::Client::builder().no_proxy().build().unwrap(),
    };
    let (mut cold, mut cached) = (Samples::default(), Samples::default());
    let (mut backwards, mut forwards) = (Samples::default(), Samples::default());
    for round in 0..=rounds {
        // Its manifest alone is new, but nobody has compiled these bytes.
        let version = format!("1.{round}.0");
        let path = folder.path().join(format!("{version}.wasm"));
        // It may do no more than the one before: nobody has to agree.
        let component = acme::of_fixture("acme-texts", &version, |_| {});
        std::fs::write(&path, component).unwrap();
        let install = json!({"source": path});
        let took = api.post("/api/plugins/install", install.clone()).await;
        let again = if round == 0 {
            api.delete("/api/plugins/acme-texts").await;
            api.post("/api/plugins/install", install).await
        } else {
            for _ in 0..SWAPS {
                let rollback = api
                    .post("/api/plugins/acme-texts/rollback", json!({}))
                    .await;
                backwards.add(milliseconds(rollback));
                let activate = api
                    .post(
                        "/api/plugins/acme-texts/activate",
                        json!({"version": version}),
                    )
                    .await;
                forwards.add(milliseconds(activate));
            }
            api.delete("/api/plugins/acme-texts").await;
            api.post("/api/plugins/install", install).await
        };
        // The first round is thrown away.
        if round > 0 {
            cold.add(milliseconds(took));
            cached.add(milliseconds(again));
        }
    }
    let mut table = Table::new(&["what an operator waits for", "ms (range)"]);
    let rows = [
        ("install to active, nothing compiled yet", cold),
        ("install to active, compiled before", cached),
        ("rollback", backwards),
        ("activation of the version that was rolled back", forwards),
    ];
    for (what, samples) in rows {
        table.row(&[what.to_owned(), samples.show(1)]);
    }
    table.print("Installing a small plugin from a file, as shipped, SQLite");
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
