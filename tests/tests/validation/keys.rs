//! The fields of API keys and tenants.

use onerouter_tests::harness::{Harness, Setup};
use reqwest::Method;
use serde_json::{Value, json};

use crate::cases::refuses;

const CREATE: &str = r#"
name | null | /name required
name | "" | /name too_short
name | "<101 n>" | /name too_long
name | "a\u0000" | /name invalid
environment | null | /environment required
environment | "TEST" | /environment invalid
scopes | "sms:read" | /scopes invalid_type
scopes | ["sms:read", "sms:fly"] | /scopes/1 invalid
scopes | ["*"] | /scopes/0 invalid
scopes | 19 * "sms:read" | /scopes too_many
expires_at | "soon" | /expires_at invalid
expires_at | "2001-01-31T09:30:00Z" | /expires_at out_of_range
rate_limit | 5 | /rate_limit invalid_type
rate_limit | {} | /rate_limit/per_second required; /rate_limit/burst required
rate_limit | {"per_second": 0, "burst": 100001} | /rate_limit/per_second out_of_range; /rate_limit/burst out_of_range
rate_limit | {"per_second": 1.5, "burst": "5"} | /rate_limit/per_second invalid_type; /rate_limit/burst invalid_type
rate_limit | {"per_second": 1, "burst": 1, "window": 1} | /rate_limit/window unknown_field
role | "admin" | /role unknown_field
"#;

const ROLL: &str = r#"
overlap_seconds | -1 | /overlap_seconds out_of_range
overlap_seconds | 2592001 | /overlap_seconds out_of_range
overlap_seconds | "60" | /overlap_seconds invalid_type
overlap_seconds | 1e300 | /overlap_seconds invalid_type
overlap_seconds | 99999999999999999999 | /overlap_seconds invalid_type
overlap | 60 | /overlap unknown_field
"#;

const TENANT: &str = r#"
name | null | /name required
name | "" | /name too_short
name | "<101 n>" | /name too_long
name | 5 | /name invalid_type
id | "ten_1" | /id unknown_field
"#;

async fn start() -> Harness {
    let setup = Setup {
        unconnected: true,
        ..Setup::default()
    };
    Harness::with(setup).await
}

fn key() -> Value {
    json!({"name": "shop", "environment": "test"})
}

#[tokio::test]
async fn every_rule_of_an_api_key_is_named() {
    let host = start().await;
    refuses(&host.operator(), "/api/api-keys", key, CREATE).await;
}

#[tokio::test]
async fn every_rule_of_a_roll_is_named() {
    let host = start().await;
    let operator = host.operator();
    let made = operator.post("/api/api-keys", key()).await;
    let path = format!("/api/api-keys/{}/roll", made.text("id"));
    refuses(&operator, &path, || json!({}), ROLL).await;
}

#[tokio::test]
async fn every_rule_of_a_tenant_is_named() {
    let host = start().await;
    let acme = || json!({"name": "Acme"});
    refuses(&host.operator(), "/api/tenants", acme, TENANT).await;
}

#[tokio::test]
async fn times_are_cut_to_microseconds() {
    let host = start().await;
    let operator = host.operator();
    for (given, kept) in [
        (
            "2999-01-31T10:30:00.1234569+01:00",
            "2999-01-31T09:30:00.123456Z",
        ),
        ("2999-01-31T09:30:00Z", "2999-01-31T09:30:00.000000Z"),
        // A leap second is the first of the next minute, in every store.
        ("2998-12-31T23:59:60.5Z", "2999-01-01T00:00:00.500000Z"),
    ] {
        let body = json!({"name": "k", "environment": "test", "expires_at": given});
        let made = operator.post("/api/api-keys", body).await;
        assert_eq!(made.text("expires_at"), kept, "{given}");
        assert_eq!(made.text("created_at").len(), kept.len());
    }
    // 64 bits would hold later ones, but the stores and four digits of a year do not.
    let body = json!({"name": "k", "environment": "test", "expires_at": "+10000-01-01T00:00:00Z"});
    assert_eq!(operator.post("/api/api-keys", body).await.status, 422);
}

/// JSON knows no integers, and a schema's `integer` means any number without a fraction.
#[tokio::test]
async fn a_whole_number_may_be_written_with_a_fraction_of_zeros() {
    let host = start().await;
    let operator = host.operator();
    for (given, status) in [("3.0", 201), ("3.000", 201), ("3.001", 422), ("0.0", 422)] {
        let body = format!(
            r#"{{"name":"k","environment":"test","rate_limit":{{"per_second":{given},"burst":5}}}}"#
        );
        let made = operator
            .send(Method::POST, "/api/api-keys", Some(body.into_bytes()))
            .await;
        assert_eq!(made.status, status, "{given}: {made:?}");
        if status == 201 {
            assert_eq!(made.json["rate_limit"]["per_second"], 3);
        }
    }
}
