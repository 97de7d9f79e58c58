//! `onerouter doctor`: looks at everything that a gateway needs and says how to mend it.

mod keys;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use chrono::{TimeDelta, Utc};
use clap::Args;
use onerouter_registry::client::sidecar_of;
use serde::Serialize;

use super::{Global, terminal, with_compiler};
use crate::clock::Clock;
use crate::config::{Config, Deployment, UnsignedPlugins};
use crate::gateway::{make_private_folder, start_engine};
use crate::redis::Redis;
use crate::store::{PoolerCheck, SchemaState, Store, StoreConfig, StoreError};

/// Clocks that are further apart are not kept.
const CLOCK_OFF_MAX: TimeDelta = TimeDelta::seconds(2);
/// How long a name may take to be looked up.
const LOOKUP_MAX: Duration = Duration::from_secs(3);

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warning,
    Failed,
}

#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Ok,
            detail: detail.into(),
            fix: None,
        }
    }

    fn bad(check: &'static str, verdict: Verdict, detail: impl Into<String>, fix: &str) -> Self {
        Self {
            check,
            verdict,
            detail: detail.into(),
            fix: Some(fix.to_owned()),
        }
    }
}

pub(super) async fn run(global: &Global, args: DoctorArgs) -> anyhow::Result<()> {
    let findings = match Config::load(&global.flags()) {
        Ok(config) => examine(&with_compiler(config)).await,
        Err(error) => error
            .0
            .into_iter()
            .map(|mistake| {
                Finding::bad(
                    "configuration",
                    Verdict::Failed,
                    mistake,
                    "correct the setting",
                )
            })
            .collect(),
    };
    if args.json {
        terminal::json(&findings)?;
    } else {
        for finding in &findings {
            let mark = match finding.verdict {
                Verdict::Ok => "ok     ",
                Verdict::Warning => "warning",
                Verdict::Failed => "FAILED ",
            };
            terminal::data(&format!("{mark}  {:<14} {}", finding.check, finding.detail));
            if let Some(fix) = &finding.fix {
                terminal::data(&format!("         {:<14} → {fix}", ""));
            }
        }
    }
    if findings
        .iter()
        .any(|finding| finding.verdict == Verdict::Failed)
    {
        bail!("something is wrong; see above");
    }
    Ok(())
}

async fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = vec![Finding::ok("configuration", "every setting can be read")];
    findings.push(match make_private_folder(&config.data_dir) {
        Ok(()) => data_dir(config),
        Err(error) => Finding::bad(
            "data folder",
            Verdict::Failed,
            chain(&error),
            "set ONEROUTER_DATA_DIR to a folder that this user may write to",
        ),
    });
    findings.push(keys::chosen(config));
    findings.extend(database(config).await);
    findings.extend(redis(config).await);
    findings.extend(plugins(config).await);
    for (host, base) in config.upstreams.iter() {
        findings.push(Finding::bad(
            "upstreams",
            Verdict::Warning,
            format!("requests for {host} go to {base}"),
            "unset ONEROUTER_UPSTREAMS to reach the real providers",
        ));
    }
    findings
}

fn data_dir(config: &Config) -> Finding {
    let mode = std::fs::metadata(&config.data_dir).map(|meta| meta.permissions().mode());
    match mode {
        Ok(mode) if mode & 0o077 != 0 => Finding::bad(
            "data folder",
            Verdict::Warning,
            format!("{} can be entered by others", config.data_dir.display()),
            "chmod 700 it",
        ),
        Ok(_) => Finding::ok("data folder", config.data_dir.display().to_string()),
        Err(error) => Finding::bad(
            "data folder",
            Verdict::Failed,
            error.to_string(),
            "check its owner",
        ),
    }
}

async fn database(config: &Config) -> Vec<Finding> {
    let store = match Store::connect(&StoreConfig::new(config.database_url.clone())).await {
        Ok(store) => store,
        Err(error) => return vec![unreachable(&error)],
    };
    let state = store.schema_state().await;
    let is_up_to_date = matches!(state, Ok(SchemaState::UpToDate));
    let is_reachable = state.is_ok();
    let mut findings = vec![schema(config, state)];
    findings.extend(pooler(config, &store, is_reachable).await);
    if is_up_to_date {
        findings.extend(role(config, &store).await);
        findings.extend(clock(&store).await);
        findings.extend(keys::stored(config, &store).await);
    }
    store.close().await;
    findings
}

fn unreachable(error: &StoreError) -> Finding {
    Finding::bad(
        "database",
        Verdict::Failed,
        chain(error),
        "check DATABASE_URL and that the server runs",
    )
}

fn schema(config: &Config, state: Result<SchemaState, StoreError>) -> Finding {
    match state {
        Ok(SchemaState::UpToDate) => Finding::ok("database", "reachable and up to date"),
        Ok(SchemaState::Behind { pending }) if config.database_url.starts_with("sqlite://") => {
            Finding::ok(
                "database",
                format!("reachable; {pending} migration(s) run at the next start"),
            )
        }
        Ok(SchemaState::Behind { pending }) => Finding::bad(
            "database",
            Verdict::Failed,
            format!("{pending} migration(s) behind"),
            "run `onerouter migrate` with ONEROUTER_MIGRATE_DATABASE_URL",
        ),
        Ok(SchemaState::Ahead) => Finding::bad(
            "database",
            Verdict::Failed,
            "migrated by a newer version",
            "run the newer version of onerouter",
        ),
        Err(error) => unreachable(&error),
    }
}

/// What lends sessions of PostgreSQL; nothing to say where nothing does.
async fn pooler(config: &Config, store: &Store, is_reachable: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    match store.check_pooler().await {
        Ok(check) => findings.extend(check.and_then(of_pooler)),
        // Else it has been said of the database already.
        Err(error) if is_reachable => findings.push(unreachable(&error)),
        Err(_) => {}
    }
    if let Some(owner) = &config.migrate_database_url
        && let Ok(store) = Store::connect(&StoreConfig::new(owner.clone())).await
    {
        let check = store.check_pooler().await;
        if matches!(check, Ok(Some(PoolerCheck { lends: true, .. }))) {
            findings.push(Finding::bad(
                "pooler",
                Verdict::Failed,
                "migrations would go through a pooler that lends sessions, and lock its session for ever",
                "set ONEROUTER_MIGRATE_DATABASE_URL to the address of PostgreSQL itself",
            ));
        }
        store.close().await;
    }
    findings
}

/// What it forbids: all that a session keeps from one transaction to the next.
const FORBIDDEN: &str =
    "it forbids prepared statements with names, settings of a session, advisory locks and LISTEN";

fn of_pooler(check: PoolerCheck) -> Option<Finding> {
    let detail = match (check.fault, check.lends) {
        (Some(fault), true) => format!("{fault}; {FORBIDDEN}"),
        (Some(fault), false) => fault.to_owned(),
        (None, true) => format!(
            "lends sessions for each transaction; {FORBIDDEN}, and nothing of that is used; migrations go past it (ONEROUTER_MIGRATE_DATABASE_URL)"
        ),
        (None, false) if check.is_expected => "lends no sessions; without statement-cache-capacity=0 in DATABASE_URL statements take fewer round trips".to_owned(),
        (None, false) => return None,
    };
    Some(match check.fault {
        None => Finding::ok("pooler", detail),
        Some(_) => Finding::bad(
            "pooler",
            Verdict::Failed,
            detail,
            "add statement-cache-capacity=0 to DATABASE_URL, and nothing of a session is used; set ONEROUTER_MIGRATE_DATABASE_URL to the address of PostgreSQL itself",
        ),
    })
}

/// Whether the database itself keeps tenants apart; nothing to say of SQLite, which has no roles.
async fn role(config: &Config, store: &Store) -> Vec<Finding> {
    let check = match store.check_role().await {
        Ok(Some(check)) => check,
        Ok(None) => return Vec::new(),
        Err(error) => return vec![unreachable(&error)],
    };
    let faults = check.faults();
    if faults.is_empty() {
        let detail = format!("{} owns nothing and sees one tenant at a time", check.role);
        return vec![Finding::ok("database role", detail)];
    }
    let verdict = match config.deployment {
        Deployment::Production => Verdict::Failed,
        Deployment::Development => Verdict::Warning,
    };
    let fix = "give DATABASE_URL a role of its own (create role onerouter login), then run `onerouter migrate` as the owner of the tables (ONEROUTER_MIGRATE_DATABASE_URL)";
    let finding = |fault: String| Finding::bad("database role", verdict, fault, fix);
    faults.into_iter().map(finding).collect()
}

/// Nodes compare times that others have written, with margins of seconds.
async fn clock(store: &Store) -> Option<Finding> {
    let asked_at = Utc::now();
    let there = store.server_time().await.ok()??;
    let answered_at = Utc::now();
    let ahead = there.signed_duration_since(answered_at);
    let behind = asked_at.signed_duration_since(there);
    let off = ahead.max(behind).max(TimeDelta::zero());
    Some(if off > CLOCK_OFF_MAX {
        Finding::bad(
            "clock",
            Verdict::Warning,
            format!(
                "this machine and the database are {} s apart",
                off.num_seconds()
            ),
            "have NTP keep the clocks of all nodes and of the database",
        )
    } else {
        Finding::ok("clock", "as the database's")
    })
}

async fn redis(config: &Config) -> Option<Finding> {
    let url = config.redis_url.as_ref()?;
    let connected = async {
        let redis = Redis::new(url)?;
        redis.connect().await?;
        redis.subscribe().await.map(drop)
    };
    Some(match connected.await {
        Ok(()) => Finding::ok("redis", "reachable; nodes share limits"),
        Err(error) => Finding::bad(
            "redis",
            Verdict::Failed,
            chain(&error),
            "check REDIS_URL, and that the server runs and may be written to; until then each node limits for itself",
        ),
    })
}

async fn plugins(config: &Config) -> Vec<Finding> {
    let engine = match start_engine(config, &Clock::default()) {
        Ok((engine, _egress)) => engine,
        Err(error) => {
            return vec![Finding::bad(
                "engine",
                Verdict::Failed,
                chain(&error),
                "the engine reserves address space: check `ulimit -v`",
            )];
        }
    };
    let folder = config.plugins_dir.display();
    if !config.plugins_dir.is_dir() {
        return vec![Finding::bad(
            "plugins",
            Verdict::Warning,
            format!("there is no folder {folder}"),
            "put plugins there, or set ONEROUTER_PLUGINS_DIR",
        )];
    }
    let loaded = engine.load_folder(&config.plugins_dir).await;
    if loaded.is_empty() {
        return vec![Finding::bad(
            "plugins",
            Verdict::Warning,
            format!("{folder} holds none"),
            "put plugins there, or set ONEROUTER_PLUGINS_DIR",
        )];
    }
    let mut findings = Vec::new();
    let mut hosts = BTreeSet::new();
    for (path, loaded) in loaded {
        match loaded {
            Ok(_) if is_refused(config, &path) => findings.push(Finding::bad(
                "plugins",
                Verdict::Failed,
                format!("{} is not signed", path.display()),
                "put its .sig file beside it (`onerouter plugin sign`), and name the key in ONEROUTER_PUBLISHER_KEYS",
            )),
            Ok(adapter) => {
                let manifest = adapter.manifest();
                let name = format!("{} {}", manifest.id, manifest.version);
                findings.push(Finding::ok("plugins", name));
                let rules = manifest.outbound.iter();
                hosts.extend(rules.map(|rule| (rule.host.clone(), rule.port)));
            }
            Err(error) => findings.push(Finding::bad(
                "plugins",
                Verdict::Failed,
                format!("{}: {}", path.display(), chain(&error)),
                "replace or remove the file",
            )),
        }
    }
    findings.extend(providers(config, hosts).await);
    findings
}

/// Whether `serve` would refuse a file at the first look: nobody has signed it.
fn is_refused(config: &Config, path: &Path) -> bool {
    config.plugin_trust.unsigned == UnsignedPlugins::Refuse && !sidecar_of(path).exists()
}

/// Hosts of providers that no address is known for.
async fn providers(config: &Config, hosts: BTreeSet<(String, u16)>) -> Vec<Finding> {
    let is_redirected = |host: &str| config.upstreams.iter().any(|(from, _)| from == host);
    let direct = hosts
        .into_iter()
        .filter(|(host, _)| !host.starts_with("*.") && !is_redirected(host));
    let lookups = direct.map(|(host, port)| async move {
        let looked_up = tokio::net::lookup_host((host.as_str(), port));
        let found = tokio::time::timeout(LOOKUP_MAX, looked_up).await;
        let addresses = found.ok().and_then(Result::ok);
        let is_known = addresses.is_some_and(|mut addresses| addresses.next().is_some());
        (!is_known).then_some(host)
    });
    let unknown = futures_util::future::join_all(lookups).await;
    let finding = |host: String| {
        Finding::bad(
            "providers",
            Verdict::Warning,
            format!("no address is known for {host}"),
            "check the resolver of this machine (/etc/resolv.conf)",
        )
    };
    unknown.into_iter().flatten().map(finding).collect()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
