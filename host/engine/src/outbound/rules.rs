//! Where an adapter may send requests: the manifest's rules, prepared once per adapter.

use std::collections::BTreeMap;

use onerouter_domain::environment::Environment;
use onerouter_manifest::{Attachment, ConnectionEnvironment, Manifest, NotProcessed, OutboundRule};

use super::denial::Denial;
use super::target::Target;
use crate::scrub::percent_encoding;

/// Answers that are read to see whether they declare something: errors are short, and a tree of
/// values takes many times the room of its text.
const DECLARATION_BYTES_MAX: usize = 64 << 10;

/// The outbound side of a manifest.
#[derive(Debug)]
pub(crate) struct Rules {
    /// The most specific first.
    rules: Vec<Rule>,
    auth: BTreeMap<String, Attachment>,
    /// As [`plain`] writes them.
    token_paths: Vec<String>,
    not_processed: Vec<NotProcessed>,
}

#[derive(Debug)]
pub(crate) struct Rule {
    host: HostPattern,
    port: u16,
    path_prefix: String,
    methods: Vec<String>,
    auth: Vec<String>,
    environments: Vec<ConnectionEnvironment>,
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
        let token_paths = manifest
            .auth
            .values()
            .filter_map(|attachment| match attachment {
                Attachment::OAuth2ClientCredentials { token_path, .. } => Some(plain(token_path)),
                Attachment::Basic { .. }
                | Attachment::Bearer { .. }
                | Attachment::Header { .. }
                | Attachment::Query { .. }
                | Attachment::Form { .. } => None,
            });
        Self {
            rules,
            token_paths: token_paths.collect(),
            auth: manifest.auth.clone(),
            not_processed: manifest.not_processed.clone(),
        }
    }

    /// The most specific rule that allows this request, and how its credential is attached.
    pub(super) fn find(
        &self,
        environment: Environment,
        target: &Target,
        method: &str,
        auth: Option<&str>,
    ) -> Result<(&Rule, Option<&Attachment>), Denial> {
        // What is answered there nobody would recognise as a secret.
        if self.is_token_endpoint(target.path()) {
            return Err(Denial::TokenEndpoint);
        }
        let attachment = match auth {
            None => None,
            Some(name) => Some(self.auth.get(name).ok_or(Denial::AuthUnknown)?),
        };
        // The reason that is given is that of the rule that came closest.
        let mut closest = Denial::RuleHost;
        for rule in &self.rules {
            match rule.allows(environment, target, method, auth) {
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

    /// Whether a server could take this path for that of a token endpoint, on whatever host.
    fn is_token_endpoint(&self, path: &str) -> bool {
        !self.token_paths.is_empty() && self.token_paths.contains(&plain(path))
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
            environments: rule.environments.clone(),
            reads: rule.reads,
        }
    }

    fn allows(
        &self,
        environment: Environment,
        target: &Target,
        method: &str,
        auth: Option<&str>,
    ) -> Result<(), Denial> {
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
        let environment = match environment {
            Environment::Test => ConnectionEnvironment::Test,
            Environment::Live => ConnectionEnvironment::Live,
        };
        if !self.environments.is_empty() && !self.environments.contains(&environment) {
            return Err(Denial::RuleEnvironment);
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
        Denial::RuleEnvironment => 5,
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

/// The path as the most forgiving of servers reads it: percent-encodings undone, in one case, without
/// parameters behind semicolons, and without what is cut off at its end.
fn plain(path: &str) -> String {
    let decoded = percent_decoded(path).to_ascii_lowercase();
    let segments = decoded.split('/').map(|segment| {
        let name = segment.split(';').next().unwrap_or_default();
        name.trim_end_matches(['.', ' '])
    });
    let segments: Vec<_> = segments.collect();
    segments.join("/").trim_end_matches('/').to_owned()
}

fn percent_decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match percent_encoding(rest, &mut bytes) {
            0 => {
                bytes.push(*first);
                rest = after;
            }
            taken => rest = rest.get(taken..).unwrap_or_default(),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The path equals the prefix, or goes on behind a slash.
fn covers_path(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use onerouter_domain::environment::Environment;
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
            credentials = [
                { name = "key", label = "Key", kind = "secret" },
                { name = "client", label = "Client", kind = "public" },
            ]

            [auth.key]
            scheme = "bearer"
            token = "key"

            [auth.client]
            scheme = "oauth2_client_credentials"
            token_path = "/v1/OAuth/token"
            client_id = "client"
            client_secret = "key"

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

            [[outbound]]
            host = "api.sandbox.acme.example"
            path_prefix = "/v1"
            methods = ["GET", "POST"]
            auth = ["key"]
            environments = ["test"]

            [[outbound]]
            host = "pay.acme.example"
            path_prefix = "/"
            methods = ["POST"]
            environments = ["live"]

            [[outbound]]
            host = "pay.acme.example"
            path_prefix = "/trial"
            methods = ["POST"]
            auth = ["key"]
            environments = ["test"]

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
        refusal_in(Environment::Test, url, method, auth)
    }

    fn refusal_in(
        environment: Environment,
        url: &str,
        method: &str,
        auth: Option<&str>,
    ) -> Option<Denial> {
        let target = Target::parse(url).unwrap();
        rules().find(environment, &target, method, auth).err()
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
            let found = rules.find(Environment::Test, &target, "POST", Some("key"));
            assert_eq!(found.unwrap().0.reads, reads, "{url}");
        }
    }

    #[test]
    fn a_rule_counts_in_its_own_environments_only() {
        use Environment::{Live, Test};
        let sandbox = "https://api.sandbox.acme.example/v1/a";
        let pay = "https://pay.acme.example/a";
        let trial = "https://pay.acme.example/trial/a";
        for (environment, url, auth, reason) in [
            (Test, sandbox, Some("key"), None),
            (Live, sandbox, Some("key"), Some(Denial::RuleEnvironment)),
            (Live, sandbox, None, Some(Denial::RuleEnvironment)),
            // What else is wrong is nearer to what was meant.
            (Live, sandbox, Some("client"), Some(Denial::AuthNotHere)),
            (Live, pay, None, None),
            (Test, pay, None, Some(Denial::RuleEnvironment)),
            // The most specific rule of the environment counts, and its auth with it.
            (Test, trial, Some("key"), None),
            (Live, trial, None, None),
            (Live, trial, Some("key"), Some(Denial::RuleEnvironment)),
            (Test, "https://api.acme.example/v1", None, None),
            (Live, "https://api.acme.example/v1", None, None),
        ] {
            let refused = refusal_in(environment, url, "POST", auth);
            assert_eq!(refused, reason, "{environment} {url} {auth:?}");
        }
    }

    #[test]
    fn no_spelling_of_a_token_endpoint_is_allowed() {
        for path in [
            "/v1/OAuth/token",
            "/v1/oauth/token",
            "/V1/OAUTH/TOKEN",
            "/v1/oauth/token/",
            "/v1/oauth/token?grant_type=client_credentials",
            "/v1/oauth/token/?a",
            "/v1/oauth/token;a=b",
            "/v1;a/oauth;b/token",
            "/v1/oauth/token%3Ba",
            "/v1/oauth/token%20",
            "/v1/oauth/token.",
            "/v1/oauth/token./",
        ] {
            for host in ["api.acme.example", "elsewhere.example"] {
                let refused = refusal(&format!("https://{host}{path}"), "POST", Some("key"));
                assert_eq!(refused, Some(Denial::TokenEndpoint), "{host}{path}");
            }
        }
        for path in ["/v1/oauth/tokens", "/v1/oauth/token/a", "/v1/oauth"] {
            let allowed = refusal(&format!("https://api.acme.example{path}"), "POST", None);
            assert_eq!(allowed, None, "{path}");
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
