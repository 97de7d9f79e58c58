//! Payments.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::cost::Cost;
use onerouter_domain::failure::Failure;
use onerouter_domain::id::PaymentId;
use onerouter_domain::money::{Currency, Money};
use onerouter_domain::payment::{PaymentProgress, PaymentStatus};
use onerouter_engine::wit::payments as wit;
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
use super::refusal::{FieldMistake, Refusal};
use super::view::payment::PaymentView;
use crate::store::ObjectKind;
use crate::store::{StoreError, TenantTx};

/// Nobody asks for an unpaid payment any more this long after its page was made or opened.
const WATCHED_FOR: TimeDelta = TimeDelta::days(30);
/// No provider holds money for longer without having taken it.
const RESERVED_FOR: TimeDelta = TimeDelta::days(35);
/// What a failed refund gives back is looked for so long.
const COUNTED_ANEW_FOR: TimeDelta = TimeDelta::days(3);
/// A payment that failed may still be authorized, for the most part soon.
const LATE_AUTHORIZATION: TimeDelta = TimeDelta::hours(6);

/// The kind.
#[derive(Debug, Clone, Copy)]
pub struct Payment;

/// Who captures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptureMode {
    /// The gateway, as soon as the buyer has agreed.
    Automatic,
    /// The caller.
    Manual,
}

/// What a caller asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRequest {
    /// What is to be paid.
    pub amount: Money,
    /// Who captures.
    pub capture: CaptureMode,
    /// The caller's own reference.
    pub receipt: Option<String>,
    /// For the buyer.
    pub description: Option<String>,
    /// How the buyer should pay.
    pub method: Option<String>,
    /// Who pays.
    pub customer: Option<Customer>,
    /// Where the buyer goes afterwards.
    pub return_url: Option<String>,
    /// Where a buyer who gives up goes.
    pub cancel_url: Option<String>,
    /// Wishes that not every provider knows.
    pub hints: BTreeMap<String, String>,
    /// The buyer's pages: none while the request is compared with an earlier one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages: Option<Pages>,
}

/// What a payment waits for from our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// To reserve the money.
    Authorize,
    /// To take it.
    Capture,
}

/// A form that the buyer's browser posts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckoutForm {
    /// To where.
    pub action: String,
    /// What.
    pub fields: Vec<(String, String)>,
}

/// What is known of a payment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PaymentFacts {
    /// The furthest that was ever reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reached: Option<PaymentProgress>,
    /// The provider's id of the money's movement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_ref: Option<String>,
    /// Captured, in minor units.
    pub amount_captured: i64,
    /// Refunded by the provider's last count, in minor units. What is on its way may be in it, and comes
    /// back where the refund fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount_refunded: Option<i64>,
    /// Given back by refunds that were made here: these stay given.
    pub refunds_given: i64,
    /// A refund has failed that may be in the provider's count, which is asked for anew.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub counts_refunds_anew: bool,
    /// What the provider waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<Step>,
    /// The provider's page for the buyer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkout_url: Option<String>,
    /// A form that leads there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkout: Option<CheckoutForm>,
    /// What the provider's widget needs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub widget: BTreeMap<String, String>,
    /// How it was paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_method: Option<String>,
    /// More about that.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub method_details: BTreeMap<String, String>,
    /// The provider's fee.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// Why it failed, or why the buyer's last try did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Why the money was not reserved or taken when it was last asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Failure>,
    /// When the buyer last opened the page.
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

impl Facts for PaymentFacts {
    fn merge(&mut self, new: Self, weight: Weight) {
        self.reached = self.reached.max(new.reached);
        self.payment_ref = new.payment_ref.or(self.payment_ref.take());
        self.amount_captured = self.amount_captured.max(new.amount_captured);
        if new.amount_refunded.is_some() {
            self.amount_refunded = new.amount_refunded;
            self.counts_refunds_anew = false;
        }
        self.checkout_url = new.checkout_url.or(self.checkout_url.take());
        self.checkout = new.checkout.or(self.checkout.take());
        if !new.widget.is_empty() {
            self.widget = new.widget;
        }
        self.payment_method = new.payment_method.or(self.payment_method.take());
        if !new.method_details.is_empty() {
            self.method_details = new.method_details;
        }
        self.cost = new.cost.or(self.cost.take());
        if weight.moved || weight.is_latest {
            self.due = new.due;
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

/// What can be done with a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentAction {
    /// Reserves the money that the buyer has agreed to.
    Authorize,
    /// Takes it; none is all of it.
    Capture(Option<Money>),
    /// Gives it up.
    Cancel,
}

const AUTHORIZE: &str = "authorize";
const CAPTURE: &str = "capture";
const CANCEL: &str = "cancel";

impl Action for PaymentAction {
    fn name(&self) -> &'static str {
        match self {
            Self::Authorize => AUTHORIZE,
            Self::Capture(_) => CAPTURE,
            Self::Cancel => CANCEL,
        }
    }
}

impl PaymentFacts {
    /// Refunded, in minor units.
    #[must_use]
    pub fn refunded(&self) -> i64 {
        self.refunds_given.max(self.amount_refunded.unwrap_or(0))
    }
}

impl Object<Payment> {
    /// The payment as an adapter needs it.
    pub(super) fn reference(&self, provider_ref: &str) -> wit::Reference {
        wit::Reference {
            object_id: Some(self.id.to_string()),
            provider_id: provider_ref.to_owned(),
            provider_payment_id: self.facts.payment_ref.clone(),
            amount: Some(paying::to_money(self.request.amount)),
            state: self.facts.state.clone(),
        }
    }

    /// How much of the payment is captured.
    #[must_use]
    pub fn captured(&self) -> Money {
        paying::money(self.facts.amount_captured, self.request.amount.currency())
    }
}

impl Kind for Payment {
    type Id = PaymentId;
    type Status = PaymentStatus;
    type Request = PaymentRequest;
    type Content = NoContent;
    type Facts = PaymentFacts;
    type Action = PaymentAction;

    const NAME: &'static str = "payment";
    const OBJECT: ObjectKind = ObjectKind::Payment;
    const HAS_CONTENT: bool = false;
    const NOUN: &'static str = "payment";
    const CATEGORY: Category = Category::Payments;
    const CREATE: Capability = Capability::Payments;
    const CREATE_NAME: &'static str = "create";
    const CREATE_OPERATION: &'static str = "payments.create";
    const IS_FOLLOWED: bool = true;
    const IS_FOUND_EXACTLY: bool = true;
    const IS_HARMLESS_UNSEEN: bool = true;

    fn id(uuid: Uuid) -> PaymentId {
        PaymentId::from_uuid(uuid)
    }

    fn uuid(id: PaymentId) -> Uuid {
        id.uuid()
    }

    fn queued() -> PaymentStatus {
        PaymentStatus::Processing
    }

    fn failed() -> PaymentStatus {
        PaymentStatus::Failed
    }

    fn unknown() -> PaymentStatus {
        PaymentStatus::Unknown
    }

    fn is_terminal(status: PaymentStatus) -> bool {
        status.is_terminal()
    }

    fn merge(
        status: PaymentStatus,
        facts: &PaymentFacts,
        reported: &Reported<Self>,
    ) -> PaymentStatus {
        let reached = facts.reached.max(reported.facts.reached);
        // What stands there before anything was heard is ours.
        reached.map_or(status, PaymentProgress::status)
    }

    /// All but what was refunded: that falls again where a refund fails.
    fn reports_commute(object: &Object<Self>) -> bool {
        object.facts.refunded() == 0
    }

    fn when_gone(object: &Object<Self>, now: DateTime<Utc>) -> Option<Reported<Self>> {
        let is_unpaid = matches!(
            object.status,
            PaymentStatus::Created | PaymentStatus::RequiresAction
        );
        if !is_unpaid || !pages::is_old(object.created_at, now) {
            return None;
        }
        Some(Reported {
            provider_ref: object.provider_ref.clone()?,
            status: PaymentStatus::Expired,
            facts: PaymentFacts {
                reached: Some(PaymentProgress::Expired),
                ..PaymentFacts::default()
            },
        })
    }

    fn currency(request: &PaymentRequest) -> Option<Currency> {
        Some(request.amount.currency())
    }

    fn is_word_on_the_first(code: &str) -> bool {
        paying::is_word_on_the_first(code)
    }

    fn page(object: &Object<Self>) -> Option<[u8; 32]> {
        object.request.pages.as_ref().map(pages::hash)
    }

    fn has_more(object: &Object<Self>) -> bool {
        object.facts.payment_ref.is_some()
    }

    async fn written(
        tx: &mut TenantTx,
        object: &Object<Self>,
        _now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        if let Some(payment_ref) = &object.facts.payment_ref {
            tx.bind_provider_ref(object.connection_id, payment_ref, object.id.uuid())
                .await?;
        }
        Ok(())
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
            .payment_create(context, &request)
            .await
            .map(from_wit)
    }

    async fn get(
        adapter: &Adapter,
        context: &CallContext,
        object: &Object<Self>,
        provider_ref: &str,
    ) -> CallReport<Reported<Self>> {
        let payment = object.reference(provider_ref);
        adapter.payment_get(context, &payment).await.map(from_wit)
    }

    async fn find(
        adapter: &Adapter,
        context: &CallContext,
        ids: CallIds,
        object: &Object<Self>,
        window: Window,
    ) -> Option<CallReport<Vec<Reported<Self>>>> {
        if !adapter.can(Capability::PaymentLookup) {
            return None;
        }
        let request = to_wit(ids, object);
        let report = adapter.payment_find(context, &request, window.into()).await;
        Some(report.map(|found| found.into_iter().map(from_wit).collect()))
    }

    fn needed_for(_action: &PaymentAction) -> Capability {
        Capability::Payments
    }

    fn allow(object: &Object<Self>, action: &PaymentAction) -> Result<(), Refusal> {
        match action {
            PaymentAction::Cancel => still_open(object, "canceled any more"),
            PaymentAction::Authorize if object.facts.due == Some(Step::Authorize) => {
                still_open(object, "authorized any more")
            }
            PaymentAction::Authorize => Err(invalid_state(object, "authorized now")),
            PaymentAction::Capture(amount) => {
                let whole = object.request.amount;
                if amount.is_some_and(|amount| amount.minor_units() > whole.minor_units()) {
                    return Err(Refusal::invalid(vec![FieldMistake::new(
                        "/amount",
                        "out_of_range",
                        format!("may be at most {whole}, what was authorized"),
                    )]));
                }
                let is_due = object.facts.due == Some(Step::Capture);
                match object.status {
                    PaymentStatus::Authorized => Ok(()),
                    PaymentStatus::RequiresAction | PaymentStatus::Processing if is_due => Ok(()),
                    PaymentStatus::RequiresAction => {
                        Err(invalid_state(object, "captured before the buyer has paid"))
                    }
                    PaymentStatus::Unknown
                    | PaymentStatus::Created
                    | PaymentStatus::Processing
                    | PaymentStatus::Failed
                    | PaymentStatus::Expired
                    | PaymentStatus::Canceled
                    | PaymentStatus::Succeeded => Err(invalid_state(object, "captured")),
                }
            }
        }
    }

    async fn act(
        adapter: &Adapter,
        context: &CallContext,
        ids: CallIds,
        object: &Object<Self>,
        provider_ref: &str,
        action: &PaymentAction,
    ) -> CallReport<Reported<Self>> {
        let payment = object.reference(provider_ref);
        let attempt = paying::attempt(&ids);
        let report = match action {
            PaymentAction::Authorize => {
                adapter.payment_authorize(context, &payment, &attempt).await
            }
            PaymentAction::Capture(amount) => {
                let amount = paying::to_money(amount.unwrap_or(object.request.amount));
                adapter
                    .payment_capture(context, &payment, &amount, &attempt)
                    .await
            }
            PaymentAction::Cancel => adapter.payment_cancel(context, &payment, &attempt).await,
        };
        report.map(from_wit)
    }

    fn has_happened(object: &Object<Self>, action: &str) -> bool {
        match action {
            CAPTURE => object.status == PaymentStatus::Succeeded,
            CANCEL => object.status == PaymentStatus::Canceled,
            _ => false,
        }
    }

    fn refusal_is_state(action: &PaymentAction) -> bool {
        matches!(action, PaymentAction::Capture(_) | PaymentAction::Authorize)
    }

    fn came_to_nothing(object: &Object<Self>, action: &PaymentAction) -> bool {
        match action {
            PaymentAction::Authorize => matches!(
                object.status,
                PaymentStatus::Created | PaymentStatus::RequiresAction
            ),
            PaymentAction::Capture(_) => matches!(
                object.status,
                PaymentStatus::Created | PaymentStatus::RequiresAction | PaymentStatus::Authorized
            ),
            PaymentAction::Cancel => false,
        }
    }

    fn due(object: &Object<Self>) -> Option<PaymentAction> {
        let is_settled = object.status.is_terminal() || object.status == PaymentStatus::Unknown;
        if is_settled || object.facts.waits_for_buyer {
            return None;
        }
        match (object.facts.due?, object.request.capture) {
            (Step::Authorize, _) => Some(PaymentAction::Authorize),
            (Step::Capture, CaptureMode::Automatic) => Some(PaymentAction::Capture(None)),
            (Step::Capture, CaptureMode::Manual) => None,
        }
    }

    fn open_page(object: &mut Object<Self>, now: DateTime<Utc>) -> bool {
        let was_waiting = std::mem::take(&mut object.facts.waits_for_buyer);
        pages::note_opened(&mut object.facts.opened_at, object.created_at, now) || was_waiting
    }

    fn watch_again(object: &Object<Self>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let is_late = object.status == PaymentStatus::Failed
            && object.provider_ref.is_some()
            && now.signed_duration_since(object.updated_at) < LATE_AUTHORIZATION;
        if object.facts.counts_refunds_anew {
            return pages::look_again(object.updated_at, now, COUNTED_ANEW_FOR);
        }
        if object.status.is_terminal() && !is_late {
            return None;
        }
        let (since, watched_for) = match object.status {
            // Until it is taken, given up, or goes back by itself.
            PaymentStatus::Authorized | PaymentStatus::Processing => {
                (object.updated_at, RESERVED_FOR)
            }
            _ => (object.created_at, WATCHED_FOR),
        };
        pages::look_again(
            since.max(object.facts.opened_at.unwrap_or(since)),
            now,
            watched_for,
        )
    }

    fn no_content() -> Option<NoContent> {
        Some(NoContent {})
    }

    fn present(object: &Object<Self>, _content: Option<&NoContent>) -> Vec<u8> {
        serde_json::to_vec(&PaymentView::from(object)).unwrap_or_default()
    }
}

fn to_wit(ids: CallIds, object: &Object<Payment>) -> wit::CreateRequest {
    let request = &object.request;
    let attempt = paying::attempt(&ids);
    let page = |of: fn(&Pages) -> String| request.pages.as_ref().map(of).unwrap_or_default();
    wit::CreateRequest {
        object_id: ids.object_id,
        attempt,
        amount: paying::to_money(request.amount),
        capture: match request.capture {
            CaptureMode::Automatic => wit::CaptureMode::Automatic,
            CaptureMode::Manual => wit::CaptureMode::Manual,
        },
        receipt: request.receipt.clone(),
        description: request.description.clone(),
        method: request.method.clone(),
        customer: request.customer.as_ref().map(Customer::to_wit),
        return_url: page(Pages::back),
        cancel_url: page(Pages::given_up),
        metadata: paying::pairs(object.metadata.pairs()),
        hints: paying::pairs(&request.hints),
        extra: Vec::new(),
    }
}

pub(super) fn from_wit(payment: wit::Payment) -> Reported<Payment> {
    // The engine refuses every other text; `unknown` never moves a status.
    let status = payment.status.parse().unwrap_or(PaymentStatus::Unknown);
    Reported {
        provider_ref: payment.provider_id,
        status,
        facts: PaymentFacts {
            reached: Some(PaymentProgress::of(
                status,
                payment.provider_payment_id.is_some(),
            )),
            payment_ref: payment.provider_payment_id,
            amount_captured: paying::units(payment.amount_captured),
            amount_refunded: payment.amount_refunded.map(paying::units),
            refunds_given: 0,
            counts_refunds_anew: false,
            due: payment.due.map(|step| match step {
                wit::Step::Authorize => Step::Authorize,
                wit::Step::Capture => Step::Capture,
            }),
            checkout_url: payment.checkout_url,
            checkout: payment.checkout.map(|form| CheckoutForm {
                action: form.action,
                fields: form.fields,
            }),
            widget: payment.widget.into_iter().collect(),
            payment_method: payment.payment_method,
            method_details: payment.method_details.into_iter().collect(),
            cost: payment.cost.as_ref().and_then(kind::cost),
            failure: payment.failure.map(kind::failure),
            refusal: None,
            opened_at: None,
            waits_for_buyer: false,
            state: payment.state,
            provider_data: payment.raw,
        },
    }
}
