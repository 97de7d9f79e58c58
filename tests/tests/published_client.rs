//! The client that is on PyPI as `onerouter` works against the gateway as it is.
//!
//! Its calls stand in `tests/published_client/walk.py`.

use std::path::Path;
use std::sync::Arc;

use axum::routing::post;
use chrono::TimeDelta;
use onerouter_tests::harness::{Client, Harness};
use onerouter_tests::write_path::advance;
use serde_json::json;
use tokio::net::TcpListener;

/// The interpreter, as `cargo xtask` has installed it.
const PROGRAM: &str = "ONEROUTER_TEST_PUBLISHED_CLIENT";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_of_the_published_client_works_unmodified() {
    let host = Arc::new(Harness::start().await);
    let caller = host.key("test").await;
    let later = clock(Arc::clone(&host)).await;
    let start_date = (host.clock.now() + TimeDelta::days(30)).to_rfc3339();
    let facts = async |provider: &str, currency: &str, method: &str| {
        json!({
            "currency": currency,
            "method": method,
            "start_date": start_date,
            "plans": [
                plan(&caller, provider, currency, 20).await,
                plan(&caller, provider, currency, 30).await,
            ],
        })
    };
    let providers = json!({
        "razorpay": facts("razorpay", "INR", "upi").await,
        "paypal": facts("paypal", "USD", "paypal").await,
    });
    let program = std::env::var_os(PROGRAM)
        .unwrap_or_else(|| panic!("{PROGRAM} is not set; run cargo xtask test"));
    let walk = Path::new(env!("CARGO_MANIFEST_DIR")).join("published_client/walk.py");
    let output = tokio::process::Command::new(program)
        .arg(walk)
        .env("ONEROUTER_BASE_URL", &caller.base)
        .env("ONEROUTER_API_KEY", &caller.token)
        .env("ONEROUTER_PROVIDERS", providers.to_string())
        .env("ONEROUTER_SANDBOX_URL", host.sandbox.url())
        .env("ONEROUTER_LATER_URL", later)
        .env("NO_PROXY", "127.0.0.1")
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}

/// The client cannot make plans.
async fn plan(caller: &Client, provider: &str, currency: &str, amount: u32) -> String {
    let body = json!({"name": "Pro", "amount": amount, "currency": currency, "interval": "month",
        "provider": provider});
    let plan = caller.post("/v1/plans", body).await;
    assert_eq!(plan.status, 201, "{plan:?}");
    plan.text("id").to_owned()
}

/// Moves the clocks on when it is called, so that nobody has to wait. Ends with the runtime.
async fn clock(host: Arc<Harness>) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let router = axum::Router::new().route(
        "/",
        post(async move || advance(&host, TimeDelta::seconds(6))),
    );
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}
