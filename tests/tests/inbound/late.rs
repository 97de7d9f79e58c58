//! What providers tell of what has ended: the feed has it, in its place and once.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use onerouter_tests::harness::Client;
use onerouter_tests::scenarios;
use onerouter_tests::write_path::Ground;
use serde_json::{Value, json};

use crate::host;
use crate::messages::{email, email_event, stored};
use crate::post::{self, RESEND_SECRET};

/// Longer than anything holds the feed back.
const PATIENCE: Duration = Duration::from_secs(20);

scenarios!(what_comes_after_the_end_stands_in_the_feed_once);

/// What the feed has behind a cursor, and the next one.
async fn feed(acme: &Client, cursor: &str) -> (Vec<Value>, String) {
    let page = acme.get(&format!("/v1/events?order=asc{cursor}")).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(page.json["has_more"], false);
    let events = page.json["data"].as_array().unwrap().clone();
    (events, format!("&cursor={}", page.text("next_cursor")))
}

/// The same, once it ends with this: what has just been read from may hold the feed back for a moment.
async fn feed_up_to(acme: &Client, cursor: &str, last: &str) -> (Vec<Value>, String) {
    let until = Instant::now() + PATIENCE;
    loop {
        let (events, next) = feed(acme, cursor).await;
        if types(&events).last() == Some(&last) {
            return (events, next);
        }
        assert!(Instant::now() < until, "never {last}: {events:?}");
        tokio::task::yield_now().await;
    }
}

fn types(events: &[Value]) -> Vec<&str> {
    let types = events.iter().map(|event| event["type"].as_str().unwrap());
    types.collect()
}

fn sequence(event: &Value) -> i64 {
    event["sequence"].as_i64().unwrap()
}

async fn what_comes_after_the_end_stands_in_the_feed_once(ground: Ground) {
    let (host, acme) = host(&ground).await;
    post::connect_resend(&host, &[("webhook_secret", RESEND_SECRET)]).await;
    let email = email(&acme).await;
    let id = email["provider_message_id"].as_str().unwrap();
    let path = format!("/v1/email/{}", email["id"].as_str().unwrap());
    let told = async |name: &str, kind: &str| {
        let event = email_event(kind, id, json!({}));
        post::resend(&host, name, &event).await
    };
    told("msg_1", "email.delivered").await.taken(&host).await;
    // The feed ends a while ago.
    host.clock.advance(TimeDelta::seconds(31));
    let (before, cursor) = feed_up_to(&acme, "", "email.delivered").await;
    assert_eq!(stored(&acme, &path).await["status"], "delivered");

    // By its provider's clock all of it was long ago, and some before the end.
    let sent = told("msg_0", "email.sent").await;
    let opened = told("msg_2", "email.opened").await;
    for late in [&sent, &opened, &sent, &opened] {
        late.taken(&host).await;
    }
    let (after, next) = feed_up_to(&acme, &cursor, "email.opened").await;
    assert_eq!(types(&after), ["email.opened"]);
    assert_eq!(after[0]["object_id"], email["id"]);
    assert_eq!(feed(&acme, &next).await, (vec![], next.clone()));
    assert_eq!(stored(&acme, &path).await["status"], "delivered");

    // From the beginning it is the same, and versions of the object are in order.
    let (all, _) = feed_up_to(&acme, "", "email.opened").await;
    assert_eq!(all, [before, after].concat());
    let ids: Vec<_> = all.iter().map(|event| event["id"].as_str()).collect();
    assert!(ids.is_sorted_by(|one, other| one < other), "{ids:?}");
    let of_email = all
        .iter()
        .filter(|event| event["object_id"] == email["id"])
        .map(sequence);
    let sequences: Vec<_> = of_email.collect();
    assert!(
        sequences.is_sorted_by(|one, other| one < other),
        "{sequences:?}"
    );
}
