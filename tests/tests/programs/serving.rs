//! The two commands that serve.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use onerouter_tests::harness::reply;
use serde_json::{Value, json};

use crate::program::{Program, Running};

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

#[tokio::test]
async fn dev_prints_one_line_and_serves_a_first_call() {
    let program = Program::new().with_plugins();
    let running = program.start(&["dev", "--json", "--bind", "127.0.0.1:0"], false);
    let ready: Value = serde_json::from_str(&running.first_line).unwrap();
    let names: Vec<_> = ready
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(
        sorted,
        [
            "admin_token",
            "api_key",
            "base_url",
            "dashboard",
            "sandbox_url"
        ]
    );
    let text = |name: &str| ready[name].as_str().unwrap().to_owned();
    let http = client();
    let sent = http
        .post(text("base_url") + "/v1/sms")
        .bearer_auth(text("api_key"))
        .json(&json!({"to": "+14155550123", "body": "Hello"}));
    let sent = reply(sent.send().await.unwrap()).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    let services = http
        .get(text("base_url") + "/api/services")
        .bearer_auth(text("admin_token"));
    let services = reply(services.send().await.unwrap()).await;
    assert_eq!(services.json["data"].as_array().unwrap().len(), 4);
    let ledger = http.get(text("sandbox_url") + "/_sandbox/ledger");
    let ledger = reply(ledger.send().await.unwrap()).await;
    assert_eq!(ledger.json["count"], 1);

    let (status, data, talk) = running.stop();
    assert_eq!(status.code(), Some(0), "{talk}");
    assert_eq!(data, "");
    for secret in [text("api_key"), text("admin_token")] {
        assert!(!talk.contains(&secret), "{talk}");
    }
}

#[test]
fn a_program_that_is_stopped_as_soon_as_it_is_ready_ends_well() {
    let program = Program::new().with_plugins();
    let (status, _, talk) = program
        .start(&["dev", "--json", "--bind", "127.0.0.1:0"], false)
        .stop();
    assert_eq!(status.code(), Some(0), "{talk}");
    let (status, _, talk) = program
        .start(&["serve", "--bind", "127.0.0.1:0"], true)
        .stop();
    assert_eq!(status.code(), Some(0), "{talk}");
}

/// A request is in flight, and a signal says that it is to be finished.
fn stopping_with_a_request_in_flight(program: &Program) -> (Running, TcpStream) {
    let mut running = program.start(&["serve", "--bind", "127.0.0.1:0"], true);
    let address = running.first_line.trim().rsplit('/').next().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let head = "POST /api/api-keys HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer operator-token-1\r\nExpect: 100-continue\r\nContent-Length: 39\r\n\r\n";
    client.write_all(head.as_bytes()).unwrap();
    // It has begun to read the body.
    let mut interim = [0; 25];
    client.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    running.terminate();
    running.until_it_says("finishing what is in flight");
    (running, client)
}

#[test]
fn a_request_in_flight_is_finished_after_a_first_signal() {
    let program = Program::new().set("ONEROUTER_ADMIN_TOKEN", "operator-token-1");
    let (running, mut client) = stopping_with_a_request_in_flight(&program);
    client
        .write_all(br#"{"name":"late", "environment": "test" }"#)
        .unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    let (status, talk) = running.end();
    assert_eq!(status.code(), Some(0), "{talk}");
}

#[test]
fn a_second_signal_cuts_the_shutdown_short() {
    let program = Program::new().set("ONEROUTER_ADMIN_TOKEN", "operator-token-1");
    let (running, mut client) = stopping_with_a_request_in_flight(&program);
    let (status, _, talk) = running.stop();
    assert_eq!(status.code(), Some(1), "{talk}");
    assert!(
        talk.contains("a second signal cut the shutdown short"),
        "{talk}"
    );
    let mut answer = Vec::new();
    let _reset = client.read_to_end(&mut answer);
    assert!(answer.is_empty(), "the request was cut off");
}

#[tokio::test]
async fn serve_says_where_it_listens_and_keeps_its_secrets() {
    let token = "operator-hunter2-token";
    let program = Program::new()
        .with_plugins()
        .set("ONEROUTER_ADMIN_TOKEN", token)
        .set("RUST_LOG", "debug");
    let running = program.start(&["serve", "--bind", "127.0.0.1:0"], true);
    let base = running
        .first_line
        .rsplit(' ')
        .next()
        .unwrap()
        .trim()
        .to_owned();
    let http = client();
    let create = http.post(base.clone() + "/api/api-keys").bearer_auth(token);
    let key = reply(
        create
            .json(&json!({"name": "x", "environment": "test"}))
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(key.status, 201, "{key:?}");
    let secret = "s3cr3ts3cr3ts3cr3ts3cr3ts3cr3t00";
    let body = json!({"environment": "test", "credentials": {"account_sid": format!("AC{:032}", 1), "auth_token": secret, "extra": "x"}});
    let connect = http
        .post(base.clone() + "/api/services/sms/twilio/connect")
        .bearer_auth(token)
        .json(&body);
    assert_eq!(reply(connect.send().await.unwrap()).await.status, 422);
    let sms = json!({"to": "+14155550199", "body": "confidential words"});
    let sent = http
        .post(base + "/v1/sms")
        .bearer_auth(key.text("key"))
        .json(&sms);
    assert_eq!(
        reply(sent.send().await.unwrap()).await.code(),
        "no_connection"
    );

    let (status, data, talk) = running.stop();
    assert_eq!((status.code(), data.as_str()), (Some(0), ""));
    for kept in [
        token,
        key.text("key"),
        secret,
        "+14155550199",
        "confidential",
    ] {
        assert!(!talk.contains(kept), "{kept} in {talk}");
    }
}

#[test]
fn an_address_that_is_taken_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = Program::new().run(&["serve", "--bind", &address]).badly();
    assert!(
        refused
            .talk
            .contains(&format!("cannot listen on {address}")),
        "{refused:?}"
    );
}

#[test]
fn production_refuses_what_is_for_development() {
    let program = Program::new().set("ENVIRONMENT", "production");
    let refused = program.run(&["dev"]).badly();
    assert!(
        refused.talk.contains("ENCRYPTION_KEY is required"),
        "{refused:?}"
    );
    let program = program
        .set("ENCRYPTION_KEY", "0a".repeat(32))
        .set("ONEROUTER_BIND", "0.0.0.0:0")
        .set("ONEROUTER_UPSTREAMS", "api.example.com=http://127.0.0.1:1");
    let refused = program.run(&["serve"]).badly();
    for part in ["ONEROUTER_TRUSTED_PROXIES", "ONEROUTER_UPSTREAMS"] {
        assert!(refused.talk.contains(part), "{refused:?}");
    }
    let dev = Program::new()
        .set("ENVIRONMENT", "production")
        .set("ENCRYPTION_KEY", "0a".repeat(32));
    assert!(dev.run(&["dev"]).badly().talk.contains("for development"));
}
