//! What a sandbox can reach: the data of its `wasmtime::Store`.

use std::sync::Arc;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tokio::time::Instant;
use wasmtime::component::{HasData, HasSelf, Linker, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::p2::bindings::{cli, clocks, random};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView as _};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_io::bindings::wasi::io;

use crate::adapter::Shared;
use crate::bindings;
use crate::connection::ConnectionContext;
use crate::limits::{HANDLES_MAX, Memory};
use crate::outbound::PromisedKey;
use crate::record::CallRecord;
use crate::recording::Notes;
use crate::replay::Playback;

/// What a call has to do with recordings.
#[derive(Debug, Clone)]
pub(crate) enum Tape {
    Records(Arc<Notes>),
    Plays(Arc<Playback>),
}

/// One call's side of the border.
pub(crate) struct CallState {
    wasi: WasiCtx,
    table: ResourceTable,
    pub(crate) memory: Memory,
    pub(crate) record: Arc<CallRecord>,
    pub(crate) adapter: Arc<Shared>,
    pub(crate) connection: Arc<ConnectionContext>,
    /// When the host ends the call.
    pub(crate) deadline: Instant,
    /// What every request that changes something must carry in this call.
    pub(crate) key: Option<PromisedKey>,
    /// The call is recorded, or a recorded one is made again.
    pub(crate) tape: Option<Tape>,
    /// The call may send nothing.
    pub(crate) is_offline: bool,
    /// Requests that the adapter asked for, refused ones included.
    pub(crate) requests: u32,
    /// The guest has waited for the network since the last tick was counted.
    pub(crate) waited: bool,
}

impl CallState {
    pub(crate) fn new(
        adapter: Arc<Shared>,
        connection: Arc<ConnectionContext>,
        record: Arc<CallRecord>,
        deadline: Instant,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        Self {
            wasi: WasiCtx::builder()
                .stdout(Stdio(Arc::clone(&record)))
                .stderr(Stdio(Arc::clone(&record)))
                .build(),
            table,
            memory: Memory::new(
                &adapter.manifest.limits,
                adapter.sandboxes.room,
                Arc::clone(&record),
            ),
            record,
            adapter,
            connection,
            deadline,
            key: None,
            tape: None,
            is_offline: false,
            requests: 0,
            waited: false,
        }
    }
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

struct Table;

impl HasData for Table {
    type Data<'a> = &'a mut ResourceTable;
}

/// Everything that an adapter may import: the host's own interfaces, and those of WASI that a
/// language's standard library cannot do without. There is no environment, no argument, no file,
/// no socket and no wall clock behind them.
pub(crate) fn link(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    type State = CallState;
    bindings::Everything::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;

    io::error::add_to_linker::<State, Table>(linker, |state| &mut state.table)?;
    io::poll::add_to_linker::<State, Table>(linker, |state| &mut state.table)?;
    io::streams::add_to_linker::<State, Table>(linker, |state| &mut state.table)?;
    cli::environment::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::exit::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::stdin::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::stdout::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::stderr::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_input::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_output::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_stdin::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_stdout::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_stderr::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    clocks::monotonic_clock::add_to_linker::<State, WasiClocks>(linker, State::clocks)?;
    random::insecure_seed::add_to_linker::<State, WasiRandom>(linker, State::random)?;
    Ok(())
}

/// Standard output and error: what fits is kept for the log, and the guest is told that all went
/// well.
#[derive(Clone)]
struct Stdio(Arc<CallRecord>);

/// What a guest may write at once.
const WRITE_BYTES_MAX: usize = 4 << 10;

impl IsTerminal for Stdio {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stdio {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Asked for by WASI 0.3 only, which is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Stdio {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.print(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Stdio {
    async fn ready(&mut self) {}
}
