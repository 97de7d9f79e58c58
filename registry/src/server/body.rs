//! Bodies in memory: bounded in size, time, and number.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::Request;
use bytes::Bytes;
use http::header;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use uuid::Uuid;

use super::refusal::{Kind, Refusal};
use super::{Limits, Registry};

/// Of the API's JSON.
const JSON_BYTES_MAX: usize = 64 << 10;

/// Places for bodies: of all, and of each account, so that one alone cannot take all of them.
#[derive(Debug)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    /// Operators make the accounts, so there are not too many to remember.
    of_accounts: Mutex<HashMap<Uuid, Arc<Semaphore>>>,
    of_each: usize,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _own: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.bodies_at_once)),
            of_accounts: Mutex::default(),
            of_each: limits.account_bodies_at_once,
        }
    }

    fn of(&self, account: Uuid) -> Arc<Semaphore> {
        let mut known = self
            .of_accounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let own = known
            .entry(account)
            .or_insert_with(|| Arc::new(Semaphore::new(self.of_each)));
        Arc::clone(own)
    }
}

/// A body, and the place that it takes until it is done with.
pub(super) struct Held {
    bytes: Bytes,
    _place: Place,
}

impl Held {
    /// Not a field to be taken out: a task that only took the bytes with it would leave the place.
    pub(super) fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }
}

impl Registry {
    /// Waits until one more body of an account, or as much, may be in memory.
    pub(super) async fn place(&self, account: Uuid) -> Result<Place, Refusal> {
        let busy = || Refusal::new(Kind::Overloaded, "the registry has too much to do");
        let places = &self.0.places;
        let taken = async {
            // Its own first: who waits for that must not hold one of all.
            let own = places.of(account).acquire_owned().await?;
            let of_all = Arc::clone(&places.all).acquire_owned().await?;
            Ok::<_, tokio::sync::AcquireError>(Place {
                _own: own,
                _of_all: of_all,
            })
        };
        timeout(self.limits().body_timeout, taken)
            .await
            .map_err(|_elapsed| busy())?
            .map_err(|_closed| busy())
    }

    /// Reads a body of at most `bytes_max`.
    pub(super) async fn read_body(
        &self,
        account: Uuid,
        request: Request,
        bytes_max: usize,
    ) -> Result<Held, Refusal> {
        refuse_announced(&request, bytes_max)?;
        let place = self.place(account).await?;
        let bytes = self.collect(request, bytes_max).await?;
        Ok(Held {
            bytes,
            _place: place,
        })
    }

    async fn collect(&self, request: Request, bytes_max: usize) -> Result<Bytes, Refusal> {
        let body = Limited::new(request.into_body(), bytes_max).collect();
        let collected = timeout(self.limits().body_timeout, body)
            .await
            .map_err(|_elapsed| Refusal::new(Kind::Timeout, "the body took too long to come"))?;
        match collected {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(too_large(bytes_max)),
            Err(_cut_off) => Err(Refusal::new(Kind::UploadInvalid, "the body was cut off")),
        }
    }

    /// Reads a JSON document: too small to take a place.
    pub(super) async fn read_json<T: DeserializeOwned>(
        &self,
        request: Request,
    ) -> Result<T, Refusal> {
        refuse_announced(&request, JSON_BYTES_MAX)?;
        let bytes = self.collect(request, JSON_BYTES_MAX).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Refusal::new(Kind::Invalid, format!("the body is not valid: {error}")))
    }
}

/// What is said before it is sent need not be read.
fn refuse_announced(request: &Request, bytes_max: usize) -> Result<(), Refusal> {
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > bytes_max) {
        return Err(too_large(bytes_max));
    }
    Ok(())
}

fn too_large(bytes_max: usize) -> Refusal {
    Refusal::new(
        Kind::TooLarge,
        format!("at most {bytes_max} bytes are taken"),
    )
}
