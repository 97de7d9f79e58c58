//! Webhook endpoints: made, shown, changed, given new secrets, tried, deleted.

use chrono::TimeDelta;
use onerouter_tests::harness::{Client, Harness, Reply, Setup};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::Ground;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

scenarios!(
    an_endpoint_is_made_shown_changed_and_deleted,
    secrets_are_shown_once_and_never_stored_in_clear,
    old_secrets_sign_until_their_overlap_has_ended,
    an_environment_has_fifty_endpoints_at_most,
    an_endpoint_belongs_to_its_environment,
    a_repeated_request_acts_once_and_answers_the_same,
    a_repetition_is_answered_whatever_the_first_has_led_to,
    a_test_event_goes_to_one_endpoint_only,
    whatever_is_done_is_noted_without_secrets,
);

const ENDPOINTS: &str = "/v1/webhook-endpoints";

pub(crate) async fn start(ground: &Ground) -> Harness {
    let setup = Setup {
        unconnected: true,
        ..Setup::default()
    };
    ground.host_with(setup).await
}

pub(crate) fn endpoint(more: Value) -> Value {
    let mut body = json!({"url": "https://example.com/hooks"});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    body
}

pub(crate) async fn make(client: &Client, more: Value) -> Reply {
    let made = client.post(ENDPOINTS, endpoint(more)).await;
    assert_eq!(made.status, 201, "{made:?}");
    made
}

pub(crate) fn path_of(made: &Reply) -> String {
    format!("{ENDPOINTS}/{}", made.text("id"))
}

async fn patch(client: &Client, path: &str, body: Value) -> Reply {
    let body = body.to_string().into_bytes();
    client.send(Method::PATCH, path, Some(body)).await
}

/// Every cell of a column, as bytes.
async fn cells(ground: &Ground, column: &str, table: &str) -> Vec<Vec<u8>> {
    let sql = format!("select {column} from {table} where {column} is not null");
    if ground.url().starts_with("sqlite") {
        let sql = AssertSqlSafe(sql.replacen(column, &format!("cast({column} as blob)"), 1));
        let mut database = SqliteConnection::connect(ground.url()).await.unwrap();
        sqlx::query_scalar(sql)
            .fetch_all(&mut database)
            .await
            .unwrap()
    } else {
        let mut database = PgConnection::connect(ground.owner_url()).await.unwrap();
        let cells = sqlx::query_scalar(AssertSqlSafe(sql));
        cells.fetch_all(&mut database).await.unwrap()
    }
}

fn holds(cells: &[Vec<u8>], text: &str) -> bool {
    let text = text.as_bytes();
    let holds = |cell: &Vec<u8>| cell.windows(text.len()).any(|part| part == text);
    cells.iter().any(holds)
}

async fn an_endpoint_is_made_shown_changed_and_deleted(ground: Ground) {
    let host = start(&ground).await;
    let acme = host.key("test").await;
    let made = make(
        &acme,
        json!({
            "description": "shop", "event_types": ["payment.*", "sms.delivered"],
            "headers": {"X-Shop": "seven"}, "ordered": true, "rate_limit": {"per_second": 5},
        }),
    )
    .await;
    assert!(made.text("id").starts_with("we_"));
    for (field, value) in [
        ("object", json!("webhook_endpoint")),
        ("environment", json!("test")),
        ("livemode", json!(false)),
        ("status", json!("enabled")),
        ("enabled", json!(true)),
        ("url", json!("https://example.com/hooks")),
        ("description", json!("shop")),
        ("event_types", json!(["payment.*", "sms.delivered"])),
        ("headers", json!(["X-Shop"])),
        ("ordered", json!(true)),
        ("rate_limit", json!({"per_second": 5})),
        ("signing", json!("hmac")),
        ("public_key", Value::Null),
        ("old_secrets_expire_at", Value::Null),
        ("failing_since", Value::Null),
    ] {
        assert_eq!(made.json[field], value, "{field}");
    }
    let path = path_of(&made);
    let mut shown = made.json.clone();
    shown.as_object_mut().unwrap().remove("secret").unwrap();
    assert_eq!(acme.get(&path).await.json, shown);
    let other = make(&acme, json!({})).await;
    let listed = acme.get(ENDPOINTS).await;
    assert_eq!(listed.json["data"][0]["id"], other.text("id"));
    assert_eq!(listed.json["data"][1], shown);
    let first = acme.get(&format!("{ENDPOINTS}?limit=1")).await;
    let next = format!("{ENDPOINTS}?limit=1&cursor={}", first.text("next_cursor"));
    assert_eq!(acme.get(&next).await.json["data"], json!([shown]));

    // What is left out stays, and null takes away.
    let changed = patch(
        &acme,
        &path,
        json!({"url": "https://example.org/", "rate_limit": null}),
    );
    let changed = changed.await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(changed.json["url"], "https://example.org/");
    assert_eq!(changed.json["rate_limit"], Value::Null);
    assert_eq!(changed.json["headers"], json!(["X-Shop"]));
    let bare = json!({"description": null, "event_types": null, "headers": null, "ordered": false});
    let changed = patch(&acme, &path, bare).await;
    for field in ["description", "event_types", "rate_limit"] {
        assert_eq!(changed.json[field], Value::Null, "{field}");
    }
    assert_eq!(changed.json["headers"], json!([]));
    assert_eq!(changed.json["ordered"], false);

    // Disabled and enabled again: what went wrong before counts no more.
    let disabled = patch(&acme, &path, json!({"enabled": false})).await;
    assert_eq!(disabled.json["status"], "disabled");
    assert_eq!(disabled.json["disabled_reason"], "requested");
    let failing = "update webhook_endpoints set failing_since = created_at";
    ground.change(failing).await;
    let enabled = patch(&acme, &path, json!({"enabled": true})).await;
    assert_eq!(enabled.json["status"], "enabled");
    for field in ["disabled_reason", "disabled_at", "failing_since"] {
        assert_eq!(enabled.json[field], Value::Null, "{field}");
    }

    let deleted = acme.delete(&path).await;
    assert_eq!(deleted.status, 200);
    assert_eq!(deleted.json["deleted"], true);
    for gone in [acme.get(&path).await, acme.delete(&path).await] {
        assert_eq!((gone.status, gone.code()), (404, "not_found"));
    }
    assert_eq!(acme.get(&format!("{path}/deliveries")).await.status, 404);
    host.stop().await;
}

async fn secrets_are_shown_once_and_never_stored_in_clear(ground: Ground) {
    let host = start(&ground).await;
    let acme = host.key("test").await;
    let keyed = acme.with("Idempotency-Key", "endpoint-1");
    let made = make(&keyed, json!({"headers": {"X-Key": "hunter2-in-a-header"}})).await;
    let secret = made.text("secret").to_owned();
    assert!(secret.starts_with("whsec_"), "{secret}");
    assert_eq!(secret.len(), "whsec_".len() + 44);
    let path = path_of(&made);
    let rotate = format!("{path}/rotate-secret");
    let keyed = acme.with("Idempotency-Key", "endpoint-2");
    let rotated = keyed.post(&rotate, json!({})).await;
    let second = rotated.text("secret").to_owned();
    assert_ne!(second, secret);
    let elsewhere = [
        acme.get(&path).await,
        acme.get(ENDPOINTS).await,
        patch(&acme, &path, json!({"description": "x"})).await,
        host.operator().get("/api/audit?limit=100").await,
    ];
    for reply in &elsewhere {
        let text = String::from_utf8_lossy(&reply.bytes);
        for secret in [secret.as_str(), second.as_str(), "hunter2-in-a-header"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    let stored = [
        cells(&ground, "secrets", "webhook_endpoints").await,
        cells(&ground, "body", "idempotency_keys").await,
    ];
    for cells in &stored {
        assert!(!cells.is_empty());
        for secret in [&secret[6..], &second[6..], "hunter2-in-a-header"] {
            assert!(!holds(cells, secret));
        }
    }
    // Of the other kind only the public part is ever seen, and it is no secret.
    let ed25519 = make(&acme, json!({"signing": "ed25519"})).await;
    assert!(ed25519.text("public_key").starts_with("whpk_"));
    assert!(ed25519.json.get("secret").is_none());
    let shown = acme.get(&path_of(&ed25519)).await;
    assert_eq!(shown.text("public_key"), ed25519.text("public_key"));
    host.stop().await;
}

async fn old_secrets_sign_until_their_overlap_has_ended(ground: Ground) {
    let host = start(&ground).await;
    let acme = host.key("test").await;
    let made = make(&acme, json!({})).await;
    let path = path_of(&made);
    let rotate = format!("{path}/rotate-secret");
    let ends = async || acme.get(&path).await.json["old_secrets_expire_at"].clone();
    assert_eq!(acme.post(&rotate, json!({})).await.status, 200);
    let first: chrono::DateTime<chrono::Utc> = ends().await.as_str().unwrap().parse().unwrap();
    let day = first.signed_duration_since(host.clock.now());
    assert!(day > TimeDelta::hours(23) && day <= TimeDelta::hours(24));
    // A later one does not make the first last longer.
    let longer = acme
        .post(&rotate, json!({"overlap_seconds": 604_800}))
        .await;
    assert_eq!(longer.status, 200);
    host.clock.advance(TimeDelta::hours(25));
    assert_ne!(ends().await, Value::Null);
    host.clock.advance(TimeDelta::days(7));
    assert_eq!(ends().await, Value::Null);
    // Only so many at a time.
    for expected in [200, 200, 200, 200, 409] {
        assert_eq!(acme.post(&rotate, json!({})).await.status, expected);
    }
    let at_once = acme.post(&rotate, json!({"overlap_seconds": 0})).await;
    assert_eq!(at_once.status, 200, "{at_once:?}");
    assert_eq!(ends().await, Value::Null);
    let wrong = acme
        .post(&rotate, json!({"overlap_seconds": 604_801}))
        .await;
    assert_eq!(wrong.pointers(), ["/overlap_seconds"]);
    host.stop().await;
}

async fn an_environment_has_fifty_endpoints_at_most(ground: Ground) {
    let host = start(&ground).await;
    let acme = host.key("test").await;
    let first = make(&acme, json!({})).await;
    for _ in 1..48 {
        make(&acme, json!({})).await;
    }
    // All at once: two fit.
    let many = (0..6).map(|_| acme.post(ENDPOINTS, endpoint(json!({}))));
    let many = futures_util::future::join_all(many).await;
    let made = many.iter().filter(|reply| reply.status == 201).count();
    assert_eq!(made, 2);
    let refused: Vec<_> = many.iter().filter(|reply| reply.status != 201).collect();
    assert!(refused.iter().all(|reply| reply.code() == "conflict"));
    make(&host.key("live").await, json!({})).await;
    acme.delete(&path_of(&first)).await;
    make(&acme, json!({})).await;
    host.stop().await;
}

async fn an_endpoint_belongs_to_its_environment(ground: Ground) {
    let host = start(&ground).await;
    let (test, live) = (host.key("test").await, host.key("live").await);
    let path = path_of(&make(&test, json!({})).await);
    assert_eq!(live.get(&path).await.status, 404);
    assert_eq!(
        patch(&live, &path, json!({"enabled": false})).await.status,
        404
    );
    assert_eq!(live.delete(&path).await.status, 404);
    assert_eq!(
        live.post(&format!("{path}/test"), json!({})).await.status,
        404
    );
    assert_eq!(live.get(ENDPOINTS).await.json["data"], json!([]));
    assert_eq!(test.get(&path).await.json["status"], "enabled");
    host.stop().await;
}

async fn a_repeated_request_acts_once_and_answers_the_same(ground: Ground) {
    let host = start(&ground).await;
    let acme = host.key("test").await;
    let keyed = acme.with("Idempotency-Key", "one");
    let first = make(&keyed, json!({})).await;
    let again = keyed.post(ENDPOINTS, endpoint(json!({}))).await;
    assert_eq!((again.status, &again.bytes), (201, &first.bytes));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(first.header("idempotent-replayed"), None);
    let other = keyed
        .post(ENDPOINTS, endpoint(json!({"ordered": true})))
        .await;
    assert_eq!(
        (other.status, other.code()),
        (422, "idempotency_key_reused")
    );
    let listed = acme.get(ENDPOINTS).await;
    assert_eq!(listed.json["data"].as_array().unwrap().len(), 1);

    let path = path_of(&first);
    for (action, body) in [
        ("rotate-secret", json!({})),
        ("test", json!({})),
        ("resend", json!({"since": "2026-01-01T00:00:00Z"})),
    ] {
        let keyed = acme.with("Idempotency-Key", action);
        let first = keyed.post(&format!("{path}/{action}"), body.clone()).await;
        assert_eq!(first.status, 200, "{first:?}");
        let again = keyed.post(&format!("{path}/{action}"), body).await;
        assert_eq!(
            (again.status, &again.bytes),
            (200, &first.bytes),
            "{action}"
        );
        assert_eq!(
            again.header("idempotent-replayed"),
            Some("true"),
            "{action}"
        );
    }
    // What was refused has left nothing: the key is free.
    let keyed = acme.with("Idempotency-Key", "free");
    patch(&acme, &path, json!({"enabled": false})).await;
    let test = format!("{path}/test");
    let refused = keyed.post(&test, json!({})).await;
    assert_eq!((refused.status, refused.code()), (409, "invalid_state"));
    patch(&acme, &path, json!({"enabled": true})).await;
    assert_eq!(keyed.post(&test, json!({})).await.status, 200);
    host.stop().await;
}

async fn a_repetition_is_answered_whatever_the_first_has_led_to(ground: Ground) {
    let host = start(&ground).await;
    let acme = host.key("test").await;
    let path = path_of(&make(&acme, json!({})).await);
    let rotate = format!("{path}/rotate-secret");
    for _ in 0..3 {
        assert_eq!(acme.post(&rotate, json!({})).await.status, 200);
    }
    // The last one that there is room for.
    let keyed = acme.with("Idempotency-Key", "last");
    let last = keyed.post(&rotate, json!({})).await;
    assert_eq!(last.status, 200, "{last:?}");
    let tested = acme.with("Idempotency-Key", "test");
    let test = format!("{path}/test");
    let sent = tested.post(&test, json!({})).await;
    let repeated = async || {
        let again = keyed.post(&rotate, json!({})).await;
        assert_eq!((again.status, &again.bytes), (200, &last.bytes));
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        let again = tested.post(&test, json!({})).await;
        assert_eq!((again.status, &again.bytes), (200, &sent.bytes));
        let other = keyed.post(&rotate, json!({"overlap_seconds": 5})).await;
        let reused = (422, "idempotency_key_reused");
        assert_eq!((other.status, other.code()), reused);
    };
    repeated().await;
    let new = acme.with("Idempotency-Key", "new");
    let refused = new.post(&rotate, json!({})).await;
    assert_eq!((refused.status, refused.code()), (409, "conflict"));
    assert_eq!(acme.delete(&path).await.status, 200);
    repeated().await;
    assert_eq!(new.post(&rotate, json!({})).await.status, 404);
    host.stop().await;
}

async fn a_test_event_goes_to_one_endpoint_only(ground: Ground) {
    let host = start(&ground).await;
    let (test, live) = (host.key("test").await, host.key("live").await);
    let (one, other) = (make(&test, json!({})).await, make(&test, json!({})).await);
    let sent = test
        .post(&format!("{}/test", path_of(&one)), json!({}))
        .await;
    assert_eq!(sent.json["object"], "webhook_delivery");
    assert_eq!(sent.json["event_type"], "endpoint.test");
    assert_eq!(sent.json["status"], "pending");
    assert_eq!(sent.json["attempt_count"], 0);
    let deliveries = |made: &Reply| format!("{}/deliveries", path_of(made));
    let listed = test.get(&deliveries(&one)).await;
    assert_eq!(listed.json["data"], json!([sent.json]));
    assert_eq!(test.get(&deliveries(&other)).await.json["data"], json!([]));
    let failed = format!("{}?status=failed", deliveries(&one));
    assert_eq!(test.get(&failed).await.json["data"], json!([]));
    let read = test
        .get(&format!("{}/{}", deliveries(&one), sent.text("id")))
        .await;
    assert_eq!(read.json["attempts"], json!([]));
    let elsewhere = format!("{}/{}", deliveries(&other), sent.text("id"));
    assert_eq!(test.get(&elsewhere).await.status, 404);

    let event = format!("/v1/events/{}", sent.text("event_id"));
    let event = test.get(&event).await;
    assert_eq!(event.json["type"], "endpoint.test");
    assert_eq!(event.json["data"]["id"], one.text("id"));
    assert!(event.json["data"].get("secret").is_none());

    // Samples with test keys only.
    let sample = json!({"type": "payment.succeeded"});
    let sent = test
        .post(&format!("{}/test", path_of(&one)), sample.clone())
        .await;
    assert_eq!(sent.json["event_type"], "payment.succeeded");
    let live_one = path_of(&make(&live, json!({})).await);
    let refused = live.post(&format!("{live_one}/test"), sample).await;
    assert_eq!((refused.status, refused.pointers()), (422, vec!["/type"]));
    let sent = live.post(&format!("{live_one}/test"), json!({})).await;
    assert_eq!(sent.status, 200, "{sent:?}");
    host.stop().await;
}

async fn whatever_is_done_is_noted_without_secrets(ground: Ground) {
    let host = start(&ground).await;
    let acme = host.key("test").await;
    let made = make(&acme, json!({"headers": {"X-Key": "hunter2"}})).await;
    let path = path_of(&made);
    patch(&acme, &path, json!({"description": "shop"})).await;
    acme.post(&format!("{path}/rotate-secret"), json!({})).await;
    acme.post(&format!("{path}/test"), json!({})).await;
    acme.delete(&path).await;
    let log = format!("/api/audit?target={}", made.text("id"));
    let log = host.operator().get(&log).await;
    let entries = log.json["data"].as_array().unwrap();
    let actions: Vec<_> = entries.iter().map(|entry| &entry["action"]).collect();
    let expected = ["deleted", "tested", "secret_rotated", "updated", "created"];
    let expected = expected.map(|action| json!(format!("webhook_endpoint.{action}")));
    assert_eq!(actions, expected.iter().collect::<Vec<_>>());
    for entry in entries {
        assert!(
            entry["actor"].as_str().unwrap().starts_with("key_"),
            "{entry}"
        );
        assert!(entry["address"].is_string() && entry["request_id"].is_string());
    }
    assert_eq!(entries[3]["before"]["description"], Value::Null);
    assert_eq!(entries[3]["after"]["description"], "shop");
    assert_eq!(entries[3]["after"]["headers"], json!(["X-Key"]));
    assert!(!log.json.to_string().contains("hunter2"));
    host.stop().await;
}
