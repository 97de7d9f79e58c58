//! What an answer means, and what is kept of it.

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_tests::harness::Setup;
use onerouter_tests::receiver::Answer;
use onerouter_tests::scenarios;
use onerouter_tests::write_path::Ground;
use reqwest::Method;
use serde_json::{Value, json};

use crate::rig::Rig;

scenarios!(
    only_2xx_is_success,
    a_delivery_is_tried_ten_times_by_the_schedule_and_then_given_up,
    a_success_after_failures_ends_them,
    retry_after_is_honoured,
    retry_after_holds_back_all_of_an_endpoints_on_every_node,
    a_pause_ends_after_an_hour_or_when_the_tenant_says_so,
    nothing_is_followed_wherever_it_leads,
    an_answer_of_any_size_and_kind_is_kept_as_a_short_text,
    nobody_who_answers_is_a_failure,
);

fn time(of: &Value) -> DateTime<Utc> {
    of.as_str().unwrap().parse().unwrap()
}

async fn only_2xx_is_success(ground: Ground) {
    let rig = Rig::new(&ground).await;
    let endpoint = rig.endpoint("/hooks", json!({})).await;
    let taken = [200, 201, 202, 204, 299];
    let refused = [301, 302, 307, 400, 401, 404, 409, 429, 500, 502, 503, 504];
    for status in taken.into_iter().chain(refused) {
        rig.receiver.answer_next("/hooks", Answer::status(status));
        rig.happens(u128::from(status), 1).await;
        assert_eq!(rig.host.deliver().await, 1, "{status}");
        let last = endpoint.deliveries().await.pop().unwrap();
        let state = if taken.contains(&status) {
            "succeeded"
        } else {
            "pending"
        };
        assert_eq!(last["status"], state, "{status}");
        assert_eq!(last["last_status"], status);
        assert_eq!(last["attempt_count"], 1);
    }
    assert_eq!(rig.receiver.count(), taken.len() + refused.len());
}

async fn a_delivery_is_tried_ten_times_by_the_schedule_and_then_given_up(ground: Ground) {
    let rig = Rig::new(&ground).await;
    let endpoint = rig.endpoint("/hooks", json!({})).await;
    rig.receiver
        .answer("/hooks", Answer::status(500).saying("not now"));
    rig.happens(1, 7).await;
    let minutes = |count: i64| TimeDelta::minutes(count);
    let hours = |count: i64| TimeDelta::hours(count);
    let pauses = [
        TimeDelta::seconds(5),
        minutes(5),
        minutes(30),
        hours(2),
        hours(5),
        hours(10),
        hours(14),
        hours(20),
        hours(24),
    ];
    for (number, pause) in pauses.into_iter().enumerate() {
        let now = rig.host.clock.now();
        assert_eq!(rig.host.deliver().await, 1, "try {}", number + 1);
        let delivery = endpoint.only().await;
        assert_eq!(delivery["status"], "pending");
        let next = time(&delivery["next_attempt_at"]).signed_duration_since(now);
        assert!(
            next >= pause && next <= pause * 6 / 5 + TimeDelta::seconds(10),
            "{next}"
        );
        rig.host.clock.advance(pause - TimeDelta::seconds(1));
        assert_eq!(rig.host.deliver().await, 0, "not sooner");
        rig.host.clock.advance(pause / 5 + TimeDelta::seconds(11));
    }
    assert_eq!(rig.host.deliver().await, 1);
    rig.host.clock.advance(TimeDelta::days(30));
    assert_eq!(rig.host.deliver().await, 0);
    let delivery = endpoint.only().await;
    assert_eq!(
        (&delivery["status"], &delivery["attempt_count"]),
        (&json!("failed"), &json!(10))
    );
    let attempts = delivery["attempts"].as_array().unwrap();
    for (place, attempt) in attempts.iter().enumerate() {
        assert_eq!(attempt["number"], place + 1);
        assert_eq!(
            (&attempt["status"], &attempt["response"]),
            (&json!(500), &json!("not now"))
        );
    }
    let received = rig.receiver.received("/hooks");
    assert_eq!(received.len(), 10);
    let first = &received[0];
    for pair in received.windows(2) {
        let at = |one: usize| {
            pair[one]
                .header("webhook-timestamp")
                .parse::<i64>()
                .unwrap()
        };
        assert!(at(0) < at(1), "each try has its own time");
        assert_ne!(
            pair[0].header("webhook-signature"),
            pair[1].header("webhook-signature")
        );
        assert_eq!((pair[1].id(), &pair[1].body), (first.id(), &first.body));
        assert_eq!(
            pair[1].header("onerouter-delivery"),
            first.header("onerouter-delivery")
        );
    }
}

async fn a_success_after_failures_ends_them(ground: Ground) {
    let rig = Rig::new(&ground).await;
    let endpoint = rig.endpoint("/hooks", json!({})).await;
    rig.receiver.answer_next("/hooks", Answer::status(500));
    rig.happens(1, 1).await;
    rig.host.deliver().await;
    assert!(endpoint.shown().await["failing_since"].is_string());
    rig.host.clock.advance(TimeDelta::seconds(7));
    assert_eq!(rig.host.deliver().await, 1);
    assert_eq!(endpoint.states().await, ["succeeded"]);
    assert_eq!(endpoint.shown().await["failing_since"], Value::Null);
}

async fn retry_after_is_honoured(ground: Ground) {
    let rig = Rig::new(&ground).await;
    let date = rig.host.clock.now() + TimeDelta::hours(3);
    let date = date.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    for (status, asked, seconds) in [
        (429, "3600".to_owned(), 3_600),
        (503, date, 3 * 3_600),
        // No more than a day.
        (429, "999999999".to_owned(), 86_400),
        // Only where it has a meaning.
        (500, "3600".to_owned(), 5),
        (429, "soon".to_owned(), 5),
    ] {
        let endpoint = rig.endpoint("/hooks", json!({})).await;
        let answer = Answer::status(status).with("retry-after", &asked);
        rig.receiver.answer_next("/hooks", answer);
        let now = rig.host.clock.now();
        rig.happens(1, 1).await;
        assert_eq!(rig.host.deliver().await, 1);
        let last = endpoint.deliveries().await.pop().unwrap();
        let pause = time(&last["next_attempt_at"]).signed_duration_since(now);
        let off = (pause - TimeDelta::seconds(seconds)).abs();
        assert!(off <= TimeDelta::seconds(10), "{status} {asked}: {pause}");
        let path = format!("/v1/webhook-endpoints/{}", endpoint.id);
        assert_eq!(rig.acme.delete(&path).await.status, 200);
    }
}

async fn retry_after_holds_back_all_of_an_endpoints_on_every_node(ground: Ground) {
    let rig = Rig::new(&ground).await;
    let data_dir = rig.host.folder.path().join("data");
    let other = ground
        .host_with(Setup {
            unconnected: true,
            data_dir: Some(data_dir),
            ..Setup::default()
        })
        .await;
    let endpoint = rig.endpoint("/hooks", json!({})).await;
    rig.endpoint("/free", json!({})).await;
    let nodes = [&rig.host, &other];
    let deliver = async |time: TimeDelta| {
        for node in nodes {
            node.clock.advance(time);
        }
        for node in nodes {
            node.deliver().await;
        }
        rig.receiver.received("/hooks").len()
    };
    let answer = Answer::status(429).with("retry-after", "600");
    rig.receiver.answer_next("/hooks", answer);
    let began = rig.host.clock.now();
    rig.happens(1, 1).await;
    assert_eq!(deliver(TimeDelta::zero()).await, 1);
    let paused = time(&endpoint.shown().await["paused_until"]).signed_duration_since(began);
    assert!((600..=610).contains(&paused.num_seconds()), "{paused}");
    rig.happens(2, 1).await;
    assert_eq!(deliver(TimeDelta::zero()).await, 1);
    assert_eq!(deliver(TimeDelta::seconds(590)).await, 1);
    // To wait is no try, and concerns nobody else.
    assert_eq!(endpoint.deliveries().await[1]["attempt_count"], 0);
    assert_eq!(rig.receiver.received("/free").len(), 2);
    assert_eq!(deliver(TimeDelta::seconds(20)).await, 3);
    assert_eq!(endpoint.states().await, ["succeeded"; 2]);
    assert_eq!(endpoint.shown().await["paused_until"], Value::Null);
}

async fn a_pause_ends_after_an_hour_or_when_the_tenant_says_so(ground: Ground) {
    let rig = Rig::new(&ground).await;
    let endpoint = rig.endpoint("/hooks", json!({})).await;
    let path = format!("/v1/webhook-endpoints/{}", endpoint.id);
    let answer = Answer::status(503).with("retry-after", "86400");
    let deliver = async || {
        rig.host.deliver().await;
        rig.receiver.count()
    };
    rig.receiver.answer_next("/hooks", answer.clone());
    rig.happens(1, 1).await;
    assert_eq!(deliver().await, 1);
    rig.happens(2, 1).await;
    assert_eq!(deliver().await, 1);
    rig.host.clock.advance(TimeDelta::minutes(61));
    assert_eq!(deliver().await, 2);
    // Whatever else is changed, it stays.
    rig.receiver.answer_next("/hooks", answer);
    rig.happens(3, 1).await;
    assert_eq!(deliver().await, 3);
    rig.happens(4, 1).await;
    for (change, heard) in [
        (json!({"description": "x"}), 3),
        (json!({"enabled": true}), 4),
    ] {
        let change = change.to_string().into_bytes();
        let changed = rig.acme.send(Method::PATCH, &path, Some(change)).await;
        assert_eq!(changed.status, 200, "{changed:?}");
        assert_eq!(deliver().await, heard);
    }
}

async fn nothing_is_followed_wherever_it_leads(ground: Ground) {
    let rig = Rig::new(&ground).await;
    let endpoint = rig.endpoint("/hooks", json!({})).await;
    let elsewhere = rig.receiver.url("/elsewhere");
    for (number, status) in [301, 302, 303, 307, 308].into_iter().enumerate() {
        let answer = Answer::status(status).with("location", &elsewhere);
        rig.receiver.answer_next("/hooks", answer);
        rig.happens(u128::try_from(number).unwrap(), 1).await;
        rig.host.deliver().await;
    }
    assert_eq!(rig.receiver.received("/elsewhere").len(), 0);
    assert_eq!(endpoint.states().await, vec!["pending"; 5]);
}

async fn an_answer_of_any_size_and_kind_is_kept_as_a_short_text(ground: Ground) {
    let rig = Rig::new(&ground).await;
    let endpoint = rig.endpoint("/hooks", json!({})).await;
    for (body, encoding, kept) in [
        (b"fine\r\n".to_vec(), None, "fine\n".to_owned()),
        (vec![b'x'; 5 << 20], None, "x".repeat(4 << 10)),
        (
            b"a\0b\x1b[1m\xff".to_vec(),
            None,
            "ab[1m\u{fffd}".to_owned(),
        ),
        // Nobody asked for it, and it is not unpacked.
        (
            b"\x1f\x8bpacked".to_vec(),
            Some("gzip"),
            "\u{fffd}packed".to_owned(),
        ),
    ] {
        let mut answer = Answer::status(200).saying(body);
        if let Some(encoding) = encoding {
            answer = answer.with("content-encoding", encoding);
        }
        rig.receiver.answer_next("/hooks", answer);
        rig.happens(1, 1).await;
        assert_eq!(rig.host.deliver().await, 1);
        let last = endpoint.deliveries().await.pop().unwrap();
        assert_eq!(last["status"], "succeeded");
        let id = last["id"].as_str().unwrap();
        let path = format!("/v1/webhook-endpoints/{}/deliveries/{id}", endpoint.id);
        let shown = rig.acme.get(&path).await.json;
        assert_eq!(shown["attempts"][0]["response"], kept);
    }
}

async fn nobody_who_answers_is_a_failure(ground: Ground) {
    let rig = Rig::new(&ground).await;
    let nobody = format!("http://127.0.0.1:{}/", onerouter_tests::node::free_port());
    let endpoint = crate::rig::endpoint(&rig.acme, &nobody, json!({})).await;
    rig.happens(1, 1).await;
    assert_eq!(rig.host.deliver().await, 1);
    let delivery = endpoint.only().await;
    assert_eq!(delivery["status"], "pending");
    let attempt = &delivery["attempts"][0];
    assert_eq!(attempt["status"], Value::Null);
    assert_eq!(attempt["error"], "no connection to the host");
}
