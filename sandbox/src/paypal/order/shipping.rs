//! Where it goes.

use super::{
    super::{error::PaypalError, fields::Fields},
    experience::Preference,
    unit::Breakdown,
};

const TYPES: [&str; 4] = [
    "SHIPPING",
    "PICKUP_IN_PERSON",
    "PICKUP_IN_STORE",
    "PICKUP_FROM_PERSON",
];
/// Countries whose addresses are checked for city and postal code. PayPal checks many more.
const CHECKED_COUNTRIES: [&str; 3] = ["US", "CA", "GB"];

pub(super) fn check(
    unit: &Fields<'_>,
    preference: Preference,
    breakdown: &Breakdown,
) -> Result<(), PaypalError> {
    let Some(shipping) = unit.object("shipping")? else {
        return Ok(());
    };
    shipping.check_choice("type", &TYPES)?;
    if let Some(name) = shipping.object("name")? {
        name.text("full_name", 0..=300)?;
    }
    if let Some(address) = shipping.object("address")? {
        check_address(&address)?;
    }
    check_options(&shipping, preference, breakdown)
}

pub(super) fn check_address(address: &Fields<'_>) -> Result<(), PaypalError> {
    let country = address.required_text("country_code", 2..=2)?;
    if !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(address.wrong("INVALID_COUNTRY_CODE", "country_code"));
    }
    for (name, characters) in [
        ("address_line_1", 300),
        ("address_line_2", 300),
        ("admin_area_1", 300),
        ("admin_area_2", 120),
        ("postal_code", 60),
    ] {
        address.text(name, 0..=characters)?;
    }
    if CHECKED_COUNTRIES.contains(&country) {
        if address.present("admin_area_2").is_none() {
            return Err(address.wrong("CITY_REQUIRED", "admin_area_2"));
        }
        if address.present("postal_code").is_none() {
            return Err(address.wrong("POSTAL_CODE_REQUIRED", "postal_code"));
        }
    }
    Ok(())
}

fn check_options(
    shipping: &Fields<'_>,
    preference: Preference,
    breakdown: &Breakdown,
) -> Result<(), PaypalError> {
    let Some(options) = shipping.objects("options", 0..=10)? else {
        return Ok(());
    };
    if options.is_empty() {
        return Ok(());
    }
    if shipping.present("type").is_some() || preference != Preference::GetFromFile {
        return Err(shipping.wrong("SHIPPING_OPTIONS_NOT_SUPPORTED", "options"));
    }
    let mut selected = Vec::new();
    for option in &options {
        option.required_text("id", 1..=127)?;
        option.required_text("label", 1..=127)?;
        let chosen = option.flag("selected")?;
        if chosen.ok_or_else(|| option.missing("selected"))? {
            selected.push(option);
        }
    }
    let chosen = match selected.as_slice() {
        [] => return Err(shipping.wrong("SHIPPING_OPTION_NOT_SELECTED", "options")),
        [chosen] => chosen,
        _ => return Err(shipping.wrong("MULTIPLE_SHIPPING_OPTION_SELECTED", "options")),
    };
    let amount = chosen.money_from_zero("amount")?;
    if let (Some(amount), Some(shipping)) = (amount, breakdown.shipping)
        && amount != shipping
    {
        return Err(chosen.wrong("PREFERRED_SHIPPING_OPTION_AMOUNT_MISMATCH", "amount"));
    }
    Ok(())
}
