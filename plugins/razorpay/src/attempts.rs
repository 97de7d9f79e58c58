//! What the buyers' tries at an order come to. Razorpay makes a payment of each: several may fail, one is
//! authorized, and that one is captured.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use onerouter_plugin::common::{CallError, Cost, Failure};
use onerouter_plugin::failure::{self, failure};
use onerouter_plugin::http::Answer;
use onerouter_plugin::json::Object;
use onerouter_plugin::payments::{Money, Reference};

use crate::{api, money};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    /// Details were given, nothing more.
    Created,
    Authorized,
    Captured,
    /// Not captured in time: the money went back.
    Returned,
    Failed,
}

/// The order whose payments are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'a> {
    pub(crate) id: &'a str,
    /// The whole of it, where that is known.
    pub(crate) amount: Option<&'a Money>,
}

/// One try.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) id: String,
    status: Status,
    pub(crate) amount: u64,
    refunded: u64,
    /// `card`, `upi`, …: an open list.
    pub(crate) method: Option<String>,
    pub(crate) details: Vec<(String, String)>,
    pub(crate) fee: Option<Cost>,
    /// Why nothing came of it.
    failure: Option<Failure>,
    created_at: Option<u64>,
}

/// What all of them come to.
#[derive(Debug, Clone)]
pub(crate) enum Standing {
    /// For a buyer; with why the last one failed.
    Waiting(Option<Failure>),
    /// For the capture.
    Authorized(Attempt),
    Paid(Attempt),
    /// Nobody captured in time. The order could still be paid, but what was reserved for it is gone: who
    /// comes back to it pays anew.
    Returned(Option<Failure>),
}

#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) standing: Standing,
    pub(crate) captured: u64,
    pub(crate) refunded: u64,
    pub(crate) raw: Option<String>,
}

/// `GET /v1/orders/{id}/payments`
pub(crate) fn look(order: Order<'_>) -> Result<Seen, CallError> {
    let answer = api::read(api::url("orders").segment(order.id).segment("payments"))?;
    Seen::of(&answer, order)
        .map(|seen| seen.with_card(order))
        .ok_or_else(|| failure::unreadable_after_read(answer.status))
}

impl<'a> Order<'a> {
    pub(crate) fn of(payment: &'a Reference) -> Self {
        Self {
            id: &payment.provider_id,
            amount: payment.amount.as_ref(),
        }
    }

    /// Whether a payment can be one of this order's: what is in another currency, or names another order,
    /// is about something else.
    fn takes(self, payment: &Object<'_>, paid: &Money) -> bool {
        let order_id = payment.text("order_id").filter(|id| !id.is_empty());
        order_id.is_none_or(|id| id == self.id)
            && self
                .amount
                .is_none_or(|whole| whole.currency == paid.currency)
    }
}

impl Seen {
    /// An order that nobody has tried to pay.
    pub(crate) fn untried(raw: Option<String>) -> Self {
        Self {
            standing: Standing::Waiting(None),
            captured: 0,
            refunded: 0,
            raw,
        }
    }

    /// Of the list of an order's payments.
    fn of(answer: &Answer, order: Order<'_>) -> Option<Self> {
        let list = answer.object()?;
        let payments = list.objects("items")?;
        let attempts = payments.iter().map(|payment| Attempt::read(payment, order));
        Self::of_attempts(attempts.collect::<Option<_>>()?, order, answer.raw())
    }

    /// Of the payment that was asked for.
    pub(crate) fn of_one(answer: &Answer, order: Order<'_>, payment_id: &str) -> Option<Self> {
        let attempt = Attempt::of_answer(answer, order, payment_id)?;
        Self::of_attempts(alloc::vec![attempt], order, answer.raw())
    }

    /// The same with what is known of the card, where one paid: lists and captures say nothing but its id.
    /// Not worth failing for.
    pub(crate) fn with_card(mut self, order: Order<'_>) -> Self {
        if let Standing::Paid(attempt) = &mut self.standing
            && attempt.method.as_deref() == Some("card")
        {
            let url = api::url("payments").segment(&attempt.id);
            if let Some(answer) = api::glance(url.query("expand[]", "card"))
                && let Some(expanded) = Attempt::of_answer(&answer, order, &attempt.id)
            {
                attempt.details = expanded.details;
            }
        }
        self
    }

    fn of_attempts(attempts: Vec<Attempt>, order: Order<'_>, raw: Option<String>) -> Option<Self> {
        let captured = || attempts.iter().filter(|one| one.status == Status::Captured);
        let sum = |of: fn(&Attempt) -> u64| {
            captured().try_fold(0_u64, |sum, attempt| sum.checked_add(of(attempt)))
        };
        let taken = sum(|attempt| attempt.amount)?;
        let first = |status| attempts.iter().find(|one| one.status == status).cloned();
        // In which order a list comes is not documented.
        let last_failure = || {
            let failed = attempts.iter().filter(|one| one.failure.is_some());
            let last = failed.max_by_key(|attempt| attempt.created_at);
            last.and_then(|attempt| attempt.failure.clone())
        };
        // Not the one that Razorpay gave back, or will: the later one.
        let kept = captured().filter(|attempt| attempt.refunded < attempt.amount);
        let kept = kept.min_by_key(|attempt| attempt.created_at);
        let paid = kept.cloned().or_else(|| first(Status::Captured));
        // A buyer who tries again waits for an end of that.
        let returned = first(Status::Returned).filter(|returned| {
            let newest = attempts.iter().max_by_key(|attempt| attempt.created_at);
            newest.is_none_or(|newest| newest.created_at <= returned.created_at)
        });
        // What a buyer pays a second time comes back from Razorpay: neither the one nor the other counts.
        // Nor does a fee that the buyer paid on top.
        let whole = order.amount.map_or(taken, |whole| whole.minor_units);
        let others = taken.saturating_sub(paid.as_ref().map_or(0, |attempt| attempt.amount));
        let excess = taken.saturating_sub(whole).min(others);
        let captured = taken.saturating_sub(excess).min(whole);
        let refunded = sum(|attempt| attempt.refunded)?.saturating_sub(excess);
        let standing = match (paid, first(Status::Authorized), returned) {
            (Some(attempt), ..) => Standing::Paid(attempt),
            (None, Some(attempt), _) => Standing::Authorized(attempt),
            (None, None, Some(attempt)) => Standing::Returned(attempt.failure),
            (None, None, None) => Standing::Waiting(last_failure()),
        };
        Some(Self {
            captured,
            refunded: refunded.min(captured),
            standing,
            raw,
        })
    }
}

impl Attempt {
    /// Of the payment that was asked for; none where the answer is about another.
    fn of_answer(answer: &Answer, order: Order<'_>, payment_id: &str) -> Option<Self> {
        let attempt = Self::read(&answer.object()?, order)?;
        (attempt.id == payment_id).then_some(attempt)
    }

    fn read(payment: &Object<'_>, order: Order<'_>) -> Option<Self> {
        let paid = money::read(payment)?;
        if !order.takes(payment, &paid) {
            return None;
        }
        let status = payment.text("status")?;
        let was_captured = match payment.raw("captured") {
            Some("false") => false,
            // In some payloads it is the text "1".
            Some(_) | None => true,
        };
        let status = match status.as_str() {
            "authorized" => Status::Authorized,
            "captured" => Status::Captured,
            "refunded" if was_captured => Status::Captured,
            "refunded" => Status::Returned,
            "failed" => Status::Failed,
            // `created`, and whatever comes next: nothing that could be relied on.
            _ => Status::Created,
        };
        Some(Self {
            id: api::id(payment)?,
            status,
            amount: paid.minor_units,
            refunded: api::count(payment, "amount_refunded").unwrap_or(0),
            method: payment.text("method").filter(|method| !method.is_empty()),
            details: details(payment),
            fee: money::fee(payment),
            failure: match status {
                Status::Failed => Some(why(payment)),
                Status::Returned => Some(returned()),
                Status::Created | Status::Authorized | Status::Captured => None,
            },
            created_at: api::time(payment, "created_at"),
        })
    }
}

/// How it was paid, without numbers of cards and accounts.
fn details(payment: &Object<'_>) -> Vec<(String, String)> {
    let mut details = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            details.push((name.to_owned(), api::cut(&value, 200)));
        }
    };
    if let Some(card) = payment.object("card") {
        add("last4", card.text("last4"));
        add("network", card.text("network"));
        add("card_type", card.text("type"));
        add("issuer", card.text("issuer"));
    }
    add("bank", payment.text("bank"));
    add("wallet", payment.text("wallet"));
    let vpa = payment.text("vpa").filter(|vpa| !vpa.is_empty());
    add("vpa", vpa.map(|vpa| masked(&vpa)));
    details
}

/// The beginning and the bank of a UPI address.
fn masked(vpa: &str) -> String {
    let (name, handle) = vpa.split_once('@').unwrap_or((vpa, ""));
    let mut masked: String = name.chars().take(1).collect();
    masked.push_str("***");
    if !handle.is_empty() {
        masked.push('@');
        masked.push_str(handle);
    }
    masked
}

fn returned() -> Failure {
    failure(
        "expired",
        "The money was reserved and not captured in time, so it went back to the buyer.",
    )
}

/// Why a try failed: <https://razorpay.com/docs/errors/payments/>.
fn why(payment: &Object<'_>) -> Failure {
    let reason = payment.text("error_reason");
    let error_code = payment.text("error_code");
    let (code, message, retryable) = match reason.as_deref() {
        Some("payment_cancelled") => ("action_required", "The buyer gave up.", true),
        Some("insufficient_funds") => (
            "instrument_declined",
            "There was not enough on the buyer's account.",
            true,
        ),
        Some("payment_timed_out") => ("expired", "The buyer took too long.", true),
        Some("payment_risk_check_failed") => (
            "security_blocked",
            "Razorpay's check of the risk stopped the payment.",
            false,
        ),
        Some(_) | None => match error_code.as_deref() {
            Some("GATEWAY_ERROR" | "SERVER_ERROR") => (
                "provider_unavailable",
                "Razorpay or a bank behind it failed.",
                true,
            ),
            // The buyer may choose other means.
            Some(_) | None => ("instrument_declined", "The buyer's payment failed.", true),
        },
    };
    Failure {
        retryable,
        provider_code: reason.or(error_code),
        provider_message: payment.text("error_description"),
        ..failure(code, message)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use alloc::format;
    use alloc::string::ToString as _;

    use proptest::prelude::*;

    use super::*;
    use crate::api::tests::answer;
    use crate::money::tests::money;

    pub(crate) fn payment(id: &str, status: &str, more: &str) -> String {
        format!(
            r#"{{"id":"{id}","entity":"payment","amount":50000,"currency":"INR","status":"{status}","order_id":"order_1","method":"upi","amount_refunded":0,"refund_status":null,"captured":true,"vpa":"success@razorpay","fee":null,"error_code":null{more}}}"#
        )
    }

    pub(crate) fn order(amount: Option<&Money>) -> Order<'_> {
        Order {
            id: "order_1",
            amount,
        }
    }

    pub(crate) fn seen(payments: &[String]) -> Option<Seen> {
        seen_of(order(None), payments)
    }

    fn seen_of(order: Order<'_>, payments: &[String]) -> Option<Seen> {
        let body = format!(
            r#"{{"entity":"collection","count":{},"items":[{}]}}"#,
            payments.len(),
            payments.join(",")
        );
        Seen::of(&answer(200, &body), order)
    }

    fn name(seen: &Seen) -> &'static str {
        match seen.standing {
            Standing::Waiting(_) => "waiting",
            Standing::Authorized(_) => "authorized",
            Standing::Paid(_) => "paid",
            Standing::Returned(_) => "returned",
        }
    }

    #[test]
    fn the_one_that_got_furthest_counts() {
        let [created, failed, authorized, captured] =
            ["created", "failed", "authorized", "captured"].map(|name| payment(name, name, ""));
        for (payments, expected, taken) in [
            (alloc::vec![], "waiting", 0),
            (alloc::vec![created.clone()], "waiting", 0),
            (alloc::vec![failed.clone(), created], "waiting", 0),
            (
                alloc::vec![failed.clone(), authorized.clone()],
                "authorized",
                0,
            ),
            (
                alloc::vec![authorized, captured.clone(), failed.clone()],
                "paid",
                50_000,
            ),
            (alloc::vec![captured, failed], "paid", 50_000),
        ] {
            let seen = seen(&payments).unwrap();
            assert_eq!(
                (name(&seen), seen.captured),
                (expected, taken),
                "{payments:?}"
            );
        }
    }

    #[test]
    fn money_that_went_back_uncaptured_was_never_paid() {
        let given_back =
            payment("p", "refunded", "").replace("\"captured\":true", "\"captured\":false");
        let seen_back = seen(&[given_back]).unwrap();
        assert_eq!(seen_back.captured, 0);
        let Standing::Returned(Some(failure)) = seen_back.standing else {
            panic!("{seen_back:?}");
        };
        assert_eq!(failure.code, "expired");
        for flag in ["true", "\"1\"", "null"] {
            let refunded = payment("p", "refunded", "")
                .replace("\"captured\":true", &format!("\"captured\":{flag}"))
                .replace("\"amount_refunded\":0", "\"amount_refunded\":50000");
            let seen = seen(&[refunded]).unwrap();
            assert_eq!(
                (name(&seen), seen.captured, seen.refunded),
                ("paid", 50_000, 50_000)
            );
        }
    }

    #[test]
    fn an_answer_about_another_order_or_currency_is_none() {
        let whole = money(50_000, "INR");
        let of = |payment: String| seen_of(order(Some(&whole)), &[payment]);
        let captured = payment("pay_1", "captured", "");
        assert!(of(captured.clone()).is_some());
        for nothing in ["null", "\"\""] {
            let unnamed = captured.replace("\"order_1\"", nothing);
            assert!(of(unnamed).is_some(), "{nothing}");
        }
        assert!(of(captured.replace("order_1", "order_2")).is_none());
        assert!(of(captured.replace("INR", "USD")).is_none());
        assert!(seen(&[captured.replace("INR", "USD")]).is_some());
    }

    #[test]
    fn an_answer_about_another_payment_is_none() {
        let whole = money(50_000, "INR");
        let body = answer(200, &payment("pay_1", "captured", ""));
        let of = |id: &str| Seen::of_one(&body, order(Some(&whole)), id);
        assert_eq!(of("pay_1").unwrap().captured, 50_000);
        assert!(of("pay_2").is_none());
    }

    #[test]
    fn a_buyer_who_paid_twice_has_paid_the_order() {
        let whole = money(50_000, "INR");
        let paid = |id: &str, refunded: u64| {
            let refunded = format!("\"amount_refunded\":{refunded}");
            payment(id, "captured", "").replace("\"amount_refunded\":0", &refunded)
        };
        for (first, second, captured, refunded, kept) in [
            (0, 0, 50_000, 0, "pay_1"),
            (0, 50_000, 50_000, 0, "pay_1"),
            (50_000, 0, 50_000, 0, "pay_2"),
            (20_000, 50_000, 50_000, 20_000, "pay_1"),
            (50_000, 50_000, 50_000, 50_000, "pay_1"),
        ] {
            let payments = [paid("pay_1", first), paid("pay_2", second)];
            let seen = seen_of(order(Some(&whole)), &payments).unwrap();
            assert_eq!((seen.captured, seen.refunded), (captured, refunded));
            let Standing::Paid(attempt) = seen.standing else {
                panic!("{seen:?}");
            };
            assert_eq!(attempt.id, kept, "{first} {second}");
        }
    }

    #[test]
    fn a_fee_on_top_is_not_the_orders_and_an_offer_takes_off() {
        let whole = money(50_000, "INR");
        for (paid, back, captured, refunded) in [
            (51_180, 0, 50_000, 0),
            (51_180, 51_180, 50_000, 50_000),
            (45_000, 0, 45_000, 0),
            (45_000, 45_000, 45_000, 45_000),
        ] {
            let payment = payment("pay_1", "captured", "")
                .replace("50000", &paid.to_string())
                .replace(
                    "\"amount_refunded\":0",
                    &format!("\"amount_refunded\":{back}"),
                );
            let seen = seen_of(order(Some(&whole)), &[payment]).unwrap();
            assert_eq!((seen.captured, seen.refunded), (captured, refunded));
        }
    }

    #[test]
    fn why_the_last_one_failed() {
        let reason = |reason: &str| {
            let more = format!(r#","error_description":"theirs","error_reason":"{reason}""#);
            let seen = seen(&[payment("p", "failed", &more)]).unwrap();
            let Standing::Waiting(Some(failure)) = seen.standing else {
                panic!("{seen:?}");
            };
            assert_eq!(failure.provider_code.as_deref(), Some(reason));
            assert_eq!(failure.provider_message.as_deref(), Some("theirs"));
            failure.code
        };
        assert_eq!(reason("payment_failed"), "instrument_declined");
        assert_eq!(reason("insufficient_funds"), "instrument_declined");
        assert_eq!(reason("payment_timed_out"), "expired");
        assert_eq!(reason("payment_cancelled"), "action_required");
        assert_eq!(reason("payment_risk_check_failed"), "security_blocked");
    }

    #[test]
    fn what_failed_for_razorpay_or_a_bank_may_be_tried_again() {
        for (code, reason, expected) in [
            (
                "GATEWAY_ERROR",
                "\"payment_failed\"",
                "provider_unavailable",
            ),
            ("SERVER_ERROR", "null", "provider_unavailable"),
            (
                "GATEWAY_ERROR",
                "\"insufficient_funds\"",
                "instrument_declined",
            ),
            ("BAD_REQUEST_ERROR", "null", "instrument_declined"),
        ] {
            let more = format!(r#","error_reason":{reason}"#);
            let code_text = format!("\"error_code\":\"{code}\"");
            let failed = payment("p", "failed", &more).replace("\"error_code\":null", &code_text);
            let Standing::Waiting(Some(failure)) = seen(&[failed]).unwrap().standing else {
                panic!("{code}");
            };
            assert_eq!((failure.code.as_str(), failure.retryable), (expected, true));
        }
    }

    #[test]
    fn the_newest_failure_counts_wherever_it_stands() {
        let failed = |reason: &str, at: u32| {
            let more = format!(r#","error_reason":"{reason}","created_at":{at}"#);
            payment("p", "failed", &more)
        };
        let [old, new] = [
            failed("payment_cancelled", 1_700_000_000),
            failed("payment_timed_out", 1_700_000_010),
        ];
        let last = |payments: &[String]| match seen(payments).unwrap().standing {
            Standing::Waiting(Some(failure)) => failure.message,
            other => panic!("{other:?}"),
        };
        for payments in [[old.clone(), new.clone()], [new.clone(), old]] {
            assert_eq!(last(&payments), "The buyer took too long.");
        }
    }

    #[test]
    fn no_whole_number_of_an_account_is_shown() {
        let upi = seen(&[payment("p", "captured", "")]).unwrap();
        let Standing::Paid(attempt) = upi.standing else {
            panic!()
        };
        assert_eq!(
            attempt.details,
            [("vpa".to_owned(), "s***@razorpay".to_owned())]
        );
        let card = r#","card":{"id":"card_1","name":"Ada","last4":"1007","network":"Visa","type":"credit","issuer":"HDFC"}"#;
        let card = seen(&[payment("p", "captured", card).replace("success@razorpay", "")]).unwrap();
        let Standing::Paid(attempt) = card.standing else {
            panic!()
        };
        let names: Vec<_> = attempt
            .details
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["last4", "network", "card_type", "issuer"]);
        assert_eq!(masked("nobody"), "n***");
    }

    #[test]
    fn a_list_that_makes_no_sense_is_none() {
        for body in [
            "",
            "{}",
            r#"{"items":{}}"#,
            r#"{"items":[7]}"#,
            r#"{"items":[{"id":"p"}]}"#,
        ] {
            assert!(
                Seen::of(&answer(200, body), order(None)).is_none(),
                "{body}"
            );
        }
        let odd = payment("p", "captured", "").replace("50000", "-1");
        assert!(seen(&[odd]).is_none());
        let many = payment("p", "captured", "").replace("50000", "18446744073709551615");
        assert!(seen(&[many.clone(), many]).is_none());
    }

    proptest! {
        /// Whatever order the list has: more tries never take money away.
        #[test]
        fn more_tries_never_take_money_away(
            statuses in prop::collection::vec(0..5_usize, 0..6),
            more in 0..5_usize,
        ) {
            let names = ["created", "failed", "authorized", "captured", "refunded"];
            let mut payments: Vec<_> = statuses.iter().map(|at| payment("p", names[*at], "")).collect();
            let before = seen(&payments).unwrap();
            payments.push(payment("q", names[more], ""));
            let after = seen(&payments).unwrap();
            prop_assert!(after.captured >= before.captured);
            let rank = |seen: &Seen| match name(seen) { "waiting" => 0, "returned" => 1, "authorized" => 2, _ => 3 };
            prop_assert!(rank(&after) >= rank(&before));
        }
    }
}
