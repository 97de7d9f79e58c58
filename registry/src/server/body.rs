//! Bodies in memory: bounded in size, time, and number.

use std::sync::Arc;

use axum::extract::Request;
use bytes::Bytes;
use http::header;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::Registry;
use super::refusal::{Kind, Refusal};

/// Of the API's JSON.
const JSON_BYTES_MAX: usize = 64 << 10;

/// A body, and the place that it takes until it is done with.
pub(super) struct Held {
    pub(super) bytes: Bytes,
    _place: OwnedSemaphorePermit,
}

impl Registry {
    /// Waits until one more body, or as much, may be in memory.
    pub(super) async fn place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let busy = || Refusal::new(Kind::Overloaded, "the registry has too much to do");
        let places = Arc::clone(&self.0.bodies);
        timeout(self.limits().body_timeout, places.acquire_owned())
            .await
            .map_err(|_elapsed| busy())?
            .map_err(|_closed| busy())
    }

    /// Reads a body of at most `bytes_max`.
    pub(super) async fn read_body(
        &self,
        request: Request,
        bytes_max: usize,
    ) -> Result<Held, Refusal> {
        let (head, body) = request.into_parts();
        let too_large = || {
            Refusal::new(
                Kind::TooLarge,
                format!("at most {bytes_max} bytes are taken"),
            )
        };
        // Said before it is sent: no need to read it.
        let announced = head
            .headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|bytes| bytes > bytes_max) {
            return Err(too_large());
        }
        let place = self.place().await?;
        let body = Limited::new(body, bytes_max).collect();
        let collected = timeout(self.limits().body_timeout, body)
            .await
            .map_err(|_elapsed| Refusal::new(Kind::Timeout, "the body took too long to come"))?;
        match collected {
            Ok(collected) => Ok(Held {
                bytes: collected.to_bytes(),
                _place: place,
            }),
            Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
            Err(_cut_off) => Err(Refusal::new(Kind::UploadInvalid, "the body was cut off")),
        }
    }

    /// Reads a JSON document.
    pub(super) async fn read_json<T: DeserializeOwned>(
        &self,
        request: Request,
    ) -> Result<T, Refusal> {
        let held = self.read_body(request, JSON_BYTES_MAX).await?;
        serde_json::from_slice(&held.bytes)
            .map_err(|error| Refusal::new(Kind::Invalid, format!("the body is not valid: {error}")))
    }
}
