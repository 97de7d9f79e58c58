//! A gateway that is gone in the middle of a call: what it leaves behind is told as running while
//! the claim lasts, then settled by asking, and never sent twice.

use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use chrono::TimeDelta;
use onerouter::service::caller::{ALL_SCOPES, Caller, Origin, Rate};
use onerouter::service::kind::NoContent;
use onerouter::service::objects::{Draft, Intent};
use onerouter::service::sms::SmsRequest;
use onerouter::store::DEFAULT_TENANT;
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{ApiKeyId, RequestId};
use onerouter_domain::idempotency::IdempotencyKey;
use onerouter_domain::metadata::Metadata;
use onerouter_sandbox::{Sandbox, SandboxConfig};
use onerouter_tests::harness::{Client, Harness, Setup};
use onerouter_tests::node::{Node, NodeSetup};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::{Ground, Provider, attempts, connect_saboteur, eventually, text};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

scenarios!(
    a_message_that_arrived_before_the_crash_is_found_and_told,
    a_message_that_never_left_is_not_made_up,
    a_reader_settles_what_a_crash_left_behind,
    an_email_that_was_cut_off_before_its_effect_is_repeated_under_its_key,
    an_email_that_was_cut_off_after_its_effect_is_repeated_under_its_key,
    a_set_that_was_cut_off_is_repeated_as_the_same_set,
    a_cancel_that_was_cut_off_is_settled_by_reading,
    a_cancel_after_a_crash_does_not_forget_the_one_that_was_cut_off,
    a_paypal_payment_that_was_cut_off_is_found_and_followed,
    a_razorpay_payment_that_was_cut_off_is_found_and_followed,
    a_paypal_capture_that_was_cut_off_is_made_once,
    a_razorpay_capture_that_was_cut_off_is_made_once,
    a_paypal_refund_that_was_cut_off_is_made_once,
    a_razorpay_refund_that_was_cut_off_is_made_once,
    a_request_that_is_dropped_at_any_moment_leaves_nothing_half_done,
    a_killed_program_sends_nothing_twice,
);

/// Until the claim that a crash left behind has ended.
const CLAIM: TimeDelta = TimeDelta::seconds(46);
/// As much as a test moves the clock of the gateway that is torn away.
const MOMENT: TimeDelta = TimeDelta::seconds(3);

/// A path and a body; `{id}` in the path is the id that the call before gave.
type Call = (&'static str, Value);

/// What outlives a crash: the database, the data folder, the providers.
struct World {
    ground: Ground,
    folder: TempDir,
    provider: Provider,
    sandbox: Sandbox,
    http: reqwest::Client,
}

impl World {
    async fn new(ground: Ground) -> Self {
        Self {
            ground,
            folder: tempfile::tempdir().unwrap(),
            provider: Provider::start().await,
            sandbox: Sandbox::start(SandboxConfig::default()).await.unwrap(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The real program on the same database.
    fn node(&self) -> NodeSetup {
        NodeSetup {
            database_url: self.ground.url().to_owned(),
            data_dir: self.data_dir(),
            upstreams: self.sandbox.upstreams(),
            port: 0,
            settings: Vec::new(),
        }
    }

    fn setup(&self) -> Setup {
        let mut upstreams = self.sandbox.upstreams();
        upstreams.push(self.provider.upstream());
        Setup {
            database_url: Some(self.ground.url().to_owned()),
            fixtures: vec!["saboteur"],
            upstreams,
            data_dir: Some(self.data_dir()),
            ..Setup::default()
        }
    }

    /// Starts a gateway, makes calls of which the last one hangs, and tears the gateway away, with
    /// everything that runs in it, as soon as `reached` holds. Gives back the API key.
    async fn crash<F: Future<Output = bool>>(
        &self,
        calls: &[Call],
        reached: impl FnMut() -> F,
    ) -> String {
        let setup = self.setup();
        let (runtime, host, key) = tokio::task::spawn_blocking(move || doomed(setup))
            .await
            .unwrap();
        let (base, key) = (key.base, key.token);
        let (last, before) = calls.split_last().unwrap();
        let mut id = String::new();
        for (path, body) in before {
            let reply = self.call(&base, &key, path, body, &id).await.unwrap();
            id = reply["id"].as_str().unwrap().to_owned();
        }
        tokio::select! {
            reply = self.call(&base, &key, last.0, &last.1, &id) => panic!("too late: {reply:?}"),
            () = eventually("the call is on its way", reached) => {}
        }
        runtime.shutdown_background();
        // Only now: who is killed tidies nothing up.
        drop(host);
        key
    }

    async fn call(
        &self,
        base: &str,
        key: &str,
        path: &str,
        body: &Value,
        id: &str,
    ) -> reqwest::Result<Value> {
        let path = path.replace("{id}", id);
        let request = self.http.post(format!("{base}{path}")).bearer_auth(key);
        let request = request.header("Idempotency-Key", format!("once {path}"));
        request.json(body).send().await?.json().await
    }

    /// The next gateway on the same database.
    async fn restarted(&self, key: &str) -> (Harness, Client) {
        let host = Harness::with(Setup {
            unconnected: true,
            ..self.setup()
        })
        .await;
        let acme = host.client(key);
        (host, acme)
    }

    async fn control(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.sandbox.url());
        let reply = self.http.get(url).send().await.unwrap();
        reply.json().await.unwrap()
    }

    async fn fault(&self, fault: Value) {
        let url = format!("{}/_sandbox/faults", self.sandbox.url());
        let armed = self.http.post(url).json(&fault).send().await.unwrap();
        assert!(armed.status().is_success(), "{armed:?}");
    }

    /// A fault is used up in the moment in which its request comes in.
    async fn fault_was_met(&self) -> bool {
        let faults = self.control("/_sandbox/faults").await;
        !faults.to_string().contains("latency")
    }

    async fn effects(&self, to: &str) -> u64 {
        let ledger = self.control(&format!("/_sandbox/ledger?to={to}")).await;
        ledger["count"].as_u64().unwrap()
    }
}

/// A gateway in a runtime of its own, connected.
fn doomed(setup: Setup) -> (Runtime, Harness, Client) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (host, key) = runtime.block_on(async {
        let host = Harness::with(setup).await;
        connect_saboteur(&host.operator()).await;
        let key = host.key("test").await;
        (host, key)
    });
    (runtime, host, key)
}

/// The client that sends the request of before once more.
fn once(acme: &Client, path: &str) -> Client {
    acme.with("Idempotency-Key", &format!("once {path}"))
}

fn email(to: &str) -> Value {
    json!({"to": to, "subject": "Hello", "text_body": "Hi"})
}

async fn a_message_that_arrived_before_the_crash_is_found_and_told(ground: Ground) {
    let world = World::new(ground).await;
    world.provider.hold();
    let key = world
        .crash(&[("/v1/sms", text("Hi"))], || async {
            world.provider.effects("Hi") > 0
        })
        .await;
    world.provider.release();
    let (host, acme) = world.restarted(&key).await;
    let once = once(&acme, "/v1/sms");
    // The call might still run elsewhere, for all that anybody knows.
    let running = once.post("/v1/sms", text("Hi")).await;
    assert_eq!(
        (running.status, running.code()),
        (409, "idempotency_in_progress")
    );
    assert!(running.header("retry-after").is_some());
    assert_eq!(host.sweep().await, 0);
    host.clock.advance(CLAIM);
    assert_eq!(host.sweep().await, 1);
    let settled = once.post("/v1/sms", text("Hi")).await;
    assert_eq!(
        (settled.status, settled.text("status")),
        (201, "sent"),
        "{settled:?}"
    );
    assert_eq!(settled.header("idempotent-replayed"), Some("true"));
    assert_eq!(world.provider.effects("Hi"), 1);
    let events = world.ground.events(settled.text("id")).await;
    let types: Vec<_> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(types, ["sms.unknown", "sms.sent"]);
    assert_eq!(host.sweep().await, 0);
}

async fn a_message_that_never_left_is_not_made_up(ground: Ground) {
    let world = World::new(ground).await;
    // This adapter reads before it sends, and is killed while it waits.
    world.provider.hold_reads();
    let key = world
        .crash(&[("/v1/sms", text("slow"))], || async {
            world.provider.pings() > 0
        })
        .await;
    world.provider.release_reads();
    let (host, acme) = world.restarted(&key).await;
    host.clock.advance(CLAIM);
    assert_eq!(host.sweep().await, 1);
    let unknown = once(&acme, "/v1/sms").post("/v1/sms", text("slow")).await;
    assert_eq!((unknown.status, unknown.code()), (504, "outcome_unknown"));
    let path = format!("/v1/sms/{}?refresh=false", unknown.text("id"));
    assert_eq!(acme.get(&path).await.text("status"), "unknown");
    assert_eq!(world.provider.posted().len(), 0);
}

async fn a_reader_settles_what_a_crash_left_behind(ground: Ground) {
    let world = World::new(ground).await;
    world.provider.hold();
    let key = world
        .crash(&[("/v1/sms", text("Hi"))], || async {
            world.provider.effects("Hi") > 0
        })
        .await;
    world.provider.release();
    let (host, acme) = world.restarted(&key).await;
    let list = acme.get("/v1/sms").await;
    let id = list.json["data"][0]["id"].as_str().unwrap();
    let path = format!("/v1/sms/{id}");
    assert_eq!(acme.get(&path).await.text("status"), "queued");
    host.clock.advance(CLAIM);
    assert_eq!(acme.get(&path).await.text("status"), "sent");
    // Nothing is left to be done, and the key answers.
    let settled = once(&acme, "/v1/sms").post("/v1/sms", text("Hi")).await;
    assert_eq!(
        (settled.status, settled.text("id")),
        (201, id),
        "{settled:?}"
    );
    assert_eq!(world.ground.open_ends().await, 0);
    assert_eq!(host.sweep().await, 0);
    assert_eq!(world.provider.effects("Hi"), 1);
}

async fn an_email_that_was_cut_off_before_its_effect_is_repeated_under_its_key(ground: Ground) {
    cut_off_email(ground, "latency_before").await;
}

async fn an_email_that_was_cut_off_after_its_effect_is_repeated_under_its_key(ground: Ground) {
    cut_off_email(ground, "latency_after").await;
}

async fn cut_off_email(ground: Ground, fault: &str) {
    let world = World::new(ground).await;
    let to = "ada@example.com";
    world
        .fault(
            json!({"fault": fault, "delay_ms": 1_000, "provider": "resend", "path_contains": "/emails", "to": to}),
        )
        .await;
    let key = world
        .crash(&[("/v1/email", email(to))], || world.fault_was_met())
        .await;
    let (host, acme) = world.restarted(&key).await;
    let once = once(&acme, "/v1/email");
    assert_eq!(once.post("/v1/email", email(to)).await.status, 409);
    // A provider goes on with what it has received; until then it holds our key.
    eventually("the first request has its effect", || async {
        world.effects(to).await == 1
    })
    .await;
    host.clock.advance(CLAIM);
    eventually("it is settled", || async {
        host.clock.advance(TimeDelta::seconds(10));
        host.sweep().await;
        world.ground.open_ends().await == 0
    })
    .await;
    let settled = once.post("/v1/email", email(to)).await;
    assert_eq!(settled.status, 201, "{settled:?}");
    assert_eq!(settled.header("idempotent-replayed"), Some("true"));
    assert_eq!(world.effects(to).await, 1);
    let attempts = attempts(&host, settled.text("id")).await;
    assert_eq!(attempts[0].outcome, None);
    let last = attempts.last().unwrap();
    assert_eq!(last.outcome.as_deref(), Some("accepted"));
    assert_eq!(last.provider_key, attempts[0].provider_key);
}

async fn a_paypal_payment_that_was_cut_off_is_found_and_followed(ground: Ground) {
    follow_cut_off_payment(ground, "paypal").await;
}

async fn a_razorpay_payment_that_was_cut_off_is_found_and_followed(ground: Ground) {
    follow_cut_off_payment(ground, "razorpay").await;
}

async fn a_paypal_capture_that_was_cut_off_is_made_once(ground: Ground) {
    settle_cut_off_capture(ground, "paypal").await;
}

async fn a_razorpay_capture_that_was_cut_off_is_made_once(ground: Ground) {
    settle_cut_off_capture(ground, "razorpay").await;
}

async fn a_paypal_refund_that_was_cut_off_is_made_once(ground: Ground) {
    settle_cut_off_refund(ground, "paypal").await;
}

async fn a_razorpay_refund_that_was_cut_off_is_made_once(ground: Ground) {
    settle_cut_off_refund(ground, "razorpay").await;
}

fn payment(provider: &str) -> Value {
    let currency = if provider == "paypal" { "USD" } else { "INR" };
    json!({"amount": 50, "currency": currency, "provider": provider})
}

impl World {
    async fn buyer_approves(&self, order: &str) {
        let url = format!("{}/_sandbox/checkouts/{order}", self.sandbox.url());
        let approve = json!({"action": "approve"});
        let sent = self.http.post(url).json(&approve).send().await.unwrap();
        assert!(sent.status().is_success(), "{sent:?}");
    }

    async fn made(&self, provider: &str, kind: &str) -> usize {
        let path = format!("/_sandbox/ledger?provider={provider}&kind={kind}");
        let ledger = self.control(&path).await;
        ledger["data"].as_array().unwrap().len()
    }

    /// Moves both clocks on, and has the background work.
    async fn pass(&self, host: &Harness, by: TimeDelta) {
        host.clock.advance(by);
        host.sweep().await;
    }
}

async fn follow_cut_off_payment(ground: Ground, provider: &str) {
    let world = World::new(ground).await;
    let slow = json!({"fault": "latency_after", "delay_ms": 1_000, "provider": provider,
        "method": "POST", "path_contains": "/orders"});
    world.fault(slow).await;
    let call = ("/v1/payments", payment(provider));
    let key = world.crash(&[call], || world.fault_was_met()).await;
    let (host, acme) = world.restarted(&key).await;
    eventually("the order is made", || async {
        world.made(provider, "order").await == 1
    })
    .await;
    world.pass(&host, CLAIM + MOMENT).await;
    eventually("it is settled", || async {
        world.pass(&host, TimeDelta::seconds(10)).await;
        world.ground.open_ends().await == 0
    })
    .await;
    let settled = once(&acme, "/v1/payments")
        .post("/v1/payments", payment(provider))
        .await;
    assert_eq!(settled.status, 201, "{settled:?}");
    world
        .buyer_approves(settled.text("provider_order_id"))
        .await;
    // Nobody reads it.
    world.pass(&host, TimeDelta::seconds(15)).await;
    let path = format!("/v1/payments/{}?refresh=false", settled.text("id"));
    let paid = acme.get(&path).await;
    assert_eq!(paid.text("status"), "succeeded", "{paid:?}");
    assert_eq!(world.made(provider, "order").await, 1);
    assert_eq!(world.made(provider, "capture").await, 1);
}

/// A payment that its buyer has agreed to, of a gateway that is gone while it asks for the money.
async fn cut_off_capture(world: &World, provider: &str) -> (String, String) {
    let runtime_setup = world.setup();
    let (runtime, host, key) = tokio::task::spawn_blocking(move || doomed(runtime_setup))
        .await
        .unwrap();
    let mut body = payment(provider);
    body["capture"] = json!("manual");
    let created = key.post("/v1/payments", body).await;
    world
        .buyer_approves(created.text("provider_order_id"))
        .await;
    host.clock.advance(MOMENT);
    let path = format!("/v1/payments/{}", created.text("id"));
    let authorized = key.get(&path).await;
    assert_eq!(authorized.text("status"), "authorized", "{authorized:?}");
    let slow = json!({"fault": "latency_after", "delay_ms": 1_000, "provider": provider,
        "method": "POST", "path_contains": "/capture"});
    world.fault(slow).await;
    let capture = format!("{path}/capture");
    let once = once(&key, "capture");
    tokio::select! {
        reply = once.post(&capture, json!({})) => panic!("too late: {reply:?}"),
        () = eventually("the call is on its way", || world.fault_was_met()) => {}
    }
    runtime.shutdown_background();
    drop(host);
    (key.token, path)
}

async fn settle_cut_off_capture(ground: Ground, provider: &str) {
    let world = World::new(ground).await;
    let (key, path) = cut_off_capture(&world, provider).await;
    let (host, acme) = world.restarted(&key).await;
    eventually("the money is taken", || async {
        world.made(provider, "capture").await == 1
    })
    .await;
    world.pass(&host, CLAIM + MOMENT).await;
    let capture = format!("{path}/capture");
    let taken = once(&acme, "capture").post(&capture, json!({})).await;
    assert_eq!(
        (taken.status, taken.text("status")),
        (200, "succeeded"),
        "{taken:?}"
    );
    assert_eq!(world.made(provider, "capture").await, 1);
}

async fn settle_cut_off_refund(ground: Ground, provider: &str) {
    let world = World::new(ground).await;
    let setup = world.setup();
    let (runtime, host, key) = tokio::task::spawn_blocking(move || doomed(setup))
        .await
        .unwrap();
    let created = key.post("/v1/payments", payment(provider)).await;
    world
        .buyer_approves(created.text("provider_order_id"))
        .await;
    host.clock.advance(MOMENT);
    let path = format!("/v1/payments/{}", created.text("id"));
    assert_eq!(key.get(&path).await.text("status"), "succeeded");
    let slow = json!({"fault": "latency_after", "delay_ms": 1_000, "provider": provider,
        "method": "POST", "path_contains": "/refund"});
    world.fault(slow).await;
    let body = json!({"payment_id": created.text("id"), "amount": "20.50"});
    let refund = once(&key, "refund");
    tokio::select! {
        reply = refund.post("/v1/refunds", body.clone()) => panic!("too late: {reply:?}"),
        () = eventually("the call is on its way", || world.fault_was_met()) => {}
    }
    runtime.shutdown_background();
    drop(host);
    let (host, acme) = world.restarted(&key.token).await;
    eventually("the money goes back", || async {
        world.made(provider, "refund").await == 1
    })
    .await;
    world.pass(&host, CLAIM + MOMENT).await;
    eventually("it is settled", || async {
        world.pass(&host, TimeDelta::seconds(10)).await;
        world.ground.open_ends().await == 0
    })
    .await;
    let settled = once(&acme, "refund").post("/v1/refunds", body).await;
    assert_eq!(settled.status, 201, "{settled:?}");
    assert_eq!(settled.header("idempotent-replayed"), Some("true"));
    assert_eq!(world.made(provider, "refund").await, 1);
}

async fn a_set_that_was_cut_off_is_repeated_as_the_same_set(ground: Ground) {
    let world = World::new(ground).await;
    let body = json!({"emails": [email("a@example.com"), email("b@example.com")]});
    world
        .fault(json!({"fault": "latency_after", "delay_ms": 1_000, "provider": "resend", "path_contains": "/emails/batch"}))
        .await;
    let key = world
        .crash(&[("/v1/email/batch", body.clone())], || {
            world.fault_was_met()
        })
        .await;
    let (host, acme) = world.restarted(&key).await;
    let once = once(&acme, "/v1/email/batch");
    let running = once.post("/v1/email/batch", body.clone()).await;
    for position in 0..2 {
        let code = &running.json["data"][position]["code"];
        assert_eq!(code, "idempotency_in_progress", "{running:?}");
    }
    host.clock.advance(CLAIM);
    eventually("it is settled", || async {
        host.clock.advance(TimeDelta::seconds(10));
        host.sweep().await;
        world.ground.open_ends().await == 0
    })
    .await;
    let settled = once.post("/v1/email/batch", body).await;
    for (position, to) in ["a@example.com", "b@example.com"].into_iter().enumerate() {
        assert_eq!(settled.json["data"][position]["to"], json!([to]));
        assert_eq!(settled.json["data"][position]["object"], "email");
        assert_eq!(world.effects(to).await, 1);
    }
    assert_eq!(host.sweep().await, 0);
}

async fn a_cancel_that_was_cut_off_is_settled_by_reading(ground: Ground) {
    let world = World::new(ground).await;
    let (host, acme, id) = cut_off_cancel(&world).await;
    let path = format!("/v1/sms/{id}/cancel");
    let once = once(&acme, &path);
    let running = once.post(&path, json!({})).await;
    assert_eq!(
        (running.status, running.code()),
        (409, "idempotency_in_progress")
    );
    assert_eq!(acme.post(&path, json!({})).await.code(), "conflict");
    world.provider.set_state("canceled");
    host.clock.advance(CLAIM);
    assert_eq!(host.sweep().await, 1);
    let settled = once.post(&path, json!({})).await;
    assert_eq!(
        (settled.status, settled.text("status")),
        (200, "canceled"),
        "{settled:?}"
    );
    assert_eq!(settled.header("idempotent-replayed"), Some("true"));
    assert_eq!(world.provider.cancels(), 1);
    assert_eq!(world.ground.open_ends().await, 0);
}

async fn a_cancel_after_a_crash_does_not_forget_the_one_that_was_cut_off(ground: Ground) {
    let world = World::new(ground).await;
    let (host, acme, id) = cut_off_cancel(&world).await;
    let path = format!("/v1/sms/{id}/cancel");
    host.clock.advance(CLAIM);
    // Before the background has come by.
    let second = acme.post(&path, json!({})).await;
    assert_eq!(
        (second.status, second.text("status")),
        (200, "canceled"),
        "{second:?}"
    );
    let first = once(&acme, &path).post(&path, json!({})).await;
    assert_eq!(
        (first.status, first.text("status")),
        (200, "canceled"),
        "{first:?}"
    );
    assert_eq!(world.ground.open_ends().await, 0);
    assert_eq!(host.sweep().await, 0);
}

async fn cut_off_cancel(world: &World) -> (Harness, Client, String) {
    // The first call must be answered, the second one not.
    world.provider.hold_cancels();
    let calls = [("/v1/sms", text("Hi")), ("/v1/sms/{id}/cancel", json!({}))];
    let key = world
        .crash(&calls, || async { world.provider.cancels() > 0 })
        .await;
    world.provider.release();
    let (host, acme) = world.restarted(&key).await;
    let list = acme.get("/v1/sms").await;
    let id = list.json["data"][0]["id"].as_str().unwrap().to_owned();
    (host, acme, id)
}

async fn a_request_that_is_dropped_at_any_moment_leaves_nothing_half_done(ground: Ground) {
    let provider = Provider::start().await;
    let (host, _acme) = ground.host_and(&provider).await;
    let messages = &host.gateway.parts().sweeper.sms;
    let caller = Caller {
        tenant: DEFAULT_TENANT,
        environment: Environment::Test,
        key: ApiKeyId::from_uuid(Uuid::now_v7()),
        scopes: [ALL_SCOPES.to_owned()].into(),
        rate: Rate {
            per_second: 1,
            burst: 1,
        },
    };
    let mut was_answered = false;
    for polls in 0.. {
        let words = format!("Polled {polls} times");
        let origin = Origin {
            request: RequestId::from_uuid(Uuid::now_v7()),
            shown: "req_1".into(),
            deadline: tokio::time::Instant::now() + Duration::from_secs(30),
        };
        let key = IdempotencyKey::parse(&words).unwrap();
        let intent = Intent::new(Some(key), "POST /v1/sms", [0; 32]);
        let new = Draft {
            request: SmsRequest {
                to: "+14155550123".to_owned(),
                body: words.clone(),
                from_number: Some("+12025550142".to_owned()),
                media_urls: Vec::new(),
                send_at: None,
            },
            content: NoContent {},
            metadata: Metadata::default(),
            provider: Some("saboteur".to_owned().try_into().unwrap()),
            late: None,
        };
        {
            let mut create = pin!(messages.create(&caller, &origin, intent, new));
            let mut left = polls;
            let answer = poll_fn(|context| {
                if left == 0 {
                    return Poll::Ready(None);
                }
                left -= 1;
                create.as_mut().poll(context).map(Some)
            })
            .await;
            was_answered = answer.is_some();
        }
        if was_answered || polls > 100 {
            break;
        }
    }
    assert!(was_answered);
    eventually("everything that was claimed is settled", || async {
        ground.open_ends().await == 0
    })
    .await;
    // Whatever was claimed was sent, once.
    let posted = provider.posted();
    assert_eq!(
        ground.count("objects").await,
        i64::try_from(posted.len()).unwrap()
    );
    for message in &posted {
        assert_eq!(provider.effects(message["text"].as_str().unwrap()), 1);
    }
    host.clock.advance(CLAIM);
    assert_eq!(host.sweep().await, 0);
}

async fn a_killed_program_sends_nothing_twice(ground: Ground) {
    let world = World::new(ground).await;
    let host = Harness::with(world.setup()).await;
    let key = host.key("test").await.token;
    host.stop().await;
    let sms = json!({"to": "+14155550123", "body": "Hi"});
    let calls = [
        ("/v1/email", email("ada@example.com"), "ada@example.com"),
        ("/v1/sms", sms, "%2B14155550123"),
    ];
    for (path, body, to) in &calls {
        world
            .fault(json!({"fault": "latency_after", "delay_ms": 2_000, "method": "POST"}))
            .await;
        let program = Node::start(&world.node());
        tokio::select! {
            reply = world.call(&program.base, &key, path, body, "") => panic!("too late: {reply:?}"),
            () = eventually("it has its effect", || async { world.effects(to).await == 1 }) => {}
        }
        drop(program);
    }
    // The claims last longer than a test should: their time is passed on another gateway.
    let (host, _) = world.restarted(&key).await;
    host.clock.advance(CLAIM);
    eventually("all is settled", || async {
        host.clock.advance(TimeDelta::seconds(10));
        host.sweep().await;
        world.ground.open_ends().await == 0
    })
    .await;
    host.stop().await;

    let program = Node::start(&world.node());
    for (path, body, to) in &calls {
        let reply = world
            .call(&program.base, &key, path, body, "")
            .await
            .unwrap();
        assert_ne!(reply["status"], "unknown", "{reply}");
        assert!(reply["id"].is_string(), "{reply}");
        assert_eq!(reply["code"], Value::Null, "{reply}");
        assert_eq!(world.effects(to).await, 1, "{path}");
    }
}
