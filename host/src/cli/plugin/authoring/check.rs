//! `onerouter plugin check`: whether a gateway would take a plugin, and how it could be better.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use onerouter_egress::{Egress, EgressConfig};
use onerouter_engine::{Engine, EngineConfig, LoadError, MacKey, Ticker};
use onerouter_manifest::{Manifest, ManifestError, UnpackError, Unpacked, unpack};
use serde_json::json;

use super::Output;
use super::advice;
use super::building::{MANIFEST, default_output};
use super::finding::{Finding, Findings, is_fit, totals};
use crate::cli::plugin::files::{component_bytes_max, read, read_toml};
use crate::cli::terminal;

pub(super) async fn run(plugin: &Path, answer: Output) -> anyhow::Result<()> {
    let (file, mut findings, source) = subject(plugin)?;
    let mut manifest = source.clone();
    if let Some(file) = &file {
        let bytes = read(file, component_bytes_max())?;
        if let Ok(unpacked) = unpack(&bytes) {
            stale(&mut findings, source.as_ref(), &unpacked.manifest);
            manifest = Some(unpacked.manifest);
        }
        Checker::new()?.check(&bytes, &mut findings).await;
    }
    let findings = findings.sorted();
    let is_fit = is_fit(&findings);
    match answer {
        Output::Json => terminal::json(&json!({
            "object": "plugin_check",
            "id": manifest.as_ref().map(|manifest| &manifest.id),
            "version": manifest.as_ref().map(|manifest| &manifest.version),
            "path": file,
            "fit": is_fit,
            "findings": findings,
        }))?,
        Output::Text => {
            for finding in &findings {
                terminal::data(&finding.to_string());
            }
            let what = file.unwrap_or_else(|| plugin.to_owned());
            terminal::say(&format!("{}: {}.", what.display(), totals(&findings)));
        }
    }
    if !is_fit {
        bail!("a gateway would refuse this plugin");
    }
    Ok(())
}

/// What is to be checked: the packed file, where there is one, and what a project's manifest says.
fn subject(plugin: &Path) -> anyhow::Result<(Option<PathBuf>, Findings, Option<Manifest>)> {
    let mut findings = Findings::default();
    if !plugin.is_dir() {
        return Ok((Some(plugin.to_owned()), findings, None));
    }
    let source = plugin.join(MANIFEST);
    if !source.exists() {
        bail!(
            "{} is no plugin's project: it has no {MANIFEST}",
            plugin.display()
        );
    }
    match Manifest::from_toml(&read_toml(&source)?) {
        Ok(manifest) => {
            let file = default_output(plugin, &manifest);
            if file.exists() {
                return Ok((Some(file), findings, Some(manifest)));
            }
            findings.error(
                "not_built",
                "",
                format!(
                    "there is no {}: run `onerouter plugin build`",
                    file.display()
                ),
            );
            Ok((None, findings, Some(manifest)))
        }
        Err(error) => {
            in_manifest(&mut findings, &error);
            Ok((None, findings, None))
        }
    }
}

/// Says so where the project's manifest is not the one that was packed.
fn stale(findings: &mut Findings, source: Option<&Manifest>, packed: &Manifest) {
    let Some(source) = source else { return };
    let mut packed = packed.clone();
    packed.imports = source.imports.clone();
    packed.exports = source.exports.clone();
    if packed != *source {
        findings.warning(
            "stale",
            "",
            format!(
                "{MANIFEST} has changed since the plugin was built: run `onerouter plugin build`"
            ),
        );
    }
}

fn in_manifest(findings: &mut Findings, error: &ManifestError) {
    match error {
        ManifestError::Syntax(text) => findings.error("manifest", "", text),
        ManifestError::Rules(mistakes) => {
            for mistake in mistakes {
                findings.error("manifest", &mistake.place, &mistake.text);
            }
        }
    }
}

/// Loads plugins as a gateway does, and calls nothing in them.
#[derive(Debug)]
pub(super) struct Checker(Engine);

impl Checker {
    pub(super) fn new() -> anyhow::Result<Self> {
        let egress = Egress::new(EgressConfig::default()).context("cannot start the client")?;
        let config = EngineConfig {
            slots: 1,
            slots_per_adapter: 1,
            ticker: Ticker::Manual,
            // Seals compiled code that is kept; none is.
            ..EngineConfig::new(MacKey::new([0; 32]))
        };
        Ok(Self(Engine::new(config, Arc::new(egress))?))
    }

    /// Adds what is to be said about a packed plugin.
    pub(super) async fn check(&self, bytes: &[u8], findings: &mut Findings) {
        match self.0.load(bytes.to_vec().into()).await {
            Ok(adapter) => {
                advice::on_plugin(findings, adapter.manifest(), adapter.capabilities());
                advice::on_size(findings, bytes.len());
            }
            Err(LoadError::Unpack(UnpackError::Manifest(error))) => {
                in_manifest(findings, &error);
            }
            Err(LoadError::Unpack(error)) => findings.error("component", "", error.to_string()),
            Err(error) => {
                // What can be said without loading it is said all the same.
                if let Ok(Unpacked {
                    manifest,
                    capabilities,
                }) = unpack(bytes)
                {
                    advice::on_plugin(findings, &manifest, &capabilities);
                }
                findings.error("load", "", chain(&error));
            }
        }
    }

    /// As [`Checker::check`], the heaviest first.
    pub(super) async fn findings(&self, bytes: &[u8]) -> Vec<Finding> {
        let mut findings = Findings::default();
        self.check(bytes, &mut findings).await;
        findings.sorted()
    }
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
