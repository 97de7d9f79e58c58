//! What outlives a call's sandbox: ledger, log, meters, and which tokens were used. Kept outside the store, so that it is
//! there after a trap and after a dropped future.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;

use crate::connection::Credentials;
use crate::ledger::{LedgerAnswer, LedgerEntry, OpenEntry};
use crate::log::{LogLevel, LogLine, LogSource};
use crate::scrub::Scrubber;

/// Lines that an adapter may write in one call, whatever their size.
const LINES_MAX: usize = 256;

/// Remarks of the host on one call.
const REMARKS_MAX: usize = 32;

/// Longer lines are cut.
const LINE_BYTES_MAX: usize = 4 << 10;

/// Bytes of standard output and error that are kept: enough for a panic's message.
const STDIO_BYTES_MAX: usize = 8 << 10;

/// How the line begins that the plugin SDK logs when an adapter panics: without a standard library
/// nothing is printed.
const PANIC_LINE: &str = "the plugin panicked";

#[derive(Debug, Default)]
pub(crate) struct CallRecord {
    ledger: Mutex<Vec<OpenEntry>>,
    logs: Mutex<Logs>,
    stdio: Mutex<Vec<u8>>,
    log_bytes_max: usize,
    /// Finds the connection's secrets and the tokens of this call; none while it has used no token.
    scrubber: ArcSwapOption<Scrubber>,
    memory_peak: AtomicU64,
    memory_refused: AtomicBool,
    ticks: AtomicU32,
    cpu_spent: AtomicBool,
    vouched: AtomicBool,
}

/// What finds the secrets of a call.
#[derive(Debug)]
pub(crate) enum Secrets<'c> {
    /// Those of the connection.
    Connection(&'c Scrubber),
    /// And tokens.
    WithTokens(Arc<Scrubber>),
}

impl Deref for Secrets<'_> {
    type Target = Scrubber;

    fn deref(&self) -> &Scrubber {
        match self {
            Self::Connection(scrubber) => scrubber,
            Self::WithTokens(scrubber) => scrubber,
        }
    }
}

#[derive(Debug, Default)]
struct Logs {
    lines: Vec<LogLine>,
    bytes: usize,
    remarks: usize,
    dropped: u32,
}

impl CallRecord {
    /// A signature fits.
    pub(crate) fn vouch(&self) {
        self.vouched.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_vouched(&self) -> bool {
        self.vouched.load(Ordering::Relaxed)
    }

    pub(crate) fn new(log_bytes_max: u64) -> Self {
        Self {
            log_bytes_max: usize::try_from(log_bytes_max).unwrap_or(usize::MAX),
            ..Self::default()
        }
    }

    /// Opens an entry and says where it stands.
    pub(crate) fn open(&self, entry: OpenEntry) -> usize {
        let mut ledger = lock(&self.ledger);
        ledger.push(entry);
        ledger.len() - 1
    }

    pub(crate) fn answer(&self, at: usize, answer: LedgerAnswer) {
        if let Some(entry) = lock(&self.ledger).get_mut(at) {
            entry.answer = Some(answer);
        }
    }

    pub(crate) fn ledger(&self) -> Vec<LedgerEntry> {
        lock(&self.ledger).iter().map(OpenEntry::close).collect()
    }

    /// Looks for this token too from now on, in all that comes back and all that is said. Only one
    /// request of a call is under way at a time.
    pub(crate) fn use_token(&self, token: &Arc<Scrubber>, credentials: &Credentials) {
        let now = self.scrubber.load();
        let known = now.as_ref().map_or(&[][..], |scrubber| scrubber.parts());
        if known.iter().any(|part| Arc::ptr_eq(part, token)) {
            return;
        }
        let mut parts = match known {
            [] => vec![Arc::clone(credentials.scrubber())],
            known => known.to_vec(),
        };
        parts.push(Arc::clone(token));
        self.scrubber.store(Some(Arc::new(Scrubber::of(parts))));
    }

    /// Finds whatever must not come through in this call.
    pub(crate) fn secrets<'c>(&self, credentials: &'c Credentials) -> Secrets<'c> {
        match self.scrubber.load_full() {
            None => Secrets::Connection(credentials.scrubber()),
            Some(scrubber) => Secrets::WithTokens(scrubber),
        }
    }

    /// Keeps a line of the adapter's, as far as the limits allow.
    pub(crate) fn log(&self, level: LogLevel, message: String, scrubber: &Scrubber) {
        let mut logs = lock(&self.logs);
        if logs.lines.len() >= LINES_MAX || logs.bytes >= self.log_bytes_max {
            logs.dropped = logs.dropped.saturating_add(1);
            return;
        }
        let room = (self.log_bytes_max - logs.bytes).min(LINE_BYTES_MAX);
        let message = crate::checked::clean_text(scrubber, message, room);
        logs.bytes += message.len();
        logs.lines.push(LogLine {
            source: LogSource::Adapter,
            level,
            message,
        });
    }

    /// Keeps a remark of the host's own. A flood of the adapter's lines does not crowd it out.
    pub(crate) fn remark(&self, message: String) {
        let mut logs = lock(&self.logs);
        if logs.remarks >= REMARKS_MAX {
            logs.dropped = logs.dropped.saturating_add(1);
            return;
        }
        logs.remarks += 1;
        logs.lines.push(LogLine {
            source: LogSource::Host,
            level: LogLevel::Warn,
            message,
        });
    }

    pub(crate) fn print(&self, bytes: &[u8]) {
        let mut stdio = lock(&self.stdio);
        let room = STDIO_BYTES_MAX.saturating_sub(stdio.len());
        stdio.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// Where the adapter panicked, if its log says that it did.
    pub(crate) fn panicked(&self) -> Option<String> {
        let logs = lock(&self.logs);
        let mut lines = logs.lines.iter();
        lines
            .find(|line| line.source == LogSource::Adapter && line.message.starts_with(PANIC_LINE))
            .map(|line| line.message.clone())
    }

    /// What the adapter printed.
    pub(crate) fn printed(&self) -> String {
        String::from_utf8_lossy(&lock(&self.stdio)).into_owned()
    }

    /// Lines and the number of those that were dropped. What was printed comes last.
    pub(crate) fn take_logs(&self, scrubber: &Scrubber) -> (Vec<LogLine>, u32) {
        let printed = self.printed();
        let mut logs = std::mem::take(&mut *lock(&self.logs));
        let printed = printed.lines().filter(|line| !line.trim().is_empty());
        logs.lines.extend(printed.map(|line| LogLine {
            source: LogSource::Stdio,
            level: LogLevel::Info,
            message: crate::checked::clean_text(scrubber, line.to_owned(), LINE_BYTES_MAX),
        }));
        (logs.lines, logs.dropped)
    }

    pub(crate) fn count_tick(&self) -> u32 {
        self.count_ticks(1)
    }

    /// Counts what the host has computed for the guest, too.
    pub(crate) fn count_ticks(&self, ticks: u32) -> u32 {
        let before = self.ticks.fetch_add(ticks, Ordering::Relaxed);
        before.saturating_add(ticks)
    }

    pub(crate) fn ticks(&self) -> u32 {
        self.ticks.load(Ordering::Relaxed)
    }

    pub(crate) fn spend_cpu(&self) {
        self.cpu_spent.store(true, Ordering::Relaxed);
    }

    pub(crate) fn cpu_is_spent(&self) -> bool {
        self.cpu_spent.load(Ordering::Relaxed)
    }

    pub(crate) fn note_memory(&self, bytes: u64) {
        self.memory_peak.fetch_max(bytes, Ordering::Relaxed);
    }

    pub(crate) fn memory_peak(&self) -> u64 {
        self.memory_peak.load(Ordering::Relaxed)
    }

    pub(crate) fn refuse_memory(&self) {
        self.memory_refused.store(true, Ordering::Relaxed);
    }

    pub(crate) fn memory_was_refused(&self) -> bool {
        self.memory_refused.load(Ordering::Relaxed)
    }
}

/// A panic while a lock was held leaves data that is still good: each change is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
