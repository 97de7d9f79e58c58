//! Bodies in memory: bounded in size, time, and number.

use axum::extract::Request;
use bytes::Bytes;
use http::header;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::Registry;
use super::refusal::{Kind, Refusal};

/// Of the API's JSON.
const JSON_BYTES_MAX: usize = 64 << 10;

impl Registry {
    /// Reads a body of at most `bytes_max`.
    pub(super) async fn read_body(
        &self,
        request: Request,
        bytes_max: usize,
    ) -> Result<Bytes, Refusal> {
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
        let waited = self.limits().body_timeout;
        let slow = |_elapsed| Refusal::new(Kind::Timeout, "the body took too long to come");
        let busy = |_closed| Refusal::new(Kind::Overloaded, "the registry is shutting down");
        let place = timeout(waited, self.0.bodies.acquire()).await;
        let _place = place.map_err(slow)?.map_err(busy)?;
        let collected = timeout(waited, Limited::new(body, bytes_max).collect())
            .await
            .map_err(slow)?;
        match collected {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
            Err(_cut_off) => Err(Refusal::new(Kind::UploadInvalid, "the body was cut off")),
        }
    }

    /// Reads a JSON document.
    pub(super) async fn read_json<T: DeserializeOwned>(
        &self,
        request: Request,
    ) -> Result<T, Refusal> {
        let bytes = self.read_body(request, JSON_BYTES_MAX).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Refusal::new(Kind::Invalid, format!("the body is not valid: {error}")))
    }
}
