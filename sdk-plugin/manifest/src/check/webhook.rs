//! Rules for `webhook`.

use super::{Mistakes, is_field_name, is_host_pattern, is_path_prefix, is_token};
use crate::format::{FieldKind, Manifest};
use crate::webhook::{ProviderCheck, WebhookSignature};

/// Secrets that one request is tried with.
const CREDENTIALS_MAX: usize = 4;
const HEADERS_MAX: usize = 16;

/// Headers that say how a request travelled, or who sent it: none of the adapter's business.
const HIDDEN: [&str; 7] = [
    "authorization",
    "cookie",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
];

pub(super) fn check(manifest: &Manifest, found: &mut Mistakes) {
    let Some(webhook) = &manifest.webhook else {
        return;
    };
    found.unless(
        webhook.headers.len() <= HEADERS_MAX,
        "webhook.headers",
        format!("may have at most {HEADERS_MAX} entries"),
    );
    for name in &webhook.headers {
        found.unless(
            is_lower_token(name) && !HIDDEN.contains(&name.as_str()),
            "webhook.headers",
            format!("\"{name}\" is not a lower-case header name that an adapter may read"),
        );
    }
    let place = "webhook.signature";
    match &webhook.signature {
        WebhookSignature::HmacBody { header, .. }
        | WebhookSignature::HmacUrlForm { header, .. } => {
            header_name(header, &format!("{place}.header"), found);
        }
        WebhookSignature::StandardWebhooks { prefix, .. } => {
            header_name(prefix, &format!("{place}.prefix"), found);
        }
        WebhookSignature::CertificateCrc32 {
            prefix,
            webhook_id,
            certificate_hosts,
            certificate_path,
            certificate_names,
            check,
        } => {
            header_name(prefix, &format!("{place}.prefix"), found);
            let is_public = manifest
                .credential(webhook_id)
                .is_some_and(|field| field.kind == FieldKind::Public);
            found.unless(
                is_public,
                format!("{place}.webhook_id"),
                format!("\"{webhook_id}\" is not declared as a public credential"),
            );
            found.unless(
                (1..=8).contains(&certificate_hosts.len())
                    && certificate_hosts
                        .iter()
                        .all(|host| is_host_pattern(host) && !host.starts_with('*')),
                format!("{place}.certificate_hosts"),
                "needs 1 to 8 host names in lower case",
            );
            found.unless(
                is_path_prefix(certificate_path) && certificate_path.ends_with('/'),
                format!("{place}.certificate_path"),
                "must be a path that begins and ends with /: /certificates/",
            );
            found.unless(
                certificate_names
                    .strip_prefix('.')
                    .is_some_and(|name| is_host_pattern(name) && !name.starts_with('*')),
                format!("{place}.certificate_names"),
                "must be a dot and a domain: .example.com",
            );
            if let Some(check) = check {
                provider_check(manifest, check, &format!("{place}.check"), found);
            }
        }
        WebhookSignature::Adapter {} => {
            found.unless(
                !manifest.signatures.is_empty(),
                place,
                "is left to the adapter, but no entry of signatures is there to check with",
            );
            return;
        }
    }
    credentials(manifest, &webhook.signature, found);
}

fn credentials(manifest: &Manifest, signature: &WebhookSignature, found: &mut Mistakes) {
    let names = signature.credentials();
    let place = "webhook.signature.credentials";
    found.unless(
        (1..=CREDENTIALS_MAX).contains(&names.len())
            || matches!(signature, WebhookSignature::CertificateCrc32 { .. }),
        place,
        format!("needs 1 to {CREDENTIALS_MAX} entries"),
    );
    for name in names {
        let is_secret = manifest
            .credential(name)
            .is_some_and(|field| field.kind == FieldKind::Secret);
        found.unless(
            is_secret,
            place,
            format!("\"{name}\" is not declared as a secret credential"),
        );
    }
}

fn provider_check(manifest: &Manifest, check: &ProviderCheck, place: &str, found: &mut Mistakes) {
    found.unless(
        is_field_name(&check.setting)
            && manifest
                .settings
                .iter()
                .any(|field| field.name == check.setting && field.accepts(&check.value)),
        format!("{place}.setting"),
        format!(
            "\"{}\" is no setting that may be \"{}\"",
            check.setting, check.value
        ),
    );
    found.unless(
        manifest.auth.contains_key(&check.auth),
        format!("{place}.auth"),
        format!("\"{}\" does not stand under auth", check.auth),
    );
    found.unless(
        check.urls.len() == 2 && check.urls.values().all(|url| url.starts_with("https://")),
        format!("{place}.urls"),
        "needs an https URL for test and one for live",
    );
}

fn header_name(name: &str, place: &str, found: &mut Mistakes) {
    found.unless(
        is_lower_token(name),
        place,
        format!("\"{name}\" is not a header name in lower case"),
    );
}

fn is_lower_token(name: &str) -> bool {
    is_token(name) && !name.bytes().any(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use crate::check::ManifestError;
    use crate::format::Manifest;

    const BASE: &str = r#"
        manifest = 1
        id = "acme"
        version = "1.0.0"
        publisher = "acme"
        name = "Acme"
        license = "MIT"
        credentials = [
            { name = "secret", label = "Secret", kind = "secret" },
            { name = "webhook_id", label = "Webhook", kind = "public", optional = true },
        ]
        settings = [{ name = "check", label = "Check", pattern = "local|provider" }]
        [auth.key]
        scheme = "bearer"
        token = "secret"
    "#;

    /// The places of the rules that this `webhook` breaks.
    fn broken(webhook: &str) -> Vec<String> {
        match Manifest::from_toml(&format!("{BASE}{webhook}")) {
            Ok(_) => Vec::new(),
            Err(ManifestError::Rules(mistakes)) => {
                mistakes.into_iter().map(|mistake| mistake.place).collect()
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn each_scheme_has_a_form_that_is_accepted() {
        for webhook in [
            r#"[webhook.signature]
               scheme = "hmac_body"
               header = "x-signature"
               algorithm = "hmac_sha256"
               encoding = "hex"
               credentials = ["secret"]"#,
            r#"[webhook.signature]
               scheme = "hmac_url_form"
               header = "x-signature"
               credentials = ["secret"]"#,
            r#"[webhook]
               headers = ["x-event-id"]
               [webhook.signature]
               scheme = "standard_webhooks"
               prefix = "webhook"
               credentials = ["secret"]"#,
            r#"[webhook.signature]
               scheme = "certificate_crc32"
               prefix = "acme"
               webhook_id = "webhook_id"
               certificate_hosts = ["api.acme.example"]
               certificate_path = "/certificates/"
               certificate_names = ".acme.example"
               [webhook.signature.check]
               setting = "check"
               value = "provider"
               auth = "key"
               urls = { test = "https://t.acme.example/v", live = "https://acme.example/v" }"#,
            r#"[signatures.own]
               algorithm = "hmac_sha256"
               encoding = "hex"
               credential = "secret"
               [webhook.signature]
               scheme = "adapter""#,
        ] {
            assert_eq!(broken(webhook), [""; 0], "{webhook}");
        }
    }

    #[test]
    fn what_cannot_be_checked_is_refused() {
        for (webhook, place) in [
            (
                r#"[webhook]
                   headers = ["Authorization"]
                   [webhook.signature]
                   scheme = "hmac_url_form"
                   header = "X-Signature"
                   credentials = []"#,
                vec![
                    "webhook.headers",
                    "webhook.signature.header",
                    "webhook.signature.credentials",
                ],
            ),
            (
                r#"[webhook.signature]
                   scheme = "standard_webhooks"
                   prefix = "svix"
                   credentials = ["webhook_id"]"#,
                vec!["webhook.signature.credentials"],
            ),
            (
                r#"[webhook.signature]
                   scheme = "certificate_crc32"
                   prefix = "acme"
                   webhook_id = "secret"
                   certificate_hosts = ["*.acme.example"]
                   certificate_path = "certificates"
                   certificate_names = "acme.example"
                   [webhook.signature.check]
                   setting = "check"
                   value = "nobody"
                   auth = "none"
                   urls = { test = "http://t.acme.example/v" }"#,
                vec![
                    "webhook.signature.webhook_id",
                    "webhook.signature.certificate_hosts",
                    "webhook.signature.certificate_path",
                    "webhook.signature.certificate_names",
                    "webhook.signature.check.setting",
                    "webhook.signature.check.auth",
                    "webhook.signature.check.urls",
                ],
            ),
            (
                r#"[webhook.signature]
                   scheme = "adapter""#,
                vec!["webhook.signature"],
            ),
        ] {
            assert_eq!(broken(webhook), place, "{webhook}");
        }
    }
}
