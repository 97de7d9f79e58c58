//! `onerouter plugin test`: holds a plugin against what the gateway relies on.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use indicatif::ProgressBar;
use onerouter_conformance::{
    Buyer, Cassettes, GivenConnection, Live, Options, Progress, Report, test,
};
use onerouter_egress::Upstreams;
use onerouter_manifest::{pack, unpack};

use super::authoring::Recipe;
use super::files::{component_bytes_max, read, read_manifest, replace};
use crate::cli::{compiler, core_dump, terminal};

/// Credentials are a few lines.
const CREDENTIALS_BYTES_MAX: u64 = 256 << 10;

/// One request.
const BUYER_BYTES_MAX: u64 = 256 << 10;

/// Where a project keeps recorded answers.
const CASSETTES: &str = "cassettes";

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum TestingCommand {
    /// Hold a plugin against what the gateway relies on
    #[command(after_help = "Examples:
  onerouter plugin test .
  onerouter plugin test acme.wasm --strict --format html --output report.html
  onerouter plugin test . --upstream api.acme.example=http://127.0.0.1:4010 --credentials sandbox.json --record
  onerouter plugin test . --upstream api.acme.example=http://127.0.0.1:4010 --credentials sandbox.json --buyer buyer.json

The provider's answers come from the folder `cassettes` beside the plugin, or from a sandbox that --upstream
names; failures that every provider has are made up. docs/guides/conformance.md says what is tried.")]
    Test(TestArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct TestArgs {
    /// A packed plugin, or the folder of a project that was built
    plugin: PathBuf,
    /// Folder of recorded answers [default: `cassettes` beside the plugin]
    #[arg(long, value_name = "DIR")]
    cassettes: Option<PathBuf>,
    /// Fail where something could not be tried
    #[arg(long)]
    strict: bool,
    /// Where requests for a host go, in the place of recorded answers; may be repeated
    #[arg(long, value_name = "HOST=URL", requires = "credentials")]
    upstream: Vec<String>,
    /// File with what a tenant would give to connect there: {"credentials": {…}, "settings": {…}}
    #[arg(long, value_name = "FILE", requires = "upstream")]
    credentials: Option<PathBuf>,
    /// File with the request that plays the buyer there: {"url": "…/{{provider_id}}", "json": {…}}
    #[arg(long, value_name = "FILE", requires = "upstream")]
    buyer: Option<PathBuf>,
    /// Write what the upstream answers into the folder of recorded answers
    #[arg(long, requires = "upstream")]
    record: bool,
    /// How the report is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Print JSON: the same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Write the report into a file
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Time for all of it
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    time_max: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line per scenario
    Text,
    /// One document
    Json,
    /// One page without scripts
    Html,
}

pub(super) async fn run(command: TestingCommand) -> anyhow::Result<()> {
    let TestingCommand::Test(args) = command;
    let component = component(&args.plugin)?;
    let folder = args.cassettes.clone();
    let folder = folder.unwrap_or_else(|| beside(&args.plugin).join(CASSETTES));
    let mut options = Options::new(Cassettes::read(&folder)?);
    options.time_max = Duration::from_secs(args.time_max);
    options.compiler = compiler();
    if let Some(file) = &args.credentials {
        // Real ones, perhaps.
        core_dump::forbid()?;
        options.live = Some(Live {
            upstreams: Upstreams::parse(&args.upstream.join(","))?,
            connection: connection(file)?,
            buyer: args.buyer.as_deref().map(buyer).transpose()?,
            record_to: args.record.then(|| folder.clone()),
        });
    }
    // Hidden where standard error is no terminal.
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(100));
    let progress = |progress: Progress<'_>| {
        bar.set_message(format!(
            "{:>4}  {} {}",
            progress.done + 1,
            progress.operation,
            progress.scenario
        ));
    };
    let tested = test(component.into(), &options, &progress).await;
    bar.finish_and_clear();
    let report = tested?;
    write(&report, &args)?;
    if !report.passes() {
        bail!("{} scenario(s) failed", report.totals.failed);
    }
    if args.strict && !report.passes_strictly() {
        bail!("{} scenario(s) are not covered", report.totals.not_covered);
    }
    Ok(())
}

fn write(report: &Report, args: &TestArgs) -> anyhow::Result<()> {
    let format = if args.json { Format::Json } else { args.format };
    let text = match format {
        Format::Text => report.to_text(),
        Format::Json => serde_json::to_string(report)?,
        Format::Html => report.to_html(),
    };
    let Some(file) = &args.output else {
        terminal::data(&text);
        return Ok(());
    };
    let text = format!("{}\n", text.trim_end());
    replace(file, text.as_bytes())?;
    terminal::say(&format!("Wrote the report to {}.", file.display()));
    Ok(())
}

fn connection(file: &Path) -> anyhow::Result<GivenConnection> {
    let bytes = zeroize::Zeroizing::new(read(file, CREDENTIALS_BYTES_MAX)?);
    // Without the parser's words: they hold what it found.
    serde_json::from_slice(&bytes).map_err(|error| {
        anyhow::anyhow!(
            "{} is not {{\"credentials\": {{…}}, \"settings\": {{…}}}}: line {}, column {}",
            file.display(),
            error.line(),
            error.column()
        )
    })
}

fn buyer(file: &Path) -> anyhow::Result<Buyer> {
    let bytes = read(file, BUYER_BYTES_MAX)?;
    serde_json::from_slice(&bytes).with_context(|| {
        format!(
            "{} is not {{\"url\": \"…\", \"method\": \"…\", \"json\": {{…}}}}",
            file.display()
        )
    })
}

/// The folder that a plugin's files are in.
fn beside(plugin: &Path) -> PathBuf {
    if plugin.is_dir() {
        return plugin.to_owned();
    }
    plugin.parent().unwrap_or(Path::new("")).to_owned()
}

fn component(plugin: &Path) -> anyhow::Result<Vec<u8>> {
    if !plugin.is_dir() {
        return read(plugin, component_bytes_max());
    }
    let manifest = read_manifest(&plugin.join("plugin.toml"))?;
    let Some(file) = newest(plugin, manifest.id.as_str())? else {
        bail!(
            "{} holds no built component: build it first, or name the packed plugin",
            plugin.display()
        );
    };
    terminal::say(&format!("Testing {}.", file.display()));
    let bytes = read(&file, component_bytes_max())?;
    if unpack(&bytes).is_ok() {
        return Ok(bytes);
    }
    // As the compiler wrote it.
    pack(&bytes, manifest).with_context(|| format!("cannot pack {}", file.display()))
}

/// What was built last of the places where builds leave a component.
fn newest(project: &Path, id: &str) -> anyhow::Result<Option<PathBuf>> {
    let names = [
        format!("{id}.wasm"),
        format!("{}.wasm", id.replace('-', "_")),
    ];
    let folders = [
        "",
        "dist",
        "target",
        "target/wasm32-wasip2/release",
        "target/wasm32-wasip2/debug",
    ];
    let files = folders.iter().flat_map(|folder| {
        names
            .iter()
            .map(move |name| project.join(folder).join(name))
    });
    let recipe = Recipe::read(project)?;
    let newest = files
        .chain(recipe.map(|recipe| project.join(recipe.component)))
        .map(|file| {
            let changed = fs::metadata(&file).and_then(|it| it.modified());
            (changed.unwrap_or(SystemTime::UNIX_EPOCH), file)
        })
        .filter(|(_, file)| file.is_file())
        .max_by_key(|(changed, _)| *changed)
        .map(|(_, file)| file);
    Ok(newest)
}
