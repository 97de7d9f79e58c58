//! The functions that the host calls in an adapter: their names and types, in one place for the
//! check at load and for the calls.

use std::borrow::Borrow;
use std::sync::Arc;

use onerouter_manifest::Capability;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{ComponentExportIndex, ComponentNamedList, InstancePre, Lift, Lower};

use crate::adapter::Shared;
use crate::checked::Checked;
use crate::load::LoadError;
use crate::recording::{Operation, Recording};
use crate::replay::{self, Replay, ReplayError};
use crate::state::CallState;
use crate::wit::common::CallError;
use crate::wit::payments::{Attempt, Moment, Money, Reference, Window};
use crate::wit::{
    account, email, payment_links, payments, plans, refunds, sms, subscriptions, webhooks,
};

/// One exported function. All of them answer `result<Output, call-error>`.
pub(crate) trait Function {
    /// Where its index is kept.
    const SLOT: usize;
    const CAPABILITY: Capability;
    const NAME: &'static str;
    type Params<'a>: ComponentNamedList + Lower + Serialize + Send + Sync;
    /// The parameters of a call that was recorded.
    type Owned: DeserializeOwned + Send + Sync;
    type Output: Lift + Checked + Serialize + Send + Sync + 'static;

    fn lend(owned: &Self::Owned) -> Self::Params<'_>;

    fn operation() -> Operation {
        Operation {
            capability: Self::CAPABILITY.as_str(),
            function: Self::NAME,
        }
    }
}

/// What every function returns.
pub(crate) type Returned<F> = (Result<<F as Function>::Output, CallError>,);

/// References to the parts of a tuple.
macro_rules! lend {
    ($owned:ident;) => {{
        let () = $owned;
    }};
    ($owned:ident; $a:ty) => {
        (Borrow::<$a>::borrow(&$owned.0),)
    };
    ($owned:ident; $a:ty, $b:ty) => {
        (
            Borrow::<$a>::borrow(&$owned.0),
            Borrow::<$b>::borrow(&$owned.1),
        )
    };
    ($owned:ident; $a:ty, $b:ty, $c:ty) => {
        (
            Borrow::<$a>::borrow(&$owned.0),
            Borrow::<$b>::borrow(&$owned.1),
            Borrow::<$c>::borrow(&$owned.2),
        )
    };
    ($owned:ident; $a:ty, $b:ty, $c:ty, $d:ty) => {
        (
            Borrow::<$a>::borrow(&$owned.0),
            Borrow::<$b>::borrow(&$owned.1),
            Borrow::<$c>::borrow(&$owned.2),
            Borrow::<$d>::borrow(&$owned.3),
        )
    };
}

macro_rules! functions {
    ($($slot:literal $name:ident: $capability:ident $function:literal ($($param:ty),*) -> $output:ty;)*) => {
        $(
            pub(crate) struct $name;

            impl Function for $name {
                const SLOT: usize = $slot;
                const CAPABILITY: Capability = Capability::$capability;
                const NAME: &'static str = $function;
                type Params<'a> = ($(&'a $param,)*);
                type Owned = ($(<$param as ToOwned>::Owned,)*);
                type Output = $output;

                fn lend(owned: &Self::Owned) -> Self::Params<'_> {
                    lend!(owned; $($param),*)
                }
            }
        )*

        /// Makes a recorded call again, whichever function it was of.
        pub(crate) async fn replay(
            adapter: &Arc<Shared>,
            recording: &Recording,
        ) -> Result<Replay, ReplayError> {
            $(
                if recording.operation == $name::operation().to_string() {
                    return Box::pin(replay::replay::<$name>(adapter, recording)).await;
                }
            )*
            let operation = &recording.operation;
            Err(ReplayError::Unreadable(format!("there is no operation {operation}")))
        }

        impl Exports {
            /// Finds every function of the capabilities and checks its types.
            pub(crate) fn find(
                instance: &InstancePre<CallState>,
                capabilities: &[Capability],
            ) -> Result<Self, LoadError> {
                let mut exports = Self { indices: [None; FUNCTIONS] };
                $(
                    if capabilities.contains(&<$name as Function>::CAPABILITY) {
                        exports.add::<$name>(instance)?;
                    }
                )*
                Ok(exports)
            }
        }
    };
}

const FUNCTIONS: usize = 35;

/// Where an adapter's functions are: looked up once, at load.
#[derive(Debug)]
pub(crate) struct Exports {
    indices: [Option<ComponentExportIndex>; FUNCTIONS],
}

functions! {
    0 AccountCheck: AccountCheck "check" () -> account::Account;
    1 SmsSend: Sms "send" (sms::SendRequest) -> sms::Message;
    2 SmsGet: Sms "get" (str) -> sms::Message;
    3 SmsCancel: SmsCancel "cancel" (str) -> sms::Message;
    4 SmsFind: SmsLookup "find" (sms::SendRequest, sms::Window) -> Vec<sms::Message>;
    5 EmailSend: Email "send" (email::SendRequest) -> email::Message;
    6 EmailGet: Email "get" (str) -> email::Message;
    7 EmailCancel: EmailCancel "cancel" (str) -> email::Message;
    8 EmailSendBatch: EmailBatch "send-batch" ([email::SendRequest], str)
        -> Vec<Result<email::Message, CallError>>;
    9 PaymentCreate: Payments "create" (payments::CreateRequest) -> payments::Payment;
    10 PaymentGet: Payments "get" (Reference) -> payments::Payment;
    11 PaymentAuthorize: Payments "authorize" (Reference, Attempt) -> payments::Payment;
    12 PaymentCapture: Payments "capture" (Reference, Money, Attempt) -> payments::Payment;
    13 PaymentCancel: Payments "cancel" (Reference, Attempt) -> payments::Payment;
    14 PaymentFind: PaymentLookup "find" (payments::CreateRequest, Window)
        -> Vec<payments::Payment>;
    15 CheckoutConfirm: Checkout "confirm" (Reference, [(String, String)]) -> payments::Payment;
    16 RefundCreate: Refunds "create" (refunds::CreateRequest) -> refunds::Refund;
    17 RefundGet: Refunds "get" (Reference) -> refunds::Refund;
    18 PlanCreate: Plans "create" (plans::CreateRequest) -> plans::Plan;
    19 PlanGet: Plans "get" (Reference) -> plans::Plan;
    20 PlanFind: PlanLookup "find" (plans::CreateRequest, Window) -> Vec<plans::Plan>;
    21 SubscriptionCreate: Subscriptions "create" (subscriptions::CreateRequest)
        -> subscriptions::Subscription;
    22 SubscriptionGet: Subscriptions "get" (Reference) -> subscriptions::Subscription;
    23 SubscriptionCancel: Subscriptions "cancel" (Reference, Moment, Attempt)
        -> subscriptions::Subscription;
    24 SubscriptionPause: Subscriptions "pause" (Reference, Moment, Attempt)
        -> subscriptions::Subscription;
    25 SubscriptionResume: Subscriptions "resume" (Reference, Attempt)
        -> subscriptions::Subscription;
    26 SubscriptionChangePlan: Subscriptions "change-plan"
        (Reference, Reference, Option<Moment>, Attempt) -> subscriptions::Subscription;
    27 SubscriptionFind: SubscriptionLookup "find" (subscriptions::CreateRequest, Window)
        -> Vec<subscriptions::Subscription>;
    28 PaymentLinkCreate: PaymentLinks "create" (payment_links::CreateRequest)
        -> payment_links::PaymentLink;
    29 PaymentLinkGet: PaymentLinks "get" (Reference) -> payment_links::PaymentLink;
    30 PaymentLinkCapture: PaymentLinks "capture" (Reference, Attempt)
        -> payment_links::PaymentLink;
    31 PaymentLinkCancel: PaymentLinks "cancel" (Reference, Attempt) -> payment_links::PaymentLink;
    32 PaymentLinkFind: PaymentLinkLookup "find" (payment_links::CreateRequest, Window)
        -> Vec<payment_links::PaymentLink>;
    34 WebhooksRead: Webhooks "read" (webhooks::Request) -> webhooks::Reading;
    33 RefundFind: RefundLookup "find" (refunds::CreateRequest, Window) -> Vec<refunds::Refund>;
}

impl Exports {
    pub(crate) fn get<F: Function>(&self) -> Option<ComponentExportIndex> {
        self.indices.get(F::SLOT).copied().flatten()
    }

    fn add<F: Function>(&mut self, instance: &InstancePre<CallState>) -> Result<(), LoadError> {
        let refuse = |reason: String| LoadError::Export {
            interface: F::CAPABILITY.interface(),
            function: F::NAME,
            reason,
        };
        let component = instance.component();
        // Found whatever its minor version is.
        let interface = format!("{}@1.0.0", F::CAPABILITY.interface());
        let parent = component
            .get_export_index(None, &interface)
            .ok_or_else(|| refuse("the interface is not there".to_owned()))?;
        let (item, index) = component
            .get_export(Some(&parent), F::NAME)
            .ok_or_else(|| refuse("the function is not there".to_owned()))?;
        let ComponentItem::ComponentFunc(function) = item else {
            return Err(refuse("it is no function".to_owned()));
        };
        function
            .typecheck::<F::Params<'_>, Returned<F>>(&instance.instance_type())
            .map_err(|error| refuse(format!("{error:#}")))?;
        if let Some(slot) = self.indices.get_mut(F::SLOT) {
            *slot = Some(index);
        }
        Ok(())
    }
}
