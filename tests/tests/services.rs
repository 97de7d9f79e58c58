//! Connections to providers: made, replaced, told apart, taken away; and their secrets kept.

use onerouter_sandbox::twilio;
use onerouter_tests::database::TestDatabase;
use onerouter_tests::harness::{Client, Harness, Setup};
use serde_json::{Value, json};

const CONNECT: &str = "/api/services/sms/twilio/connect";

fn connection(label: Option<&str>) -> Value {
    json!({
        "environment": "test", "label": label,
        "credentials": {"account_sid": twilio::ACCOUNT_SID, "auth_token": twilio::AUTH_TOKEN},
        "settings": {"from_number": twilio::FROM_NUMBER},
    })
}

async fn start() -> Harness {
    let setup = Setup {
        unconnected: true,
        ..Setup::default()
    };
    Harness::with(setup).await
}

async fn labels(operator: &Client) -> Vec<String> {
    let listed = operator.get("/api/services").await;
    let data = listed.json["data"].as_array().unwrap().clone();
    data.iter()
        .map(|one| one["label"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_connection_shows_its_public_fields_and_settings() {
    let host = start().await;
    let made = host.operator().post(CONNECT, connection(None)).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert!(made.text("id").starts_with("con_"));
    let expected = json!({
        "object": "connection", "environment": "test", "livemode": false, "service": "sms",
        "provider": "twilio", "label": "default", "credentials": {"account_sid": twilio::ACCOUNT_SID},
        "settings": {"from_number": twilio::FROM_NUMBER}, "warnings": [],
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&made.json[field], value, "{field}");
    }
    let listed = host.operator().get("/api/services").await;
    assert_eq!(listed.json["data"], json!([made.json]));
    for (environment, count) in [("test", 1), ("live", 0)] {
        let listed = host
            .operator()
            .get(&format!("/api/services?environment={environment}"))
            .await;
        assert_eq!(listed.json["data"].as_array().unwrap().len(), count);
    }
}

#[tokio::test]
async fn what_could_be_connected_is_listed_with_its_form() {
    let host = start().await;
    let listed = host.operator().get("/api/services").await;
    let available = listed.json["available"].as_array().unwrap();
    let names: Vec<_> = available
        .iter()
        .map(|one| one["provider"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["paypal", "razorpay", "resend", "twilio"]);
    let services: Vec<_> = available.iter().map(|one| &one["services"]).collect();
    assert_eq!(
        services,
        [
            &json!(["payments"]),
            &json!(["payments"]),
            &json!(["email"]),
            &json!(["sms"])
        ]
    );
    let twilio = &available[3];
    let token = twilio["credentials"]
        .as_array()
        .unwrap()
        .iter()
        .find(|field| field["name"] == "auth_token")
        .unwrap();
    assert_eq!(
        (&token["secret"], &token["optional"]),
        (&json!(true), &json!(false))
    );
    for field in ["label", "pattern", "help"] {
        assert!(
            token[field].as_str().is_some_and(|text| !text.is_empty()),
            "{field}"
        );
    }
    let settings = twilio["settings"].as_array().unwrap();
    assert!(settings.iter().any(|field| field["name"] == "from_number"));
}

#[tokio::test]
async fn credentials_that_the_provider_refuses_are_not_kept() {
    let host = start().await;
    let operator = host.operator();
    let mut wrong = connection(None);
    wrong["credentials"]["auth_token"] = json!("w".repeat(32));
    let refused = operator.post(CONNECT, wrong.clone()).await;
    assert_eq!(
        (refused.status, refused.code()),
        (422, "provider_auth_failed")
    );
    assert_eq!(refused.json["provider"]["name"], "twilio");
    assert_eq!(refused.json["provider"]["http_status"], 401);
    assert_eq!(labels(&operator).await, [""; 0]);

    // Nor do they replace those that work.
    assert_eq!(operator.post(CONNECT, connection(None)).await.status, 201);
    assert_eq!(operator.post(CONNECT, wrong).await.status, 422);
    let sent = host
        .key("test")
        .await
        .post("/v1/sms", json!({"to": "+14155550123", "body": "Hi"}))
        .await;
    assert_eq!(sent.status, 201, "{sent:?}");
}

#[tokio::test]
async fn connecting_again_under_the_same_label_replaces() {
    let host = start().await;
    let operator = host.operator();
    let made = operator.post(CONNECT, connection(None)).await;
    let mut other = connection(Some("default"));
    other["settings"] = json!({"from_number": twilio::SECOND_FROM_NUMBER});
    let replaced = operator.post(CONNECT, other).await;
    assert_eq!(replaced.status, 200, "{replaced:?}");
    assert_eq!(replaced.text("id"), made.text("id"));
    assert_eq!(replaced.text("created_at"), made.text("created_at"));
    assert_eq!(labels(&operator).await, ["default"]);
    // The next message goes out with the new settings.
    let sent = host
        .key("test")
        .await
        .post("/v1/sms", json!({"to": "+14155550123", "body": "Hi"}))
        .await;
    assert_eq!(sent.text("from_number"), twilio::SECOND_FROM_NUMBER);
}

#[tokio::test]
async fn labels_tell_connections_apart_and_are_taken_away_one_by_one_or_all() {
    let host = start().await;
    let operator = host.operator();
    for label in [None, Some("b"), Some("c")] {
        assert_eq!(operator.post(CONNECT, connection(label)).await.status, 201);
    }
    let mut found = labels(&operator).await;
    found.sort_unstable();
    assert_eq!(found, ["b", "c", "default"]);
    let one = operator
        .delete("/api/services/sms/twilio?environment=test&label=b")
        .await;
    assert_eq!(
        one.json,
        json!({"object": "connection.deleted", "deleted": 1})
    );
    let rest = operator
        .delete("/api/services/sms/twilio?environment=test")
        .await;
    assert_eq!(rest.json["deleted"], 2);
    assert_eq!(labels(&operator).await, [""; 0]);
    for path in [
        "sms/twilio?environment=test",
        "sms/twilio?environment=live",
        "fax/twilio?environment=test",
    ] {
        let gone = operator.delete(&format!("/api/services/{path}")).await;
        assert_eq!((gone.status, gone.code()), (404, "not_found"));
    }
}

#[tokio::test]
async fn a_message_can_be_read_after_its_connection_is_gone() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let sms = json!({"to": "+14155550123", "body": "Hi"});
    let sent = acme.post("/v1/sms", sms.clone()).await;
    host.operator()
        .delete("/api/services/sms/twilio?environment=test")
        .await;
    assert_eq!(
        acme.get(&format!("/v1/sms/{}", sent.text("id")))
            .await
            .status,
        200
    );
    assert_eq!(acme.post("/v1/sms", sms).await.code(), "no_connection");
}

#[tokio::test]
async fn a_service_or_plugin_that_is_not_there_is_not_found() {
    let host = start().await;
    let operator = host.operator();
    for path in [
        "fax/twilio",
        "sms/nobody",
        "sms/NOBODY",
        "sms/resend",
        "email/twilio",
    ] {
        let refused = operator
            .post(&format!("/api/services/{path}/connect"), json!({}))
            .await;
        assert_eq!(
            (refused.status, refused.code()),
            (404, "not_found"),
            "{path}"
        );
    }
}

/// A secret is looked for in every answer, in the database's files, and in what else is on disk.
#[tokio::test]
async fn secrets_are_never_shown_again() {
    let host = start().await;
    let operator = host.operator();
    let mut answers = vec![operator.post(CONNECT, connection(None)).await];
    answers.push(operator.post(CONNECT, connection(None)).await);
    let mut wrong = connection(None);
    wrong["settings"] = json!({"from_number": twilio::AUTH_TOKEN.repeat(2)});
    answers.push(operator.post(CONNECT, wrong).await);
    answers.push(operator.get("/api/services").await);
    let acme = host.key("test").await;
    for fault in ["error_before", "malformed_json", "reset_after"] {
        host.fault(json!({"fault": fault, "status": 500})).await;
        answers.push(
            acme.post("/v1/sms", json!({"to": "+14155550123", "body": "Hi"}))
                .await,
        );
    }
    answers.push(acme.get("/v1/sms").await);
    answers.push(host.client("").get("/metrics").await);
    for answer in &answers {
        assert!(!holds(&answer.bytes, twilio::AUTH_TOKEN), "{answer:?}");
    }
    assert_eq!(answers[2].pointers(), ["/settings/from_number"]);

    let key = acme.token.clone();
    let folder = host.stop().await;
    let mut seen = 0;
    for entry in std::fs::read_dir(folder.path().join("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            for secret in [
                twilio::AUTH_TOKEN,
                &key,
                onerouter_tests::harness::ADMIN_TOKEN,
            ] {
                assert!(!holds(&bytes, secret), "{}", path.display());
            }
            seen += usize::from(holds(&bytes, twilio::ACCOUNT_SID));
        }
    }
    assert!(seen > 0, "the public field is there");
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn two_operators_at_once_make_one_connection() {
    let postgres = TestDatabase::postgres().await;
    let url = postgres.as_ref().map(|database| database.url().to_owned());
    for database_url in [None, url] {
        let setup = Setup {
            database_url,
            unconnected: true,
            ..Setup::default()
        };
        let host = Harness::with(setup).await;
        let operator = host.operator();
        let all = futures_util::future::join_all(
            (0..8).map(|_| operator.post(CONNECT, connection(None))),
        )
        .await;
        let made = all.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(made, 1, "{all:?}");
        assert!(
            all.iter()
                .all(|answer| [200, 201, 409].contains(&answer.status)),
            "{all:?}"
        );
        assert_eq!(labels(&operator).await, ["default"]);
        host.stop().await;
    }
}
