//! How a capture can be made to end.

use serde_json::json;

use crate::paypal_rig::{CAPTURES, Merchant, ORDERS, order, order_with, text};

#[tokio::test]
async fn a_capture_ends_as_its_amount_says() {
    let merchant = Merchant::start().await;
    for (value, status, reason) in [
        ("7700.99", "COMPLETED", None),
        ("7701.00", "PENDING", Some("PENDING_REVIEW")),
        ("7702.50", "PENDING", Some("ECHECK")),
        ("7703.00", "DECLINED", None),
        ("7704.00", "FAILED", None),
    ] {
        let capture = merchant.paid(&order(value, "USD")).await;
        assert_eq!(
            json!([capture["status"], capture["status_details"]["reason"]]),
            json!([status, reason]),
            "{value}"
        );
        let has_fee = capture["seller_receivable_breakdown"].is_object();
        assert_eq!(has_fee, status == "COMPLETED");
    }
    let yen = merchant.paid(&order("7701", "JPY")).await;
    assert_eq!(yen["status"], "PENDING");
    // Declined and failed ones moved no money.
    assert_eq!(merchant.entries("capture").await.len(), 4);
}

#[tokio::test]
async fn a_capture_ends_as_a_word_in_its_references_says() {
    let merchant = Merchant::start().await;
    for (references, status, reason) in [
        (
            json!({ "custom_id": "sandbox-capture-PENDING-UNILATERAL" }),
            "PENDING",
            Some("UNILATERAL"),
        ),
        (
            json!({ "invoice_id": "sandbox-capture-DECLINED.17" }),
            "DECLINED",
            None,
        ),
        (
            json!({ "custom_id": "sandbox-capture-NOTHING" }),
            "COMPLETED",
            None,
        ),
    ] {
        let capture = merchant.paid(&order_with("1.00", references)).await;
        assert_eq!(
            json!([capture["status"], capture["status_details"]["reason"]]),
            json!([status, reason])
        );
    }
}

#[tokio::test]
async fn a_capture_ends_as_the_setting_says() {
    let merchant = Merchant::start().await;
    for (setting, status) in [
        ("pending", "PENDING"),
        ("declined", "DECLINED"),
        ("failed", "FAILED"),
        ("completed", "COMPLETED"),
    ] {
        merchant
            .rig
            .configure(json!({ "paypal_capture": setting }))
            .await;
        let capture = merchant.paid(&order("1.00", "USD")).await;
        assert_eq!(capture["status"], status);
    }
}

#[tokio::test]
async fn any_issue_can_be_asked_for_by_a_word() {
    let merchant = Merchant::start().await;
    for (issue, status) in [
        ("PAYER_ACTION_REQUIRED", 422),
        ("PAYER_CANNOT_PAY", 422),
        ("TRANSACTION_REFUSED", 422),
        ("COMPLIANCE_VIOLATION", 422),
        ("ORDER_COMPLETION_IN_PROGRESS", 422),
        ("PAYEE_ACCOUNT_RESTRICTED", 422),
        ("PERMISSION_DENIED", 403),
        ("CONSENT_NEEDED", 403),
        ("PAYEE_ACCOUNT_NOT_VERIFIED", 403),
    ] {
        let body = order_with(
            "1.00",
            json!({ "custom_id": format!("sandbox-refuse-{issue}") }),
        );
        let id = merchant.approved(&body).await;
        merchant
            .capture_order(&id)
            .await
            .assert_paypal_issue(status, issue);
        assert_eq!(merchant.status(&format!("{ORDERS}/{id}")).await, "APPROVED");
    }
    assert_eq!(merchant.entries("capture").await.len(), 0);
}

#[tokio::test]
async fn a_pending_capture_is_completed_by_the_control_api() {
    let merchant = Merchant::start().await;
    let capture = merchant.paid(&order("7701.00", "USD")).await;
    let id = text(&capture["id"]);
    merchant.rig.advance(60).await;
    let forced = merchant.force(&id, json!({ "status": "COMPLETED" })).await;
    assert_eq!(
        (forced.status, &forced.body["status"]),
        (200, &"COMPLETED".into())
    );
    let read = merchant.read(&format!("{CAPTURES}/{id}")).await;
    assert_eq!(
        json!([read["status"], read["status_details"], read["update_time"]]),
        json!(["COMPLETED", null, "2026-01-15T12:01:00Z"])
    );
    assert_eq!(merchant.entries("capture").await.len(), 1);
    let pending = merchant
        .force(&id, json!({ "status": "PENDING", "reason": "CHARGEBACK" }))
        .await;
    assert_eq!(pending.body["status_details"]["reason"], "CHARGEBACK");
    for change in [
        json!({ "status": "PAID" }),
        json!({ "status": "PENDING", "x": 1 }),
        json!({}),
    ] {
        assert_eq!(merchant.force(&id, change).await.status, 400);
    }
    assert_eq!(
        merchant
            .force("X", json!({ "status": "COMPLETED" }))
            .await
            .status,
        404
    );
}
