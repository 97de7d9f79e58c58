//! The buyer's pages: in a browser, and played by the control API.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    paypal_rig::{
        Merchant, ORDERS, RETURN_URL, SUBSCRIPTIONS, link, order, order_by_source,
        order_with_returns, subscription, text,
    },
    rig::with,
};

/// Made with places to return to; its id and its page.
async fn order_page(merchant: &Merchant) -> (String, String) {
    let order = merchant.make(ORDERS, &order_with_returns("25.00")).await;
    (
        text(&order["id"]),
        link(&order, "approve").unwrap().to_owned(),
    )
}

async fn consent_page(merchant: &Merchant) -> (String, String) {
    let plan = merchant.plan(json!({})).await;
    let made = merchant.make(SUBSCRIPTIONS, &subscription(&plan)).await;
    (
        text(&made["id"]),
        link(&made, "approve").unwrap().to_owned(),
    )
}

/// The query that the browser is sent back with.
fn sent_back(location: &str, to: &str) -> Vec<(String, String)> {
    assert!(location.starts_with(to), "{location}");
    let url = reqwest::Url::parse(location).unwrap();
    url.query_pairs().into_owned().collect()
}

fn parameter<'a>(query: &'a [(String, String)], name: &str) -> &'a str {
    let found = query.iter().find(|(known, _)| known == name);
    found.map_or("", |(_, value)| value.as_str())
}

#[tokio::test]
async fn the_page_says_what_is_paid_and_escapes_it() {
    let merchant = Merchant::start().await;
    let body = with(
        order("25.00", "USD"),
        json!({ "application_context": { "brand_name": "Chairs <b>&</b> Co", "user_action": "PAY_NOW" } }),
    );
    let order = merchant.make(ORDERS, &body).await;
    let page = merchant.open(link(&order, "approve").unwrap()).await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    assert!(
        page.text.contains("Chairs &lt;b&gt;&amp;&lt;/b&gt; Co"),
        "{}",
        page.text
    );
    assert!(page.text.contains("25.00 USD") && page.text.contains("Pay Now"));
    for action in ["approve", "decline", "abandon"] {
        assert!(
            page.text.contains(&format!("value=\"{action}\"")),
            "{action}"
        );
    }
    assert!(
        page.text.contains("value=\"accepted\" checked")
            && page.text.contains("value=\"declined\"")
    );
    assert!(!page.text.contains("<script"));
}

#[tokio::test]
async fn approving_sends_the_browser_back_with_the_token_and_the_payer() {
    let merchant = Merchant::start().await;
    let (id, page) = order_page(&merchant).await;
    let answer = merchant
        .press(&page, &[("action", "approve"), ("capture", "accepted")])
        .await;
    assert_eq!(answer.status, 303, "{answer:?}");
    let query = sent_back(answer.header("location"), RETURN_URL);
    assert_eq!(
        (parameter(&query, "cart"), parameter(&query, "token")),
        ("1", id.as_str())
    );
    assert_eq!(parameter(&query, "PayerID").len(), 13);
    assert_eq!(merchant.status(&format!("{ORDERS}/{id}")).await, "APPROVED");
    // Approval moves no money.
    assert_eq!(merchant.entries("capture").await.len(), 0);
}

#[tokio::test]
async fn abandoning_sends_the_browser_to_the_cancel_url() {
    let merchant = Merchant::start().await;
    let (id, page) = order_page(&merchant).await;
    let answer = merchant.press(&page, &[("action", "abandon")]).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (
            303,
            format!("https://shop.example/cancel?token={id}").as_str()
        )
    );
    assert_eq!(merchant.status(&format!("{ORDERS}/{id}")).await, "CREATED");
}

#[tokio::test]
async fn a_decline_is_told_to_the_buyer_and_to_the_next_capture() {
    let merchant = Merchant::start().await;
    for by_source in [false, true] {
        let (body, status) = match by_source {
            true => (order_by_source("5.00"), "PAYER_ACTION_REQUIRED"),
            false => (order_with_returns("5.00"), "CREATED"),
        };
        let made = merchant.post_as(status, ORDERS, &body).await.body;
        let id = text(&made["id"]);
        let page = link(&made, if by_source { "payer-action" } else { "approve" }).unwrap();
        let told = merchant.press(page, &[("action", "decline")]).await;
        assert!(
            told.status == 200 && told.text.contains("declined"),
            "{told:?}"
        );
        assert_eq!(merchant.status(&format!("{ORDERS}/{id}")).await, status);
        merchant
            .capture_order(&id)
            .await
            .assert_paypal_issue(422, "INSTRUMENT_DECLINED");
        let approved = merchant.press(page, &[("action", "approve")]).await;
        assert_eq!(approved.status, 303);
        assert_eq!(merchant.capture_order(&id).await.status, 201);
    }
}

#[tokio::test]
async fn an_approval_can_be_declined_at_the_capture() {
    let merchant = Merchant::start().await;
    let (id, page) = order_page(&merchant).await;
    let answer = merchant
        .press(&page, &[("action", "approve"), ("capture", "declined")])
        .await;
    assert_eq!(answer.status, 303);
    assert_eq!(merchant.status(&format!("{ORDERS}/{id}")).await, "APPROVED");
    merchant
        .capture_order(&id)
        .await
        .assert_paypal_issue(422, "INSTRUMENT_DECLINED");
}

#[tokio::test]
async fn without_a_return_url_the_buyer_is_told_to_close_the_page() {
    let merchant = Merchant::start().await;
    let made = merchant.make(ORDERS, &order("5.00", "USD")).await;
    let page = link(&made, "approve").unwrap();
    let abandoned = merchant.press(page, &[("action", "abandon")]).await;
    assert!(abandoned.status == 200 && abandoned.text.contains("close this page"));
    let approved = merchant.press(page, &[("action", "approve")]).await;
    assert!(
        approved.status == 200 && approved.text.contains("close this page"),
        "{approved:?}"
    );
    let id = text(&made["id"]);
    assert_eq!(merchant.status(&format!("{ORDERS}/{id}")).await, "APPROVED");
}

#[tokio::test]
async fn pages_that_lead_nowhere_say_so() {
    let merchant = Merchant::start().await;
    let (id, page) = order_page(&merchant).await;
    let (_, expired) = order_page(&merchant).await;
    merchant.approve(&id).await;
    merchant.capture_order(&id).await;
    let base = merchant.rig.url("/paypal");
    for url in [
        page.clone(),
        format!("{base}/checkoutnow?token=X"),
        format!("{base}/checkoutnow"),
        format!("{base}/webapps/billing/subscriptions?ba_token=X"),
    ] {
        for answer in [
            merchant.open(&url).await,
            merchant.press(&url, &[("action", "approve")]).await,
        ] {
            assert_eq!(
                (answer.status, answer.header("content-type")),
                (404, "text/html; charset=utf-8"),
                "{url}"
            );
        }
    }
    for form in [
        &[("action", "buy")][..],
        &[],
        &[("action", "approve"), ("capture", "maybe")],
        &[("action", "approve"), ("x", "1")],
    ] {
        assert_eq!(merchant.press(&expired, form).await.status, 400, "{form:?}");
    }
    merchant.rig.advance(3 * 3600).await;
    assert_eq!(merchant.open(&expired).await.status, 404);
}

#[tokio::test]
async fn the_control_api_plays_the_buyer_and_tells_where_he_comes_back() {
    let merchant = Merchant::start().await;
    let (id, _) = order_page(&merchant).await;
    let back = merchant.play(&id, json!({ "action": "abandon" })).await;
    assert_eq!(
        json!([back["method"], back["url"], back["object"]["status"]]),
        json!([
            "GET",
            format!("https://shop.example/cancel?token={id}"),
            "CREATED"
        ])
    );
    let back = merchant.play(&id, json!({ "action": "decline" })).await;
    assert_eq!((&back["url"], &back["fields"]), (&Value::Null, &json!({})));
    let back = merchant.approve(&id).await;
    assert_eq!(back["fields"]["token"], id);
    assert!(
        back["url"]
            .as_str()
            .unwrap()
            .contains(&format!("token={id}&PayerID="))
    );
    assert_eq!(back["object"]["status"], "APPROVED");
    let refused = async |id: &str, action: Value| {
        let path = format!("checkouts/{id}");
        merchant
            .rig
            .control(Method::POST, &path, action)
            .await
            .status
    };
    assert_eq!(
        refused(&id, json!({ "action": "approve", "capture": "maybe" })).await,
        400
    );
    assert_eq!(
        refused(&id, json!({ "action": "approve", "charge": "fail" })).await,
        400
    );
    assert_eq!(refused("X", json!({ "action": "approve" })).await, 404);
    merchant.capture_order(&id).await;
    assert_eq!(refused(&id, json!({ "action": "approve" })).await, 400);
}

#[tokio::test]
async fn agreeing_to_a_subscription_starts_it() {
    let merchant = Merchant::start().await;
    let (id, page) = consent_page(&merchant).await;
    let shown = merchant.open(&page).await;
    assert!(
        shown.status == 200 && shown.text.contains("10.00 USD") && shown.text.contains("Monthly"),
        "{shown:?}"
    );
    assert!(
        shown.text.contains("value=\"succeed\" checked") && shown.text.contains("value=\"fail\"")
    );
    let answer = merchant
        .press(&page, &[("action", "approve"), ("charge", "succeed")])
        .await;
    assert_eq!(answer.status, 303, "{answer:?}");
    let query = sent_back(answer.header("location"), RETURN_URL);
    assert_eq!(parameter(&query, "subscription_id"), id);
    assert!(page.ends_with(parameter(&query, "ba_token")));
    assert!(!parameter(&query, "token").is_empty());
    assert_eq!(merchant.subscribed(&id).await["status"], "ACTIVE");
    assert_eq!(merchant.entries("payment").await.len(), 1);
    assert_eq!(merchant.open(&page).await.status, 404);
}

#[tokio::test]
async fn a_buyer_who_does_not_agree_leaves_it_pending() {
    let merchant = Merchant::start().await;
    let (id, page) = consent_page(&merchant).await;
    let told = merchant.press(&page, &[("action", "decline")]).await;
    assert!(
        told.status == 200 && told.text.contains("declined"),
        "{told:?}"
    );
    let answer = merchant.press(&page, &[("action", "abandon")]).await;
    assert_eq!(answer.status, 303);
    let query = sent_back(answer.header("location"), "https://shop.example/cancel?");
    assert_eq!(parameter(&query, "subscription_id"), id);
    assert!(!parameter(&query, "token").is_empty() && !parameter(&query, "ba_token").is_empty());
    assert_eq!(merchant.subscribed(&id).await["status"], "APPROVAL_PENDING");
    assert_eq!(merchant.entries("payment").await.len(), 0);
    let ba_token = page.rsplit_once('=').unwrap().1;
    let back = merchant
        .play(ba_token, json!({ "action": "approve" }))
        .await;
    assert_eq!(back["object"]["status"], "ACTIVE");
    assert_eq!(back["fields"]["subscription_id"], id);
}
