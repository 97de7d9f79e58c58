//! How the buyer is led: `payment_source.paypal.experience_context`, or the older `application_context`.

use super::super::{error::PaypalError, fields::Fields};

#[derive(Debug, Default)]
pub(in super::super) struct Experience {
    pub(in super::super) return_url: Option<String>,
    pub(in super::super) cancel_url: Option<String>,
    pub(in super::super) brand: Option<String>,
    /// "Pay now" instead of "Continue" on the button.
    pub(in super::super) pays_now: bool,
    /// The order was made with a `payment_source`.
    pub(in super::super) by_source: bool,
    pub(in super::super) shipping: Preference,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) enum Preference {
    #[default]
    GetFromFile,
    NoShipping,
    SetProvidedAddress,
}

const PREFERENCES: [(&str, Preference); 3] = [
    ("GET_FROM_FILE", Preference::GetFromFile),
    ("NO_SHIPPING", Preference::NoShipping),
    ("SET_PROVIDED_ADDRESS", Preference::SetProvidedAddress),
];
/// Sources that PayPal knows and the sandbox does not play.
const OTHER_SOURCES: [&str; 14] = [
    "apple_pay",
    "bancontact",
    "blik",
    "eps",
    "giropay",
    "google_pay",
    "ideal",
    "mybank",
    "p24",
    "sofort",
    "token",
    "trustly",
    "venmo",
    "card",
];

impl Experience {
    pub(super) fn parse(body: &Fields<'_>) -> Result<Experience, PaypalError> {
        let context = body.object("application_context")?;
        let Some(source) = body.object("payment_source")? else {
            return match context {
                Some(context) => read(&context, &["LOGIN", "BILLING", "NO_PREFERENCE"]),
                None => Ok(Experience::default()),
            };
        };
        check_source(&source)?;
        let wallet = source
            .object("paypal")?
            .ok_or_else(|| source.missing("paypal"))?;
        let experience = match (wallet.object("experience_context")?, context) {
            (Some(_), Some(_)) => {
                return Err(body.wrong("INCOMPATIBLE_PARAMETER_VALUE", "application_context"));
            }
            (Some(experience), None) => {
                experience.check_choice(
                    "payment_method_preference",
                    &["UNRESTRICTED", "IMMEDIATE_PAYMENT_REQUIRED"],
                )?;
                read(&experience, &["LOGIN", "GUEST_CHECKOUT", "NO_PREFERENCE"])?
            }
            (None, Some(context)) => read(&context, &["LOGIN", "BILLING", "NO_PREFERENCE"])?,
            (None, None) => Experience::default(),
        };
        Ok(Experience {
            by_source: true,
            ..experience
        })
    }

    pub(super) fn approval_rel(&self) -> &'static str {
        if self.by_source {
            "payer-action"
        } else {
            "approve"
        }
    }
}

/// The only way to pay here is the buyer's PayPal account.
pub(super) fn check_source(source: &Fields<'_>) -> Result<(), PaypalError> {
    for name in source.map().keys() {
        match name.as_str() {
            "paypal" => {}
            "card" => return Err(source.wrong("NOT_ENABLED_FOR_CARD_PROCESSING", name)),
            "token" => return Err(source.wrong("NOT_ELIGIBLE_FOR_TOKEN_PROCESSING", name)),
            known if OTHER_SOURCES.contains(&known) => {
                return Err(source.wrong("NOT_SUPPORTED", name));
            }
            _ => return Err(source.wrong("INVALID_PARAMETER_VALUE", name)),
        }
    }
    Ok(())
}

fn read(context: &Fields<'_>, landing_pages: &[&str]) -> Result<Experience, PaypalError> {
    context.check_choice("landing_page", landing_pages)?;
    context.text("locale", 2..=10)?;
    let user_action = context.choice("user_action", &[("CONTINUE", false), ("PAY_NOW", true)])?;
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Ok(Experience {
        return_url: owned(context.url("return_url", 1..=usize::MAX)?),
        cancel_url: owned(context.url("cancel_url", 1..=usize::MAX)?),
        brand: owned(context.text("brand_name", 1..=127)?),
        pays_now: user_action.unwrap_or(false),
        by_source: false,
        shipping: context
            .choice("shipping_preference", &PREFERENCES)?
            .unwrap_or_default(),
    })
}
