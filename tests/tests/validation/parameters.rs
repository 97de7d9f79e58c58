//! Query parameters and headers.

use onerouter_tests::harness::{Harness, Setup};
use onerouter_tests::table::Table;
use reqwest::Method;
use serde_json::json;

use crate::cases::{mistakes, with};
use crate::sms::sms;

/// Who, the request, and the one mistake.
const QUERIES: &str = "
client | GET /v1/sms?limit=0 | ?limit invalid
client | GET /v1/sms?limit=101 | ?limit invalid
client | GET /v1/sms?limit=ten | ?limit invalid
client | GET /v1/sms?limit= | ?limit invalid
client | GET /v1/sms?limit=5&limit=6 | ?limit duplicate
client | GET /v1/sms?cursor=abc | ?cursor invalid
client | GET /v1/sms?cursor=em_01h455vb4pex5vsknk084sn02q | ?cursor invalid
client | GET /v1/sms?status=gone | ?status invalid
client | GET /v1/email?status=undelivered | ?status invalid
client | GET /v1/sms?provider=X | ?provider invalid
client | GET /v1/sms?created_after=yesterday | ?created_after invalid
client | GET /v1/email?created_before=1 | ?created_before invalid
client | GET /v1/sms?metadata[a%20b]=1 | ?metadata[a b] invalid
client | GET /v1/sms?metadata[]=1 | ?metadata[] invalid
client | GET /v1/sms?metadata=1 | ?metadata unknown_parameter
client | GET /v1/sms?status=%FF | ?status invalid
client | GET /v1/sms?status=a%00 | ?status invalid
client | GET /v1/sms?page=2 | ?page unknown_parameter
client | GET /v1/sms/ID?refresh=no | ?refresh invalid
client | GET /v1/email/ID?expand=1 | ?expand unknown_parameter
client | POST /v1/sms?dry_run=1 | ?dry_run unknown_parameter
client | POST /v1/sms/ID/cancel?now=1 | ?now unknown_parameter
client | POST /v1/email?dry_run=1 | ?dry_run unknown_parameter
client | POST /v1/email/batch?dry_run=1 | ?dry_run unknown_parameter
client | POST /v1/email/ID/cancel?now | ?now unknown_parameter
operator | GET /api/services?environment=prod | ?environment invalid
operator | POST /api/services/sms/twilio/connect?environment=test | ?environment unknown_parameter
operator | DELETE /api/services/sms/twilio | ?environment required
operator | DELETE /api/services/sms/twilio?environment=test&label= | ?label invalid
operator | GET /api/api-keys?limit=1000 | ?limit invalid
operator | GET /api/api-keys?cursor=x | ?cursor invalid
operator | POST /api/api-keys?name=x | ?name unknown_parameter
operator | DELETE /api/api-keys/ID?force=1 | ?force unknown_parameter
operator | POST /api/api-keys/ID/roll?force=1 | ?force unknown_parameter
operator | GET /api/tenants?limit=0 | ?limit invalid
operator | GET /api/tenants?cursor=x | ?cursor invalid
operator | POST /api/tenants?name=x | ?name unknown_parameter
";

async fn start() -> Harness {
    let setup = Setup {
        unconnected: true,
        ..Setup::default()
    };
    Harness::with(setup).await
}

#[tokio::test]
async fn every_rule_of_a_query_parameter_is_named() {
    let host = start().await;
    let (client, operator) = (host.key("test").await, host.operator());
    let mut table = Table::default();
    let queries: Vec<&str> = QUERIES.lines().filter(|line| !line.is_empty()).collect();
    for query in &queries {
        let [who, request, mistake] = *query.split(" | ").collect::<Vec<_>>() else {
            panic!("not a case: {query}");
        };
        let (method, path) = request.split_once(' ').unwrap();
        let caller = if who == "client" { &client } else { &operator };
        let body = (method == "POST").then(|| b"{}".to_vec());
        let reply = caller.send(method.parse().unwrap(), path, body).await;
        let mut row = table.row(query);
        row.equal("status", &reply.status, &422);
        row.equal("mistakes", &mistakes(&reply), &[mistake]);
    }
    table.end(queries.len());
}

#[tokio::test]
async fn every_rule_of_a_header_is_named() {
    let host = start().await;
    let (acme, operator) = (host.key("test").await, host.operator());
    let long = "k".repeat(256);
    let key = "Idempotency-Key";
    let tenant = "OneRouter-Tenant";
    let key_id = "key_01h455vb4pex5vsknk084sn02q";
    let cases = [
        (acme.with(key, ""), "/v1/sms", key),
        (acme.with(key, "\"open"), "/v1/sms", key),
        (acme.with(key, &long), "/v1/email/batch", key),
        (operator.with(tenant, "acme"), "/api/api-keys", tenant),
        (operator.with(tenant, key_id), "/api/tenants", tenant),
    ];
    for (client, path, header) in cases {
        let reply = client.post(path, json!({})).await;
        assert_eq!(reply.status, 400, "{reply:?}");
        assert_eq!(reply.code(), "invalid_header");
        assert_eq!(mistakes(&reply), [format!("{header} invalid")]);
    }

    // Two headers of one name: nobody knows which one counts.
    let twice = host
        .http
        .request(Method::POST, host.gateway.url() + "/v1/sms");
    let twice = twice.header(key, "one").header(key, "two");
    let twice = twice.bearer_auth(&acme.token).body("{}").send().await;
    let reply = onerouter_tests::harness::reply(twice.unwrap()).await;
    assert_eq!(mistakes(&reply), ["Idempotency-Key invalid"]);

    let body = with(sms(), "idempotency_key", json!("two"));
    let differs = acme.with(key, "one").post("/v1/sms", body).await;
    assert_eq!(mistakes(&differs), ["/idempotency_key conflict"]);
}
