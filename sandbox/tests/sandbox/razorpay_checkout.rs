//! The hosted checkout as a browser meets it, and its signatures.

use onerouter_sandbox::razorpay::KEY_ID;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    razorpay_rig::{hidden, ids, signature},
    rig::{Answer, Rig},
};

const CALLBACK: &str = "https://shop.example/return?cart=1";
const CANCEL: &str = "https://shop.example/cancelled";

fn options(order: &str) -> Vec<(&'static str, String)> {
    vec![
        ("key_id", KEY_ID.to_owned()),
        ("order_id", order.to_owned()),
        ("amount", "50000".to_owned()),
        ("currency", "INR".to_owned()),
        ("name", "Shop <b>&</b> Co".to_owned()),
        ("description", "Two chairs".to_owned()),
        ("prefill[name]", "Ada".to_owned()),
        ("prefill[email]", "ada@example.com".to_owned()),
        ("prefill[contact]", "+919000090000".to_owned()),
        ("callback_url", CALLBACK.to_owned()),
        ("cancel_url", CANCEL.to_owned()),
    ]
}

/// As a browser sends it: without the secret.
async fn open(rig: &Rig, form: &[(&'static str, String)]) -> Answer {
    let url = rig.url("/razorpay/v1/checkout/embedded");
    rig.send(rig.http.post(url).form(form)).await
}

async fn open_page(rig: &Rig, order: &str) -> String {
    let page = open(rig, &options(order)).await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, "text/html; charset=utf-8"),
        "{}",
        page.text
    );
    page.text
}

#[tokio::test]
async fn the_page_says_what_is_paid_and_escapes_it() {
    let rig = Rig::start().await;
    let page = open_page(&rig, &rig.order(50_000).await).await;
    assert!(page.contains("Shop &lt;b&gt;&amp;&lt;/b&gt; Co"), "{page}");
    assert!(page.contains("500.00 INR") && page.contains("Two chairs"));
    assert!(page.contains("value=\"card\" checked"));
    assert!(!page.contains("<script"));
}

#[tokio::test]
async fn approving_posts_a_signed_form_to_the_merchant() {
    let rig = Rig::start().await;
    let order = rig.order(50_000).await;
    let page = open_page(&rig, &order).await;
    let back = rig.press(&page, "approve", &[("method", "upi")]).await;
    assert_eq!(back.status, 200);
    assert!(
        back.text
            .contains("<form method=\"post\" action=\"https://shop.example/return?cart=1\">"),
        "{}",
        back.text
    );
    assert!(back.text.contains("<button>Back to the merchant</button>"));
    assert_eq!(hidden(&back.text, "razorpay_order_id"), order);
    let id = hidden(&back.text, "razorpay_payment_id");
    assert_eq!(
        hidden(&back.text, "razorpay_signature"),
        signature(&format!("{order}|{id}"))
    );
    let payment = rig.read(&format!("/payments/{id}")).await;
    assert_eq!(
        json!([
            payment["status"],
            payment["method"],
            payment["email"],
            payment["contact"],
            payment["description"]
        ]),
        json!([
            "authorized",
            "upi",
            "ada@example.com",
            "+919000090000",
            "Two chairs"
        ])
    );
    assert_eq!(rig.count("kind=payment&to=ada@example.com").await, 1);
}

#[tokio::test]
async fn declining_posts_the_error_and_abandoning_goes_to_the_cancel_url() {
    let rig = Rig::start().await;
    let order = rig.order(50_000).await;
    let page = open_page(&rig, &order).await;
    let left = rig.press(&page, "abandon", &[]).await;
    assert_eq!((left.status, left.header("location")), (303, CANCEL));
    assert_eq!(
        rig.read(&format!("/orders/{order}")).await["status"],
        "created"
    );
    let back = rig.press(&page, "decline", &[]).await;
    assert_eq!(hidden(&back.text, "error[code]"), "BAD_REQUEST_ERROR");
    assert_eq!(hidden(&back.text, "error[reason]"), "payment_failed");
    assert!(!hidden(&back.text, "error[description]").is_empty());
    let metadata: Value = serde_json::from_str(&hidden(&back.text, "error[metadata]")).unwrap();
    let attempts = rig.read(&format!("/orders/{order}/payments")).await;
    assert_eq!(
        metadata,
        json!({ "order_id": order, "payment_id": ids(&attempts)[0] })
    );
    assert_eq!(attempts["items"][0]["status"], "failed");
}

#[tokio::test]
async fn without_a_cancel_url_the_buyer_stays_on_a_page() {
    let rig = Rig::start().await;
    let mut form = options(&rig.order(50_000).await);
    form.retain(|(name, _)| *name != "cancel_url");
    let page = open(&rig, &form).await;
    let left = rig.press(&page.text, "abandon", &[]).await;
    assert!(left.status == 200 && left.text.contains("Nothing was paid"));
}

#[tokio::test]
async fn a_checkout_with_wrong_options_does_not_open() {
    let rig = Rig::start().await;
    let order = rig.order(50_000).await;
    for (name, value, status, why) in [
        (
            "key_id",
            "rzp_test_other",
            401,
            "The api key provided is invalid",
        ),
        ("key_id", "", 401, "The api key provided is invalid"),
        ("order_id", "", 400, "The order id field is required."),
        ("order_id", "x", 400, "x is not a valid id"),
        (
            "order_id",
            "order_00000000000000",
            400,
            "The id provided does not exist",
        ),
        ("name", "", 400, "The name field is required."),
        ("amount", "", 400, "The amount field is required."),
        ("amount", "500.00", 400, "The amount must be an integer."),
        (
            "amount",
            "40000",
            400,
            "Your payment amount is different from your order amount. To pay successfully, please try using right amount.",
        ),
        (
            "currency",
            "USD",
            400,
            "The currency must be the currency of the order",
        ),
        (
            "callback_url",
            "",
            400,
            "The callback url field is required.",
        ),
        (
            "callback_url",
            "javascript:alert(1)",
            400,
            "The callback url format is invalid.",
        ),
        (
            "cancel_url",
            "/back",
            400,
            "The cancel url format is invalid.",
        ),
    ] {
        let mut form = options(&order);
        for field in &mut form {
            if field.0 == name {
                value.clone_into(&mut field.1);
            }
        }
        let answer = open(&rig, &form).await;
        assert_eq!(
            (answer.status, answer.description()),
            (status, why),
            "{name}"
        );
    }
    rig.configure(json!({ "razorpay_auto_capture": true }))
        .await;
    rig.approve(&order).await;
    let paid = open(&rig, &options(&order)).await;
    assert!(paid.status == 400 && paid.description().contains("already paid"));
}

#[tokio::test]
async fn the_control_api_answers_what_the_browser_would_have_got() {
    let rig = Rig::start().await;
    let order = rig.order(50_000).await;
    // Nobody has opened the page: the merchant's addresses are unknown, unless the visit has them.
    let left = rig.play(&order, json!({ "action": "abandon" })).await;
    assert_eq!(
        json!([left.body["method"], left.body["url"], left.body["fields"]]),
        json!(["GET", null, {}])
    );
    let visit = json!({ "action": "abandon", "cancel_url": CANCEL });
    assert_eq!(rig.play(&order, visit).await.body["url"], CANCEL);
    open_page(&rig, &order).await;
    let back = rig.approve(&order).await;
    assert_eq!(
        json!([
            back["method"],
            back["url"],
            back["fields"]["razorpay_order_id"],
            back["object"]["id"]
        ]),
        json!(["POST", CALLBACK, order, order])
    );
    let names: Vec<&String> = back["fields"].as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        [
            "razorpay_order_id",
            "razorpay_payment_id",
            "razorpay_signature"
        ]
    );
    for (id, visit, status) in [
        ("order_00000000000000", json!({ "action": "approve" }), 404),
        (&order, json!({ "action": "pay" }), 400),
        (&order, json!({}), 400),
        (&order, json!({ "action": "approve", "card": "4111" }), 400),
        // What nobody knows is not refused for its details.
        (
            "nothing",
            json!({ "action": "approve", "card": "4111" }),
            404,
        ),
    ] {
        let answer = rig.play(id, visit).await;
        assert_eq!(
            (answer.status, answer.body["error"].is_string()),
            (status, true)
        );
    }
}

#[tokio::test]
async fn a_page_that_is_not_there_says_so() {
    let rig = Rig::start().await;
    for (method, path) in [
        (Method::GET, "/razorpay/i/nothing"),
        (Method::POST, "/razorpay/i/nothing"),
        // An order has no page of its own, only the one that the checkout opens.
        (Method::GET, "/razorpay/i/order_00000000000000"),
    ] {
        let answer = rig.send(rig.http.request(method, rig.url(path))).await;
        assert!(answer.status == 404 && answer.text.contains("no such page"));
    }
}
