//! The scenarios of one operation that need no recording: what its requests carry, and how it fails.

use std::time::Duration;

use super::KitError;
use super::bench::Bench;
use super::recorded::{scene, with_input};
use crate::canonical::Request;
use crate::carried;
use crate::cassette::Cassette;
use crate::expectation::AMOUNTS;
use crate::fault::Fault;
use crate::finding::Findings;
use crate::input::Input;
use crate::operation::Operation;
use crate::provider::{Heard, Then};
use crate::run::Run;

/// Requests of a call that are made to fail, one after another.
const POSITIONS_MAX: usize = 6;

/// For a provider that does not answer in time. The guest needs a few milliseconds before it asks.
const HANG: Duration = Duration::from_millis(400);

impl Bench<'_> {
    /// Texts, amounts and keys in the requests. How the call ends is not looked at: the recorded answers are
    /// those to another request.
    pub(super) async fn carried(
        &mut self,
        operation: Operation,
        cassette: &Cassette,
    ) -> Result<(), KitError> {
        let (required, optional) =
            operation.texts(&self.request(&scene(operation, cassette, 0, Then::Nothing)));
        if !(required.is_empty() && optional.is_empty()) {
            let input = Input {
                body: None,
                subject: None,
                html: None,
                text: None,
                description: None,
                reason: None,
                name: None,
                customer_name: None,
                ..cassette.input.clone()
            };
            let check = |request: &_, _: &Run, heard: &Heard| {
                carried::texts(operation, request, &heard.received)
            };
            self.carry(operation, "unicode", &with_input(cassette, input), check)
                .await?;
        }
        let rule = self.manifest().operations.get(operation.name());
        let header = rule.and_then(|rule| rule.idempotency.as_ref());
        if let Some(header) = header.map(|rule| rule.header.clone()) {
            let check = |request: &_, _: &Run, heard: &Heard| {
                carried::key(&header, &operation.key(request), &heard.received)
            };
            self.carry(operation, "idempotency_key", cassette, check)
                .await?;
        }
        if !operation.has_amount() {
            return Ok(());
        }
        for (name, code, minor) in AMOUNTS {
            if self.options.cassettes.get(operation, name).is_some() || self.options.live.is_some()
            {
                continue;
            }
            if !self.takes(code) {
                let mut findings = Findings::default();
                findings.note(format!("the manifest's `currencies` leave out {code}"));
                self.keep(operation, name, findings, None);
                continue;
            }
            let input = Input {
                amount_minor: Some(minor),
                currency: Some(code.to_owned()),
                ..cassette.input.clone()
            };
            let check = |request: &_, run: &Run, heard: &Heard| {
                carried::amount(request, run, &heard.received)
            };
            self.carry(operation, name, &with_input(cassette, input), check)
                .await?;
        }
        Ok(())
    }

    async fn carry(
        &mut self,
        operation: Operation,
        name: &str,
        cassette: &Cassette,
        check: impl Fn(&Request, &Run, &Heard) -> Findings,
    ) -> Result<(), KitError> {
        if !self.begins(operation, name) {
            return Ok(());
        }
        let count = cassette.exchanges.len();
        let then = Then::Fails(Fault::ServerError);
        let scene = scene(operation, cassette, count, then);
        let (request, run, heard) = self.play(scene).await?;
        let mut findings = check(&request, &run, &heard);
        findings.add(self.always(&run, &heard));
        self.keep(operation, name, findings, Some(&run));
        Ok(())
    }

    /// Every request of a call fails in every way.
    pub(super) async fn faults(
        &mut self,
        operation: Operation,
        cassette: &Cassette,
    ) -> Result<(), KitError> {
        let positions = cassette.exchanges.len().clamp(1, POSITIONS_MAX);
        for position in 0..positions {
            for fault in Fault::ALL {
                if fault == Fault::NoAnswerInTime && !operation.changes() {
                    continue;
                }
                let name = if position == 0 {
                    fault.name().to_owned()
                } else {
                    format!("{} at request {}", fault.name(), position + 1)
                };
                if !self.begins(operation, &name) {
                    return Ok(());
                }
                let mut scene = scene(operation, cassette, position, Then::Fails(fault));
                if fault == Fault::NoAnswerInTime {
                    scene.time_max = Some(HANG);
                }
                let (_, run, heard) = self.play(scene).await?;
                let mut findings = fault.judge(operation, self.manifest(), (&run, &heard));
                if findings.uncovered.is_some() {
                    // The other failures would not be met either.
                    let why = findings.uncovered.take().unwrap_or_default();
                    self.skip(operation, "failures", &why);
                    return Ok(());
                }
                findings.add(self.always(&run, &heard));
                // How long the kit itself let it wait says nothing.
                let metered = (fault != Fault::NoAnswerInTime).then_some(&run);
                self.keep(operation, name, findings, metered);
            }
        }
        Ok(())
    }
}
