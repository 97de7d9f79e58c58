//! Everything that the gateway asks of an adapter, one name for each.

use onerouter_engine::{Adapter, CallContext};
use onerouter_manifest::Capability;

use crate::canonical::{CREATE, ID, Request};
use crate::run::Run;

/// Whether an operation may change something at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    /// Makes something.
    Creates,
    /// Changes what is there.
    Changes,
    /// Only looks.
    Reads,
}

macro_rules! operations {
    ($($name:ident: $text:literal $capability:ident $nature:ident $prefix:literal;)*) => {
        /// One function of an adapter. Named as the manifest's `operations` are.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Operation {
            $($name,)*
        }

        impl Operation {
            /// All of them: what reads comes after what makes it.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)*];

            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            pub(crate) const fn capability(self) -> Capability {
                match self {
                    $(Self::$name => Capability::$capability,)*
                }
            }

            pub(crate) const fn nature(self) -> Nature {
                match self {
                    $(Self::$name => Nature::$nature,)*
                }
            }

            /// Prefix of the ids of the object that it is about.
            pub(crate) const fn prefix(self) -> &'static str {
                match self {
                    $(Self::$name => $prefix,)*
                }
            }
        }
    };
}

operations! {
    AccountCheck: "account.check" AccountCheck Reads "";
    SmsSend: "sms.send" Sms Creates "sms";
    SmsGet: "sms.get" Sms Reads "sms";
    SmsFind: "sms.find" SmsLookup Reads "sms";
    SmsCancel: "sms.cancel" SmsCancel Changes "sms";
    EmailSend: "email.send" Email Creates "em";
    EmailGet: "email.get" Email Reads "em";
    EmailCancel: "email.cancel" EmailCancel Changes "em";
    EmailSendBatch: "email.send_batch" EmailBatch Creates "em";
    PaymentsCreate: "payments.create" Payments Creates "pay";
    PaymentsGet: "payments.get" Payments Reads "pay";
    PaymentsFind: "payments.find" PaymentLookup Reads "pay";
    PaymentsAuthorize: "payments.authorize" Payments Changes "pay";
    PaymentsCapture: "payments.capture" Payments Changes "pay";
    PaymentsCancel: "payments.cancel" Payments Changes "pay";
    CheckoutConfirm: "checkout.confirm" Checkout Reads "pay";
    RefundsCreate: "refunds.create" Refunds Creates "re";
    RefundsGet: "refunds.get" Refunds Reads "re";
    RefundsFind: "refunds.find" RefundLookup Reads "re";
    PlansCreate: "plans.create" Plans Creates "plan";
    PlansGet: "plans.get" Plans Reads "plan";
    PlansFind: "plans.find" PlanLookup Reads "plan";
    SubscriptionsCreate: "subscriptions.create" Subscriptions Creates "sub";
    SubscriptionsGet: "subscriptions.get" Subscriptions Reads "sub";
    SubscriptionsFind: "subscriptions.find" SubscriptionLookup Reads "sub";
    SubscriptionsPause: "subscriptions.pause" Subscriptions Changes "sub";
    SubscriptionsResume: "subscriptions.resume" Subscriptions Changes "sub";
    SubscriptionsChangePlan: "subscriptions.change_plan" Subscriptions Changes "sub";
    SubscriptionsCancel: "subscriptions.cancel" Subscriptions Changes "sub";
    PaymentLinksCreate: "payment_links.create" PaymentLinks Creates "plink";
    PaymentLinksGet: "payment_links.get" PaymentLinks Reads "plink";
    PaymentLinksFind: "payment_links.find" PaymentLinkLookup Reads "plink";
    PaymentLinksCapture: "payment_links.capture" PaymentLinks Changes "plink";
    PaymentLinksCancel: "payment_links.cancel" PaymentLinks Changes "plink";
    WebhooksRead: "webhooks.read" Webhooks Reads "";
}

/// E-mails of the kit's batch.
const BATCH: usize = 2;

impl Operation {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|operation| operation.name() == name)
    }

    /// All names, for a message.
    pub(crate) fn names() -> String {
        let names: Vec<_> = Self::ALL.iter().map(|operation| operation.name()).collect();
        names.join(", ")
    }

    pub(crate) const fn changes(self) -> bool {
        !matches!(self.nature(), Nature::Reads)
    }

    /// Whether it looks for something by what was asked for.
    pub(crate) const fn finds(self) -> bool {
        matches!(
            self,
            Self::SmsFind
                | Self::PaymentsFind
                | Self::RefundsFind
                | Self::PlansFind
                | Self::SubscriptionsFind
                | Self::PaymentLinksFind
        )
    }

    /// Whether the status of an answer can say all that there is to say.
    pub(crate) const fn needs_no_answer(self) -> bool {
        matches!(
            self,
            Self::AccountCheck
                | Self::SmsCancel
                | Self::EmailCancel
                | Self::PaymentsCancel
                | Self::PaymentLinksCancel
                | Self::SubscriptionsPause
                | Self::SubscriptionsResume
                | Self::SubscriptionsCancel
        )
    }

    /// Whether it is told an amount.
    pub(crate) const fn has_amount(self) -> bool {
        matches!(
            self,
            Self::PaymentsCreate
                | Self::RefundsCreate
                | Self::PlansCreate
                | Self::PaymentLinksCreate
        )
    }

    /// The key that it is given toward the provider.
    pub(crate) fn key(self, request: &Request) -> String {
        request.key(self.prefix(), self.step())
    }

    /// What it is called in keys: what captures a payment must not look like what made it.
    fn step(self) -> &'static str {
        match (self.nature(), self.name().split_once('.')) {
            (Nature::Creates, _) | (_, None) => CREATE,
            (Nature::Changes | Nature::Reads, Some((_, step))) => step,
        }
    }

    /// The texts of a request that must reach the provider, and those that may.
    pub(crate) fn texts(self, request: &Request) -> (Vec<String>, Vec<String>) {
        let input = &request.input;
        match self {
            Self::SmsSend => (vec![Request::text(input.body.as_ref())], Vec::new()),
            Self::EmailSend | Self::EmailSendBatch => {
                let all = [&input.subject, &input.html, &input.text];
                let texts = all.map(|given| Request::text(given.as_ref()));
                (texts.to_vec(), Vec::new())
            }
            Self::PaymentsCreate | Self::PaymentLinksCreate | Self::SubscriptionsCreate => {
                let name = input.customer_name.clone();
                let name = name.unwrap_or_else(|| crate::canonical::NAME.to_owned());
                let text = Request::text(input.description.as_ref());
                (Vec::new(), vec![text, name])
            }
            Self::PlansCreate => (vec![Request::text(input.name.as_ref())], Vec::new()),
            Self::RefundsCreate => (Vec::new(), vec![Request::text(input.reason.as_ref())]),
            _ => (Vec::new(), Vec::new()),
        }
    }

    /// Makes the call.
    pub(crate) async fn call(
        self,
        adapter: &Adapter,
        context: &CallContext,
        request: &Request,
    ) -> Run {
        let prefix = self.prefix();
        let attempt = request.attempt(prefix, self.step());
        match self {
            Self::AccountCheck => Run::of(adapter.account_check(context).await),
            Self::SmsSend
            | Self::SmsGet
            | Self::SmsFind
            | Self::SmsCancel
            | Self::EmailSend
            | Self::EmailGet
            | Self::EmailCancel
            | Self::EmailSendBatch => self.call_message(adapter, context, request).await,
            Self::PaymentsCreate => {
                Run::of(adapter.payment_create(context, &request.payment()).await)
            }
            Self::PaymentsGet => Run::of(
                adapter
                    .payment_get(context, &request.reference(prefix))
                    .await,
            ),
            Self::PaymentsFind => {
                let (wanted, window) = (request.payment(), request.payments_window());
                Run::of(adapter.payment_find(context, &wanted, window).await)
            }
            Self::PaymentsAuthorize => {
                let payment = request.reference(prefix);
                Run::of(adapter.payment_authorize(context, &payment, &attempt).await)
            }
            Self::PaymentsCapture => {
                let (payment, amount) = (request.reference(prefix), request.money());
                let captured = adapter.payment_capture(context, &payment, &amount, &attempt);
                Run::of(captured.await)
            }
            Self::PaymentsCancel => {
                let payment = request.reference(prefix);
                Run::of(adapter.payment_cancel(context, &payment, &attempt).await)
            }
            Self::CheckoutConfirm => {
                let (payment, response) = (request.reference(prefix), request.response());
                Run::of(adapter.checkout_confirm(context, &payment, &response).await)
            }
            Self::RefundsCreate => Run::of(adapter.refund_create(context, &request.refund()).await),
            Self::RefundsGet => Run::of(
                adapter
                    .refund_get(context, &request.reference(prefix))
                    .await,
            ),
            Self::RefundsFind => {
                let (wanted, window) = (request.refund(), request.payments_window());
                Run::of(adapter.refund_find(context, &wanted, window).await)
            }
            Self::PlansCreate
            | Self::PlansGet
            | Self::PlansFind
            | Self::SubscriptionsCreate
            | Self::SubscriptionsGet
            | Self::SubscriptionsFind
            | Self::SubscriptionsPause
            | Self::SubscriptionsResume
            | Self::SubscriptionsChangePlan
            | Self::SubscriptionsCancel => self.call_subscription(adapter, context, request).await,
            Self::PaymentLinksCreate => {
                let link = request.payment_link();
                Run::of(adapter.payment_link_create(context, &link).await)
            }
            Self::PaymentLinksGet => {
                let link = request.reference(prefix);
                Run::of(adapter.payment_link_get(context, &link).await)
            }
            Self::PaymentLinksFind => {
                let (link, window) = (request.payment_link(), request.payments_window());
                Run::of(adapter.payment_link_find(context, &link, window).await)
            }
            Self::PaymentLinksCapture => {
                let link = request.reference(prefix);
                Run::of(adapter.payment_link_capture(context, &link, &attempt).await)
            }
            Self::PaymentLinksCancel => {
                let link = request.reference(prefix);
                Run::of(adapter.payment_link_cancel(context, &link, &attempt).await)
            }
            // An empty one; `webhook` makes the others.
            Self::WebhooksRead => {
                let empty = crate::webhook::empty(request.now_ms);
                Run::of(adapter.webhooks_read(context, &empty).await)
            }
        }
    }

    async fn call_message(
        self,
        adapter: &Adapter,
        context: &CallContext,
        request: &Request,
    ) -> Run {
        let id = request.provider_id();
        match self {
            Self::SmsSend => Run::of(adapter.sms_send(context, &request.sms()).await),
            Self::SmsGet => Run::of(adapter.sms_get(context, &id).await),
            Self::SmsFind => {
                let (after, before) = request.window();
                let window = onerouter_engine::wit::sms::Window { after, before };
                Run::of(adapter.sms_find(context, &request.sms(), window).await)
            }
            Self::SmsCancel => Run::of(adapter.sms_cancel(context, &id).await),
            Self::EmailGet => Run::of(adapter.email_get(context, &id).await),
            Self::EmailCancel => Run::of(adapter.email_cancel(context, &id).await),
            Self::EmailSendBatch => {
                let mut all = vec![request.email(); BATCH];
                for (index, one) in all.iter_mut().enumerate().skip(1) {
                    one.object_id = format!("em_{}{index}", ID.get(1..).unwrap_or_default());
                }
                let key = self.key(request);
                Run::of(adapter.email_send_batch(context, &all, &key).await)
            }
            _ => Run::of(adapter.email_send(context, &request.email()).await),
        }
    }

    async fn call_subscription(
        self,
        adapter: &Adapter,
        context: &CallContext,
        request: &Request,
    ) -> Run {
        let prefix = self.prefix();
        let attempt = request.attempt(prefix, self.step());
        let it = request.reference(prefix);
        let moment = request.moment();
        match self {
            Self::PlansCreate => Run::of(adapter.plan_create(context, &request.plan()).await),
            Self::PlansGet => Run::of(adapter.plan_get(context, &it).await),
            Self::PlansFind => {
                let (wanted, window) = (request.plan(), request.payments_window());
                Run::of(adapter.plan_find(context, &wanted, window).await)
            }
            Self::SubscriptionsCreate => {
                let wanted = request.subscription();
                Run::of(adapter.subscription_create(context, &wanted).await)
            }
            Self::SubscriptionsFind => {
                let (wanted, window) = (request.subscription(), request.payments_window());
                Run::of(adapter.subscription_find(context, &wanted, window).await)
            }
            Self::SubscriptionsPause => {
                let paused = adapter.subscription_pause(context, &it, moment, &attempt);
                Run::of(paused.await)
            }
            Self::SubscriptionsResume => {
                Run::of(adapter.subscription_resume(context, &it, &attempt).await)
            }
            Self::SubscriptionsChangePlan => {
                let plan = request.new_plan();
                let moment = Some(moment);
                let changed =
                    adapter.subscription_change_plan(context, &it, &plan, moment, &attempt);
                Run::of(changed.await)
            }
            Self::SubscriptionsCancel => {
                let cancelled = adapter.subscription_cancel(context, &it, moment, &attempt);
                Run::of(cancelled.await)
            }
            _ => Run::of(adapter.subscription_get(context, &it).await),
        }
    }
}

#[cfg(test)]
mod tests {
    use onerouter_manifest::Capability;

    use super::Operation;
    use crate::canonical::{NOW_MS, Request, Sender};
    use crate::input::Input;

    #[test]
    fn what_changes_something_has_another_key_than_what_made_it() {
        let request = Request {
            input: Input {
                object_id: Some("pay_1".to_owned()),
                ..Input::default()
            },
            now_ms: NOW_MS,
            sender: Sender::Request,
            currency: "USD".to_owned(),
        };
        for (operation, key) in [
            (Operation::PaymentsCreate, "pay_1-create-1"),
            (Operation::PaymentsAuthorize, "pay_1-authorize-1"),
            (Operation::PaymentsCapture, "pay_1-capture-1"),
        ] {
            assert_eq!(operation.key(&request), key);
        }
    }

    #[test]
    fn every_capability_has_an_operation_and_every_name_one_meaning() {
        for capability in Capability::ALL {
            let mut all = Operation::ALL.iter();
            assert!(
                all.any(|operation| operation.capability() == capability),
                "{capability}"
            );
        }
        for operation in Operation::ALL {
            assert_eq!(Operation::from_name(operation.name()), Some(*operation));
        }
    }
}
