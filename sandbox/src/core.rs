//! What every provider shares: the clock, the settings, the ledger.

use std::sync::{Arc, Mutex};

use crate::{
    clock::SandboxClock,
    config::{SandboxConfig, Settings},
    faults::Faults,
    ledger::Ledger,
    lock,
    requests::RequestLog,
    webhooks::{Delivery, Webhooks},
};

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) clock: SandboxClock,
    pub(crate) ledger: Ledger,
    pub(crate) requests: RequestLog,
    pub(crate) faults: Faults,
    pub(crate) webhooks: Webhooks,
    pub(crate) messages_kept: usize,
    /// Where a browser finds this sandbox; buyer pages are below it. No slash at its end.
    pub(crate) base_url: String,
    settings: Mutex<Settings>,
    first_settings: Settings,
}

impl Core {
    pub(crate) fn new(config: &SandboxConfig, base_url: String) -> Arc<Core> {
        let settings = Settings::from_config(config);
        Arc::new(Core {
            clock: SandboxClock::new(Arc::clone(&config.clock)),
            ledger: Ledger::new(config.messages_kept),
            requests: RequestLog::default(),
            faults: Faults::default(),
            webhooks: Webhooks::new(config.webhook_targets),
            messages_kept: config.messages_kept,
            base_url,
            settings: Mutex::new(settings),
            first_settings: settings,
        })
    }

    pub(crate) fn settings(&self) -> Settings {
        *lock(&self.settings)
    }

    pub(crate) fn change_settings(&self, change: impl FnOnce(&mut Settings)) -> Settings {
        let mut settings = lock(&self.settings);
        change(&mut settings);
        *settings
    }

    /// Sends an event on its way; nobody waits for it.
    pub(crate) fn post(&self, delivery: Delivery) {
        self.webhooks.post(&self.faults, delivery);
    }

    pub(crate) fn reset(&self) {
        *lock(&self.settings) = self.first_settings;
        self.clock.reset();
        self.ledger.clear();
        self.requests.clear();
        self.faults.clear();
        self.webhooks.clear();
    }
}
