//! `onerouter plugin install`, `list`, `shadow`, `activate`, `rollback`, `remove`, `key`, `bundle`: what an
//! operator does with plugins, at the database; running gateways follow.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use onerouter_domain::id::TenantId;
use onerouter_domain::time;
use onerouter_engine::{Adapters, Difference};
use onerouter_manifest::{PluginId, permissions};
use onerouter_registry::client::{RegistryApi, bundle};
use onerouter_registry::{Digest, KeyId};
use semver::Version;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cli::{Global, load, terminal};
use crate::clock::Clock;
use crate::config::key_id;
use crate::gateway::{
    key_providers, make_private_folder, open_store, registry_client, start_engine,
};
use crate::http::shadow::{CALLS, ShadowCheckView};
use crate::service::caller::Operator;
use crate::service::changes::Changes;
use crate::service::plugins::{
    Activation, CALLS_MAX, CanaryShare, Install, InstallSource, InstalledPlugin, InstalledVersion,
    NodeStanding, PluginParts, PluginRole, Plugins, PublisherKey, ShadowCheck, Step, Target,
};
use crate::service::recordings::Recordings;
use crate::service::refusal::Refusal;
use crate::store::{DEFAULT_TENANT, Store};
use crate::vault::Vault;

/// How long running gateways are waited for; each looks a few times a second.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(30);
/// How often one looks whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum InstallingCommand {
    /// Install a version of a plugin, and let it serve
    #[command(after_help = "Examples:
  onerouter plugin install acme-texts
  onerouter plugin install acme-texts@^1.2 --canary 10
  onerouter plugin install oci://ghcr.io/acme/texts:1.2.0 --trust-key sha256:…
  onerouter plugin install ./acme-texts.wasm
  onerouter plugin install acme-texts --bundle /media/usb/plugins

Running gateways follow without a restart, and are waited for.")]
    Install {
        /// NAME or NAME@RANGE of the registry, oci://…, or a file with its .sig beside it
        source: String,
        /// Take it from this bundle; needs no network
        #[arg(long, value_name = "DIR")]
        bundle: Option<PathBuf>,
        /// Trust this publisher's key for the plugin from now on
        #[arg(long, value_name = "KEY", value_parser = parse_key)]
        trust_key: Option<KeyId>,
        /// Install it only; `plugin activate` lets it serve
        #[arg(long, conflicts_with_all = ["canary", "canary_tenants"])]
        no_activate: bool,
        /// Install a version that is older than the one that serves
        #[arg(long)]
        allow_downgrade: bool,
        #[command(flatten)]
        serving: ServingArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List installed plugins and their versions
    #[command(after_help = "Examples:
  onerouter plugin list
  onerouter plugin list --json")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let an installed version serve, everybody or some
    #[command(after_help = "Examples:
  onerouter plugin activate acme-texts
  onerouter plugin activate acme-texts@1.3.0 --canary 5 --canary-tenant ten_01h455vb4pex5vsknk084sn02q
  onerouter plugin activate acme-texts@1.3.0 --approve sha256:…
  onerouter plugin activate acme-texts@1.3.0 --shadow")]
    Activate {
        /// NAME, NAME@VERSION, or an id: ins_…
        #[arg(value_parser = parse_target)]
        plugin: Target,
        #[command(flatten)]
        serving: ServingArgs,
        /// Try it with recorded calls first; let it serve only if it does the same
        #[arg(long)]
        shadow: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Try a version with recorded calls; nothing is sent
    #[command(after_help = "Examples:
  onerouter plugin shadow acme-texts
  onerouter plugin shadow acme-texts@1.3.0 --calls 100 --json

The newest recorded calls of the version that serves are made again on the other one, against the recorded answers of their providers. Exits with 1 unless all of them, and at least one, go the same way.")]
    Shadow {
        /// NAME, NAME@VERSION, or an id: ins_…
        #[arg(value_parser = parse_target)]
        plugin: Target,
        /// How many of the newest recorded calls
        #[arg(long, default_value_t = CALLS, value_parser = clap::value_parser!(u16).range(1..=i64::from(CALLS_MAX)))]
        calls: u16,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take back what is new
    #[command(after_help = "Example:
  onerouter plugin rollback acme-texts

The canary goes, or where there is none the version that serves. The one before is still loaded: it serves at once, with no registry and nothing to compile.")]
    Rollback {
        /// Its name
        #[arg(value_parser = parse_target)]
        plugin: Target,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a version, or a plugin with all of them
    #[command(after_help = "Examples:
  onerouter plugin remove acme-texts@1.1.0
  onerouter plugin remove acme-texts")]
    Remove {
        /// NAME, NAME@VERSION, or an id: ins_…
        #[arg(value_parser = parse_target)]
        plugin: Target,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Manage publishers' keys
    #[command(
        subcommand,
        after_help = "Example:
  onerouter plugin key list"
    )]
    Key(PublisherKeyCommand),
    /// Put plugins into a folder, for machines without a network
    #[command(after_help = "Example:
  onerouter plugin bundle --output /media/usb/plugins acme-texts@^1 acme-post

There: onerouter plugin install acme-texts --bundle /media/usb/plugins")]
    Bundle {
        /// NAME or NAME@RANGE
        #[arg(required = true)]
        plugins: Vec<String>,
        /// The folder, which must be empty or a bundle
        #[arg(long, short, value_name = "DIR")]
        output: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum PublisherKeyCommand {
    /// List keys that are known here, and what they may sign
    #[command(after_help = "Examples:
  onerouter plugin key list
  onerouter plugin key list --json")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Trust a key no more
    #[command(after_help = "Example:
  onerouter plugin key distrust sha256:…

It may sign nothing from then on, whatever the settings name. What it has signed and what serves goes on, with a warning in `plugin list`; it can be gone back to, but not be installed or activated anew. `plugin install --trust-key` trusts it again.")]
    Distrust {
        /// A publisher's key or its id
        #[arg(value_parser = parse_key)]
        key: KeyId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Whom a version serves.
#[derive(Debug, Args)]
pub(in crate::cli) struct ServingArgs {
    /// Let it serve this many of a hundred tenants, beside the version that serves
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    canary: Option<u8>,
    /// Let it serve this tenant, beside the version that serves
    #[arg(long = "canary-tenant", value_name = "TENANT")]
    canary_tenants: Vec<TenantId>,
    /// Agree to what it may do more than the version that serves, by the digest that was shown
    #[arg(long, value_name = "DIGEST", value_parser = parse_digest)]
    approve: Option<Digest>,
}

impl ServingArgs {
    fn activation(&self) -> Activation {
        let is_canary = self.canary.is_some() || !self.canary_tenants.is_empty();
        Activation {
            canary: is_canary.then(|| CanaryShare {
                percent: self.canary.unwrap_or(0),
                tenants: self.canary_tenants.clone(),
            }),
            approve: self.approve.map(|digest| digest.to_string()),
        }
    }
}

fn parse_key(text: &str) -> Result<KeyId, String> {
    key_id(text).ok_or_else(|| "must be a publisher's key or its id".to_owned())
}

fn parse_digest(text: &str) -> Result<Digest, String> {
    text.parse()
        .map_err(|_no_digest| "must be a digest, as it was shown: sha256:…".to_owned())
}

fn parse_target(text: &str) -> Result<Target, String> {
    if let Ok(id) = text.parse() {
        return Ok(Target::Version(id));
    }
    if let Ok(id) = text.parse() {
        return Ok(Target::Plugin(id));
    }
    let (name, version) = match text.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (text, None),
    };
    let name = PluginId::try_from(name.to_owned())?.to_string();
    match version {
        None => Ok(Target::Name(name)),
        Some(version) => Version::parse(version)
            .map(|version| Target::Numbered(name, version))
            .map_err(|error| format!("{version} is no version: {error}")),
    }
}

pub(super) async fn run(global: &Global, command: InstallingCommand) -> anyhow::Result<()> {
    let reads_calls = matches!(
        command,
        InstallingCommand::Shadow { .. } | InstallingCommand::Activate { shadow: true, .. }
    );
    let bench = Bench::open(global, reads_calls).await?;
    let done = bench.run(command).await;
    bench.store.close().await;
    done
}

/// What the commands work with.
struct Bench {
    store: Store,
    plugins: Plugins,
    operator: Operator,
    registry: Option<RegistryApi>,
}

impl Bench {
    /// Whoever reads recorded calls needs the vault's keys; the others work without.
    async fn open(global: &Global, reads_calls: bool) -> anyhow::Result<Self> {
        let config = load(&global.flags())?;
        make_private_folder(&config.data_dir)?;
        let store = open_store(&config).await?;
        let clock = Clock::default();
        let (engine, _egress) = start_engine(&config, &clock)?;
        let recordings = if reads_calls {
            let vault = Vault::new(key_providers(&config)?, store.clone());
            Some(Recordings::new(store.clone(), vault, clock.clone()))
        } else {
            None
        };
        let registry = config.registry_url.clone().map(RegistryApi::new);
        let plugins = Plugins::new(PluginParts {
            changes: Arc::new(Changes::new(store.clone())),
            store: store.clone(),
            recordings,
            engine,
            adapters: Arc::new(Adapters::default()),
            clock,
            trust: config.plugin_trust,
            registry: registry.clone(),
            client: registry_client()?,
            data_dir: config.data_dir,
            folder: config.plugins_dir,
            role: PluginRole::Manages,
        });
        Ok(Self {
            store,
            plugins,
            operator: Operator::on_command_line(DEFAULT_TENANT),
            registry,
        })
    }

    async fn run(&self, command: InstallingCommand) -> anyhow::Result<()> {
        match command {
            InstallingCommand::Install {
                source,
                bundle,
                trust_key,
                no_activate,
                allow_downgrade,
                serving,
                json,
            } => {
                let install = Install {
                    source: match bundle {
                        Some(folder) => InstallSource::Bundle {
                            folder,
                            wanted: source,
                        },
                        None => InstallSource::Text(source),
                    },
                    trust_key,
                    activate: (!no_activate).then(|| serving.activation()),
                    allow_downgrade,
                };
                self.install(&install, json).await
            }
            InstallingCommand::List { json } => self.list(json).await,
            InstallingCommand::Activate {
                plugin,
                serving,
                shadow,
                json,
            } => {
                // Just the version that was tried, whatever is installed meanwhile.
                let plugin = if shadow {
                    self.shadow_before(&plugin).await?
                } else {
                    plugin
                };
                let activation = serving.activation();
                let activated = self.plugins.activate(&self.operator, &plugin, &activation);
                let written = activated.await.map_err(told)?;
                self.tell(&written.name, "serves", json).await
            }
            InstallingCommand::Shadow {
                plugin,
                calls,
                json,
            } => {
                let check = self.shadow(&plugin, calls).await?;
                if json {
                    terminal::json(&serde_json::to_value(ShadowCheckView::from(check.clone()))?)?;
                } else {
                    say_check(&check);
                }
                if check.is_convincing() {
                    return Ok(());
                }
                bail!(
                    "{} {} is not known to do the same as {}",
                    check.plugin,
                    check.tried.version,
                    check.serving.version
                )
            }
            InstallingCommand::Rollback { plugin, json } => {
                let rolled_back = self.plugins.roll_back(&self.operator, &plugin);
                let written = rolled_back.await.map_err(told)?;
                self.tell(&written.name, "serves again", json).await
            }
            InstallingCommand::Remove { plugin, json } => {
                let before = self.plugins.get(&plugin).await.map_err(told)?;
                let removed = self.plugins.remove(&self.operator, &plugin);
                removed.await.map_err(told)?;
                if json {
                    return terminal::json(&json!({
                        "id": before.name, "object": "plugin.deleted", "deleted": true,
                    }));
                }
                terminal::say(&format!("Removed; {} calls that run finish.", before.name));
                Ok(())
            }
            InstallingCommand::Key(PublisherKeyCommand::List { json }) => {
                self.list_keys(json).await
            }
            InstallingCommand::Key(PublisherKeyCommand::Distrust { key, json }) => {
                self.distrust_key(key, json).await
            }
            InstallingCommand::Bundle {
                plugins,
                output,
                json,
            } => self.bundle(&plugins, &output, json).await,
        }
    }

    async fn install(&self, install: &Install, as_json: bool) -> anyhow::Result<()> {
        let shown = Shown::new();
        let installed = self
            .plugins
            .install(&self.operator, install, &|step| shown.step(step))
            .await;
        shown.end();
        let installed = installed.map_err(told)?;
        let name = installed.row.plugin.clone();
        for advisory in &installed.advisories {
            let more = advisory.url.as_deref().unwrap_or_default();
            terminal::say(&format!(
                "Advisory {}: {} {more}",
                advisory.id, advisory.summary
            ));
        }
        if installed.is_active {
            return self.tell(&name, "serves", as_json).await;
        }
        let version = &installed.row.version;
        if let Some(activation) = &install.activate
            && let Some(digest) = &installed.asked.digest
        {
            terminal::say(&format!(
                "{name} {version} is installed. It may do more than the version that serves:"
            ));
            for added in &installed.asked.permissions {
                terminal::say(&format!("  + it {added}"));
            }
            if !agreed()? {
                bail!(
                    "{name} {version} waits: `onerouter plugin activate {name}@{version} --approve {digest}` lets it serve"
                );
            }
            let activation = Activation {
                approve: Some(digest.clone()),
                ..activation.clone()
            };
            let target = Target::Version(installed.row.id);
            let activated = self.plugins.activate(&self.operator, &target, &activation);
            activated.await.map_err(told)?;
            return self.tell(&name, "serves", as_json).await;
        }
        self.tell(&name, "is installed; serves", as_json).await
    }

    async fn shadow(&self, plugin: &Target, calls: u16) -> anyhow::Result<ShadowCheck> {
        let checked = self.plugins.shadow(&self.operator, plugin, calls);
        checked.await.map_err(told)
    }

    /// A version that is not known to do the same serves only where a person at the terminal wants it to.
    async fn shadow_before(&self, plugin: &Target) -> anyhow::Result<Target> {
        let check = self.shadow(plugin, CALLS).await?;
        say_check(&check);
        if check.is_convincing() || agreed()? {
            return Ok(Target::Version(check.tried.id));
        }
        bail!(
            "{} {} is not known to do the same as {}; without --shadow it serves all the same",
            check.plugin,
            check.tried.version,
            check.serving.version
        )
    }

    /// Waits for running gateways, and says how it is now.
    async fn tell(&self, name: &str, verb: &str, as_json: bool) -> anyhow::Result<()> {
        let target = Target::Name(name.to_owned());
        let until = Instant::now() + FOLLOWED_WITHIN;
        let plugin = loop {
            let plugin = self.plugins.get(&target).await.map_err(told)?;
            let is_settled = |node: &NodeStanding| {
                node.is_current || node.versions.iter().any(|one| one.state == "failed")
            };
            if plugin.nodes.iter().all(is_settled) || Instant::now() >= until {
                break plugin;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        if as_json {
            return terminal::json(&shown(&plugin));
        }
        let version = |id| {
            let mut versions = plugin.versions.iter();
            let found = versions.find(|version| Some(version.row.id) == id);
            found.map_or("nothing", |version| version.row.version.as_str())
        };
        let mut text = format!("{name} {verb}: {}", version(plugin.active));
        if plugin.canary.is_some() {
            text.push_str(&format!(
                ", and {} for {} % of tenants and {} that are named",
                version(plugin.canary),
                plugin.canary_percent,
                plugin.canary_tenants.len()
            ));
        }
        terminal::say(&text);
        let nodes = &plugin.nodes;
        let loaded = nodes.iter().flat_map(|node| &node.versions);
        for one in loaded.filter(|one| one.state == "failed") {
            let reason = one.reason.as_deref().unwrap_or("it is not loaded");
            terminal::say(&format!("On one gateway it cannot serve: {reason}"));
        }
        let current = nodes.iter().filter(|node| node.is_current).count();
        match nodes.len() {
            0 => terminal::say("No gateway runs; the next one that starts follows."),
            all if current == all => terminal::say(&format!("{all} running gateway(s) follow.")),
            all => bail!(
                "{current} of {all} running gateways do what is wanted, {FOLLOWED_WITHIN:?} later at most"
            ),
        }
        Ok(())
    }

    async fn list(&self, as_json: bool) -> anyhow::Result<()> {
        let plugins = self.plugins.list().await.map_err(told)?;
        if as_json {
            let data: Vec<Value> = plugins.iter().map(shown).collect();
            return terminal::json(&json!({"object": "list", "data": data}));
        }
        let mut rows = Vec::new();
        for plugin in &plugins {
            for version in &plugin.versions {
                let warnings = version.warnings.iter();
                let advisories = version.row.standing.advisories.iter();
                let notes: Vec<String> = version
                    .row
                    .quarantine
                    .iter()
                    .cloned()
                    .chain(warnings.map(|warning| warning.detail.clone()))
                    .chain(advisories.map(|advisory| format!("advisory: {}", advisory.summary)))
                    .collect();
                let share = match plugin.canary {
                    Some(id) if id == version.row.id => format!(" {} %", plugin.canary_percent),
                    _ => String::new(),
                };
                rows.push(vec![
                    plugin.name.clone(),
                    version.row.version.clone(),
                    format!("{}{share}", version.state.as_str()),
                    version.row.trusted_by.clone(),
                    version.row.source.clone(),
                    time::to_text(version.row.installed_at),
                    notes.join("; "),
                ]);
            }
        }
        let header = [
            "plugin",
            "version",
            "state",
            "trusted by",
            "source",
            "installed",
            "note",
        ];
        terminal::table(&header, rows);
        Ok(())
    }

    async fn list_keys(&self, as_json: bool) -> anyhow::Result<()> {
        let keys = self.plugins.keys().await.map_err(told)?;
        if as_json {
            let data: Vec<Value> = keys.iter().map(key_shown).collect();
            return terminal::json(&json!({"object": "list", "data": data}));
        }
        let rows = keys.iter().map(|key| {
            let trusted_for = key.trusted_for.iter().map(|trust| {
                let plugin = trust.plugin.as_deref().unwrap_or("every plugin");
                format!("{plugin} ({})", trust.by)
            });
            vec![
                key.id.clone(),
                key.state().to_owned(),
                trusted_for.collect::<Vec<_>>().join(", "),
                key.installations.len().to_string(),
            ]
        });
        let header = ["key", "state", "may sign", "installed versions"];
        terminal::table(&header, rows.collect());
        Ok(())
    }

    async fn distrust_key(&self, key: KeyId, as_json: bool) -> anyhow::Result<()> {
        let key = self.plugins.distrust_key(&self.operator, key).await;
        let key = key.map_err(told)?;
        if as_json {
            return terminal::json(&key_shown(&key));
        }
        terminal::say(&format!("{} may sign nothing any more.", key.id));
        if !key.installations.is_empty() {
            terminal::say(&format!(
                "{} installed version(s) are signed with it: what serves goes on; `onerouter plugin list` shows them.",
                key.installations.len()
            ));
        }
        Ok(())
    }

    async fn bundle(
        &self,
        wanted: &[String],
        output: &std::path::Path,
        as_json: bool,
    ) -> anyhow::Result<()> {
        if self.registry.is_none() {
            bail!("no marketplace registry is set: ONEROUTER_REGISTRY_URL");
        }
        let shown = Shown::new();
        let fetched = self
            .plugins
            .fetch_for_bundle(wanted, &|step| shown.step(step))
            .await;
        shown.end();
        let (fetched, index) = fetched.map_err(told)?;
        bundle::write(output, &fetched, Some(&index))
            .await
            .with_context(|| format!("cannot write the bundle {}", output.display()))?;
        let list: Vec<Value> = fetched
            .iter()
            .map(|one| {
                json!({
                    "plugin": one.manifest.id, "version": one.manifest.version,
                    "sha256": one.digest.hex(),
                })
            })
            .collect();
        if as_json {
            return terminal::json(&json!({
                "object": "bundle", "folder": output.display().to_string(), "plugins": list,
            }));
        }
        for one in &fetched {
            terminal::say(&format!("{} {}", one.manifest.id, one.manifest.version));
        }
        terminal::say(&format!("Wrote {}.", output.display()));
        Ok(())
    }
}

/// Whether the person at the terminal agrees.
fn agreed() -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(false);
    }
    let mut out = std::io::stderr();
    write!(out, "Let it serve? [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// What a version does otherwise, for people.
fn say_check(check: &ShadowCheck) {
    let (tried, serving) = (&check.tried.version, &check.serving.version);
    if check.recorded == 0 {
        terminal::say(&format!(
            "No call of {} {serving} is recorded: nothing is known of {tried}.",
            check.plugin
        ));
        return;
    }
    terminal::say(&format!(
        "{} recorded calls of {} {serving} on {tried}: {} the same, {} different, {} skipped.",
        check.recorded,
        check.plugin,
        check.same,
        check.different.len(),
        check.skipped
    ));
    for call in &check.different {
        terminal::say(&format!(
            "{} of {} ({}), {}:",
            call.operation,
            call.tenant,
            call.environment,
            time::to_text(call.recorded_at)
        ));
        if let Some(fault) = &call.fault {
            terminal::say(&format!(
                "  it broke down ({}): {:?}",
                fault.kind.as_str(),
                fault.detail
            ));
        }
        for Difference { at, recorded, now } in &call.differences {
            let shown = |value: &Option<String>| {
                value
                    .as_ref()
                    .map_or_else(|| "nothing".to_owned(), |value| format!("{value:?}"))
            };
            // A plugin has chosen the names in it.
            let at = at.escape_debug();
            terminal::say(&format!("  {at}: {} → {}", shown(recorded), shown(now)));
        }
    }
}

fn told(refusal: Refusal) -> anyhow::Error {
    anyhow::anyhow!(refusal.detail)
}

fn shown(plugin: &InstalledPlugin) -> Value {
    json!({
        "id": plugin.id, "object": "plugin", "name": plugin.name,
        "active": plugin.active, "previous": plugin.previous, "canary": plugin.canary,
        "canary_percent": plugin.canary_percent, "canary_tenants": plugin.canary_tenants,
        "generation": plugin.generation, "reason": plugin.reason,
        "installations": plugin.versions.iter().map(version_shown).collect::<Vec<_>>(),
        "nodes": plugin.nodes.iter().map(|node| json!({
            "id": node.id, "current": node.is_current, "versions": node.versions,
        })).collect::<Vec<_>>(),
    })
}

fn key_shown(key: &PublisherKey) -> Value {
    json!({
        "id": key.id, "object": "plugin_key", "state": key.state(),
        "trusted_for": key.trusted_for.iter().map(|trust| json!({
            "plugin": trust.plugin, "trusted_by": trust.by, "trusted_at": trust.at.map(time::to_text),
        })).collect::<Vec<_>>(),
        "installations": key.installations,
        "distrusted_at": key.distrusted_at.map(time::to_text),
    })
}

fn version_shown(version: &InstalledVersion) -> Value {
    let row = &version.row;
    json!({
        "id": row.id, "object": "installation", "plugin": row.plugin, "version": row.version,
        "state": version.state.as_str(), "reason": row.quarantine, "sha256": row.sha256,
        "source": row.source, "publisher_key": row.publisher_key, "trusted_by": row.trusted_by,
        "capabilities": version.capabilities, "permissions": permissions::all(&version.manifest),
        "permissions_added": version.asked.permissions,
        "permissions_digest": version.asked.digest,
        "warnings": version.warnings.iter().map(|warning| json!({
            "kind": warning.kind.as_str(), "detail": warning.detail,
        })).collect::<Vec<_>>(),
        "advisories": row.standing.advisories,
        "installed_at": time::to_text(row.installed_at),
        "activated_at": row.activated_at.map(time::to_text),
    })
}

/// What a person sees while it goes on; hidden where standard error is no terminal.
struct Shown(ProgressBar);

impl Shown {
    fn new() -> Self {
        // Draws to standard error, and not at all where that is no terminal.
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(100));
        bar.set_message("looking for it");
        Self(bar)
    }

    fn step(&self, step: Step) {
        let said = match step {
            Step::Fetching(progress) => {
                if self.0.length().is_none() {
                    let style = "{spinner} fetching {bar:30} {bytes}/{total_bytes} {eta}";
                    if let Ok(style) = ProgressStyle::with_template(style) {
                        self.0.set_style(style);
                    }
                }
                self.0.set_length(progress.total);
                self.0.set_position(progress.received);
                return;
            }
            Step::Fetched => "checking who signed it",
            Step::Verified => "compiling",
            Step::Compiled => "trying it",
            Step::Probed => "installing",
            Step::Staged => "activating",
            Step::Activated => "waiting for running gateways",
        };
        self.0.set_style(ProgressStyle::default_spinner());
        self.0.set_message(said);
    }

    fn end(&self) {
        self.0.finish_and_clear();
    }
}
