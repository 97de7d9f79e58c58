//! Endpoints: every field, wrong in every way that matters.

use onerouter_tests::harness::{Harness, Setup};
use reqwest::Method;
use serde_json::{Value, json};

use crate::cases::refuses;

const CASES: &str = r#"
url | 5 | /url invalid_type
url | null | /url required
url | "" | /url invalid
url | "http://example.com/hooks" | /url invalid
url | "https://me:secret@example.com/" | /url invalid
url | "https://example.com/#part" | /url invalid
url | "https://127.0.0.1/hooks" | /url invalid
url | "https://[::1]/hooks" | /url invalid
url | "https://169.254.169.254/latest" | /url invalid
url | "https://0x7f.1/" | /url invalid
url | "https://localhost/" | /url invalid
url | "https://example.com/<2030 a>" | /url invalid
description | "" | /description too_short
description | "<501 a>" | /description too_long
event_types | "payment.*" | /event_types invalid_type
event_types | [] | /event_types required
event_types | ["payment.*", "*"] | /event_types/1 invalid
event_types | ["payment.paid"] | /event_types/0 invalid
event_types | ["invoice.*", 5] | /event_types/0 invalid; /event_types/1 invalid_type
event_types | 101 * "sms.*" | /event_types too_many
headers | [] | /headers invalid_type
headers | {"X-A": 5} | /headers/X-A invalid_type
headers | {"X A": "b"} | /headers/X A invalid
headers | {"": "b"} | /headers/ invalid
headers | {"X-A": ""} | /headers/X-A invalid
headers | {"X-A": " b"} | /headers/X-A invalid
headers | {"X-A": "a\nb"} | /headers/X-A invalid
headers | {"X-A": "<501 a>"} | /headers/X-A invalid
headers | {"Host": "b", "content-type": "b", "Webhook-Id": "b"} | /headers/Host invalid; /headers/Webhook-Id invalid; /headers/content-type invalid
headers | {"Connection": "b", "proxy-authorization": "b", "TE": "b"} | /headers/Connection invalid; /headers/TE invalid; /headers/proxy-authorization invalid
headers | {"X-A": "b", "x-a": "c"} | /headers/x-a duplicate
headers | pairs 21 | /headers too_many
ordered | "yes" | /ordered invalid_type
rate_limit | 5 | /rate_limit invalid_type
rate_limit | {} | /rate_limit/per_second required
rate_limit | {"per_second": 0} | /rate_limit/per_second out_of_range
rate_limit | {"per_second": 10001} | /rate_limit/per_second out_of_range
rate_limit | {"per_second": 1, "burst": 2} | /rate_limit/burst unknown_field
signing | "rsa" | /signing invalid
enabled | true | /enabled unknown_field
secret | "whsec_x" | /secret unknown_field
"#;

fn base() -> Value {
    json!({"url": "https://example.com/hooks"})
}

#[tokio::test]
async fn every_wrong_field_of_an_endpoint_is_named() {
    let host = Harness::with(Setup {
        unconnected: true,
        public_webhook_targets: true,
        ..Setup::default()
    })
    .await;
    let acme = host.key("test").await;
    refuses(&acme, "/v1/webhook-endpoints", base, CASES).await;
    // A change is held against the same rules.
    let made = acme.post("/v1/webhook-endpoints", base()).await;
    let path = format!("/v1/webhook-endpoints/{}", made.text("id"));
    let wrong = json!({
        "url": "http://example.com/", "event_types": [], "headers": {"Host": "x"}, "signing": "hmac",
    });
    let wrong = wrong.to_string().into_bytes();
    let refused = acme.send(Method::PATCH, &path, Some(wrong)).await;
    let expected = ["/url", "/event_types", "/headers/Host", "/signing"];
    assert_eq!(
        (refused.status, refused.pointers()),
        (422, expected.to_vec())
    );
    assert_eq!(acme.get(&path).await.json["url"], base()["url"]);
}
