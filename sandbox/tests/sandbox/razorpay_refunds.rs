//! Refunds: amounts, speeds, outcomes, idempotency, lists.

use onerouter_sandbox::razorpay::{
    REFUND_FAILS, REFUND_NOT_INSTANT, REFUND_REFUSED_INSTANT, REFUND_STAYS_PENDING,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    razorpay_rig::{id_of, ids},
    rig::{Answer, Rig},
};

const DAY: i64 = 86_400;

async fn refund_with_key(rig: &Rig, payment: &str, key: &str, body: &Value) -> Answer {
    let request = rig
        .razorpay(Method::POST, &format!("/payments/{payment}/refund"))
        .header("X-Refund-Idempotency", key);
    rig.send(request.json(body)).await
}

#[tokio::test]
async fn a_normal_refund_is_pending_until_it_is_delivered() {
    let rig = Rig::start().await;
    let payment = rig.captured(50_000).await;
    let body = json!({ "amount": 20_000, "receipt": "r-1", "notes": { "why": "broken" } });
    let refund = rig.post(&format!("/payments/{payment}/refund"), body).await;
    let id = id_of(&refund);
    assert!(id.starts_with("rfnd_") && id.len() == 19, "{id}");
    assert_eq!(
        refund,
        json!({
            "id": id, "entity": "refund", "amount": 20_000, "currency": "INR",
            "payment_id": payment, "notes": { "why": "broken" }, "receipt": "r-1",
            "acquirer_data": { "arn": null }, "created_at": 1_768_478_400, "batch_id": null,
            "status": "pending", "speed_processed": null, "speed_requested": "normal",
        })
    );
    let path = format!("/refunds/{id}");
    rig.advance(5).await;
    assert_eq!(rig.read(&path).await["status"], "pending");
    rig.advance(1).await;
    let done = rig.read(&path).await;
    assert_eq!(
        json!([done["status"], done["speed_processed"]]),
        json!(["processed", "normal"])
    );
    assert!(done["acquirer_data"]["arn"].is_string());
}

#[tokio::test]
async fn refunds_add_up_to_the_whole_and_no_further() {
    let rig = Rig::start().await;
    let payment = rig.captured(50_000).await;
    let path = format!("/payments/{payment}/refund");
    let state = async || {
        let payment = rig.read(&format!("/payments/{payment}")).await;
        json!([
            payment["status"],
            payment["amount_refunded"],
            payment["refund_status"]
        ])
    };
    rig.post(&path, json!({ "amount": 20_000 })).await;
    assert_eq!(state().await, json!(["captured", 20_000, "partial"]));
    let too_much = "The refund amount provided is greater than amount captured";
    rig.refused(Method::POST, &path, json!({ "amount": 30_001 }), too_much)
        .await;
    // Without an amount: what is left.
    assert_eq!(rig.post(&path, Value::Null).await["amount"], 30_000);
    assert_eq!(state().await, json!(["refunded", 50_000, "full"]));
    let done = "The payment has been fully refunded already";
    rig.refused(Method::POST, &path, json!({}), done).await;
    assert_eq!(rig.count(&format!("kind=refund&object={payment}")).await, 2);
}

#[tokio::test]
async fn a_wrong_refund_is_refused() {
    let rig = Rig::start().await;
    let path = format!("/payments/{}/refund", rig.captured(50_000).await);
    for (body, why) in [
        (
            json!({ "amount": 99 }),
            "The amount must be at least INR 1.00",
        ),
        (json!({ "amount": 0 }), "Amount cannot be blank."),
        (
            json!({ "amount": -1, "speed": "optimum" }),
            "The amount must be at least INR 1.00",
        ),
        (json!({ "amount": "100" }), "The amount must be an integer."),
        (
            json!({ "speed": "instant" }),
            "The selected speed is invalid.",
        ),
        (
            json!({ "reason": "x" }),
            "reason is/are not required and should not be sent",
        ),
        (
            json!({ "receipt": "r".repeat(41) }),
            "The receipt may not be greater than 40 characters.",
        ),
    ] {
        rig.refused(Method::POST, &path, body, why).await;
    }
    let authorized = rig.authorized(50_000).await;
    let path = format!("/payments/{authorized}/refund");
    let why = "The payment status should be captured for action to be taken";
    rig.refused(Method::POST, &path, json!({}), why).await;
    let why = "nothing is not a valid id";
    rig.refused(Method::POST, "/payments/nothing/refund", json!({}), why)
        .await;
    assert_eq!(rig.count("kind=refund").await, 0);
}

#[tokio::test]
async fn an_optimum_refund_is_instant_when_it_can_be() {
    let rig = Rig::start().await;
    let path = format!("/payments/{}/refund", rig.captured(50_000).await);
    let body = json!({ "amount": 100, "speed": "optimum" });
    let instant = rig.post(&path, body).await;
    assert_eq!(
        json!([
            instant["status"],
            instant["speed_requested"],
            instant["speed_processed"]
        ]),
        json!(["processed", "optimum", "instant"])
    );
    assert!(instant["acquirer_data"]["rrn"].is_string());
    let body = json!({ "amount": 100, "speed": "optimum", "receipt": REFUND_NOT_INSTANT });
    let slow = rig.post(&path, body).await;
    assert_eq!(slow["status"], "pending");
    rig.advance(6).await;
    let slow = rig.read(&format!("/refunds/{}", id_of(&slow))).await;
    assert_eq!(
        json!([slow["status"], slow["speed_processed"]]),
        json!(["processed", "normal"])
    );
}

#[tokio::test]
async fn an_instant_refund_may_be_refused_and_made_normally() {
    let rig = Rig::start().await;
    let path = format!("/payments/{}/refund", rig.captured(50_000).await);
    let why = "Instant refund not supported for the payment.";
    let body =
        |speed: &str| json!({ "amount": 100, "speed": speed, "receipt": REFUND_REFUSED_INSTANT });
    rig.refused(Method::POST, &path, body("optimum"), why).await;
    let refund = rig.post(&path, body("normal")).await;
    assert_eq!(refund["speed_requested"], "normal");
    assert_eq!(rig.count("kind=refund").await, 1);
}

#[tokio::test]
async fn only_an_instant_refund_may_be_less_than_a_rupee() {
    let rig = Rig::start().await;
    let path = format!("/payments/{}/refund", rig.captured(50_000).await);
    let body = |speed: &str| json!({ "amount": 50, "speed": speed });
    let why = "The amount must be at least INR 1.00";
    rig.refused(Method::POST, &path, body("normal"), why).await;
    assert_eq!(rig.post(&path, body("optimum")).await["amount"], 50);
}

#[tokio::test]
async fn a_receipt_is_taken_once_of_each_payment() {
    let rig = Rig::start().await;
    let payment = rig.captured(50_000).await;
    let path = format!("/payments/{payment}/refund");
    let body = json!({ "amount": 50_000, "receipt": "r-1" });
    let (key, other_key) = ("refund-key_1", "refund-key_2");
    let first = refund_with_key(&rig, &payment, key, &body).await;
    assert_eq!(first.status, 200);
    let why = "Duplicate receipt found for this refund request.";
    let again = refund_with_key(&rig, &payment, other_key, &body).await;
    assert_eq!((again.status, again.description()), (400, why));
    rig.refused(Method::POST, &path, json!({ "receipt": "r-1" }), why)
        .await;
    // The key goes before the receipt.
    let repeated = refund_with_key(&rig, &payment, key, &body).await;
    assert_eq!(repeated.text, first.text);
    let other = rig.captured(50_000).await;
    rig.post(&format!("/payments/{other}/refund"), body).await;
    assert_eq!(rig.count("kind=refund").await, 2);
}

#[tokio::test]
async fn a_refund_can_fail_and_gives_the_money_back_to_the_payment() {
    let rig = Rig::start().await;
    for body in [
        json!({ "receipt": REFUND_FAILS }),
        json!({ "notes": { "any": REFUND_FAILS } }),
    ] {
        let payment = rig.captured(50_000).await;
        let refund = rig.post(&format!("/payments/{payment}/refund"), body).await;
        assert_eq!(refund["status"], "pending");
        rig.advance(6).await;
        let refund = rig.read(&format!("/refunds/{}", id_of(&refund))).await;
        assert_eq!(refund["status"], "failed");
        let payment = rig.read(&format!("/payments/{payment}")).await;
        assert_eq!(
            json!([
                payment["status"],
                payment["amount_refunded"],
                payment["refund_status"]
            ]),
            json!(["captured", 0, null])
        );
    }
    let path = format!("/payments/{}/refund", rig.captured(50_000).await);
    let body = json!({ "receipt": REFUND_STAYS_PENDING });
    let stuck = id_of(&rig.post(&path, body).await);
    rig.advance(DAY).await;
    assert_eq!(
        rig.read(&format!("/refunds/{stuck}")).await["status"],
        "pending"
    );
}

#[tokio::test]
async fn after_half_a_year_only_instant_refunds_are_left() {
    let rig = Rig::start().await;
    let path = format!("/payments/{}/refund", rig.captured(50_000).await);
    rig.advance(181 * DAY).await;
    let answer = rig.ask(Method::POST, &path, json!({})).await;
    assert_eq!(
        (answer.status, &answer.body),
        (
            400,
            &json!({ "error": {
                "code": "BAD_REQUEST_ERROR",
                "description": "Refund is not supported by the bank because the payment is more than 6 months old",
                "source": null,
                "step": null,
                "reason": null,
                "metadata": {},
            } })
        )
    );
    let refund = rig.post(&path, json!({ "speed": "optimum" })).await;
    assert_eq!(refund["status"], "processed");
}

#[tokio::test]
async fn a_refund_is_found_in_every_way() {
    let rig = Rig::start().await;
    let (one, other) = (rig.captured(50_000).await, rig.captured(50_000).await);
    let mut all = Vec::new();
    for payment in [&one, &one, &other] {
        let path = format!("/payments/{payment}/refund");
        all.insert(0, id_of(&rig.post(&path, json!({ "amount": 100 })).await));
    }
    assert_eq!(ids(&rig.read("/refunds").await), all);
    assert_eq!(ids(&rig.read("/refunds?count=1&skip=1").await), all[1..2]);
    let of_one = format!("/payments/{one}/refunds");
    assert_eq!(ids(&rig.read(&of_one).await), all[1..]);
    let refund = rig.read(&format!("/refunds/{}", all[1])).await;
    assert_eq!(rig.read(&format!("{of_one}/{}", all[1])).await, refund);
    let why = "The id provided does not exist";
    let path = format!("{of_one}/{}", all[0]);
    rig.refused(Method::GET, &path, Value::Null, why).await;
}

#[tokio::test]
async fn the_same_key_gives_the_same_refund() {
    let rig = Rig::start().await;
    let payment = rig.captured(50_000).await;
    let (key, body) = ("refund-key_1", json!({ "amount": 100 }));
    let first = refund_with_key(&rig, &payment, key, &body).await;
    let second = refund_with_key(&rig, &payment, key, &body).await;
    assert_eq!((first.status, &first.text), (200, &second.text));
    assert_eq!(
        rig.count(&format!("kind=refund&idempotency_key={key}"))
            .await,
        1
    );
    for (payment, body) in [
        (payment.clone(), json!({ "amount": 200 })),
        (rig.captured(50_000).await, body),
    ] {
        let other = refund_with_key(&rig, &payment, key, &body).await;
        assert_eq!(
            (other.status, other.description()),
            (
                409,
                "Different request with the same idempotency key has already been processed."
            )
        );
    }
    // Without a key every request is a refund.
    let path = format!("/payments/{payment}/refund");
    rig.post(&path, json!({ "amount": 100 })).await;
    rig.post(&path, json!({ "amount": 100 })).await;
    assert_eq!(rig.count("kind=refund").await, 3);
}

#[tokio::test]
async fn a_twin_of_a_running_refund_waits() {
    let rig = Rig::start().await;
    let payment = rig.captured(50_000).await;
    let received = rig.get("requests").await["total"].as_u64().unwrap();
    rig.fault(json!({ "fault": "latency_before", "delay_ms": 1500 }))
        .await;
    let body = json!({ "amount": 100 });
    let (slow, twin) = tokio::join!(
        refund_with_key(&rig, &payment, "refund-key_1", &body),
        async {
            rig.received(received + 1).await;
            refund_with_key(&rig, &payment, "refund-key_1", &body).await
        }
    );
    assert_eq!(
        (twin.status, twin.description()),
        (
            409,
            "Another request with the same idempotency key is still in progress."
        )
    );
    assert_eq!(slow.status, 200);
    assert_eq!(rig.count("kind=refund").await, 1);
}

#[tokio::test]
async fn a_lost_refund_is_found_again_by_its_key_and_a_refused_one_frees_it() {
    let rig = Rig::start().await;
    let payment = rig.captured(50_000).await;
    rig.fault(json!({ "fault": "reset_after", "path_contains": "/refund" }))
        .await;
    let body = json!({ "amount": 100 });
    let request = rig
        .razorpay(Method::POST, &format!("/payments/{payment}/refund"))
        .header("X-Refund-Idempotency", "refund-key_1");
    assert!(request.json(&body).send().await.is_err());
    let again = refund_with_key(&rig, &payment, "refund-key_1", &body).await;
    assert_eq!(again.status, 200);
    assert_eq!(rig.count("kind=refund").await, 1);
    let wrong = json!({ "amount": 99 });
    assert_eq!(
        refund_with_key(&rig, &payment, "refund-key_2", &wrong)
            .await
            .status,
        400
    );
    assert_eq!(
        refund_with_key(&rig, &payment, "refund-key_2", &body)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_key_has_10_characters_of_a_small_alphabet() {
    let rig = Rig::start().await;
    let payment = rig.captured(50_000).await;
    let body = json!({ "amount": 100 });
    for (key, why) in [
        (
            "123456789",
            "The idempotency key must be at least 10 characters long.",
        ),
        (
            "1234567890!",
            "The idempotency key must only contain alphanumeric characters, underscores, and hyphens",
        ),
    ] {
        let answer = refund_with_key(&rig, &payment, key, &body).await;
        assert_eq!((answer.status, answer.description()), (400, why));
    }
    let good = refund_with_key(&rig, &payment, "aZ0_-aZ0_-", &body).await;
    assert_eq!(good.status, 200);
}
