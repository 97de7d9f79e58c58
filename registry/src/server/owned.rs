//! Whose a name is.

use onerouter_manifest::PluginId;

use super::Registry;
use super::refusal::{Kind, Refusal};
use super::store::{AccountRow, NameRow};
use crate::names::{self, Taken};

/// A name as it stands in a path. It is the name of a repository too.
pub(super) fn parse_name(text: &str) -> Result<PluginId, Refusal> {
    names::parse(text).map_err(|error| Refusal::new(Kind::NameInvalid, error))
}

impl Registry {
    /// The name, if somebody has it.
    pub(super) async fn get_name(&self, name: &PluginId) -> Result<NameRow, Refusal> {
        let found = self.0.store.read().await?.find_name(name.as_str()).await?;
        found.ok_or_else(|| Refusal::new(Kind::NameUnknown, format!("there is no plugin {name}")))
    }

    /// The name, if it is this account's.
    pub(super) async fn own_name(
        &self,
        account: &AccountRow,
        name: &PluginId,
    ) -> Result<NameRow, Refusal> {
        let row = self.get_name(name).await?;
        refuse_strangers(account, &row)?;
        Ok(row)
    }

    /// Makes sure that a name is this account's: the first one who asks has it.
    pub(super) async fn claim_name(
        &self,
        account: &AccountRow,
        name: &PluginId,
    ) -> Result<(), Refusal> {
        if let Some(row) = self.0.store.read().await?.find_name(name.as_str()).await? {
            return refuse_strangers(account, &row);
        }
        let skeleton = names::skeleton(name.as_str());
        let mut tx = self.0.store.write().await?;
        // Two names that read alike could be claimed at the same moment.
        tx.lock_log().await?;
        if let Some(row) = tx.find_name(name.as_str()).await? {
            return refuse_strangers(account, &row);
        }
        let popular_from = self.limits().popular_from;
        let others = tx
            .list_other_names(account.id, &skeleton, popular_from)
            .await?;
        let taken = others.iter().map(|other| Taken {
            name: &other.name,
            popular: other.downloads >= popular_from,
        });
        names::judge(name, &self.0.config.reserved_names, taken)
            .map_err(|error| Refusal::new(Kind::NameInvalid, error))?;
        if tx.count_names(account.id).await? >= account.names_max {
            return Err(Refusal::new(
                Kind::QuotaExceeded,
                format!(
                    "the account has {} names and may have no more",
                    account.names_max
                ),
            ));
        }
        tx.insert_name(name.as_str(), account.id, &skeleton, self.now())
            .await?;
        tx.commit().await?;
        tracing::info!(plugin.name = %name, account.name = %account.name, "registry: name claimed");
        Ok(())
    }
}

fn refuse_strangers(account: &AccountRow, row: &NameRow) -> Result<(), Refusal> {
    if row.account_id == account.id {
        return Ok(());
    }
    Err(Refusal::new(
        Kind::Denied,
        format!("{} belongs to the publisher {}", row.name, row.owner),
    ))
}
