//! Floods of what nobody has signed.

use onerouter_tests::raw::metric;
use onerouter_tests::scenarios;
use onerouter_tests::write_path::{Ground, eventually};

use crate::messages::{sid, sms, stored};
use crate::{host, hostile, post};

scenarios!(a_flood_of_forged_ones_leaves_genuine_ones_unharmed);

const WAVES: usize = 50;
const FORGED_IN_ONE: usize = 100;

async fn a_flood_of_forged_ones_leaves_genuine_ones_unharmed(ground: Ground) {
    let (host, acme) = host(&ground).await;
    let (mut refused, mut told_to_wait) = (0, 0);
    let mut paths = Vec::new();
    for wave in 0..WAVES {
        let sms = sms(&acme).await;
        let genuine = post::twilio_status(&host, sid(&sms), "", "delivered").await;
        let mut forged = genuine.clone();
        forged.set("x-twilio-signature", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        let flood = (0..FORGED_IN_ONE).map(|_| forged.send(&host));
        let flood = futures_util::future::join_all(flood);
        let (answers, taken) = tokio::join!(flood, genuine.send(&host));
        assert_eq!(taken.status, 200, "{wave}: {taken:?}");
        for answer in answers {
            match (answer.status, answer.code()) {
                (401, "invalid_signature") => refused += 1,
                (429, "rate_limited") => told_to_wait += 1,
                _ => panic!("{answer:?}"),
            }
        }
        paths.push(format!("/v1/sms/{}", sms["id"].as_str().unwrap()));
    }
    assert_eq!(refused + told_to_wait, WAVES * FORGED_IN_ONE);
    assert!(told_to_wait > 0);
    for path in paths {
        assert_eq!(stored(&acme, &path).await["status"], "delivered", "{path}");
    }
    // Of all the others there is nothing, neither on disk nor in memory.
    let genuine = i64::try_from(WAVES).unwrap();
    assert_eq!(ground.count("received_webhooks").await, genuine);
    assert_eq!(ground.count("webhook_keys").await, genuine);
    assert_eq!(hostile::webhooks_due(&ground).await, 0);
    let held = "onerouter_http_body_bytes_held";
    eventually("bodies are given back", || async {
        metric(host.gateway.address(), held).await == 0.0
    })
    .await;
}
