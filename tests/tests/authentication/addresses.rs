//! From where a key may be used.

use onerouter_tests::harness::{Client, Harness, Setup};
use serde_json::{Value, json};

async fn start(trusted: &[&'static str]) -> Harness {
    let setup = Setup {
        unconnected: true,
        trusted_proxies: trusted.to_vec(),
        ..Setup::default()
    };
    Harness::with(setup).await
}

async fn key(host: &Harness, allowed: Value) -> Client {
    let body = json!({"name": "shop", "environment": "test", "allowed_ips": allowed});
    let made = host.operator().post("/api/api-keys", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    host.client(made.text("key"))
}

async fn status(client: &Client) -> u16 {
    client.get("/v1/sms").await.status
}

#[tokio::test]
async fn a_key_is_used_from_where_it_may_be() {
    let host = start(&[]).await;
    for allowed in [
        json!(null),
        json!(["127.0.0.1"]),
        json!(["10.0.0.0/8", "127.0.0.0/8"]),
        json!(["0.0.0.0/0"]),
        json!(["::ffff:127.0.0.1"]),
    ] {
        assert_eq!(
            status(&key(&host, allowed.clone()).await).await,
            200,
            "{allowed}"
        );
    }
    for allowed in [json!([]), json!(["10.0.0.0/8"]), json!(["::/0"])] {
        let client = key(&host, allowed.clone()).await;
        let refused = client.get("/v1/sms").await;
        assert_eq!(
            (refused.status, refused.code()),
            (403, "insufficient_scope"),
            "{allowed}"
        );
        assert!(refused.text("detail").contains("127.0.0.1"), "{refused:?}");
        // Nobody is believed who is not a proxy of the house.
        let claimed = client.with("X-Forwarded-For", "10.1.2.3");
        assert_eq!(status(&claimed).await, 403, "{allowed}");
    }
    host.stop().await;
}

#[tokio::test]
async fn behind_a_trusted_proxy_its_client_counts() {
    let host = start(&["127.0.0.1/32", "192.168.0.0/16"]).await;
    let client = key(&host, json!(["203.0.113.0/24"])).await;
    assert_eq!(status(&client).await, 403);
    for (forwarded, expected) in [
        ("203.0.113.7", 200),
        ("203.0.113.7, 192.168.1.1", 200),
        ("198.51.100.1", 403),
        // What a client writes itself stands before what the proxy adds.
        ("203.0.113.7, 198.51.100.1", 403),
        ("203.0.113.7, nonsense", 403),
    ] {
        let forwarded_client = client.with("X-Forwarded-For", forwarded);
        assert_eq!(status(&forwarded_client).await, expected, "{forwarded}");
    }
    let operator = host.operator().with("X-Forwarded-For", "203.0.113.7");
    operator.post("/api/tenants", json!({"name": "Acme"})).await;
    let tenants = host.operator().get("/api/tenants").await;
    let acme = tenants.json["data"][0]["id"].as_str().unwrap().to_owned();
    let of_acme = host.operator().with("OneRouter-Tenant", &acme);
    let log = of_acme.get("/api/audit").await;
    assert_eq!(log.json["data"][0]["address"], "203.0.113.7");
    host.stop().await;
}

#[tokio::test]
async fn the_list_is_checked_shown_and_kept_by_a_roll() {
    let host = start(&[]).await;
    let operator = host.operator();
    let mut body = json!({"name": "shop", "environment": "test"});
    body["allowed_ips"] = json!(["10.0.0.0/33", "10.0.0.1", "example.com", ""]);
    let refused = operator.post("/api/api-keys", body.clone()).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    let wrong = ["/allowed_ips/0", "/allowed_ips/2", "/allowed_ips/3"];
    assert_eq!(refused.pointers(), wrong);
    body["allowed_ips"] = json!(vec!["10.0.0.1"; 101]);
    let refused = operator.post("/api/api-keys", body.clone()).await;
    assert_eq!(refused.pointers(), ["/allowed_ips"]);

    body["allowed_ips"] = json!(["10.1.2.3/8", "203.0.113.7"]);
    let made = operator.post("/api/api-keys", body).await;
    let shown = json!(["10.0.0.0/8", "203.0.113.7/32"]);
    assert_eq!(made.json["allowed_ips"], shown);
    let roll = format!("/api/api-keys/{}/roll", made.text("id"));
    let rolled = operator.post(&roll, json!({})).await;
    assert_eq!(rolled.json["allowed_ips"], shown);
    assert_eq!(status(&host.client(rolled.text("key"))).await, 403);
    host.stop().await;
}
