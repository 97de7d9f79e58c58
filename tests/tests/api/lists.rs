//! Lists: pages, filters, order.

use chrono::TimeDelta;
use onerouter_tests::database::TestDatabase;
use onerouter_tests::harness::{Client, Harness, Setup};
use serde_json::json;

async fn ids(client: &Client, path: &str) -> Vec<String> {
    let page = client.get(path).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(page.json["object"], "list");
    let data = page.json["data"].as_array().unwrap();
    data.iter()
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Follows the cursors to the end.
async fn pages(client: &Client, path: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut next = path.to_owned();
    loop {
        pages.push(ids(client, &next).await);
        let page = client.get(&next).await;
        match page.json["next_cursor"].as_str() {
            Some(cursor) => {
                assert_eq!(page.json["has_more"], true);
                next = format!("{path}&cursor={cursor}");
            }
            None => {
                assert_eq!(page.json["has_more"], false);
                return pages;
            }
        }
    }
}

#[tokio::test]
async fn forty_five_objects_are_paged_newest_first() {
    let postgres = TestDatabase::postgres().await;
    let url = postgres.as_ref().map(|database| database.url().to_owned());
    for database_url in [None, url] {
        let host = Harness::with(Setup {
            database_url,
            ..Setup::default()
        })
        .await;
        let (acme, operator) = (host.key("test").await, host.operator());
        for n in 0..45 {
            let order = (n % 3).to_string();
            let body = json!({"to": "+14155550123", "body": "Hi", "metadata": {"order": order, "n": n.to_string()}});
            assert_eq!(acme.post("/v1/sms", body).await.status, 201);
        }
        let all = pages(&acme, "/v1/sms?limit=20").await;
        assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [20, 20, 5]);
        let all = all.concat();
        let mut sorted = all.clone();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        sorted.dedup();
        assert_eq!(all, sorted);
        assert_eq!(ids(&acme, "/v1/sms").await, all[..20]);
        assert_eq!(ids(&acme, "/v1/sms?limit=100").await, all);
        let exact = pages(&acme, "/v1/sms?limit=15").await;
        assert_eq!(exact.iter().map(Vec::len).collect::<Vec<_>>(), [15, 15, 15]);

        let filtered = pages(&acme, "/v1/sms?limit=10&metadata[order]=1")
            .await
            .concat();
        assert_eq!(filtered.len(), 15);
        assert_eq!(
            ids(&acme, "/v1/sms?metadata[order]=1&metadata[n]=4")
                .await
                .len(),
            1
        );
        assert_eq!(
            ids(&acme, "/v1/sms?metadata[order]=1&metadata[n]=5")
                .await
                .len(),
            0
        );
        assert_eq!(ids(&acme, "/v1/email").await.len(), 0);

        // Keys and tenants have the same pages.
        for n in 0..5 {
            host.tenant(&format!("Tenant {n}")).await;
            operator
                .post("/api/api-keys", json!({"name": "k", "environment": "live"}))
                .await;
        }
        for path in ["/api/tenants", "/api/api-keys"] {
            let whole = ids(&operator, path).await;
            assert_eq!(whole.len(), 6, "{path}");
            let cut = pages(&operator, &format!("{path}?limit=4")).await;
            assert_eq!((cut[0].len(), cut.concat()), (4, whole));
        }
        host.stop().await;
    }
}

#[tokio::test]
async fn filters_choose_by_status_provider_and_time() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let sms = json!({"to": "+14155550123", "body": "Hi"});
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(acme.post("/v1/sms", sms.clone()).await);
        host.clock.advance(TimeDelta::minutes(1));
    }
    // Nobody has this number at the provider: the object is kept as failed.
    let failed = acme
        .post("/v1/sms", json!({"to": "+15005550001", "body": "Hi"}))
        .await;
    assert_eq!(failed.code(), "provider_rejected", "{failed:?}");

    let count = async |query: &str| ids(&acme, &format!("/v1/sms?{query}")).await.len();
    assert_eq!(count("status=failed").await, 1);
    assert_eq!(count("status=queued").await, 3);
    assert_eq!(count("provider=twilio").await, 4);
    assert_eq!(count("provider=nobody").await, 0);
    let second = made[1].text("created_at");
    assert_eq!(count(&format!("created_after={second}")).await, 3);
    assert_eq!(count(&format!("created_before={second}")).await, 1);
    assert_eq!(
        count(&format!("created_after={second}&created_before={second}")).await,
        0
    );
    assert_eq!(
        count(&format!("created_before={second}&status=failed")).await,
        0
    );
    // An offset, and more digits than are kept.
    assert_eq!(
        count("created_after=2001-01-01T00%3A00%3A00.1234567%2B02%3A00").await,
        4
    );
}
