//! For whom calls are made: credentials that were given, or canaries, and the search for their secrets.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use onerouter_domain::environment::Environment;
use onerouter_engine::{ConnectionContext, Credentials};
use onerouter_manifest::{FieldKind, Manifest};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::pattern::text_for;

/// Shorter texts are not replaced by placeholders in cassettes: they stand in ordinary words.
const PLACEHOLDER_BYTES_MIN: usize = 8;

/// Needles shorter than this are found everywhere.
const NEEDLE_BYTES_MIN: usize = 8;

/// What a tenant would give to connect. Other members of the body of a connect call are ignored.
#[derive(Clone, Default, Deserialize)]
pub struct GivenConnection {
    /// By the names of the manifest's credential fields.
    #[serde(default, deserialize_with = "wiped_later")]
    pub credentials: BTreeMap<String, Zeroizing<String>>,
    /// By the names of the manifest's settings.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

fn wiped_later<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Zeroizing<String>>, D::Error> {
    let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
    Ok(texts
        .into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect())
}

impl std::fmt::Debug for GivenConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GivenConnection")
            .field("credentials", &self.credentials.keys())
            .field("settings", &self.settings)
            .finish()
    }
}

/// Credentials that do not fit the manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    /// The manifest has no such field.
    #[error("the manifest has no credential field \"{0}\"")]
    Unknown(String),
    /// A field that must be filled is not.
    #[error("the credential field \"{0}\" is missing")]
    Missing(String),
    /// The value has another shape.
    #[error("the value of the credential field \"{0}\" does not fit the manifest's pattern")]
    Shape(String),
    /// No canary can be made.
    #[error(
        "no value can be made up for the credential field \"{0}\": its pattern is too particular; a shorter pattern, or no lower bound beyond 512 characters, helps"
    )]
    Unmakeable(String),
    /// The engine refuses them.
    #[error(transparent)]
    Refused(#[from] onerouter_engine::CredentialsError),
}

/// A connection of one run.
pub(crate) struct Connection {
    public: BTreeMap<String, String>,
    secret: BTreeMap<String, Zeroizing<String>>,
    /// Settings that were given; cassettes may have their own.
    pub(crate) settings: BTreeMap<String, String>,
}

impl Connection {
    /// Every field filled with a text that the manifest's pattern accepts and that stands nowhere else.
    /// Optional fields that authentication can do without are left out, except secrets that webhooks are
    /// checked with.
    pub(crate) fn canary(manifest: &Manifest) -> Result<Self, ConnectionError> {
        let mut connection = Self::empty();
        for field in &manifest.credentials {
            if field.optional && !is_for_webhooks(manifest, &field.name) {
                continue;
            }
            let unmakeable = || ConnectionError::Unmakeable(field.name.clone());
            let made = text_for(field.pattern.as_deref(), &field.name);
            let made = made.filter(|text| field.accepts(text));
            connection.insert(field.kind, &field.name, made.ok_or_else(unmakeable)?.into());
        }
        Ok(connection)
    }

    /// What was given, as the gateway would check it.
    pub(crate) fn given(
        manifest: &Manifest,
        given: &GivenConnection,
    ) -> Result<Self, ConnectionError> {
        let mut connection = Self::empty();
        for name in given.credentials.keys() {
            if manifest.credential(name).is_none() {
                return Err(ConnectionError::Unknown(name.clone()));
            }
        }
        for field in &manifest.credentials {
            match given.credentials.get(&field.name) {
                Some(value) if !field.accepts(value) => {
                    return Err(ConnectionError::Shape(field.name.clone()));
                }
                Some(value) => connection.insert(field.kind, &field.name, value.clone()),
                // Webhooks are signed by the kit, whoever answers the requests.
                None if field.kind == FieldKind::Secret
                    && is_for_webhooks(manifest, &field.name) =>
                {
                    let made = text_for(field.pattern.as_deref(), &field.name);
                    let unmakeable = || ConnectionError::Unmakeable(field.name.clone());
                    let made = made.ok_or_else(unmakeable)?;
                    connection.insert(field.kind, &field.name, made.into());
                }
                None if field.optional => {}
                None => return Err(ConnectionError::Missing(field.name.clone())),
            }
        }
        connection.settings.clone_from(&given.settings);
        Ok(connection)
    }

    fn empty() -> Self {
        Self {
            public: BTreeMap::new(),
            secret: BTreeMap::new(),
            settings: BTreeMap::new(),
        }
    }

    fn insert(&mut self, kind: FieldKind, name: &str, value: Zeroizing<String>) {
        match kind {
            FieldKind::Public => {
                self.public.insert(name.to_owned(), value.to_string());
            }
            FieldKind::Secret => {
                self.secret.insert(name.to_owned(), value);
            }
        }
    }

    /// The value of a secret field.
    pub(crate) fn secret(&self, name: &str) -> Option<&str> {
        self.secret.get(name).map(|value| value.as_str())
    }

    /// The value of a public field.
    pub(crate) fn public(&self, name: &str) -> Option<&str> {
        self.public.get(name).map(String::as_str)
    }

    /// As the engine takes it.
    pub(crate) fn context(
        &self,
        settings: &BTreeMap<String, String>,
    ) -> Result<Arc<ConnectionContext>, ConnectionError> {
        let mut all = self.settings.clone();
        all.extend(settings.clone());
        Ok(Arc::new(ConnectionContext {
            environment: Environment::Test,
            credentials: Credentials::new(self.public.clone(), self.secret.clone())?,
            settings: all,
            recorder: None,
        }))
    }

    /// Public values as placeholders, and secrets gone: what may be written into a file.
    pub(crate) fn hide(&self, text: &str) -> String {
        let mut hidden = text.to_owned();
        for (name, value) in &self.secret {
            for form in forms(value) {
                if let Ok(form) = std::str::from_utf8(&form) {
                    hidden = hidden.replace(form, &format!("[{name}]"));
                }
            }
        }
        for (name, value) in &self.public {
            if value.len() >= PLACEHOLDER_BYTES_MIN {
                hidden = hidden.replace(value.as_str(), &format!("{{{{credentials.{name}}}}}"));
            }
        }
        hidden
    }

    /// Placeholders in a JSON text as the public values of this connection.
    pub(crate) fn fill(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (name, value) in &self.public {
            let value = serde_json::Value::from(value.as_str()).to_string();
            let value = value.trim_matches('"');
            filled = filled.replace(&format!("{{{{credentials.{name}}}}}"), value);
        }
        filled
    }

    /// What finds the secrets again.
    pub(crate) fn canaries(&self) -> Canaries {
        let needles = self.secret.iter().flat_map(|(name, value)| {
            forms(value)
                .into_iter()
                .map(|form| (name.clone(), form))
                .collect::<Vec<_>>()
        });
        Canaries {
            needles: needles.collect(),
        }
    }
}

fn is_for_webhooks(manifest: &Manifest, name: &str) -> bool {
    let checked = manifest
        .webhook
        .iter()
        .flat_map(|webhook| webhook.signature.credentials());
    let signed = manifest
        .signatures
        .values()
        .map(|signature| &signature.credential);
    let certified = manifest
        .webhook
        .iter()
        .filter_map(|webhook| match &webhook.signature {
            onerouter_manifest::WebhookSignature::CertificateCrc32 { webhook_id, .. } => {
                Some(webhook_id)
            }
            onerouter_manifest::WebhookSignature::HmacBody { .. }
            | onerouter_manifest::WebhookSignature::HmacUrlForm { .. }
            | onerouter_manifest::WebhookSignature::StandardWebhooks { .. }
            | onerouter_manifest::WebhookSignature::Adapter {} => None,
        });
    checked
        .chain(signed)
        .chain(certified)
        .any(|known| known == name)
}

/// A secret as it could stand in a text: as it is, escaped, in hex, in base64 at each alignment.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let bytes = secret.as_bytes();
    let mut forms = vec![bytes.to_vec()];
    forms.push(
        form_urlencoded::byte_serialize(bytes)
            .collect::<String>()
            .into_bytes(),
    );
    if let Ok(json) = serde_json::to_string(secret) {
        forms.push(json.trim_matches('"').as_bytes().to_vec());
    }
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    forms.push(hex.to_uppercase().into_bytes());
    forms.push(hex.into_bytes());
    for before in 0..3_usize {
        let padded = [vec![0; before], bytes.to_vec()].concat();
        // What the neighbours have a part in is not looked for.
        let skip = [0, 2, 3].get(before).copied().unwrap_or_default();
        let keep = padded.len() * 8 / 6;
        for text in [
            STANDARD_NO_PAD.encode(&padded),
            URL_SAFE_NO_PAD.encode(&padded),
        ] {
            if let Some(part) = text.get(skip..keep) {
                forms.push(part.as_bytes().to_vec());
            }
        }
    }
    forms.retain(|form| form.len() >= NEEDLE_BYTES_MIN);
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    forms.dedup();
    forms
}

/// Finds a connection's secrets where they should not be.
pub(crate) struct Canaries {
    needles: Vec<(String, Vec<u8>)>,
}

impl Canaries {
    /// Looks for this one too.
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        let forms = forms(value);
        self.needles
            .extend(forms.into_iter().map(|form| (name.to_owned(), form)));
    }

    /// The name of a secret that stands in `haystack`, in whatever form.
    pub(crate) fn find(&self, haystack: &[u8]) -> Option<&str> {
        self.needles
            .iter()
            .find(|(_, needle)| {
                haystack
                    .windows(needle.len())
                    .any(|window| window == needle.as_slice())
            })
            .map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use onerouter_manifest::Manifest;

    use super::{Connection, ConnectionError, GivenConnection};

    fn manifest() -> Manifest {
        Manifest::from_toml(
            r#"
            manifest = 1
            id = "acme"
            version = "1.0.0"
            publisher = "acme"
            name = "Acme"
            license = "MIT"
            [[credentials]]
            name = "account"
            label = "Account"
            kind = "public"
            pattern = "AC[0-9a-f]{32}"
            [[credentials]]
            name = "token"
            label = "Token"
            kind = "secret"
            pattern = "[A-Za-z0-9]{32}"
            "#,
        )
        .unwrap()
    }

    #[test]
    fn a_secret_is_found_in_every_form() {
        let connection = Connection::canary(&manifest()).unwrap();
        let canaries = connection.canaries();
        let secret = connection.secret("token").unwrap();
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        for text in [
            secret.to_owned(),
            format!("a {secret} b"),
            STANDARD.encode(format!("u:{secret}")),
            STANDARD.encode(format!("us:{secret}!")),
            STANDARD.encode(format!("use:{secret}!!")),
            hex,
        ] {
            assert_eq!(canaries.find(text.as_bytes()), Some("token"), "{text}");
        }
        assert_eq!(canaries.find(b"nothing to see"), None);
    }

    #[test]
    fn what_is_written_down_holds_no_secret_and_is_filled_again() {
        let connection = Connection::canary(&manifest()).unwrap();
        let (account, token) = (
            connection.public("account").unwrap(),
            connection.secret("token").unwrap(),
        );
        let hidden = connection.hide(&format!("/{account}/x?t={token}"));
        assert_eq!(hidden, "/{{credentials.account}}/x?t=[token]");
        assert_eq!(connection.fill(&hidden), format!("/{account}/x?t=[token]"));
    }

    #[test]
    fn credentials_that_do_not_fit_are_refused_by_name() {
        let given = |pairs: &[(&str, &str)]| GivenConnection {
            credentials: pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned().into()))
                .collect(),
            ..GivenConnection::default()
        };
        let refused =
            |pairs: &[(&str, &str)]| Connection::given(&manifest(), &given(pairs)).err().unwrap();
        let account = ("account", "AC00000000000000000000000000000000");
        assert_eq!(
            refused(&[account]),
            ConnectionError::Missing("token".to_owned())
        );
        assert_eq!(
            refused(&[account, ("token", "short")]),
            ConnectionError::Shape("token".to_owned())
        );
        assert_eq!(
            refused(&[("colour", "red")]),
            ConnectionError::Unknown("colour".to_owned())
        );
    }
}
