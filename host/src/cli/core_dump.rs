//! The process's memory holds every secret that it has opened: no image of it may be left behind.

use anyhow::Context as _;

/// Hides the memory from whoever is not root, and has the kernel write no image of it.
///
/// `main` has set the limit for core files to 0 already, but a kernel that hands them to a program
/// of the system's (`|` in `core_pattern`) does not ask for the limit, and a debugger of the same user
/// does not either.
///
/// Called when the engine has started: it opens `/proc/self/pagemap`, which belongs to root from
/// here on, and without it each call of an adapter takes twice as long.
///
/// # Errors
/// The kernel refuses.
#[cfg(target_os = "linux")]
pub(super) fn forbid() -> anyhow::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};

    set_dumpable_behavior(DumpableBehavior::NotDumpable).context("cannot hide the process's memory")
}

/// Elsewhere the limit for core files is all there is.
#[cfg(not(target_os = "linux"))]
pub(super) fn forbid() -> anyhow::Result<()> {
    Ok(())
}
