//! Who wraps the vault's data keys: master keys of our own, or HashiCorp Vault's.

use std::path::PathBuf;

use super::reader::{Reader, shown};
use crate::vault::hashicorp::{Settings, Token, TransitKeys};
use crate::vault::master_key::{MasterKey, MasterKeys};

/// Of a name in HashiCorp Vault. It stands in a path and in the ids of keys.
const NAME_LENGTH_MAX: usize = 128;

impl Reader {
    /// The master keys, none where one is to be generated or none is needed.
    pub(super) fn master_keys(&mut self, production: bool) -> Option<MasterKeys> {
        let [has_current, has_previous, has_live, has_test] = [
            "encryption_key",
            "encryption_key_previous",
            "encryption_key_live",
            "encryption_key_test",
        ]
        .map(|key| self.has(key));
        let current = self.master_key("encryption_key");
        let previous = self.master_key("encryption_key_previous");
        let live = self.master_key("encryption_key_live");
        let test = self.master_key("encryption_key_test");
        if self.is_wrapped_elsewhere() {
            // They only unwrap, so none of them is needed, and any will do.
            let others = [&previous, &live, &test].into_iter().flatten().next();
            let current = current.or_else(|| others.cloned());
            return current.map(|current| MasterKeys {
                current,
                previous,
                live,
                test,
            });
        }
        // With one for each environment, nothing is left for a common one to wrap.
        let is_whole = has_current || (has_live && has_test);
        if !is_whole && (production || has_previous || has_live || has_test) {
            let rule = "is required: 32 random bytes in base64 or hex";
            self.mistake("encryption_key", rule);
        }
        current.or_else(|| live.clone()).map(|current| MasterKeys {
            current,
            previous,
            live,
            test,
        })
    }

    fn master_key(&mut self, key: &str) -> Option<MasterKey> {
        let text = self.text(key)?;
        match MasterKey::parse(&text.into()) {
            Ok(master) => Some(master),
            Err(error) => {
                self.mistake(key, error);
                None
            }
        }
    }

    fn is_wrapped_elsewhere(&self) -> bool {
        ["vault_key", "vault_key_live", "vault_key_test"]
            .into_iter()
            .any(|key| self.has(key))
    }

    /// HashiCorp Vault, where a key of its transit engine is named. Its address and token alone mean
    /// nothing: an operator's shell has them for other uses.
    pub(super) fn hashicorp_vault(&mut self, production: bool) -> Option<Settings> {
        let named = [
            "vault_key",
            "vault_key_live",
            "vault_key_test",
            "vault_key_previous",
        ]
        .into_iter()
        .find(|key| self.has(key))?;
        if !cfg!(feature = "hashicorp-vault") {
            let rule = "needs a program that was built with the feature hashicorp-vault";
            self.mistake(named, rule);
            return None;
        }
        let keys = self.transit_keys();
        let address = self.vault_address(production);
        let token = self.vault_token();
        let mount = self.vault_path("vault_mount");
        let namespace = self.vault_path("vault_namespace");
        Some(Settings {
            address: address?,
            token: token?,
            namespace,
            mount: mount.unwrap_or_else(|| "transit".to_owned()),
            ca_file: self.text("vault_cacert").map(PathBuf::from),
            keys,
        })
    }

    fn transit_keys(&mut self) -> TransitKeys {
        let keys = TransitKeys {
            current: self.vault_name("vault_key"),
            previous: self.vault_name("vault_key_previous"),
            live: self.vault_name("vault_key_live"),
            test: self.vault_name("vault_key_test"),
        };
        let [has_live, has_test] = ["vault_key_live", "vault_key_test"].map(|key| self.has(key));
        if has_live != has_test && !self.has("vault_key") {
            let rule = "is required: the name of a key of the transit engine";
            self.mistake("vault_key", rule);
        }
        keys
    }

    /// Data keys and the token go there in the open.
    fn vault_address(&mut self, production: bool) -> Option<String> {
        let Some(address) = self.url("vault_addr") else {
            self.mistake("vault_addr", "is required: https://vault.example:8200");
            return None;
        };
        let Ok(url) = address.parse::<url::Url>() else {
            // Said already.
            return Some(address);
        };
        let is_bare = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !is_bare {
            self.mistake("vault_addr", "must be scheme, host and port, nothing else");
        }
        if production && url.scheme() != "https" && !is_loopback(&url) {
            self.mistake(
                "vault_addr",
                "must be an https URL: keys would go there in the open",
            );
        }
        Some(address)
    }

    fn vault_token(&mut self) -> Option<Token> {
        let text = self.text("vault_token");
        let file = self.text("vault_token_file");
        match (text, file) {
            (Some(text), None) => Some(Token::Text(text.into())),
            (None, Some(file)) => Some(Token::File(PathBuf::from(file))),
            (None, None) => {
                let rule = "is required, or ONEROUTER_VAULT_TOKEN_FILE";
                self.mistake("vault_token", rule);
                None
            }
            (Some(_), Some(_)) => {
                let rule = "cannot be set beside ONEROUTER_VAULT_TOKEN_FILE: choose one";
                self.mistake("vault_token", rule);
                None
            }
        }
    }

    fn vault_name(&mut self, key: &str) -> Option<String> {
        let name = self.text(key)?;
        if !is_name(&name) {
            let shown = shown(key, &name);
            self.mistake(
                key,
                format!("must be a name of letters, digits, - and _, with . inside{shown}"),
            );
        }
        Some(name)
    }

    /// Names with `/` between them.
    fn vault_path(&mut self, key: &str) -> Option<String> {
        let path = self.text(key)?;
        let path = path.trim_matches('/').to_owned();
        if !path.split('/').all(is_name) {
            let shown = shown(key, &path);
            self.mistake(
                key,
                format!("must be names of letters, digits, - and _, with / between them{shown}"),
            );
        }
        Some(path)
    }
}

fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// What can stand in a path as it is, and goes nowhere else.
fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=NAME_LENGTH_MAX).contains(&name.len())
        && name.bytes().all(is_plain)
        && !name.starts_with('.')
        && !name.ends_with('.')
}

#[cfg(all(test, feature = "hashicorp-vault"))]
mod tests {
    use super::super::tests::from;
    use super::*;

    #[test]
    fn a_transit_key_wraps_and_master_keys_only_unwrap() {
        let key = "0f".repeat(32);
        let vault = [
            ("environment", "production"),
            ("vault_key", "onerouter"),
            ("vault_addr", "https://vault.example:8200/"),
            ("vault_token", "hvs.secret"),
        ];
        let config = from(&vault).unwrap();
        let settings = config.hashicorp_vault.unwrap();
        assert!(settings.keys.wraps() && config.master_keys.is_none());
        assert_eq!(settings.address, "https://vault.example:8200");
        assert_eq!(settings.mount, "transit");
        assert!(!format!("{settings:?}").contains("hvs.secret"));
        // Any of them, as nothing is left for it to wrap.
        for name in ["encryption_key", "encryption_key_previous"] {
            let config = from(&[&vault[..], &[(name, key.as_str())]].concat()).unwrap();
            let master = config.master_keys.unwrap().current;
            assert_eq!(
                master.id(),
                MasterKey::parse(&key.as_str().into()).unwrap().id()
            );
        }
    }

    #[test]
    fn a_transit_key_that_only_unwraps_leaves_the_master_key_required() {
        let vault = [
            ("environment", "production"),
            ("vault_key_previous", "onerouter"),
            ("vault_addr", "http://127.0.0.1:8200"),
            ("vault_token_file", "/run/token"),
        ];
        let error = from(&vault).unwrap_err();
        assert_eq!(error.0.len(), 1, "{error}");
        assert!(error.to_string().contains("ENCRYPTION_KEY is required"));
        let key = "0f".repeat(32);
        let config = from(&[&vault[..], &[("encryption_key", key.as_str())]].concat()).unwrap();
        assert!(!config.hashicorp_vault.unwrap().keys.wraps());
    }

    #[test]
    fn mistakes_about_hashicorp_vault_are_named_without_its_token() {
        let error = from(&[
            ("environment", "production"),
            ("vault_key_live", "../sys/seal"),
            ("vault_addr", "http://me:hunter2@vault.example"),
            ("vault_token", "hunter2"),
            ("vault_token_file", "/run/token"),
            ("vault_mount", "a//b"),
            ("vault_namespace", "a?b"),
        ])
        .unwrap_err();
        let text = error.to_string();
        for part in [
            "ONEROUTER_VAULT_KEY_LIVE must be a name",
            "ONEROUTER_VAULT_KEY is required",
            "VAULT_ADDR must be scheme, host and port",
            "VAULT_ADDR must be an https URL",
            "VAULT_TOKEN cannot be set beside",
            "ONEROUTER_VAULT_MOUNT must be names",
            "VAULT_NAMESPACE must be names",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(error.0.len(), 7, "{text}");
        assert!(!text.contains("hunter2"), "{text}");
        let error = from(&[("vault_key", "onerouter")]).unwrap_err();
        assert_eq!(error.0.len(), 2, "{error}");
        // What an operator's shell has for other uses.
        let other = from(&[("vault_addr", "x"), ("vault_token", "hvs.secret")]);
        assert!(other.unwrap().hashicorp_vault.is_none());
    }
}

#[cfg(all(test, not(feature = "hashicorp-vault")))]
mod tests {
    use super::super::tests::from;

    #[test]
    fn a_transit_key_needs_a_program_that_knows_of_it() {
        let error = from(&[("vault_key", "onerouter")]).unwrap_err();
        assert_eq!(error.0.len(), 1, "{error}");
        assert!(error.to_string().contains("feature hashicorp-vault"));
    }
}
