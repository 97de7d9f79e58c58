//! Bad requests: refused before anything is sent, with the place of each mistake.

use onerouter_tests::scenarios;
use onerouter_tests::write_path::Ground;
use serde_json::{Value, json};

use crate::rig::{RAZORPAY, Shop, with_each_provider};

with_each_provider!(
    amounts_are_exact_or_refused,
    mistakes_are_named_all_at_once,
    what_the_providers_do_not_have_is_said_to_be_so,
    what_a_provider_refuses_keeps_its_words_and_no_secret,
);

scenarios!(a_key_of_the_other_world_is_not_used);

/// Razorpay has one host for both; only the key tells them apart.
async fn a_key_of_the_other_world_is_not_used(ground: Ground) {
    let shop = Shop::on(ground, RAZORPAY).await;
    let before = shop.requests("GET", "/").await.len();
    for (environment, key_id) in [
        ("test", "rzp_live_1DP5mmOlF5G5ag"),
        ("live", "rzp_test_1DP5mmOlF5G5ag"),
    ] {
        let body = json!({
            "environment": environment,
            "label": "other",
            "credentials": {"key_id": key_id, "key_secret": "thiskeysecretisofnobody1"},
        });
        let path = "/api/services/payments/razorpay/connect";
        let refused = shop.host.operator().post(path, body).await;
        let end = (refused.status, refused.code());
        assert_eq!(end, (422, "provider_auth_failed"), "{refused:?}");
    }
    assert_eq!(shop.requests("GET", "/").await.len(), before);
}

async fn amounts_are_exact_or_refused(shop: Shop) {
    let provider = shop.provider.name;
    for (amount, currency) in [
        ("0", "USD"),
        ("-1", "USD"),
        ("0.001", "USD"),
        ("1e2", "USD"),
        ("1,00", "USD"),
        ("", "USD"),
        (" 1", "USD"),
        ("NaN", "USD"),
        ("1.5", "JPY"),
        ("1.2345", "KWD"),
        ("+1", "USD"),
        (".5", "USD"),
        ("99999999999999999999", "USD"),
    ] {
        let body = json!({"amount": amount, "currency": currency, "provider": provider});
        let refused = shop.caller.post("/v1/payments", body).await;
        assert_eq!(
            (refused.status, refused.code()),
            (422, "validation_failed"),
            "{amount}: {refused:?}"
        );
        assert_eq!(refused.pointers(), ["/amount"], "{amount}");
    }
    // A number is taken as it is written.
    for number in ["5e1", "1E2", "50.001", "0.1e1"] {
        let body =
            format!("{{\"amount\":{number},\"currency\":\"USD\",\"provider\":\"{provider}\"}}");
        let refused = shop
            .caller
            .send(
                reqwest::Method::POST,
                "/v1/payments",
                Some(body.into_bytes()),
            )
            .await;
        assert_eq!(refused.pointers(), ["/amount"], "{number}: {refused:?}");
    }
    // The provider's own rules.
    let fractions = match provider {
        "paypal" => [("10.5", "HUF"), ("10.5", "TWD")].as_slice(),
        _ => [("0.50", "INR"), ("1.001", "KWD")].as_slice(),
    };
    for (amount, currency) in fractions {
        let body = json!({"amount": amount, "currency": currency, "provider": provider});
        let refused = shop.caller.post("/v1/payments", body).await;
        assert_eq!(
            (refused.status, refused.code()),
            (422, "validation_failed"),
            "{amount}: {refused:?}"
        );
        assert_eq!(refused.pointers(), ["/amount"], "{amount}");
    }
    // A currency that it does not take.
    let body = json!({"amount": "10.000", "currency": if provider == "paypal" { "KWD" } else { "KPW" }, "provider": provider});
    let refused = shop.caller.post("/v1/payments", body).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(
        ["unsupported_by_provider", "no_connection"].contains(&refused.code()),
        "{refused:?}"
    );
    assert!(shop.effects(shop.provider.order).await.is_empty());
    assert!(shop.requests("POST", "order").await.is_empty());
}

async fn mistakes_are_named_all_at_once(shop: Shop) {
    let long = "x".repeat(1_001);
    let refused = shop.caller.post("/v1/payments", json!({
        "amount": "1.00", "currency": "usd!", "receipt": "", "description": long, "method": 7,
        "customer": {"email": "nobody", "shoe": 1}, "return_url": "javascript:alert(1)",
        "cancel_url": "https://user:pw@shop.example/", "capture": "later", "upi_app": "",
        "metadata": {"a b": "c"}, "colour": "red",
    })).await;
    assert_eq!(
        (refused.status, refused.code()),
        (422, "validation_failed"),
        "{refused:?}"
    );
    let mut pointers = refused.pointers();
    pointers.sort_unstable();
    pointers.dedup();
    let expected = [
        "/cancel_url",
        "/capture",
        "/colour",
        "/currency",
        "/customer/email",
        "/customer/shoe",
        "/description",
        "/metadata/a b",
        "/method",
        "/receipt",
        "/return_url",
        "/upi_app",
    ];
    assert_eq!(pointers, expected, "{refused:?}");
    let both = json!({"amount": 1, "currency": "USD", "metadata": {"a": "b"}, "notes": {"a": "c"}});
    assert_eq!(shop.caller.post("/v1/payments", both).await.status, 422);
}

async fn what_the_providers_do_not_have_is_said_to_be_so(shop: Shop) {
    for (method, path) in [
        ("POST", "/v1/payment-methods"),
        ("GET", "/v1/payment-methods"),
        ("POST", "/v1/marketplace/split-payments"),
    ] {
        let method = method.parse().unwrap();
        let reply = shop
            .caller
            .send(
                method,
                path,
                Some(Value::Object(Default::default()).to_string().into_bytes()),
            )
            .await;
        assert_eq!(
            (reply.status, reply.code()),
            (422, "unsupported_by_provider"),
            "{path}: {reply:?}"
        );
    }
}

async fn what_a_provider_refuses_keeps_its_words_and_no_secret(shop: Shop) {
    let (orders, refusal) = match shop.provider.name {
        "paypal" => ("/v2/checkout/orders", (422, "PAYEE_ACCOUNT_RESTRICTED")),
        _ => ("/v1/orders", (400, "BAD_REQUEST_ERROR")),
    };
    let rows = [
        (
            json!({"status": refusal.0, "code": refusal.1}),
            422,
            "provider_rejected",
            "failed",
        ),
        (
            json!({"status": 401}),
            422,
            "provider_auth_failed",
            "failed",
        ),
        (
            json!({"status": 429}),
            429,
            "provider_rate_limited",
            "failed",
        ),
        (json!({"status": 500}), 504, "outcome_unknown", "unknown"),
        (json!({"status": 503}), 504, "outcome_unknown", "unknown"),
    ];
    let connections = shop.host.sandbox.connections();
    for (mut fault, status, code, stored) in rows {
        fault["fault"] = json!("error_before");
        // A refused token is renewed once, and the request sent again.
        let is_renewed = shop.provider.name == "paypal" && fault["status"] == 401;
        fault["times"] = json!(if is_renewed { 2 } else { 1 });
        shop.fault(fault.clone(), "POST", orders).await;
        let refused = shop.caller.post("/v1/payments", shop.payment()).await;
        assert_eq!(
            (refused.status, refused.code()),
            (status, code),
            "{fault}: {refused:?}"
        );
        let object = shop
            .stored(&format!("/v1/payments/{}", refused.text("id")))
            .await;
        assert_eq!(object.text("status"), stored, "{fault}");
        if code == "provider_rejected" {
            let provider = &refused.json["provider"];
            assert_eq!(provider["name"], shop.provider.name);
            assert_eq!(
                (&provider["code"], &provider["http_status"]),
                (&json!(refusal.1), &json!(refusal.0))
            );
            assert!(provider["message"].is_string() && refused.json["retryable"] == false);
            assert_eq!(object.json["failure"]["provider_code"], refusal.1);
        }
        for reply in [&refused, &object] {
            let text = String::from_utf8_lossy(&reply.bytes);
            let secrets = connections.iter().flat_map(|one| &one.credentials);
            for (name, secret) in
                secrets.filter(|(name, _)| name.contains("secret") || name.contains("token"))
            {
                assert!(!text.contains(secret.as_str()), "{name} in {text}");
            }
        }
    }
    assert!(shop.effects(shop.provider.order).await.is_empty());
}
