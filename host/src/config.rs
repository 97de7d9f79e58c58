//! Configuration: defaults, then `onerouter.toml`, then the environment, then flags.
//!
//! Every mistake is reported at once, with the key and where its value came from.

mod plugins;
mod reader;
mod vault;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use figment::Figment;
use figment::providers::{Format as _, Serialized, Toml};
use figment::value::Map;
use ipnet::IpNet;
use onerouter_egress::Upstreams;
use onerouter_engine::Compiler;
use secrecy::SecretString;
use url::Url;

pub(crate) use self::plugins::key_id;
pub use self::plugins::{PluginTrust, UnsignedPlugins};
use self::reader::{Environment, Flag, Reader};
use crate::vault::hashicorp;
use crate::vault::master_key::MasterKeys;

/// An admin token shorter than this could be guessed.
const ADMIN_TOKEN_LENGTH_MIN: usize = 16;

/// Events can be read by their cursor for so long at least.
const EVENT_DAYS_MIN: u16 = 30;
const EVENT_DAYS: u16 = 90;
const CALL_LOG_DAYS: u16 = 30;
/// Keys toward providers are numbered by the attempts before: longer than a manifest may say that a
/// provider remembers one, which is 90 days.
const ATTEMPT_DAYS_MIN: u16 = 120;
const ATTEMPT_DAYS: u16 = 400;
/// A hundred years.
const DAYS_MAX: u16 = 36_500;

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

/// Where tenants may have their webhooks sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookTargets {
    /// To public addresses, by https.
    Public,
    /// Anywhere, also by http: to this machine, to a network of the operator's.
    Any,
}

/// How long what nobody needs for its work is kept, at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// What happened to objects.
    pub events: TimeDelta,
    /// Requests of clients.
    pub call_logs: TimeDelta,
    /// What was tried at providers.
    pub attempts: TimeDelta,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |days: u16| TimeDelta::days(i64::from(days));
        Self {
            events: days(EVENT_DAYS),
            call_logs: days(CALL_LOG_DAYS),
            attempts: days(ATTEMPT_DAYS),
        }
    }
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
    /// HashiCorp Vault, in the place of the master keys or beside them.
    pub hashicorp_vault: Option<hashicorp::Settings>,
    /// What it is run for.
    pub deployment: Deployment,
    /// Bootstrap operator token.
    pub admin_token: Option<SecretString>,
    /// The URL that providers see.
    pub public_url: Option<String>,
    /// The providers are emulated on this machine, and reach the gateway where it listens.
    pub providers_are_local: bool,
    /// Allowed CORS origin.
    pub frontend_url: Option<String>,
    /// Roots of certificates that sign webhooks, besides the public ones: a file in PEM, for tests.
    pub webhook_roots: Option<PathBuf>,
    /// Watched for plugins.
    pub plugins_dir: PathBuf,
    /// Whose plugins run here.
    pub plugin_trust: PluginTrust,
    /// The marketplace registry.
    pub registry_url: Option<Url>,
    /// Where requests for a provider's host go instead.
    pub upstreams: Upstreams,
    /// Proxies whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Where `/metrics` is served.
    pub metrics_bind: MetricsBind,
    /// What is deleted when.
    pub retention: Retention,
    /// Where webhooks may be sent.
    pub webhook_targets: WebhookTargets,
    /// Where plugins are compiled. Not a setting: the program does it in a process of its own, and
    /// whoever uses the library has no program that could.
    pub compiler: Compiler,
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
        Self::from_figment(sources(flags)?)
    }

    /// Where things are kept, for commands that need nothing else of the settings.
    ///
    /// # Errors
    /// The settings file is not there, or the setting is of another type.
    pub fn data_folder(flags: &Flags) -> Result<PathBuf, ConfigError> {
        let mut reader = Reader::new(sources(flags)?);
        let folder = reader.text("data_dir").map(PathBuf::from);
        reader.finish(folder)
    }

    fn from_figment(figment: Figment) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(figment);
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
        let hashicorp_vault = reader.hashicorp_vault(production);
        let master_keys = reader.master_keys(production);
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
        let webhook_roots = reader.webhook_roots(production);
        let plugins_dir = reader
            .text("plugins_dir")
            .map_or_else(|| data_dir.join("plugins"), PathBuf::from);
        let plugin_trust = reader.plugin_trust(production);
        let registry_url = reader.registry_url();
        let upstreams = reader.upstreams(production);
        let trusted_proxies = reader.networks("trusted_proxies");
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
        let retention = Retention {
            events: reader.days("event_retention_days", EVENT_DAYS_MIN, DAYS_MAX, EVENT_DAYS),
            call_logs: reader.days("call_log_retention_days", 7, DAYS_MAX, CALL_LOG_DAYS),
            attempts: reader.days(
                "attempt_retention_days",
                ATTEMPT_DAYS_MIN,
                DAYS_MAX,
                ATTEMPT_DAYS,
            ),
        };
        let webhook_targets = reader.webhook_targets();
        let (bind, deployment) = reader.finish(bind.zip(deployment))?;
        let database_url = database_url
            .unwrap_or_else(|| format!("sqlite://{}", data_dir.join("onerouter.db").display()));
        Ok(Self {
            bind,
            data_dir,
            database_url,
            migrate_database_url,
            redis_url: redis_url.map(Into::into),
            master_keys,
            hashicorp_vault,
            deployment,
            admin_token: admin_token.map(Into::into),
            public_url,
            providers_are_local: false,
            frontend_url,
            webhook_roots,
            plugins_dir,
            plugin_trust,
            registry_url,
            upstreams,
            trusted_proxies,
            metrics_bind,
            retention,
            webhook_targets,
            compiler: Compiler::Here,
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
            hashicorp_vault: None,
            deployment: Deployment::Development,
            admin_token: None,
            public_url: None,
            providers_are_local: false,
            frontend_url: None,
            webhook_roots: None,
            plugins_dir: data_dir.join("plugins"),
            plugin_trust: PluginTrust::default(),
            registry_url: None,
            upstreams: Upstreams::default(),
            trusted_proxies: Vec::new(),
            metrics_bind: MetricsBind::SameListener,
            retention: Retention::default(),
            webhook_targets: WebhookTargets::Public,
            compiler: Compiler::Here,
        }
    }
}

/// Every source, the weakest first.
fn sources(flags: &Flags) -> Result<Figment, ConfigError> {
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
        figment = figment.merge(Flag::new("bind", bind.clone()));
    }
    if let Some(data_dir) = &flags.data_dir {
        figment = figment.merge(Flag::new("data_dir", data_dir.display().to_string()));
    }
    Ok(figment)
}

#[cfg(test)]
mod tests {
    use figment::value::Value;

    use super::*;

    pub(super) fn from(pairs: &[(&'static str, &str)]) -> Result<Config, ConfigError> {
        let mut figment = Figment::new().merge(Serialized::defaults(Map::from([
            ("bind", "127.0.0.1:8000"),
            ("data_dir", "./.onerouter"),
            ("environment", "development"),
        ])));
        let dict = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Value::from(*value)));
        figment = figment.merge(Environment::of(dict.collect()));
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
    fn a_master_key_of_one_environment_needs_one_for_the_rest() {
        let key = "0f".repeat(32);
        for name in [
            "encryption_key_previous",
            "encryption_key_live",
            "encryption_key_test",
        ] {
            let error = from(&[(name, key.as_str())]).unwrap_err();
            assert_eq!(error.0.len(), 1, "{error}");
            assert!(error.to_string().contains("ENCRYPTION_KEY is required"));
        }
        let both = [
            ("encryption_key_live", key.as_str()),
            ("encryption_key_test", key.as_str()),
            ("environment", "production"),
        ];
        let keys = from(&both).unwrap().master_keys.unwrap();
        assert_eq!(keys.current.id(), keys.live.unwrap().id());
    }

    #[test]
    fn webhooks_go_to_public_addresses_unless_the_operator_says_otherwise() {
        let targets = |pairs: &[(&'static str, &str)]| from(pairs).unwrap().webhook_targets;
        assert_eq!(targets(&[]), WebhookTargets::Public);
        let any = [("webhook_targets", "any"), ("environment", "development")];
        assert_eq!(targets(&any), WebhookTargets::Any);
        let error = from(&[("webhook_targets", "all")]).unwrap_err().to_string();
        assert!(error.contains("ONEROUTER_WEBHOOK_TARGETS"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_toml_is_named_without_its_text() {
        let figment = Figment::new().merge(Toml::string("admin_token = hunter2-in-the-file"));
        let text = Config::from_figment(figment).unwrap_err().to_string();
        assert!(text.contains("line 1"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
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
