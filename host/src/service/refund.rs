//! Refunds.

use chrono::{DateTime, Utc};
use onerouter_domain::code::ErrorCode;
use onerouter_domain::cost::Cost;
use onerouter_domain::failure::Failure;
use onerouter_domain::id::{ConnectionId, PaymentId, RefundId};
use onerouter_domain::metadata::Metadata;
use onerouter_domain::money::{Currency, Money};
use onerouter_domain::payment::{RefundError, RefundStatus, Refundable};
use onerouter_engine::wit::payments as shared;
use onerouter_engine::wit::refunds as wit;
use onerouter_engine::{Adapter, CallContext, CallReport};
use onerouter_manifest::{Capability, Category};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::caller::{Caller, Origin};
use super::kind::{self, CallIds, Facts, Kind, NoContent, Weight, Window};
use super::object::{Object, Reported};
use super::objects::{Answer, Draft, Intent, Objects};
use super::paying::{self, NoAction, State};
use super::payment::Payment;
use super::refusal::{FieldMistake, Refusal};
use super::view::payment::RefundView;
use crate::store::{ObjectKind, RefundState};
use crate::store::{StoreError, TenantTx};

/// The kind.
#[derive(Debug, Clone, Copy)]
pub struct Refund;

/// How fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speed {
    /// As the provider does it.
    Normal,
    /// At once where the provider can.
    Optimum,
}

/// What a caller asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundAsked {
    /// Ours, or the provider's id of the order or of the payment.
    pub payment: String,
    /// Major units as they were written; none is all that is left.
    pub amount: Option<String>,
    /// For the buyer.
    pub reason: Option<String>,
    /// How fast.
    pub speed: Speed,
}

/// What is asked of the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundRequest {
    /// Which payment.
    pub payment_id: PaymentId,
    /// The connection that it went over.
    pub connection_id: ConnectionId,
    /// The whole of the payment.
    pub payment_amount: Money,
    /// The provider's id of the order.
    pub payment_provider_ref: String,
    /// The provider's id of the money's movement.
    pub payment_ref: Option<String>,
    /// What the adapter said of the payment.
    pub payment_state: State,
    /// How much; decided when it is claimed.
    pub amount: Option<Money>,
    /// It is all that was left.
    pub is_rest: bool,
    /// For the buyer.
    pub reason: Option<String>,
    /// How fast.
    pub speed: Speed,
}

impl RefundRequest {
    /// How much is refunded.
    #[must_use]
    pub fn amount(&self) -> Money {
        let none = || Money::from_minor_units(0, self.payment_amount.currency());
        self.amount.unwrap_or_else(none)
    }
}

/// What is known of a refund.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RefundFacts {
    /// What the provider charged for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The provider's last raw answer: JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_data: Option<String>,
}

impl Facts for RefundFacts {
    fn merge(&mut self, new: Self, weight: Weight) {
        self.cost = new.cost.or(self.cost.take());
        paying::keep_story(
            (&mut self.failure, &mut self.provider_data),
            (new.failure, new.provider_data),
            weight.moved,
        );
    }

    fn set_failure(&mut self, failure: Failure) {
        self.failure = Some(failure);
    }
}

impl Objects<Refund> {
    /// Refunds a payment, once per key.
    ///
    /// # Errors
    /// `not_found` for the payment, `invalid_state` where nothing is left to refund,
    /// `validation_failed` for more than that, and whatever a create may end with.
    #[expect(
        clippy::too_many_arguments,
        reason = "who, by which request, what, and of whose"
    )]
    pub async fn refund(
        &self,
        payments: &Objects<Payment>,
        caller: &Caller,
        origin: &Origin,
        intent: Intent,
        asked: RefundAsked,
        metadata: Metadata,
    ) -> Result<Answer, Refusal> {
        let payment = payments
            .find_named(caller, &asked.payment, "/payment_id")
            .await?;
        let currency = payment.request.amount.currency();
        let amount = match &asked.amount {
            Some(text) => Some(amount(text, currency)?),
            None => None,
        };
        let payment = if payment.facts.amount_captured > 0 {
            payment
        } else {
            // Paid a moment ago, perhaps.
            payments.refreshed(caller.tenant, payment).await
        };
        let provider_ref = payment.provider_ref.clone().ok_or_else(|| {
            Refusal::new(
                ErrorCode::InvalidState,
                "It is not known yet whether the provider has this payment.",
            )
            .about(payment.id)
        })?;
        let request = RefundRequest {
            payment_id: payment.id,
            connection_id: payment.connection_id,
            payment_amount: payment.request.amount,
            payment_provider_ref: provider_ref,
            payment_ref: payment.facts.payment_ref.clone(),
            payment_state: payment.facts.state.clone(),
            amount,
            is_rest: false,
            reason: asked.reason,
            speed: asked.speed,
        };
        let new = Draft {
            request,
            content: NoContent {},
            metadata,
            provider: None,
            late: None,
        };
        self.create(caller, origin, intent, new).await
    }
}

fn amount(text: &str, currency: Currency) -> Result<Money, Refusal> {
    let mistake =
        |code, detail: String| Refusal::invalid(vec![FieldMistake::new("/amount", code, detail)]);
    let money =
        Money::parse(text, currency).map_err(|error| mistake("invalid", error.to_string()))?;
    if money.minor_units() == 0 {
        return Err(mistake("out_of_range", "must be greater than 0".to_owned()));
    }
    Ok(money)
}

impl Kind for Refund {
    type Id = RefundId;
    type Status = RefundStatus;
    type Request = RefundRequest;
    type Content = NoContent;
    type Facts = RefundFacts;
    type Action = NoAction;

    const NAME: &'static str = "refund";
    const OBJECT: ObjectKind = ObjectKind::Refund;
    const HAS_CONTENT: bool = false;
    const NOUN: &'static str = "refund";
    const CATEGORY: Category = Category::Payments;
    const CREATE: Capability = Capability::Refunds;
    const CREATE_NAME: &'static str = "create";
    const CREATE_OPERATION: &'static str = "refunds.create";
    const IS_ALONE: bool = true;
    const IS_FOLLOWED: bool = true;
    const IS_FOUND_EXACTLY: bool = true;
    const IS_LISTED: bool = true;

    fn id(uuid: Uuid) -> RefundId {
        RefundId::from_uuid(uuid)
    }

    fn uuid(id: RefundId) -> Uuid {
        id.uuid()
    }

    fn queued() -> RefundStatus {
        RefundStatus::Pending
    }

    fn failed() -> RefundStatus {
        RefundStatus::Failed
    }

    fn unknown() -> RefundStatus {
        RefundStatus::Unknown
    }

    fn is_terminal(status: RefundStatus) -> bool {
        status.is_terminal()
    }

    fn merge(
        status: RefundStatus,
        _facts: &RefundFacts,
        reported: &Reported<Self>,
    ) -> RefundStatus {
        status.merge(reported.status)
    }

    fn connection(request: &RefundRequest) -> Option<ConnectionId> {
        Some(request.connection_id)
    }

    fn is_word_on_the_first(code: &str) -> bool {
        paying::is_word_on_the_first(code)
    }

    /// The payment is locked until the refund's amount is written: of many refunds at once, each sees
    /// those before it.
    async fn admit(
        tx: &mut TenantTx,
        object: &mut Object<Self>,
    ) -> Result<Result<(), Refusal>, StoreError> {
        let id = object.request.payment_id;
        let row = tx
            .lock_object(ObjectKind::Payment, object.environment, id.uuid())
            .await?;
        let Some(row) = row else {
            return Ok(Err(Refusal::not_found("payment")));
        };
        let payment = Object::<Payment>::from_row(row)?;
        let sums = tx.refund_sums(id.uuid()).await?;
        let refundable = Refundable {
            captured: payment.captured(),
            reserved: sums.reserved.max(payment.facts.refunded()),
        };
        let amount = match refundable.take(object.request.amount) {
            Ok(amount) => amount,
            Err(error) => return Ok(Err(not_refundable(error, &payment))),
        };
        let request = &mut object.request;
        request.is_rest = amount == refundable.left();
        request.amount = Some(amount);
        request.payment_ref.clone_from(&payment.facts.payment_ref);
        request.payment_state.clone_from(&payment.facts.state);
        Ok(Ok(()))
    }

    async fn written(
        tx: &mut TenantTx,
        object: &Object<Self>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let payment = object.request.payment_id;
        let amount = object.request.amount().minor_units();
        let state = match object.status {
            RefundStatus::Succeeded => RefundState::Given,
            RefundStatus::Unknown | RefundStatus::Pending => RefundState::Held,
            RefundStatus::Failed | RefundStatus::Canceled => RefundState::Void,
        };
        tx.write_refund_amount(payment.uuid(), object.id.uuid(), amount, state)
            .await?;
        if state != RefundState::Held {
            Objects::<Payment>::count_refunds(tx, object.environment, payment, now).await?;
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
        adapter.refund_create(context, &request).await.map(from_wit)
    }

    async fn get(
        adapter: &Adapter,
        context: &CallContext,
        object: &Object<Self>,
        provider_ref: &str,
    ) -> CallReport<Reported<Self>> {
        let refund = shared::Reference {
            object_id: Some(object.id.to_string()),
            provider_id: provider_ref.to_owned(),
            provider_payment_id: object.request.payment_ref.clone(),
            amount: Some(paying::to_money(object.request.amount())),
            state: Vec::new(),
        };
        adapter.refund_get(context, &refund).await.map(from_wit)
    }

    async fn find(
        adapter: &Adapter,
        context: &CallContext,
        ids: CallIds,
        object: &Object<Self>,
        window: Window,
    ) -> Option<CallReport<Vec<Reported<Self>>>> {
        if !adapter.can(Capability::RefundLookup) {
            return None;
        }
        let request = to_wit(ids, object);
        let report = adapter.refund_find(context, &request, window.into()).await;
        Some(report.map(|found| found.into_iter().map(from_wit).collect()))
    }

    fn needed_for(action: &NoAction) -> Capability {
        match *action {}
    }

    fn allow(_object: &Object<Self>, action: &NoAction) -> Result<(), Refusal> {
        match *action {}
    }

    async fn act(
        _adapter: &Adapter,
        _context: &CallContext,
        _ids: CallIds,
        _object: &Object<Self>,
        _provider_ref: &str,
        action: &NoAction,
    ) -> CallReport<Reported<Self>> {
        match *action {}
    }

    fn has_happened(_object: &Object<Self>, _action: &str) -> bool {
        false
    }

    fn watch_again(object: &Object<Self>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if object.status.is_terminal() {
            return None;
        }
        super::pages::look_again(object.created_at, now, REFUND_WATCHED_FOR)
    }

    fn no_content() -> Option<NoContent> {
        Some(NoContent {})
    }

    fn present(object: &Object<Self>, _content: Option<&NoContent>) -> Vec<u8> {
        serde_json::to_vec(&RefundView::from(object)).unwrap_or_default()
    }
}

/// Banks take a week; nobody asks any more after this.
const REFUND_WATCHED_FOR: chrono::TimeDelta = chrono::TimeDelta::days(14);

fn not_refundable(error: RefundError, payment: &Object<Payment>) -> Refusal {
    match error {
        RefundError::NothingCaptured | RefundError::NothingLeft => Refusal::new(
            ErrorCode::InvalidState,
            format!("This payment cannot be refunded: {error}."),
        )
        .about(payment.id),
        RefundError::TooMuch { .. } | RefundError::OtherCurrency => {
            Refusal::invalid(vec![FieldMistake::new(
                "/amount",
                "out_of_range",
                error.to_string(),
            )])
        }
    }
}

fn to_wit(ids: CallIds, object: &Object<Refund>) -> wit::CreateRequest {
    let request = &object.request;
    let attempt = paying::attempt(&ids);
    wit::CreateRequest {
        object_id: ids.object_id,
        attempt,
        payment: shared::Reference {
            object_id: Some(request.payment_id.to_string()),
            provider_id: request.payment_provider_ref.clone(),
            provider_payment_id: request.payment_ref.clone(),
            amount: Some(paying::to_money(request.payment_amount)),
            state: request.payment_state.clone(),
        },
        amount: paying::to_money(request.amount()),
        is_rest: request.is_rest,
        reason: request.reason.clone(),
        speed: match request.speed {
            Speed::Normal => wit::Speed::Normal,
            Speed::Optimum => wit::Speed::Optimum,
        },
        metadata: paying::pairs(object.metadata.pairs()),
        extra: Vec::new(),
    }
}

fn from_wit(refund: wit::Refund) -> Reported<Refund> {
    Reported {
        provider_ref: refund.provider_id,
        status: refund.status.parse().unwrap_or(RefundStatus::Unknown),
        facts: RefundFacts {
            cost: refund.cost.as_ref().and_then(kind::cost),
            failure: refund.failure.map(kind::failure),
            provider_data: refund.raw,
        },
    }
}
