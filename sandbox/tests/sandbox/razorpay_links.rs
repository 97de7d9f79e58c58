//! Payment links: their odd shape, their refusals, their states.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    razorpay_rig::id_of,
    rig::{Rig, with},
};

const NOW: i64 = 1_768_478_400;
const DAY: i64 = 86_400;

fn draft() -> Value {
    json!({ "amount": 50_000, "description": "Two chairs" })
}

async fn update(rig: &Rig, id: &str, body: Value) -> crate::rig::Answer {
    rig.ask(Method::PATCH, &format!("/payment_links/{id}"), body)
        .await
}

#[tokio::test]
async fn a_link_has_no_entity_and_zero_for_times_that_are_not_set() {
    let rig = Rig::start().await;
    let link = rig.post("/payment_links/", draft()).await;
    let id = id_of(&link);
    assert!(id.starts_with("plink_") && id.len() == 20, "{id}");
    assert_eq!(
        link,
        json!({
            "accept_partial": false, "amount": 50_000, "amount_paid": 0, "callback_method": "",
            "callback_url": "", "cancelled_at": 0, "created_at": NOW, "currency": "INR",
            "customer": {}, "description": "Two chairs", "expire_by": 0, "expired_at": 0,
            "first_min_partial_amount": 0, "id": id, "notes": null,
            "notify": { "email": false, "sms": false }, "payments": null, "reference_id": "",
            "reminder_enable": false, "reminders": [],
            "short_url": rig.url(&format!("/razorpay/i/{id}")), "status": "created",
            "updated_at": NOW, "upi_link": false, "user_id": "",
        })
    );
    assert_eq!(rig.read(&format!("/payment_links/{id}")).await, link);
}

#[tokio::test]
async fn every_field_comes_back() {
    let rig = Rig::start().await;
    let customer = json!({ "name": "Ada", "email": "ada@example.com", "contact": "+919000090000" });
    let body = json!({
        "amount": 50_000, "currency": "USD", "accept_partial": true,
        "first_min_partial_amount": 10_000, "reference_id": "ref-1", "customer": customer,
        "expire_by": NOW + DAY, "notify": { "sms": 1, "email": true }, "reminder_enable": true,
        "notes": { "a": "b" }, "callback_url": "https://shop.example/paid",
        "callback_method": "get", "options": { "checkout": { "name": "Shop" } },
    });
    let link = rig.post("/payment_links", body.clone()).await;
    for (name, value) in body.as_object().unwrap() {
        if !["options", "notify"].contains(&name.as_str()) {
            assert_eq!(&link[name], value, "{name}");
        }
    }
    assert_eq!(link["notify"], json!({ "sms": true, "email": true }));
    assert_eq!(link["reminders"], json!({ "status": "pending" }));
    assert_eq!(rig.count("kind=payment_link&to=ada@example.com").await, 1);
}

#[tokio::test]
async fn a_wrong_link_is_refused() {
    let rig = Rig::start().await;
    for (change, why) in [
        (json!({ "amount": null }), "The amount is required"),
        (
            json!({ "amount": 99 }),
            "The amount must be at least INR 1.00",
        ),
        (
            json!({ "currency": "XXX" }),
            "The currency provided is not supported",
        ),
        (json!({ "x": 1 }), "wrong input fields sent."),
        (
            json!({ "customer": { "phone": "1" } }),
            "wrong input fields sent.",
        ),
        (
            json!({ "notify": { "fax": true } }),
            "wrong input fields sent.",
        ),
        (
            json!({ "description": "x".repeat(2049) }),
            "The description may not be greater than 2048 characters.",
        ),
        (
            json!({ "reference_id": "x".repeat(41) }),
            "The reference id may not be greater than 40 characters.",
        ),
        (
            json!({ "notes": { "k": "x".repeat(256) } }),
            "value: the length must not be greater than 255.",
        ),
        (
            json!({ "expire_by": NOW + 899 }),
            "timestamp must be atleast 15 minutes in future",
        ),
        (
            json!({ "expire_by": NOW + 182 * DAY }),
            "expire_by cannot exceed six months from the date of creation",
        ),
        (
            json!({ "callback_url": "https://shop.example" }),
            "The callback method is required",
        ),
        (
            json!({ "callback_url": "https://shop.example", "callback_method": "post" }),
            "callback_method: must be a valid value.",
        ),
        (
            json!({ "callback_url": "shop", "callback_method": "get" }),
            "callback_url: must be a valid URL.",
        ),
        (
            json!({ "first_min_partial_amount": 100 }),
            "The first min partial amount may be sent for partial payments only.",
        ),
        (
            json!({ "upi_link": true }),
            "UPI Payment Links is not supported in Test Mode. Please experience the product in Live Mode.",
        ),
    ] {
        let body = with(draft(), change);
        let answer = rig.ask(Method::POST, "/payment_links", body).await;
        assert_eq!((answer.status, answer.description()), (400, why));
        // Links have a shape of their own: null words and a list.
        let error = &answer.body["error"];
        assert_eq!(
            json!([
                error["source"],
                error["step"],
                error["reason"],
                error["metadata"]
            ]),
            json!([null, null, null, []])
        );
    }
    assert_eq!(rig.effects().await, 0);
    rig.link(with(draft(), json!({ "expire_by": NOW + 900 })))
        .await;
}

#[tokio::test]
async fn a_reference_is_taken_once_and_for_all() {
    let rig = Rig::start().await;
    let body = with(draft(), json!({ "reference_id": "ref-1" }));
    let id = rig.link(body.clone()).await;
    let why = "payment link creation with reference ID already attempted";
    rig.refused(Method::POST, "/payment_links", body.clone(), why)
        .await;
    rig.post(&format!("/payment_links/{id}/cancel"), Value::Null)
        .await;
    rig.refused(Method::POST, "/payment_links", body, why).await;
    assert_eq!(rig.count("kind=payment_link").await, 1);
    // Nothing is no reference.
    for _ in 0..2 {
        rig.link(with(draft(), json!({ "reference_id": "" }))).await;
    }
}

#[tokio::test]
async fn links_are_listed_in_a_shape_of_their_own() {
    let rig = Rig::start().await;
    let one = rig
        .link(with(draft(), json!({ "reference_id": "one" })))
        .await;
    let two = rig
        .link(with(draft(), json!({ "reference_id": "two" })))
        .await;
    let back = rig.approve(&two).await;
    let payment = back["object"]["payments"][0]["payment_id"]
        .as_str()
        .unwrap();
    for (query, found) in [
        ("reference_id=one", vec![&one]),
        ("reference_id=three", vec![]),
        (&format!("payment_id={payment}"), vec![&two]),
        ("count=1", vec![&two]),
        ("", vec![&two, &one]),
    ] {
        let list = rig.read(&format!("/payment_links?{query}")).await;
        assert_eq!(list.as_object().unwrap().len(), 1);
        let links = list["payment_links"].as_array().unwrap();
        let ids: Vec<&Value> = links.iter().map(|link| &link["id"]).collect();
        assert_eq!(ids, found, "{query}");
    }
}

#[tokio::test]
async fn a_link_is_cancelled_once_and_only_before_payment() {
    let rig = Rig::start().await;
    let id = rig.link(draft()).await;
    rig.advance(60).await;
    let cancel = format!("/payment_links/{id}/cancel");
    let link = rig.post(&cancel, Value::Null).await;
    assert_eq!(
        json!([link["status"], link["cancelled_at"]]),
        json!(["cancelled", NOW + 60])
    );
    let why = "cannot cancel or expire an expired link";
    rig.refused(Method::POST, &cancel, Value::Null, why).await;
    assert_eq!(
        rig.count(&format!("kind=payment_link_cancel&id={id}"))
            .await,
        1
    );
    let page = rig
        .send(rig.http.get(rig.url(&format!("/razorpay/i/{id}"))))
        .await;
    assert!(page.text.contains("has been cancelled"));
    assert_eq!(
        rig.play(&id, json!({ "action": "approve" })).await.status,
        400
    );
    rig.advance(300 * DAY).await;
    assert_eq!(
        rig.read(&format!("/payment_links/{id}")).await["status"],
        "cancelled"
    );
}

#[tokio::test]
async fn a_link_expires_at_its_time_or_after_six_months() {
    let rig = Rig::start().await;
    let soon = rig
        .link(with(draft(), json!({ "expire_by": NOW + DAY })))
        .await;
    let late = rig.link(draft()).await;
    let state = async |id: &str| {
        let link = rig.read(&format!("/payment_links/{id}")).await;
        json!([link["status"], link["expired_at"]])
    };
    rig.advance(DAY - 1).await;
    assert_eq!(state(&soon).await, json!(["created", 0]));
    rig.advance(1).await;
    assert_eq!(state(&soon).await, json!(["expired", NOW + DAY]));
    let cancel = format!("/payment_links/{soon}/cancel");
    let why = "cannot cancel or expire an expired link";
    rig.refused(Method::POST, &cancel, Value::Null, why).await;
    // From January to July: 181 days.
    rig.advance(180 * DAY - 1).await;
    assert_eq!(state(&late).await, json!(["created", 0]));
    rig.advance(1).await;
    assert_eq!(state(&late).await, json!(["expired", NOW + 181 * DAY]));
}

#[tokio::test]
async fn an_open_link_can_be_changed() {
    let rig = Rig::start().await;
    let id = rig
        .link(with(draft(), json!({ "expire_by": NOW + DAY })))
        .await;
    rig.link(with(draft(), json!({ "reference_id": "taken" })))
        .await;
    let body = json!({
        "reference_id": "new", "expire_by": NOW + 2 * DAY, "accept_partial": true,
        "reminder_enable": 1, "notes": { "a": "b" },
    });
    let changed = update(&rig, &id, body).await;
    assert_eq!(
        json!([
            changed.body["reference_id"],
            changed.body["expire_by"],
            changed.body["accept_partial"],
            changed.body["reminder_enable"],
            changed.body["notes"]
        ]),
        json!(["new", NOW + 2 * DAY, true, true, { "a": "b" }])
    );
    for (body, why) in [
        (json!({ "amount": 100 }), "wrong input fields sent."),
        (
            json!({ "reference_id": "taken" }),
            "payment link creation with reference ID already attempted",
        ),
        (
            json!({ "expire_by": NOW }),
            "timestamp must be atleast 15 minutes in future",
        ),
    ] {
        let answer = update(&rig, &id, body).await;
        assert_eq!((answer.status, answer.description()), (400, why));
    }
    rig.advance(DAY).await;
    let path = format!("/payment_links/{id}");
    assert_eq!(rig.read(&path).await["status"], "created");
    rig.advance(DAY).await;
    assert_eq!(rig.read(&path).await["status"], "expired");
    let closed = update(&rig, &id, json!({ "reference_id": "x" })).await;
    let why = "update can only be made in created or partially paid state";
    assert_eq!((closed.status, closed.description()), (400, why));
}

#[tokio::test]
async fn a_link_can_be_sent_again() {
    let rig = Rig::start().await;
    let id = rig.link(draft()).await;
    for medium in ["sms", "email"] {
        let path = format!("/payment_links/{id}/notify_by/{medium}");
        assert_eq!(
            rig.post(&path, Value::Null).await,
            json!({ "success": true })
        );
    }
    let path = format!("/payment_links/{id}/notify_by/fax");
    let why = "not a valid notification medium";
    rig.refused(Method::POST, &path, Value::Null, why).await;
}
