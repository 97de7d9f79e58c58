//! `onerouter plugin`: what authors and operators do with plugins.

mod authoring;
mod files;
mod installing;
mod publishing;
mod testing;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use onerouter_manifest::{Attachment, ConnectionEnvironment, Unpacked, pack, unpack};
use serde_json::{Value, json};

use self::files::{component_bytes_max, digest, read, read_manifest, replace};
use super::{Global, terminal};

#[derive(Debug, Subcommand)]
pub(super) enum PluginCommand {
    /// Show what a plugin says about itself, checked against its real imports and exports
    #[command(after_help = "Examples:
  onerouter plugin inspect acme.wasm
  onerouter plugin inspect acme.wasm --json | jq .outbound")]
    Inspect {
        /// The component
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Embed a manifest in a component
    #[command(after_help = "Example:
  onerouter plugin pack --manifest plugin.toml --output acme.wasm target/wasm32-wasip2/release/acme.wasm")]
    Pack {
        /// The component, as the compiler wrote it
        component: PathBuf,
        /// The manifest
        #[arg(long, default_value = "plugin.toml")]
        manifest: PathBuf,
        /// Where to write the plugin
        #[arg(long, short)]
        output: PathBuf,
    },
    #[command(flatten)]
    Authoring(authoring::AuthoringCommand),
    #[command(flatten)]
    Publishing(publishing::PublishingCommand),
    #[command(flatten)]
    Installing(installing::InstallingCommand),
    #[command(flatten)]
    Testing(testing::TestingCommand),
}

pub(super) async fn run(global: &Global, command: PluginCommand) -> anyhow::Result<()> {
    match command {
        PluginCommand::Authoring(command) => authoring::run(global, command).await,
        PluginCommand::Publishing(command) => publishing::run(command).await,
        PluginCommand::Installing(command) => installing::run(global, command).await,
        PluginCommand::Testing(command) => testing::run(command).await,
        PluginCommand::Inspect { file, json } => inspect(&file, json),
        PluginCommand::Pack {
            component,
            manifest,
            output,
        } => {
            let manifest = read_manifest(&manifest)?;
            let bytes = read(&component, component_bytes_max())?;
            let packed = pack(&bytes, manifest)?;
            replace(&output, &packed)?;
            terminal::say(&format!(
                "Wrote {} ({} bytes).",
                output.display(),
                packed.len()
            ));
            Ok(())
        }
    }
}

fn inspect(file: &Path, as_json: bool) -> anyhow::Result<()> {
    let bytes = read(file, component_bytes_max())?;
    let Unpacked {
        manifest,
        capabilities,
    } = unpack(&bytes)?;
    let mut categories: Vec<_> = capabilities
        .iter()
        .filter_map(|can| can.category())
        .map(|it| it.as_str())
        .collect();
    categories.dedup();
    let digest = digest(&bytes);
    let mut document = serde_json::to_value(&manifest)?;
    if let Value::Object(fields) = &mut document {
        fields.insert("categories".to_owned(), json!(categories));
        fields.insert("capabilities".to_owned(), json!(capabilities));
        fields.insert("limits".to_owned(), json!(manifest.limits));
        fields.insert("sha256".to_owned(), json!(digest));
        fields.insert("size_bytes".to_owned(), json!(bytes.len()));
    }
    if as_json {
        return terminal::json(&document);
    }
    let capabilities: Vec<_> = capabilities.iter().map(|can| can.as_str()).collect();
    let mut text = format!(
        "{} {} ({}) by {}, {}\n{}\n\ncapabilities  {}\nsha256        {digest}\nsize          {} bytes\n",
        manifest.name,
        manifest.version,
        manifest.id,
        manifest.publisher,
        manifest.license,
        manifest.description,
        capabilities.join(", "),
        bytes.len()
    );
    for field in &manifest.credentials {
        let kind = serde_json::to_value(field.kind)?;
        text.push_str(&format!(
            "credential    {} ({}){}: {}\n",
            field.name,
            kind.as_str().unwrap_or_default(),
            if field.optional { ", optional" } else { "" },
            field.label
        ));
    }
    for field in &manifest.settings {
        text.push_str(&format!("setting       {}: {}\n", field.name, field.label));
    }
    for (name, attachment) in &manifest.auth {
        if let Attachment::OAuth2ClientCredentials { token_path, .. } = attachment {
            text.push_str(&format!("gets tokens   {name}: from {token_path}\n"));
        }
    }
    for (name, signature) in &manifest.signatures {
        text.push_str(&format!(
            "checks        {name}: signatures with {}\n",
            signature.credential
        ));
    }
    for rule in &manifest.outbound {
        text.push_str(&format!(
            "sends to      {}://{}:{}{} {}{}{}{}\n",
            rule.scheme,
            rule.host,
            rule.port,
            rule.path_prefix,
            rule.methods.join(" "),
            if rule.auth.is_empty() {
                String::new()
            } else {
                format!(", with {}", rule.auth.join(", "))
            },
            match rule.environments.as_slice() {
                [ConnectionEnvironment::Test] => ", test only",
                [ConnectionEnvironment::Live] => ", live only",
                _ => "",
            },
            if rule.reads { ", reads only" } else { "" },
        ));
    }
    let limits = manifest.limits;
    text.push_str(&format!(
        "limits        {} MiB memory, {} ms CPU, {} ms wall, {} requests, {} KiB an answer\n",
        limits.memory_bytes >> 20,
        limits.cpu_ms,
        limits.wall_ms,
        limits.requests,
        limits.response_bytes >> 10
    ));
    terminal::data(&text);
    Ok(())
}
