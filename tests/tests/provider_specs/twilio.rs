//! Against `twilio_api_v2010.json`.

use std::time::Duration;

use chrono::{SubsecRound as _, Utc};
use onerouter_sandbox::twilio::{
    ACCOUNT_SID, API_KEY_SECRET, API_KEY_SID, AUTH_TOKEN, FROM_NUMBER, MESSAGING_SERVICE_SID,
    SECOND_FROM_NUMBER,
};
use onerouter_tests::harness::Harness;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::exchange::{self, Answer};
use crate::file;
use crate::spec::Spec;

const STATUSES: [&str; 13] = [
    "accepted",
    "scheduled",
    "queued",
    "sending",
    "sent",
    "delivered",
    "undelivered",
    "failed",
    "canceled",
    "receiving",
    "received",
    "read",
    "partially_delivered",
];

fn read() -> Option<Spec> {
    let mut spec = Spec::read(&file("twilio_api_v2010.json")?);
    // Pages link to each other by paths: "Follow next_page_uri", relative to the host.
    let lists = [
        "/paths/~12010-04-01~1Accounts~1{AccountSid}~1Messages.json",
        "/paths/~12010-04-01~1Accounts~1{AccountSid}~1Messages~1{MessageSid}~1Media.json",
    ];
    for list in lists {
        for uri in [
            "first_page_uri",
            "next_page_uri",
            "previous_page_uri",
            "uri",
        ] {
            let schema = "get/responses/200/content/application~1json/schema/properties";
            spec.amend(
                &format!("{list}/{schema}/{uri}/format"),
                json!("uri-reference"),
            );
        }
    }
    Some(spec)
}

async fn connect(host: &Harness, credentials: Value, settings: Value) {
    let body = json!({"environment": "test", "credentials": credentials, "settings": settings});
    let connected = host
        .operator()
        .post("/api/services/sms/twilio/connect", body)
        .await;
    assert!([200, 201].contains(&connected.status), "{connected:?}");
}

#[tokio::test]
async fn the_twilio_adapter_sends_what_twilio_describes() {
    let Some(mut spec) = read() else {
        return;
    };
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let send_at = (Utc::now() + Duration::from_secs(3_600)).trunc_subsecs(0);
    let to = "+14155550123";
    let media: Vec<_> = (0..10)
        .map(|n| format!("https://example.com/{n}.png"))
        .collect();
    let send = async |body: Value| {
        let sent = acme.post("/v1/sms", body).await;
        assert_eq!(sent.status, 201, "{sent:?}");
        format!("/v1/sms/{}", sent.text("id"))
    };
    let mut paths = vec![
        send(json!({"to": to, "body": "Hello"})).await,
        send(json!({"to": to, "body": "äöü ж 😀 +&=%", "from_number": SECOND_FROM_NUMBER})).await,
        send(json!({"to": to, "body": "a".repeat(1_600), "media_urls": media})).await,
    ];
    let token = json!({"account_sid": ACCOUNT_SID, "auth_token": AUTH_TOKEN});
    let service = json!({"messaging_service_sid": MESSAGING_SERVICE_SID});
    connect(&host, token, service.clone()).await;
    let own = json!({
        "to": to, "body": "Later", "send_at": send_at, "from_number": FROM_NUMBER,
        "media_urls": ["https://example.com/a.jpg"],
    });
    for body in [
        json!({"to": to, "body": "By a service"}),
        json!({"to": to, "body": "Later", "send_at": send_at}),
        own,
    ] {
        paths.push(send(body).await);
    }
    let api_key = json!({
        "account_sid": ACCOUNT_SID, "auth_token": AUTH_TOKEN,
        "api_key_sid": API_KEY_SID, "api_key_secret": API_KEY_SECRET,
    });
    connect(&host, api_key, service).await;
    paths.push(send(json!({"to": to, "body": "By an API key"})).await);
    for path in &paths {
        let canceled = acme.post(&format!("{path}/cancel"), json!({})).await;
        assert_eq!(canceled.status, 200, "{canceled:?}");
    }
    let path = send(json!({"to": to, "body": "To be read"})).await;
    host.pass(Duration::from_secs(3));
    let read = acme.get(&path).await;
    assert_eq!(read.text("status"), "sending");

    // A lost answer is looked for, over several pages.
    for number in 0..250 {
        let form = [
            ("To", to),
            ("From", FROM_NUMBER),
            ("Body", &number.to_string()),
        ];
        create(&host, &form).await;
    }
    let mut requests = exchange::received(&host, "twilio").await;
    requests.retain(|request| request.header("user-agent") != Some("provider-specs"));
    let before = requests.len();
    host.fault(json!({"fault": "reset_before", "to": to, "method": "POST"}))
        .await;
    let lost = acme
        .post(
            "/v1/sms",
            json!({"to": to, "body": "Lost", "from_number": FROM_NUMBER}),
        )
        .await;
    assert_eq!(lost.code(), "outcome_unknown");
    host.pass(Duration::from_secs(3));
    host.sweep().await;
    let mut requests = exchange::received(&host, "twilio").await;
    requests.retain(|request| request.header("user-agent") != Some("provider-specs"));
    // The create, and two pages.
    assert_eq!(requests.len(), before + 3);
    for request in &requests {
        spec.check_request(request);
    }
    spec.end(20, 0);
}

async fn call(
    host: &Harness,
    method: Method,
    path: &str,
    finish: impl FnOnce(RequestBuilder) -> RequestBuilder,
) -> Answer {
    let path = format!("/2010-04-01/Accounts/{ACCOUNT_SID}/{path}");
    exchange::call(host, "twilio", method, &path, |request| {
        finish(request.basic_auth(ACCOUNT_SID, Some(AUTH_TOKEN)))
    })
    .await
}

async fn create(host: &Harness, form: &[(&str, &str)]) -> Answer {
    call(host, Method::POST, "Messages.json", |request| {
        request.form(form)
    })
    .await
}

async fn get(host: &Harness, path: &str) -> Answer {
    call(host, Method::GET, path, |request| request).await
}

#[tokio::test]
async fn the_sandbox_answers_as_twilio_describes() {
    let Some(mut spec) = read() else {
        return;
    };
    let host = Harness::start().await;
    let send_at = (Utc::now() + Duration::from_secs(3_600)).to_rfc3339();
    let to = ("To", "+14155550123");
    let from = ("From", FROM_NUMBER);
    let service = ("MessagingServiceSid", MESSAGING_SERVICE_SID);
    let body = ("Body", "Hello");
    let media = ("MediaUrl", "https://example.com/a.jpg");
    let mut sids = Vec::new();
    for form in [
        vec![to, from, body],
        vec![to, from, media],
        vec![
            to,
            from,
            body,
            media,
            ("MediaUrl", "https://example.com/b.jpg"),
        ],
        vec![to, service, body],
        vec![
            to,
            service,
            body,
            ("ScheduleType", "fixed"),
            ("SendAt", &send_at),
        ],
        vec![("To", "+15005530003"), from, body],
        vec![("To", "+15005630007"), from, body],
    ] {
        let created = create(&host, &form).await;
        spec.check_answer(&created);
        sids.push(created.json()["sid"].as_str().unwrap().to_owned());
    }
    for seconds in [0, 2, 2, 2, 3_600] {
        host.sandbox_clock.advance(Duration::from_secs(seconds));
        for sid in &sids {
            spec.check_answer(&get(&host, &format!("Messages/{sid}.json")).await);
        }
    }
    for status in STATUSES {
        let forced = json!({"status": status, "error_code": 30003});
        host.force_status(&sids[0], forced).await;
        spec.check_answer(&get(&host, &format!("Messages/{}.json", sids[0])).await);
    }
    spec.check_answer(&get(&host, &format!("Messages/{}/Media.json", sids[2])).await);
    spec.check_answer(&get(&host, &format!("Messages/{}/Media.json", sids[0])).await);

    let mut path = Some("Messages.json?PageSize=3".to_owned());
    let mut pages = 0;
    while let Some(next) = path {
        let page = get(&host, &next).await;
        spec.check_answer(&page);
        let next = page.json()["next_page_uri"].as_str().map(str::to_owned);
        path = next.map(|uri| uri.rsplit_once('/').unwrap().1.to_owned());
        pages += 1;
    }
    assert_eq!(pages, 3);
    spec.check_answer(&get(&host, "Messages.json?To=%2B4915112345678").await);

    let created = create(&host, &[to, from, body]).await.json();
    let resource = format!("Messages/{}.json", created["sid"].as_str().unwrap());
    for (name, value) in [("Body", ""), ("Status", "canceled")] {
        let changed = call(&host, Method::POST, &resource, |request| {
            request.form(&[(name, value)])
        });
        spec.check_answer(&changed.await);
    }
    spec.check_answer(&get(&host, &resource).await);
    spec.check_answer(&call(&host, Method::DELETE, &resource, |request| request).await);
    spec.end(0, 60);
}
