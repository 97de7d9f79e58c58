//! Endpoints lead to public addresses only, unless the operator allows any.

use std::net::IpAddr;
use std::sync::Arc;

use onerouter_egress::{Resolve, Resolving};
use onerouter_tests::harness::Setup;
use onerouter_tests::scenarios;
use onerouter_tests::write_path::Ground;
use serde_json::{Value, json};

use crate::rig::{Rig, endpoint};

scenarios!(
    a_name_that_leads_inside_is_not_dialled,
    an_address_or_plain_http_is_not_dialled_however_it_came_there,
);

/// Every name is an address, written with dashes.
#[derive(Debug)]
struct ByName;

impl Resolve for ByName {
    fn resolve<'a>(&'a self, host: &'a str) -> Resolving<'a> {
        let label = host.split('.').next().unwrap_or_default();
        let v6 = label.strip_prefix("v6-");
        let text = v6.map_or(label.replace('-', "."), |v6| v6.replace('-', ":"));
        let address: IpAddr = text.parse().unwrap();
        Box::pin(async move { Ok(vec![address]) })
    }
}

async fn guarded(ground: &Ground) -> Rig {
    Rig::with(
        ground,
        Setup {
            public_webhook_targets: true,
            webhook_resolver: Some(Arc::new(ByName)),
            ..Setup::default()
        },
    )
    .await
}

async fn a_name_that_leads_inside_is_not_dialled(ground: Ground) {
    let rig = guarded(&ground).await;
    for label in [
        "127-0-0-1",
        "0-0-0-0",
        "10-0-0-1",
        "100-64-0-1",
        "169-254-169-254",
        "172-16-0-1",
        "192-168-1-1",
        "224-0-0-1",
        "v6---1",
        "v6-fe80--1",
        "v6-fd00-ec2--254",
        "v6---ffff-7f00-1",
        "v6-64-ff9b--7f00-1",
    ] {
        let made = endpoint(
            &rig.acme,
            &format!("https://{label}.example.com/"),
            json!({}),
        )
        .await;
        rig.happens(1, 1).await;
        rig.host.deliver().await;
        let delivery = made.only().await;
        assert_eq!(delivery["status"], "pending", "{label}");
        let attempt = &delivery["attempts"][0];
        assert_eq!(attempt["status"], Value::Null, "{label}");
        let error = "the host's name resolves to no public address";
        assert_eq!(attempt["error"], error, "{label}");
        let path = format!("/v1/webhook-endpoints/{}", made.id);
        assert_eq!(rig.acme.delete(&path).await.status, 200);
    }
}

async fn an_address_or_plain_http_is_not_dialled_however_it_came_there(ground: Ground) {
    let rig = guarded(&ground).await;
    let made = endpoint(&rig.acme, "https://example.com/", json!({})).await;
    for (url, error) in [
        (
            rig.receiver.url("/"),
            "the endpoint's URL does not begin with https://",
        ),
        (
            "https://127.0.0.1/".to_owned(),
            "the host is an address, not a name",
        ),
        (
            "https://2130706433/".to_owned(),
            "the host is an address, not a name",
        ),
        (
            "https://[::1]/".to_owned(),
            "the host is an address, not a name",
        ),
        (
            "https://[::ffff:10.0.0.1]/".to_owned(),
            "the host is an address, not a name",
        ),
        (
            "ftp://example.com/".to_owned(),
            "the endpoint's URL cannot be used",
        ),
    ] {
        // The API refuses it; an operator may have allowed it before.
        let body = json!({ "url": url });
        let refused = rig.acme.post("/v1/webhook-endpoints", body).await;
        assert_eq!(
            (refused.status, refused.pointers()),
            (422, vec!["/url"]),
            "{refused:?}"
        );
        ground
            .change(&format!("update webhook_endpoints set url = '{url}'"))
            .await;
        rig.happens(1, 1).await;
        rig.host.deliver().await;
        let last = made.deliveries().await.pop().unwrap();
        let id = last["id"].as_str().unwrap();
        let path = format!("/v1/webhook-endpoints/{}/deliveries/{id}", made.id);
        let attempt = &rig.acme.get(&path).await.json["attempts"][0];
        assert_eq!(attempt["error"], error, "{url}");
    }
    assert_eq!(rig.receiver.count(), 0);
}
