//! What the requests of a call carried: texts, amounts, keys, and secrets where they belong.

use std::collections::BTreeSet;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use onerouter_domain::money::{Currency, Money};
use onerouter_engine::{NotSent, RefusalKind};
use onerouter_manifest::{Attachment, Manifest};
use serde_json::Value;

use crate::canonical::{ANCHOR, Request};
use crate::connection::Canaries;
use crate::finding::{Finding, Findings};
use crate::operation::Operation;
use crate::provider::{By, Received};
use crate::run::{Ending, Run};

/// Values of a request that a finding names.
const SHOWN_MAX: usize = 8;

/// Trees of values that come from an adapter are not followed deeper.
const DEPTH_MAX: usize = 64;

/// Requests that may change something.
fn writes(received: &[Received]) -> Vec<&Received> {
    received
        .iter()
        .filter(|one| one.by != By::Token && one.method != "GET" && one.method != "HEAD")
        .collect()
}

/// Texts arrive as they are.
pub(crate) fn texts(operation: Operation, request: &Request, received: &[Received]) -> Findings {
    let mut findings = Findings::default();
    let (required, optional) = operation.texts(request);
    let writes = writes(received);
    if writes.is_empty() {
        findings.not_covered("no request that changes something was sent");
        return findings;
    }
    let leaves: Vec<_> = writes.iter().flat_map(|one| leaves(one)).collect();
    // A message goes out in one request. Something else may be made before a plan is, and there was no
    // answer to that.
    let is_cut_short = operation == Operation::PlansCreate
        && writes.iter().any(|one| one.by == By::Fault)
        && !leaves.iter().any(|leaf| leaf.contains(ANCHOR));
    if is_cut_short {
        findings.not_covered("no request with a text came so far: a success cassette would go on");
        return findings;
    }
    let all: Vec<_> = required.iter().chain(&optional).collect();
    for text in &all {
        if leaves.iter().any(|leaf| leaf.contains(text.as_str())) {
            continue;
        }
        let is_required = required.contains(text);
        let mut anchored = leaves.iter().filter(|leaf| leaf.contains(ANCHOR));
        let damaged = anchored.find(|leaf| {
            let is_whole = all.iter().any(|text| leaf.contains(text.as_str()));
            // A name in two fields, or one that is cut where the provider has no room.
            let is_part = all.iter().any(|text| text.contains(leaf.as_str()));
            !is_whole && (is_required || !is_part)
        });
        match damaged {
            Some(leaf) => findings.fail(Finding::new(
                "text_damaged",
                format!("the request holds {leaf:?} in place of {text:?}"),
                "hand texts on as they are: UTF-8, escaped by the SDK's writers, not cut within a character",
            )),
            None if is_required => findings.fail(Finding::new(
                "text_lost",
                format!("no request holds {text:?}"),
                "send the text that the caller gave, or answer `invalid` with a pointer to the field",
            )),
            None => findings.note(format!("the provider is not told {text:?} in one piece")),
        }
    }
    findings
}

/// The amount arrives exactly, in whatever unit the provider counts.
pub(crate) fn amount(request: &Request, run: &Run, received: &[Received]) -> Findings {
    let mut findings = Findings::default();
    let money = request.money();
    let shown = format!("{} {}", money.minor_units, money.currency);
    if let Some((minor, currency)) = &run.facts.amount
        && (*minor, currency.as_str()) != (money.minor_units, money.currency.as_str())
    {
        findings.fail(Finding::new(
            "amount_changed",
            format!("the adapter read {minor} {currency} for {shown} (smallest units)"),
            "read amounts as decimal text, by the provider's own number of decimals",
        ));
    }
    let writes = writes(received);
    if writes.is_empty() {
        match &run.ending {
            Ending::NotSent(NotSent::Invalid(_) | NotSent::Unsupported(_)) => {
                findings.note(format!("the adapter takes no {}", money.currency));
            }
            Ending::Accepted | Ending::Declined(_) | Ending::NotSent(_) | Ending::Unknown(_) => {
                findings.not_covered("no request that changes something was sent");
            }
        }
        return findings;
    }
    let forms = forms(money.minor_units, &money.currency);
    let leaves: Vec<_> = writes.iter().flat_map(|one| leaves(one)).collect();
    match leaves.iter().find(|leaf| forms.contains(leaf.as_str())) {
        Some(carried) => findings.note(format!("{shown} was sent as {carried}")),
        None => {
            let numbers: Vec<_> = leaves
                .iter()
                .filter(|leaf| {
                    leaf.bytes()
                        .all(|byte| byte.is_ascii_digit() || byte == b'.')
                })
                .map(String::as_str)
                .take(SHOWN_MAX)
                .collect();
            if numbers.is_empty() && writes.iter().any(|one| one.by == By::Fault) {
                // The first of several requests, perhaps, and there was no answer to it.
                findings.not_covered(
                    "no request with an amount came so far: a success cassette would go on",
                );
                return findings;
            }
            findings.fail(Finding::new(
                "amount_lost",
                format!("no request holds {shown} (smallest units); numbers sent: {numbers:?}"),
                "amounts come in the smallest unit of ISO 4217; translate them to the provider's unit without floats",
            ));
        }
    }
    findings
}

/// In the smallest unit, in major units, and without needless zeros.
fn forms(minor_units: u64, currency: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::from([minor_units.to_string()]);
    if let (Ok(currency), Ok(minor)) = (currency.parse::<Currency>(), i64::try_from(minor_units)) {
        let major = Money::from_minor_units(minor, currency).major_units();
        if major.contains('.') {
            let short = major.trim_end_matches('0').trim_end_matches('.');
            forms.insert(short.to_owned());
        }
        forms.insert(major);
    }
    forms
}

/// Each request that changes something carries the key that a repetition relies on.
pub(crate) fn key(header: &str, key: &str, received: &[Received]) -> Findings {
    let mut findings = Findings::default();
    let writes = writes(received);
    if writes.is_empty() {
        findings.not_covered("no request that changes something was sent");
        return findings;
    }
    for one in writes {
        let values: Vec<_> = one.headers.get_all(header).iter().collect();
        let fits = |text: &str| {
            text.strip_prefix(key)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        let is_held = matches!(values.as_slice(), [only] if only.to_str().is_ok_and(fits));
        if !is_held {
            findings.fail(Finding::new(
                "key_lost",
                format!("{} {} lacks the key in {header}", one.method, one.path),
                "send the request's `idempotency-key` in the header that the manifest names, with `-` and a step's name behind it where there are several requests",
            ));
        }
    }
    findings
}

/// Secrets stand where the manifest attaches them, and nowhere else.
pub(crate) fn secrets(
    manifest: &Manifest,
    canaries: &Canaries,
    run: &Run,
    received: &[Received],
) -> Findings {
    let mut findings = Findings::default();
    if let Some(name) = canaries.find(run.said.as_bytes()) {
        findings.fail(Finding::new(
            "secret_in_result",
            format!("the secret \"{name}\" stands in the adapter's result or log"),
            "this is a fault of the host's: report it",
        ));
    }
    for one in received {
        let rest = without_attached(manifest, one);
        if let Some(name) = canaries.find(&rest) {
            findings.fail(Finding::new(
                "secret_misplaced",
                format!(
                    "the secret \"{name}\" stands in {} {} where the manifest does not attach it",
                    one.method, one.path
                ),
                "name an entry under `auth` in the request; the host attaches the secret",
            ));
        }
    }
    findings
}

/// The request as bytes, without the parts that hold the credential that may be used there.
fn without_attached(manifest: &Manifest, received: &Received) -> Vec<u8> {
    let mut headers = vec![];
    let mut fields = vec![];
    let mut attached: Vec<&Attachment> = manifest
        .outbound
        .iter()
        .filter(|rule| {
            let host = rule.host.strip_prefix('*').map_or_else(
                || rule.host == received.host,
                |suffix| received.host.ends_with(suffix),
            );
            host && received.path.starts_with(&rule.path_prefix)
        })
        .flat_map(|rule| &rule.auth)
        .filter_map(|name| manifest.auth.get(name))
        .collect();
    if received.by == By::Token {
        attached.extend(manifest.auth.values());
    }
    for attachment in attached {
        match attachment {
            Attachment::Basic { .. }
            | Attachment::Bearer { .. }
            | Attachment::OAuth2ClientCredentials { .. } => {
                headers.push(AUTHORIZATION.as_str().to_owned());
            }
            Attachment::Header { name, .. } => headers.push(name.to_ascii_lowercase()),
            Attachment::Query { name, .. } | Attachment::Form { name, .. } => {
                fields.push(name.as_str());
            }
        }
    }
    let without = |pairs: &[u8]| {
        let kept = form_urlencoded::parse(pairs).filter(|(name, _)| !fields.contains(&&**name));
        kept.map(|(name, value)| format!("{name}={value}&"))
            .collect::<String>()
            .into_bytes()
    };
    let mut rest = format!("{} {} ", received.method, received.path).into_bytes();
    rest.extend(without(received.query.as_bytes()));
    for (name, value) in &received.headers {
        if !headers.iter().any(|known| known == name.as_str()) {
            rest.extend_from_slice(name.as_str().as_bytes());
            rest.extend_from_slice(b": ");
            rest.extend_from_slice(value.as_bytes());
            rest.push(b'\n');
        }
    }
    if is(received, "application/x-www-form-urlencoded") {
        rest.extend(without(&received.body));
    } else {
        rest.extend_from_slice(&received.body);
    }
    rest
}

fn is(received: &Received, media_type: &str) -> bool {
    received
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.to_ascii_lowercase().starts_with(media_type))
}

/// Every single value of a request's body and query, decoded.
fn leaves(received: &Received) -> Vec<String> {
    let mut leaves: Vec<String> = form_urlencoded::parse(received.query.as_bytes())
        .map(|(_, value)| value.into_owned())
        .collect();
    if is(received, "application/x-www-form-urlencoded") {
        let pairs = form_urlencoded::parse(&received.body);
        leaves.extend(pairs.map(|(_, value)| value.into_owned()));
    } else if let Ok(value) = serde_json::from_slice::<Value>(&received.body) {
        collect(&value, &mut leaves, 0);
    } else {
        leaves.push(String::from_utf8_lossy(&received.body).into_owned());
    }
    leaves
}

fn collect(value: &Value, leaves: &mut Vec<String>, depth: usize) {
    if depth > DEPTH_MAX {
        return;
    }
    match value {
        Value::String(text) => leaves.push(text.clone()),
        Value::Number(number) => leaves.push(number.to_string()),
        Value::Array(items) => {
            for item in items {
                collect(item, leaves, depth + 1);
            }
        }
        Value::Object(fields) => {
            for item in fields.values() {
                collect(item, leaves, depth + 1);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

/// Whether the tenant's credentials were refused: nothing else can be said then.
pub(crate) fn is_refused_login(run: &Run) -> bool {
    matches!(&run.ending, Ending::Declined(refusal) if refusal.kind == RefusalKind::Unauthorized)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use onerouter_manifest::Manifest;

    use super::{forms, key, texts, without_attached};
    use crate::canonical::{Request, Sender, TEXT};
    use crate::finding::{Findings, Verdict};
    use crate::input::Input;
    use crate::operation::Operation;
    use crate::provider::{By, Received};

    fn received(content_type: &str, query: &str, body: &str) -> Received {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", content_type.parse().unwrap());
        Received {
            method: "POST".to_owned(),
            host: "api.acme.example".to_owned(),
            path: "/v1/messages".to_owned(),
            query: query.to_owned(),
            headers,
            body: body.to_owned().into(),
            by: By::Cassette,
        }
    }

    fn codes(findings: &Findings) -> Vec<&str> {
        findings.all.iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn a_text_is_found_whole_damaged_or_not_at_all() {
        let request = Request {
            input: Input::default(),
            now_ms: 0,
            sender: Sender::Request,
            currency: "USD".to_owned(),
        };
        let json = serde_json::json!({"text": TEXT}).to_string();
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("Body", TEXT)
            .finish();
        let raw = format!("Body={TEXT}");
        let form_type = "application/x-www-form-urlencoded";
        for (content_type, body, expected) in [
            ("application/json", json.as_str(), &[][..]),
            (form_type, &form, &[]),
            (form_type, raw.as_str(), &["text_damaged"]),
            (
                "application/json",
                r#"{"text":"Kit: Gr??e"}"#,
                &["text_damaged"],
            ),
            ("application/json", r#"{"text":"hello"}"#, &["text_lost"]),
        ] {
            let sent = [received(content_type, "", body)];
            let findings = texts(Operation::SmsSend, &request, &sent);
            assert_eq!(codes(&findings), expected, "{body}");
        }
        let none = texts(Operation::SmsSend, &request, &[]);
        assert_eq!(none.verdict(), Verdict::NotCovered);
    }

    #[test]
    fn a_key_may_have_a_step_behind_it_and_nothing_else() {
        for (value, expected) in [
            ("k-1", &[][..]),
            ("k-1-order", &[]),
            ("k-12", &["key_lost"]),
            ("other", &["key_lost"]),
        ] {
            let mut sent = received("application/json", "", "{}");
            sent.headers.insert("x-key", value.parse().unwrap());
            assert_eq!(codes(&key("X-Key", "k-1", &[sent])), expected, "{value}");
        }
        let without = [received("application/json", "", "{}")];
        assert_eq!(codes(&key("X-Key", "k-1", &without)), ["key_lost"]);
    }

    #[test]
    fn a_credential_is_overlooked_only_where_it_is_attached() {
        let manifest = Manifest::from_toml(
            r#"
            manifest = 1
            id = "acme"
            version = "1.0.0"
            publisher = "acme"
            name = "Acme"
            license = "MIT"
            [[credentials]]
            name = "token"
            label = "Token"
            kind = "secret"
            [auth.token]
            scheme = "query"
            name = "api_key"
            value = "token"
            [[outbound]]
            host = "api.acme.example"
            path_prefix = "/v1/"
            methods = ["POST"]
            auth = ["token"]
            "#,
        )
        .unwrap();
        let sent = received("application/json", "api_key=ONE&other=TWO", "THREE");
        let rest = String::from_utf8(without_attached(&manifest, &sent)).unwrap();
        assert!(!rest.contains("ONE"), "{rest}");
        assert!(rest.contains("TWO") && rest.contains("THREE"), "{rest}");
    }

    #[test]
    fn an_amount_is_known_in_either_unit() {
        let known = |minor, currency| forms(minor, currency).into_iter().collect::<Vec<_>>();
        assert_eq!(known(123_456, "INR"), ["1234.56", "123456"]);
        assert_eq!(known(5_000, "JPY"), ["5000"]);
        assert_eq!(known(5_250, "KWD"), ["5.25", "5.250", "5250"]);
    }
}
