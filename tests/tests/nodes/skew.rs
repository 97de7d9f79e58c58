//! Two nodes whose clocks are five seconds apart: nothing is sent twice, nothing is lost, and what was
//! ended at one is ended at the other.

use std::sync::Arc;

use chrono::TimeDelta;
use onerouter::clock::Clock;
use onerouter::config::{Config, UnsignedPlugins};
use onerouter::gateway::{Doubles, Gateway};
use onerouter::vault::master_key::{MasterKey, MasterKeys};
use onerouter_sandbox::{ManualClock, Sandbox, SandboxConfig};
use onerouter_tests::database::TestDatabase;
use onerouter_tests::harness::{ADMIN_TOKEN, Reply, built};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::house::{Caller, connect, until_it_holds};

const APART: TimeDelta = TimeDelta::seconds(5);

/// One node is ahead of the other.
struct Pair {
    ahead: Gateway,
    behind: Gateway,
    clocks: [Clock; 2],
    sandbox: Sandbox,
    sandbox_clock: Arc<ManualClock>,
    http: reqwest::Client,
    _database: TestDatabase,
    _folder: TempDir,
}

impl Pair {
    async fn new() -> Option<Self> {
        let database = TestDatabase::postgres().await?;
        let folder = tempfile::tempdir().unwrap();
        let sandbox_clock = Arc::new(ManualClock::new(chrono::Utc::now()));
        let sandbox = Sandbox::start(SandboxConfig {
            clock: Arc::clone(&sandbox_clock) as _,
            ..SandboxConfig::default()
        })
        .await
        .unwrap();
        let start = async |name: &str, clock: Clock| {
            let mut config = Config::in_folder(&folder.path().join(name));
            let key = MasterKey::parse(&"0a".repeat(32).into()).unwrap();
            config.master_keys = Some(MasterKeys::single(key));
            config.admin_token = Some(ADMIN_TOKEN.to_owned().into());
            config.plugin_trust.unsigned = UnsignedPlugins::Allow;
            config.plugins_dir = built("ONEROUTER_TEST_PLUGINS_DIR", "plugins");
            database.url().clone_into(&mut config.database_url);
            for (host, base) in sandbox.upstreams() {
                config.upstreams.set(&host, &base).unwrap();
            }
            let doubles = Doubles {
                clock,
                without_background: true,
                ..Doubles::default()
            };
            Gateway::start(&config, doubles).await.unwrap()
        };
        let clocks = [Clock::default(), Clock::default()];
        clocks[0].advance(APART);
        let ahead = start("ahead", clocks[0].clone()).await;
        let behind = start("behind", clocks[1].clone()).await;
        Some(Self {
            ahead,
            behind,
            clocks,
            sandbox,
            sandbox_clock,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            _database: database,
            _folder: folder,
        })
    }

    fn callers(&self, token: &str) -> [Caller; 2] {
        [&self.ahead, &self.behind].map(|node| Caller::new(&node.url(), token, &self.http))
    }

    /// A key that either node has made.
    async fn key(&self, operator: &Caller) -> (String, String) {
        let rate = json!({"per_second": 100_000, "burst": 100_000});
        let body = json!({"name": "key", "environment": "test", "rate_limit": rate});
        let made = operator.post("/api/api-keys", &body).await;
        (made.text("id").to_owned(), made.text("key").to_owned())
    }

    async fn control(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let control = Caller::new(&self.sandbox.url(), "", &self.http);
        control.call(method, path, body).await.json
    }

    async fn effects(&self, to: &str) -> u64 {
        let path = format!("/_sandbox/ledger?to={}", to.replace('+', "%2B"));
        let ledger = self.control(Method::GET, &path, None).await;
        ledger["count"].as_u64().unwrap()
    }

    fn pass(&self, time: TimeDelta) {
        for clock in &self.clocks {
            clock.advance(time);
        }
        self.sandbox_clock.advance(time.to_std().unwrap());
    }

    /// Both nodes do what is due.
    async fn sweep(&self) {
        let [ahead, behind] = [&self.ahead, &self.behind].map(|node| &node.parts().sweeper);
        let (ahead, behind) = tokio::join!(ahead.sweep(), behind.sweep());
        ahead.unwrap();
        behind.unwrap();
    }
}

fn text(to: &str) -> Value {
    json!({"to": to, "body": "Hi"})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_ended_at_one_node_is_ended_at_the_other() {
    let Some(pair) = Pair::new().await else {
        return;
    };
    let operators = pair.callers(ADMIN_TOKEN);
    for operator in &operators {
        for end in ["revoke", "roll"] {
            let (id, key) = pair.key(operator).await;
            let callers = pair.callers(&key);
            for caller in &callers {
                assert_eq!(caller.get("/v1/sms").await.status, 200);
            }
            let ended = if end == "revoke" {
                let path = format!("/api/api-keys/{id}");
                operator.call(Method::DELETE, &path, None).await
            } else {
                let path = format!("/api/api-keys/{id}/roll");
                operator.post(&path, &json!({"overlap_seconds": 0})).await
            };
            assert!([200, 201].contains(&ended.status), "{ended:?}");
            for caller in &callers {
                let list = async |caller: &Caller| caller.get("/v1/sms").await;
                let (_, answer) = until_it_holds(caller, list, |answer| answer.status == 200).await;
                assert_eq!(answer.status, 401, "{answer:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_twice_and_nothing_is_lost() {
    let Some(pair) = Pair::new().await else {
        return;
    };
    let operators = pair.callers(ADMIN_TOKEN);
    connect(&pair.sandbox, &operators[0]).await;
    let (_id, key) = pair.key(&operators[1]).await;
    let callers = pair.callers(&key);

    // The same at both nodes at the same moment, and once more at the other one.
    for n in 0..20 {
        let (to, key) = (format!("+14155550{n:03}"), format!("twin-{n}"));
        let body = text(&to);
        let [one, other] = callers
            .each_ref()
            .map(|caller| caller.post_once("/v1/sms", &key, &body));
        let answers: (Reply, Reply) = tokio::join!(one, other);
        let again = callers[n % 2].post_once("/v1/sms", &key, &body).await;
        assert_eq!(again.status, 201, "{again:?}");
        for answer in [answers.0, answers.1] {
            // The one that came second was told to wait, or given the answer.
            assert!([201, 409].contains(&answer.status), "{answer:?}");
        }
        assert_eq!(pair.effects(&to).await, 1);
    }

    // What one has lost, either finds.
    for (n, caller) in callers.iter().enumerate() {
        let to = format!("+14155551{n:03}");
        let fault = json!({"fault": "reset_after", "provider": "twilio", "method": "POST"});
        pair.control(Method::POST, "/_sandbox/faults", Some(&fault))
            .await;
        let lost = caller.post_once("/v1/sms", &to, &text(&to)).await;
        assert_eq!(lost.code(), "outcome_unknown");
        pair.sweep().await;
        pair.pass(TimeDelta::seconds(15));
        pair.sweep().await;
        for caller in &callers {
            let again = caller.post_once("/v1/sms", &to, &text(&to)).await;
            assert_eq!(again.status, 201, "{again:?}");
            assert_eq!(again.text("id"), lost.text("id"));
        }
        assert_eq!(pair.effects(&to).await, 1);
    }
}
