//! What differs between a recorded call and the same call on another version.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::recording::{Asked, AskedBody, Recording, Told};
use crate::replay::Played;

/// Differences of one call that are told.
const DIFFERENCES_MAX: usize = 50;
/// Characters of a value, or of a place, that are told.
const VALUE_LENGTH_MAX: usize = 300;
/// How deep values are compared; below that, as a whole.
const DEPTH_MAX: usize = 32;

/// Something that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where: a JSON pointer into `{"requests": [{"method", "url", "query", "headers", "body_kind", "body",
    /// "auth", "want_headers", "timeout_ms"}], "result": {"ok" or "error"}}`. Requests are numbered as they were recorded.
    pub at: String,
    /// What was recorded; nothing where it is new. Cut.
    pub recorded: Option<String>,
    /// What it is now; nothing where it is gone. Cut.
    pub now: Option<String>,
}

/// What came out, before and now.
pub(crate) struct Results<'r> {
    pub(crate) recorded: &'r Value,
    /// None where the version broke down.
    pub(crate) now: Option<&'r Value>,
}

/// All of them, requests first.
pub(crate) fn differences(
    recording: &Recording,
    played: &Played,
    results: &Results<'_>,
) -> Vec<Difference> {
    let replayed = &played.asked;
    let mut found = Found::default();
    let mut new = recording.exchanges.len()..;
    for request in replayed {
        let recorded = request
            .stands_for
            .and_then(|at| recording.exchanges.get(at));
        let at = match (request.stands_for, recorded) {
            (Some(stands_for), Some(exchange)) => {
                let at = format!("/requests/{stands_for}");
                let now = shown(&request.asked);
                found.compare(&at, &shown(&exchange.asked), &now, 0);
                at
            }
            _ => {
                let at = format!("/requests/{}", new.next().unwrap_or_default());
                found.add(&at, None, Some(&line(&request.asked)));
                at
            }
        };
        let was = recorded.and_then(|exchange| refused(&exchange.told));
        let text = |text: &str| Value::String(text.to_owned());
        found.compare_parts(
            &format!("{at}/refused"),
            was.map(text).as_ref(),
            request.refused.as_deref().map(text).as_ref(),
        );
    }
    if played.is_cut {
        let much = Value::String("it asks for more than is compared".to_owned());
        found.add("/requests", None, Some(&much));
    }
    for (number, exchange) in recording.exchanges.iter().enumerate() {
        if replayed.iter().all(|one| one.stands_for != Some(number)) {
            found.add(
                &format!("/requests/{number}"),
                Some(&line(&exchange.asked)),
                None,
            );
        }
    }
    let order: Vec<usize> = replayed.iter().filter_map(|one| one.stands_for).collect();
    if !order.is_sorted() {
        let mut recorded = order.clone();
        recorded.sort_unstable();
        found.add("/requests", Some(&json!(recorded)), Some(&json!(order)));
    }
    match results.now {
        Some(now) => found.compare("/result", results.recorded, now, 0),
        None => found.add("/result", Some(results.recorded), None),
    }
    found.0
}

#[derive(Default)]
struct Found(Vec<Difference>);

impl Found {
    fn add(&mut self, at: &str, recorded: Option<&Value>, now: Option<&Value>) {
        if self.0.len() < DIFFERENCES_MAX {
            self.0.push(Difference {
                at: shortened(at),
                recorded: recorded.map(cut),
                now: now.map(cut),
            });
        }
    }

    fn compare_parts(&mut self, at: &str, recorded: Option<&Value>, now: Option<&Value>) {
        match (recorded, now) {
            (None, None) => {}
            (Some(was), Some(is)) => self.compare(at, was, is, 0),
            (was, is) => self.add(at, was, is),
        }
    }

    fn compare(&mut self, at: &str, recorded: &Value, now: &Value, depth: usize) {
        match (recorded, now) {
            _ if recorded == now => {}
            (Value::Object(recorded), Value::Object(now)) if depth < DEPTH_MAX => {
                for (name, was) in recorded {
                    let at = format!("{at}/{}", escaped(name));
                    match now.get(name) {
                        Some(now) => self.compare(&at, was, now, depth + 1),
                        None => self.add(&at, Some(was), None),
                    }
                }
                for (name, is) in now.iter().filter(|(name, _)| !recorded.contains_key(*name)) {
                    self.add(&format!("{at}/{}", escaped(name)), None, Some(is));
                }
            }
            (Value::Array(recorded), Value::Array(now)) if depth < DEPTH_MAX => {
                for number in 0..recorded.len().max(now.len()) {
                    let at = format!("{at}/{number}");
                    match (recorded.get(number), now.get(number)) {
                        (Some(was), Some(is)) => self.compare(&at, was, is, depth + 1),
                        (was, is) => self.add(&at, was, is),
                    }
                }
            }
            _ => self.add(at, Some(recorded), Some(now)),
        }
    }
}

/// As a JSON pointer writes a name.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Text as it is, anything else as JSON; the beginning of it.
fn cut(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    shortened(&text)
}

pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(VALUE_LENGTH_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Why the host did not send a request.
fn refused(told: &Told) -> Option<&str> {
    match told {
        Told::Denied(text) | Told::Other(text) => Some(text),
        Told::Answer { .. } | Told::Unreachable(_) | Told::Interrupted(_) | Told::TooLarge(_) => {
            None
        }
    }
}

/// A request in one line.
fn line(asked: &Asked) -> Value {
    Value::String(format!("{} {}", asked.method, asked.url))
}

/// A request by its parts, so that those that mean the same are the same: names of headers in lower
/// case, bodies and queries parsed, members and parameters of other names in no order.
fn shown(asked: &Asked) -> Value {
    let (url, query) = match Url::parse(&asked.url) {
        Ok(url) => {
            let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
            let mut bare = url;
            bare.set_query(None);
            (bare.to_string(), query)
        }
        Err(_no_url) => (asked.url.clone(), Vec::new()),
    };
    let headers = asked
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    let mut want: Vec<_> = asked
        .want_headers
        .iter()
        .map(|name| name.to_ascii_lowercase())
        .collect();
    want.sort_unstable();
    json!({
        "method": asked.method,
        "url": url,
        "query": by_name(query),
        "headers": by_name(headers),
        "body_kind": match asked.body {
            AskedBody::Empty => "empty",
            AskedBody::Json(_) => "json",
            AskedBody::Form(_) => "form",
            AskedBody::Bytes(_) => "bytes",
        },
        "body": body(&asked.body),
        "auth": asked.auth,
        "want_headers": want,
        "timeout_ms": asked.timeout_ms,
    })
}

fn body(body: &AskedBody) -> Value {
    match body {
        AskedBody::Empty => Value::Null,
        AskedBody::Json(text) => {
            serde_json::from_str(text).unwrap_or_else(|_no_json| json!({"text": text}))
        }
        AskedBody::Form(pairs) => by_name(pairs.iter().cloned()),
        AskedBody::Bytes(base64) => {
            let bytes = STANDARD.decode(base64).unwrap_or_default();
            let digest = Sha256::digest(&bytes);
            let sha256: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({"bytes": bytes.len(), "sha256": sha256})
        }
    }
}

/// One value as text, several as a list.
fn by_name(pairs: impl IntoIterator<Item = (String, String)>) -> Value {
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in pairs {
        values.entry(name).or_default().push(value);
    }
    let members = values.into_iter().map(|(name, mut values)| {
        let value = match (values.len(), values.pop()) {
            (1, Some(only)) => json!(only),
            (_, last) => {
                values.extend(last);
                json!(values)
            }
        };
        (name, value)
    });
    Value::Object(members.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use onerouter_domain::environment::Environment;

    use super::*;
    use crate::recording::Exchange;
    use crate::replay::Replayed;

    fn asked(url: &str, body: AskedBody) -> Asked {
        Asked {
            method: "POST".to_owned(),
            url: url.to_owned(),
            headers: vec![("Accept".to_owned(), "application/json".to_owned())],
            body,
            auth: Some("token".to_owned()),
            want_headers: Vec::new(),
            timeout_ms: None,
        }
    }

    fn recording(exchanges: Vec<Asked>) -> Recording {
        let told = Told::Answer {
            status: 200,
            headers: Vec::new(),
            body: String::new(),
        };
        Recording {
            operation: "sms.send".to_owned(),
            sha256: "00".repeat(32),
            environment: Environment::Test,
            public: BTreeMap::new(),
            settings: BTreeMap::new(),
            key: None,
            params: "[]".to_owned(),
            began_ms: 0,
            times: Vec::new(),
            signatures: Vec::new(),
            exchanges: exchanges
                .into_iter()
                .map(|asked| Exchange {
                    asked,
                    told: told.clone(),
                })
                .collect(),
            result: sent().to_string(),
        }
    }

    fn replayed(asked: Asked, stands_for: Option<usize>) -> Replayed {
        Replayed {
            asked,
            stands_for,
            refused: None,
        }
    }

    fn sent() -> Value {
        json!({"ok": {"status": "sent"}})
    }

    fn found(
        recording: &Recording,
        replayed: Vec<Replayed>,
        now: Option<&Value>,
    ) -> Vec<Difference> {
        let recorded = &sent();
        let mut played = Played::default();
        played.asked = replayed;
        differences(recording, &played, &Results { recorded, now })
    }

    fn at(found: &[Difference]) -> Vec<&str> {
        found.iter().map(|one| one.at.as_str()).collect()
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        let was = asked(
            "https://api.acme.example/v1/send?a=1&b=x%20y",
            AskedBody::Json(r#"{"to": "+1", "text": "hé"}"#.to_owned()),
        );
        let mut now = asked(
            "https://API.acme.example/v1/send?b=x+y&a=1",
            AskedBody::Json(r#"{"text":"h\u00e9","to":"+1"}"#.to_owned()),
        );
        now.headers = vec![("accept".to_owned(), "application/json".to_owned())];
        let recording = recording(vec![was]);
        let found = found(&recording, vec![replayed(now, Some(0))], Some(&sent()));
        assert_eq!(found, []);
    }

    #[test]
    fn every_part_that_differs_is_named() {
        let form = |to: &str| AskedBody::Form(vec![("To".to_owned(), to.to_owned())]);
        let recording = recording(vec![
            asked("https://a.example/v1", form("+1")),
            asked("https://a.example/v2", AskedBody::Empty),
        ]);
        let mut now = asked("https://a.example/v1", form("+2"));
        now.auth = None;
        let more = asked("https://b.example/", AskedBody::Empty);
        let result = json!({"error": {"declined": {"code": "x"}}});
        let replayed = vec![replayed(now, Some(0)), replayed(more, None)];
        let found = found(&recording, replayed, Some(&result));
        assert_eq!(
            at(&found),
            [
                "/requests/0/auth",
                "/requests/0/body/To",
                "/requests/2",
                "/requests/1",
                "/result/ok",
                "/result/error"
            ]
        );
        assert_eq!(found[1].recorded.as_deref(), Some("+1"));
        assert_eq!(found[1].now.as_deref(), Some("+2"));
        assert_eq!(found[2].now.as_deref(), Some("POST https://b.example/"));
        assert_eq!(found[3].now, None);
    }

    #[test]
    fn another_encoding_and_another_judgement_of_the_host_are_differences() {
        let form = AskedBody::Form(vec![("to".to_owned(), "+1".to_owned())]);
        let mut recording = recording(vec![
            asked("https://a.example/", form),
            asked("https://b.example/", AskedBody::Empty),
        ]);
        recording.exchanges[1].told = Told::Denied("no rule".to_owned());
        let json = AskedBody::Json(r#"{"to":"+1"}"#.to_owned());
        let first = replayed(asked("https://a.example/", json), Some(0));
        let same = || asked("https://b.example/", AskedBody::Empty);
        let now_allowed = replayed(same(), Some(1));
        let found_first = found(&recording, vec![first, now_allowed], Some(&sent()));
        assert_eq!(
            at(&found_first),
            ["/requests/0/body_kind", "/requests/1/refused"]
        );
        let form = AskedBody::Form(vec![("to".to_owned(), "+1".to_owned())]);
        let first = replayed(asked("https://a.example/", form), Some(0));
        let still_refused = Replayed {
            refused: Some("no rule".to_owned()),
            ..replayed(same(), Some(1))
        };
        assert_eq!(
            found(&recording, vec![first, still_refused], Some(&sent())),
            []
        );
    }

    #[test]
    fn another_order_and_a_breakdown_are_told() {
        let recording = recording(vec![
            asked("https://a.example/1", AskedBody::Empty),
            asked("https://a.example/2", AskedBody::Empty),
        ]);
        let again = |at: usize| replayed(recording.exchanges[at].asked.clone(), Some(at));
        let found = found(&recording, vec![again(1), again(0)], None);
        assert_eq!(at(&found), ["/requests", "/result"]);
        assert_eq!(found[0].now.as_deref(), Some("[1,0]"));
        assert_eq!(found[1].now, None);
    }

    #[test]
    fn long_values_and_many_differences_are_cut() {
        let many: Vec<_> = (0..200)
            .map(|n| (format!("n{n}"), "é".repeat(999)))
            .collect();
        let recording = recording(vec![asked("https://a.example/", AskedBody::Form(many))]);
        let now = asked("https://a.example/", AskedBody::Form(Vec::new()));
        let found = found(&recording, vec![replayed(now, Some(0))], None);
        assert_eq!(found.len(), DIFFERENCES_MAX);
        let value = found[0].recorded.as_deref().unwrap();
        assert_eq!(value.chars().count(), VALUE_LENGTH_MAX + 1);
    }
}
