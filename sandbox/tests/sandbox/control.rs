//! Routing, ledger, request log, clock, settings, reset, the index.

use onerouter_sandbox::{
    Sandbox, SandboxConfig,
    resend::FULL_ACCESS_KEY,
    twilio::{ACCOUNT_SID, AUTH_TOKEN, FROM_NUMBER},
};
use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::rig::{Rig, letter};

#[tokio::test]
async fn a_provider_is_found_by_prefix_or_by_host() {
    let rig = Rig::start().await;
    let path = format!("/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json");
    let twilio = rig.twilio(Method::GET, &rig.url(&path));
    assert_eq!(
        rig.send(twilio.header(header::HOST, "api.twilio.com"))
            .await
            .status,
        200
    );
    let resend = |host| {
        rig.http
            .get(rig.url("/emails"))
            .bearer_auth(FULL_ACCESS_KEY)
            .header(header::HOST, host)
    };
    assert_eq!(rig.send(resend("api.resend.com")).await.status, 200);
    assert_eq!(rig.send(resend("API.resend.com:443")).await.status, 200);
    assert_eq!(rig.send(resend("api.example.com")).await.status, 404);
    // The prefix wins: a gateway keeps the Host header and prepends the upstream's path.
    let both = rig
        .resend(Method::GET, "/emails")
        .header(header::HOST, "api.resend.com");
    assert_eq!(rig.send(both).await.status, 200);
}

#[tokio::test]
async fn connections_and_upstreams_lead_to_working_providers() {
    let rig = Rig::start().await;
    let upstreams = rig.sandbox.upstreams();
    let url = rig.sandbox.url();
    let expected = [
        ("api.twilio.com", "twilio"),
        ("api.resend.com", "resend"),
        ("api.razorpay.com", "razorpay"),
        ("api-m.sandbox.paypal.com", "paypal"),
        ("api.sandbox.paypal.com", "paypal"),
    ]
    .map(|(host, prefix)| (host.to_owned(), format!("{url}/{prefix}")));
    assert_eq!(upstreams, expected);
    let connections = rig.sandbox.connections();
    let kinds: Vec<_> = connections
        .iter()
        .map(|connection| (connection.service, connection.provider))
        .collect();
    assert_eq!(
        kinds,
        [
            ("sms", "twilio"),
            ("email", "resend"),
            ("payments", "razorpay"),
            ("payments", "paypal"),
        ]
    );
    let (sms, email) = (&connections[0], &connections[1]);
    let to = sms.example_body["to"].as_str().unwrap();
    let form = [
        ("To", to),
        ("From", &sms.settings["from_number"]),
        ("Body", "Hi"),
    ];
    let sid = &sms.credentials["account_sid"];
    let request = rig
        .http
        .post(format!(
            "{}/2010-04-01/Accounts/{sid}/Messages.json",
            upstreams[0].1
        ))
        .basic_auth(sid, Some(&sms.credentials["auth_token"]));
    assert_eq!(rig.send(request.form(&form)).await.status, 201);
    let body = json!({
        "from": email.settings["from_email"],
        "to": email.example_body["to"],
        "subject": email.example_body["subject"],
        "text": email.example_body["text_body"],
    });
    let request = rig
        .http
        .post(format!("{}/emails", upstreams[1].1))
        .bearer_auth(&email.credentials["api_key"]);
    assert_eq!(rig.send(request.json(&body)).await.status, 200);
}

#[tokio::test]
async fn the_ledger_lists_every_effect_and_filters() {
    let rig = Rig::start().await;
    let sid = rig.text_to("+14155550123").await;
    let id = rig.mail_to("ada@example.com").await;
    rig.text(&[("To", "nobody"), ("From", FROM_NUMBER), ("Body", "Hi")])
        .await;
    let ledger = rig.get("ledger").await;
    assert_eq!((&ledger["count"], &ledger["total"]), (&2.into(), &2.into()));
    let sms = &ledger["data"][0];
    assert_eq!(
        json!([
            sms["number"],
            sms["kind"],
            sms["provider"],
            sms["account"],
            sms["id"],
            sms["to"]
        ]),
        json!([1, "sms", "twilio", ACCOUNT_SID, sid, ["+14155550123"]])
    );
    assert_eq!(sms["at"], "2026-01-15T12:00:00+00:00");
    assert_eq!(
        sms["body"],
        format!(
            "To=%2B14155550123&From=%2B{}&Body=Hi",
            FROM_NUMBER.trim_start_matches('+')
        )
    );
    assert_eq!(sms["body_sha256"].as_str().unwrap().len(), 64);
    for (query, found) in [
        ("provider=resend", vec![&id]),
        ("kind=sms", vec![&sid]),
        ("to=ada@example.com", vec![&id]),
        ("to=%2B14155550123&provider=twilio", vec![&sid]),
        ("to=%2B14155550123&provider=resend", vec![]),
        (&format!("id={id}"), vec![&id]),
        ("limit=1", vec![&sid]),
    ] {
        let ledger = rig.get(&format!("ledger?{query}")).await;
        let ids: Vec<&Value> = ledger["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| &entry["id"])
            .collect();
        assert_eq!(ids, found, "{query}");
    }
    let unknown = rig
        .control(Method::GET, "ledger?recipient=x", Value::Null)
        .await;
    assert_eq!(unknown.status, 400);
}

#[tokio::test]
async fn the_request_log_shows_what_was_sent_but_no_credentials() {
    let rig = Rig::start().await;
    rig.text_to("+14155550123").await;
    let _ = rig
        .resend(Method::GET, "/emails?limit=1")
        .header("X-Sandbox-Fault", "reset_before")
        .send()
        .await;
    let log = rig.get("requests").await;
    assert_eq!(log["count"], 2);
    let sms = &log["data"][0];
    let path = format!("/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json");
    assert_eq!(
        json!([sms["method"], sms["path"], sms["provider"], sms["status"]]),
        json!(["POST", path, "twilio", 201])
    );
    assert!(sms["body"].as_str().unwrap().contains("Body=Hi"));
    let authorization = sms["headers"]["authorization"].as_str().unwrap();
    assert!(
        authorization.starts_with("Basic sha256:"),
        "{authorization}"
    );
    assert!(!log.to_string().contains(AUTH_TOKEN) && !log.to_string().contains(FULL_ACCESS_KEY));
    let lost = &log["data"][1];
    assert_eq!(
        json!([lost["query"], lost["status"]]),
        json!(["limit=1", null])
    );
    assert_eq!(
        rig.get("requests?provider=resend&method=GET&path_contains=/emails")
            .await["count"],
        1
    );
    rig.configure(json!({ "requests_kept": 1 })).await;
    rig.text_to("+14155550123").await;
    let log = rig.get("requests").await;
    assert_eq!((&log["count"], &log["total"]), (&1.into(), &3.into()));
    assert_eq!(
        rig.control(Method::DELETE, "requests", Value::Null)
            .await
            .status,
        204
    );
    assert_eq!(rig.get("requests").await["total"], 0);
}

#[tokio::test]
async fn the_clock_moves_and_stops() {
    let rig = Rig::start().await;
    assert_eq!(rig.get("clock").await["now"], "2026-01-15T12:00:00.000000Z");
    let moved = rig
        .control(
            Method::POST,
            "clock",
            json!({ "advance_s": 60, "advance_ms": 500 }),
        )
        .await;
    assert_eq!(
        moved.body,
        json!({ "now": "2026-01-15T12:01:00.500000Z", "frozen": false })
    );
    let frozen = rig
        .control(Method::POST, "clock", json!({ "frozen": true }))
        .await;
    assert_eq!(frozen.body["frozen"], true);
    rig.advance(1).await;
    assert_eq!(rig.get("clock").await["now"], "2026-01-15T12:01:01.500000Z");
    assert_eq!(
        rig.control(Method::POST, "clock", json!({ "advance": 1 }))
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn a_frozen_real_clock_stands_still() {
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/_sandbox/clock", sandbox.url());
    let freeze = http
        .post(&url)
        .json(&json!({ "frozen": true }))
        .send()
        .await
        .unwrap();
    let first: Value = freeze.json().await.unwrap();
    let second: Value = http.get(&url).send().await.unwrap().json().await.unwrap();
    assert_eq!(first, second);
    sandbox.shutdown().await;
    assert!(http.get(&url).send().await.is_err());
}

#[tokio::test]
async fn a_reset_forgets_everything() {
    let rig = Rig::start().await;
    let sid = rig.text_to("+14155550123").await;
    let id = rig.mail_to("ada@example.com").await;
    rig.advance(60).await;
    rig.configure(
        json!({ "delivery_ms": 1, "resend_rate_limit": 1, "resend_quota": "daily_exceeded" }),
    )
    .await;
    rig.fault(json!({ "fault": "reset_before", "times": 0 }))
        .await;
    assert_eq!(
        rig.control(Method::POST, "reset", Value::Null).await.status,
        204
    );
    assert_eq!(rig.effects().await, 0);
    assert_eq!(rig.get("clock").await["now"], "2026-01-15T12:00:00.000000Z");
    assert_eq!(rig.get("config").await["delivery_ms"], 6000);
    rig.send(rig.twilio(Method::GET, &rig.message_url(&sid)))
        .await
        .assert_twilio_error(404, 20404);
    rig.send(rig.resend(Method::GET, &format!("/emails/{id}")))
        .await
        .assert_resend_error(404, "not_found");
    assert_eq!(rig.mail(&letter("ada@example.com")).await.status, 200);
}

#[tokio::test]
async fn old_messages_make_room() {
    let config = SandboxConfig {
        messages_kept: 2,
        ..SandboxConfig::default()
    };
    let rig = Rig {
        sandbox: Sandbox::start(config).await.unwrap(),
        ..Rig::start().await
    };
    let mut sids = Vec::new();
    for _ in 0..3 {
        sids.push(rig.text_to("+14155550123").await);
    }
    rig.send(rig.twilio(Method::GET, &rig.message_url(&sids[0])))
        .await
        .assert_twilio_error(404, 20404);
    rig.message(&sids[1]).await;
    let ledger = rig.get("ledger").await;
    assert_eq!((&ledger["count"], &ledger["total"]), (&2.into(), &3.into()));
}

#[tokio::test]
async fn unknown_control_requests_are_refused() {
    let rig = Rig::start().await;
    for (method, path, body, status) in [
        (Method::GET, "nothing", Value::Null, 404),
        (Method::DELETE, "ledger", Value::Null, 404),
        (Method::PUT, "config", json!({ "delivery": 1 }), 400),
        (
            Method::PUT,
            "config",
            json!({ "resend_quota": "weekly" }),
            400,
        ),
        (Method::GET, "ledger?limit=x", Value::Null, 400),
        (Method::POST, "faults", json!([]), 400),
    ] {
        let answer = rig.control(method, path, body).await;
        assert_eq!(
            (answer.status, answer.body["error"].is_string()),
            (status, true),
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_index_says_what_is_here() {
    let rig = Rig::start().await;
    let guide = rig.send(rig.http.get(rig.url("/"))).await;
    assert_eq!(
        guide.body["providers"]["twilio"]["account"]["account_sid"],
        ACCOUNT_SID
    );
    assert_eq!(
        guide.body["providers"]["resend"]["keys"]["full_access"],
        FULL_ACCESS_KEY
    );
    assert!(guide.body["control"].is_object());
    let page = rig
        .send(
            rig.http
                .get(rig.url("/"))
                .header(header::ACCEPT, "text/html,*/*"),
        )
        .await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.text.contains("+15005550006") && page.text.contains("{last_event}@sandbox.test"));
    assert_eq!(rig.get("health").await["status"], "ok");
}
