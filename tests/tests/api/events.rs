//! Events: read as a list and as a feed, told once more, made to try things with.

use std::slice;

use chrono::{DateTime, TimeDelta, Utc};
use onerouter::store::{DEFAULT_TENANT, NewEvent};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{EventId, PaymentId, SmsId};
use onerouter_domain::time;
use onerouter_tests::harness::{Client, Harness, Reply};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::Ground;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

use crate::webhooks::{make, path_of, start};

scenarios!(
    events_are_listed_by_type_object_and_time,
    data_is_what_was_stored_to_the_byte,
    the_feed_goes_on_for_ever_and_misses_nothing,
    a_filter_that_little_passes_ends_a_page_early,
    an_event_is_sent_again_to_whom_it_concerns,
    what_happened_in_a_time_is_sent_again,
    samples_are_told_as_real_ones_are,
);

const EVENTS: &str = "/v1/events";

/// An id of that time.
fn id(at: DateTime<Utc>) -> Uuid {
    let random = Uuid::now_v7().as_u128() & 0xffff_ffff;
    Uuid::from_u128((u128::from(time::to_millis(at)) << 80) | (7 << 76) | (2 << 62) | random)
}

fn event(event_type: &str, object: Uuid, at: DateTime<Utc>) -> NewEvent {
    NewEvent {
        id: EventId::from_uuid(id(at)),
        environment: Environment::Test,
        event_type: event_type.to_owned(),
        object_id: object,
        object_version: 1,
        data: "{}".to_owned(),
        created_at: time::cut(at),
    }
}

async fn insert(host: &Harness, event: &NewEvent) -> String {
    let store = &host.gateway.parts().store;
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    tx.insert_event(event).await.unwrap();
    tx.commit().await.unwrap();
    event.id.to_string()
}

fn ids(page: &Reply) -> Vec<String> {
    assert_eq!(page.status, 200, "{page:?}");
    let data = page.json["data"].as_array().unwrap();
    let ids = data
        .iter()
        .map(|one| one["id"].as_str().unwrap().to_owned());
    ids.collect()
}

async fn listed(client: &Client, query: &str) -> Vec<String> {
    ids(&client.get(&format!("{EVENTS}?{query}")).await)
}

async fn events_are_listed_by_type_object_and_time(ground: Ground) {
    let host = start(&ground).await;
    let acme = host.key("test").await;
    let now = Utc::now();
    let ago = |minutes| now - TimeDelta::minutes(minutes);
    let (payment, sms) = (id(ago(9)), id(ago(8)));
    let paid = insert(&host, &event("payment.succeeded", payment, ago(7))).await;
    let linked = insert(&host, &event("payment_link.paid", id(ago(6)), ago(6))).await;
    let sent = insert(&host, &event("sms.sent", sms, ago(5))).await;
    let failed = insert(&host, &event("payment.failed", payment, ago(4))).await;
    let all = [&failed, &sent, &linked, &paid];
    assert_eq!(listed(&acme, "").await.iter().collect::<Vec<_>>(), all);
    let first = acme.get(&format!("{EVENTS}?limit=3")).await;
    assert_eq!(first.json["has_more"], true);
    let next = format!("limit=3&cursor={}", first.text("next_cursor"));
    assert_eq!(listed(&acme, &next).await, slice::from_ref(&paid));
    for (query, expected) in [
        ("type=payment.*".to_owned(), vec![&failed, &paid]),
        ("type=payment.succeeded".to_owned(), vec![&paid]),
        ("type=payment_link.*".to_owned(), vec![&linked]),
        ("type=email.*".to_owned(), vec![]),
        (
            format!("object_id={}", PaymentId::from_uuid(payment)),
            vec![&failed, &paid],
        ),
        (format!("object_id={}", SmsId::from_uuid(sms)), vec![&sent]),
        (
            format!("created_after={}", time::to_text(time::cut(ago(5)))),
            vec![&failed, &sent],
        ),
        (
            format!("created_before={}", time::to_text(time::cut(ago(5)))),
            vec![&linked, &paid],
        ),
        ("type=payment.*&order=asc".to_owned(), vec![&paid, &failed]),
    ] {
        let found = listed(&acme, &query).await;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query}");
    }
    for (query, pointer) in [
        ("type=payment", "?type"),
        ("type=payment.paid", "?type"),
        ("object_id=pay_x", "?object_id"),
        ("order=up", "?order"),
        ("status=sent", "?status"),
        ("cursor=sms_1", "?cursor"),
    ] {
        let refused = acme.get(&format!("{EVENTS}?{query}")).await;
        assert_eq!((refused.status, refused.pointers()), (422, vec![pointer]));
    }
    // Neither the other environment nor another tenant has them.
    let live = host.key("live").await;
    let bob = host.tenant("Bob").await;
    let bob = host.key_of(&bob, "test").await;
    for other in [live, bob] {
        assert!(listed(&other, "").await.is_empty());
        assert!(listed(&other, "order=asc").await.is_empty());
        assert_eq!(other.get(&format!("{EVENTS}/{paid}")).await.status, 404);
        let resend = format!("{EVENTS}/{paid}/resend");
        assert_eq!(other.post(&resend, json!({})).await.status, 404);
    }
    host.stop().await;
}

async fn data_is_what_was_stored_to_the_byte(ground: Ground) {
    let host = start(&ground).await;
    let acme = host.key("test").await;
    let mut event = event("payment.succeeded", id(Utc::now()), Utc::now());
    event.data = r#"{"amount":500.00,  "note":"\u00fc","b":1,"a":1e2}"#.to_owned();
    event.object_version = 3;
    let id = insert(&host, &event).await;
    let read = acme.get(&format!("{EVENTS}/{id}")).await;
    let text = String::from_utf8(read.bytes.clone()).unwrap();
    assert!(text.contains(&format!("\"data\":{}", event.data)), "{text}");
    assert_eq!(read.json["object"], "event");
    assert_eq!(read.json["sequence"], 3);
    assert_eq!(read.json["timestamp"], read.json["created_at"]);
    let object = PaymentId::from_uuid(event.object_id).to_string();
    assert_eq!(read.text("object_id"), object);
    host.stop().await;
}

async fn the_feed_goes_on_for_ever_and_misses_nothing(ground: Ground) {
    let host = start(&ground).await;
    let acme = host.key("test").await;
    let feed = async |cursor: &str| {
        acme.get(&format!("{EVENTS}?order=asc&limit=2&cursor={cursor}"))
            .await
    };
    let start = acme.get(&format!("{EVENTS}?order=asc")).await;
    assert_eq!(start.json["data"], json!([]));
    assert_eq!(start.json["has_more"], false);
    let start = start.text("next_cursor").to_owned();

    let now = Utc::now();
    let ago = |seconds| now - TimeDelta::seconds(seconds);
    let old = insert(&host, &event("sms.sent", id(now), ago(300))).await;
    let young = insert(&host, &event("sms.sent", id(now), ago(5))).await;
    let page = feed(&start).await;
    assert_eq!(ids(&page), slice::from_ref(&old));
    let cursor = page.text("next_cursor").to_owned();
    assert_eq!(cursor, old);
    // Nothing new yet: the same cursor again.
    let page = feed(&cursor).await;
    assert_eq!(
        (ids(&page), page.text("next_cursor")),
        (vec![], cursor.as_str())
    );

    // Older than what is there already, and committed after it.
    let late = insert(&host, &event("sms.sent", id(now), ago(25))).await;
    host.clock.advance(TimeDelta::seconds(31));
    let last = insert(&host, &event("sms.sent", id(now), ago(2))).await;
    let page = feed(&cursor).await;
    assert_eq!(ids(&page), [late, young.clone()]);
    assert_eq!(page.json["has_more"], true);
    let page = feed(page.text("next_cursor")).await;
    assert_eq!(ids(&page), slice::from_ref(&last));
    assert_eq!(page.json["has_more"], false);
    assert_eq!(page.text("next_cursor"), last);
    host.stop().await;
}

/// Longer than any wait: a server that is stopped, a lock that is not given.
#[tokio::test]
async fn an_open_transaction_holds_the_feed_back() {
    let Some(ground) = Ground::postgres().await else {
        return;
    };
    let host = start(&ground).await;
    let acme = host.key("test").await;
    let mut slow = PgConnection::connect(ground.url()).await.unwrap();
    let late = EventId::from_uuid(id(Utc::now()));
    let begin = format!(
        "begin; set local onerouter.tenant = '{tenant}';
         insert into events (tenant_id, id, environment, type, object_id, object_version, data,
             created_at)
         values ('{tenant}', '{id}', 'test', 'sms.sent', '{id}', 1, '{{}}', now())",
        tenant = DEFAULT_TENANT.uuid(),
        id = late.uuid(),
    );
    sqlx::raw_sql(AssertSqlSafe(begin))
        .execute(&mut slow)
        .await
        .unwrap();
    let other = insert(&host, &event("sms.sent", id(Utc::now()), Utc::now())).await;
    host.clock.advance(TimeDelta::minutes(5));
    assert!(listed(&acme, "order=asc").await.is_empty());
    // The list of the newest waits for nobody.
    assert_eq!(listed(&acme, "").await, slice::from_ref(&other));
    sqlx::raw_sql("commit").execute(&mut slow).await.unwrap();
    assert_eq!(listed(&acme, "order=asc").await, [late.to_string(), other]);
    host.stop().await;
}

async fn a_filter_that_little_passes_ends_a_page_early(ground: Ground) {
    let host = start(&ground).await;
    let acme = host.key("test").await;
    let now = Utc::now();
    let wanted = insert(
        &host,
        &event("payment.failed", id(now), now - TimeDelta::hours(2)),
    )
    .await;
    let store = &host.gateway.parts().store;
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    for number in 0..10_001 {
        let at = now - TimeDelta::hours(1) + TimeDelta::milliseconds(number);
        tx.insert_event(&event("sms.sent", id(now), at))
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    for (order, pages) in [
        ("desc", [vec![], vec![wanted.clone()]]),
        ("asc", [vec![wanted], vec![]]),
    ] {
        let path = format!("{EVENTS}?type=payment.*&order={order}");
        let first = acme.get(&path).await;
        assert_eq!(first.json["has_more"], true, "{order}");
        let next = format!("{path}&cursor={}", first.text("next_cursor"));
        let second = acme.get(&next).await;
        assert_eq!([ids(&first), ids(&second)], pages, "{order}");
        assert_eq!(second.json["has_more"], false, "{order}");
    }
    host.stop().await;
}

async fn deliveries(client: &Client, made: &Reply) -> Vec<Value> {
    let path = format!("{}/deliveries?limit=100", path_of(made));
    client.get(&path).await.json["data"]
        .as_array()
        .unwrap()
        .clone()
}

async fn an_event_is_sent_again_to_whom_it_concerns(ground: Ground) {
    let host = start(&ground).await;
    let acme = host.key("test").await;
    let event = event("payment.failed", id(Utc::now()), Utc::now());
    let event = insert(&host, &event).await;
    let all = make(&acme, json!({})).await;
    let payments = make(&acme, json!({"event_types": ["payment.*"]})).await;
    let texts = make(&acme, json!({"event_types": ["sms.*"]})).await;
    let off = make(&acme, json!({})).await;
    let disable = json!({"enabled": false}).to_string().into_bytes();
    acme.send(reqwest::Method::PATCH, &path_of(&off), Some(disable))
        .await;
    let resend = format!("{EVENTS}/{event}/resend");
    let sent = acme.post(&resend, json!({})).await;
    assert_eq!(sent.status, 200, "{sent:?}");
    assert_eq!(sent.json["data"].as_array().unwrap().len(), 2);
    for (endpoint, count) in [(&all, 1), (&payments, 1), (&texts, 0), (&off, 0)] {
        let made = deliveries(&acme, endpoint).await;
        assert_eq!(made.len(), count, "{endpoint:?}");
        assert!(made.iter().all(|one| one["event_id"] == *event));
    }
    // Whoever is named gets it, whatever they want to hear of.
    let only = json!({"endpoint_id": texts.text("id")});
    assert_eq!(acme.post(&resend, only).await.status, 200);
    assert_eq!(deliveries(&acme, &texts).await.len(), 1);
    let disabled = acme
        .post(&resend, json!({"endpoint_id": off.text("id")}))
        .await;
    assert_eq!((disabled.status, disabled.code()), (409, "invalid_state"));
    let nobody = json!({"endpoint_id": "we_01h455vb4pex5vsknk084sn02q"});
    assert_eq!(acme.post(&resend, nobody).await.status, 404);
    host.stop().await;
}

async fn what_happened_in_a_time_is_sent_again(ground: Ground) {
    let host = start(&ground).await;
    let acme = host.key("test").await;
    let now = Utc::now();
    let ago = |minutes| now - TimeDelta::minutes(minutes);
    let early = insert(&host, &event("payment.failed", id(now), ago(60))).await;
    let first = insert(&host, &event("payment.failed", id(now), ago(30))).await;
    insert(&host, &event("sms.sent", id(now), ago(29))).await;
    let second = insert(&host, &event("payment.succeeded", id(now), ago(20))).await;
    let made = make(&acme, json!({"event_types": ["payment.*"]})).await;
    let resend = format!("{}/resend", path_of(&made));
    let at = |minutes| time::to_text(time::cut(ago(minutes)));
    let told = async || {
        let deliveries = deliveries(&acme, &made).await;
        let told = deliveries
            .iter()
            .map(|one| one["event_id"].as_str().unwrap().to_owned());
        told.collect::<Vec<_>>()
    };
    let sent = acme.post(&resend, json!({"since": at(40)})).await;
    assert_eq!(
        (sent.status, &sent.json["count"]),
        (200, &json!(2)),
        "{sent:?}"
    );
    assert_eq!(sent.json["has_more"], false);
    assert_eq!(told().await, [second.clone(), first.clone()]);
    let between = json!({"since": at(70), "until": at(25)});
    assert_eq!(acme.post(&resend, between).await.json["count"], 2);

    // Only what was given up: not what was taken, not what is still being told.
    let failed = format!("{{\"since\": \"{}\", \"only_failed\": true}}", at(70));
    let failed: Value = serde_json::from_str(&failed).unwrap();
    assert_eq!(acme.post(&resend, failed.clone()).await.json["count"], 0);
    let end =
        "update webhook_deliveries set state = 'failed', ended_at = created_at, next_at = null";
    ground.change(end).await;
    assert_eq!(acme.post(&resend, failed.clone()).await.json["count"], 3);
    assert_eq!(told().await[..3], [second, first, early]);
    assert_eq!(acme.post(&resend, failed).await.json["count"], 0);

    let wrong = acme
        .post(&resend, json!({"since": at(10), "until": at(10)}))
        .await;
    assert_eq!(wrong.pointers(), ["/since"]);
    let wrong = acme
        .post(&resend, json!({"until": at(10), "all": true}))
        .await;
    assert_eq!(wrong.pointers(), ["/since", "/all"]);

    // More than one request looks at.
    let store = &host.gateway.parts().store;
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    for number in 0..1_500 {
        let at = ago(300) + TimeDelta::milliseconds(number);
        tx.insert_event(&event("payment.failed", id(now), at))
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let mut body = json!({"since": at(310), "until": at(290)});
    let begun = acme.post(&resend, body.clone()).await;
    assert_eq!(begun.json["count"], 1_000);
    assert_eq!(begun.json["has_more"], true);
    body["cursor"] = begun.json["next_cursor"].clone();
    let ended = acme.post(&resend, body).await;
    assert_eq!(ended.json["count"], 500);
    assert_eq!(ended.json["has_more"], false);
    host.stop().await;
}

async fn samples_are_told_as_real_ones_are(ground: Ground) {
    let host = start(&ground).await;
    let (test, live) = (host.key("test").await, host.key("live").await);
    let body = json!({"type": "sms.delivered"});
    let made = test.post(EVENTS, body.clone()).await;
    assert_eq!(made.status, 200, "{made:?}");
    assert_eq!(made.json["data"]["object"], "sms");
    assert_eq!(made.json["data"]["status"], "delivered");
    assert_eq!(made.json["object_id"], made.json["data"]["id"]);
    assert_eq!(listed(&test, "type=sms.*").await, [made.text("id")]);
    let keyed = test.with("Idempotency-Key", "sample");
    let first = keyed.post(EVENTS, body.clone()).await;
    assert_eq!(keyed.post(EVENTS, body.clone()).await.bytes, first.bytes);
    assert_eq!(listed(&test, "").await.len(), 2);
    let refused = live.post(EVENTS, body).await;
    assert_eq!((refused.status, refused.pointers()), (422, vec!["/type"]));
    for wrong in ["endpoint.test", "payment.*", "payment.paid"] {
        let refused = test.post(EVENTS, json!({"type": wrong})).await;
        assert_eq!((refused.status, refused.pointers()), (422, vec!["/type"]));
    }
    host.stop().await;
}
