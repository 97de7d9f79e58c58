//! The scenarios of webhooks.

use std::collections::BTreeMap;

use super::KitError;
use super::bench::Bench;
use crate::canonical::NOW_MS;
use crate::cassette::Cassette;
use crate::finding::{Finding, Findings};
use crate::live::rewrite;
use crate::operation::Operation;
use crate::provider::Heard;
use crate::webhook::{Trial, Trier, Vector, garbage};

const READ: Operation = Operation::WebhooksRead;

impl Bench<'_> {
    pub(super) async fn webhooks(&mut self) -> Result<(), KitError> {
        let options = self.options;
        let recorded: Vec<_> = options.cassettes.of(READ).collect();
        if recorded.is_empty() {
            let why = format!("there is no cassette in cassettes/{}", READ.name());
            self.skip(READ, "success", &why);
            for trial in Trial::ALL {
                self.trial("some webhook", &Cassette::empty(), &Vector::plain(), trial)
                    .await?;
            }
        }
        for (index, (name, given)) in recorded.into_iter().enumerate() {
            let cassette = rewrite(given, |text| self.connection.fill(text))?;
            let Some(told) = &cassette.webhook else {
                let mut findings = Findings::default();
                findings.fail(Finding::new(
                    "no_webhook",
                    format!("the cassette {}/{name} holds no webhook", READ.name()),
                    "say under `webhook` what the provider sends",
                ));
                self.keep(READ, name, findings, None);
                continue;
            };
            let vector = Vector::told(told);
            for trial in Trial::ALL {
                // How it is signed is the same for all of them.
                if index == 0 || trial == Trial::Valid {
                    self.trial(name, &cassette, &vector, trial).await?;
                }
            }
        }
        for (name, vector) in garbage() {
            if !self.begins(READ, name) {
                return Ok(());
            }
            let context = self.context(&BTreeMap::new(), None)?;
            self.set_time(NOW_MS);
            let trier = self.trier(&context, NOW_MS);
            let (mut findings, run) = trier.read_garbage(&vector).await;
            findings.add(self.always(&run, &Heard::default()));
            self.keep(READ, name, findings, Some(&run));
        }
        Ok(())
    }

    async fn trial(
        &mut self,
        name: &str,
        cassette: &Cassette,
        vector: &Vector,
        trial: Trial,
    ) -> Result<(), KitError> {
        let scenario = format!("{name}, {}", trial.name());
        if !self.begins(READ, &scenario) {
            return Ok(());
        }
        let now_ms = cassette
            .recorded_at
            .and_then(|at| u64::try_from(at.timestamp_millis()).ok())
            .unwrap_or(NOW_MS);
        let context = self.context(&cassette.settings, None)?;
        self.set_time(now_ms);
        let (mut findings, run) = self.trier(&context, now_ms).try_one(vector, trial).await;
        if let Some(run) = &run {
            findings.add(self.always(run, &Heard::default()));
        }
        self.keep(READ, scenario, findings, run.as_ref());
        Ok(())
    }

    fn trier<'b>(&'b self, context: &'b onerouter_engine::CallContext, now_ms: u64) -> Trier<'b> {
        Trier {
            adapter: &self.adapter,
            connection: &self.connection,
            identity: self.identity.as_ref(),
            context,
            now_ms,
        }
    }
}
