//! Whose plugins run here, and where they come from.

use onerouter_manifest::PluginId;
use onerouter_registry::{KeyId, PublicKey};
use url::Url;

use super::reader::{Reader, shown};

/// Whether plugins run that nobody has signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnsignedPlugins {
    /// They do not.
    #[default]
    Refuse,
    /// They do: for development.
    Allow,
}

/// Whose plugins run here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginTrust {
    /// Plugins that nobody has signed.
    pub unsigned: UnsignedPlugins,
    /// Keys whose plugins run here: for every name, or for one.
    pub publisher_keys: Vec<(Option<PluginId>, KeyId)>,
    /// The first key that is seen for a name is trusted for it from then on.
    pub on_first_use: bool,
    /// The key of the marketplace registry; none believes the one it has when it is asked first.
    pub registry_key: Option<PublicKey>,
}

impl Reader {
    pub(super) fn plugin_trust(&mut self, production: bool) -> PluginTrust {
        let unsigned = match self.allowed("unsigned_plugins") {
            true if production => {
                self.mistake(
                    "unsigned_plugins",
                    "is for development; production runs signed plugins only",
                );
                UnsignedPlugins::Refuse
            }
            true => UnsignedPlugins::Allow,
            false => UnsignedPlugins::Refuse,
        };
        let registry_key = self.parsed::<PublicKey>(
            "registry_key",
            "must be a public key, as `onerouter registry login` shows it",
        );
        PluginTrust {
            unsigned,
            publisher_keys: self.publisher_keys(),
            on_first_use: self.allowed("trust_on_first_use"),
            registry_key,
        }
    }

    fn allowed(&mut self, key: &str) -> bool {
        match self.text(key).as_deref() {
            Some("allow") => true,
            None | Some("refuse") => false,
            Some(other) => {
                let shown = shown(key, other);
                self.mistake(key, format!("must be refuse or allow{shown}"));
                false
            }
        }
    }

    /// `KEY_ID` or `PLUGIN=KEY_ID`, separated by commas.
    fn publisher_keys(&mut self) -> Vec<(Option<PluginId>, KeyId)> {
        let text = self.text("publisher_keys").unwrap_or_default();
        let mut keys = Vec::new();
        for entry in text
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
        {
            let (name, key) = match entry.split_once('=') {
                Some((name, key)) => (Some(name.trim()), key.trim()),
                None => (None, entry),
            };
            let name = name
                .map(|name| PluginId::try_from(name.to_owned()))
                .transpose();
            match (name, key_id(key)) {
                (Ok(name), Some(key)) => keys.push((name, key)),
                _ => self.mistake(
                    "publisher_keys",
                    format!(
                        "{entry:?} is not the id of a key, as `onerouter plugin keygen` shows it, nor PLUGIN=ID"
                    ),
                ),
            }
        }
        keys
    }

    pub(super) fn registry_url(&mut self) -> Option<Url> {
        let text = self.url("registry_url")?;
        let url = Url::parse(&text).ok();
        if url.is_none() {
            self.mistake("registry_url", "must be an http or https URL");
        }
        url
    }
}

/// A key's id; the key itself does as well.
pub(crate) fn key_id(text: &str) -> Option<KeyId> {
    let of_key = || text.parse::<PublicKey>().ok().map(|key| key.id());
    text.parse::<KeyId>().ok().or_else(of_key)
}
