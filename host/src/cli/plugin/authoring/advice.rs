//! What a manifest that keeps the rules can still do better: for the operator who approves it, and for the
//! tenants whose money and messages it moves.

mod operations;
mod reach;

use std::collections::BTreeSet;

use onerouter_manifest::{Capability, Category, Limits, Manifest, SettingRole};

use super::finding::Findings;

/// An adapter is a small translator; past this it has pulled in something.
const BYTES_USUAL: usize = 1 << 20;

/// What the templates leave for the author to fill in.
const PLACEHOLDER_PUBLISHER: &str = "Your name";

/// Says what can be said about a manifest that keeps the rules.
pub(super) fn on_plugin(findings: &mut Findings, manifest: &Manifest, capabilities: &[Capability]) {
    on_publisher(findings, manifest);
    reach::on_outbound(findings, manifest);
    reach::on_credentials(findings, manifest);
    operations::on_operations(findings, manifest, capabilities);
    on_capabilities(findings, manifest, capabilities);
    on_limits(findings, &manifest.limits);
    on_imports(findings, manifest);
}

/// Says so where the packed file is a large one.
pub(super) fn on_size(findings: &mut Findings, bytes: usize) {
    if bytes > BYTES_USUAL {
        findings.warning(
            "large",
            "",
            format!(
                "the plugin has {bytes} bytes; each gateway fetches, compiles and maps it. One of Rust has some 60 to 300 KB"
            ),
        );
    }
}

fn on_publisher(findings: &mut Findings, manifest: &Manifest) {
    if manifest.publisher == PLACEHOLDER_PUBLISHER {
        findings.warning(
            "publisher",
            "publisher",
            "is still the template's: say who you are",
        );
    }
    if !is_spdx(&manifest.license) {
        findings.warning(
            "license",
            "license",
            "is no SPDX expression, such as MIT or Apache-2.0 OR MIT: nobody can tell what they may do",
        );
    }
    if manifest.source.is_none() {
        findings.note(
            "source",
            "source",
            "is missing: who approves a plugin wants to read where it comes from",
        );
    }
    if manifest.description.is_empty() {
        findings.note("description", "description", "is missing: searches show it");
    }
}

/// By its shape. The list of identifiers grows each month.
fn is_spdx(expression: &str) -> bool {
    let words = expression
        .split([' ', '(', ')'])
        .filter(|word| !word.is_empty());
    let is_identifier = |word: &str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '+' | ':');
        word.starts_with(|c: char| c.is_ascii_alphanumeric()) && word.chars().all(is_plain)
    };
    let mut identifiers = 0_usize;
    let mut joints = 0_usize;
    for word in words {
        match word {
            "AND" | "OR" | "WITH" => joints = joints.saturating_add(1),
            word if is_identifier(word) => identifiers = identifiers.saturating_add(1),
            _ => return false,
        }
    }
    identifiers == joints.saturating_add(1)
}

fn on_capabilities(findings: &mut Findings, manifest: &Manifest, capabilities: &[Capability]) {
    let can = |capability| capabilities.contains(&capability);
    if !can(Capability::AccountCheck) {
        findings.note(
            "no_account_check",
            "",
            "account-check is not exported: wrong credentials are noticed at the first real call only",
        );
    }
    if !can(Capability::Webhooks) {
        findings.note(
            "no_webhooks",
            "",
            "webhooks is not exported: what happens at the provider is noticed when somebody asks",
        );
    }
    if can(Capability::Payments) && !can(Capability::Refunds) {
        findings.note(
            "no_refunds",
            "",
            "refunds is not exported: no money goes back",
        );
    }
    let categories: BTreeSet<Category> = capabilities
        .iter()
        .filter_map(|capability| capability.category())
        .collect();
    if categories.contains(&Category::Payments)
        && !manifest.currencies.contains_key(&Category::Payments)
    {
        findings.note(
            "no_currencies",
            "currencies.payments",
            "is missing: payments in every currency are routed here",
        );
    }
    let sends = categories.contains(&Category::Sms) || categories.contains(&Category::Email);
    let mut settings = manifest.settings.iter();
    if sends && !settings.any(|setting| setting.role == Some(SettingRole::Sender)) {
        findings.note(
            "no_sender",
            "settings",
            "has none with role = \"sender\": each message must name its own",
        );
    }
}

fn on_limits(findings: &mut Findings, limits: &Limits) {
    let usual = Limits::default();
    for (name, value, default) in [
        ("memory_bytes", limits.memory_bytes, usual.memory_bytes),
        ("cpu_ms", limits.cpu_ms, usual.cpu_ms),
        ("wall_ms", limits.wall_ms, usual.wall_ms),
        ("requests", limits.requests.into(), usual.requests.into()),
        (
            "response_bytes",
            limits.response_bytes,
            usual.response_bytes,
        ),
        ("log_bytes", limits.log_bytes, usual.log_bytes),
    ] {
        if value > default {
            findings.warning(
                "limits",
                &format!("limits.{name}"),
                format!("{value} is more than the usual {default}: an operator will ask why"),
            );
        }
    }
}

fn on_imports(findings: &mut Findings, manifest: &Manifest) {
    let wasi = manifest.imports.iter();
    let wasi = wasi.filter(|import| import.starts_with("wasi:")).count();
    if wasi > 0 {
        findings.note(
            "wasi",
            "",
            format!(
                "{wasi} interfaces of WASI are imported: there is nothing behind them but a clock, a seed and the log, and without a standard library the plugin is smaller"
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = r#"
        manifest = 1
        id = "acme"
        version = "1.0.0"
        publisher = "acme"
        name = "Acme"
        description = "Texts."
        license = "MIT"
        source = "https://acme.dev/plugin"

        [[credentials]]
        name = "token"
        label = "Token"
        kind = "secret"

        [[settings]]
        name = "from_number"
        label = "Sender"
        role = "sender"

        [auth.token]
        scheme = "bearer"
        token = "token"

        [[outbound]]
        host = "api.acme.dev"
        path_prefix = "/v1/messages"
        methods = ["GET", "POST"]
        auth = ["token"]

        [[not_processed]]
        status = 429

        [operations."sms.send".idempotency]
        header = "Idempotency-Key"
        window_s = 86400
    "#;

    const ALL: [Capability; 3] = [
        Capability::AccountCheck,
        Capability::Sms,
        Capability::Webhooks,
    ];

    fn codes(toml: &str, capabilities: &[Capability]) -> Vec<&'static str> {
        let manifest = Manifest::from_toml(toml).unwrap();
        let mut findings = Findings::default();
        on_plugin(&mut findings, &manifest, capabilities);
        findings.sorted().iter().map(|one| one.code).collect()
    }

    #[test]
    fn a_careful_manifest_has_no_findings() {
        assert!(codes(PLAIN, &ALL).is_empty());
    }

    #[test]
    fn each_carelessness_has_its_finding() {
        let secret = "[[credentials]]\nname = \"spare\"\nlabel = \"Spare\"\nkind = \"secret\"\n\n[auth.token]";
        let auth = "[auth.spare]\nscheme = \"bearer\"\ntoken = \"token\"\n\n[auth.token]";
        for (from, to, code) in [
            ("\"/v1/messages\"", "\"/\"", "wide_path"),
            ("\"api.acme.dev\"", "\"*.acme.dev\"", "wide_host"),
            ("\"api.acme.dev\"", "\"api.example.com\"", "reserved_host"),
            ("\"api.acme.dev\"", "\"acme.example\"", "reserved_host"),
            (
                "[\"GET\", \"POST\"]",
                "[\"GET\", \"HEAD\", \"POST\", \"PUT\", \"PATCH\", \"DELETE\"]",
                "wide_methods",
            ),
            ("auth = [\"token\"]", "", "unused_auth"),
            ("[auth.token]", secret, "unused_credential"),
            ("[auth.token]", auth, "unused_auth"),
            ("sms.send", "sms.fly", "no_idempotency"),
            ("sms.send", "sms.fly", "unknown_operation"),
            ("status = 429", "status = 409", "no_not_processed"),
            (
                "publisher = \"acme\"",
                "publisher = \"Your name\"",
                "publisher",
            ),
            ("\"MIT\"", "\"see LICENSE\"", "license"),
            ("source = \"https://acme.dev/plugin\"", "", "source"),
            ("description = \"Texts.\"", "", "description"),
            ("role = \"sender\"", "", "no_sender"),
            (
                "[[not_processed]]",
                "[limits]\nrequests = 64\n\n[[not_processed]]",
                "limits",
            ),
        ] {
            assert!(PLAIN.contains(from), "{from}");
            let found = codes(&PLAIN.replace(from, to), &ALL);
            assert!(found.contains(&code), "{code} in {found:?} of {to}");
        }
    }

    #[test]
    fn what_a_plugin_cannot_do_is_noted() {
        let found = codes(PLAIN, &[Capability::Sms]);
        assert_eq!(found, ["no_account_check", "no_webhooks"]);
        let found = codes(PLAIN, &[Capability::Payments]);
        for code in ["no_refunds", "no_currencies", "no_idempotency"] {
            assert!(found.contains(&code), "{code} in {found:?}");
        }
    }

    #[test]
    fn what_finds_lost_objects_again_needs_no_key() {
        let without = PLAIN.replace("sms.send", "sms.cancel");
        let found = codes(&without, &[Capability::Sms, Capability::SmsLookup]);
        assert!(!found.contains(&"no_idempotency"), "{found:?}");
    }

    #[test]
    fn a_licence_is_known_by_its_shape() {
        for good in [
            "MIT",
            "Apache-2.0 OR MIT",
            "(MIT AND BSD-3-Clause) OR GPL-2.0+",
            "Apache-2.0 WITH LLVM-exception",
            "LicenseRef-Acme",
        ] {
            assert!(is_spdx(good), "{good}");
        }
        for odd in [
            "see LICENSE",
            "MIT OR",
            "All rights reserved",
            "MIT, Apache",
            "©",
        ] {
            assert!(!is_spdx(odd), "{odd}");
        }
    }
}
