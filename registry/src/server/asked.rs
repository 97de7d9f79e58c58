//! Query parameters, refused in our own form.

use axum::extract::{FromRequestParts, Query};
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::refusal::{Kind, Refusal};

/// The query parameters of a request.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        // No text has that character, and PostgreSQL fails on it.
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            return Err(Refusal::new(
                Kind::Invalid,
                "the query has a character that no text has",
            ));
        }
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(rejection) => {
                let reason = rejection.body_text();
                Err(Refusal::new(
                    Kind::Invalid,
                    format!("the query is not valid: {reason}"),
                ))
            }
        }
    }
}
