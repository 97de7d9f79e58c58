//! When nothing more is sent to an endpoint, and who hears of it.

use chrono::TimeDelta;
use onerouter_domain::time;
use onerouter_tests::receiver::Answer;
use onerouter_tests::scenarios;
use onerouter_tests::write_path::Ground;
use reqwest::Method;
use serde_json::{Value, json};

use crate::rig::Rig;

scenarios!(
    an_endpoint_that_is_gone_is_disabled_and_the_others_hear_of_it,
    an_endpoint_that_takes_nothing_for_days_is_disabled,
    an_endpoint_that_takes_something_now_and_then_is_not,
    nothing_is_sent_to_an_endpoint_that_was_disabled_or_deleted_meanwhile,
    what_an_endpoint_has_missed_is_sent_again_and_nothing_else,
);

async fn an_endpoint_that_is_gone_is_disabled_and_the_others_hear_of_it(ground: Ground) {
    let rig = Rig::new(&ground).await;
    let gone = rig.endpoint("/gone", json!({})).await;
    rig.endpoint("/other", json!({"event_types": ["endpoint.*"]}))
        .await;
    rig.receiver.answer("/gone", Answer::status(500));
    for version in 1..=3 {
        rig.happens(1, version).await;
    }
    rig.host.deliver().await;
    rig.receiver.answer("/gone", Answer::status(410));
    rig.host.clock.advance(TimeDelta::seconds(7));
    rig.host.deliver().await;
    assert_eq!(gone.states().await, vec!["canceled"; 3]);
    let shown = gone.shown().await;
    assert_eq!(
        (&shown["enabled"], &shown["disabled_reason"]),
        (&json!(false), &json!("gone"))
    );
    rig.happens(1, 4).await;
    rig.host.deliver().await;
    let asked = rig.receiver.received("/gone").len();
    assert!((4..=6).contains(&asked), "{asked}");
    let told = rig.receiver.received("/other");
    let [notice] = told.as_slice() else {
        panic!("not one notice: {told:?}");
    };
    let notice = notice.json();
    assert_eq!(notice["type"], "endpoint.disabled");
    assert_eq!(notice["data"]["id"], gone.id.as_str());
    assert_eq!(notice["data"]["disabled_reason"], "gone");
    assert!(!notice.to_string().contains("whsec_"));
    // The feed has it too.
    let feed = rig.acme.get("/v1/events?type=endpoint.disabled").await;
    assert_eq!(
        feed.json["data"][0]["data"]["id"],
        gone.id.as_str(),
        "{feed:?}"
    );
    rig.host.clock.advance(TimeDelta::days(10));
    assert_eq!(rig.host.deliver().await, 0);
}

async fn an_endpoint_that_takes_nothing_for_days_is_disabled(ground: Ground) {
    let rig = Rig::new(&ground).await;
    let failing = rig.endpoint("/failing", json!({})).await;
    rig.endpoint("/other", json!({"event_types": ["endpoint.disabled"]}))
        .await;
    rig.receiver.answer("/failing", Answer::status(500));
    let mut hours = 0;
    while failing.shown().await["enabled"] == true {
        // Something happens each day.
        if hours % 24 == 0 {
            rig.happens(1, hours + 1).await;
        }
        rig.host.deliver().await;
        rig.host.clock.advance(TimeDelta::hours(1));
        hours += 1;
        assert!(hours < 200, "never disabled");
    }
    assert!((120..=145).contains(&hours), "after {hours} hours");
    assert_eq!(failing.shown().await["disabled_reason"], "failing");
    let states = failing.states().await;
    assert!(!states.contains(&"pending".to_owned()), "{states:?}");
    assert!(states.contains(&"failed".to_owned()) && states.contains(&"canceled".to_owned()));
    rig.host.deliver().await;
    assert_eq!(rig.receiver.received("/other").len(), 1);
}

async fn an_endpoint_that_takes_something_now_and_then_is_not(ground: Ground) {
    let rig = Rig::new(&ground).await;
    let endpoint = rig.endpoint("/hooks", json!({})).await;
    rig.receiver.answer("/hooks", Answer::status(500));
    for day in 0..12 {
        rig.happens(1, day + 1).await;
        rig.host.deliver().await;
        if day % 4 == 3 {
            rig.receiver.answer_next("/hooks", Answer::status(200));
            rig.happens(2, day + 1).await;
            rig.host.deliver().await;
        }
        rig.host.clock.advance(TimeDelta::days(1));
    }
    let shown = endpoint.shown().await;
    assert_eq!(
        (&shown["enabled"], &shown["disabled_reason"]),
        (&json!(true), &Value::Null)
    );
}

async fn nothing_is_sent_to_an_endpoint_that_was_disabled_or_deleted_meanwhile(ground: Ground) {
    let rig = Rig::new(&ground).await;
    let disabled = rig.endpoint("/disabled", json!({})).await;
    let deleted = rig.endpoint("/deleted", json!({})).await;
    rig.happens(1, 1).await;
    let path = |id: &str| format!("/v1/webhook-endpoints/{id}");
    let body = json!({"enabled": false}).to_string().into_bytes();
    let changed = rig
        .acme
        .send(reqwest::Method::PATCH, &path(&disabled.id), Some(body))
        .await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(rig.acme.delete(&path(&deleted.id)).await.status, 200);
    rig.host.deliver().await;
    assert_eq!(rig.receiver.count(), 0);
    assert_eq!(disabled.states().await, ["canceled"]);
    assert_eq!(ground.count("delivery_queue").await, 0);
    let pending = "(select tenant_id from webhook_deliveries where state = 'pending') as pending";
    assert_eq!(ground.count(pending).await, 0);
}

async fn what_an_endpoint_has_missed_is_sent_again_and_nothing_else(ground: Ground) {
    let rig = Rig::new(&ground).await;
    rig.happens(1, 1).await;
    rig.host.clock.advance(TimeDelta::seconds(1));
    let types = json!({"event_types": ["sms.*", "endpoint.test"]});
    let endpoint = rig.endpoint("/hooks", types).await;
    let path = format!("/v1/webhook-endpoints/{}", endpoint.id);
    let heard = || -> Vec<_> {
        let received = rig.receiver.received("/hooks");
        received.iter().map(|one| one.sequence()).collect()
    };
    rig.happens(1, 2).await;
    rig.host.deliver().await;
    rig.receiver.answer_next("/hooks", Answer::status(410));
    rig.happens(1, 3).await;
    rig.host.deliver().await;
    // Disabled now: there is not even a delivery.
    rig.happens(1, 4).await;
    rig.happens_of("payment.succeeded", 2, 1).await;
    let other = rig.endpoint("/other", json!({})).await;
    let test = format!("/v1/webhook-endpoints/{}/test", other.id);
    assert_eq!(rig.acme.post(&test, json!({})).await.status, 200);
    let enable = json!({"enabled": true}).to_string().into_bytes();
    let enabled = rig.acme.send(Method::PATCH, &path, Some(enable)).await;
    assert_eq!(enabled.status, 200, "{enabled:?}");
    rig.happens(1, 5).await;
    rig.host.deliver().await;
    assert_eq!(heard(), [2, 3, 5]);

    let hour = rig.host.clock.now() - TimeDelta::hours(1);
    let missed = json!({"since": time::to_text(time::cut(hour)), "only_failed": true});
    let resend = format!("{path}/resend");
    let sent = rig.acme.post(&resend, missed.clone()).await;
    assert_eq!(
        (sent.status, &sent.json["count"]),
        (200, &json!(2)),
        "{sent:?}"
    );
    // Not once more what is being told.
    let again = rig.acme.post(&resend, missed.clone()).await;
    assert_eq!(again.json["count"], 0);
    rig.host.deliver().await;
    let mut all = heard();
    all[3..].sort_unstable();
    assert_eq!(all, [2, 3, 5, 3, 4]);
    let again = rig.acme.post(&resend, missed).await;
    assert_eq!(again.json["count"], 0);
}
