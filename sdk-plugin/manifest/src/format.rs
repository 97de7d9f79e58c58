//! The format itself: plain data, as it stands in `plugin.toml` and in the custom section.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::capability::Category;
use crate::check::{self, ManifestError};
use crate::webhook::Webhook;

/// What an adapter says about itself. See the crate's documentation for where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format; 1.
    pub manifest: u32,
    /// The `provider` name in paths and objects.
    pub id: PluginId,
    /// Version of the plugin.
    pub version: semver::Version,
    /// Who publishes it: 1–64 characters.
    pub publisher: String,
    /// Name for people: 1–64 characters.
    pub name: String,
    /// One or two sentences: at most 1,000 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// SPDX expression.
    pub license: String,
    /// Where the source can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What a tenant must give to connect, in the order in which a form shows it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<CredentialField>,
    /// What a tenant may set besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<SettingField>,
    /// How credentials are attached, by the name that the adapter uses in its requests.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub auth: BTreeMap<String, Attachment>,
    /// Signatures that the host checks for the adapter, by the name that the adapter uses.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub signatures: BTreeMap<String, Signature>,
    /// How the provider's webhooks are signed, and what of them the adapter reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// Where requests may go. Everything else is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outbound: Vec<OutboundRule>,
    /// Answers by which the provider says that it has not processed a request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_processed: Vec<NotProcessed>,
    /// Facts about single operations, by `resource.operation`: `email.send`, `refunds.create`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub operations: BTreeMap<String, OperationRule>,
    /// Currencies that the provider takes, by category: ISO 4217. A category that is not there takes
    /// all.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub currencies: BTreeMap<Category, BTreeSet<String>>,
    /// How messages may be sent together, by category.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub batch: BTreeMap<Category, BatchRule>,
    /// What one call may use.
    #[serde(default, skip_serializing_if = "Limits::is_default")]
    pub limits: Limits,
    /// Estimates for `cost` until the provider names one; the first row that fits counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prices: Vec<Price>,
    /// The component's imports, written by [`crate::pack`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<String>,
    /// The component's exports, written by [`crate::pack`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<String>,
}

impl Manifest {
    /// Reads and checks `plugin.toml`.
    ///
    /// # Errors
    /// Syntax, unknown keys, or every rule that is broken, all at once.
    pub fn from_toml(text: &str) -> Result<Self, ManifestError> {
        let manifest: Self = toml::from_str(text)
            .map_err(|error| ManifestError::Syntax(error.to_string().trim_end().to_owned()))?;
        check::check(&manifest)?;
        Ok(manifest)
    }

    /// Reads and checks the JSON of the custom section.
    ///
    /// # Errors
    /// As [`Manifest::from_toml`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = serde_json::from_slice(bytes)
            .map_err(|error| ManifestError::Syntax(error.to_string()))?;
        check::check(&manifest)?;
        Ok(manifest)
    }

    /// Credential fields that the vault keeps and no guest reads.
    pub fn secrets(&self) -> impl Iterator<Item = &CredentialField> {
        self.credentials
            .iter()
            .filter(|field| field.kind == FieldKind::Secret)
    }

    /// The credential field of this name.
    #[must_use]
    pub fn credential(&self, name: &str) -> Option<&CredentialField> {
        self.credentials.iter().find(|field| field.name == name)
    }
}

/// Name of a plugin and of the provider that it serves: `[a-z][a-z0-9-]{0,39}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PluginId(String);

impl PluginId {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PluginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for PluginId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut characters = text.chars();
        let starts = characters.next().is_some_and(|c| c.is_ascii_lowercase());
        let goes_on = characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if starts && goes_on && text.len() <= 40 {
            Ok(Self(text))
        } else {
            Err(format!(
                "\"{text}\" is not a plugin id: a lower-case letter, then up to 39 letters, digits or hyphens"
            ))
        }
    }
}

impl From<PluginId> for String {
    fn from(id: PluginId) -> Self {
        id.0
    }
}

/// Whether a credential field may be shown and read by the adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// Shown, and readable by the adapter.
    Public,
    /// Kept in the vault, never shown again, never in a guest.
    Secret,
}

/// One field that a tenant fills to connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialField {
    /// Name in `credentials {…}`: `[a-z][a-z0-9_]{0,39}`.
    pub name: String,
    /// Name for people.
    pub label: String,
    /// Public or secret.
    pub kind: FieldKind,
    /// Regular expression that the whole value must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Where to find it, what it looks like.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// May be left out.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
}

impl CredentialField {
    /// Whether `value` has the shape that the pattern asks for.
    #[must_use]
    pub fn accepts(&self, value: &str) -> bool {
        check::accepts(self.pattern.as_deref(), value)
    }
}

/// What a setting means to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingRole {
    /// Names a sender: a message without its own is accepted only where one of these is set.
    Sender,
}

/// One setting of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingField {
    /// Name in `settings {…}`.
    pub name: String,
    /// Name for people.
    pub label: String,
    /// Regular expression that the whole value must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// What it does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// What the host does with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<SettingRole>,
}

impl SettingField {
    /// Whether `value` has the shape that the pattern asks for.
    #[must_use]
    pub fn accepts(&self, value: &str) -> bool {
        check::accepts(self.pattern.as_deref(), value)
    }
}

/// How the host attaches credentials to a request. The values are names of credential fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "scheme", rename_all = "snake_case", deny_unknown_fields)]
pub enum Attachment {
    /// `Authorization: Basic …`.
    Basic {
        /// Field with the user name.
        username: String,
        /// Field with the password.
        password: String,
    },
    /// `Authorization: Bearer …`.
    Bearer {
        /// Field with the token.
        token: String,
    },
    /// A header of the provider's own.
    Header {
        /// Name of the header.
        name: String,
        /// Text before the value.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        prefix: String,
        /// Field with the value.
        value: String,
    },
    /// `Authorization: Bearer …` with a token that the host gets by the OAuth 2 client credentials
    /// grant, keeps until it expires, and renews when the provider refuses it.
    #[serde(rename = "oauth2_client_credentials")]
    OAuth2ClientCredentials {
        /// Path of the token endpoint, on the host and port of the request itself. No request of an
        /// adapter's may go there.
        token_path: String,
        /// Field with the client id.
        client_id: String,
        /// Field with the client secret.
        client_secret: String,
        /// What is asked for; empty leaves it to the provider.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        scope: String,
    },
    /// A parameter in the URL's query.
    Query {
        /// Name of the parameter.
        name: String,
        /// Field with the value.
        value: String,
    },
    /// A field of the form in the body.
    Form {
        /// Name of the form field.
        name: String,
        /// Field with the value.
        value: String,
    },
}

impl Attachment {
    /// Names of the credential fields that it uses.
    #[must_use]
    pub fn fields(&self) -> Vec<&str> {
        match self {
            Self::Basic { username, password } => vec![username, password],
            Self::Bearer { token } => vec![token],
            Self::OAuth2ClientCredentials {
                client_id,
                client_secret,
                ..
            } => vec![client_id, client_secret],
            Self::Header { value, .. } | Self::Query { value, .. } | Self::Form { value, .. } => {
                vec![value]
            }
        }
    }
}

/// A signature that the host checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// How it is made.
    pub algorithm: SignatureAlgorithm,
    /// How it is written.
    pub encoding: SignatureEncoding,
    /// Field with the secret.
    pub credential: String,
}

/// How a signature is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureAlgorithm {
    /// HMAC with SHA-256.
    HmacSha256,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureEncoding {
    /// Lower-case hexadecimal digits.
    Hex,
    /// Standard base64 with padding.
    Base64,
}

/// Which of a provider's worlds a connection belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionEnvironment {
    /// Nothing is real.
    Test,
    /// Everything is.
    Live,
}

/// One place where requests may go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboundRule {
    /// `https`.
    #[serde(default = "https", skip_serializing_if = "is_https")]
    pub scheme: String,
    /// Host name in lower case, or `*.name` for exactly one label more.
    pub host: String,
    /// Port.
    #[serde(default = "https_port", skip_serializing_if = "is_https_port")]
    pub port: u16,
    /// The path starts with this; it ends at a `/` or is the whole path.
    pub path_prefix: String,
    /// `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE`.
    pub methods: Vec<String>,
    /// Names under `auth` that may be used here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub auth: Vec<String>,
    /// Only connections of these environments may go there; empty is both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<ConnectionEnvironment>,
    /// Requests of this rule change nothing at the provider, whatever their method.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reads: bool,
}

/// An answer that means "not processed, safe to send again".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotProcessed {
    /// HTTP status.
    pub status: u16,
    /// JSON Pointer into the answer; without it the status alone decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// What stands there: texts, or numbers written as texts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// Facts about one operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationRule {
    /// The provider honours a key of ours for this operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<IdempotencyRule>,
}

/// How the provider recognises a repeated request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdempotencyRule {
    /// The header that carries the key.
    pub header: String,
    /// For how long it is remembered, in seconds. The host never repeats a request after this.
    pub window_s: u64,
}

/// How messages may share one provider call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchRule {
    /// At most so many.
    pub max: u32,
    /// Request fields that keep a message out of a batch: `attachments`, `send_at`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excludes: Vec<String>,
}

/// What one call may use. Every value has an upper bound that the host sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Memory over all memories, in bytes.
    pub memory_bytes: u64,
    /// CPU time in milliseconds.
    pub cpu_ms: u64,
    /// Wall-clock time in milliseconds, waiting for the provider included.
    pub wall_ms: u64,
    /// Outbound requests.
    pub requests: u32,
    /// Bytes of one answer's body.
    pub response_bytes: u64,
    /// Bytes of log text.
    pub log_bytes: u64,
}

impl Limits {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            cpu_ms: 200,
            wall_ms: 30_000,
            requests: 16,
            response_bytes: 4 << 20,
            log_bytes: 16 << 10,
        }
    }
}

/// One row of the price table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// What is priced.
    pub category: Category,
    /// Start of the recipient's number, `+1`; empty fits all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// Price of one segment or message: decimal text with at most 6 decimals.
    pub amount: String,
    /// ISO 4217.
    pub currency: String,
}

fn is_false(value: &bool) -> bool {
    !value
}

fn https() -> String {
    "https".to_owned()
}

fn is_https(scheme: &str) -> bool {
    scheme == "https"
}

fn https_port() -> u16 {
    443
}

fn is_https_port(port: &u16) -> bool {
    *port == 443
}
