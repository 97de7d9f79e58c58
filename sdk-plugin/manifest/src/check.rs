//! The rules that a manifest must keep. All mistakes are reported at once.

mod webhook;

use std::fmt;

use crate::capability::Capability;
use crate::format::{Attachment, FieldKind, Limits, Manifest, OutboundRule};

/// Upper bounds on what a manifest may ask for, whatever the operator approves. What needs more memory
/// than a translator, 64 MiB, gets one of the host's few wide places.
const LIMITS_MAX: Limits = Limits {
    memory_bytes: 256 << 20,
    cpu_ms: 2_000,
    wall_ms: 60_000,
    requests: 64,
    response_bytes: 16 << 20,
    log_bytes: 256 << 10,
};

/// Lists longer than this are a mistake or an attack.
const ENTRIES_MAX: usize = 64;

const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where: `outbound[0].host`.
    pub place: String,
    /// What is wrong and what would be right.
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// Why a manifest is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ManifestError {
    /// Not TOML or JSON, an unknown key, a missing one, or a wrong type.
    #[error("the manifest cannot be read: {0}")]
    Syntax(String),
    /// Rules are broken.
    #[error("the manifest breaks {} rule(s):{}", .0.len(), listed(.0))]
    Rules(Vec<Mistake>),
}

fn listed(mistakes: &[Mistake]) -> String {
    mistakes
        .iter()
        .map(|mistake| format!("\n  {mistake}"))
        .collect()
}

pub(crate) fn check(manifest: &Manifest) -> Result<(), ManifestError> {
    let mut found = Mistakes(Vec::new());
    found.unless(
        manifest.manifest == 1,
        "manifest",
        "must be 1, the only version of the format",
    );
    for (place, text, most) in [
        ("publisher", &manifest.publisher, 64),
        ("name", &manifest.name, 64),
        ("license", &manifest.license, 64),
    ] {
        found.unless(
            !text.trim().is_empty() && text.chars().count() <= most,
            place,
            format!("needs 1 to {most} characters"),
        );
    }
    found.unless(
        manifest.description.chars().count() <= 1_000,
        "description",
        "may have at most 1,000 characters",
    );
    if let Some(source) = &manifest.source {
        found.unless(
            source.starts_with("https://"),
            "source",
            "must be an https URL",
        );
    }
    fields(manifest, &mut found);
    auth(manifest, &mut found);
    signatures(manifest, &mut found);
    webhook::check(manifest, &mut found);
    for (index, rule) in manifest.outbound.iter().enumerate() {
        outbound(manifest, rule, &format!("outbound[{index}]"), &mut found);
    }
    answers(manifest, &mut found);
    currencies(manifest, &mut found);
    limits(&manifest.limits, &mut found);
    prices(manifest, &mut found);
    for (place, length) in [
        ("credentials", manifest.credentials.len()),
        ("settings", manifest.settings.len()),
        ("auth", manifest.auth.len()),
        ("signatures", manifest.signatures.len()),
        ("outbound", manifest.outbound.len()),
        ("not_processed", manifest.not_processed.len()),
        ("operations", manifest.operations.len()),
        ("imports", manifest.imports.len()),
        ("exports", manifest.exports.len()),
    ] {
        found.unless(
            length <= ENTRIES_MAX,
            place,
            format!("may have at most {ENTRIES_MAX} entries"),
        );
    }
    found.into_result()
}

/// Whether an adapter that reads webhooks says how they are signed, and the reverse.
pub(crate) fn webhook(
    manifest: &Manifest,
    capabilities: &[Capability],
) -> Result<(), ManifestError> {
    let reads = capabilities.contains(&Capability::Webhooks);
    let mut found = Mistakes(Vec::new());
    found.unless(
        manifest.webhook.is_some() || !reads,
        "webhook",
        "is missing: the component exports webhooks, so it must say how they are signed",
    );
    found.unless(
        manifest.webhook.is_none() || reads,
        "webhook",
        "says how webhooks are signed, but the component exports no onerouter:webhooks/webhooks",
    );
    found.into_result()
}

struct Mistakes(Vec<Mistake>);

impl Mistakes {
    fn unless(&mut self, holds: bool, place: impl Into<String>, text: impl Into<String>) {
        if !holds {
            self.0.push(Mistake {
                place: place.into(),
                text: text.into(),
            });
        }
    }

    fn into_result(self) -> Result<(), ManifestError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(ManifestError::Rules(self.0))
        }
    }
}

fn fields(manifest: &Manifest, found: &mut Mistakes) {
    let credentials = manifest
        .credentials
        .iter()
        .map(|field| ("credentials", &field.name, &field.label, &field.pattern));
    let settings = manifest
        .settings
        .iter()
        .map(|field| ("settings", &field.name, &field.label, &field.pattern));
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (list, name, label, pattern) in credentials.chain(settings) {
        let place = format!("{list}.{name}");
        found.unless(
            is_field_name(name),
            &place,
            "is not a field name: a lower-case letter, then up to 39 letters, digits or underscores",
        );
        found.unless(!seen.contains(&(list, name)), &place, "stands there twice");
        seen.push((list, name));
        found.unless(
            !label.trim().is_empty() && label.chars().count() <= 80,
            format!("{place}.label"),
            "needs 1 to 80 characters",
        );
        if let Some(pattern) = pattern {
            found.unless(
                pattern.len() <= 500 && compile(pattern).is_ok(),
                format!("{place}.pattern"),
                "is not a regular expression of at most 500 characters",
            );
        }
    }
}

fn auth(manifest: &Manifest, found: &mut Mistakes) {
    for (name, profile) in &manifest.auth {
        let place = format!("auth.{name}");
        found.unless(
            is_field_name(name),
            &place,
            "is not a name of lower-case letters",
        );
        for field in profile.fields() {
            found.unless(
                manifest.credential(field).is_some(),
                &place,
                format!("names the credential \"{field}\", which is not declared"),
            );
        }
        let secret = profile.fields().iter().any(|field| {
            manifest
                .credential(field)
                .is_some_and(|field| field.kind == FieldKind::Secret)
        });
        found.unless(
            secret,
            &place,
            "attaches no secret; send public values from the adapter",
        );
        match profile {
            Attachment::Header { name, prefix, .. } => {
                found.unless(
                    is_token(name) && !is_reserved(name),
                    &place,
                    format!("\"{name}\" is not a header that a credential may use"),
                );
                found.unless(
                    prefix.chars().all(|c| c == ' ' || c.is_ascii_graphic()) && prefix.len() <= 32,
                    &place,
                    "the prefix may have at most 32 printable characters",
                );
            }
            Attachment::Query { name, .. } | Attachment::Form { name, .. } => {
                found.unless(
                    !name.is_empty() && name.len() <= 64 && is_token(name),
                    &place,
                    "the parameter's name must be a token of 1 to 64 characters",
                );
            }
            Attachment::OAuth2ClientCredentials {
                token_path, scope, ..
            } => {
                found.unless(
                    is_path_prefix(token_path) && token_path.len() > 1 && !token_path.ends_with('/'),
                    format!("{place}.token_path"),
                    "must be a path such as /oauth2/token, without query, dot segments, % or a / at its end",
                );
                found.unless(
                    scope.len() <= 1_000
                        && scope.bytes().all(|b| b == b' ' || b.is_ascii_graphic()),
                    format!("{place}.scope"),
                    "may have at most 1,000 printable characters",
                );
            }
            Attachment::Basic { .. } | Attachment::Bearer { .. } => {}
        }
    }
}

fn signatures(manifest: &Manifest, found: &mut Mistakes) {
    for (name, signature) in &manifest.signatures {
        let place = format!("signatures.{name}");
        found.unless(
            is_field_name(name),
            &place,
            "is not a name of lower-case letters",
        );
        let secret = manifest
            .credential(&signature.credential)
            .is_some_and(|field| field.kind == FieldKind::Secret);
        found.unless(
            secret,
            format!("{place}.credential"),
            format!(
                "\"{}\" is not declared as a secret credential",
                signature.credential
            ),
        );
    }
}

fn currencies(manifest: &Manifest, found: &mut Mistakes) {
    for (category, currencies) in &manifest.currencies {
        let place = format!("currencies.{category}");
        found.unless(
            (1..=300).contains(&currencies.len()),
            &place,
            "needs 1 to 300 currencies",
        );
        for currency in currencies {
            found.unless(
                is_currency(currency),
                &place,
                format!("\"{currency}\" is not an ISO 4217 code: USD"),
            );
        }
    }
}

fn outbound(manifest: &Manifest, rule: &OutboundRule, place: &str, found: &mut Mistakes) {
    found.unless(
        rule.scheme == "https",
        format!("{place}.scheme"),
        "must be https",
    );
    found.unless(
        is_host_pattern(&rule.host),
        format!("{place}.host"),
        format!(
            "\"{}\" is not a lower-case host name with at least two labels (\"*.\" in front stands for one label)",
            rule.host
        ),
    );
    found.unless(
        rule.port != 0,
        format!("{place}.port"),
        "must be 1 to 65535",
    );
    found.unless(
        is_path_prefix(&rule.path_prefix),
        format!("{place}.path_prefix"),
        "must start with / and hold no query, fragment, dot segment, backslash or %",
    );
    found.unless(
        !rule.methods.is_empty(),
        format!("{place}.methods"),
        "names no method",
    );
    for method in &rule.methods {
        found.unless(
            METHODS.contains(&method.as_str()),
            format!("{place}.methods"),
            format!("\"{method}\" is not one of {}", METHODS.join(", ")),
        );
    }
    for name in &rule.auth {
        found.unless(
            manifest.auth.contains_key(name),
            format!("{place}.auth"),
            format!("\"{name}\" does not stand under auth"),
        );
    }
}

fn answers(manifest: &Manifest, found: &mut Mistakes) {
    for (index, rule) in manifest.not_processed.iter().enumerate() {
        let place = format!("not_processed[{index}]");
        // A success, by definition, was processed; and a server error cannot vouch for itself
        // unless its body says so.
        found.unless(
            (400..500).contains(&rule.status) || (rule.status >= 500 && rule.pointer.is_some()),
            format!("{place}.status"),
            "must be 400 to 499, or 500 and above together with a pointer and values",
        );
        found.unless(
            rule.pointer.is_some() != rule.values.is_empty(),
            &place,
            "needs pointer and values together, or neither",
        );
        if let Some(pointer) = &rule.pointer {
            found.unless(
                pointer.starts_with('/') && pointer.len() <= 200,
                format!("{place}.pointer"),
                "must be a JSON Pointer: /code",
            );
        }
    }
    for (name, operation) in &manifest.operations {
        let place = format!("operations.{name}");
        found.unless(
            name.split_once('.').is_some_and(|(category, operation)| {
                is_field_name(category) && is_field_name(operation)
            }),
            &place,
            "must be resource.operation, such as email.send or refunds.create",
        );
        if let Some(rule) = &operation.idempotency {
            found.unless(
                is_token(&rule.header),
                format!("{place}.idempotency.header"),
                "is no header name",
            );
            found.unless(
                (60..=90 * 86_400).contains(&rule.window_s),
                format!("{place}.idempotency.window_s"),
                "must be 60 seconds to 90 days",
            );
        }
    }
    for (category, rule) in &manifest.batch {
        found.unless(
            (2..=1_000).contains(&rule.max),
            format!("batch.{category}.max"),
            "must be 2 to 1,000",
        );
    }
}

fn limits(limits: &Limits, found: &mut Mistakes) {
    for (name, value, most) in [
        ("memory_bytes", limits.memory_bytes, LIMITS_MAX.memory_bytes),
        ("cpu_ms", limits.cpu_ms, LIMITS_MAX.cpu_ms),
        ("wall_ms", limits.wall_ms, LIMITS_MAX.wall_ms),
        (
            "requests",
            limits.requests.into(),
            LIMITS_MAX.requests.into(),
        ),
        (
            "response_bytes",
            limits.response_bytes,
            LIMITS_MAX.response_bytes,
        ),
        ("log_bytes", limits.log_bytes, LIMITS_MAX.log_bytes),
    ] {
        found.unless(
            (1..=most).contains(&value),
            format!("limits.{name}"),
            format!("must be 1 to {most}"),
        );
    }
}

fn prices(manifest: &Manifest, found: &mut Mistakes) {
    found.unless(
        manifest.prices.len() <= 2_000,
        "prices",
        "may have at most 2,000 rows",
    );
    for (index, price) in manifest.prices.iter().enumerate() {
        let place = format!("prices[{index}]");
        found.unless(
            is_decimal(&price.amount),
            format!("{place}.amount"),
            "must be a decimal with at most 6 decimals: 0.0079",
        );
        found.unless(
            is_currency(&price.currency),
            format!("{place}.currency"),
            "must be an ISO 4217 code: USD",
        );
        found.unless(
            price.prefix.is_empty()
                || price.prefix.strip_prefix('+').is_some_and(|digits| {
                    (1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
                }),
            format!("{place}.prefix"),
            "must be the start of an E.164 number: +1",
        );
    }
}

/// A pattern that does not compile was refused with its manifest; no value has its shape.
pub(crate) fn accepts(pattern: Option<&str>, value: &str) -> bool {
    pattern.is_none_or(|pattern| compile(pattern).is_ok_and(|regex| regex.is_match(value)))
}

/// The pattern, bound to the whole value.
fn compile(pattern: &str) -> Result<regex::Regex, regex::Error> {
    regex::RegexBuilder::new(&format!("^(?:{pattern})$"))
        .size_limit(1 << 18)
        .build()
}

fn is_field_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|c| c.is_ascii_lowercase())
        && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && name.len() <= 40
}

fn is_currency(code: &str) -> bool {
    code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase())
}

fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn is_reserved(name: &str) -> bool {
    [
        "host",
        "content-length",
        "content-type",
        "transfer-encoding",
        "connection",
        "te",
        "upgrade",
        "range",
        "accept-encoding",
        "trailer",
        "expect",
    ]
    .iter()
    .any(|reserved| name.eq_ignore_ascii_case(reserved))
        || name.to_ascii_lowercase().starts_with("proxy-")
}

fn is_host_pattern(host: &str) -> bool {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let labels: Vec<&str> = name.split('.').collect();
    let named = labels.len() >= 2
        && name.len() <= 253
        && labels.iter().all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        });
    // A last label of digits only is an IP address in disguise.
    named
        && labels
            .last()
            .is_some_and(|last| last.bytes().any(|b| b.is_ascii_lowercase()))
}

fn is_path_prefix(path: &str) -> bool {
    path.starts_with('/')
        && path.len() <= 500
        && !path.contains("//")
        && !path
            .split('/')
            .any(|segment| segment == "." || segment == "..")
        && path
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"/-_.~:@".contains(&b))
}

fn is_decimal(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    (1..=9).contains(&whole.len())
        && (1..=6).contains(&fraction.len())
        && whole
            .bytes()
            .chain(fraction.bytes())
            .all(|b| b.is_ascii_digit())
}
