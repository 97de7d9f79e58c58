//! `onerouter:host/log`: lines for the operator.

use crate::bindings::onerouter::host::log;
use crate::log::LogLevel;
use crate::state::CallState;

impl log::Host for CallState {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        let secrets = self.record.secrets(&self.connection.credentials);
        self.record.log(level, message, &secrets);
        Ok(())
    }
}
