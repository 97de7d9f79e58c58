//! Which connection is chosen: without a policy, by rules, by weights, by the caller's own wish.

use onerouter_sandbox::twilio;
use onerouter_tests::harness::Client;
use onerouter_tests::scenarios;
use onerouter_tests::write_path::{Ground, Provider};
use serde_json::{Value, json};

use crate::{SIMULATE, SMS, connection, message, put, saboteur_first};

scenarios!(
    without_a_policy_the_oldest_serves_alone,
    a_rule_decides_for_what_it_fits,
    weights_share_the_traffic,
    the_provider_that_a_caller_names_serves,
    a_connection_without_a_sender_serves_only_messages_that_have_one,
    a_connection_that_is_gone_is_passed_over,
);

async fn provider_of(acme: &Client, message: Value) -> String {
    let sent = acme.post("/v1/sms", message).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    sent.text("provider").to_owned()
}

async fn without_a_policy_the_oldest_serves_alone(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    assert_eq!(provider_of(&acme, message("Hi")).await, "twilio");
    host.fault(json!({"fault": "error_before", "provider": "twilio", "method": "POST", "status": 429, "code": 20429}))
        .await;
    let refused = acme.post("/v1/sms", message("Hi")).await;
    assert_eq!(
        (refused.status, refused.code()),
        (429, "provider_rate_limited")
    );
    assert_eq!(provider.posted().len(), 0);
    let simulated = host.operator().post(SIMULATE, json!({})).await;
    assert_eq!(simulated.status, 200, "{simulated:?}");
    let operator = host.operator();
    let twilio = connection(&operator, "twilio", "default").await;
    assert_eq!(simulated.json["chosen"], json!(twilio));
    assert_eq!(simulated.json["policy_version"], 0);
    assert_eq!(simulated.json["skipped"][0]["reason"], "not_first");
}

async fn a_rule_decides_for_what_it_fits(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    let operator = host.operator();
    let saboteur = connection(&operator, "saboteur", "default").await;
    let twilio = connection(&operator, "twilio", "default").await;
    let policy = json!({
        "order": [{"connection_id": twilio}],
        "rules": [
            {"name": "billing", "when": {"metadata": {"team": "billing"}}, "order": [{"connection_id": saboteur}]},
            {"name": "uk", "when": {"to_prefixes": ["+44", "+353"]}, "order": [{"connection_id": saboteur}]},
        ],
    });
    assert_eq!(put(&operator, SMS, policy).await.status, 200);
    let from = twilio::FROM_NUMBER;
    let team = |team: &str| json!({"to": "+14155550123", "body": "Hi", "from_number": from, "metadata": {"team": team}});
    let to = |to: &str| json!({"to": to, "body": "Hi", "from_number": from});
    for (message, expected) in [
        (team("billing"), "saboteur"),
        (team("support"), "twilio"),
        (to("+447700900123"), "saboteur"),
        (to("+353861234567"), "saboteur"),
        (to("+14155550123"), "twilio"),
    ] {
        assert_eq!(
            provider_of(&acme, message.clone()).await,
            expected,
            "{message}"
        );
    }
    // What a rule fits goes nowhere else, and says why.
    let mut named = to("+447700900123");
    named["body"] = json!("trap-before");
    let refused = acme.post("/v1/sms", named).await;
    assert_eq!((refused.status, refused.code()), (502, "plugin_fault"));
    let mut elsewhere = to("+447700900123");
    elsewhere["provider"] = json!("twilio");
    let refused = acme.post("/v1/sms", elsewhere).await;
    assert_eq!((refused.status, refused.code()), (422, "no_connection"));
    let simulated = operator
        .post(SIMULATE, json!({"to": "+447700900123"}))
        .await;
    assert_eq!(simulated.json["rule"], "uk");
    assert_eq!(simulated.json["chosen"], json!(saboteur));
    assert_eq!(simulated.json["skipped"][0]["reason"], "not_in_policy");
}

async fn weights_share_the_traffic(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    let operator = host.operator();
    let saboteur = connection(&operator, "saboteur", "default").await;
    let twilio = connection(&operator, "twilio", "default").await;
    let policy = json!({"order": [
        {"connection_id": saboteur, "priority": 1, "weight": 75},
        {"connection_id": twilio, "priority": 1, "weight": 25},
    ]});
    assert_eq!(put(&operator, SMS, policy).await.status, 200);
    let simulated = operator.post(SIMULATE, json!({})).await;
    let shares: Vec<_> = simulated.json["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["provider"].clone(), one["share"].as_f64().unwrap()))
        .collect();
    assert!(shares.contains(&(json!("saboteur"), 0.75)), "{shares:?}");
    assert!(shares.contains(&(json!("twilio"), 0.25)), "{shares:?}");
    // A message is drawn by its id: of 60, both serve some (but for a chance of 1 in 10^7).
    let mut served = std::collections::BTreeMap::<String, u32>::new();
    for number in 0..60 {
        let provider = provider_of(&acme, message(&format!("Hi {number}"))).await;
        *served.entry(provider).or_default() += 1;
    }
    assert_eq!(served.len(), 2, "{served:?}");
}

async fn the_provider_that_a_caller_names_serves(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    saboteur_first(&host.operator()).await;
    let mut named = message("Hi");
    named["provider"] = json!("twilio");
    assert_eq!(provider_of(&acme, named.clone()).await, "twilio");
    // And nobody instead of it.
    named["provider"] = json!("saboteur");
    named["body"] = json!("trap-before");
    let refused = acme.post("/v1/sms", named).await;
    assert_eq!((refused.status, refused.code()), (502, "plugin_fault"));
}

async fn a_connection_without_a_sender_serves_only_messages_that_have_one(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    saboteur_first(&host.operator()).await;
    let unsigned = json!({"to": "+14155550123", "body": "Hi"});
    assert_eq!(provider_of(&acme, unsigned.clone()).await, "twilio");
    assert_eq!(provider_of(&acme, message("Hi")).await, "saboteur");
    let simulated = host
        .operator()
        .post(SIMULATE, json!({"has_sender": false}))
        .await;
    assert_eq!(simulated.json["skipped"][0]["reason"], "no_sender");
    let mut named = unsigned;
    named["provider"] = json!("saboteur");
    let refused = acme.post("/v1/sms", named).await;
    assert_eq!((refused.status, refused.code()), (422, "validation_failed"));
    assert_eq!(refused.pointers(), ["/from_number"]);
}

async fn a_connection_that_is_gone_is_passed_over(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    let operator = host.operator();
    let [saboteur, _] = saboteur_first(&operator).await;
    let gone = operator
        .delete("/api/services/sms/saboteur?environment=test")
        .await;
    assert_eq!(gone.status, 200, "{gone:?}");
    assert_eq!(provider_of(&acme, message("Hi")).await, "twilio");
    let simulated = operator.post(SIMULATE, json!({})).await;
    let skipped = &simulated.json["skipped"][0];
    assert_eq!(
        (
            &skipped["connection_id"],
            &skipped["reason"],
            &skipped["provider"]
        ),
        (&json!(saboteur), &json!("disconnected"), &Value::Null)
    );
    let gone = operator
        .delete("/api/services/sms/twilio?environment=test")
        .await;
    assert_eq!(gone.status, 200, "{gone:?}");
    let refused = acme.post("/v1/sms", message("Hi")).await;
    assert_eq!((refused.status, refused.code()), (422, "no_connection"));
    assert!(refused.text("detail").contains("routing"), "{refused:?}");
}
