//! The order that a buyer approves.

use alloc::string::String;
use alloc::vec::Vec;

use onerouter_plugin::common::{CallError, FieldError};
use onerouter_plugin::context;
use onerouter_plugin::http::Answer;
use onerouter_plugin::json::Writer;
use onerouter_plugin::payments::Money;

use crate::order::Intent;
use crate::{api, money, refusal, text};

const DESCRIPTION_MAX: usize = 127;
pub(crate) const BRAND_MAX: usize = 127;

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) object_id: &'a str,
    pub(crate) intent: Intent,
    pub(crate) amount: &'a Money,
    pub(crate) description: Option<&'a str>,
    /// The page on which PayPal begins, where not the usual one.
    pub(crate) landing_page: Option<&'static str>,
    pub(crate) return_url: &'a str,
    pub(crate) cancel_url: &'a str,
}

/// `POST /v2/checkout/orders`. A repeat under the same key brings the order as it is now, with 200.
pub(crate) fn create(draft: &Draft<'_>, key: &str) -> Result<Answer, CallError> {
    let brand = context::setting("brand_name");
    let body = draft.body(brand.as_deref()).map_err(CallError::Invalid)?;
    let answer = api::write(api::url("/v2/checkout/orders"), Some(key), body)?;
    if answer.is_success() {
        Ok(answer)
    } else {
        Err(refusal::after_create(&answer))
    }
}

impl Draft<'_> {
    /// The body, or every reason why PayPal would not take it.
    fn body(&self, brand: Option<&str>) -> Result<String, Vec<FieldError>> {
        let value = money::text(self.amount).map_err(|error| alloc::vec![error])?;
        let mut order = Writer::new();
        order.text("intent", self.intent.name());
        order.objects("purchase_units", [self], |unit, draft| {
            unit.object("amount", |amount| {
                amount
                    .text("currency_code", &draft.amount.currency)
                    .text("value", &value);
            });
            // Ours, so that an event or a report can be told whose it is; and an invoice can be paid
            // only once in an account.
            unit.text("custom_id", draft.object_id)
                .text("invoice_id", draft.object_id);
            if let Some(description) = text::some(draft.description, DESCRIPTION_MAX) {
                unit.text("description", &description);
            }
        });
        order.object("payment_source", |source| {
            source.object("paypal", |paypal| {
                paypal.object("experience_context", |context| {
                    context
                        .text("return_url", self.return_url)
                        .text("cancel_url", self.cancel_url)
                        .text("user_action", "PAY_NOW")
                        .text("shipping_preference", "NO_SHIPPING");
                    if let Some(page) = self.landing_page {
                        context.text("landing_page", page);
                    }
                    if let Some(brand) = text::some(brand, BRAND_MAX) {
                        context.text("brand_name", &brand);
                    }
                });
            });
        });
        Ok(order.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::tests::money;

    fn draft(amount: &Money) -> Draft<'_> {
        Draft {
            object_id: "pay_1",
            intent: Intent::Capture,
            amount,
            description: None,
            landing_page: None,
            return_url: "https://or.example/r",
            cancel_url: "https://or.example/c",
        }
    }

    #[test]
    fn the_smallest_order() {
        let amount = money(2_500, "USD");
        assert_eq!(
            draft(&amount).body(None).unwrap(),
            r#"{"intent":"CAPTURE","purchase_units":[{"amount":{"currency_code":"USD","value":"25.00"},"custom_id":"pay_1","invoice_id":"pay_1"}],"payment_source":{"paypal":{"experience_context":{"return_url":"https://or.example/r","cancel_url":"https://or.example/c","user_action":"PAY_NOW","shipping_preference":"NO_SHIPPING"}}}}"#
        );
    }

    #[test]
    fn a_brand_a_page_and_a_description_that_is_cut() {
        let amount = money(2_500, "JPY");
        let long = "a".repeat(1_000);
        let draft = Draft {
            intent: Intent::Authorize,
            description: Some(&long),
            landing_page: Some("GUEST_CHECKOUT"),
            ..draft(&amount)
        };
        let body = draft.body(Some("Chairs \"R\" us")).unwrap();
        assert!(body.contains(r#""intent":"AUTHORIZE""#));
        assert!(body.contains(r#""value":"2500""#));
        let cut = ["\"description\":\"", &"a".repeat(124), "...\""].concat();
        assert!(body.contains(&cut), "{body}");
        assert!(body.contains(r#""landing_page":"GUEST_CHECKOUT","brand_name":"Chairs \"R\" us""#));
    }

    #[test]
    fn an_amount_that_paypal_cannot_take_is_refused() {
        for amount in [money(0, "USD"), money(101, "TWD"), money(500, "KWD")] {
            assert_eq!(draft(&amount).body(None).unwrap_err().len(), 1);
        }
    }
}
