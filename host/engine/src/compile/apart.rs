//! Compiling in a process of its own: both of its ends.
//!
//! The component goes in by standard input, the code comes out by standard output, the reason why
//! there is none by standard error. The one end writes everything before it reads, the other reads
//! everything before it writes, so neither waits for the other.

use std::io::{self, Read as _, Write as _};
use std::process::{
    Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitCode, ExitStatus, Stdio,
};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::CompilerProcess;
use crate::cache::CODE_BYTES_MAX;
use crate::load::{COMPONENT_BYTES_MAX, LoadError};
use crate::sandboxes::compiler_settings;

/// First argument of a program that is to compile and do nothing else.
pub const ARGUMENT: &str = "__compile-adapter";

/// Whatever the process does, or waits for: after this it is killed. Longer than its CPU time, which
/// a busy machine gives it in small pieces.
const WALL_MAX: Duration = Duration::from_secs(300);

/// Functions are compiled at the same time, each in memory of its own.
const THREADS_MAX: usize = 4;

const REASON_BYTES_MAX: u64 = 4 << 10;

/// Status of a process that has said why there is no code.
const REFUSED: i32 = 1;
/// Status of one that broke down.
const PANICKED: i32 = 101;

/// Has another process compile.
pub(super) fn compile(process: &CompilerProcess, component: &[u8]) -> Result<Vec<u8>, LoadError> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut child = Command::new(&process.program)
        .arg(ARGUMENT)
        .arg(process.cpu_s.to_string())
        .arg(process.memory_bytes.to_string())
        // What is in ours are settings, and secrets among them.
        .env_clear()
        .env("RAYON_NUM_THREADS", threads.min(THREADS_MAX).to_string())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| host("started", &error))?;
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(LoadError::Host("the compiler has no pipes".to_owned()));
    };
    thread::scope(|scope| {
        let (done, is_done) = mpsc::sync_channel::<()>(0);
        let watched = scope.spawn(move || end(child, &is_done));
        let said = exchange(stdin, component, stdout, stderr);
        // Both pipes are closed: the process has ended, or is about to.
        drop(done);
        let Ok(ended) = watched.join() else {
            return Err(LoadError::Host("the compiler was not watched".to_owned()));
        };
        let ended = ended.map_err(|error| host("waited for", &error))?;
        let (code, reason) = said.map_err(|error| host("heard", &error))?;
        verdict(process, ended, code, reason)
    })
}

/// What its end and its words mean.
fn verdict(
    process: &CompilerProcess,
    ended: ExitStatus,
    code: Vec<u8>,
    reason: String,
) -> Result<Vec<u8>, LoadError> {
    match ended.code() {
        Some(0) if u64::try_from(code.len()).is_ok_and(|length| length <= CODE_BYTES_MAX) => {
            Ok(code)
        }
        Some(0) => Err(LoadError::TooDemanding(format!(
            "more than {CODE_BYTES_MAX} bytes of compiled code"
        ))),
        Some(REFUSED) if !reason.is_empty() => Err(LoadError::Compile(reason)),
        // By its limits, by ours on its time, or because it had no memory left for a thread.
        None | Some(PANICKED) => Err(LoadError::TooDemanding(format!(
            "more to be compiled than {} s of CPU time, {} MiB of memory and {} s: {ended}{}{reason}",
            process.cpu_s,
            process.memory_bytes >> 20,
            WALL_MAX.as_secs(),
            if reason.is_empty() { "" } else { "; " },
        ))),
        Some(_) => Err(LoadError::Host(format!(
            "the compiler ended with {ended}: {reason}"
        ))),
    }
}

/// Gives it the component, takes what it says.
fn exchange(
    mut stdin: ChildStdin,
    component: &[u8],
    stdout: ChildStdout,
    stderr: ChildStderr,
) -> io::Result<(Vec<u8>, String)> {
    // One that is gone already has said why, or its status does.
    match stdin.write_all(component) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
        _ => drop(stdin),
    }
    let mut code = Vec::new();
    stdout
        .take(CODE_BYTES_MAX.saturating_add(1))
        .read_to_end(&mut code)?;
    let mut reason = Vec::new();
    stderr.take(REASON_BYTES_MAX).read_to_end(&mut reason)?;
    Ok((code, String::from_utf8_lossy(&reason).trim().to_owned()))
}

/// Waits for the end of the process, and makes one of it when there has been time enough.
fn end(mut child: Child, is_done: &Receiver<()>) -> io::Result<ExitStatus> {
    if let Err(RecvTimeoutError::Timeout) = is_done.recv_timeout(WALL_MAX) {
        child.kill()?;
    }
    child.wait()
}

fn host(done: &str, error: &io::Error) -> LoadError {
    LoadError::Host(format!("the compiler cannot be {done}: {error}"))
}

/// What the program does whose first argument is [`ARGUMENT`]: reads a component, writes its code.
/// `arguments` are those after the first. To be called before anything else, threads above all.
#[expect(clippy::print_stderr, reason = "the other end reads it")]
pub fn serve(arguments: &[String]) -> ExitCode {
    match compile_here(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            // As `REFUSED`.
            ExitCode::FAILURE
        }
    }
}

fn compile_here(arguments: &[String]) -> Result<(), String> {
    let [cpu_s, memory_bytes] = arguments else {
        return Err("this command is for the gateway itself".to_owned());
    };
    let number = |text: &String| {
        text.parse::<u64>()
            .map_err(|error| format!("{text}: {error}"))
    };
    for (resource, most) in [
        (Resource::Cpu, number(cpu_s)?),
        (Resource::As, number(memory_bytes)?),
        (Resource::Core, 0),
    ] {
        limit(resource, most).map_err(|error| format!("cannot limit itself: {error}"))?;
    }
    let mut component = Vec::new();
    let most = u64::try_from(COMPONENT_BYTES_MAX).unwrap_or(u64::MAX);
    io::stdin()
        .lock()
        .take(most.saturating_add(1))
        .read_to_end(&mut component)
        .map_err(|error| format!("cannot read the component: {error}"))?;
    if component.len() > COMPONENT_BYTES_MAX {
        return Err(format!(
            "the component has more than {COMPONENT_BYTES_MAX} bytes"
        ));
    }
    let engine = wasmtime::Engine::new(&compiler_settings()).map_err(|error| error.to_string())?;
    let code = engine
        .precompile_component(&component)
        .map_err(|error| format!("{error:#}"))?;
    io::stdout()
        .lock()
        .write_all(&code)
        .map_err(|error| format!("cannot write the code: {error}"))
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    Ok(setrlimit(resource, limit)?)
}
