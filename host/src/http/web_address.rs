//! URLs that a caller names: what a provider is to fetch, where a buyer is to go.

use std::fmt;
use std::str::FromStr;

use onerouter_domain::address::has_whole_escapes;

/// Bytes of a URL.
const URL_BYTES_MAX: usize = 2_048;

/// An absolute `https` URL without user and password.
#[derive(Debug, Clone)]
pub(crate) struct WebAddress(String);

impl WebAddress {
    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

/// Not such a URL.
#[derive(Debug)]
pub(crate) struct WebAddressError;

impl fmt::Display for WebAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "must be an https URL of at most {URL_BYTES_MAX} characters, without user and password"
        )
    }
}

impl FromStr for WebAddress {
    type Err = WebAddressError;

    fn from_str(text: &str) -> Result<Self, WebAddressError> {
        if is_url(text, &["https"]) {
            Ok(Self(text.to_owned()))
        } else {
            Err(WebAddressError)
        }
    }
}

/// An absolute `http` or `https` URL without user and password: a page in a buyer's browser, perhaps
/// on a developer's own machine.
#[derive(Debug, Clone)]
pub(crate) struct PageAddress(String);

impl PageAddress {
    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

/// Not such a URL.
#[derive(Debug)]
pub(crate) struct PageAddressError;

impl fmt::Display for PageAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "must be an http or https URL of at most {URL_BYTES_MAX} characters, without user and password"
        )
    }
}

impl FromStr for PageAddress {
    type Err = PageAddressError;

    fn from_str(text: &str) -> Result<Self, PageAddressError> {
        if is_url(text, &["http", "https"]) && url::Url::parse(text).is_ok() {
            Ok(Self(text.to_owned()))
        } else {
            Err(PageAddressError)
        }
    }
}

fn is_url(text: &str, schemes: &[&str]) -> bool {
    text.len() <= URL_BYTES_MAX
        && has_whole_escapes(text)
        && text.parse::<http::Uri>().is_ok_and(|uri| {
            uri.scheme_str()
                .is_some_and(|scheme| schemes.contains(&scheme))
                && uri.host().is_some_and(|host| !host.is_empty())
                && uri
                    .authority()
                    .is_some_and(|authority| !authority.as_str().contains('@'))
        })
}
