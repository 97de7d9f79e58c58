//! Reads settings one by one, from where they stand, and collects what is wrong.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use chrono::TimeDelta;
use figment::value::{Dict, Map, Value};
use figment::{Figment, Provider};
use ipnet::IpNet;
use onerouter_egress::Upstreams;

use super::{ConfigError, Deployment, MetricsBind, WebhookTargets};
use crate::network;

/// A key in the file and its name in the environment.
const KEYS: &[(&str, &str)] = &[
    ("bind", "ONEROUTER_BIND"),
    ("data_dir", "ONEROUTER_DATA_DIR"),
    ("database_url", "DATABASE_URL"),
    ("migrate_database_url", "ONEROUTER_MIGRATE_DATABASE_URL"),
    ("redis_url", "REDIS_URL"),
    ("encryption_key", "ENCRYPTION_KEY"),
    ("encryption_key_previous", "ENCRYPTION_KEY_PREVIOUS"),
    ("encryption_key_live", "ENCRYPTION_KEY_LIVE"),
    ("encryption_key_test", "ENCRYPTION_KEY_TEST"),
    ("vault_key", "ONEROUTER_VAULT_KEY"),
    ("vault_key_previous", "ONEROUTER_VAULT_KEY_PREVIOUS"),
    ("vault_key_live", "ONEROUTER_VAULT_KEY_LIVE"),
    ("vault_key_test", "ONEROUTER_VAULT_KEY_TEST"),
    ("vault_mount", "ONEROUTER_VAULT_MOUNT"),
    ("vault_token_file", "ONEROUTER_VAULT_TOKEN_FILE"),
    ("vault_addr", "VAULT_ADDR"),
    ("vault_token", "VAULT_TOKEN"),
    ("vault_namespace", "VAULT_NAMESPACE"),
    ("vault_cacert", "VAULT_CACERT"),
    ("environment", "ENVIRONMENT"),
    ("admin_token", "ONEROUTER_ADMIN_TOKEN"),
    ("public_url", "ONEROUTER_PUBLIC_URL"),
    ("frontend_url", "FRONTEND_URL"),
    ("webhook_roots", "ONEROUTER_WEBHOOK_ROOTS"),
    ("plugins_dir", "ONEROUTER_PLUGINS_DIR"),
    ("registry_url", "ONEROUTER_REGISTRY_URL"),
    ("registry_key", "ONEROUTER_REGISTRY_KEY"),
    ("unsigned_plugins", "ONEROUTER_UNSIGNED_PLUGINS"),
    ("publisher_keys", "ONEROUTER_PUBLISHER_KEYS"),
    ("trust_on_first_use", "ONEROUTER_TRUST_ON_FIRST_USE"),
    ("upstreams", "ONEROUTER_UPSTREAMS"),
    ("trusted_proxies", "ONEROUTER_TRUSTED_PROXIES"),
    ("metrics_bind", "ONEROUTER_METRICS_BIND"),
    ("event_retention_days", "ONEROUTER_EVENT_RETENTION_DAYS"),
    (
        "call_log_retention_days",
        "ONEROUTER_CALL_LOG_RETENTION_DAYS",
    ),
    ("attempt_retention_days", "ONEROUTER_ATTEMPT_RETENTION_DAYS"),
    ("webhook_targets", "ONEROUTER_WEBHOOK_TARGETS"),
];

/// Keys whose values are never printed.
const SECRET_KEYS: &[&str] = &[
    "database_url",
    "migrate_database_url",
    "redis_url",
    "encryption_key",
    "encryption_key_previous",
    "encryption_key_live",
    "encryption_key_test",
    "vault_token",
    "admin_token",
];

/// Reads keys one by one and collects what is wrong.
pub(super) struct Reader {
    figment: Figment,
    mistakes: Vec<String>,
}

impl Reader {
    pub(super) fn new(figment: Figment) -> Self {
        Self {
            figment,
            mistakes: Vec::new(),
        }
    }

    /// Ends the reading: what it made, where nothing was wrong.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, ConfigError> {
        match value {
            Some(value) if self.mistakes.is_empty() => Ok(value),
            Some(_) | None => Err(ConfigError(self.mistakes)),
        }
    }

    fn origin(&self, key: &str) -> String {
        self.figment.find_metadata(key).map_or_else(
            || "not set".to_owned(),
            |metadata| match &metadata.source {
                Some(source) => format!("from {} {source}", metadata.name),
                None if metadata.name == "Environment" => {
                    format!("from the environment variable {}", variable(key))
                }
                None => format!("from {}", metadata.name),
            },
        )
    }

    pub(super) fn mistake(&mut self, key: &str, text: impl fmt::Display) {
        let name = variable(key);
        let origin = self.origin(key);
        self.mistakes.push(format!("{name} {text} ({origin})"));
    }

    pub(super) fn refuse_unknown(&mut self) {
        let Ok(data) = self.figment.data() else {
            // A file that is no TOML. What the parser shows of its text may be a secret.
            if let Err(error) = self.figment.extract::<Dict>() {
                let text = error.to_string();
                let place = text.lines().next().unwrap_or_default();
                let source = error
                    .metadata
                    .as_ref()
                    .and_then(|file| file.source.as_ref());
                let file = source.map_or_else(|| "the settings".to_owned(), ToString::to_string);
                self.mistakes.push(format!("{file}: {place}"));
            }
            return;
        };
        for dict in data.values() {
            for key in dict.keys() {
                if !KEYS.iter().any(|(known, _)| *known == key.as_str()) {
                    self.mistakes
                        .push(format!("{key} is not a setting ({})", self.origin(key)));
                }
            }
        }
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        match self.figment.find_value(key).ok()? {
            Value::String(_, text) => Some(text).filter(|text| !text.trim().is_empty()),
            Value::Num(..)
            | Value::Bool(..)
            | Value::Char(..)
            | Value::Empty(..)
            | Value::Dict(..)
            | Value::Array(..) => {
                self.mistake(key, "must be a text in quotes");
                None
            }
        }
    }

    pub(super) fn parsed<T: FromStr>(&mut self, key: &str, rule: &str) -> Option<T> {
        let text = self.text(key)?;
        let value = text.trim().parse().ok();
        if value.is_none() {
            self.mistake(key, format!("{rule}{}", shown(key, &text)));
        }
        value
    }

    pub(super) fn deployment(&mut self) -> Option<Deployment> {
        match self.text("environment")?.as_str() {
            "development" => Some(Deployment::Development),
            "production" => Some(Deployment::Production),
            other => {
                let shown = shown("environment", other);
                self.mistake(
                    "environment",
                    format!("must be development or production{shown}"),
                );
                None
            }
        }
    }

    pub(super) fn database_url(&mut self, key: &str) -> Option<String> {
        let url = self.text(key)?;
        let known = ["sqlite://", "postgres://", "postgresql://"];
        if !known.iter().any(|scheme| url.starts_with(scheme)) {
            self.mistake(
                key,
                "must start with sqlite://, postgres:// or postgresql://",
            );
        }
        Some(url)
    }

    pub(super) fn url(&mut self, key: &str) -> Option<String> {
        let text = self.text(key)?;
        let fits = text.parse::<http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some()
        });
        if !fits {
            let shown = shown(key, &text);
            self.mistake(key, format!("must be an http or https URL{shown}"));
        }
        Some(text.trim_end_matches('/').to_owned())
    }

    /// A number of days, between two.
    pub(super) fn days(&mut self, key: &str, least: u16, most: u16, default: u16) -> TimeDelta {
        let rule = format!("must be a number of days from {least} to {most}");
        let days = match self.text(key) {
            None => default,
            Some(_) => match self.parsed::<u16>(key, &rule) {
                Some(days) if (least..=most).contains(&days) => days,
                Some(_) => {
                    self.mistake(key, rule);
                    default
                }
                None => default,
            },
        };
        TimeDelta::days(i64::from(days))
    }

    /// Addresses and networks, separated by commas.
    pub(super) fn networks(&mut self, key: &str) -> Vec<IpNet> {
        let text = self.text(key).unwrap_or_default();
        let entries = text.split(',').map(str::trim);
        let mut networks = Vec::new();
        for entry in entries.filter(|entry| !entry.is_empty()) {
            match network::parse(entry) {
                Some(network) => networks.push(network),
                None => self.mistake(key, format!("{entry:?} is not {}", network::RULE)),
            }
        }
        networks
    }

    pub(super) fn upstreams(&mut self, production: bool) -> Upstreams {
        let Some(text) = self.text("upstreams") else {
            return Upstreams::default();
        };
        if production {
            self.mistake(
                "upstreams",
                "is for development and tests; production refuses it",
            );
        }
        Upstreams::parse(&text).unwrap_or_else(|error| {
            self.mistake("upstreams", error);
            Upstreams::default()
        })
    }

    pub(super) fn webhook_roots(&mut self, production: bool) -> Option<PathBuf> {
        let path = self.text("webhook_roots")?;
        if production {
            self.mistake(
                "webhook_roots",
                "is for development and tests; production refuses it",
            );
        }
        Some(path.into())
    }

    pub(super) fn webhook_targets(&mut self) -> WebhookTargets {
        match self.text("webhook_targets").as_deref() {
            None | Some("public") => WebhookTargets::Public,
            Some("any") => WebhookTargets::Any,
            Some(other) => {
                let shown = shown("webhook_targets", other);
                self.mistake("webhook_targets", format!("must be public or any{shown}"));
                WebhookTargets::Public
            }
        }
    }

    pub(super) fn metrics_bind(&mut self, production: bool) -> MetricsBind {
        match self.parsed::<SocketAddr>(
            "metrics_bind",
            "must be an address and a port: 127.0.0.1:9000",
        ) {
            Some(address) => MetricsBind::Own(address),
            None if production => MetricsBind::Off,
            None => MetricsBind::SameListener,
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.figment
            .find_value(key)
            .is_ok_and(|value| value.as_str().is_none_or(|text| !text.trim().is_empty()))
    }
}

fn variable(key: &str) -> &str {
    KEYS.iter()
        .find(|(known, _)| *known == key)
        .map_or(key, |(_, variable)| variable)
}

pub(super) fn shown(key: &str, value: &str) -> String {
    if SECRET_KEYS.contains(&key) {
        String::new()
    } else {
        format!("; it is \"{value}\"")
    }
}

/// The known variables, as texts: figment's own reader would make numbers of keys that are all
/// digits.
pub(super) struct Environment(Dict);

impl Environment {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    pub(super) fn read() -> Self {
        let values = KEYS.iter().filter_map(|(key, variable)| {
            let value = std::env::var(variable)
                .ok()
                .filter(|value| !value.is_empty())?;
            Some(((*key).to_owned(), Value::from(value)))
        });
        Self(values.collect())
    }
}

impl Environment {
    #[cfg(test)]
    pub(super) fn of(values: Dict) -> Self {
        Self(values)
    }
}

impl Provider for Environment {
    fn metadata(&self) -> figment::Metadata {
        figment::Metadata::named("Environment")
    }

    fn data(&self) -> Result<Map<figment::Profile, Dict>, figment::Error> {
        Ok(Map::from([(figment::Profile::Default, self.0.clone())]))
    }
}

/// A setting from the command line.
pub(super) struct Flag {
    key: &'static str,
    value: String,
}

impl Flag {
    pub(super) const fn new(key: &'static str, value: String) -> Self {
        Self { key, value }
    }
}

impl Provider for Flag {
    fn metadata(&self) -> figment::Metadata {
        figment::Metadata::named(format!("the flag --{}", self.key.replace('_', "-")))
    }

    fn data(&self) -> Result<Map<figment::Profile, Dict>, figment::Error> {
        let dict = Dict::from([(self.key.to_owned(), Value::from(self.value.clone()))]);
        Ok(Map::from([(figment::Profile::Default, dict)]))
    }
}
