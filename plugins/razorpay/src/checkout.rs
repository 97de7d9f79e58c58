//! What Razorpay's checkout hands to the buyer's browser: three fields, signed with the key's secret.
//! <https://razorpay.com/docs/payments/payment-gateway/web-integration/standard/integration-steps/>

use alloc::borrow::ToOwned as _;
use alloc::string::String;

use onerouter_plugin::common::{CallError, FieldError};
use onerouter_plugin::failure::field_error;
use onerouter_plugin::payments::Reference;
use onerouter_plugin::signature;

use crate::bindings::exports::onerouter::payments::payments::Payment;
use crate::payment;

/// Of the manifest's `signatures`.
const SIGNATURE: &str = "checkout";

/// Checks the signature, then reads the order.
pub(crate) fn confirm(
    payment: &Reference,
    response: &[(String, String)],
) -> Result<Payment, CallError> {
    let invalid = |error| CallError::Invalid(alloc::vec![error]);
    let signed = Signed::of(&payment.provider_id, response).map_err(invalid)?;
    if !signature::verify(SIGNATURE, signed.message.as_bytes(), signed.tag) {
        return Err(invalid(field_error(
            "/provider_response/razorpay_signature",
            "invalid",
            "is not Razorpay's signature of this payment",
        )));
    }
    payment::get(payment)
}

struct Signed<'a> {
    message: String,
    tag: &'a str,
}

impl<'a> Signed<'a> {
    /// What Razorpay signs is the order that we know, whatever the response says.
    fn of(order_id: &str, response: &'a [(String, String)]) -> Result<Self, FieldError> {
        let field = |name: &str| {
            let mut pairs = response.iter();
            pairs
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.as_str())
        };
        let required = |name: &str| {
            field(name)
                .filter(|value| !value.is_empty())
                .ok_or_else(|| {
                    let pointer = ["/provider_response/", name].concat();
                    field_error(&pointer, "required", "is what Razorpay's checkout returns")
                })
        };
        if field("razorpay_order_id").is_some_and(|named| named != order_id) {
            return Err(field_error(
                "/provider_response/razorpay_order_id",
                "invalid",
                "is another order than that of this payment",
            ));
        }
        let payment_id = required("razorpay_payment_id")?;
        let mut message = order_id.to_owned();
        message.push('|');
        message.push_str(payment_id);
        Ok(Self {
            message,
            tag: required("razorpay_signature")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn pointer(response: &[(&str, &str)]) -> String {
        let response = pairs(response);
        match Signed::of("order_1", &response) {
            Ok(signed) => signed.message,
            Err(error) => error.pointer,
        }
    }

    #[test]
    fn what_is_signed_is_our_order_and_their_payment() {
        let (payment, signature) = (
            ("razorpay_payment_id", "pay_2"),
            ("razorpay_signature", "5f0c"),
        );
        assert_eq!(pointer(&[payment, signature]), "order_1|pay_2");
        assert_eq!(
            pointer(&[("razorpay_order_id", "order_1"), signature, payment]),
            "order_1|pay_2"
        );
        for (response, expected) in [
            (&[payment][..], "/provider_response/razorpay_signature"),
            (&[signature], "/provider_response/razorpay_payment_id"),
            (
                &[("razorpay_payment_id", ""), signature],
                "/provider_response/razorpay_payment_id",
            ),
            (
                &[("razorpay_order_id", "order_2"), payment, signature],
                "/provider_response/razorpay_order_id",
            ),
            (&[], "/provider_response/razorpay_payment_id"),
        ] {
            assert_eq!(pointer(response), expected);
        }
    }
}
