//! Where an adapter may send requests: the manifest's rules, prepared once per adapter.

use std::collections::BTreeMap;

use onerouter_manifest::{Attachment, Manifest, NotProcessed, OutboundRule};

use super::denial::Denial;
use super::target::Target;

/// Answers that are read to see whether they declare something: errors are short, and a tree of
/// values takes many times the room of its text.
const DECLARATION_BYTES_MAX: usize = 64 << 10;

/// The outbound side of a manifest.
#[derive(Debug)]
pub(crate) struct Rules {
    /// The most specific first.
    rules: Vec<Rule>,
    auth: BTreeMap<String, Attachment>,
    not_processed: Vec<NotProcessed>,
}

#[derive(Debug)]
pub(crate) struct Rule {
    host: HostPattern,
    port: u16,
    path_prefix: String,
    methods: Vec<String>,
    auth: Vec<String>,
    pub(crate) reads: bool,
}

#[derive(Debug)]
enum HostPattern {
    Exactly(String),
    /// One label, then this, which starts with a dot.
    OneLabelBefore(String),
}

impl Rules {
    pub(crate) fn new(manifest: &Manifest) -> Self {
        let mut rules: Vec<_> = manifest.outbound.iter().map(Rule::new).collect();
        rules.sort_by_key(|rule| {
            let exact = matches!(rule.host, HostPattern::Exactly(_));
            std::cmp::Reverse((exact, rule.path_prefix.len()))
        });
        Self {
            rules,
            auth: manifest.auth.clone(),
            not_processed: manifest.not_processed.clone(),
        }
    }

    /// The most specific rule that allows this request, and how its credential is attached.
    pub(super) fn find(
        &self,
        target: &Target,
        method: &str,
        auth: Option<&str>,
    ) -> Result<(&Rule, Option<&Attachment>), Denial> {
        let attachment = match auth {
            None => None,
            Some(name) => Some(self.auth.get(name).ok_or(Denial::AuthUnknown)?),
        };
        // The reason that is given is that of the rule that came closest.
        let mut closest = Denial::RuleHost;
        for rule in &self.rules {
            match rule.allows(target, method, auth) {
                Ok(()) => return Ok((rule, attachment)),
                Err(denial) => {
                    if nearness(denial) > nearness(closest) {
                        closest = denial;
                    }
                }
            }
        }
        Err(closest)
    }

    /// Whether the manifest declares this answer to mean that nothing was processed.
    ///
    /// A document larger than [`DECLARATION_BYTES_MAX`] declares nothing.
    pub(crate) fn means_not_processed(&self, status: u16, body: &[u8]) -> bool {
        let mut document: Option<Option<serde_json::Value>> = None;
        self.not_processed
            .iter()
            .filter(|rule| rule.status == status)
            .any(|rule| {
                let Some(pointer) = &rule.pointer else {
                    return true;
                };
                let document = document.get_or_insert_with(|| parse(body));
                document
                    .as_ref()
                    .and_then(|document| document.pointer(pointer))
                    .and_then(scalar)
                    .is_some_and(|found| rule.values.contains(&found))
            })
    }
}

fn parse(body: &[u8]) -> Option<serde_json::Value> {
    if body.len() > DECLARATION_BYTES_MAX {
        return None;
    }
    serde_json::from_slice(body).ok()
}

fn scalar(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::Bool(flag) => Some(flag.to_string()),
        serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
            None
        }
    }
}

impl Rule {
    fn new(rule: &OutboundRule) -> Self {
        let host = match rule.host.strip_prefix('*') {
            Some(suffix) => HostPattern::OneLabelBefore(suffix.to_owned()),
            None => HostPattern::Exactly(rule.host.clone()),
        };
        Self {
            host,
            port: rule.port,
            path_prefix: rule.path_prefix.clone(),
            methods: rule.methods.clone(),
            auth: rule.auth.clone(),
            reads: rule.reads,
        }
    }

    fn allows(&self, target: &Target, method: &str, auth: Option<&str>) -> Result<(), Denial> {
        if !self.host.covers(target.host()) {
            return Err(Denial::RuleHost);
        }
        if self.port != target.port() {
            return Err(Denial::RulePort);
        }
        if !covers_path(&self.path_prefix, target.path()) {
            return Err(Denial::RulePath);
        }
        if !self.methods.iter().any(|allowed| allowed == method) {
            return Err(Denial::RuleMethod);
        }
        if let Some(name) = auth
            && !self.auth.iter().any(|allowed| allowed == name)
        {
            return Err(Denial::AuthNotHere);
        }
        Ok(())
    }
}

/// How many conditions of a rule were met before this one failed.
fn nearness(denial: Denial) -> u8 {
    match denial {
        Denial::RulePort => 1,
        Denial::RulePath => 2,
        Denial::RuleMethod => 3,
        Denial::AuthNotHere => 4,
        _ => 0,
    }
}

impl HostPattern {
    fn covers(&self, host: &str) -> bool {
        match self {
            Self::Exactly(name) => name == host,
            // An encoded international name may look like any other: it has to be declared.
            Self::OneLabelBefore(suffix) => host.strip_suffix(suffix).is_some_and(|label| {
                !label.is_empty() && !label.contains('.') && !label.starts_with("xn--")
            }),
        }
    }
}

/// The path equals the prefix, or goes on behind a slash.
fn covers_path(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use onerouter_manifest::Manifest;

    use super::{Denial, Rules, Target};

    fn rules() -> Rules {
        let manifest = Manifest::from_toml(
            r#"
            manifest = 1
            id = "acme"
            version = "1.0.0"
            publisher = "acme"
            name = "Acme"
            license = "MIT"
            credentials = [{ name = "key", label = "Key", kind = "secret" }]

            [auth.key]
            scheme = "bearer"
            token = "key"

            [[outbound]]
            host = "api.acme.example"
            path_prefix = "/v1"
            methods = ["GET", "POST"]
            auth = ["key"]

            [[outbound]]
            host = "api.acme.example"
            path_prefix = "/v1/search"
            methods = ["POST"]
            auth = ["key"]
            reads = true

            [[outbound]]
            host = "*.files.acme.example"
            port = 8443
            path_prefix = "/"
            methods = ["GET"]

            [[not_processed]]
            status = 429

            [[not_processed]]
            status = 503
            pointer = "/error/code"
            values = ["busy", "17"]
            "#,
        )
        .unwrap();
        Rules::new(&manifest)
    }

    fn refusal(url: &str, method: &str, auth: Option<&str>) -> Option<Denial> {
        let target = Target::parse(url).unwrap();
        rules().find(&target, method, auth).err()
    }

    #[test]
    fn a_request_inside_a_rule_passes() {
        for (url, method, auth) in [
            ("https://api.acme.example/v1", "GET", None),
            ("https://api.acme.example/v1/", "POST", Some("key")),
            ("https://api.acme.example/v1/a/b?c=d", "POST", Some("key")),
            ("https://eu.files.acme.example:8443/a", "GET", None),
        ] {
            assert_eq!(refusal(url, method, auth), None, "{url}");
        }
    }

    #[test]
    fn a_request_outside_every_rule_is_refused_with_the_nearest_reason() {
        for (url, method, auth, reason) in [
            ("https://acme.example/v1", "GET", None, Denial::RuleHost),
            (
                "https://api.acme.example.evil.example/v1",
                "GET",
                None,
                Denial::RuleHost,
            ),
            (
                "https://evil-api.acme.example/v1",
                "GET",
                None,
                Denial::RuleHost,
            ),
            (
                "https://files.acme.example:8443/",
                "GET",
                None,
                Denial::RuleHost,
            ),
            (
                "https://a.b.files.acme.example:8443/",
                "GET",
                None,
                Denial::RuleHost,
            ),
            (
                "https://xn--eu-1ia.files.acme.example:8443/",
                "GET",
                None,
                Denial::RuleHost,
            ),
            (
                "https://eu.files.acme.example/",
                "GET",
                None,
                Denial::RulePort,
            ),
            (
                "https://api.acme.example:8443/v1",
                "GET",
                None,
                Denial::RulePort,
            ),
            ("https://api.acme.example/", "GET", None, Denial::RulePath),
            (
                "https://api.acme.example/v10",
                "GET",
                None,
                Denial::RulePath,
            ),
            (
                "https://api.acme.example/V1/",
                "GET",
                None,
                Denial::RulePath,
            ),
            (
                "https://api.acme.example/v1;a/b",
                "GET",
                None,
                Denial::RulePath,
            ),
            (
                "https://api.acme.example/v1/a",
                "DELETE",
                None,
                Denial::RuleMethod,
            ),
            (
                "https://eu.files.acme.example:8443/a",
                "GET",
                Some("key"),
                Denial::AuthNotHere,
            ),
            (
                "https://api.acme.example/v1",
                "GET",
                Some("other"),
                Denial::AuthUnknown,
            ),
        ] {
            assert_eq!(refusal(url, method, auth), Some(reason), "{method} {url}");
        }
    }

    #[test]
    fn the_most_specific_rule_says_what_only_reads() {
        let rules = rules();
        for (url, reads) in [
            ("https://api.acme.example/v1/search", true),
            ("https://api.acme.example/v1/search/deep", true),
            ("https://api.acme.example/v1/searches", false),
            ("https://api.acme.example/v1/send", false),
        ] {
            let target = Target::parse(url).unwrap();
            let (rule, _) = rules.find(&target, "POST", Some("key")).unwrap();
            assert_eq!(rule.reads, reads, "{url}");
        }
    }

    #[test]
    fn only_declared_answers_mean_not_processed() {
        let rules = rules();
        for (status, body, expected) in [
            (429, "anything", true),
            (503, r#"{"error":{"code":"busy"}}"#, true),
            (503, r#"{"error":{"code":17}}"#, true),
            (503, r#"{"error":{"code":"down"}}"#, false),
            (503, r#"{"error":{"code":["busy"]}}"#, false),
            (503, "busy", false),
            (503, "", false),
            (500, r#"{"error":{"code":"busy"}}"#, false),
            (200, "", false),
        ] {
            let found = rules.means_not_processed(status, body.as_bytes());
            assert_eq!(found, expected, "{status} {body}");
        }
    }
}
