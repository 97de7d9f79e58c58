//! Plans.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    razorpay_rig::{id_of, ids, plan},
    rig::{Rig, with},
};

#[tokio::test]
async fn a_plan_is_created_read_and_listed() {
    let rig = Rig::start().await;
    let mut body = with(plan(50_000), json!({ "notes": { "a": "b" } }));
    body["item"]["description"] = "For teams".into();
    let made = rig.post("/plans", body).await;
    let (id, item) = (id_of(&made), id_of(&made["item"]));
    assert!(id.starts_with("plan_") && item.starts_with("item_"));
    assert_eq!(
        made,
        json!({
            "id": id, "entity": "plan", "interval": 1, "period": "monthly",
            "item": {
                "id": item, "active": true, "name": "Pro", "description": "For teams",
                "amount": 50_000, "unit_amount": 50_000, "currency": "INR", "type": "plan",
                "unit": null, "tax_inclusive": false, "hsn_code": null, "sac_code": null,
                "tax_rate": null, "tax_id": null, "tax_group_id": null,
                "created_at": 1_768_478_400, "updated_at": 1_768_478_400,
            },
            "notes": { "a": "b" }, "created_at": 1_768_478_400,
        })
    );
    assert_eq!(rig.read(&format!("/plans/{id}")).await, made);
    let second = rig.plan(100).await;
    assert_eq!(ids(&rig.read("/plans").await), [second, id.clone()]);
    assert_eq!(ids(&rig.read("/plans?skip=1").await), [id.as_str()]);
    assert_eq!(rig.count(&format!("kind=plan&id={id}")).await, 1);
}

#[tokio::test]
async fn a_wrong_plan_is_refused_with_the_shortest_error() {
    let rig = Rig::start().await;
    let item = |change| json!({ "item": with(plan(50_000)["item"].clone(), change) });
    for (change, field, why) in [
        (
            json!({ "period": null }),
            Some("period"),
            "The period field is required.",
        ),
        (
            json!({ "period": "hourly" }),
            Some("period"),
            "The selected period is invalid.",
        ),
        (
            json!({ "interval": null }),
            Some("interval"),
            "The interval field is required.",
        ),
        (
            json!({ "interval": 0 }),
            Some("interval"),
            "The interval must be at least 1.",
        ),
        (
            json!({ "period": "daily", "interval": 6 }),
            Some("interval"),
            "The interval must be at least 7.",
        ),
        (
            json!({ "item": null }),
            Some("item"),
            "The item field is required.",
        ),
        (
            item(json!({ "name": null })),
            Some("name"),
            "The name field is required.",
        ),
        (
            item(json!({ "amount": null })),
            Some("amount"),
            "The amount field is required.",
        ),
        (
            item(json!({ "amount": 99 })),
            Some("amount"),
            "The amount must be at least INR 1.00",
        ),
        (
            item(json!({ "currency": null })),
            Some("currency"),
            "The currency field is required.",
        ),
        (
            item(json!({ "offer": 1 })),
            None,
            "offer is/are not required and should not be sent",
        ),
        (
            json!({ "offer_id": "offer_1" }),
            None,
            "offer_id is/are not required and should not be sent",
        ),
    ] {
        let answer = rig
            .ask(Method::POST, "/plans", with(plan(50_000), change))
            .await;
        let mut error = json!({ "code": "BAD_REQUEST_ERROR", "description": why });
        if let Some(field) = field {
            error["field"] = field.into();
        }
        assert_eq!(
            (answer.status, &answer.body),
            (400, &json!({ "error": error }))
        );
    }
    assert_eq!(rig.effects().await, 0);
}

#[tokio::test]
async fn a_plan_can_not_be_changed_or_deleted() {
    let rig = Rig::start().await;
    let path = format!("/plans/{}", rig.plan(50_000).await);
    for method in [Method::PATCH, Method::PUT, Method::DELETE, Method::POST] {
        let why = "The requested URL was not found on the server.";
        rig.refused(method, &path, Value::Null, why).await;
    }
    for (period, interval) in [("daily", 7), ("weekly", 2), ("quarterly", 1), ("yearly", 1)] {
        let body = with(plan(100), json!({ "period": period, "interval": interval }));
        assert_eq!(rig.post("/plans", body).await["period"], period);
    }
}
