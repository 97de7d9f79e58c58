//! Every operation of the OpenAPI document, tried as a stranger, without scopes, and with another
//! tenant's ids. An operation that is new fails here until it has a case.

use std::collections::BTreeMap;

use onerouter_tests::harness::{Client, Harness, Reply};
use reqwest::Method;
use serde_json::{Value, json};

/// What another tenant sees of an operation.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Isolation {
    /// The object is not there.
    NotFound,
    /// A list without it.
    Empty,
    /// It makes something of its own, and sees nothing of the other's.
    Own,
    /// Operators see all of them.
    Shared,
    /// It tells nothing of anybody.
    Open,
}

/// The case of every operation: how it is called on the first tenant's objects (`{sms}`, `{email}`,
/// `{key}`, `{payment}`, …), and what the second tenant sees then.
const CASES: [(&str, &str, Isolation); 75] = [
    ("sms.create", "/v1/sms", Isolation::Own),
    ("sms.list", "/v1/sms", Isolation::Empty),
    ("sms.get", "/v1/sms/{sms}", Isolation::NotFound),
    ("sms.cancel", "/v1/sms/{sms}/cancel", Isolation::NotFound),
    ("email.create", "/v1/email", Isolation::Own),
    ("email.list", "/v1/email", Isolation::Empty),
    ("email.create_batch", "/v1/email/batch", Isolation::Own),
    ("email.get", "/v1/email/{email}", Isolation::NotFound),
    (
        "email.cancel",
        "/v1/email/{email}/cancel",
        Isolation::NotFound,
    ),
    ("payments.create", "/v1/payments", Isolation::Own),
    (
        "payments.create_order",
        "/v1/payments/orders",
        Isolation::Own,
    ),
    ("payments.list", "/v1/payments", Isolation::Empty),
    (
        "payments.get",
        "/v1/payments/{payment}",
        Isolation::NotFound,
    ),
    (
        "payments.get_order",
        "/v1/payments/orders/{payment}",
        Isolation::NotFound,
    ),
    (
        "payments.capture",
        "/v1/payments/{payment}/capture",
        Isolation::NotFound,
    ),
    (
        "payments.cancel",
        "/v1/payments/{payment}/cancel",
        Isolation::NotFound,
    ),
    (
        "payments.confirm",
        "/v1/payments/{payment}/confirm",
        Isolation::NotFound,
    ),
    // Of the first tenant's payment.
    ("refunds.create", "/v1/refunds", Isolation::NotFound),
    (
        "refunds.create_of_payment",
        "/v1/payments/refund",
        Isolation::NotFound,
    ),
    ("refunds.list", "/v1/refunds", Isolation::Empty),
    ("refunds.get", "/v1/refunds/{refund}", Isolation::NotFound),
    ("plans.create", "/v1/plans", Isolation::Own),
    ("plans.list", "/v1/plans", Isolation::Empty),
    ("plans.get", "/v1/plans/{plan}", Isolation::NotFound),
    // To the first tenant's plan.
    (
        "subscriptions.create",
        "/v1/subscriptions",
        Isolation::NotFound,
    ),
    ("subscriptions.list", "/v1/subscriptions", Isolation::Empty),
    (
        "subscriptions.get",
        "/v1/subscriptions/{subscription}",
        Isolation::NotFound,
    ),
    (
        "subscriptions.cancel",
        "/v1/subscriptions/{subscription}/cancel",
        Isolation::NotFound,
    ),
    (
        "subscriptions.pause",
        "/v1/subscriptions/{subscription}/pause",
        Isolation::NotFound,
    ),
    (
        "subscriptions.resume",
        "/v1/subscriptions/{subscription}/resume",
        Isolation::NotFound,
    ),
    (
        "subscriptions.change_plan",
        "/v1/subscriptions/{subscription}/change_plan",
        Isolation::NotFound,
    ),
    ("payment_links.create", "/v1/payment-links", Isolation::Own),
    ("payment_links.list", "/v1/payment-links", Isolation::Empty),
    (
        "payment_links.get",
        "/v1/payment-links/{link}",
        Isolation::NotFound,
    ),
    (
        "payment_links.cancel",
        "/v1/payment-links/{link}/cancel",
        Isolation::NotFound,
    ),
    ("events.list", "/v1/events", Isolation::Empty),
    ("events.create_sample", "/v1/events", Isolation::Own),
    ("events.get", "/v1/events/{event}", Isolation::NotFound),
    (
        "events.resend",
        "/v1/events/{event}/resend",
        Isolation::NotFound,
    ),
    (
        "webhook_endpoints.create",
        "/v1/webhook-endpoints",
        Isolation::Own,
    ),
    (
        "webhook_endpoints.list",
        "/v1/webhook-endpoints",
        Isolation::Empty,
    ),
    (
        "webhook_endpoints.get",
        "/v1/webhook-endpoints/{endpoint}",
        Isolation::NotFound,
    ),
    (
        "webhook_endpoints.update",
        "/v1/webhook-endpoints/{endpoint}",
        Isolation::NotFound,
    ),
    (
        "webhook_endpoints.delete",
        "/v1/webhook-endpoints/{endpoint}",
        Isolation::NotFound,
    ),
    (
        "webhook_endpoints.rotate_secret",
        "/v1/webhook-endpoints/{endpoint}/rotate-secret",
        Isolation::NotFound,
    ),
    (
        "webhook_endpoints.list_deliveries",
        "/v1/webhook-endpoints/{endpoint}/deliveries",
        Isolation::NotFound,
    ),
    (
        "webhook_endpoints.get_delivery",
        "/v1/webhook-endpoints/{endpoint}/deliveries/{delivery}",
        Isolation::NotFound,
    ),
    (
        "webhook_endpoints.test",
        "/v1/webhook-endpoints/{endpoint}/test",
        Isolation::NotFound,
    ),
    (
        "webhook_endpoints.resend",
        "/v1/webhook-endpoints/{endpoint}/resend",
        Isolation::NotFound,
    ),
    ("services.list", "/api/services", Isolation::Empty),
    (
        "services.connect",
        "/api/services/email/resend/connect",
        Isolation::Own,
    ),
    (
        "services.disconnect",
        "/api/services/sms/twilio?environment=test",
        Isolation::NotFound,
    ),
    (
        "routing.get",
        "/api/services/email/routing?environment=test",
        Isolation::Own,
    ),
    // Names the first tenant's connection, which is none of the second's.
    (
        "routing.put",
        "/api/services/email/routing?environment=test",
        Isolation::Own,
    ),
    (
        "routing.simulate",
        "/api/services/email/routing/simulate?environment=test",
        Isolation::Own,
    ),
    (
        "recordings.get",
        "/api/recordings?environment=test",
        Isolation::Own,
    ),
    (
        "recordings.put",
        "/api/recordings?environment=test",
        Isolation::Own,
    ),
    ("api_keys.create", "/api/api-keys", Isolation::Own),
    ("api_keys.list", "/api/api-keys", Isolation::Empty),
    (
        "api_keys.revoke",
        "/api/api-keys/{key}",
        Isolation::NotFound,
    ),
    (
        "api_keys.roll",
        "/api/api-keys/{key}/roll",
        Isolation::NotFound,
    ),
    ("tenants.create", "/api/tenants", Isolation::Shared),
    ("tenants.list", "/api/tenants", Isolation::Shared),
    ("audit.list", "/api/audit", Isolation::Own),
    ("plugins.list", "/api/plugins", Isolation::Shared),
    ("plugins.get", "/api/plugins/twilio", Isolation::Shared),
    // There is no registry.
    ("plugins.install", "/api/plugins/install", Isolation::Own),
    (
        "plugins.activate",
        "/api/plugins/nothing/activate",
        Isolation::NotFound,
    ),
    (
        "plugins.rollback",
        "/api/plugins/nothing/rollback",
        Isolation::NotFound,
    ),
    (
        "plugins.shadow",
        "/api/plugins/nothing/shadow",
        Isolation::NotFound,
    ),
    (
        "plugins.remove",
        "/api/plugins/nothing",
        Isolation::NotFound,
    ),
    ("plugin_keys.list", "/api/plugins/keys", Isolation::Shared),
    (
        "plugin_keys.distrust",
        "/api/plugins/keys/sha256:0000000000000000000000000000000000000000000000000000000000000000",
        Isolation::NotFound,
    ),
    ("marketplace.list", "/api/marketplace", Isolation::NotFound),
    (
        "marketplace.get",
        "/api/marketplace/acme",
        Isolation::NotFound,
    ),
];

/// Operations for everybody.
const OPEN: [(&str, &str, Isolation); 3] = [
    ("health.get", "/api/health", Isolation::Open),
    ("health.live", "/api/health/live", Isolation::Open),
    ("health.ready", "/api/health/ready", Isolation::Open),
];

/// Operations that ask for a provider's signature in place of a token.
const SIGNED: [(&str, &str, Isolation); 1] = [(
    "webhooks.receive",
    "/webhooks/resend/{connection}",
    Isolation::Open,
)];

struct Operation {
    method: Method,
    template: String,
    security: Value,
    example: Option<Value>,
}

async fn operations(host: &Harness) -> BTreeMap<String, Operation> {
    let document = host.client("").get("/openapi.json").await.json;
    let mut operations = BTreeMap::new();
    for (template, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let body = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
            let schema = body
                .as_str()
                .map(|path| document.pointer(&path[1..]).unwrap());
            let found = Operation {
                method: method.to_uppercase().parse().unwrap(),
                template: template.clone(),
                security: operation["security"].clone(),
                example: schema.and_then(|schema| schema.get("example").cloned()),
            };
            operations.insert(operation["operationId"].as_str().unwrap().to_owned(), found);
        }
    }
    operations
}

/// A host with an object of every kind that belongs to the default tenant.
struct Stage {
    host: Harness,
    names: [(&'static str, String); 12],
}

/// The ids in the examples of bodies, and whose place they take.
const EXAMPLES: [(&str, &str); 3] = [
    ("we_01h455vb4pex5vsknk084sn02q", "{endpoint}"),
    ("pay_01h455vb4pex5vsknk084sn02q", "{payment}"),
    ("plan_01h455vb4pex5vsknk084sn02q", "{plan}"),
];

/// A payment that was paid, and what belongs to payments.
async fn paying(host: &Harness, acme: &Client) -> [(&'static str, String); 5] {
    let make = async |path: &str, body: Value| {
        let made = acme.post(path, body).await;
        assert_eq!(made.status, 201, "{made:?}");
        made
    };
    let amount = |more: Value| {
        let mut body = json!({"amount": 50, "currency": "USD", "provider": "paypal"});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };
    let payment = make("/v1/payments", amount(json!({}))).await;
    let checkout = format!("/_sandbox/checkouts/{}", payment.text("provider_order_id"));
    host.control(Method::POST, &checkout, Some(json!({"action": "approve"})))
        .await;
    host.clock.advance(chrono::TimeDelta::seconds(3));
    let paid = format!("/v1/payments/{}", payment.text("id"));
    assert_eq!(acme.get(&paid).await.text("status"), "succeeded");
    let refund = make("/v1/refunds", json!({"payment_id": payment.text("id")})).await;
    let plan = amount(json!({"name": "Pro", "interval": "month"}));
    let plan = make("/v1/plans", plan).await;
    let subscription = make("/v1/subscriptions", json!({"plan_id": plan.text("id")})).await;
    let link = make("/v1/payment-links", amount(json!({"description": "Hi"}))).await;
    [
        ("{payment}", payment),
        ("{refund}", refund),
        ("{plan}", plan),
        ("{subscription}", subscription),
        ("{link}", link),
    ]
    .map(|(name, made)| (name, made.text("id").to_owned()))
}

impl Stage {
    async fn set() -> Self {
        let host = Harness::start().await;
        let acme = host.key("test").await;
        let sms = acme
            .post("/v1/sms", json!({"to": "+14155550123", "body": "Hi"}))
            .await;
        let email = json!({"to": "ada@example.com", "subject": "Hi", "text_body": "Hello"});
        let email = acme.post("/v1/email", email).await;
        let key = host
            .operator()
            .post("/api/api-keys", json!({"name": "k", "environment": "test"}))
            .await;
        let listed = host.operator().get("/api/services").await;
        let connection = listed.json["data"][0]["id"].as_str().unwrap().to_owned();
        let policy = json!({"order": [{"connection_id": connection}]}).to_string();
        let routing = "/api/services/email/routing?environment=test";
        let put = host
            .operator()
            .send(Method::PUT, routing, Some(policy.into_bytes()))
            .await;
        assert_eq!(put.status, 200, "{put:?}");
        let [payment, refund, plan, subscription, link] = paying(&host, &acme).await;
        let hooks = json!({"url": "https://example.com/hooks"});
        let endpoint = acme.post("/v1/webhook-endpoints", hooks).await;
        let path = format!("/v1/webhook-endpoints/{}", endpoint.text("id"));
        let delivery = acme.post(&format!("{path}/test"), json!({})).await;
        assert_eq!(delivery.status, 200, "{delivery:?}");
        let names = [
            ("{connection}", connection),
            ("{sms}", sms.text("id").to_owned()),
            ("{email}", email.text("id").to_owned()),
            ("{key}", key.text("id").to_owned()),
            payment,
            refund,
            plan,
            subscription,
            link,
            ("{endpoint}", endpoint.text("id").to_owned()),
            ("{event}", delivery.text("event_id").to_owned()),
            ("{delivery}", delivery.text("id").to_owned()),
        ];
        Self { host, names }
    }

    async fn call(&self, client: &Client, operation: &Operation, path: &str) -> Reply {
        let named = |text: String| {
            let names = self.names.iter();
            names.fold(text, |text, (name, id)| text.replace(name, id))
        };
        let path = named(path.to_owned());
        let body = operation.example.as_ref().map(|example| {
            let examples = EXAMPLES.iter();
            let body = examples.fold(example.to_string(), |body, (id, name)| {
                body.replace(id, name)
            });
            named(body).into_bytes()
        });
        client.send(operation.method.clone(), &path, body).await
    }
}

fn fits(template: &str, path: &str) -> bool {
    let bare = path.split('?').next().unwrap();
    let (mut template, mut path) = (template.split('/'), bare.split('/'));
    loop {
        match (template.next(), path.next()) {
            (None, None) => return true,
            (Some(part), Some(given)) if part == given || part.starts_with('{') => {}
            _ => return false,
        }
    }
}

#[tokio::test]
async fn every_operation_has_a_case() {
    let stage = Stage::set().await;
    let operations = operations(&stage.host).await;
    let cases: BTreeMap<_, _> = CASES
        .iter()
        .chain(&OPEN)
        .chain(&SIGNED)
        .map(|(id, path, _)| (*id, *path))
        .collect();
    let known: Vec<&str> = operations.keys().map(String::as_str).collect();
    let covered: Vec<&str> = cases.keys().copied().collect();
    assert_eq!(covered, known, "cases, and operations of the document");
    for (id, operation) in &operations {
        assert!(fits(&operation.template, cases[id.as_str()]), "{id}");
    }
}

#[tokio::test]
async fn a_stranger_can_do_nothing() {
    let stage = Stage::set().await;
    let operations = operations(&stage.host).await;
    for (id, path, _) in CASES {
        let operation = &operations[id];
        for token in ["", "x", "unf_test_00000000000000000000000000000000000000"] {
            let answer = stage.call(&stage.host.client(token), operation, path).await;
            assert_eq!(
                (answer.status, answer.code()),
                (401, "invalid_api_key"),
                "{id} with {token:?}"
            );
        }
        // Neither token opens the other's half.
        let (needed, wrong) = if operation.security == json!([{"api_key": []}]) {
            ("/v1/", stage.host.operator())
        } else {
            assert_eq!(operation.security, json!([{"operator_token": []}]), "{id}");
            ("/api/", stage.host.key("test").await)
        };
        assert!(path.starts_with(needed), "{id}");
        assert_eq!(
            stage.call(&wrong, operation, path).await.status,
            401,
            "{id}"
        );
    }
    for (id, path, _) in SIGNED {
        assert_eq!(operations[id].security, json!([{}]), "{id}");
        for client in [stage.host.client(""), stage.host.operator()] {
            let answer = stage.call(&client, &operations[id], path).await;
            let refused = (answer.status, answer.code());
            assert_eq!(refused, (401, "invalid_signature"), "{id}");
        }
    }
    for (id, path, _) in OPEN {
        assert_eq!(operations[id].security, json!([{}]), "{id}");
        let answer = stage
            .call(&stage.host.client(""), &operations[id], path)
            .await;
        assert_eq!(answer.status, 200, "{id}");
    }
}

#[tokio::test]
async fn a_key_without_scopes_can_do_nothing() {
    let stage = Stage::set().await;
    let operations = operations(&stage.host).await;
    let body = json!({"name": "none", "environment": "test", "scopes": []});
    let made = stage.host.operator().post("/api/api-keys", body).await;
    let client = stage.host.client(made.text("key"));
    let mut tried = 0;
    for (id, path, _) in CASES {
        if operations[id].security == json!([{"api_key": []}]) {
            let answer = stage.call(&client, &operations[id], path).await;
            assert_eq!(
                (answer.status, answer.code()),
                (403, "insufficient_scope"),
                "{id}"
            );
            tried += 1;
        }
    }
    assert_eq!(tried, 49);
}

#[tokio::test]
async fn another_tenant_sees_nothing_of_it() {
    let stage = Stage::set().await;
    let operations = operations(&stage.host).await;
    let bob = stage.host.tenant("Bob").await;
    let bobs_key = stage.host.key_of(&bob, "test").await;
    let own = bob.get("/api/api-keys").await.json["data"][0]["id"].clone();
    // First what looks, then what makes something.
    let (own_cases, cases): (Vec<_>, Vec<_>) = CASES
        .into_iter()
        .partition(|(_, _, isolation)| *isolation == Isolation::Own);
    for (id, path, isolation) in cases.into_iter().chain(own_cases) {
        let operation = &operations[id];
        let client = if path.starts_with("/v1") {
            &bobs_key
        } else {
            &bob
        };
        let answer = stage.call(client, operation, path).await;
        let text = String::from_utf8_lossy(&answer.bytes).into_owned();
        for (_, name) in &stage.names {
            assert!(!text.contains(name.as_str()), "{id} tells {name}");
        }
        match isolation {
            Isolation::NotFound => {
                assert_eq!((answer.status, answer.code()), (404, "not_found"), "{id}")
            }
            Isolation::Empty => {
                let data = answer.json["data"].as_array().unwrap();
                assert!(data.iter().all(|one| one["id"] == own), "{id}: {answer:?}");
            }
            Isolation::Own => assert!(matches!(answer.status, 200 | 201 | 422), "{id}: {answer:?}"),
            Isolation::Shared => assert!(matches!(answer.status, 200 | 201), "{id}: {answer:?}"),
            Isolation::Open => unreachable!("{id}"),
        }
    }
    // And nothing was taken from the first tenant.
    let acme = stage.host.key("test").await;
    let names = &stage.names;
    for (collection, (_, id)) in [
        ("sms", &names[1]),
        ("email", &names[2]),
        ("payments", &names[4]),
        ("subscriptions", &names[7]),
    ] {
        let read = acme.get(&format!("/v1/{collection}/{id}")).await;
        assert_eq!(read.status, 200);
        assert_ne!(read.text("status"), "canceled");
    }
    let endpoint = format!("/v1/webhook-endpoints/{}", names[9].1);
    assert_eq!(acme.get(&endpoint).await.json["status"], "enabled");
    let keys = stage.host.operator().get("/api/api-keys").await.json["data"].clone();
    assert!(
        keys.as_array()
            .unwrap()
            .iter()
            .all(|key| key["revoked_at"].is_null())
    );
    let services = stage.host.operator().get("/api/services").await;
    assert_eq!(services.json["data"].as_array().unwrap().len(), 4);
}
