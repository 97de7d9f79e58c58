//! `onerouter:host/context`: what an adapter may know of the call it serves.

use onerouter_domain::environment::Environment;
use tokio::time::Instant;

use crate::bindings::onerouter::host::context;
use crate::bindings::onerouter::types::common;
use crate::state::{CallState, Tape};

impl common::Host for CallState {}

impl context::Host for CallState {
    fn get_environment(&mut self) -> wasmtime::Result<context::Environment> {
        Ok(match self.connection.environment {
            Environment::Test => context::Environment::Test,
            Environment::Live => context::Environment::Live,
        })
    }

    fn credential(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        let value = self.connection.credentials.public(&name);
        Ok(value.filter(|value| !value.is_empty()).map(str::to_owned))
    }

    fn setting(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.connection.settings.get(&name).cloned())
    }

    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(match &self.tape {
            None => self.adapter.engine.clock.now_ms(),
            Some(Tape::Records(notes)) => {
                let now = self.adapter.engine.clock.now_ms();
                notes.time(now);
                now
            }
            Some(Tape::Plays(playback)) => playback.time(),
        })
    }

    fn time_left(&mut self) -> wasmtime::Result<u64> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        Ok(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
    }
}
