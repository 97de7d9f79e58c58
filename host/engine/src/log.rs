//! Lines that a call leaves for the operator.

/// Who wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogSource {
    /// The adapter, through the `log` interface.
    Adapter,
    /// The adapter's standard output or error, which is where panic messages go.
    Stdio,
    /// The host, about the adapter: a refused request, a dropped field.
    Host,
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For the author.
    Debug,
    /// Normal.
    Info,
    /// Odd.
    Warn,
    /// Wrong.
    Error,
}

/// One line, scrubbed of the connection's secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Who wrote it.
    pub source: LogSource,
    /// How much it matters.
    pub level: LogLevel,
    /// At most 4 KiB.
    pub message: String,
}
