//! What differs between the kinds of messages; everything else is written once.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use onerouter_domain::cost::{Cost, CostSource};
use onerouter_domain::environment::Environment;
use onerouter_domain::failure::Failure;
use onerouter_domain::id::TenantId;
use onerouter_engine::wit::common;
use onerouter_engine::{Adapter, CallContext, CallReport};
use onerouter_manifest::{Capability, Category, Manifest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::connections::Chosen;
use super::messages::Messages;
use super::object::{Object, Reported};
use crate::store::AttemptRow;
use crate::store::ObjectKind;
use crate::store::StoreError;

/// Ids that a send carries to the adapter.
#[derive(Debug, Clone)]
pub struct SendIds {
    /// The object's.
    pub object_id: String,
    /// This attempt's.
    pub attempt_id: String,
    /// The key toward the provider.
    pub provider_key: String,
}

/// When a lost message may have been created at the provider, in milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Not before.
    pub after_ms: u64,
    /// Not after.
    pub before_ms: u64,
}

/// A kind of message.
pub trait Kind: Send + Sync + fmt::Debug + Clone + 'static {
    /// Its ids.
    type Id: Copy + fmt::Debug + fmt::Display + FromStr + Send + Sync;
    /// Its statuses.
    type Status: Copy + PartialEq + fmt::Debug + fmt::Display + FromStr + Send + Sync;
    /// What a caller asks for; kept as long as the object.
    type Request: Clone + fmt::Debug + Serialize + DeserializeOwned + Send + Sync;
    /// The large part of a request; read only to send it or to show one object.
    type Content: Clone + fmt::Debug + Serialize + DeserializeOwned + Send + Sync;

    /// Name in rows, ids and event types.
    const NAME: &'static str;
    /// Its kind in the store.
    const OBJECT: ObjectKind;
    /// Whether a request has a large part.
    const HAS_CONTENT: bool;
    /// What a person calls it.
    const NOUN: &'static str;
    /// Its category.
    const CATEGORY: Category;
    /// What an adapter must be able to do to serve it.
    const SEND: Capability;
    /// What it must be able to do to cancel.
    const CANCEL: Capability;
    /// The request field that names a sender.
    const SENDER_POINTER: &'static str;
    /// The operation's name in the manifest's `operations`.
    const SEND_OPERATION: &'static str;

    /// An id from its UUID.
    fn id(uuid: Uuid) -> Self::Id;
    /// The UUID of an id.
    fn uuid(id: Self::Id) -> Uuid;
    /// The status between the claim and the provider's answer.
    fn queued() -> Self::Status;
    /// The status of a refused one.
    fn failed() -> Self::Status;
    /// The status of one that was taken back.
    fn canceled() -> Self::Status;
    /// The status while nobody knows.
    fn unknown() -> Self::Status;
    /// Whether the gateway stops asking.
    fn is_terminal(status: Self::Status) -> bool;
    /// The status after a report.
    fn merge(status: Self::Status, reported: Self::Status) -> Self::Status;
    /// Whether an object that is not terminal is too old to ask about.
    fn is_settled_by_age(object: &Object<Self>, now: DateTime<Utc>) -> bool;
    /// The request's own sender.
    fn sender(request: &Self::Request) -> Option<&str>;
    /// When it is to be sent.
    fn send_at(request: &Self::Request) -> Option<DateTime<Utc>>;
    /// Whether two requests go to the same recipient.
    fn same_recipient(one: &Self::Request, other: &Self::Request) -> bool;
    /// Everybody who gets it.
    fn recipients(request: &Self::Request) -> Vec<&str>;
    /// Writes the sender into the request.
    fn set_sender(request: &mut Self::Request, sender: Option<String>);

    /// Hands it to the provider.
    fn send(
        adapter: &Adapter,
        context: &CallContext,
        ids: SendIds,
        request: &Self::Request,
        content: &Self::Content,
    ) -> impl Future<Output = CallReport<Reported<Self>>> + Send;

    /// Reads it.
    fn get(
        adapter: &Adapter,
        context: &CallContext,
        provider_ref: &str,
    ) -> impl Future<Output = CallReport<Reported<Self>>> + Send;

    /// Takes it back.
    fn cancel(
        adapter: &Adapter,
        context: &CallContext,
        provider_ref: &str,
    ) -> impl Future<Output = CallReport<Reported<Self>>> + Send;

    /// Finds lost ones again; none where the adapter cannot.
    fn find(
        adapter: &Adapter,
        context: &CallContext,
        ids: SendIds,
        request: &Self::Request,
        window: Window,
    ) -> impl Future<Output = Option<CallReport<Vec<Reported<Self>>>>> + Send;

    /// The large part of a request that has none.
    fn no_content() -> Option<Self::Content>;

    /// Settles the members of a set that was sent in one call.
    fn settle_batch(
        messages: &Messages<Self>,
        tenant: TenantId,
        environment: Environment,
        first: AttemptRow,
        chosen: Chosen,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The object as users see it: JSON text.
    fn present(object: &Object<Self>, content: Option<&Self::Content>) -> Vec<u8>;
}

/// A failure as it is stored.
#[must_use]
pub fn failure(failure: common::Failure) -> Failure {
    Failure {
        code: failure.code,
        message: failure.message,
        retryable: failure.retryable,
        provider_code: failure.provider_code,
        provider_message: failure.provider_message,
    }
}

/// What the provider charged. The engine has checked the form.
#[must_use]
pub fn cost(cost: &common::Cost) -> Option<Cost> {
    Cost::parse(&cost.amount, &cost.currency, CostSource::Provider).ok()
}

/// What it will probably cost, by the adapter's price table.
#[must_use]
pub fn estimate(manifest: &Manifest, category: Category, to: &str, count: u32) -> Option<Cost> {
    let price = manifest
        .prices
        .iter()
        .find(|price| price.category == category && to.starts_with(price.prefix.as_str()))?;
    Cost::parse(&price.amount, &price.currency, CostSource::Estimate)
        .ok()?
        .times(count)
}

/// The provider's word counts for more than an estimate; the newer of two for more than the older.
#[must_use]
pub fn better_cost(new: Cost, old: Cost) -> Cost {
    match (new.source(), old.source()) {
        (CostSource::Estimate, CostSource::Provider) => old,
        (CostSource::Provider | CostSource::Estimate, _) => new,
    }
}
