//! Claims an object: what is committed before anything leaves the house.

use onerouter_domain::code::ErrorCode;
use onerouter_domain::id::AttemptId;
use onerouter_domain::idempotency::ProviderKey;
use onerouter_manifest::Manifest;
use uuid::Uuid;

use super::{Answer, CLAIM_MAX, Draft, Intent, KEY_KEPT, Objects, to_json};
use crate::ids;
use crate::service::authentication::unavailable;
use crate::service::caller::{Caller, Origin};
use crate::service::connections::Chosen;
use crate::service::kind::{CallIds, Kind};
use crate::service::object::Object;
use crate::service::refusal::Refusal;
use crate::service::routing::{Need, Route};
use crate::store::{IdempotencyRow, KeyClaim, NewKeyClaim};
use crate::store::{MessageClaim, NewAttempt, NewObject};
use crate::store::{StoreError, TenantTx};

const CLAIMING: &str = "cannot claim an object";

/// One e-mail of a batch with its own intent.
pub type BatchEntry<K> = (Intent, Draft<K>);

/// What is committed before anything leaves the house.
#[derive(Debug, Clone)]
pub(in crate::service) struct Claim<K: Kind> {
    pub(in crate::service) caller: Caller,
    pub(in crate::service) origin: Origin,
    pub(in crate::service) intent: Intent,
    pub(in crate::service) object: Object<K>,
    pub(in crate::service) content: K::Content,
    pub(in crate::service) attempt: AttemptId,
    pub(in crate::service) route: Route,
    /// The caller named the sender; else each connection's setting does.
    pub(in crate::service) has_own_sender: bool,
}

/// A claim, the answer of the request that came before, or why there is neither.
#[derive(Debug)]
pub(in crate::service) enum Claimed<K: Kind> {
    Mine(Box<Claim<K>>),
    Answered(Answer),
    Refused(Refusal),
}

/// A claim that is not written yet.
#[derive(Debug)]
pub(in crate::service) enum Prepared<K: Kind> {
    Claim(Box<Claim<K>>, Box<MessageClaim>),
    /// Cannot be served, unless its key has an answer already.
    Refused(Option<Box<NewKeyClaim>>, Intent, Box<Refusal>),
}

/// When a message's attempt is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::service) enum AttemptWritten {
    /// With the claim: it goes alone.
    WithClaim,
    /// Later in the transaction, when it is known what it goes with.
    Later,
}

impl<K: Kind> Objects<K> {
    /// Claims the key and makes the object, as part of a transaction. An answered twin is answered
    /// even if its connection is gone; a request that cannot be served leaves nothing behind.
    ///
    /// # Errors
    /// Only what the database is to blame for; the transaction is of no more use then.
    pub(in crate::service) async fn claim_in(
        &self,
        tx: &mut TenantTx,
        prepared: Prepared<K>,
    ) -> Result<Claimed<K>, Refusal> {
        match prepared {
            Prepared::Claim(claim, written) => {
                let claimed = tx.claim_message(&written).await;
                match claimed.map_err(Self::store_failed(CLAIMING))? {
                    KeyClaim::New => Ok(Claimed::Mine(claim)),
                    KeyClaim::Existing(row) => Ok(self.claimed_before(row, &claim.intent)),
                }
            }
            Prepared::Refused(key, intent, refusal) => {
                let key = key.map(|key| *key);
                self.refuse(tx, key, &intent, *refusal).await
            }
        }
    }

    /// The same in a transaction of its own, which it may share with other claims of the moment. It is
    /// committed when this returns.
    ///
    /// # Errors
    /// What the database is to blame for. `outcome_unknown`: nobody can tell whether it was committed.
    pub(super) async fn claim_alone(
        &self,
        caller: &Caller,
        prepared: Prepared<K>,
    ) -> Result<Claimed<K>, Refusal> {
        let store = &self.parts.store;
        let (claim, written) = match prepared {
            Prepared::Claim(claim, written) => (claim, written),
            refused @ Prepared::Refused(..) => {
                let begun = store.begin(caller.tenant).await;
                let mut tx = begun.map_err(Self::store_failed(CLAIMING))?;
                return self.claim_in(&mut tx, refused).await;
            }
        };
        if K::IS_ALONE {
            return self.claim_with_books(claim, *written).await;
        }
        match store.claim(caller.tenant, *written).await {
            Ok(KeyClaim::New) => Ok(Claimed::Mine(claim)),
            Ok(KeyClaim::Existing(row)) => Ok(self.claimed_before(row, &claim.intent)),
            Err(error) if error.is_undecided => Err(lost_claim(&error, claim.object.id)),
            Err(error) => Err(unavailable(CLAIMING, &error.error)),
        }
    }

    /// The same for a kind with which more is written.
    async fn claim_with_books(
        &self,
        mut claim: Box<Claim<K>>,
        mut written: MessageClaim,
    ) -> Result<Claimed<K>, Refusal> {
        let failed = Self::store_failed(CLAIMING);
        let begun = self.parts.store.begin(claim.caller.tenant).await;
        let mut tx = begun.map_err(&failed)?;
        // The key comes before everything that others may lock: whoever waits for it holds nothing that
        // its owner needs to settle.
        if let Some(key) = written.key.take()
            && let KeyClaim::Existing(row) = tx.claim_key(&key).await.map_err(&failed)?
        {
            return Ok(self.claimed_before(row, &claim.intent));
        }
        let admitted = K::admit(&mut tx, &mut claim.object).await;
        if let Err(refusal) = admitted.map_err(&failed)? {
            // The key is free again with the transaction.
            return Ok(Claimed::Refused(refusal));
        }
        written.object.request = to_json(&claim.object.request);
        tx.claim_message(&written).await.map_err(&failed)?;
        let now = claim.object.created_at;
        K::written(&mut tx, &claim.object, now)
            .await
            .map_err(&failed)?;
        match tx.commit().await {
            Ok(()) => Ok(Claimed::Mine(claim)),
            Err(error) => Err(lost_claim(&error, claim.object.id)),
        }
    }

    /// What is to be written for a request, or why it cannot be served.
    #[expect(
        clippy::too_many_arguments,
        reason = "who, what and whereby: all that a claim keeps"
    )]
    pub(in crate::service) fn prepare(
        &self,
        caller: &Caller,
        origin: &Origin,
        intent: Intent,
        id: Uuid,
        new: Draft<K>,
        route: Result<Route, Refusal>,
        attempt: AttemptWritten,
    ) -> Prepared<K> {
        let now = self.parts.clock.now();
        let key = intent.key.as_ref().map(|key| NewKeyClaim {
            environment: caller.environment,
            key: key.clone(),
            route: intent.route.to_owned(),
            request_hash: intent.hash,
            object_id: Some(id),
            now,
            expires_at: now + KEY_KEPT,
        });
        let route = match in_time(&new).and(route) {
            Ok(route) => route,
            Err(refusal) => {
                return Prepared::Refused(key.map(Box::new), intent, Box::new(refusal));
            }
        };
        let (connection, _) = &route.chosen;
        let mut request = new.request;
        let has_own_sender = K::SENDER_POINTER.is_none() || K::sender(&request).is_some();
        if !has_own_sender {
            set_sender::<K>(&mut request, &route.chosen);
        }
        let object = Object::<K> {
            id: K::id(id),
            environment: caller.environment,
            provider: connection.provider.to_string(),
            connection_id: connection.id,
            status: K::queued(),
            provider_ref: None,
            request,
            facts: K::first_facts(),
            metadata: new.metadata,
            version: 1,
            claimed_until: Some(now + CLAIM_MAX),
            refreshed_at: None,
            created_at: now,
            updated_at: now,
        };
        let row = NewObject {
            id,
            environment: object.environment,
            kind: K::OBJECT,
            provider: object.provider.clone(),
            connection_id: object.connection_id,
            status: object.status.to_string(),
            request: to_json(&object.request),
            content: K::HAS_CONTENT.then(|| to_json(&new.content)),
            result: to_json(&object.facts),
            metadata: object.metadata.clone(),
            claimed_until: object.claimed_until,
            created_at: now,
        };
        let claim = Box::new(Claim {
            caller: caller.clone(),
            origin: origin.clone(),
            intent,
            object,
            content: new.content,
            attempt: AttemptId::from_uuid(ids::next()),
            route,
            has_own_sender,
        });
        let written = MessageClaim {
            key,
            object: row,
            due_at: now + CLAIM_MAX,
            attempt: (attempt == AttemptWritten::WithClaim).then(|| self.new_attempt(&claim)),
            page: K::page(&claim.object),
        };
        Prepared::Claim(claim, Box::new(written))
    }

    fn claimed_before(&self, row: IdempotencyRow, intent: &Intent) -> Claimed<K> {
        self.replay(row, intent)
            .map_or_else(Claimed::Refused, Claimed::Answered)
    }

    /// Answers a request that cannot be served: by its twin's answer, or with the reason.
    async fn refuse(
        &self,
        tx: &mut TenantTx,
        key: Option<NewKeyClaim>,
        intent: &Intent,
        refusal: Refusal,
    ) -> Result<Claimed<K>, Refusal> {
        let failed = Self::store_failed(CLAIMING);
        let Some(key) = key else {
            return Ok(Claimed::Refused(refusal));
        };
        if let KeyClaim::Existing(row) = tx.claim_key(&key).await.map_err(&failed)? {
            return Ok(self.claimed_before(row, intent));
        }
        // Others may be claimed in the same transaction, so a rollback is not enough.
        tx.release_key(key.environment, &key.key)
            .await
            .map_err(&failed)?;
        Ok(Claimed::Refused(refusal))
    }

    /// Writes down that the message is about to go over its route's connection.
    pub(in crate::service) async fn claim_attempt(
        &self,
        tx: &mut TenantTx,
        claim: &Claim<K>,
    ) -> Result<(), StoreError> {
        tx.insert_attempt(&self.new_attempt(claim)).await
    }

    fn new_attempt(&self, claim: &Claim<K>) -> NewAttempt {
        let (connection, adapter) = &claim.route.chosen;
        let honours_keys = honours_keys(adapter.manifest(), K::CREATE_OPERATION);
        NewAttempt {
            id: claim.attempt,
            object_id: K::uuid(claim.object.id),
            operation: K::CREATE_NAME.to_owned(),
            provider_key: if honours_keys {
                provider_key(&claim.object).as_str().to_owned()
            } else {
                String::new()
            },
            started_at: self.parts.clock.now(),
            batch_id: None,
            connection_id: connection.id,
            routing: claim.route.reasons(),
        }
    }

    /// Over which connections a message may go.
    pub(in crate::service) async fn route(
        &self,
        caller: &Caller,
        id: Uuid,
        new: &Draft<K>,
    ) -> Result<Route, Refusal> {
        let need = Need {
            environment: caller.environment,
            category: K::CATEGORY,
            capability: K::CREATE,
            provider: new.provider.as_ref(),
            has_sender: K::SENDER_POINTER.is_none() || K::sender(&new.request).is_some(),
            sender_pointer: K::SENDER_POINTER.unwrap_or_default(),
            recipients: K::recipients(&new.request),
            currency: K::currency(&new.request),
            only: K::connection(&new.request),
            metadata: new.metadata.pairs(),
        };
        let connections = &self.parts.connections;
        connections.route(caller.tenant, &need, id.as_u128()).await
    }
}

/// Names the connection's sender, where it has one only. Written down, so that a repetition is the
/// same even if the setting has changed.
pub(super) fn set_sender<K: Kind>(request: &mut K::Request, (connection, adapter): &Chosen) {
    let only = connection.only_sender(adapter.manifest());
    K::set_sender(request, only.map(ToOwned::to_owned));
}

/// A new message cannot be sent in the past.
fn in_time<K: Kind>(new: &Draft<K>) -> Result<(), Refusal> {
    match &new.late {
        Some(late) => Err(Refusal::invalid(vec![late.clone()])),
        None => Ok(()),
    }
}

/// The database was lost while it took a claim: it may have it. Then the claim will be found dead
/// and settled, by sending it where the provider honours keys; so the caller must not.
pub(in crate::service) fn lost_claim(error: &dyn std::error::Error, id: impl ToString) -> Refusal {
    tracing::error!(%error, "cannot tell whether a claim was committed");
    Refusal::new(
        ErrorCode::OutcomeUnknown,
        "The gateway lost its database while it took this request. Read the object: if it does not exist, nothing was taken. Do not send this again without the same Idempotency-Key.",
    )
    .about(id)
}

/// Whether the provider recognises a repeated request of this operation by our key.
pub(in crate::service) fn honours_keys(manifest: &Manifest, operation: &str) -> bool {
    manifest
        .operations
        .get(operation)
        .is_some_and(|rule| rule.idempotency.is_some())
}

/// The key of a single send: the same over all attempts.
pub(super) fn provider_key<K: Kind>(object: &Object<K>) -> ProviderKey {
    ProviderKey::derive(object.id, K::CREATE_NAME, 1)
}

pub(in crate::service) fn send_ids<K: Kind>(object: &Object<K>, attempt: AttemptId) -> CallIds {
    ids_with_key(object, attempt, provider_key(object).as_str())
}

/// With the key of an earlier attempt: it stays what it was, however keys are derived today.
pub(super) fn ids_with_key<K: Kind>(
    object: &Object<K>,
    attempt: AttemptId,
    provider_key: &str,
) -> CallIds {
    CallIds {
        object_id: object.id.to_string(),
        attempt_id: attempt.to_string(),
        provider_key: provider_key.to_owned(),
        webhook_url: None,
    }
}
