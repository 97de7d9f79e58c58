//! What a publisher says about a name and its versions: keys, yanks, advisories.

use onerouter_manifest::PluginId;
use semver::{Version, VersionReq};
use url::Url;

use super::Registry;
use super::log::By;
use super::refusal::{Kind, Refusal};
use super::store::{AccountRow, AdvisoryRow};
use crate::index::{Event, TEXT_CHARACTERS_MAX};
use crate::keys::{KeyId, PublicKey};

/// Keys of one name, revoked ones included.
const KEYS_MAX: usize = 64;

/// Of a range of affected versions. Its pre-releases could be of any length.
const AFFECTED_CHARACTERS_MAX: usize = 200;

/// An advisory to be published.
#[derive(Debug, Clone)]
pub struct NewAdvisory {
    /// Which versions.
    pub affected: VersionReq,
    /// What it is about, in one line.
    pub summary: String,
    /// Where more is said: `https://…`.
    pub url: Option<String>,
}

impl Registry {
    /// Lets a key publish under a name. The first one claims the name.
    pub(super) async fn add_key(
        &self,
        account: &AccountRow,
        name: &PluginId,
        key: PublicKey,
    ) -> Result<(), Refusal> {
        self.claim_name(account, name).await?;
        let mut tx = self.0.store.write().await?;
        let event = Event::KeyAdded {
            name: name.clone(),
            key,
        };
        self.append(&mut tx, By::Publisher(account), event).await?;
        if tx.list_keys(name.as_str()).await?.len() >= KEYS_MAX {
            return Err(Refusal::new(
                Kind::QuotaExceeded,
                format!("{name} has had {KEYS_MAX} keys and can have no more"),
            ));
        }
        if !tx.insert_key(name.as_str(), key, self.now()).await? {
            return Err(Refusal::new(
                Kind::Conflict,
                format!(
                    "{name} has the key {} already, or had it before it was revoked",
                    key.id()
                ),
            ));
        }
        tx.commit().await?;
        Ok(())
    }

    /// Takes a key from a name. What it has signed no longer counts.
    pub(super) async fn end_key(
        &self,
        by: By<'_>,
        name: &PluginId,
        key: KeyId,
        reason: String,
    ) -> Result<(), Refusal> {
        self.may_say(by, name).await?;
        let reason = text("reason", reason)?;
        let mut tx = self.0.store.write().await?;
        let event = Event::KeyRevoked {
            name: name.clone(),
            key,
            reason: reason.clone(),
        };
        self.append(&mut tx, by, event).await?;
        if !tx
            .revoke_key(name.as_str(), key, &reason, self.now())
            .await?
        {
            return Err(Refusal::new(
                Kind::NotFound,
                format!("{name} has no active key {key}"),
            ));
        }
        tx.commit().await?;
        tracing::warn!(plugin.name = %name, key = %key, "registry: key revoked");
        Ok(())
    }

    /// Says that a version should no longer be chosen, or, without a reason, that it may be again.
    pub(super) async fn yank(
        &self,
        by: By<'_>,
        name: &PluginId,
        version: &Version,
        reason: Option<String>,
    ) -> Result<(), Refusal> {
        self.may_say(by, name).await?;
        let reason = reason.map(|reason| text("reason", reason)).transpose()?;
        let mut tx = self.0.store.write().await?;
        tx.lock_log().await?;
        let row = tx
            .find_version(name.as_str(), version)
            .await?
            .ok_or_else(|| {
                Refusal::new(Kind::NotFound, format!("{name} has no version {version}"))
            })?;
        if row.yanked_reason == reason {
            return Ok(());
        }
        let event = match reason.clone() {
            Some(reason) => Event::Yanked {
                name: name.clone(),
                version: version.clone(),
                reason,
            },
            None => Event::Unyanked {
                name: name.clone(),
                version: version.clone(),
            },
        };
        self.append(&mut tx, by, event).await?;
        tx.set_yanked(name.as_str(), version, reason.as_deref())
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Publishes an advisory.
    pub(super) async fn advise(
        &self,
        by: By<'_>,
        name: &PluginId,
        new: NewAdvisory,
    ) -> Result<AdvisoryRow, Refusal> {
        self.may_say(by, name).await?;
        let affected = new.affected.to_string();
        if affected.len() > AFFECTED_CHARACTERS_MAX {
            return Err(Refusal::new(
                Kind::Invalid,
                format!("/affected: at most {AFFECTED_CHARACTERS_MAX} characters"),
            ));
        }
        let row = AdvisoryRow {
            id: format!("adv_{}", self.new_id().simple()),
            affected,
            summary: text("summary", new.summary)?,
            url: new.url.map(web_address).transpose()?,
            created_at: self.now(),
        };
        let mut tx = self.0.store.write().await?;
        let event = Event::Advisory {
            name: name.clone(),
            id: row.id.clone(),
            affected: new.affected,
            summary: row.summary.clone(),
            url: row.url.clone(),
        };
        self.append(&mut tx, by, event).await?;
        let full = tx.count_advisories(name.as_str()).await? >= self.limits().advisories_max;
        if full && matches!(by, By::Publisher(_)) {
            return Err(Refusal::new(
                Kind::QuotaExceeded,
                format!("{name} has as many advisories as a name may have"),
            ));
        }
        tx.insert_advisory(name.as_str(), &row).await?;
        tx.commit().await?;
        Ok(row)
    }

    async fn may_say(&self, by: By<'_>, name: &PluginId) -> Result<(), Refusal> {
        match by {
            By::Publisher(account) => self.own_name(account, name).await.map(drop),
            By::Operator => self.get_name(name).await.map(drop),
        }
    }
}

fn text(what: &str, given: String) -> Result<String, Refusal> {
    let given = given.trim();
    let characters = given.chars().count();
    let printable = given.chars().all(|c| !c.is_control());
    if characters == 0 || characters > TEXT_CHARACTERS_MAX || !printable {
        return Err(Refusal::new(
            Kind::Invalid,
            format!("/{what}: needs 1 to {TEXT_CHARACTERS_MAX} characters on one line"),
        ));
    }
    Ok(given.to_owned())
}

/// Dashboards make links of it.
fn web_address(given: String) -> Result<String, Refusal> {
    let wrong = || Refusal::new(Kind::Invalid, "/url: must be an https:// address");
    let url = Url::parse(&given).map_err(|_error| wrong())?;
    if url.scheme() == "https" && given.len() <= TEXT_CHARACTERS_MAX {
        Ok(url.into())
    } else {
        Err(wrong())
    }
}
