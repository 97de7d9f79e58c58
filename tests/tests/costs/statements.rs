//! Counts the statements that this process has run.

use std::fmt;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

static STATEMENTS: AtomicU64 = AtomicU64::new(0);
/// Without what ends transactions that were given up, which happens when nobody waits for it.
static ASKED: AtomicU64 = AtomicU64::new(0);
static WATCHED: Once = Once::new();

/// Counts from now on, all databases together: a test that counts runs in a process of its own.
pub(crate) fn watch() {
    WATCHED.call_once(|| tracing::subscriber::set_global_default(Statements).unwrap());
}

pub(crate) fn count() -> u64 {
    STATEMENTS.load(Relaxed)
}

/// Those that somebody has waited for.
pub(crate) fn asked() -> u64 {
    ASKED.load(Relaxed)
}

/// Counts what the database driver says that it runs.
struct Statements;

/// Whether a statement ends a transaction that was given up.
#[derive(Default)]
struct Rollback(bool);

impl Visit for Rollback {
    /// Without an allocation, which would be counted as well.
    fn record_str(&mut self, field: &Field, value: &str) {
        let verb = value.split(' ').next().unwrap_or_default();
        self.0 |= field.name() == "summary" && verb.eq_ignore_ascii_case("rollback");
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

impl Subscriber for Statements {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        STATEMENTS.fetch_add(1, Relaxed);
        let mut rollback = Rollback::default();
        event.record(&mut rollback);
        if !rollback.0 {
            ASKED.fetch_add(1, Relaxed);
        }
        if std::env::var_os("ONEROUTER_SHOW_STATEMENTS").is_some() {
            event.record(&mut Shown);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// To see which statements they are.
struct Shown;

impl Visit for Shown {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "summary" {
            println!("{value:?}");
        }
    }
}
