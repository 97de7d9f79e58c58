//! What every request meets: the key, bodies, ids, paths, the rate.

use onerouter_sandbox::razorpay::{KEY_ID, KEY_SECRET};
use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::rig::Rig;

#[tokio::test]
async fn a_body_that_is_no_json_object_has_no_fields() {
    let rig = Rig::start().await;
    for (content_type, body, why) in [
        (
            "application/json",
            "{",
            "The request body must be a JSON object",
        ),
        (
            "application/json",
            "[]",
            "The request body must be a JSON object",
        ),
        ("application/json", "", "The amount field is required."),
        (
            "application/x-www-form-urlencoded",
            "amount=50000&currency=INR",
            "The amount field is required.",
        ),
    ] {
        let request = rig
            .razorpay(Method::POST, "/orders")
            .header(header::CONTENT_TYPE, content_type);
        let answer = rig.send(request.body(body)).await;
        assert_eq!((answer.status, answer.description()), (400, why), "{body}");
    }
}

#[tokio::test]
async fn an_id_is_malformed_or_unknown_never_not_found() {
    let rig = Rig::start().await;
    let unknown = "The id provided does not exist";
    for (method, path, why) in [
        (Method::GET, "/orders/order_00000000000000", unknown),
        (
            Method::GET,
            "/orders/order_00000000000000/payments",
            unknown,
        ),
        (Method::GET, "/orders/nothing", "nothing is not a valid id"),
        (
            Method::PATCH,
            "/orders/pay_00000000000000",
            "The notes field is required.",
        ),
        (
            Method::GET,
            "/orders/pay_00000000000000",
            "pay_00000000000000 is not a valid id",
        ),
        (Method::GET, "/payments/pay_00000000000000", unknown),
        (Method::GET, "/payments/pay_0", "pay_0 is not a valid id"),
        (Method::GET, "/refunds/rfnd_00000000000000", unknown),
        (Method::GET, "/payments/pay_00000000000000/refunds", unknown),
        (Method::GET, "/payment_links/plink_00000000000000", unknown),
        (
            Method::GET,
            "/payment_links/plink_0",
            "invalid input [strippedId] = [0]",
        ),
        (Method::GET, "/plans/plan_00000000000000", unknown),
        (Method::GET, "/subscriptions/sub_00000000000000", unknown),
        (
            Method::POST,
            "/subscriptions/sub_00000000000000/cancel",
            unknown,
        ),
        (
            Method::POST,
            "/payment_links/plink_00000000000000/cancel",
            unknown,
        ),
    ] {
        rig.refused(method, path, Value::Null, why).await;
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_400_too() {
    let rig = Rig::start().await;
    let order = rig.order(100).await;
    for (method, path) in [
        (Method::GET, "/customers".to_owned()),
        (Method::DELETE, format!("/orders/{order}")),
        (Method::PUT, "/orders".to_owned()),
        (Method::GET, format!("/orders/{order}/refunds")),
    ] {
        let answer = rig.ask(method, &path, Value::Null).await;
        assert_eq!(
            (answer.status, &answer.body),
            (
                400,
                &json!({ "error": {
                    "code": "BAD_REQUEST_ERROR",
                    "description": "The requested URL was not found on the server.",
                    "source": "NA",
                    "step": "NA",
                    "reason": "NA",
                    "metadata": {},
                } })
            ),
            "{path}"
        );
    }
}

#[tokio::test]
async fn only_the_key_opens_and_only_in_its_exact_form() {
    let rig = Rig::start().await;
    let url = rig.url("/razorpay/v1/orders");
    let good = {
        let request = rig.razorpay(Method::GET, "/orders").build().unwrap();
        let header = request.headers()[header::AUTHORIZATION].to_str().unwrap();
        header.strip_prefix("Basic ").unwrap().to_owned()
    };
    let bare = "Authentication failed";
    for (authorization, why) in [
        (String::new(), bare),
        (format!("basic {good}"), bare),
        (format!("BASIC {good}"), bare),
        (format!("Basic \"{good}\""), bare),
        (format!("Basic ${good}"), bare),
        (format!("Bearer {KEY_SECRET}"), bare),
        ("Basic bm90aGluZw==".to_owned(), bare),
    ] {
        let request = rig
            .http
            .get(&url)
            .header(header::AUTHORIZATION, authorization);
        let answer = rig.send(request).await;
        assert_eq!(
            (answer.status, &answer.body),
            (
                401,
                &json!({ "error": { "code": "BAD_REQUEST_ERROR", "description": why } })
            )
        );
    }
    for (id, secret, why) in [
        (
            "rzp_live_sandbox00000001",
            KEY_SECRET,
            "The api key provided is invalid",
        ),
        (KEY_ID, "wrong", "The api secret provided is invalid"),
        (KEY_ID, "", "The api secret provided is invalid"),
    ] {
        let answer = rig
            .send(rig.http.get(&url).basic_auth(id, Some(secret)))
            .await;
        assert_eq!((answer.status, answer.description()), (401, why));
        assert_eq!(answer.body["error"]["source"], "NA");
        assert!(answer.header("www-authenticate").starts_with("Basic"));
    }
}

#[tokio::test]
async fn more_than_the_rate_is_429_without_a_hint() {
    let rig = Rig::start().await;
    rig.configure(json!({ "razorpay_rate_limit": 2 })).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(rig.ask(Method::GET, "/orders", Value::Null).await.status);
    }
    assert_eq!(statuses, [200, 200, 429]);
    let refused = rig.ask(Method::GET, "/orders", Value::Null).await;
    assert_eq!(refused.body["error"]["code"], "BAD_REQUEST_ERROR");
    assert!(refused.headers.get("retry-after").is_none());
    rig.advance(1).await;
    rig.read("/orders").await;
}
