//! `onerouter plugin dev`: what an author writes is in the gateway's folder a moment later.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Output;
use super::building::{self, Built, described};
use super::check::Checker;
use super::finding::{Finding, is_fit};
use super::sources::{Print, Sources};
use crate::cli::plugin::files::{component_bytes_max, read, replace};
use crate::cli::serve::StopSignal;
use crate::cli::{Global, load, terminal};

/// An editor writes a file in several steps, and a formatter once more: that long nothing must happen.
const QUIET: Duration = Duration::from_millis(120);
/// Somebody who writes without a pause sees something all the same.
const QUIET_MAX: Duration = Duration::from_secs(2);

pub(super) async fn run(
    global: &Global,
    dir: &Path,
    into: Option<PathBuf>,
    answer: Output,
) -> anyhow::Result<()> {
    let mut stop = StopSignal::listen()?;
    let into = match into {
        Some(folder) => folder,
        None => load(&global.flags())?.plugins_dir,
    };
    fs::create_dir_all(&into).with_context(|| format!("cannot make {}", into.display()))?;
    let mut author = Author {
        sources: Sources::of(dir, &into)?,
        dir: dir.to_owned(),
        checker: Checker::new()?,
        answer,
        told: Vec::new(),
        into,
    };
    terminal::say(&format!(
        "Watching {}; plugins go to {}. Stop with Ctrl-C.",
        dir.display(),
        author.into.display()
    ));
    tokio::select! {
        () = stop.wait() => Ok(()),
        ended = author.work() => ended,
    }
}

/// Who builds, whenever something has changed.
#[derive(Debug)]
struct Author {
    dir: PathBuf,
    sources: Sources,
    into: PathBuf,
    checker: Checker,
    answer: Output,
    /// What was said about the plugin, so that it is not said at every build.
    told: Vec<Finding>,
}

impl Author {
    /// Until it is dropped, and the compiler with it.
    async fn work(&mut self) -> anyhow::Result<()> {
        let (mut watch, mut changes) = Watch::start()?;
        let mut built: Option<Print> = None;
        loop {
            // Watched before they are read: nothing is missed in between.
            watch.follow(self.sources.folders()?);
            let print = self.sources.print()?;
            if built == Some(print) {
                changes.next().await?;
            } else {
                self.build().await?;
                built = Some(print);
            }
        }
    }

    async fn build(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        let outcome = self.install().await;
        let took = started.elapsed();
        let seconds = took.as_secs_f64();
        match (&outcome, self.answer) {
            (Ok(Done { built, path, news }), Output::Text) => {
                let Built {
                    manifest, bytes, ..
                } = built;
                let what = match news {
                    News::Written => format!("wrote {}", path.display()),
                    News::Same => format!("{} is the same already", path.display()),
                };
                terminal::say(&format!(
                    "{} {}: {} bytes; {what} ({seconds:.1} s)",
                    manifest.id,
                    manifest.version,
                    bytes.len()
                ));
            }
            (Ok(Done { built, path, news }), Output::Json) => {
                let mut line = described(built, path);
                if let Some(fields) = line.as_object_mut() {
                    let outcome = match news {
                        News::Written => "written",
                        News::Same => "unchanged",
                    };
                    fields.insert("outcome".to_owned(), json!(outcome));
                    fields.insert("duration_ms".to_owned(), json!(millis(took)));
                    fields.insert("findings".to_owned(), json!(self.told));
                }
                terminal::json(&line)?;
            }
            (Err(error), Output::Text) => terminal::say(&format!(
                "FAILED after {seconds:.1} s: {error:#}\nWhat was there before stays in its place."
            )),
            (Err(error), Output::Json) => terminal::json(&json!({
                "object": "plugin",
                "outcome": "failed",
                "error": format!("{error:#}"),
                "duration_ms": millis(took),
            }))?,
        }
        Ok(())
    }

    /// Builds, checks, and puts the plugin where the gateway looks for it.
    async fn install(&mut self) -> anyhow::Result<Done> {
        let built = building::build(&self.dir).await?;
        let findings = self.checker.findings(&built.bytes).await;
        let is_fit = is_fit(&findings);
        if findings != self.told {
            if self.answer == Output::Text {
                for finding in &findings {
                    terminal::say(&finding.to_string());
                }
            }
            self.told = findings;
        }
        if !is_fit {
            let errors: Vec<_> = self.told.iter().map(ToString::to_string).collect();
            anyhow::bail!("a gateway would refuse it: {}", errors.join("; "));
        }
        let path = self.into.join(format!("{}.wasm", built.manifest.id));
        // A gateway that watches must not see news where there are none.
        let present = read(&path, component_bytes_max()).ok();
        let news = if present.as_deref() == Some(built.bytes.as_slice()) {
            News::Same
        } else {
            replace(&path, &built.bytes)?;
            News::Written
        };
        Ok(Done { built, path, news })
    }
}

/// A build that came to its end.
struct Done {
    built: Built,
    path: PathBuf,
    news: News,
}

enum News {
    Written,
    Same,
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

/// The folders that are watched. Each by itself: below `target` there may be thousands.
struct Watch {
    watcher: RecommendedWatcher,
    followed: BTreeSet<PathBuf>,
}

impl Watch {
    fn start() -> anyhow::Result<(Self, Changes)> {
        // That something has changed is all that is told; twice is not more.
        let (sender, receiver) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // That a file was read is no change, and what could not be told may be one.
            let is_change =
                !matches!(&event, Ok(event) if matches!(event.kind, EventKind::Access(_)));
            if is_change {
                let _known_already = sender.try_send(());
            }
        })
        .context("cannot watch files")?;
        let watch = Self {
            watcher,
            followed: BTreeSet::new(),
        };
        Ok((watch, Changes(receiver)))
    }

    fn follow(&mut self, folders: Vec<PathBuf>) {
        let folders: BTreeSet<_> = folders.into_iter().collect();
        for gone in self.followed.difference(&folders) {
            // It is gone, and the watch with it.
            let _absent = self.watcher.unwatch(gone);
        }
        for folder in &folders {
            // Those that are watched too: one that was made anew under its old name is another folder.
            match self.watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => {}
                // Gone again: what it is in tells of that.
                Err(error) if is_absent(&error) => {}
                Err(error) => {
                    terminal::say(&format!("cannot watch {}: {error}", folder.display()));
                }
            }
        }
        self.followed = folders;
    }
}

fn is_absent(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

/// That something has changed.
struct Changes(mpsc::Receiver<()>);

impl Changes {
    /// Waits for a change, and until it is quiet again.
    async fn next(&mut self) -> anyhow::Result<()> {
        self.0.recv().await.context("nobody watches any more")?;
        let started = Instant::now();
        while started.elapsed() < QUIET_MAX {
            if timeout(QUIET, self.0.recv()).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}
