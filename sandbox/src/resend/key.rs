//! API keys and what they may do.

use http::header;

use super::{FULL_ACCESS_KEY, SENDING_ACCESS_KEY, error::ResendError};
use crate::call::Call;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permission {
    Full,
    Sending,
}

/// These keys are printed in the manual, so comparing them needs no constant time.
pub(super) fn authenticate(call: &Call) -> Result<Permission, ResendError> {
    let header = call.header(header::AUTHORIZATION.as_str());
    let key = header
        .and_then(|header| header.split_once(' '))
        .filter(|(scheme, key)| scheme.eq_ignore_ascii_case("bearer") && !key.trim().is_empty());
    match key.map(|(_, key)| key.trim()) {
        None => Err(ResendError::named("missing_api_key")),
        Some(FULL_ACCESS_KEY) => Ok(Permission::Full),
        Some(SENDING_ACCESS_KEY) => Ok(Permission::Sending),
        Some(_) => Err(ResendError::named("invalid_api_key")),
    }
}
