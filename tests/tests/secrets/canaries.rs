//! The planted secrets.

use serde_json::{Map, Value, json};

/// A credential, and the way in which it is attached to requests.
#[derive(Debug, Clone, Copy)]
pub struct Canary {
    /// Name of the scheme, of its `auth` entry and of its credential field in the spy's manifest.
    pub scheme: &'static str,
    pub secret: &'static str,
}

/// One for each scheme that the manifest knows: what requests are sent with. Each holds all that
/// encoders like to escape, and a run of letters and digits at the end that most of them leave alone.
pub const CANARIES: [Canary; 6] = [
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
    // No credential: the token that the server gives for one.
    Canary {
        scheme: "oauth",
        secret: r#"o3&/"k+<Y\m%7e'Rj6TxVnBd8WsLg"#,
    },
];

/// The secret of the client to which the server gives that token. Requests are never sent with it; another
/// endpoint, to which the `auth` entry of this name leads, refuses it and repeats it.
pub const CLIENT: Canary = Canary {
    scheme: "client",
    secret: r#"c5+\/w&"<E%3d'Jk2MzQyHv7XfDp"#,
};

/// The user name of the basic scheme. No secret.
pub const USER: &str = "spy-user";

/// What connects the spy.
pub fn credentials() -> Value {
    let mut fields = Map::new();
    fields.insert("user".to_owned(), json!(USER));
    let credentials = CANARIES.iter().filter(|canary| canary.scheme != "oauth");
    for canary in credentials.chain([&CLIENT]) {
        fields.insert(canary.scheme.to_owned(), json!(canary.secret));
    }
    Value::Object(fields)
}
