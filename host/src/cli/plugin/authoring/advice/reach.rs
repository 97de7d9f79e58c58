//! Where a plugin may send to, and with which credentials.

use std::collections::BTreeSet;

use onerouter_manifest::{FieldKind, Manifest, OutboundRule, WebhookSignature};

use super::Findings;

/// Reserved for documentation: nobody answers there.
const RESERVED_HOSTS: [&str; 5] = [
    "example.com",
    "example.net",
    "example.org",
    ".example",
    ".test",
];

const METHODS_OF_HTTP: usize = 6;

pub(super) fn on_outbound(findings: &mut Findings, manifest: &Manifest) {
    if manifest.outbound.is_empty() {
        findings.warning(
            "no_outbound",
            "outbound",
            "is missing: the plugin can reach nobody",
        );
    }
    for (index, rule) in manifest.outbound.iter().enumerate() {
        on_rule(findings, rule, &format!("outbound[{index}]"));
    }
}

fn on_rule(findings: &mut Findings, rule: &OutboundRule, place: &str) {
    if rule.path_prefix == "/" {
        findings.warning(
            "wide_path",
            &format!("{place}.path_prefix"),
            "allows every path: name the part of the API that is used",
        );
    }
    if rule.host.starts_with("*.") {
        findings.warning(
            "wide_host",
            &format!("{place}.host"),
            "allows every name below it: name those that are used",
        );
    }
    if rule.methods.iter().collect::<BTreeSet<_>>().len() >= METHODS_OF_HTTP {
        findings.warning(
            "wide_methods",
            &format!("{place}.methods"),
            "allows all of them: name those that are used",
        );
    }
    if rule.auth.is_empty() {
        findings.note(
            "no_auth",
            &format!("{place}.auth"),
            "is missing: requests go there without a credential",
        );
    }
    let is_reserved = RESERVED_HOSTS.iter().any(|reserved| {
        let below = reserved.trim_start_matches('.');
        let rest = rule.host.strip_suffix(below);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    });
    if is_reserved {
        findings.warning(
            "reserved_host",
            &format!("{place}.host"),
            "is reserved for documentation: name the provider's",
        );
    }
}

pub(super) fn on_credentials(findings: &mut Findings, manifest: &Manifest) {
    let used = used_fields(manifest);
    for (index, field) in manifest.credentials.iter().enumerate() {
        let is_used = used.contains(field.name.as_str());
        // A public one may be read by the plugin itself.
        if !is_used && field.kind == FieldKind::Secret {
            findings.warning(
                "unused_credential",
                &format!("credentials[{index}]"),
                format!(
                    "the secret {} is asked for, but no auth, signature or webhook uses it",
                    field.name
                ),
            );
        }
    }
    for name in manifest.auth.keys() {
        let mut rules = manifest.outbound.iter();
        let is_checks = |webhook: &WebhookSignature| matches!(webhook, WebhookSignature::CertificateCrc32 { check: Some(check), .. } if check.auth == *name);
        let webhook = manifest.webhook.as_ref();
        let is_used = rules.any(|rule| rule.auth.contains(name))
            || webhook.is_some_and(|webhook| is_checks(&webhook.signature));
        if !is_used {
            findings.warning(
                "unused_auth",
                &format!("auth.{name}"),
                "no outbound rule allows it, so it is never attached",
            );
        }
    }
}

/// Names of the credential fields that the host uses.
fn used_fields(manifest: &Manifest) -> BTreeSet<&str> {
    let attached = manifest.auth.values().flat_map(|auth| auth.fields());
    let signed = manifest
        .signatures
        .values()
        .map(|signature| signature.credential.as_str());
    let webhook = manifest.webhook.iter();
    let webhook = webhook.flat_map(|webhook| webhook.signature.credentials());
    attached
        .chain(signed)
        .chain(webhook.map(String::as_str))
        .collect()
}
