//! Configuration: defaults, then `onerouter.toml`, then the environment, then flags.
//!
//! Every mistake is reported at once, with the key and where its value came from.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use figment::providers::{Format as _, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Provider};
use onerouter_egress::Upstreams;
use secrecy::SecretString;

use crate::vault::master_key::{MasterKey, MasterKeys};

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
    ("environment", "ENVIRONMENT"),
    ("admin_token", "ONEROUTER_ADMIN_TOKEN"),
    ("public_url", "ONEROUTER_PUBLIC_URL"),
    ("frontend_url", "FRONTEND_URL"),
    ("plugins_dir", "ONEROUTER_PLUGINS_DIR"),
    ("upstreams", "ONEROUTER_UPSTREAMS"),
    ("trusted_proxies", "ONEROUTER_TRUSTED_PROXIES"),
    ("metrics_bind", "ONEROUTER_METRICS_BIND"),
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
    "admin_token",
];

/// An admin token shorter than this could be guessed.
const ADMIN_TOKEN_LENGTH_MIN: usize = 16;

/// What the gateway is run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deployment {
    /// A newcomer's machine, tests.
    Development,
    /// Customers' money and messages.
    Production,
}

/// Where the metrics are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsBind {
    /// With everything else.
    SameListener,
    /// On an address of their own.
    Own(SocketAddr),
    /// Nowhere.
    Off,
}

/// What the operator decides.
#[derive(Debug, Clone)]
pub struct Config {
    /// Listen address.
    pub bind: SocketAddr,
    /// Embedded database, generated keys, compiled code, installed plugins.
    pub data_dir: PathBuf,
    /// `sqlite://…` or `postgres://…`.
    pub database_url: String,
    /// Owner role for migrations.
    pub migrate_database_url: Option<String>,
    /// Whether a Redis is configured.
    pub redis_url: Option<SecretString>,
    /// The vault's master keys; none where one is to be generated.
    pub master_keys: Option<MasterKeys>,
    /// What it is run for.
    pub deployment: Deployment,
    /// Bootstrap operator token.
    pub admin_token: Option<SecretString>,
    /// The URL that providers see.
    pub public_url: Option<String>,
    /// Allowed CORS origin.
    pub frontend_url: Option<String>,
    /// Where plugins are read from.
    pub plugins_dir: PathBuf,
    /// Where requests for a provider's host go instead.
    pub upstreams: Upstreams,
    /// Proxies whose forwarding headers are believed.
    pub trusted_proxies: Vec<String>,
    /// Where `/metrics` is served.
    pub metrics_bind: MetricsBind,
}

/// Values from the command line, the strongest source.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config`
    pub file: Option<PathBuf>,
    /// `--bind`
    pub bind: Option<String>,
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
}

/// Everything that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration has {} mistake(s):{}", .0.len(), .0.iter().map(|mistake| format!("\n  {mistake}")).collect::<String>())]
pub struct ConfigError(pub Vec<String>);

impl Config {
    /// Reads every source.
    ///
    /// # Errors
    /// Every mistake, with its key and its origin.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        let file = flags
            .file
            .clone()
            .unwrap_or_else(|| PathBuf::from("onerouter.toml"));
        if flags.file.is_some() && !file.is_file() {
            return Err(ConfigError(vec![format!(
                "--config {}: there is no such file",
                file.display()
            )]));
        }
        let mut figment = Figment::new()
            .merge(Serialized::defaults(Map::from([
                ("bind", "127.0.0.1:8000"),
                ("data_dir", "./.onerouter"),
                ("environment", "development"),
            ])))
            .merge(Toml::file(file))
            .merge(Environment::read());
        if let Some(bind) = &flags.bind {
            figment = figment.merge(Flag {
                key: "bind",
                value: bind.clone(),
            });
        }
        if let Some(data_dir) = &flags.data_dir {
            figment = figment.merge(Flag {
                key: "data_dir",
                value: data_dir.display().to_string(),
            });
        }
        Self::from_figment(figment)
    }

    fn from_figment(figment: Figment) -> Result<Self, ConfigError> {
        let mut reader = Reader {
            figment,
            mistakes: Vec::new(),
        };
        reader.refuse_unknown();
        let bind =
            reader.parsed::<SocketAddr>("bind", "must be an address and a port: 127.0.0.1:8000");
        let data_dir = PathBuf::from(reader.text("data_dir").unwrap_or_default());
        let deployment = reader.deployment();
        let production = deployment == Some(Deployment::Production);
        let database_url = reader.database_url("database_url");
        let migrate_database_url = reader.database_url("migrate_database_url");
        let redis_url = reader.text("redis_url");
        if let Some(url) = &redis_url
            && !url.starts_with("redis://")
            && !url.starts_with("rediss://")
        {
            reader.mistake("redis_url", "must start with redis:// or rediss://");
        }
        let master_keys = reader.master_keys();
        if production && master_keys.is_none() && reader.text("encryption_key").is_none() {
            reader.mistake(
                "encryption_key",
                "is required in production: 32 random bytes in base64 or hex",
            );
        }
        let admin_token = reader.text("admin_token");
        if admin_token
            .as_ref()
            .is_some_and(|token| token.len() < ADMIN_TOKEN_LENGTH_MIN)
        {
            reader.mistake(
                "admin_token",
                format!("must have at least {ADMIN_TOKEN_LENGTH_MIN} characters"),
            );
        }
        let public_url = reader.url("public_url");
        let frontend_url = reader.url("frontend_url");
        let plugins_dir = reader
            .text("plugins_dir")
            .map_or_else(|| data_dir.join("plugins"), PathBuf::from);
        let upstreams = reader.upstreams(production);
        let trusted_proxies = reader.list("trusted_proxies");
        if let Some(bind) = bind
            && production
            && !bind.ip().is_loopback()
            && trusted_proxies.is_empty()
        {
            reader.mistake(
                "bind",
                "would serve plain HTTP on a public address; set ONEROUTER_TRUSTED_PROXIES to the proxy that ends TLS in front of it",
            );
        }
        let metrics_bind = reader.metrics_bind(production);
        let (Some(bind), Some(deployment), true) = (bind, deployment, reader.mistakes.is_empty())
        else {
            return Err(ConfigError(reader.mistakes));
        };
        let database_url = database_url
            .unwrap_or_else(|| format!("sqlite://{}", data_dir.join("onerouter.db").display()));
        Ok(Self {
            bind,
            data_dir,
            database_url,
            migrate_database_url,
            redis_url: redis_url.map(Into::into),
            master_keys,
            deployment,
            admin_token: admin_token.map(Into::into),
            public_url,
            frontend_url,
            plugins_dir,
            upstreams,
            trusted_proxies,
            metrics_bind,
        })
    }

    /// A configuration for one folder, as a test or `onerouter dev` starts from.
    #[must_use]
    pub fn in_folder(data_dir: &Path) -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            data_dir: data_dir.to_owned(),
            database_url: format!("sqlite://{}", data_dir.join("onerouter.db").display()),
            migrate_database_url: None,
            redis_url: None,
            master_keys: None,
            deployment: Deployment::Development,
            admin_token: None,
            public_url: None,
            frontend_url: None,
            plugins_dir: data_dir.join("plugins"),
            upstreams: Upstreams::default(),
            trusted_proxies: Vec::new(),
            metrics_bind: MetricsBind::SameListener,
        }
    }
}

/// Reads keys one by one and collects what is wrong.
struct Reader {
    figment: Figment,
    mistakes: Vec<String>,
}

impl Reader {
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

    fn mistake(&mut self, key: &str, text: impl fmt::Display) {
        let name = variable(key);
        let origin = self.origin(key);
        self.mistakes.push(format!("{name} {text} ({origin})"));
    }

    fn refuse_unknown(&mut self) {
        let Ok(data) = self.figment.data() else {
            // A file that is not TOML: the extraction below names file and line.
            if let Err(error) = self.figment.extract::<Dict>() {
                self.mistakes.push(error.to_string());
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

    fn text(&mut self, key: &str) -> Option<String> {
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

    fn parsed<T: FromStr>(&mut self, key: &str, rule: &str) -> Option<T> {
        let text = self.text(key)?;
        let value = text.trim().parse().ok();
        if value.is_none() {
            self.mistake(key, format!("{rule}{}", shown(key, &text)));
        }
        value
    }

    fn deployment(&mut self) -> Option<Deployment> {
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

    fn database_url(&mut self, key: &str) -> Option<String> {
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

    fn url(&mut self, key: &str) -> Option<String> {
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

    fn list(&mut self, key: &str) -> Vec<String> {
        let text = self.text(key).unwrap_or_default();
        text.split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(str::to_owned)
            .collect()
    }

    fn upstreams(&mut self, production: bool) -> Upstreams {
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

    fn metrics_bind(&mut self, production: bool) -> MetricsBind {
        match self.parsed::<SocketAddr>(
            "metrics_bind",
            "must be an address and a port: 127.0.0.1:9000",
        ) {
            Some(address) => MetricsBind::Own(address),
            None if production => MetricsBind::Off,
            None => MetricsBind::SameListener,
        }
    }

    fn master_keys(&mut self) -> Option<MasterKeys> {
        let mut parsed = |key: &str| {
            let text = self.text(key)?;
            match MasterKey::parse(&text.into()) {
                Ok(master) => Some(master),
                Err(error) => {
                    self.mistake(key, error);
                    None
                }
            }
        };
        let current = parsed("encryption_key");
        let previous = parsed("encryption_key_previous");
        let live = parsed("encryption_key_live");
        let test = parsed("encryption_key_test");
        current.map(|current| MasterKeys {
            current,
            previous,
            live,
            test,
        })
    }
}

fn variable(key: &str) -> &str {
    KEYS.iter()
        .find(|(known, _)| *known == key)
        .map_or(key, |(_, variable)| variable)
}

fn shown(key: &str, value: &str) -> String {
    if SECRET_KEYS.contains(&key) {
        String::new()
    } else {
        format!("; it is \"{value}\"")
    }
}

/// The known variables, as texts: figment's own reader would make numbers of keys that are all
/// digits.
struct Environment(Dict);

impl Environment {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    fn read() -> Self {
        let values = KEYS.iter().filter_map(|(key, variable)| {
            let value = std::env::var(variable)
                .ok()
                .filter(|value| !value.is_empty())?;
            Some(((*key).to_owned(), Value::from(value)))
        });
        Self(values.collect())
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

struct Flag {
    key: &'static str,
    value: String,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &[(&'static str, &str)]) -> Result<Config, ConfigError> {
        let mut figment = Figment::new().merge(Serialized::defaults(Map::from([
            ("bind", "127.0.0.1:8000"),
            ("data_dir", "./.onerouter"),
            ("environment", "development"),
        ])));
        let dict = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Value::from(*value)));
        figment = figment.merge(Environment(dict.collect()));
        Config::from_figment(figment)
    }

    #[test]
    fn nothing_set_is_a_newcomers_machine() {
        let config = from(&[]).unwrap();
        assert_eq!(config.bind.port(), 8000);
        assert_eq!(config.database_url, "sqlite://./.onerouter/onerouter.db");
        assert_eq!(config.deployment, Deployment::Development);
    }

    #[test]
    fn all_mistakes_are_named_with_their_origin_and_no_secret() {
        let error = from(&[
            ("bind", "nowhere"),
            ("encryption_key", "c2hvcnQtc2VjcmV0"),
            ("environment", "prod"),
            ("redis_url", "hunter2-redis"),
            ("admin_token", "hunter2"),
        ])
        .unwrap_err();
        let text = error.to_string();
        assert_eq!(error.0.len(), 5, "{text}");
        for part in [
            "ONEROUTER_BIND",
            "ENCRYPTION_KEY",
            "ENVIRONMENT",
            "REDIS_URL",
            "environment variable",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(
            !text.contains("hunter2") && !text.contains("c2hvcnQ"),
            "{text}"
        );
    }

    #[test]
    fn a_key_of_digits_stays_a_text() {
        let digits = "0123456789012345678901234567890123456789012345678901234567890123";
        assert!(
            from(&[("encryption_key", digits)])
                .unwrap()
                .master_keys
                .is_some()
        );
    }

    #[test]
    fn production_refuses_what_is_for_development() {
        let error = from(&[
            ("environment", "production"),
            ("bind", "0.0.0.0:80"),
            ("upstreams", "api.example.com=http://127.0.0.1:1"),
        ])
        .unwrap_err();
        let text = error.to_string();
        for part in [
            "ENCRYPTION_KEY is required",
            "ONEROUTER_UPSTREAMS",
            "ONEROUTER_TRUSTED_PROXIES",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
