//! Reads path segments.

use std::str::FromStr;

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use crate::service::refusal::Refusal;

/// The segments of a path. What is no text is no object's name either.
#[derive(Debug, Clone)]
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(segments)) => Ok(Self(segments)),
            Err(_not_utf8) => Err(Refusal::not_found("object").into()),
        }
    }
}

/// An id in a path. One that cannot be an id is an object that does not exist.
pub(crate) fn id<T: FromStr>(text: &str, what: &str) -> Result<T, Refusal> {
    text.parse().map_err(|_no_id| Refusal::not_found(what))
}
