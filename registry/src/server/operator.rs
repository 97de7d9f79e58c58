//! What whoever runs the registry may do, whosever a name is: a publisher may be gone, or be the trouble.

use onerouter_manifest::PluginId;
use semver::Version;
use uuid::Uuid;

use super::catalogue::NewAdvisory;
use super::log::By;
use super::{Registry, RegistryError};
use crate::keys::KeyId;

impl Registry {
    /// Takes a key from a name: nothing that it has signed counts any more.
    ///
    /// # Errors
    /// The name has no such key, the reason is none, or the database failed.
    pub async fn revoke_key(
        &self,
        name: &PluginId,
        key: KeyId,
        reason: &str,
    ) -> Result<(), RegistryError> {
        self.end_key(By::Operator, name, key, reason.to_owned())
            .await?;
        Ok(())
    }

    /// Says that a version should no longer be chosen, or, without a reason, that it may be again.
    ///
    /// # Errors
    /// There is no such version, the reason is none, or the database failed.
    pub async fn yank_version(
        &self,
        name: &PluginId,
        version: &Version,
        reason: Option<&str>,
    ) -> Result<(), RegistryError> {
        let reason = reason.map(str::to_owned);
        self.yank(By::Operator, name, version, reason).await?;
        Ok(())
    }

    /// Publishes an advisory. Gives its id.
    ///
    /// # Errors
    /// There is no such name, something in it is not valid, or the database failed.
    pub async fn publish_advisory(
        &self,
        name: &PluginId,
        new: NewAdvisory,
    ) -> Result<String, RegistryError> {
        Ok(self.advise(By::Operator, name, new).await?.id)
    }

    /// Suspends an account: its tokens are good for nothing until [`Registry::resume_account`]. What it
    /// has published stays. False when there is no such account.
    ///
    /// # Errors
    /// The database failed.
    pub async fn suspend_account(&self, account: Uuid) -> Result<bool, RegistryError> {
        let mut tx = self.0.store.write().await?;
        let suspended = tx.set_suspended(account, Some(self.now())).await?;
        tx.commit().await?;
        Ok(suspended)
    }

    /// Ends a suspension. False when there is no such account.
    ///
    /// # Errors
    /// The database failed.
    pub async fn resume_account(&self, account: Uuid) -> Result<bool, RegistryError> {
        let mut tx = self.0.store.write().await?;
        let resumed = tx.set_suspended(account, None).await?;
        tx.commit().await?;
        Ok(resumed)
    }
}
