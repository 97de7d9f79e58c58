//! The planted secrets.

use serde_json::{Map, Value, json};

/// A credential, and the way in which it is attached to requests.
#[derive(Debug, Clone, Copy)]
pub struct Canary {
    /// Name of the scheme, of its `auth` entry and of its credential field in the spy's manifest.
    pub scheme: &'static str,
    pub secret: &'static str,
}

/// One for each scheme that the manifest knows. Each holds all that encoders like to escape, and a
/// run of letters and digits at the end that most of them leave alone.
///
/// OAuth2 client credentials get two rows, one for the client's secret and one for the token, when
/// the manifest has that scheme: it comes with the first provider that needs it. The token's row
/// also needs the echo server to hand tokens out.
pub const CANARIES: [Canary; 5] = [
    Canary {
        scheme: "basic",
        secret: r#"b4/+s&"K<c\%41'Qw7RtYmZp0LxKc"#,
    },
    Canary {
        scheme: "bearer",
        secret: r#"e9+/r"&G>n\%2f'Hd3VbUoXs6TqWj"#,
    },
    Canary {
        scheme: "header",
        secret: r#"h2&/y+<"F\k%5c'Pz8NgCeMv1SrBi"#,
    },
    Canary {
        scheme: "query",
        secret: r#"q7"/+u<&T\a%26'Lf5JwDkEx4OyAn"#,
    },
    Canary {
        scheme: "form",
        secret: r#"f6\/d+"<&Z%2B'v9IhGqRsPc2KmUt"#,
    },
];

/// The user name of the basic scheme. No secret.
pub const USER: &str = "spy-user";

/// What connects the spy.
pub fn credentials() -> Value {
    let mut fields = Map::new();
    fields.insert("user".to_owned(), json!(USER));
    for canary in CANARIES {
        fields.insert(canary.scheme.to_owned(), json!(canary.secret));
    }
    Value::Object(fields)
}
