//! The conformance kit, on plugins that keep the contract and on one that does not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use onerouter_conformance::{Cassettes, GivenConnection, Live, Options, Report, Verdict, test};
use onerouter_egress::Upstreams;
use onerouter_sandbox::{Sandbox, SandboxConfig};
use onerouter_tests::harness::built;
use serde_json::{Value, json};
use tempfile::TempDir;

fn plugin(name: &str) -> bytes::Bytes {
    let folder = built("ONEROUTER_TEST_PLUGINS_DIR", "plugins");
    std::fs::read(folder.join(format!("{name}.wasm")))
        .unwrap()
        .into()
}

fn fixture(name: &str) -> bytes::Bytes {
    let folder = built("ONEROUTER_TEST_FIXTURES_DIR", "fixtures");
    std::fs::read(folder.join(format!("{name}.wasm")))
        .unwrap()
        .into()
}

/// The cassettes that are kept beside a plugin's source.
fn kept(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../plugins")
        .join(folder)
        .join("cassettes")
}

async fn report(component: bytes::Bytes, cassettes: &Path) -> Report {
    let options = Options::new(Cassettes::read(cassettes).unwrap());
    test(component, &options, &|_| {}).await.unwrap()
}

#[track_caller]
fn assert_passes(report: &Report) {
    assert!(report.passes(), "{}", report.to_text());
    assert!(report.totals.passed > 0, "{}", report.to_text());
}

#[tokio::test]
async fn an_adapter_with_everything_recorded_leaves_nothing_open() {
    for (component, folder) in [
        (fixture("acme-texts"), "fixtures/acme-texts"),
        (plugin("twilio"), "twilio"),
        (plugin("resend"), "resend"),
    ] {
        let report = report(component, &kept(folder)).await;
        assert_passes(&report);
        assert!(report.passes_strictly(), "{}", report.to_text());
    }
}

#[tokio::test]
async fn adapters_of_payments_pass() {
    for name in ["razorpay", "paypal"] {
        let report = report(plugin(name), &kept(name)).await;
        assert_passes(&report);
        // What every provider's adapter has to do with amounts and keys was seen, not only said.
        let seen = |operation: &str, scenario: &str| {
            let mut cases = report.cases.iter();
            cases.any(|case| {
                (case.operation, case.scenario.as_str()) == (operation, scenario)
                    && case.verdict != Verdict::NotCovered
            })
        };
        for scenario in [
            "success",
            "unknown_fields",
            "unicode",
            "amount_jpy",
            "cut_off",
        ] {
            assert!(seen("payments.create", scenario), "{name}: {scenario}");
        }
        assert!(seen("webhooks.read", "garbage_nested"), "{name}");
        // Nor is it left to a buyer whether the money is taken and given back as it should be.
        for operation in ["payments.capture", "refunds.create", "refunds.get"] {
            for scenario in ["success", "cut_off"] {
                assert!(seen(operation, scenario), "{name}: {operation} {scenario}");
            }
        }
    }
}

#[tokio::test]
async fn every_adapter_can_be_tried_without_cassettes() {
    let nothing = tempfile::tempdir().unwrap();
    for name in ["twilio", "resend", "razorpay", "paypal"] {
        let report = report(plugin(name), nothing.path()).await;
        assert_passes(&report);
        assert!(report.totals.not_covered > 0 && !report.passes_strictly());
    }
}

#[tokio::test]
async fn an_adapter_that_checks_signatures_itself_is_told_forgeries() {
    let report = report(fixture("acme-bell"), &kept("fixtures/acme-bell")).await;
    assert_passes(&report);
    let verdict = |scenario: &str| {
        let mut cases = report.cases.iter();
        let found = cases.find(|case| case.scenario == scenario);
        found.unwrap_or_else(|| panic!("no {scenario}")).verdict
    };
    for trial in ["valid", "tampered", "forged", "unsigned"] {
        assert_eq!(
            verdict(&format!("text, {trial}")),
            Verdict::Passed,
            "{trial}"
        );
    }

    let folder = cassette(
        "webhooks.read",
        "text",
        &json!({"cassette": 1, "webhook": {
            "json": {"id": "t-1", "from": "+1", "to": "+2", "text": "x", "check": "none"},
            "headers": {"x-bell-time": "1"},
            "sign": {"signature": "bell", "header": "x-bell-tag", "message": "{header:x-bell-time}:{body}"},
        }}),
    );
    let report = self::report(fixture("acme-bell"), folder.path()).await;
    // Whoever does not ask is never vouched for.
    let codes = codes(&report);
    assert!(codes.contains("valid_refused"), "{}", report.to_text());
    assert!(!codes.contains("forgery_believed"), "{}", report.to_text());
}

/// A folder with one cassette.
fn cassette(operation: &str, scenario: &str, content: &serde_json::Value) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let of_operation = folder.path().join(operation);
    std::fs::create_dir(&of_operation).unwrap();
    let file = of_operation.join(format!("{scenario}.json"));
    std::fs::write(file, content.to_string()).unwrap();
    folder
}

fn codes(report: &Report) -> BTreeSet<&'static str> {
    let findings = report.failed().flat_map(|case| &case.findings);
    findings.map(|finding| finding.code).collect()
}

#[tokio::test]
async fn every_trick_of_a_saboteur_is_found() {
    for (trick, expected) in [
        ("loop", "limit_exceeded"),
        ("loop-after", "breakdown"),
        ("alloc", "wrong_outcome"),
        ("trap-after", "breakdown"),
        ("malformed", "wrong_outcome"),
        ("empty-id", "wrong_outcome"),
        ("claim-not-sent", "claim_without_knowledge"),
        ("claim-declined", "claim_without_knowledge"),
        ("two-posts", "other_request"),
        ("many-requests", "other_request"),
        ("undeclared-host", "request_refused"),
        ("undeclared-path", "request_refused"),
        ("undeclared-method", "request_refused"),
        ("steal-header", "request_refused"),
        ("smuggle-header", "request_refused"),
        ("log-flood", "log_flood"),
        ("no-auth", "text_lost"),
        ("echo", "accepted_after_failure"),
    ] {
        let folder = cassette(
            "sms.send",
            "success",
            &json!({
                "cassette": 1,
                // The trick stands before the kit's own text, which is still looked for.
                "input": {"body": format!("{trick} Kit: Grüße 世界")},
                "exchanges": [{
                    "request": {"method": "POST", "host": "api.saboteur.example", "path": "/v1/messages"},
                    "answer": {"status": 201, "json": {"id": "m-1", "state": "queued"}},
                }],
            }),
        );
        let report = report(fixture("saboteur"), folder.path()).await;
        assert!(!report.passes(), "{trick}: {}", report.to_text());
        let codes = codes(&report);
        assert!(codes.contains(expected), "{trick}: {}", report.to_text());
    }
}

#[tokio::test]
async fn a_spy_finds_no_secret() {
    let nothing = tempfile::tempdir().unwrap();
    let report = report(fixture("spy"), nothing.path()).await;
    let codes = codes(&report);
    assert!(
        !codes.iter().any(|code| code.starts_with("secret")),
        "{}",
        report.to_text()
    );
}

/// A run against the emulated provider, whose answers are recorded.
struct Rehearsed {
    report: Report,
    /// The recorded answers.
    folder: TempDir,
    secrets: Vec<(String, String)>,
    _sandbox: Sandbox,
}

impl Rehearsed {
    /// `visit` is what the buyer does; nobody is there without it.
    async fn of(name: &str, cassettes: Cassettes, visit: Option<Value>) -> Self {
        let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
        let mut upstreams = Upstreams::default();
        for (host, base) in sandbox.upstreams() {
            upstreams.set(&host, &base).unwrap();
        }
        let owned = |map: &BTreeMap<&'static str, String>| {
            map.iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect::<Vec<_>>()
        };
        let connection = sandbox.connection(name).unwrap();
        let secrets = owned(&connection.credentials);
        let given = GivenConnection {
            credentials: secrets
                .iter()
                .map(|(name, value)| (name.clone(), value.clone().into()))
                .collect(),
            settings: owned(&connection.settings).into_iter().collect(),
        };
        let buyer = visit.map(|visit| {
            let url = format!("{}/_sandbox/checkouts/{{{{provider_id}}}}", sandbox.url());
            serde_json::from_value(json!({"url": url, "json": visit})).unwrap()
        });
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            live: Some(Live {
                upstreams,
                connection: given,
                buyer,
                record_to: Some(folder.path().to_owned()),
            }),
            ..Options::new(cassettes)
        };
        let report = test(plugin(name), &options, &|_| {}).await.unwrap();
        Self {
            report,
            folder,
            secrets,
            _sandbox: sandbox,
        }
    }
}

#[track_caller]
fn verdict(report: &Report, (operation, scenario): (&str, &str)) -> Verdict {
    let mut cases = report.cases.iter();
    let found =
        cases.find(|case| (case.operation, case.scenario.as_str()) == (operation, scenario));
    let found = found.unwrap_or_else(|| panic!("no {operation} {scenario}: {}", report.to_text()));
    found.verdict
}

#[track_caller]
fn assert_covers(report: &Report, scenario: (&str, &str)) {
    let verdict = verdict(report, scenario);
    let is_covered = matches!(verdict, Verdict::Passed | Verdict::Warned);
    assert!(is_covered, "{scenario:?}: {}", report.to_text());
}

/// Against the emulated provider, whose buyer agrees to everything, and then by what was recorded there.
async fn is_recorded_and_played_again(name: &str, scenarios: &[(&str, &str)]) {
    // Where nothing is reserved first.
    let order = json!({
        "cassette": 1, "input": {"capture": "automatic"},
        "expect": {"outcome": "accepted", "status": "succeeded"},
    });
    let order = cassette("payments.capture", "order", &order);
    let asked = Cassettes::read(order.path()).unwrap();
    let live = Rehearsed::of(name, asked, Some(json!({"action": "approve"}))).await;
    assert_passes(&live.report);

    let mut texts = Vec::new();
    for operation in std::fs::read_dir(live.folder.path()).unwrap() {
        for file in std::fs::read_dir(operation.unwrap().path()).unwrap() {
            texts.push(std::fs::read_to_string(file.unwrap().path()).unwrap());
        }
    }
    assert!(texts.len() > 8, "{}", live.report.to_text());
    for (name, value) in &live.secrets {
        for text in &texts {
            assert!(!text.contains(value), "{name} in {text}");
        }
    }

    let again = report(plugin(name), live.folder.path()).await;
    assert_passes(&again);
    for scenario in scenarios {
        assert_covers(&live.report, *scenario);
        assert_covers(&again, *scenario);
    }
    assert_covers(&again, ("refunds.create", "cut_off"));
    assert_covers(&again, ("payments.capture", "no_answer"));
}

#[tokio::test]
async fn what_a_sandbox_answers_is_recorded_without_secrets_and_played_again() {
    let scenarios = [
        ("payments.create", "amount_kwd"),
        ("payments.find", "success"),
        ("payments.capture", "success"),
        ("payments.capture", "order"),
        ("refunds.create", "success"),
        ("refunds.create", "amount_kwd"),
        ("refunds.get", "success"),
        ("refunds.find", "success"),
        ("plans.get", "success"),
        ("subscriptions.pause", "success"),
        ("subscriptions.resume", "success"),
        ("subscriptions.change_plan", "success"),
        ("payment_links.cancel", "success"),
    ];
    is_recorded_and_played_again("razorpay", &scenarios).await;
}

#[tokio::test]
async fn what_a_buyer_has_agreed_to_is_reserved_taken_and_given_back() {
    let scenarios = [
        ("payments.authorize", "success"),
        ("payments.capture", "success"),
        ("payments.capture", "order"),
        ("payments.cancel", "success"),
        ("refunds.create", "success"),
        ("refunds.create", "amount_jpy"),
        ("refunds.get", "success"),
        ("subscriptions.pause", "success"),
        ("subscriptions.resume", "success"),
        ("subscriptions.change_plan", "success"),
        ("subscriptions.cancel", "success"),
        ("payment_links.capture", "success"),
    ];
    is_recorded_and_played_again("paypal", &scenarios).await;
}

#[tokio::test]
async fn what_no_buyer_has_agreed_to_is_not_covered() {
    for (visit, why) in [
        (None, "the sandbox has nothing to try it on"),
        (Some(json!({"action": "hesitate"})), "was answered with 400"),
        (
            Some(json!({"action": "abandon"})),
            "the sandbox has nothing to try it on",
        ),
    ] {
        let live = Rehearsed::of("paypal", Cassettes::default(), visit).await;
        assert_passes(&live.report);
        for operation in ["payments.authorize", "refunds.create"] {
            let verdict = verdict(&live.report, (operation, "success"));
            assert_eq!(verdict, Verdict::NotCovered, "{}", live.report.to_text());
        }
        assert!(
            live.report.to_text().contains(why),
            "{why}: {}",
            live.report.to_text()
        );
    }
}

#[tokio::test]
async fn a_run_out_of_time_says_so_and_fails() {
    let mut options = Options::new(Cassettes::default());
    options.time_max = std::time::Duration::ZERO;
    let report = test(fixture("acme-texts"), &options, &|_| {})
        .await
        .unwrap();
    assert!(
        codes(&report).contains("out_of_time"),
        "{}",
        report.to_text()
    );
}
