//! Calls about money.

use onerouter_manifest::Manifest;

use super::{Adapter, anything};
use crate::call::run;
use crate::checked::Malformed;
use crate::checked::payments::{goes_to_provider, is_of};
use crate::connection::CallContext;
use crate::functions::{
    CheckoutConfirm, Function, PaymentAuthorize, PaymentCancel, PaymentCapture, PaymentCreate,
    PaymentFind, PaymentGet, PaymentLinkCancel, PaymentLinkCapture, PaymentLinkCreate,
    PaymentLinkFind, PaymentLinkGet, PlanCreate, PlanFind, PlanGet, RefundCreate, RefundFind,
    RefundGet, SubscriptionCancel, SubscriptionChangePlan, SubscriptionCreate, SubscriptionFind,
    SubscriptionGet, SubscriptionPause, SubscriptionResume,
};
use crate::outcome::CallReport;
use crate::wit::payment_links::PaymentLink;
use crate::wit::payments::{Attempt, Moment, Money, Payment, Reference, Window};
use crate::wit::plans::Plan;
use crate::wit::refunds::Refund;
use crate::wit::subscriptions::Subscription;
use crate::wit::{payment_links, payments, plans, refunds, subscriptions};

impl Adapter {
    /// Creates something to pay.
    pub async fn payment_create(
        &self,
        context: &CallContext,
        request: &payments::CreateRequest,
    ) -> CallReport<Payment> {
        let fits =
            |payment: &Payment| payment_fits(self.manifest(), Some(&request.amount), payment);
        let attempt = &request.attempt;
        self.write::<PaymentCreate>(context, "payments.create", attempt, (request,), fits)
            .await
    }

    /// Reads one payment.
    pub async fn payment_get(
        &self,
        context: &CallContext,
        payment: &Reference,
    ) -> CallReport<Payment> {
        let fits = |read: &Payment| payment_fits(self.manifest(), payment.amount.as_ref(), read);
        run::<PaymentGet>(&self.shared, context, None, (payment,), fits).await
    }

    /// Reserves the money of a payment that the buyer has agreed to.
    pub async fn payment_authorize(
        &self,
        context: &CallContext,
        payment: &Reference,
        attempt: &Attempt,
    ) -> CallReport<Payment> {
        let fits = |read: &Payment| payment_fits(self.manifest(), payment.amount.as_ref(), read);
        let params = (payment, attempt);
        self.write::<PaymentAuthorize>(context, "payments.authorize", attempt, params, fits)
            .await
    }

    /// Takes the money, or a part of it.
    pub async fn payment_capture(
        &self,
        context: &CallContext,
        payment: &Reference,
        amount: &Money,
        attempt: &Attempt,
    ) -> CallReport<Payment> {
        let fits = |read: &Payment| payment_fits(self.manifest(), payment.amount.as_ref(), read);
        let params = (payment, amount, attempt);
        self.write::<PaymentCapture>(context, "payments.capture", attempt, params, fits)
            .await
    }

    /// Gives up what was not captured.
    pub async fn payment_cancel(
        &self,
        context: &CallContext,
        payment: &Reference,
        attempt: &Attempt,
    ) -> CallReport<Payment> {
        let fits = |read: &Payment| payment_fits(self.manifest(), payment.amount.as_ref(), read);
        let params = (payment, attempt);
        self.write::<PaymentCancel>(context, "payments.cancel", attempt, params, fits)
            .await
    }

    /// Finds the payments that carry the request's object id.
    pub async fn payment_find(
        &self,
        context: &CallContext,
        request: &payments::CreateRequest,
        window: Window,
    ) -> CallReport<Vec<Payment>> {
        let fits = |found: &Vec<Payment>| {
            found.iter().try_for_each(|payment| {
                payment_fits(self.manifest(), Some(&request.amount), payment)
            })
        };
        let params = (request, &window);
        run::<PaymentFind>(&self.shared, context, None, params, fits).await
    }

    /// Checks what the provider's widget handed to the buyer's browser, and reads the payment.
    pub async fn checkout_confirm(
        &self,
        context: &CallContext,
        payment: &Reference,
        response: &[(String, String)],
    ) -> CallReport<Payment> {
        let fits = |read: &Payment| payment_fits(self.manifest(), payment.amount.as_ref(), read);
        run::<CheckoutConfirm>(&self.shared, context, None, (payment, response), fits).await
    }

    /// Gives money back.
    pub async fn refund_create(
        &self,
        context: &CallContext,
        request: &refunds::CreateRequest,
    ) -> CallReport<Refund> {
        let fits = |refund: &Refund| is_of(Some(&request.amount), refund.amount.as_ref());
        let attempt = &request.attempt;
        self.write::<RefundCreate>(context, "refunds.create", attempt, (request,), fits)
            .await
    }

    /// Reads one refund.
    pub async fn refund_get(
        &self,
        context: &CallContext,
        refund: &Reference,
    ) -> CallReport<Refund> {
        let fits = |read: &Refund| is_of(refund.amount.as_ref(), read.amount.as_ref());
        run::<RefundGet>(&self.shared, context, None, (refund,), fits).await
    }

    /// Finds the refunds that carry the request's object id.
    pub async fn refund_find(
        &self,
        context: &CallContext,
        request: &refunds::CreateRequest,
        window: Window,
    ) -> CallReport<Vec<Refund>> {
        let fits = |found: &Vec<Refund>| {
            let mut found = found.iter();
            found.try_for_each(|refund| is_of(Some(&request.amount), refund.amount.as_ref()))
        };
        let params = (request, &window);
        run::<RefundFind>(&self.shared, context, None, params, fits).await
    }

    /// Creates a plan.
    pub async fn plan_create(
        &self,
        context: &CallContext,
        request: &plans::CreateRequest,
    ) -> CallReport<Plan> {
        let attempt = &request.attempt;
        self.write::<PlanCreate>(context, "plans.create", attempt, (request,), anything)
            .await
    }

    /// Reads one plan.
    pub async fn plan_get(&self, context: &CallContext, plan: &Reference) -> CallReport<Plan> {
        run::<PlanGet>(&self.shared, context, None, (plan,), anything).await
    }

    /// Finds the plans that carry the request's object id.
    pub async fn plan_find(
        &self,
        context: &CallContext,
        request: &plans::CreateRequest,
        window: Window,
    ) -> CallReport<Vec<Plan>> {
        let params = (request, &window);
        run::<PlanFind>(&self.shared, context, None, params, anything).await
    }

    /// Creates a subscription, which the buyer has to agree to.
    pub async fn subscription_create(
        &self,
        context: &CallContext,
        request: &subscriptions::CreateRequest,
    ) -> CallReport<Subscription> {
        let attempt = &request.attempt;
        let params = (request,);
        self.write::<SubscriptionCreate>(context, "subscriptions.create", attempt, params, anything)
            .await
    }

    /// Reads one subscription.
    pub async fn subscription_get(
        &self,
        context: &CallContext,
        subscription: &Reference,
    ) -> CallReport<Subscription> {
        run::<SubscriptionGet>(&self.shared, context, None, (subscription,), anything).await
    }

    /// Ends a subscription.
    pub async fn subscription_cancel(
        &self,
        context: &CallContext,
        subscription: &Reference,
        moment: Moment,
        attempt: &Attempt,
    ) -> CallReport<Subscription> {
        let params = (subscription, &moment, attempt);
        self.write::<SubscriptionCancel>(context, "subscriptions.cancel", attempt, params, anything)
            .await
    }

    /// Stops charging.
    pub async fn subscription_pause(
        &self,
        context: &CallContext,
        subscription: &Reference,
        moment: Moment,
        attempt: &Attempt,
    ) -> CallReport<Subscription> {
        let params = (subscription, &moment, attempt);
        self.write::<SubscriptionPause>(context, "subscriptions.pause", attempt, params, anything)
            .await
    }

    /// Goes on after a pause.
    pub async fn subscription_resume(
        &self,
        context: &CallContext,
        subscription: &Reference,
        attempt: &Attempt,
    ) -> CallReport<Subscription> {
        let params = (subscription, attempt);
        self.write::<SubscriptionResume>(context, "subscriptions.resume", attempt, params, anything)
            .await
    }

    /// Follows another plan.
    #[expect(clippy::too_many_arguments, reason = "as the interface has them")]
    pub async fn subscription_change_plan(
        &self,
        context: &CallContext,
        subscription: &Reference,
        plan: &Reference,
        moment: Option<Moment>,
        attempt: &Attempt,
    ) -> CallReport<Subscription> {
        let operation = "subscriptions.change_plan";
        let params = (subscription, plan, &moment, attempt);
        self.write::<SubscriptionChangePlan>(context, operation, attempt, params, anything)
            .await
    }

    /// Finds the subscriptions that carry the request's object id.
    pub async fn subscription_find(
        &self,
        context: &CallContext,
        request: &subscriptions::CreateRequest,
        window: Window,
    ) -> CallReport<Vec<Subscription>> {
        let params = (request, &window);
        run::<SubscriptionFind>(&self.shared, context, None, params, anything).await
    }

    /// Creates a payment link.
    pub async fn payment_link_create(
        &self,
        context: &CallContext,
        request: &payment_links::CreateRequest,
    ) -> CallReport<PaymentLink> {
        let fits = |link: &PaymentLink| is_of(Some(&request.amount), link.amount.as_ref());
        let attempt = &request.attempt;
        self.write::<PaymentLinkCreate>(context, "payment_links.create", attempt, (request,), fits)
            .await
    }

    /// Reads one payment link.
    pub async fn payment_link_get(
        &self,
        context: &CallContext,
        link: &Reference,
    ) -> CallReport<PaymentLink> {
        let fits = |read: &PaymentLink| is_of(link.amount.as_ref(), read.amount.as_ref());
        run::<PaymentLinkGet>(&self.shared, context, None, (link,), fits).await
    }

    /// Takes the money that a buyer has agreed to by a link.
    pub async fn payment_link_capture(
        &self,
        context: &CallContext,
        link: &Reference,
        attempt: &Attempt,
    ) -> CallReport<PaymentLink> {
        let fits = |read: &PaymentLink| is_of(link.amount.as_ref(), read.amount.as_ref());
        let params = (link, attempt);
        self.write::<PaymentLinkCapture>(context, "payment_links.capture", attempt, params, fits)
            .await
    }

    /// Makes a payment link stop working.
    pub async fn payment_link_cancel(
        &self,
        context: &CallContext,
        link: &Reference,
        attempt: &Attempt,
    ) -> CallReport<PaymentLink> {
        let fits = |read: &PaymentLink| is_of(link.amount.as_ref(), read.amount.as_ref());
        let params = (link, attempt);
        self.write::<PaymentLinkCancel>(context, "payment_links.cancel", attempt, params, fits)
            .await
    }

    /// Finds the payment links that carry the request's object id.
    pub async fn payment_link_find(
        &self,
        context: &CallContext,
        request: &payment_links::CreateRequest,
        window: Window,
    ) -> CallReport<Vec<PaymentLink>> {
        let fits = |found: &Vec<PaymentLink>| {
            let mut amounts = found.iter().map(|link| link.amount.as_ref());
            amounts.try_for_each(|amount| is_of(Some(&request.amount), amount))
        };
        let params = (request, &window);
        run::<PaymentLinkFind>(&self.shared, context, None, params, fits).await
    }

    /// A call that changes something, under the key of its attempt.
    #[expect(
        clippy::too_many_arguments,
        reason = "what is called, by whom, with what"
    )]
    async fn write<F: Function>(
        &self,
        context: &CallContext,
        operation: &'static str,
        attempt: &Attempt,
        params: F::Params<'_>,
        fits: impl FnOnce(&F::Output) -> Result<(), Malformed>,
    ) -> CallReport<F::Output> {
        let key = self.key(operation, &attempt.idempotency_key);
        run::<F>(&self.shared, context, Some(key), params, fits).await
    }
}

fn payment_fits(
    manifest: &Manifest,
    asked: Option<&Money>,
    payment: &Payment,
) -> Result<(), Malformed> {
    is_of(asked, payment.amount.as_ref())?;
    goes_to_provider(payment.checkout.as_ref(), manifest)
}
