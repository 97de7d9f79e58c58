//! To which addresses webhooks are sent.

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// A sandbox stands on a developer's machine and takes URLs from whoever reaches its port: unless it is
/// told otherwise it sends to that machine only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookTargets {
    /// `localhost`, 127.0.0.0/8 and `[::1]`, any port.
    #[default]
    Loopback,
    Anywhere,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("{0:?} is no http or https URL")]
    NotAUrl(String),
    #[error(
        "this sandbox sends webhooks to loopback only (localhost, 127.0.0.0/8, [::1]), and {0} is elsewhere; `SandboxConfig::webhook_targets` allows more"
    )]
    Elsewhere(String),
}

/// The URL, if webhooks may be sent there.
pub(crate) fn parse_target(text: &str, targets: WebhookTargets) -> Result<Url, TargetError> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| TargetError::NotAUrl(text.to_owned()))?;
    check_target(&url, targets)?;
    Ok(url)
}

pub(super) fn check_target(url: &Url, targets: WebhookTargets) -> Result<(), TargetError> {
    if targets == WebhookTargets::Anywhere || is_loopback(url) {
        return Ok(());
    }
    let host = url.host_str().unwrap_or_default();
    Err(TargetError::Elsewhere(host.to_owned()))
}

/// By what is written, not by what a name server says: only `localhost` is this machine for certain.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_this_machine_for_certain_is_loopback() {
        let is_allowed = |text| parse_target(text, WebhookTargets::Loopback).is_ok();
        for good in [
            "http://127.0.0.1:4000/hook",
            "https://localhost/hook",
            "http://[::1]:80/",
            "http://127.1.2.3/",
            "http://2130706433/",
        ] {
            assert!(is_allowed(good), "{good}");
        }
        for bad in [
            "http://example.com/",
            "http://10.0.0.1/",
            "http://localhost.example.com/",
            "http://0.0.0.0/",
            "http://[::ffff:10.0.0.1]/",
            "ftp://localhost/",
            "localhost",
            "",
        ] {
            assert!(!is_allowed(bad), "{bad}");
        }
        assert!(parse_target("http://example.com/", WebhookTargets::Anywhere).is_ok());
    }
}
