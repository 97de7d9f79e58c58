//! Reads path segments.

use std::str::FromStr;

use crate::service::refusal::Refusal;

/// An id in a path. One that cannot be an id is an object that does not exist.
pub(crate) fn id<T: FromStr>(text: &str, what: &str) -> Result<T, Refusal> {
    text.parse().map_err(|_| Refusal::not_found(what))
}
