//! An `https` URL that a provider is to fetch.

use std::fmt;
use std::str::FromStr;

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
        let fits = text.len() <= URL_BYTES_MAX
            && text.parse::<http::Uri>().is_ok_and(|uri| {
                uri.scheme_str() == Some("https")
                    && uri.host().is_some_and(|host| !host.is_empty())
                    && uri
                        .authority()
                        .is_some_and(|authority| !authority.as_str().contains('@'))
            });
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(WebAddressError)
        }
    }
}
