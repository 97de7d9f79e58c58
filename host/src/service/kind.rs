//! What differs between the kinds of objects; everything else is written once.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use onerouter_domain::code::ErrorCode;
use onerouter_domain::cost::{Cost, CostSource};
use onerouter_domain::environment::Environment;
use onerouter_domain::failure::Failure;
use onerouter_domain::id::{ConnectionId, TenantId};
use onerouter_domain::money::Currency;
use onerouter_engine::wit::{common, payments};
use onerouter_engine::{Adapter, CallContext, CallReport};
use onerouter_manifest::{Capability, Category, Manifest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::connections::Chosen;
use super::object::{Object, Reported};
use super::objects::Objects;
use super::refusal::Refusal;
use crate::store::AttemptRow;
use crate::store::ObjectKind;
use crate::store::{StoreError, TenantTx};

/// Ids that a write carries to the adapter.
#[derive(Debug, Clone)]
pub struct CallIds {
    /// The object's.
    pub object_id: String,
    /// This attempt's.
    pub attempt_id: String,
    /// The key toward the provider.
    pub provider_key: String,
    /// Where the provider may tell what becomes of it; none where it cannot reach us.
    pub webhook_url: Option<String>,
}

/// When a lost object may have been created at the provider, in milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Not before.
    pub after_ms: u64,
    /// Not after.
    pub before_ms: u64,
}

impl From<Window> for payments::Window {
    fn from(window: Window) -> Self {
        Self {
            after: window.after_ms,
            before: window.before_ms,
        }
    }
}

/// What is known of an object besides its status.
pub trait Facts:
    Clone + fmt::Debug + Default + PartialEq + Serialize + DeserializeOwned + Send + Sync
{
    /// Takes over what a report says. What it leaves out stays: an answer to a create knows less than a
    /// read does.
    fn merge(&mut self, reported: Self, weight: Weight);

    /// Notes why it failed.
    fn set_failure(&mut self, failure: Failure);

    /// Notes why the last action came to nothing; none once the object has moved on.
    fn set_refusal(&mut self, refusal: Option<Failure>) {
        if let Some(refusal) = refusal {
            self.set_failure(refusal);
        }
    }

    /// The last action came to nothing: why it failed is kept as its refusal, which the next read
    /// does not take back.
    fn hold_failure(&mut self) {}
}

/// What a report counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    /// Its status is the object's now: why it failed and the raw answer belong to that.
    pub moved: bool,
    /// That was the object's status before, too.
    pub was_known: bool,
    /// Nothing comes after that status.
    pub has_ended: bool,
    /// Nothing has changed here since it was asked for.
    pub is_latest: bool,
}

/// Something that is done with an object that exists.
pub trait Action: Clone + fmt::Debug + Send + Sync + 'static {
    /// Name in attempts, in keys toward the provider, and at the end of the route.
    fn name(&self) -> &'static str;
}

/// A kind of object.
pub trait Kind: Send + Sync + fmt::Debug + Clone + 'static {
    /// Its ids.
    type Id: Copy + fmt::Debug + fmt::Display + FromStr + Send + Sync;
    /// Its statuses.
    type Status: Copy + PartialEq + fmt::Debug + fmt::Display + FromStr + Send + Sync;
    /// What a caller asks for; kept as long as the object.
    type Request: Clone + fmt::Debug + Serialize + DeserializeOwned + Send + Sync;
    /// The large part of a request; read only to send it or to show one object.
    type Content: Clone + fmt::Debug + Serialize + DeserializeOwned + Send + Sync;
    /// What comes back.
    type Facts: Facts;
    /// What can be done with it later.
    type Action: Action;

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
    /// What an adapter must be able to do to create it.
    const CREATE: Capability;
    /// Name of its creation in attempts and keys toward the provider.
    const CREATE_NAME: &'static str;
    /// The creation's name in the manifest's `operations`.
    const CREATE_OPERATION: &'static str;
    /// The request field that names a sender; none where nobody sends.
    const SENDER_POINTER: Option<&'static str> = None;
    /// Whether more is written with it than the object, and looked at before: then it is claimed and
    /// settled in transactions of its own. See [`Kind::admit`] and [`Kind::written`].
    const IS_ALONE: bool = false;
    /// Whether it is asked about without anybody's reading it: see [`Kind::watch_again`].
    const IS_FOLLOWED: bool = false;
    /// Whether a search at the provider finds what carries our id, and not only what looks alike.
    const IS_FOUND_EXACTLY: bool = false;
    /// Whether a search that finds nothing proves that it was not made.
    const IS_LISTED: bool = false;
    /// Whether one that nobody has seen does no harm: nobody pays what nobody was asked to pay.
    const IS_HARMLESS_UNSEEN: bool = false;
    /// Whether some of its actions can be done later by the gateway: see [`Kind::can_wait`].
    const CAN_WAIT: bool = false;

    /// An id from its UUID.
    fn id(uuid: Uuid) -> Self::Id;
    /// The UUID of an id.
    fn uuid(id: Self::Id) -> Uuid;
    /// The status between the claim and the provider's answer.
    fn queued() -> Self::Status;
    /// The status of a refused one.
    fn failed() -> Self::Status;
    /// The status while nobody knows.
    fn unknown() -> Self::Status;
    /// Whether the gateway stops asking.
    fn is_terminal(status: Self::Status) -> bool;
    /// The status after a report.
    fn merge(status: Self::Status, facts: &Self::Facts, reported: &Reported<Self>) -> Self::Status;
    /// Whether the end is the same in whatever order reports come. If not, one that was asked for
    /// before another change says nothing.
    fn reports_commute(_object: &Object<Self>) -> bool {
        true
    }
    /// What it means that the provider does not have it any more; none where that says nothing.
    fn when_gone(_object: &Object<Self>, _now: DateTime<Utc>) -> Option<Reported<Self>> {
        None
    }
    /// Whether an object that is not terminal is too old to ask about.
    fn is_settled_by_age(_object: &Object<Self>, _now: DateTime<Utc>) -> bool {
        false
    }
    /// The request's own sender.
    fn sender(_request: &Self::Request) -> Option<&str> {
        None
    }
    /// Writes the sender into the request.
    fn set_sender(_request: &mut Self::Request, _sender: Option<String>) {}
    /// Until when it can be asked for.
    fn latest(_object: &Object<Self>) -> Option<DateTime<Utc>> {
        None
    }
    /// Whether two requests go to the same recipient.
    fn same_recipient(_one: &Self::Request, _other: &Self::Request) -> bool {
        true
    }
    /// Everybody who gets it.
    fn recipients(_request: &Self::Request) -> Vec<&str> {
        Vec::new()
    }
    /// In which currency somebody pays.
    fn currency(_request: &Self::Request) -> Option<Currency> {
        None
    }
    /// The connection that alone can serve it.
    fn connection(_request: &Self::Request) -> Option<ConnectionId> {
        None
    }
    /// What is known of it before the provider has answered.
    fn first_facts() -> Self::Facts {
        Self::Facts::default()
    }
    /// Refusals of an adapter, by [`common::Failure::code`], that are about what was asked for.
    fn is_word_on_the_first(code: &str) -> bool;

    /// Looks, in the transaction that makes it, at what else must hold; it may still change.
    fn admit(
        _tx: &mut TenantTx,
        _object: &mut Object<Self>,
    ) -> impl Future<Output = Result<Result<(), Refusal>, StoreError>> + Send {
        std::future::ready(Ok(Ok(())))
    }

    /// By what the buyer's page of a new one is found.
    fn page(_object: &Object<Self>) -> Option<[u8; 32]> {
        None
    }

    /// Whether [`Kind::written`] has something to write, so that it is settled by itself.
    fn has_more(_object: &Object<Self>) -> bool {
        Self::IS_ALONE
    }

    /// Writes what belongs to it, in the transaction that changes it.
    fn written(
        _tx: &mut TenantTx,
        _object: &Object<Self>,
        _now: DateTime<Utc>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        std::future::ready(Ok(()))
    }

    /// Hands it to the provider.
    fn create(
        adapter: &Adapter,
        context: &CallContext,
        ids: CallIds,
        object: &Object<Self>,
        content: &Self::Content,
    ) -> impl Future<Output = CallReport<Reported<Self>>> + Send;

    /// Reads one of which the provider's id is known.
    fn get(
        adapter: &Adapter,
        context: &CallContext,
        object: &Object<Self>,
        provider_ref: &str,
    ) -> impl Future<Output = CallReport<Reported<Self>>> + Send;

    /// Finds lost ones again; none where the adapter cannot.
    fn find(
        _adapter: &Adapter,
        _context: &CallContext,
        _ids: CallIds,
        _object: &Object<Self>,
        _window: Window,
    ) -> impl Future<Output = Option<CallReport<Vec<Reported<Self>>>>> + Send {
        std::future::ready(None)
    }

    /// What an adapter must be able to do for an action.
    fn needed_for(action: &Self::Action) -> Capability;
    /// Whether the object's state allows an action.
    ///
    /// # Errors
    /// Why not; `invalid_state` for the most part.
    fn allow(object: &Object<Self>, action: &Self::Action) -> Result<(), Refusal>;
    /// Does something with one of which the provider's id is known.
    #[expect(clippy::too_many_arguments, reason = "who, with which ids, on what")]
    fn act(
        adapter: &Adapter,
        context: &CallContext,
        ids: CallIds,
        object: &Object<Self>,
        provider_ref: &str,
        action: &Self::Action,
    ) -> impl Future<Output = CallReport<Reported<Self>>> + Send;
    /// Whether the object is what the action of this name makes of it.
    fn has_happened(object: &Object<Self>, action: &str) -> bool;
    /// Whether a refusal of an action is a state of the object and no error to its caller.
    fn refusal_is_state(_action: &Self::Action) -> bool {
        false
    }
    /// Whether an action that the provider accepted has moved nothing: it is no better than refused.
    fn came_to_nothing(_object: &Object<Self>, _action: &Self::Action) -> bool {
        false
    }
    /// Notes, before the provider is asked, what an action is to make of the object.
    fn begin(_object: &mut Object<Self>, _action: &Self::Action) {}
    /// Whether an action can be done later, where the provider cannot.
    fn can_wait(_action: &Self::Action) -> bool {
        false
    }
    /// Notes that an action is to be done later. Tells whether it is known when.
    fn postpone(_object: &mut Object<Self>, _action: &Self::Action) -> bool {
        false
    }
    /// The action that is to be done later, and when.
    fn postponed(_object: &Object<Self>) -> Option<(Self::Action, DateTime<Utc>)> {
        None
    }
    /// The provider has answered an action, and it was done or not: what was noted before may be void.
    fn acted(_object: &mut Object<Self>, _action: &Self::Action, _is_done: bool) {}
    /// Notes that the buyer has opened the object's page; `false` where that was noted lately.
    fn open_page(_object: &mut Object<Self>, _now: DateTime<Utc>) -> bool {
        false
    }
    /// What the provider waits for from the seller's side, whoever finds out.
    fn due(_object: &Object<Self>) -> Option<Self::Action> {
        None
    }
    /// When an open object is asked about without anybody's reading it.
    fn watch_again(_object: &Object<Self>, _now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        None
    }

    /// The large part of a request that has none.
    fn no_content() -> Option<Self::Content>;

    /// Settles the members of a set that was sent in one call.
    fn settle_batch(
        _objects: &Objects<Self>,
        _tenant: TenantId,
        _environment: Environment,
        _first: AttemptRow,
        _chosen: Chosen,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        // Most are created one by one.
        std::future::ready(Ok(()))
    }

    /// The object as users see it: JSON text.
    fn present(object: &Object<Self>, content: Option<&Self::Content>) -> Vec<u8>;
}

/// An object that has ended takes no action any more.
///
/// # Errors
/// `invalid_state`.
pub fn still_open<K: Kind>(object: &Object<K>, done: &str) -> Result<(), Refusal> {
    if K::is_terminal(object.status) {
        return Err(invalid_state(object, done));
    }
    Ok(())
}

/// The refusal of an action that the object's state does not allow.
#[must_use]
pub fn invalid_state<K: Kind>(object: &Object<K>, done: &str) -> Refusal {
    Refusal::new(
        ErrorCode::InvalidState,
        format!(
            "This {} is {} and cannot be {done}.",
            K::NOUN,
            object.status
        ),
    )
    .about(object.id)
}

/// A request without a large part.
#[derive(Debug, Clone, Copy, Default, Serialize, serde::Deserialize)]
pub struct NoContent {}

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
