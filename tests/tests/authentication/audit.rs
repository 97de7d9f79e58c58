//! The audit log: who has changed what over the API, and from where.

use onerouter_domain::id::ApiKeyId;
use onerouter_tests::harness::{Client, Setup};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::Ground;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, SqliteConnection};

scenarios!(
    every_change_is_noted_with_who_and_from_where,
    entries_are_listed_by_what_and_when,
    what_is_refused_leaves_no_entry,
    an_entry_stays_as_it_was_written,
);

async fn entries(operator: &Client, query: &str) -> Vec<Value> {
    let listed = operator.get(&format!("/api/audit{query}")).await;
    assert_eq!(listed.status, 200, "{listed:?}");
    listed.json["data"].as_array().unwrap().clone()
}

/// Which entries a change has left, oldest first.
async fn noted<T>(operator: &Client, change: impl Future<Output = T>) -> (T, Vec<Value>) {
    let before = entries(operator, "?limit=100").await.len();
    let changed = change.await;
    let mut after = entries(operator, "?limit=100").await;
    after.truncate(after.len() - before);
    after.reverse();
    (changed, after)
}

fn actions(entries: &[Value]) -> Vec<&str> {
    let actions = entries.iter().map(|entry| entry["action"].as_str());
    actions.map(Option::unwrap).collect()
}

const CONNECT: &str = "/api/services/email/resend/connect";

fn connection(key: &str, from: &str) -> Value {
    json!({
        "environment": "test",
        "credentials": {"api_key": key},
        "settings": {"from_email": from},
    })
}

async fn every_change_is_noted_with_who_and_from_where(ground: Ground) {
    let setup = Setup {
        unconnected: true,
        ..Setup::default()
    };
    let host = ground.host_with(setup).await;
    let operator = host.operator().with("X-Request-Id", "the-request");
    let body = json!({"name": "shop", "environment": "test", "allowed_ips": ["10.0.0.0/8"]});
    let (made, left) = noted(&operator, operator.post("/api/api-keys", body)).await;
    assert_eq!(actions(&left), ["api_key.created"]);
    let created = &left[0];
    assert!(created["id"].as_str().unwrap().starts_with("aud_"));
    assert_eq!(created["object"], "audit_entry");
    assert_eq!(created["actor"], "operator_token");
    assert_eq!(created["address"], "127.0.0.1");
    assert_eq!(created["request_id"], "the-request");
    assert_eq!(created["target"], made.text("id"));
    assert!(created["before"].is_null());
    assert_eq!(created["after"]["name"], "shop");
    assert_eq!(created["after"]["allowed_ips"], json!(["10.0.0.0/8"]));

    let roll = format!("/api/api-keys/{}/roll", made.text("id"));
    let (rolled, left) = noted(&operator, operator.post(&roll, json!({}))).await;
    assert_eq!(actions(&left), ["api_key.rolled", "api_key.created"]);
    assert!(left[0]["before"]["expires_at"].is_null());
    assert!(left[0]["after"]["expires_at"].is_string());
    assert_eq!(left[1]["target"], rolled.text("id"));

    let revoke = format!("/api/api-keys/{}", made.text("id"));
    let (_, left) = noted(&operator, operator.delete(&revoke)).await;
    assert_eq!(actions(&left), ["api_key.revoked"]);
    assert!(left[0]["after"]["revoked_at"].is_string());
    let (again, left) = noted(&operator, operator.delete(&revoke)).await;
    assert_eq!((again.status, actions(&left)), (200, vec![]), "{again:?}");

    let known = host.sandbox.connections();
    let known = known
        .iter()
        .find(|known| known.provider == "resend")
        .unwrap();
    let secret = known.credentials["api_key"].as_str();
    let connect = operator.post(CONNECT, connection(secret, "a@example.com"));
    let (connected, left) = noted(&operator, connect).await;
    assert_eq!(connected.status, 201, "{connected:?}");
    assert_eq!(actions(&left), ["connection.created"]);
    assert_eq!(left[0]["after"]["secrets"], json!(["api_key"]));
    let connect = operator.post(CONNECT, connection(secret, "b@example.com"));
    let (_, left) = noted(&operator, connect).await;
    assert_eq!(actions(&left), ["connection.replaced"]);
    assert_eq!(left[0]["before"]["settings"]["from_email"], "a@example.com");
    assert_eq!(left[0]["after"]["settings"]["from_email"], "b@example.com");

    let routing = "/api/services/email/routing?environment=test";
    let policy = json!({"order": [{"connection_id": connected.text("id")}]}).to_string();
    let put = operator.send(Method::PUT, routing, Some(policy.into_bytes()));
    let (put, left) = noted(&operator, put).await;
    assert_eq!(put.status, 200, "{put:?}");
    assert_eq!(actions(&left), ["routing_policy.written"]);
    assert_eq!(left[0]["target"], "email/test");
    assert_eq!(
        left[0]["after"]["policy"]["order"][0]["connection_id"],
        connected.text("id")
    );

    let gone = operator.delete("/api/services/email/resend?environment=test");
    let (_, left) = noted(&operator, gone).await;
    assert_eq!(actions(&left), ["connection.deleted"]);
    assert!(left[0]["after"].is_null());

    // A tenant's own log begins with its making.
    let other = host.tenant("Acme").await;
    let own = entries(&other, "").await;
    assert_eq!(actions(&own), ["tenant.created"]);
    assert_eq!(own[0]["after"]["name"], "Acme");

    let all = json!(entries(&operator, "?limit=100").await).to_string();
    for secret in [secret, made.text("key"), rolled.text("key")] {
        assert!(!all.contains(secret), "a secret is in the audit log");
    }
    host.stop().await;
}

async fn entries_are_listed_by_what_and_when(ground: Ground) {
    let setup = Setup {
        unconnected: true,
        ..Setup::default()
    };
    let host = ground.host_with(setup).await;
    let operator = host.operator();
    let mut made: Vec<ApiKeyId> = Vec::new();
    for name in ["a", "b", "c"] {
        let body = json!({"name": name, "environment": "test"});
        let key = operator.post("/api/api-keys", body).await;
        made.push(key.text("id").parse().unwrap());
    }
    operator.delete(&format!("/api/api-keys/{}", made[1])).await;
    let first = operator.get("/api/audit?limit=2").await;
    assert_eq!(first.json["has_more"], true);
    let next = format!("/api/audit?limit=2&cursor={}", first.text("next_cursor"));
    let names = |page: &Value| -> Vec<String> {
        let data = page["data"].as_array().unwrap();
        let name = |entry: &Value| entry["after"]["name"].as_str().unwrap().to_owned();
        data.iter().map(name).collect()
    };
    assert_eq!(names(&first.json), ["b", "c"]);
    assert_eq!(names(&operator.get(&next).await.json), ["b", "a"]);
    assert_eq!(entries(&operator, "?action=api_key.revoked").await.len(), 1);
    assert_eq!(
        entries(&operator, &format!("?target={}", made[1]))
            .await
            .len(),
        2
    );
    assert_eq!(
        entries(&operator, "?created_before=2020-01-01T00:00:00Z")
            .await
            .len(),
        0
    );
    assert_eq!(
        entries(&operator, "?created_after=2020-01-01T00:00:00Z&limit=100")
            .await
            .iter()
            .filter(|entry| entry["actor"] != "gateway")
            .count(),
        4
    );
    let wrong = operator.get("/api/audit?since=1&limit=0").await;
    assert_eq!(
        (wrong.status, wrong.pointers()),
        (422, vec!["?limit", "?since"])
    );
    host.stop().await;
}

async fn what_is_refused_leaves_no_entry(ground: Ground) {
    let setup = Setup {
        unconnected: true,
        ..Setup::default()
    };
    let host = ground.host_with(setup).await;
    let operator = host.operator();
    let (refused, left) = noted(&operator, async {
        let refused = operator
            .post(CONNECT, connection("re_of_nobody", "a@example.com"))
            .await;
        let policy = json!({"order": [{"connection_id": "con_01h455vb4pex5vsknk084sn02q"}]});
        let policy = Some(policy.to_string().into_bytes());
        let routing = "/api/services/email/routing?environment=test";
        [
            refused.status,
            operator.send(Method::PUT, routing, policy).await.status,
        ]
    })
    .await;
    assert_eq!((refused, actions(&left)), ([422, 422], vec![]));
    host.stop().await;
}

async fn an_entry_stays_as_it_was_written(ground: Ground) {
    let host = ground.host().await;
    let kept = entries(&host.operator(), "?limit=100").await;
    assert!(!kept.is_empty());
    let named = "set onerouter.tenant = '00000000-0000-7000-8000-000000000001'";
    for change in [
        "update audit_log set actor = 'nobody'",
        "delete from audit_log",
    ] {
        let refused = if ground.url().starts_with("sqlite") {
            let mut database = SqliteConnection::connect(ground.url()).await.unwrap();
            sqlx::query(change).execute(&mut database).await.map(drop)
        } else {
            let mut database = PgConnection::connect(ground.url()).await.unwrap();
            sqlx::query(named).execute(&mut database).await.unwrap();
            sqlx::query(change).execute(&mut database).await.map(drop)
        };
        let refused = refused.unwrap_err().to_string();
        assert!(
            refused.contains("only added to") || refused.contains("permission denied"),
            "{refused}"
        );
    }
    assert_eq!(entries(&host.operator(), "?limit=100").await, kept);
    host.stop().await;
}
