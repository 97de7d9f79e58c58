//! How tenants say what they want: read, written, refused with a pointer, kept apart.

use onerouter_tests::harness::Harness;
use onerouter_tests::scenarios;
use onerouter_tests::write_path::Ground;
use serde_json::{Value, json};

use crate::{SIMULATE, SMS, connection, put};

const LIVE: &str = "/api/services/sms/routing?environment=live";

scenarios!(
    a_policy_is_read_back_as_it_was_written,
    a_policy_is_written_over_the_version_that_was_read,
    policies_of_tenants_categories_and_environments_are_apart,
);

async fn a_policy_is_read_back_as_it_was_written(ground: Ground) {
    let host = ground.host().await;
    let operator = host.operator();
    let none = operator.get(SMS).await;
    assert_eq!(none.status, 200, "{none:?}");
    let expected = json!({
        "object": "routing_policy", "service": "sms", "environment": "test", "livemode": false,
        "order": [], "rules": [], "failover": false, "version": 0, "updated_at": null,
    });
    assert_eq!(none.json, expected);

    let twilio = connection(&operator, "twilio", "default").await;
    let policy = json!({
        "order": [{"connection_id": twilio}],
        "rules": [{
            "name": "uk", "when": {"to_prefixes": ["+44"], "metadata": {"team": "a"}},
            "order": [{"connection_id": twilio, "priority": 3, "weight": 0}],
        }],
        "failover": false,
    });
    let written = put(&operator, SMS, policy).await;
    assert_eq!(written.status, 200, "{written:?}");
    assert_eq!(written.json["version"], 1);
    assert_eq!(
        written.json["order"],
        json!([{"connection_id": twilio, "priority": 1, "weight": 100}])
    );
    let rule = json!({
        "name": "uk", "when": {"to_prefixes": ["+44"], "metadata": {"team": "a"}},
        "order": [{"connection_id": twilio, "priority": 3, "weight": 0}],
    });
    assert_eq!(written.json["rules"], json!([rule]));
    assert_eq!(written.json["failover"], false);
    assert_eq!(operator.get(SMS).await.json, written.json);

    // What would be written can be tried first.
    let tried = json!({"policy": {"order": [{"connection_id": twilio}], "version": 1}});
    let simulated = operator.post(SIMULATE, tried).await;
    assert_eq!(simulated.json["chosen"], json!(twilio), "{simulated:?}");

    let empty = put(&operator, SMS, json!({})).await;
    assert_eq!(empty.json["version"], 2);
    assert_eq!(
        (&empty.json["order"], &empty.json["failover"]),
        (&json!([]), &json!(true))
    );
}

async fn a_policy_is_written_over_the_version_that_was_read(ground: Ground) {
    let host = ground.host().await;
    let operator = host.operator();
    let too_early = put(&operator, SMS, json!({"version": 1})).await;
    assert_eq!((too_early.status, too_early.code()), (409, "conflict"));
    assert_eq!(put(&operator, SMS, json!({"version": 0})).await.status, 200);
    let taken = put(&operator, SMS, json!({"version": 0})).await;
    assert_eq!((taken.status, taken.code()), (409, "conflict"));
    let written = put(&operator, SMS, json!({"version": 1})).await;
    assert_eq!((written.status, &written.json["version"]), (200, &json!(2)));
    assert_eq!(put(&operator, SMS, json!({})).await.json["version"], 3);
}

async fn policies_of_tenants_categories_and_environments_are_apart(ground: Ground) {
    let host = ground.host().await;
    let operator = host.operator();
    assert_eq!(put(&operator, SMS, json!({})).await.status, 200);
    let other = host.tenant("other").await;
    for path in [LIVE, "/api/services/email/routing?environment=test"] {
        assert_eq!(operator.get(path).await.json["version"], 0, "{path}");
    }
    assert_eq!(other.get(SMS).await.json["version"], 0);
    // Neither another tenant's connection nor one of another category or environment.
    let twilio = connection(&operator, "twilio", "default").await;
    let resend = connection(&operator, "resend", "default").await;
    for (client, path, id) in [
        (&other, SMS, &twilio),
        (&operator, LIVE, &twilio),
        (&operator, SMS, &resend),
    ] {
        let policy = json!({"order": [{"connection_id": id}]});
        let refused = put(client, path, policy.clone()).await;
        assert_eq!(
            (refused.status, refused.code()),
            (422, "validation_failed"),
            "{path}"
        );
        assert_eq!(refused.pointers(), ["/order/0/connection_id"]);
        let path = path.replace("/routing", "/routing/simulate");
        let refused = client.post(&path, json!({ "policy": policy })).await;
        assert_eq!(
            refused.pointers(),
            ["/policy/order/0/connection_id"],
            "{refused:?}"
        );
    }
    let simulated = other.post(SIMULATE, json!({})).await;
    assert_eq!(simulated.json["candidates"], json!([]), "{simulated:?}");
    assert_eq!(simulated.json["chosen"], Value::Null);
}

#[tokio::test]
async fn every_mistake_in_a_policy_has_its_pointer() {
    let host = Harness::start().await;
    let operator = host.operator();
    let id = connection(&operator, "twilio", "default").await;
    let gone = "con_01h455vb4pex5vsknk084sn02q";
    let target = json!({"connection_id": id});
    let rule = |when: Value| json!({"rules": [{"name": "a", "when": when, "order": [target]}]});
    let rows: Vec<(Value, &str, &str)> = vec![
        (json!([]), "", "invalid_type"),
        (json!({"order": {}}), "/order", "invalid_type"),
        (json!({"order": ["con"]}), "/order/0", "invalid_type"),
        (json!({"order": [{}]}), "/order/0/connection_id", "required"),
        (
            json!({"order": [{"connection_id": "x"}]}),
            "/order/0/connection_id",
            "invalid",
        ),
        (
            json!({"order": [{"connection_id": gone}]}),
            "/order/0/connection_id",
            "invalid",
        ),
        (
            json!({"order": [target, target]}),
            "/order/1/connection_id",
            "duplicate",
        ),
        (
            json!({"order": [{"connection_id": id, "weight": -1}]}),
            "/order/0/weight",
            "out_of_range",
        ),
        (
            json!({"order": [{"connection_id": id, "weight": 10_001}]}),
            "/order/0/weight",
            "out_of_range",
        ),
        (
            json!({"order": [{"connection_id": id, "weight": 1.5}]}),
            "/order/0/weight",
            "invalid_type",
        ),
        (
            json!({"order": [{"connection_id": id, "priority": 0}]}),
            "/order/0/priority",
            "out_of_range",
        ),
        (
            json!({"order": [{"connection_id": id, "priority": 1}, {"connection_id": gone}]}),
            "/order",
            "invalid",
        ),
        (
            json!({"order": [{"connection_id": id, "colour": 1}]}),
            "/order/0/colour",
            "unknown_field",
        ),
        (
            json!({"order": vec![target.clone(); 51]}),
            "/order",
            "too_many",
        ),
        (json!({"failover": "yes"}), "/failover", "invalid_type"),
        (json!({"version": -1}), "/version", "out_of_range"),
        (json!({"colour": "red"}), "/colour", "unknown_field"),
        (json!({"rules": [{}]}), "/rules/0/name", "required"),
        (
            json!({"rules": [{"name": "", "when": {"to_prefixes": ["+1"]}, "order": [target]}]}),
            "/rules/0/name",
            "too_short",
        ),
        (
            json!({"rules": [{"name": "a", "order": [target]}]}),
            "/rules/0/when",
            "required",
        ),
        (
            json!({"rules": [{"name": "a", "when": [], "order": [target]}]}),
            "/rules/0/when",
            "invalid_type",
        ),
        (
            json!({"rules": [{"name": "a", "when": {"to_prefixes": ["+1"]}, "order": []}]}),
            "/rules/0/order",
            "required",
        ),
        (
            json!({"rules": [{"name": "a", "when": {"to_prefixes": ["+1"]}, "order": [{"connection_id": gone}]}]}),
            "/rules/0/order/0/connection_id",
            "invalid",
        ),
        (rule(json!({})), "/rules/0/when", "required"),
        (
            rule(json!({"to_prefixes": []})),
            "/rules/0/when/to_prefixes",
            "required",
        ),
        (
            rule(json!({"to_prefixes": ["+1", "44"]})),
            "/rules/0/when/to_prefixes/1",
            "invalid",
        ),
        (
            rule(json!({"to_prefixes": [1]})),
            "/rules/0/when/to_prefixes/0",
            "invalid_type",
        ),
        (
            rule(json!({"to_domains": ["example.com"]})),
            "/rules/0/when/to_domains",
            "unsupported",
        ),
        (
            rule(json!({"metadata": {"a b": "c"}})),
            "/rules/0/when/metadata/a b",
            "invalid",
        ),
        (
            rule(json!({"metadata": {"a": 1}})),
            "/rules/0/when/metadata/a",
            "invalid_type",
        ),
        (
            rule(json!({"country": "GB"})),
            "/rules/0/when/country",
            "unknown_field",
        ),
        (
            json!({"rules": [
                {"name": "a", "when": {"to_prefixes": ["+1"]}, "order": [target]},
                {"name": "a", "when": {"to_prefixes": ["+2"]}, "order": [target]},
            ]}),
            "/rules/1/name",
            "duplicate",
        ),
    ];
    assert_eq!(rows.len(), 32);
    for (policy, pointer, code) in rows {
        let refused = put(&operator, SMS, policy.clone()).await;
        assert_eq!(
            (refused.status, refused.code()),
            (422, "validation_failed"),
            "{policy}"
        );
        let errors = refused.json["errors"].as_array().unwrap();
        assert!(
            errors
                .iter()
                .any(|error| error["pointer"] == pointer && error["code"] == code),
            "{policy}: {}",
            refused.json["errors"]
        );
    }
    let email = "/api/services/email/routing?environment=test";
    let resend = connection(&operator, "resend", "default").await;
    for domain in ["nodot", "-a.example", "a..example", "a b.example"] {
        let when = json!({"to_domains": [domain]});
        let order = json!([{"connection_id": resend}]);
        let policy = json!({"rules": [{"name": "a", "when": when, "order": order}]});
        let refused = put(&operator, email, policy).await;
        assert_eq!(
            refused.pointers(),
            ["/rules/0/when/to_domains/0"],
            "{domain}"
        );
    }
    for (path, status, pointers) in [
        ("/api/services/sms/routing", 422, vec!["?environment"]),
        (
            "/api/services/sms/routing?environment=prod",
            422,
            vec!["?environment"],
        ),
        (
            "/api/services/sms/routing?environment=test&a=1",
            422,
            vec!["?a"],
        ),
        ("/api/services/fax/routing?environment=test", 404, vec![]),
    ] {
        let refused = operator.get(path).await;
        assert_eq!(
            (refused.status, refused.pointers()),
            (status, pointers),
            "{path}"
        );
        let refused = put(&operator, path, json!({})).await;
        assert_eq!(refused.status, status, "{path}");
    }
    assert_eq!(
        operator.get(SMS).await.json["version"],
        0,
        "nothing was kept"
    );
}

#[tokio::test]
async fn a_client_key_neither_reads_nor_writes_policies() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    for refused in [
        acme.get(SMS).await,
        put(&acme, SMS, json!({})).await,
        acme.post(SIMULATE, json!({})).await,
    ] {
        assert_eq!((refused.status, refused.code()), (401, "invalid_api_key"));
    }
}
