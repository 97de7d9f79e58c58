//! Paying a payment link: the page, the signed way back, parts.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    razorpay_rig::{id_of, ids, signature},
    rig::{Rig, with},
};

const NOW: i64 = 1_768_478_400;

fn draft() -> Value {
    json!({ "amount": 50_000, "description": "Two chairs" })
}

fn with_callback() -> Value {
    with(
        draft(),
        json!({
            "reference_id": "ref 1", "callback_url": "https://shop.example/paid?a=1",
            "callback_method": "get",
        }),
    )
}

#[tokio::test]
async fn paying_captures_and_leads_back_with_a_signed_query() {
    let rig = Rig::start().await;
    let link = rig.post("/payment_links", with_callback()).await;
    let id = id_of(&link);
    let page = rig
        .send(rig.http.get(link["short_url"].as_str().unwrap()))
        .await;
    assert!(page.text.contains("500.00 INR") && page.text.contains("Two chairs"));
    let back = rig
        .press(&page.text, "approve", &[("method", "netbanking")])
        .await;
    assert_eq!(back.status, 303);
    let location = reqwest::Url::parse(back.header("location")).unwrap();
    assert!(
        location
            .as_str()
            .starts_with("https://shop.example/paid?a=1&")
    );
    let query: Vec<(String, String)> = location.query_pairs().into_owned().skip(1).collect();
    let names: Vec<&str> = query.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "razorpay_payment_id",
            "razorpay_payment_link_id",
            "razorpay_payment_link_reference_id",
            "razorpay_payment_link_status",
            "razorpay_signature"
        ]
    );
    assert_eq!(
        [&query[1].1, &query[2].1, &query[3].1],
        [id.as_str(), "ref 1", "paid"]
    );
    assert_eq!(
        query[4].1,
        signature(&format!("{id}|ref 1|paid|{}", query[0].1))
    );
    let link = rig.read(&format!("/payment_links/{id}")).await;
    assert_eq!(
        json!([link["status"], link["amount_paid"], link["updated_at"]]),
        json!(["paid", 50_000, NOW])
    );
    assert_eq!(
        link["payments"],
        json!([{
            "amount": 50_000, "created_at": NOW, "method": "netbanking", "payment_id": query[0].1,
            "plink_id": id, "status": "captured", "updated_at": NOW,
        }])
    );
    let order = rig
        .read(&format!("/orders/{}", link["order_id"].as_str().unwrap()))
        .await;
    assert_eq!(
        json!([order["status"], order["receipt"]]),
        json!(["paid", "ref 1"])
    );
    assert_eq!(rig.kinds().await, ["payment_link", "payment", "capture"]);
    assert_eq!(rig.count(&format!("kind=payment&object={id}")).await, 1);
    let page = rig
        .send(rig.http.get(link["short_url"].as_str().unwrap()))
        .await;
    assert!(page.text.contains("has been paid") && !page.text.contains("<form"));
    assert_eq!(
        rig.play(&id, json!({ "action": "approve" })).await.status,
        400
    );
}

#[tokio::test]
async fn an_empty_reference_keeps_its_place_in_the_signature() {
    let rig = Rig::start().await;
    let id = rig
        .link(with(with_callback(), json!({ "reference_id": null })))
        .await;
    let fields = rig.approve(&id).await["fields"].clone();
    let payment = fields["razorpay_payment_id"].as_str().unwrap();
    assert_eq!(fields["razorpay_payment_link_reference_id"], "");
    assert_eq!(
        fields["razorpay_signature"],
        signature(&format!("{id}||paid|{payment}"))
    );
}

#[tokio::test]
async fn a_declined_or_abandoned_link_stays_open_and_leads_nowhere() {
    let rig = Rig::start().await;
    let id = rig.link(with_callback()).await;
    for action in ["decline", "abandon"] {
        let back = rig.play(&id, json!({ "action": action })).await.body;
        assert_eq!(
            json!([
                back["url"],
                back["object"]["status"],
                back["object"]["payments"]
            ]),
            json!([null, "created", null])
        );
    }
    let link = rig.read(&format!("/payment_links/{id}")).await;
    let order = link["order_id"].as_str().unwrap();
    let attempts = rig.read(&format!("/orders/{order}/payments")).await;
    assert_eq!(attempts["items"][0]["status"], "failed");
    // A bank that answers late pays it after all.
    let payment = ids(&attempts).remove(0);
    assert_eq!(rig.approve(&payment).await["object"]["status"], "captured");
    let link = rig.read(&format!("/payment_links/{id}")).await;
    assert_eq!(link["status"], "paid");
    let visit = json!({ "action": "approve", "callback_url": "https://else.example" });
    let other = rig.link(draft()).await;
    assert_eq!(rig.play(&other, visit).await.status, 400);
}

#[tokio::test]
async fn a_link_can_be_paid_in_parts() {
    let rig = Rig::start().await;
    let body = with(
        with_callback(),
        json!({ "accept_partial": true, "first_min_partial_amount": 20_000 }),
    );
    let id = rig.link(body).await;
    let page = rig
        .send(rig.http.get(rig.url(&format!("/razorpay/i/{id}"))))
        .await;
    assert!(page.text.contains("value=\"50000\" checked") && page.text.contains("value=\"20000\""));
    let too_little = rig
        .play(&id, json!({ "action": "approve", "amount": 100 }))
        .await;
    assert_eq!(too_little.status, 400);
    let back = rig
        .press(&page.text, "approve", &[("amount", "20000")])
        .await;
    assert!(
        back.header("location")
            .contains("link_status=partially_paid")
    );
    let link = rig.read(&format!("/payment_links/{id}")).await;
    assert_eq!(
        json!([link["status"], link["amount_paid"]]),
        json!(["partially_paid", 20_000])
    );
    let why = "cannot cancel or expire an already paid/partially paid link";
    let cancel = format!("/payment_links/{id}/cancel");
    rig.refused(Method::POST, &cancel, Value::Null, why).await;
    let back = rig.approve(&id).await;
    assert_eq!(
        json!([back["object"]["status"], back["object"]["amount_paid"]]),
        json!(["paid", 50_000])
    );
    assert_eq!(back["object"]["payments"].as_array().unwrap().len(), 2);
    rig.refused(Method::POST, &cancel, Value::Null, why).await;
}
