//! Overrides: requests for a host go somewhere else. For sandboxes and tests; adapters cannot tell.

use std::collections::BTreeMap;

use url::{Host, Url};

use crate::message::Origin;

/// Where requests for a host go instead, by the host's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upstreams {
    by_host: BTreeMap<String, Upstream>,
}

/// A base URL that stands in for a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upstream {
    pub(crate) origin: Origin,
    /// Put before every path; empty or `/prefix`, without a slash at the end.
    pub(crate) path_prefix: String,
}

/// An override that is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamsError {
    /// No `host=url`.
    #[error("\"{0}\" is not host=URL")]
    Shape(String),
    /// Not a host name.
    #[error("\"{0}\" is not a host name")]
    Host(String),
    /// Not a usable base URL.
    #[error("\"{0}\" is not an http or https URL without user, query and fragment")]
    Base(String),
    /// Named twice.
    #[error("\"{0}\" stands there twice")]
    Twice(String),
}

impl Upstreams {
    /// Reads `api.example.com=http://127.0.0.1:4010,api.example.org=https://localhost/sandbox`.
    ///
    /// # Errors
    /// An entry that is not a host name, `=` and an `http` or `https` base URL, or a second one for
    /// the same host.
    pub fn parse(text: &str) -> Result<Self, UpstreamsError> {
        let mut upstreams = Self::default();
        for entry in text
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
        {
            let (host, base) = entry
                .split_once('=')
                .ok_or_else(|| UpstreamsError::Shape(entry.to_owned()))?;
            if upstreams.by_host.contains_key(host.trim()) {
                return Err(UpstreamsError::Twice(host.trim().to_owned()));
            }
            upstreams.set(host.trim(), base.trim())?;
        }
        Ok(upstreams)
    }

    /// Sends requests for `host` to `base` from now on, in the place of any other.
    ///
    /// # Errors
    /// `host` is no host name, or `base` no usable URL.
    pub fn set(&mut self, host: &str, base: &str) -> Result<(), UpstreamsError> {
        let named = match Host::parse(host) {
            Ok(Host::Domain(name)) => name == host,
            Ok(Host::Ipv4(_) | Host::Ipv6(_)) | Err(_) => false,
        };
        if !named {
            return Err(UpstreamsError::Host(host.to_owned()));
        }
        let upstream = parse_base(base).ok_or_else(|| UpstreamsError::Base(base.to_owned()))?;
        self.by_host.insert(host.to_owned(), upstream);
        Ok(())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_host.is_empty()
    }

    /// Host and base URL of each.
    pub fn iter(&self) -> impl Iterator<Item = (&str, String)> {
        self.by_host
            .iter()
            .map(|(host, upstream)| (host.as_str(), upstream.to_string()))
    }

    pub(crate) fn get(&self, host: &str) -> Option<&Upstream> {
        self.by_host.get(host)
    }
}

impl std::fmt::Display for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.origin, self.path_prefix)
    }
}

fn parse_base(text: &str) -> Option<Upstream> {
    let url = Url::parse(text).ok()?;
    let tls = match url.scheme() {
        "http" => false,
        "https" => true,
        _ => return None,
    };
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    plain.then_some(())?;
    Some(Upstream {
        origin: Origin {
            tls,
            host: url.host_str()?.to_owned(),
            port: url.port_or_known_default()?,
        },
        path_prefix: url.path().trim_end_matches('/').to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::{Upstreams, UpstreamsError};

    #[test]
    fn a_list_of_overrides_is_read() {
        let upstreams = Upstreams::parse(
            "api.example.com=http://127.0.0.1:4010, api.example.org=https://localhost/sandbox/",
        )
        .unwrap();
        let listed: Vec<_> = upstreams.iter().collect();
        assert_eq!(
            listed,
            [
                ("api.example.com", "http://127.0.0.1:4010".to_owned()),
                ("api.example.org", "https://localhost/sandbox".to_owned()),
            ]
        );
    }

    #[test]
    fn an_override_that_is_not_usable_is_refused() {
        for text in [
            "api.example.com",
            "=http://localhost",
            "127.0.0.1=http://localhost",
            "API.example.com=http://localhost",
            "api.example.com=localhost:4010",
            "api.example.com=ftp://localhost",
            "api.example.com=http://user@localhost",
            "api.example.com=http://localhost/?a=b",
            "api.example.com=http://localhost/#a",
        ] {
            assert!(Upstreams::parse(text).is_err(), "{text} was accepted");
        }
        assert_eq!(
            Upstreams::parse("a.example=http://localhost,a.example=http://localhost"),
            Err(UpstreamsError::Twice("a.example".to_owned()))
        );
    }
}
