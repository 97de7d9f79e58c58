//! Signatures that the host checks with a secret that the adapter never sees.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use onerouter_engine::{FaultKind, NotSent, Outcome};
use onerouter_manifest::{Signature, SignatureAlgorithm, SignatureEncoding};
use sha2::Sha256;

use crate::host::{Host, OTHER, TOKEN, config, fixture};
use crate::packing::repacked;
use crate::provider::Reply;

const MESSAGE: &str = "order_1|pay_1 \u{e9}";

fn component() -> Bytes {
    let signature = |encoding, credential: &str| Signature {
        algorithm: SignatureAlgorithm::HmacSha256,
        encoding,
        credential: credential.to_owned(),
    };
    repacked(&fixture("saboteur"), |manifest| {
        for (name, signature) in [
            ("checkout", signature(SignatureEncoding::Hex, "token")),
            ("hook", signature(SignatureEncoding::Base64, "other")),
        ] {
            manifest.signatures.insert(name.to_owned(), signature);
        }
    })
}

fn tag(secret: &str, message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the host said, and that nothing was sent.
async fn said(host: &Host, name: &str, message: &str, tag: &str) -> (FaultKind, String) {
    let text = ["verify ", name, message, tag].join("\u{1f}");
    let report = host.send(&text).await;
    assert!(report.ledger.is_empty());
    let Outcome::NotSent(NotSent::Fault(fault)) = report.outcome else {
        panic!("{:?}", report.outcome);
    };
    (fault.kind, fault.detail)
}

async fn host() -> Host {
    Host::loading(config(), component(), |_| Reply::created()).await
}

#[tokio::test]
async fn only_the_right_tag_of_the_right_message_is_accepted() {
    let host = host().await;
    let right = tag(TOKEN, MESSAGE);
    let other = tag(OTHER, MESSAGE);
    let mut flipped = right.clone();
    flipped[31] ^= 1;
    let table = [
        ("checkout", MESSAGE, hex(&right), true),
        ("checkout", "", hex(&tag(TOKEN, "")), true),
        ("checkout", "order_1|pay_2", hex(&right), false),
        ("checkout", "order_1|pay_1 \u{e9} ", hex(&right), false),
        ("checkout", MESSAGE, hex(&flipped), false),
        ("checkout", MESSAGE, hex(&other), false),
        ("checkout", MESSAGE, hex(&right[..31]), false),
        ("checkout", MESSAGE, hex(&right[..16]), false),
        (
            "checkout",
            MESSAGE,
            hex(&[right.as_slice(), &[0]].concat()),
            false,
        ),
        ("checkout", MESSAGE, hex(&right).split_off(1), false),
        ("checkout", MESSAGE, hex(&right).to_uppercase(), false),
        ("checkout", MESSAGE, format!(" {}", hex(&right)), false),
        (
            "checkout",
            MESSAGE,
            format!("sha256={}", hex(&right)),
            false,
        ),
        ("checkout", MESSAGE, STANDARD.encode(&right), false),
        ("checkout", MESSAGE, "g".repeat(64), false),
        ("checkout", MESSAGE, "\u{e9}".repeat(32), false),
        ("checkout", MESSAGE, String::new(), false),
        ("hook", MESSAGE, STANDARD.encode(&other), true),
        ("hook", MESSAGE, STANDARD.encode(&right), false),
        ("hook", MESSAGE, STANDARD_NO_PAD.encode(&other), false),
        ("hook", MESSAGE, hex(&other), false),
        (
            "hook",
            MESSAGE,
            format!("{}\n", STANDARD.encode(&other)),
            false,
        ),
        ("hook", MESSAGE, URL_SAFE.encode([0xfb; 32]), false),
        ("hook", MESSAGE, "*".to_owned(), false),
        ("hook", MESSAGE, String::new(), false),
    ];
    let mut wrong = Vec::new();
    for (name, message, tag, is_right) in table {
        let expected = if is_right { "yes" } else { "no" };
        let said = said(&host, name, message, &tag).await;
        if said != (FaultKind::Other, expected.to_owned()) {
            wrong.push((name, message, tag, said));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_connection_without_the_secret_accepts_nothing() {
    let mut host = host().await;
    for secret in ["", "another-secret-01"] {
        host.connection = crate::oauth::client(secret);
        for (name, tag) in [
            ("hook", STANDARD.encode(tag("", MESSAGE))),
            ("checkout", hex(&tag("", MESSAGE))),
        ] {
            let said = said(&host, name, MESSAGE, &tag).await;
            assert_eq!(said, (FaultKind::Other, "no".to_owned()), "{name}");
        }
    }
}

/// What the host computes for a guest counts as the guest's own time.
#[tokio::test]
async fn a_flood_of_signatures_is_stopped_by_the_budget() {
    let host = host().await;
    let report = host.send("verify-flood checkout").await;
    let Outcome::NotSent(NotSent::Fault(fault)) = &report.outcome else {
        panic!("{:?}", report.outcome);
    };
    assert_eq!(fault.kind, FaultKind::CpuBudget);
    // 4 MiB a time, of 100 ms in ticks of 5.
    assert_eq!(report.guest_cpu_ticks, 24);
}

#[tokio::test]
async fn a_name_that_the_manifest_does_not_have_ends_the_call() {
    let host = host().await;
    for name in ["", "Checkout", "token", "unheard-of"] {
        let (kind, detail) = said(&host, name, MESSAGE, &hex(&tag(TOKEN, MESSAGE))).await;
        assert_eq!(kind, FaultKind::Malformed, "{name}");
        assert!(
            detail.contains("the manifest has no signature of the name"),
            "{detail}"
        );
    }
}
