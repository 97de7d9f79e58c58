//! A version that does not serve yet, tried with the calls of the one that does: nothing is sent.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::TenantId;
use onerouter_engine::{Adapter, Difference, PluginFault};
use serde_json::json;
use tokio::time::Instant;

use super::desired::{Target, chosen};
use super::{Plugins, invalid_state};
use crate::service::audit::{self, Change};
use crate::service::authentication::unavailable;
use crate::service::caller::Operator;
use crate::service::recordings::{KeptCall, KeptCalls};
use crate::service::refusal::Refusal;
use crate::store::{PluginRow, PluginVersionRow};

/// Calls that one check makes again at most.
pub const CALLS_MAX: u16 = 100;
/// How long all of a check may take; what is left then is counted as skipped.
const TIME_MAX: Duration = Duration::from_secs(20);

/// What came of it.
#[derive(Debug, Clone)]
pub struct ShadowCheck {
    /// Which plugin.
    pub plugin: String,
    /// Whose calls they are.
    pub serving: PluginVersionRow,
    /// What was tried.
    pub tried: PluginVersionRow,
    /// Calls that are recorded and were looked at.
    pub recorded: usize,
    /// Those that were made again and went the same way.
    pub same: usize,
    /// Those that could not be made again: nobody can read them, or there was no time or room.
    pub skipped: usize,
    /// Those that went another way, the newest first.
    pub different: Vec<ShadowedCall>,
}

/// A call that went another way.
#[derive(Debug, Clone)]
pub struct ShadowedCall {
    /// Whose.
    pub tenant: TenantId,
    /// Where.
    pub environment: Environment,
    /// `sms.send`
    pub operation: String,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// How the new version broke down.
    pub fault: Option<PluginFault>,
    /// What it did otherwise.
    pub differences: Vec<Difference>,
}

impl Plugins {
    /// Makes the newest recorded calls of the version that serves again on another one, against the
    /// recorded answers, and tells what differs. A plugin's newest version that never served, where none is
    /// named.
    ///
    /// # Errors
    /// `not_found`; `invalid_state` where nothing serves, or the version does, or it cannot run here.
    pub async fn shadow(
        &self,
        operator: &Operator,
        target: &Target,
        calls: u16,
    ) -> Result<ShadowCheck, Refusal> {
        let (plugin, serving, tried) = self.compared(target).await?;
        let adapter = self.loaded(&tried).await.map_err(|reason| {
            invalid_state(format!(
                "{} {} cannot run here: {reason}",
                tried.plugin, tried.version
            ))
        })?;
        let Some(recordings) = &self.parts().recordings else {
            return Err(invalid_state("Recorded calls cannot be read here."));
        };
        let _turn = self.0.shadowing.lock().await;
        let KeptCalls { calls, unreadable } = recordings.latest(&serving.sha256, calls).await?;
        let mut check = ShadowCheck {
            plugin: plugin.name,
            recorded: calls.len() + unreadable,
            same: 0,
            skipped: unreadable,
            different: Vec::new(),
            serving,
            tried,
        };
        let until = Instant::now() + TIME_MAX;
        for call in calls {
            check.add(&adapter, call, until).await;
        }
        self.note_check(operator, &check).await?;
        Ok(check)
    }

    async fn compared(
        &self,
        target: &Target,
    ) -> Result<(PluginRow, PluginVersionRow, PluginVersionRow), Refusal> {
        let failed = |error| unavailable("cannot read what is installed", &error);
        let name = self.name_of(target).await?;
        let store = &self.parts().store;
        let plugins = store.list_plugins().await.map_err(failed)?;
        let plugin = plugins.into_iter().find(|plugin| plugin.name == name);
        let plugin = plugin.ok_or_else(|| Refusal::not_found("plugin"))?;
        let mut versions = store.list_plugin_versions().await.map_err(failed)?;
        versions.retain(|version| version.plugin == name);
        let tried = chosen(&plugin, &versions, &self.distrusted().await?, target)?;
        let serving = versions
            .into_iter()
            .find(|row| Some(row.id) == plugin.active);
        let serving = serving.ok_or_else(|| {
            invalid_state(format!(
                "No version of {name} serves: there is nothing to compare with."
            ))
        })?;
        if serving.id == tried.id {
            return Err(invalid_state(format!(
                "{name} {} serves already.",
                tried.version
            )));
        }
        Ok((plugin, serving, tried))
    }

    /// Whoever looks at tenants' calls is told of.
    async fn note_check(&self, operator: &Operator, check: &ShadowCheck) -> Result<(), Refusal> {
        let failed = |error| unavailable("cannot note a shadow check", &error);
        let mut tx = self
            .parts()
            .store
            .begin(operator.tenant)
            .await
            .map_err(failed)?;
        let change = Change {
            action: "plugin.shadow_checked",
            target: check.tried.id.to_string(),
            before: None,
            after: Some(json!({
                "plugin": check.plugin, "serving": check.serving.version, "tried": check.tried.version,
                "recorded": check.recorded, "same": check.same, "skipped": check.skipped,
                "different": check.different.len(),
            })),
        };
        let now = self.parts().clock.now();
        audit::record(&mut tx, operator, change, now)
            .await
            .map_err(failed)?;
        tx.commit().await.map_err(failed)
    }
}

impl ShadowCheck {
    /// Every call that was looked at went the same way, and there were some.
    #[must_use]
    pub const fn is_convincing(&self) -> bool {
        self.recorded > 0 && self.same == self.recorded
    }

    async fn add(&mut self, adapter: &Arc<Adapter>, call: KeptCall, until: Instant) {
        let KeptCall {
            tenant,
            recorded_at,
            recording,
        } = call;
        let replay = match tokio::time::timeout_at(until, adapter.replay(&recording)).await {
            Ok(Ok(replay)) => replay,
            Ok(Err(error)) => {
                tracing::warn!(%error, operation = recording.operation, "a recorded call is skipped");
                self.skipped += 1;
                return;
            }
            Err(_elapsed) => {
                self.skipped += 1;
                return;
            }
        };
        if replay.differences.is_empty() && replay.fault.is_none() {
            self.same += 1;
            return;
        }
        self.different.push(ShadowedCall {
            tenant,
            environment: recording.environment,
            operation: recording.operation,
            recorded_at,
            fault: replay.fault,
            differences: replay.differences,
        });
    }
}
