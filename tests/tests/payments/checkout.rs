//! The buyer's pages: no key, an address that nobody guesses, and the way back to the caller.

use onerouter_tests::harness::{Reply, Setup, reply};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::Ground;
use reqwest::redirect::Policy;
use serde_json::{Value, json};

use crate::rig::{Shop, path_of, provider_id, with_each_provider};

with_each_provider!(
    a_buyer_comes_back_to_the_callers_page_and_has_paid,
    a_buyer_who_gives_up_comes_back_too,
    a_buyer_without_a_page_of_the_callers_gets_a_word,
    a_link_leads_back_to_the_callers_page,
    addresses_that_nobody_gave_out_lead_nowhere,
    what_a_widget_hands_to_the_browser_is_checked,
    a_forged_return_changes_nothing,
    returns_without_end_do_not_reach_the_provider_as_often,
    a_buyers_browser_gets_a_page_and_no_json,
);

scenarios!(buyers_are_sent_to_the_public_address);

/// Behind a proxy, the gateway's own address leads nowhere.
async fn buyers_are_sent_to_the_public_address(ground: Ground) {
    let setup = Setup {
        public_url: Some("https://pay.example.com/gateway/".to_owned()),
        ..Setup::default()
    };
    let host = ground.host_with(setup).await;
    let caller = host.key("test").await;
    let body = json!({"amount": 50, "currency": "INR", "provider": "razorpay"});
    let created = caller.post("/v1/payments", body).await;
    let start = "https://pay.example.com/gateway/checkout/";
    assert!(
        created.text("checkout_url").starts_with(start),
        "{created:?}"
    );
    let fields = &created.json["checkout"]["fields"];
    for name in ["callback_url", "cancel_url"] {
        assert!(
            fields[name].as_str().unwrap().starts_with(start),
            "{created:?}"
        );
    }
    let body = json!({"amount": 50, "currency": "USD", "provider": "paypal"});
    caller.post("/v1/payments", body).await;
    let sent = host
        .provider_requests("provider=paypal&path_contains=orders")
        .await;
    let order: Value = serde_json::from_str(sent[0]["body"].as_str().unwrap()).unwrap();
    assert!(
        order
            .to_string()
            .contains(&format!("\"return_url\":\"{start}")),
        "{order}"
    );
}

/// The buyer's browser, which shows where it is sent.
fn browser() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .build()
        .unwrap()
}

/// Follows what the provider tells the browser to do.
async fn follow(sent_back: &Value) -> Reply {
    let url = sent_back["url"].as_str().unwrap();
    let browser = browser();
    let request = match sent_back["method"].as_str().unwrap() {
        "POST" => browser.post(url).form(&sent_back["fields"]),
        _ => browser.get(url),
    };
    reply(request.send().await.unwrap()).await
}

/// Goes where the caller sends the buyer: to the provider's page, or over the gateway's own.
async fn open(shop: &Shop, payment: &Reply) {
    let url = payment.text("checkout_url");
    if !url.starts_with(&shop.host.gateway.url()) {
        return;
    }
    let page = reply(browser().get(url).send().await.unwrap()).await;
    assert_eq!(page.status, 200, "{page:?}");
    let page = String::from_utf8(page.bytes).unwrap();
    let after = |text: &str, start: &str| -> Vec<String> {
        let parts = text.split(start).skip(1);
        parts
            .map(|part| part[..part.find('"').unwrap()].replace("&amp;", "&"))
            .collect()
    };
    let names = after(&page, "type=\"hidden\" name=\"");
    let fields: Vec<_> = names.into_iter().zip(after(&page, "\" value=\"")).collect();
    let action = after(&page, "action=\"").remove(0);
    let opened = browser().post(action).form(&fields).send().await.unwrap();
    let opened = reply(opened).await;
    assert_eq!(
        opened.status,
        200,
        "{}",
        String::from_utf8_lossy(&opened.bytes)
    );
}

fn with_pages(shop: &Shop) -> Value {
    let mut body = shop.payment();
    body["return_url"] = json!("https://shop.example/thanks?cart=7");
    body["cancel_url"] = json!("https://shop.example/cart");
    body
}

async fn a_buyer_comes_back_to_the_callers_page_and_has_paid(shop: Shop) {
    let created = shop.create("/v1/payments", with_pages(&shop)).await;
    open(&shop, &created).await;
    let sent_back = shop.approve(created.text("provider_order_id")).await;
    shop.host.clock.advance(chrono::TimeDelta::seconds(3));
    let onward = follow(&sent_back).await;
    assert_eq!(onward.status, 303, "{onward:?}");
    let expected = format!(
        "https://shop.example/thanks?cart=7&payment_id={}",
        created.text("id")
    );
    assert_eq!(onward.header("location"), Some(expected.as_str()));
    // The return itself has made the capture.
    let paid = shop.stored(&path_of(&created)).await;
    assert_eq!(paid.text("status"), "succeeded", "{paid:?}");
    assert_eq!(shop.effects(shop.provider.capture).await.len(), 1);
    // A second time it only leads on.
    assert_eq!(follow(&sent_back).await.status, 303);
    assert_eq!(shop.effects(shop.provider.capture).await.len(), 1);
}

async fn a_buyer_who_gives_up_comes_back_too(shop: Shop) {
    let created = shop.create("/v1/payments", with_pages(&shop)).await;
    open(&shop, &created).await;
    let sent_back = shop
        .buyer(
            created.text("provider_order_id"),
            json!({"action": "abandon"}),
        )
        .await;
    let onward = follow(&sent_back).await;
    assert_eq!(onward.status, 303, "{onward:?}");
    assert!(
        onward
            .header("location")
            .unwrap()
            .starts_with("https://shop.example/")
    );
    assert_eq!(
        shop.stored(&path_of(&created)).await.text("status"),
        "requires_action"
    );
}

async fn a_buyer_without_a_page_of_the_callers_gets_a_word(shop: Shop) {
    let created = shop.create("/v1/payments", shop.payment()).await;
    open(&shop, &created).await;
    let sent_back = shop.approve(created.text("provider_order_id")).await;
    shop.host.clock.advance(chrono::TimeDelta::seconds(3));
    let page = follow(&sent_back).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert!(
        String::from_utf8(page.bytes.clone())
            .unwrap()
            .contains("Thank you"),
        "{page:?}"
    );
}

async fn a_link_leads_back_to_the_callers_page(shop: Shop) {
    let body = json!({"amount": 10, "currency": shop.provider.currency, "description": "Chairs",
        "provider": shop.provider.name, "callback_url": "https://shop.example/paid"});
    let made = shop.create("/v1/payment-links", body).await;
    let sent_back = shop.approve(&provider_id(&made)).await;
    shop.host.clock.advance(chrono::TimeDelta::seconds(3));
    let onward = follow(&sent_back).await;
    let expected = format!(
        "https://shop.example/paid?payment_link_id={}",
        made.text("id")
    );
    assert_eq!(
        (onward.status, onward.header("location")),
        (303, Some(expected.as_str())),
        "{onward:?}"
    );
    assert_eq!(shop.stored(&path_of(&made)).await.text("status"), "paid");
}

async fn addresses_that_nobody_gave_out_lead_nowhere(shop: Shop) {
    let created = shop.create("/v1/payments", with_pages(&shop)).await;
    let base = shop.host.gateway.url();
    let id = created.text("id").to_owned();
    for token in [
        id.as_str(),
        "0",
        &"0".repeat(48),
        &"f".repeat(64),
        "%00",
        "..%2f..%2fapi",
    ] {
        for path in ["", "/return", "/cancel"] {
            let page = browser()
                .get(format!("{base}/checkout/{token}{path}"))
                .send()
                .await
                .unwrap();
            assert_eq!(reply(page).await.status, 404, "{token}{path}");
        }
    }
}

async fn what_a_widget_hands_to_the_browser_is_checked(shop: Shop) {
    let created = shop.create("/v1/payments", shop.payment()).await;
    let confirm = format!("{}/confirm", path_of(&created));
    open(&shop, &created).await;
    let sent_back = shop.approve(created.text("provider_order_id")).await;
    let response = &sent_back["fields"];
    if shop.provider.name == "paypal" {
        let refused = shop
            .caller
            .post(&confirm, json!({"provider_response": response}))
            .await;
        let end = (refused.status, refused.code());
        assert_eq!(end, (422, "unsupported_by_provider"), "{refused:?}");
        return;
    }
    let other = shop.create("/v1/payments", shop.payment()).await;
    let mut forged = Vec::new();
    for (field, value) in [
        ("razorpay_signature", json!("0".repeat(64))),
        ("razorpay_signature", json!("")),
        (
            "razorpay_signature",
            json!(
                response["razorpay_signature"]
                    .as_str()
                    .unwrap()
                    .to_uppercase()
            ),
        ),
        ("razorpay_payment_id", json!("pay_00000000000000")),
        ("razorpay_order_id", other.json["provider_order_id"].clone()),
    ] {
        let mut changed = response.clone();
        changed[field] = value;
        forged.push((confirm.clone(), changed));
    }
    // Of another payment.
    forged.push((format!("{}/confirm", path_of(&other)), response.clone()));
    for (path, response) in forged {
        let refused = shop
            .caller
            .post(&path, json!({"provider_response": response}))
            .await;
        assert_eq!(
            (refused.status, refused.code()),
            (422, "validation_failed"),
            "{response}: {refused:?}"
        );
        assert!(
            refused.pointers()[0].starts_with("/provider_response/"),
            "{refused:?}"
        );
    }
    assert!(shop.effects(shop.provider.capture).await.is_empty());
    let once = shop.caller.with("Idempotency-Key", "confirm");
    let confirmed = once
        .post(&confirm, json!({"provider_response": response}))
        .await;
    assert_eq!(
        (confirmed.status, confirmed.text("status")),
        (200, "succeeded"),
        "{confirmed:?}"
    );
    let again = once
        .post(&confirm, json!({"provider_response": response}))
        .await;
    assert_eq!(
        (again.header("idempotent-replayed"), &again.bytes),
        (Some("true"), &confirmed.bytes)
    );
    let wrong = once
        .post(&confirm, json!({"provider_response": {"a": "b"}}))
        .await;
    assert_eq!(wrong.code(), "idempotency_key_reused");
    assert_eq!(shop.effects(shop.provider.capture).await.len(), 1);
}

async fn a_forged_return_changes_nothing(shop: Shop) {
    let created = shop.create("/v1/payments", with_pages(&shop)).await;
    open(&shop, &created).await;
    // Whoever has the address can go there; it proves nothing.
    let page = shop
        .buyer(
            created.text("provider_order_id"),
            json!({"action": "abandon"}),
        )
        .await;
    let url = page["url"].as_str().unwrap().split('?').next().unwrap();
    let url = format!("{}/return", url.rsplit_once('/').unwrap().0);
    let forged = [
        ("razorpay_payment_id", "pay_00000000000000"),
        ("razorpay_signature", "00"),
        ("token", "x"),
        ("PayerID", "y"),
    ];
    shop.host.clock.advance(chrono::TimeDelta::seconds(3));
    let posted = browser().post(&url).form(&forged).send().await.unwrap();
    assert_eq!(reply(posted).await.status, 303);
    let got = browser().get(&url).query(&forged).send().await.unwrap();
    assert_eq!(reply(got).await.status, 303);
    let stored = shop.stored(&path_of(&created)).await;
    assert_eq!(stored.text("status"), "requires_action");
    assert!(shop.effects(shop.provider.capture).await.is_empty());
    let huge = browser()
        .post(&url)
        .body("a=".to_owned() + &"b".repeat(20_000))
        .send()
        .await
        .unwrap();
    assert_eq!(reply(huge).await.status, 413);
}

async fn returns_without_end_do_not_reach_the_provider_as_often(shop: Shop) {
    let mut body = with_pages(&shop);
    body["capture"] = json!("manual");
    let created = shop.create("/v1/payments", body).await;
    open(&shop, &created).await;
    let sent_back = shop.approve(created.text("provider_order_id")).await;
    shop.host.clock.advance(chrono::TimeDelta::seconds(3));
    let before = shop.requests("GET", "/").await.len();
    for _ in 0..20 {
        assert_eq!(follow(&sent_back).await.status, 303);
    }
    let stored = shop.stored(&path_of(&created)).await;
    assert_eq!(stored.text("status"), "authorized", "{stored:?}");
    let asked = shop.requests("GET", "/").await.len() - before;
    assert!(asked <= 2, "{asked}");
}

async fn a_buyers_browser_gets_a_page_and_no_json(shop: Shop) {
    let base = shop.host.gateway.url();
    let nowhere = format!("{base}/checkout/{}", "0".repeat(48));
    let page = reply(browser().get(nowhere).send().await.unwrap()).await;
    assert_eq!(page.status, 404);
    assert!(
        page.header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    let page = String::from_utf8(page.bytes).unwrap();
    assert!(
        page.contains("<!doctype html>") && !page.contains("\"code\""),
        "{page}"
    );
}
