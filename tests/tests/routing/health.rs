//! A provider that keeps failing is left alone for a moment; credentials that nobody can read do
//! not take the others with them.

use std::time::Duration;

use onerouter_tests::harness::{Client, Harness};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::{Ground, Provider, attempts};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, SqliteConnection};

use crate::{SIMULATE, message, saboteur_first};

/// Failures that open a breaker.
const FAILURES: usize = 10;
/// How long an open one lets nothing through.
const COOL_DOWN: Duration = Duration::from_secs(10);

scenarios!(
    a_provider_that_keeps_failing_is_passed_over_until_a_probe_succeeds,
    what_is_not_sent_again_is_no_probe,
    a_message_that_breaks_the_plugin_leaves_the_connection_open,
    without_another_connection_callers_are_told_to_wait,
    a_connection_that_nobody_can_read_leaves_the_others,
);

/// The next message has its effect, and an answer that does not tell.
fn break_down(provider: &Provider) {
    provider.answer_next(500, "{}");
}

async fn fail(provider: &Provider, acme: &Client, message: Value) {
    for _ in 0..FAILURES {
        break_down(provider);
        acme.post("/v1/sms", message.clone()).await;
    }
}

/// How many connections were tried for a new message, and who sent it.
async fn served(host: &Harness, acme: &Client, words: &str) -> (usize, String) {
    let sent = acme.post("/v1/sms", message(words)).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    let tried = attempts(host, sent.text("id")).await.len();
    (tried, sent.text("provider").to_owned())
}

async fn a_provider_that_keeps_failing_is_passed_over_until_a_probe_succeeds(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    let [saboteur, _] = saboteur_first(&host.operator()).await;
    fail(&provider, &acme, message("down")).await;
    assert_eq!(served(&host, &acme, "Hi").await, (1, "twilio".to_owned()));
    assert_eq!(provider.effects("Hi"), 0);
    let simulated = host.operator().post(SIMULATE, json!({})).await;
    let skipped = &simulated.json["skipped"][0];
    assert_eq!(
        (&skipped["connection_id"], &skipped["reason"]),
        (&json!(saboteur), &json!("unavailable"))
    );

    // One probe after the cool-down; it fails, and the next one is due a cool-down later.
    host.pass(COOL_DOWN);
    break_down(&provider);
    let lost = acme.post("/v1/sms", message("probe")).await;
    assert_eq!((lost.status, lost.code()), (504, "outcome_unknown"));
    assert_eq!(provider.effects("probe"), 1);
    assert_eq!(served(&host, &acme, "Hi").await, (1, "twilio".to_owned()));
    host.pass(COOL_DOWN);
    assert_eq!(served(&host, &acme, "Hi").await, (1, "saboteur".to_owned()));
    assert_eq!(served(&host, &acme, "Hi").await, (1, "saboteur".to_owned()));
}

async fn what_is_not_sent_again_is_no_probe(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    saboteur_first(&host.operator()).await;
    let once = acme.with("Idempotency-Key", "before");
    assert_eq!(once.post("/v1/sms", message("before")).await.status, 201);
    fail(&provider, &acme, message("down")).await;
    host.pass(COOL_DOWN);
    for _ in 0..5 {
        let replayed = once.post("/v1/sms", message("before")).await;
        assert_eq!(replayed.header("idempotent-replayed"), Some("true"));
        let late = acme
            .post(
                "/v1/sms",
                json!({"to": "+14155550123", "body": "Hi", "send_at": "2020-01-01T00:00:00Z"}),
            )
            .await;
        assert_eq!(late.status, 422, "{late:?}");
    }
    assert_eq!(served(&host, &acme, "Hi").await, (1, "saboteur".to_owned()));
}

async fn a_message_that_breaks_the_plugin_leaves_the_connection_open(ground: Ground) {
    let provider = Provider::start().await;
    let (_host, acme) = ground.host_and(&provider).await;
    let mut poison = message("trap-before");
    poison["provider"] = json!("saboteur");
    for _ in 0..2 * FAILURES {
        assert_eq!(acme.post("/v1/sms", poison.clone()).await.status, 502);
    }
    poison["body"] = json!("Hi");
    let sent = acme.post("/v1/sms", poison).await;
    assert_eq!(sent.status, 201, "{sent:?}");
}

async fn without_another_connection_callers_are_told_to_wait(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    let mut named = message("down");
    named["provider"] = json!("saboteur");
    fail(&provider, &acme, named.clone()).await;
    named["body"] = json!("Hi");
    let once = acme.with("Idempotency-Key", "patience");
    let objects = ground.count("objects").await;
    let refused = once.post("/v1/sms", named.clone()).await;
    assert_eq!(
        (refused.status, refused.code()),
        (503, "provider_unavailable"),
        "{refused:?}"
    );
    assert_eq!(refused.json["retryable"], true);
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=11).contains(&wait), "{wait}");
    assert_eq!(provider.effects("Hi"), 0);
    assert_eq!(
        ground.count("objects").await,
        objects,
        "nothing is left of it"
    );
    host.pass(Duration::from_secs(wait));
    let sent = once.post("/v1/sms", named).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    assert_eq!(provider.effects("Hi"), 1);
}

/// Overwrites the secrets of the connection to a provider with what no key opens.
async fn spoil(url: &str, provider: &str) {
    let sql = "update connections set secrets = $1 where provider = $2";
    let spoiled = vec![7_u8; 90];
    if url.starts_with("sqlite") {
        let mut connection = SqliteConnection::connect(url).await.unwrap();
        let query = sqlx::query(sql).bind(spoiled).bind(provider);
        query.execute(&mut connection).await.unwrap();
    } else {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let query = sqlx::query(sql).bind(spoiled).bind(provider);
        query.execute(&mut connection).await.unwrap();
    }
}

async fn a_connection_that_nobody_can_read_leaves_the_others(ground: Ground) {
    let provider = Provider::start().await;
    let (host, _) = ground.host_and(&provider).await;
    saboteur_first(&host.operator()).await;
    let host_database = ground.owner_url().to_owned();
    spoil(&host_database, "saboteur").await;
    // What was opened before stays open; a node that starts now cannot.
    let folder = host.stop().await;
    let data_dir = folder.path().join("data");
    let host = ground
        .host_with(onerouter_tests::harness::Setup {
            fixtures: vec!["saboteur"],
            upstreams: vec![provider.upstream()],
            unconnected: true,
            data_dir: Some(data_dir),
            ..Default::default()
        })
        .await;
    let acme = host.key("test").await;
    let sent = acme
        .post("/v1/sms", json!({"to": "+14155550123", "body": "Hi", "provider": "saboteur", "from_number": "+12025550142"}))
        .await;
    assert_eq!(
        (sent.status, sent.code()),
        (500, "internal_error"),
        "{sent:?}"
    );
    let simulated = host.operator().post(SIMULATE, json!({})).await;
    assert_eq!(
        simulated.json["skipped"][0]["reason"], "unreadable",
        "{simulated:?}"
    );
    let [first] = &simulated.json["candidates"].as_array().unwrap()[..] else {
        panic!("{simulated:?}")
    };
    assert_eq!(first["provider"], "twilio");
}
