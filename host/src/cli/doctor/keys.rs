//! The vault's keys: which were chosen, and whether they open what is stored.

use onerouter_domain::environment::Environment;

use super::{Finding, Verdict, chain};
use crate::config::{Config, Deployment};
use crate::gateway::key_providers;
use crate::store::Store;
use crate::vault::{KeyUse, Vault, VaultError};

/// What wraps now, as far as the settings tell.
pub(super) fn chosen(config: &Config) -> Finding {
    let transit = config.hashicorp_vault.as_ref();
    if let Some(settings) = transit.filter(|settings| settings.keys.wraps()) {
        let names = [Environment::Test, Environment::Live]
            .map(|environment| settings.keys.for_environment(environment).unwrap_or("none"));
        let names = match names {
            [test, live] if test == live => test.to_owned(),
            [test, live] => format!("{test} (test), {live} (live)"),
        };
        let detail = format!(
            "transit key {names} of HashiCorp Vault at {}",
            settings.address
        );
        return Finding::ok("vault", detail);
    }
    match (&config.master_keys, config.deployment) {
        (Some(masters), _) => Finding::ok("vault", format!("master key {}", masters.current.id())),
        (None, Deployment::Development) => Finding::bad(
            "vault",
            Verdict::Warning,
            "the master key is a generated one in the data folder",
            "set ENCRYPTION_KEY before real credentials are kept here: openssl rand -base64 32",
        ),
        (None, Deployment::Production) => Finding::bad(
            "vault",
            Verdict::Failed,
            "there is no master key",
            "set ENCRYPTION_KEY: openssl rand -base64 32",
        ),
    }
}

/// Whether the configured keys open what is stored.
pub(super) async fn stored(config: &Config, store: &Store) -> Vec<Finding> {
    let bad = |error: &dyn std::error::Error, fix: &str| {
        vec![Finding::bad(
            "data keys",
            Verdict::Failed,
            chain(error),
            fix,
        )]
    };
    let vault = match key_providers(config) {
        Ok(keys) => Vault::new(keys, store.clone()),
        Err(error) => return bad(&error, "check the files that it names"),
    };
    match vault.inspect().await {
        Ok(uses) if uses.is_empty() => {
            vec![Finding::ok("data keys", "none yet: nothing is connected")]
        }
        Ok(uses) => uses.iter().map(|(id, found)| key_use(id, found)).collect(),
        Err(error) => bad(&error, how_to_mend(&error)),
    }
}

/// One master key, by what it wraps.
fn key_use(id: &str, found: &KeyUse) -> Finding {
    let check = "data keys";
    let detail = format!("{} wrapped by {id}", found.data_keys);
    if let Some(failure) = &found.failure {
        let detail = format!(
            "{detail}; {} of {} tried cannot be opened: {}",
            found.failed,
            found.tried,
            chain(failure)
        );
        return Finding::bad(check, Verdict::Failed, detail, how_to_mend(failure));
    }
    if found.outdated > 0 {
        return Finding::bad(
            check,
            Verdict::Warning,
            format!("{detail}, {} of them by a key from before", found.outdated),
            "run `onerouter vault rotate`",
        );
    }
    Finding::ok(check, format!("{detail}; {} tried, all open", found.tried))
}

const fn how_to_mend(error: &VaultError) -> &'static str {
    match error {
        VaultError::UnknownMasterKey { .. } => {
            "configure that key beside the current one, restart, then run `onerouter vault rotate`"
        }
        VaultError::ProviderUnavailable(_) => {
            "check VAULT_ADDR and the token, and that HashiCorp Vault runs and is unsealed; what \
             gateways have in memory serves on for five minutes"
        }
        VaultError::Provider(_) => {
            "check the transit key in HashiCorp Vault: its name, mount, type (aes256-gcm96) and \
             min_decryption_version"
        }
        VaultError::DataKeyRefused { .. } | VaultError::Malformed => {
            "somebody has changed or moved rows of data_keys: bring them back from a backup, or \
             have the tenant connect again"
        }
        VaultError::Store(_)
        | VaultError::Random
        | VaultError::Refused
        | VaultError::UnknownDataKey { .. }
        | VaultError::TenantGone
        | VaultError::LeftBehind { .. } => "check DATABASE_URL and that the server runs",
    }
}
