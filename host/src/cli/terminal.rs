//! What people and programs read.

use std::io::{IsTerminal as _, Write as _};

use comfy_table::{Table, TableStyle};
use serde::Serialize;
use tracing_subscriber::EnvFilter;

/// Data, on standard output.
pub(super) fn data(text: &str) {
    // A reader that went away is not our failure.
    let _gone = writeln!(std::io::stdout(), "{}", text.trim_end());
}

/// Talk, on standard error.
pub(super) fn say(text: &str) {
    let _gone = writeln!(std::io::stderr(), "{text}");
}

/// One line of JSON.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    data(&serde_json::to_string(value)?);
    Ok(())
}

/// A table for people.
pub(super) fn table(header: &[&str], rows: Vec<Vec<String>>) {
    let mut table = Table::new();
    table
        .load_style(TableStyle::new())
        .set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    data(&table.to_string());
}

/// Sends the log to standard error: for people on a terminal, as JSON elsewhere.
pub(super) fn start_log(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = if std::io::stderr().is_terminal() {
        log.with_target(false).try_init()
    } else {
        log.json().flatten_event(true).try_init()
    };
    if let Err(error) = started {
        say(&format!("the log goes elsewhere: {error}"));
    }
}
