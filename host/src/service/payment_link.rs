//! Payment links.

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::cost::Cost;
use onerouter_domain::failure::Failure;
use onerouter_domain::id::PaymentLinkId;
use onerouter_domain::money::{Currency, Money};
use onerouter_domain::payment::PaymentLinkStatus;
use onerouter_domain::time;
use onerouter_engine::wit::payment_links as wit;
use onerouter_engine::wit::payments as shared;
use onerouter_engine::{Adapter, CallContext, CallReport};
use onerouter_manifest::{Capability, Category};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::kind::{
    self, Action, CallIds, Facts, Kind, NoContent, Weight, Window, invalid_state, still_open,
};
use super::object::{Object, Reported};
use super::pages;
use super::paying::{self, Customer, Pages, State};
use super::refusal::Refusal;
use super::view::payment::PaymentLinkView;
use crate::store::ObjectKind;

/// Links live for half a year at most.
const WATCHED_FOR: TimeDelta = TimeDelta::days(190);

/// The kind.
#[derive(Debug, Clone, Copy)]
pub struct PaymentLink;

/// What a caller asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentLinkRequest {
    /// What is to be paid.
    pub amount: Money,
    /// For the buyer.
    pub description: String,
    /// Who pays.
    pub customer: Option<Customer>,
    /// Where the buyer goes afterwards.
    pub callback_url: Option<String>,
    /// When it stops working.
    pub expires_at: Option<DateTime<Utc>>,
    /// The buyer's pages: none while the request is compared with an earlier one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages: Option<Pages>,
}

/// What is known of a payment link.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PaymentLinkFacts {
    /// The furthest status that was ever reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reached: Option<PaymentLinkStatus>,
    /// The provider's id of the money's movement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_ref: Option<String>,
    /// Paid, in minor units.
    pub amount_paid: i64,
    /// The buyer has agreed and the provider waits for the capture.
    pub is_capture_due: bool,
    /// The link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short_url: Option<String>,
    /// When it stops working.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// The provider's fee.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// Why it failed, or why the buyer's last try did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Why the money was not taken when it was last asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Failure>,
    /// When the buyer last opened the link over the gateway's page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<DateTime<Utc>>,
    /// The buyer's means of payment were refused: nothing is taken before the buyer has come back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub waits_for_buyer: bool,
    /// What the adapter wants to be told again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub state: State,
    /// The provider's last raw answer: JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_data: Option<String>,
}

impl Facts for PaymentLinkFacts {
    fn merge(&mut self, new: Self, weight: Weight) {
        self.reached = self.reached.max(new.reached);
        self.payment_ref = new.payment_ref.or(self.payment_ref.take());
        self.amount_paid = self.amount_paid.max(new.amount_paid);
        self.short_url = new.short_url.or(self.short_url.take());
        self.expires_at = new.expires_at.or(self.expires_at);
        self.cost = new.cost.or(self.cost.take());
        if weight.moved || weight.is_latest {
            self.is_capture_due = new.is_capture_due;
        }
        if weight.moved && !new.state.is_empty() {
            self.state = new.state;
        }
        paying::keep_story(
            (&mut self.failure, &mut self.provider_data),
            (new.failure, new.provider_data),
            weight.moved,
        );
    }

    fn set_failure(&mut self, failure: Failure) {
        self.failure = Some(failure);
    }

    fn set_refusal(&mut self, refusal: Option<Failure>) {
        self.waits_for_buyer = refusal.as_ref().is_some_and(paying::is_for_the_buyer);
        self.refusal = refusal;
    }

    fn hold_failure(&mut self) {
        let failure = self.failure.take();
        self.set_refusal(failure);
    }
}

/// What can be done with a payment link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentLinkAction {
    /// Takes the money that the buyer has agreed to.
    Capture,
    /// Makes it stop working.
    Cancel,
}

const CAPTURE: &str = "capture";
const CANCEL: &str = "cancel";

impl Action for PaymentLinkAction {
    fn name(&self) -> &'static str {
        match self {
            Self::Capture => CAPTURE,
            Self::Cancel => CANCEL,
        }
    }
}

impl Object<PaymentLink> {
    fn reference(&self, provider_ref: &str) -> shared::Reference {
        shared::Reference {
            object_id: Some(self.id.to_string()),
            provider_id: provider_ref.to_owned(),
            provider_payment_id: self.facts.payment_ref.clone(),
            amount: Some(paying::to_money(self.request.amount)),
            state: self.facts.state.clone(),
        }
    }
}

impl Kind for PaymentLink {
    type Id = PaymentLinkId;
    type Status = PaymentLinkStatus;
    type Request = PaymentLinkRequest;
    type Content = NoContent;
    type Facts = PaymentLinkFacts;
    type Action = PaymentLinkAction;

    const NAME: &'static str = "payment_link";
    const OBJECT: ObjectKind = ObjectKind::PaymentLink;
    const HAS_CONTENT: bool = false;
    const NOUN: &'static str = "payment link";
    const CATEGORY: Category = Category::Payments;
    const CREATE: Capability = Capability::PaymentLinks;
    const CREATE_NAME: &'static str = "create";
    const CREATE_OPERATION: &'static str = "payment_links.create";
    const IS_FOLLOWED: bool = true;
    const IS_FOUND_EXACTLY: bool = true;
    const IS_HARMLESS_UNSEEN: bool = true;

    fn id(uuid: Uuid) -> PaymentLinkId {
        PaymentLinkId::from_uuid(uuid)
    }

    fn uuid(id: PaymentLinkId) -> Uuid {
        id.uuid()
    }

    fn queued() -> PaymentLinkStatus {
        PaymentLinkStatus::Created
    }

    fn failed() -> PaymentLinkStatus {
        PaymentLinkStatus::Failed
    }

    fn unknown() -> PaymentLinkStatus {
        PaymentLinkStatus::Unknown
    }

    fn is_terminal(status: PaymentLinkStatus) -> bool {
        status.is_terminal()
    }

    fn merge(
        status: PaymentLinkStatus,
        facts: &PaymentLinkFacts,
        reported: &Reported<Self>,
    ) -> PaymentLinkStatus {
        match facts.reached {
            None => status.merge(reported.status),
            Some(reached) => status.max(reached).merge(reported.status),
        }
    }

    fn when_gone(object: &Object<Self>, now: DateTime<Utc>) -> Option<Reported<Self>> {
        let is_unpaid = object.status == PaymentLinkStatus::Created;
        if !is_unpaid || !pages::is_old(object.created_at, now) {
            return None;
        }
        Some(Reported {
            provider_ref: object.provider_ref.clone()?,
            status: PaymentLinkStatus::Expired,
            facts: PaymentLinkFacts {
                reached: Some(PaymentLinkStatus::Expired),
                ..PaymentLinkFacts::default()
            },
        })
    }

    fn currency(request: &PaymentLinkRequest) -> Option<Currency> {
        Some(request.amount.currency())
    }

    fn latest(object: &Object<Self>) -> Option<DateTime<Utc>> {
        object.request.expires_at
    }

    fn is_word_on_the_first(code: &str) -> bool {
        paying::is_word_on_the_first(code)
    }

    fn page(object: &Object<Self>) -> Option<[u8; 32]> {
        object.request.pages.as_ref().map(pages::hash)
    }

    async fn create(
        adapter: &Adapter,
        context: &CallContext,
        ids: CallIds,
        object: &Object<Self>,
        _content: &NoContent,
    ) -> CallReport<Reported<Self>> {
        let request = to_wit(ids, object);
        adapter
            .payment_link_create(context, &request)
            .await
            .map(from_wit)
    }

    async fn get(
        adapter: &Adapter,
        context: &CallContext,
        object: &Object<Self>,
        provider_ref: &str,
    ) -> CallReport<Reported<Self>> {
        let link = object.reference(provider_ref);
        adapter.payment_link_get(context, &link).await.map(from_wit)
    }

    async fn find(
        adapter: &Adapter,
        context: &CallContext,
        ids: CallIds,
        object: &Object<Self>,
        window: Window,
    ) -> Option<CallReport<Vec<Reported<Self>>>> {
        if !adapter.can(Capability::PaymentLinkLookup) {
            return None;
        }
        let request = to_wit(ids, object);
        let report = adapter
            .payment_link_find(context, &request, window.into())
            .await;
        Some(report.map(|found| found.into_iter().map(from_wit).collect()))
    }

    fn needed_for(_action: &PaymentLinkAction) -> Capability {
        Capability::PaymentLinks
    }

    fn allow(object: &Object<Self>, action: &PaymentLinkAction) -> Result<(), Refusal> {
        match action {
            PaymentLinkAction::Capture if object.facts.is_capture_due => {
                still_open(object, "captured")
            }
            PaymentLinkAction::Capture => Err(invalid_state(object, "captured now")),
            PaymentLinkAction::Cancel => still_open(object, "canceled any more"),
        }
    }

    async fn act(
        adapter: &Adapter,
        context: &CallContext,
        ids: CallIds,
        object: &Object<Self>,
        provider_ref: &str,
        action: &PaymentLinkAction,
    ) -> CallReport<Reported<Self>> {
        let link = object.reference(provider_ref);
        let attempt = paying::attempt(&ids);
        let report = match action {
            PaymentLinkAction::Capture => {
                adapter.payment_link_capture(context, &link, &attempt).await
            }
            PaymentLinkAction::Cancel => {
                adapter.payment_link_cancel(context, &link, &attempt).await
            }
        };
        report.map(from_wit)
    }

    fn has_happened(object: &Object<Self>, action: &str) -> bool {
        match action {
            CAPTURE => object.status == PaymentLinkStatus::Paid,
            CANCEL => object.status == PaymentLinkStatus::Canceled,
            _ => false,
        }
    }

    fn refusal_is_state(action: &PaymentLinkAction) -> bool {
        *action == PaymentLinkAction::Capture
    }

    fn came_to_nothing(object: &Object<Self>, action: &PaymentLinkAction) -> bool {
        let is_unpaid = object.status == PaymentLinkStatus::Created;
        *action == PaymentLinkAction::Capture && is_unpaid && object.facts.failure.is_some()
    }

    fn due(object: &Object<Self>) -> Option<PaymentLinkAction> {
        let is_open = !object.status.is_terminal() && object.status != PaymentLinkStatus::Unknown;
        let is_due = object.facts.is_capture_due && !object.facts.waits_for_buyer;
        (is_open && is_due).then_some(PaymentLinkAction::Capture)
    }

    fn open_page(object: &mut Object<Self>, now: DateTime<Utc>) -> bool {
        let was_waiting = std::mem::take(&mut object.facts.waits_for_buyer);
        pages::note_opened(&mut object.facts.opened_at, object.created_at, now) || was_waiting
    }

    fn watch_again(object: &Object<Self>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if object.status.is_terminal() {
            return None;
        }
        let opened_at = object.facts.opened_at.unwrap_or(object.created_at);
        pages::look_again(opened_at, now, WATCHED_FOR)
    }

    fn no_content() -> Option<NoContent> {
        Some(NoContent {})
    }

    fn present(object: &Object<Self>, _content: Option<&NoContent>) -> Vec<u8> {
        serde_json::to_vec(&PaymentLinkView::from(object)).unwrap_or_default()
    }
}

fn to_wit(ids: CallIds, object: &Object<PaymentLink>) -> wit::CreateRequest {
    let request = &object.request;
    let attempt = paying::attempt(&ids);
    let page = |of: fn(&Pages) -> String| request.pages.as_ref().map(of).unwrap_or_default();
    wit::CreateRequest {
        object_id: ids.object_id,
        attempt,
        amount: paying::to_money(request.amount),
        description: request.description.clone(),
        customer: request.customer.as_ref().map(Customer::to_wit),
        return_url: page(Pages::back),
        cancel_url: page(Pages::given_up),
        expires_at: request.expires_at.map(time::to_millis),
        metadata: paying::pairs(object.metadata.pairs()),
        extra: Vec::new(),
    }
}

fn from_wit(link: wit::PaymentLink) -> Reported<PaymentLink> {
    let status = link.status.parse().unwrap_or(PaymentLinkStatus::Unknown);
    Reported {
        provider_ref: link.provider_id,
        status,
        facts: PaymentLinkFacts {
            reached: Some(status),
            payment_ref: link.provider_payment_id,
            amount_paid: paying::units(link.amount_paid),
            is_capture_due: link.is_capture_due,
            short_url: link.short_url,
            expires_at: link
                .expires_at
                .and_then(|millis| DateTime::from_timestamp_millis(i64::try_from(millis).ok()?)),
            cost: link.cost.as_ref().and_then(kind::cost),
            failure: link.failure.map(kind::failure),
            refusal: None,
            opened_at: None,
            waits_for_buyer: false,
            state: link.state,
            provider_data: link.raw,
        },
    }
}
