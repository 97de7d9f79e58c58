//! How often a key may be used.

use onerouter_tests::harness::{Client, Harness};
use serde_json::json;

use crate::requests::start;

async fn limited(host: &Harness, per_second: u32, burst: u32) -> Client {
    let rate = json!({"per_second": per_second, "burst": burst});
    let body = json!({"name": "slow", "environment": "test", "rate_limit": rate});
    let made = host.operator().post("/api/api-keys", body).await;
    assert_eq!(made.json["rate_limit"], rate);
    host.client(made.text("key"))
}

#[tokio::test]
async fn every_answer_tells_the_policy_and_what_is_left() {
    let host = start().await;
    let body = json!({"name": "usual", "environment": "test"});
    let made = host.operator().post("/api/api-keys", body).await;
    assert_eq!(
        made.json["rate_limit"],
        json!({"per_second": 100, "burst": 200})
    );
    let usual = host.client(made.text("key"));
    for (path, status) in [("/v1/sms", 200), ("/v1/sms/x", 404), ("/v1/email?x=1", 422)] {
        let answer = usual.get(path).await;
        assert_eq!(answer.status, status);
        assert_eq!(
            answer.header("ratelimit-policy"),
            Some("\"default\";q=200;w=2")
        );
        let left = answer.header("ratelimit").unwrap();
        assert!(
            left.starts_with("\"default\";r=1") && left.contains(";t="),
            "{left}"
        );
    }
    // Who is nobody has no allowance.
    let nobody = host.client("nobody").get("/v1/sms").await;
    assert_eq!((nobody.status, nobody.header("ratelimit")), (401, None));
}

#[tokio::test]
async fn a_key_that_is_used_too_often_is_told_when_to_come_back() {
    let host = start().await;
    let slow = limited(&host, 1, 3).await;
    for left in [2, 1, 0] {
        let answer = slow.get("/v1/sms").await;
        assert_eq!(answer.status, 200);
        let header = answer.header("ratelimit").unwrap();
        assert!(
            header.starts_with(&format!("\"default\";r={left};t=")),
            "{header}"
        );
    }
    let refused = slow.post("/v1/sms", json!({})).await;
    assert_eq!((refused.status, refused.code()), (429, "rate_limited"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(
        refused.header("ratelimit-policy"),
        Some("\"default\";q=3;w=3")
    );
    assert_eq!(refused.header("ratelimit"), Some("\"default\";r=0;t=1"));
    assert_eq!(refused.json["retryable"], true);
    // Nobody else pays for it.
    assert_eq!(host.key("test").await.get("/v1/sms").await.status, 200);
    assert_eq!(host.operator().get("/api/tenants").await.status, 200);
}

#[tokio::test]
async fn a_burst_of_requests_at_once_is_cut_at_the_limit() {
    let host = start().await;
    let slow = limited(&host, 1, 10).await;
    let all = futures_util::future::join_all((0..40).map(|_| slow.get("/v1/sms"))).await;
    let served = all.iter().filter(|answer| answer.status == 200).count();
    assert!((10..=12).contains(&served), "{served}");
    assert!(all.iter().all(|answer| [200, 429].contains(&answer.status)));
}
