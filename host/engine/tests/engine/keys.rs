//! The key that an operation promises, in requests of several steps.

use crate::host::{Host, config, fixture};
use crate::neighbours::not_sent;
use crate::packing::repacked;
use crate::provider::Reply;

const MESSAGES: &str = "https://api.saboteur.example/v1/messages";

/// An operation that takes several requests has a key for each of them: the operation's own, a hyphen,
/// and the name of the step.
#[tokio::test]
async fn the_promised_key_may_go_on_with_the_name_of_a_step() {
    let promising = repacked(&fixture("saboteur"), |manifest| {
        let acme = onerouter_manifest::unpack(&fixture("acme-post")).unwrap();
        let promise = acme.manifest.operations["email.send"].clone();
        manifest.operations.insert("sms.send".to_owned(), promise);
    });
    let host = Host::loading(config(), promising, |_| Reply::created()).await;
    let [long, longer] = [32, 33].map(|length| format!("key-1-{}", "a".repeat(length)));
    let mut sent = 0;
    for (keys, leaves) in [
        (&["key-1"][..], true),
        (&["key-1-capture"], true),
        (&["key-1-2"], true),
        (&["key-1-product_plan-2"], true),
        (&[&long], true),
        (&[&longer], false),
        (&["key-1-"], false),
        (&["key-1capture"], false),
        (&["key-1_capture"], false),
        (&["key-1-Capture"], false),
        (&["key-1-cap ture"], false),
        (&["key-1-cap.ture"], false),
        (&["key-"], false),
        (&["key-2-capture"], false),
        (&["a-key-1"], false),
        (&[""], false),
        (&[], false),
        // Nobody knows which one counts.
        (&["key-1", "another"], false),
        (&["key-1", "key-1"], false),
    ] {
        let mut fields = vec!["request ", "POST", "token", MESSAGES, "json", "{}"];
        for key in keys {
            fields.extend(["Idempotency-Key", key]);
        }
        let report = host.send(&fields.join("\u{1f}")).await;
        assert_eq!(report.ledger.len(), usize::from(leaves), "{keys:?}");
        sent += report.ledger.len();
        if !leaves {
            let detail = &not_sent(&report).detail;
            assert!(detail.starts_with("header_key: "), "{keys:?}: {detail}");
        }
    }
    assert_eq!(host.provider.received().len(), sent);
}
