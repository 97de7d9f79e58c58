//! What a registry tries before it publishes a version: the part of the conformance kit that needs no
//! recorded answers.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use onerouter_conformance::{Cassettes, Options, test};
use onerouter_registry::server::{CheckFailed, PublishCheck, Submission};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::cli::compiler;

/// Compiling and running what strangers send is bounded: one after another.
const AT_ONCE: usize = 1;

/// How long a publisher waits for those before.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// For the scenarios of one version. All that is tried here takes some seconds.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Compiling comes on top.
const WHOLE_TIME_MAX: Duration = Duration::from_secs(120);

/// Findings that a publisher is told; the kit shows all of them.
const TOLD_MAX: usize = 5;

/// Holds versions against what gateways rely on.
#[derive(Debug)]
pub(super) struct Conformance {
    turns: Semaphore,
}

impl Default for Conformance {
    fn default() -> Self {
        Self {
            turns: Semaphore::new(AT_ONCE),
        }
    }
}

impl PublishCheck for Conformance {
    fn name(&self) -> &'static str {
        "conformance"
    }

    fn check<'a>(
        &'a self,
        submission: Submission<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<(), CheckFailed>> + Send + 'a>> {
        Box::pin(async move {
            let busy =
                || CheckFailed("too many versions are being looked at; publish again".into());
            let turn = timeout(WAIT_MAX, self.turns.acquire()).await;
            let Ok(Ok(_turn)) = turn else {
                return Err(busy());
            };
            let mut options = Options::new(Cassettes::default());
            options.time_max = TIME_MAX;
            options.compiler = compiler();
            let component = Bytes::copy_from_slice(submission.component);
            let tried = timeout(WHOLE_TIME_MAX, test(component, &options, &|_| {})).await;
            let report = match tried {
                Ok(Ok(report)) => report,
                Ok(Err(error)) => {
                    let error = anyhow::Error::new(error);
                    return Err(CheckFailed(format!("{error:#}")));
                }
                Err(_elapsed) => {
                    return Err(CheckFailed("it could not be looked at in time".into()));
                }
            };
            if report.passes() {
                return Ok(());
            }
            let findings = report.failed().take(TOLD_MAX).map(|case| {
                let finding = case.findings.first();
                let text = finding.map(|finding| finding.message.as_str());
                format!(
                    "{} {}: {}",
                    case.operation,
                    case.scenario,
                    text.unwrap_or_default()
                )
            });
            let findings: Vec<_> = findings.collect();
            Err(CheckFailed(format!(
                "{} scenario(s) failed; `onerouter plugin test` shows all: {}",
                report.totals.failed,
                findings.join("; ")
            )))
        })
    }
}
