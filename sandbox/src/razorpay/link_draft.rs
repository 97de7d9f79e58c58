//! Creating and changing payment links.

use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use url::Url;

use super::{
    State,
    agenda::Due,
    books::{Books, Cause},
    checkout::Callback,
    error::RazorpayError,
    fields::Fields,
    id,
    link::{Customer, LinkStatus, Notify, PaymentLink, SHAPE, VALID_MONTHS},
    money,
    news::News,
    order::parse_parts,
};
use crate::{call::Call, clock::later, reply::Reply};

const DESCRIPTION_CHARACTERS_MAX: usize = 2048;
const REFERENCE_CHARACTERS_MAX: usize = 40;
const TEXT_CHARACTERS_MAX: usize = 255;
const EXPIRES_AFTER: TimeDelta = TimeDelta::minutes(15);

/// `POST /payment_links`
pub(super) fn create(state: &State, call: &Call) -> Result<Reply, RazorpayError> {
    let fields = Fields::of(call, SHAPE)?;
    let cause = Cause::request(&state.core, call);
    let link = parse(&fields, &state.core.base_url, cause.at)?;
    let mut books = state.books();
    check_reference(&books, &link.reference_id)?;
    let (id, reference) = (link.id.clone(), link.reference_id.clone());
    let expires_at = link.expires_at();
    let view = link.view(&books);
    books.links.push(id.clone(), link);
    if !reference.is_empty() {
        books.set_reference(reference, id.clone());
    }
    if let Some(at) = expires_at {
        books.schedule(at, Due::Link(id.clone()));
    }
    books.announce(&cause, News::LinkCreated, &id);
    Ok(Reply::json(StatusCode::OK, &view))
}

fn parse(
    fields: &Fields<'_>,
    base_url: &str,
    now: DateTime<Utc>,
) -> Result<PaymentLink, RazorpayError> {
    fields.only(&[
        "amount",
        "currency",
        "accept_partial",
        "first_min_partial_amount",
        "description",
        "reference_id",
        "customer",
        "expire_by",
        "notify",
        "reminder_enable",
        "notes",
        "callback_url",
        "callback_method",
        "upi_link",
        "options",
    ])?;
    if fields.flag("upi_link")? == Some(true) {
        // The key is a test key.
        return Err(RazorpayError::bad(
            SHAPE,
            "UPI Payment Links is not supported in Test Mode. Please experience the product in Live Mode.",
        ));
    }
    let currency = match fields.text("currency", 3)? {
        None => "INR".to_owned(),
        Some(currency) => money::check_currency(fields, currency)?,
    };
    let amount = money::amount(fields, "amount", &currency)?;
    let in_parts = fields.flag("accept_partial")?.unwrap_or(false);
    let least = "first_min_partial_amount";
    let parts = parse_parts(fields, least, in_parts, (amount, &currency))?;
    // Any object: it changes the looks of pages that are not emulated.
    fields.object("options")?;
    let id = id::random("plink");
    Ok(PaymentLink {
        short_url: format!("{base_url}/razorpay/i/{id}"),
        id,
        amount,
        amount_paid: 0,
        currency,
        status: LinkStatus::Created,
        parts,
        first_min_partial_amount: fields.integer(least)?.unwrap_or(0),
        description: fields
            .text("description", DESCRIPTION_CHARACTERS_MAX)?
            .unwrap_or_default(),
        reference_id: fields
            .text("reference_id", REFERENCE_CHARACTERS_MAX)?
            .unwrap_or_default(),
        customer: parse_customer(fields)?,
        notify: parse_notify(fields)?,
        reminder_enable: fields.flag("reminder_enable")?.unwrap_or(false),
        notes: fields.notes()?.unwrap_or_default(),
        callback: parse_callback(fields)?,
        expire_by: parse_expiry(fields, now, now)?,
        created_at: now,
        updated_at: now,
        cancelled_at: None,
        expired_at: None,
        order_id: None,
        payments: Vec::new(),
    })
}

fn parse_customer(fields: &Fields<'_>) -> Result<Customer, RazorpayError> {
    let Some(customer) = fields.object("customer")? else {
        return Ok(Customer::default());
    };
    customer.only(&["name", "email", "contact"])?;
    Ok(Customer {
        name: customer.text("name", TEXT_CHARACTERS_MAX)?,
        email: customer.text("email", TEXT_CHARACTERS_MAX)?,
        contact: customer.text("contact", TEXT_CHARACTERS_MAX)?,
    })
}

fn parse_notify(fields: &Fields<'_>) -> Result<Notify, RazorpayError> {
    let Some(notify) = fields.object("notify")? else {
        return Ok(Notify::default());
    };
    notify.only(&["sms", "email"])?;
    Ok(Notify {
        email: notify.flag("email")?.unwrap_or(false),
        sms: notify.flag("sms")?.unwrap_or(false),
    })
}

/// An address, and `get` as the only method that leads there.
fn parse_callback(fields: &Fields<'_>) -> Result<Option<Callback>, RazorpayError> {
    let method = fields.text("callback_method", TEXT_CHARACTERS_MAX)?;
    let Some(url) = fields.text("callback_url", usize::MAX)? else {
        return Ok(None);
    };
    if url.is_empty() {
        return Ok(None);
    }
    let is_web = Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if !is_web {
        return Err(fields.wrong("callback_url", "callback_url: must be a valid URL."));
    }
    match method.as_deref() {
        Some("get") => Ok(Some(Callback {
            url,
            cancel_url: None,
        })),
        Some(_) => Err(fields.wrong("callback_method", "callback_method: must be a valid value.")),
        None => Err(fields.missing("callback_method")),
    }
}

fn parse_expiry(
    fields: &Fields<'_>,
    created_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, RazorpayError> {
    let Some(at) = fields.time("expire_by")? else {
        return Ok(None);
    };
    // Seconds are all that can be written.
    if at.timestamp() < later(now, EXPIRES_AFTER).timestamp() {
        return Err(fields.wrong(
            "expire_by",
            "timestamp must be atleast 15 minutes in future",
        ));
    }
    if created_at
        .checked_add_months(VALID_MONTHS)
        .is_some_and(|last| at > last)
    {
        return Err(fields.wrong(
            "expire_by",
            "expire_by cannot exceed six months from the date of creation",
        ));
    }
    Ok(Some(at))
}

/// `PATCH /payment_links/{id}`
pub(super) fn update(state: &State, id: &str, call: &Call) -> Result<Reply, RazorpayError> {
    let fields = Fields::of(call, SHAPE)?;
    fields.only(&[
        "accept_partial",
        "reference_id",
        "expire_by",
        "reminder_enable",
        "notes",
    ])?;
    let cause = Cause::request(&state.core, call);
    let mut books = state.books();
    let link = books.link(id)?;
    if !link.is_open() {
        return Err(RazorpayError::bad(
            SHAPE,
            "update can only be made in created or partially paid state",
        ));
    }
    let expiry = parse_expiry(&fields, link.created_at, cause.at)?;
    let reference = fields.text("reference_id", REFERENCE_CHARACTERS_MAX)?;
    let reference = reference.filter(|reference| *reference != link.reference_id);
    let parts = fields.flag("accept_partial")?;
    let reminders = fields.flag("reminder_enable")?;
    let notes = fields.notes()?;
    if let Some(reference) = &reference {
        check_reference(&books, reference)?;
        books.set_reference(reference.clone(), id.to_owned());
    }
    let Some(link) = books.links.find_mut(id) else {
        return Err(RazorpayError::not_found(SHAPE));
    };
    if let Some(in_parts) = parts {
        link.parts = in_parts.then(|| money::minimum(&link.currency));
    }
    link.reference_id = reference.unwrap_or_else(|| std::mem::take(&mut link.reference_id));
    link.expire_by = expiry.or(link.expire_by);
    link.reminder_enable = reminders.unwrap_or(link.reminder_enable);
    link.notes = notes.unwrap_or_else(|| std::mem::take(&mut link.notes));
    link.updated_at = cause.at;
    let expires_at = link.expires_at();
    if let Some(at) = expires_at {
        books.schedule(at, Due::Link(id.to_owned()));
    }
    let view = books.link(id)?.view(&books);
    Ok(Reply::json(StatusCode::OK, &view))
}

fn check_reference(books: &Books, reference: &str) -> Result<(), RazorpayError> {
    if reference.is_empty() || books.link_of_reference(reference).is_none() {
        return Ok(());
    }
    Err(RazorpayError::bad(
        SHAPE,
        "payment link creation with reference ID already attempted",
    ))
}
