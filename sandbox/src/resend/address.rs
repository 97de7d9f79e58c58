//! Addresses, and what the special recipients bring about.

use email_address::{EmailAddress, Options};
use http::StatusCode;

use super::{
    OWN_ADDRESS,
    email::Event,
    error::{self, ResendError},
};

/// The domain from which anything may be sent.
const VERIFIED_DOMAIN: &str = "example.com";
/// Resend's own: senders for a first try, and the magic recipients.
const TRIAL_DOMAIN: &str = "resend.dev";
/// The sandbox's own (a departure): `{last_event}@sandbox.test` ends there,
/// `{error name}@refused.test` is refused with that error.
const COURSE_DOMAIN: &str = "sandbox.test";
const REFUSED_DOMAIN: &str = "refused.test";

/// Takes the bare address out of `email@example.com` or `Name <email@example.com>`.
pub(super) fn bare(text: &str) -> Option<&str> {
    let text = text.trim();
    let address = match text.strip_suffix('>') {
        Some(named) => named.rsplit_once('<')?.1,
        None => text,
    };
    let options = Options {
        minimum_sub_domains: 2,
        allow_domain_literal: false,
        allow_display_text: false,
    };
    EmailAddress::parse_with_options(address, options)
        .is_ok()
        .then_some(address)
}

/// Whether `from` may write to these recipients.
pub(super) fn check_sender(from: &str, recipients: &[&str]) -> Result<(), ResendError> {
    let address = bare(from).ok_or(ResendError::named("invalid_from_address"))?;
    let domain = domain(address);
    if domain.eq_ignore_ascii_case(VERIFIED_DOMAIN) {
        return Ok(());
    }
    if !domain.eq_ignore_ascii_case(TRIAL_DOMAIN) {
        let message = format!(
            "The {domain} domain is not verified. Please, add and verify your domain on https://resend.com/domains"
        );
        return Err(ResendError::validation(message).with_status(StatusCode::FORBIDDEN));
    }
    if recipients
        .iter()
        .all(|to| *to == OWN_ADDRESS || self::domain(to) == TRIAL_DOMAIN)
    {
        return Ok(());
    }
    let message = format!(
        "You can only send testing emails to your own email address ({OWN_ADDRESS}). To send emails to other recipients, please verify a domain at resend.com/domains, and change the `from` address to an email using this domain."
    );
    Err(ResendError::validation(message).with_status(StatusCode::FORBIDDEN))
}

/// How the e-mail ends: the first special recipient decides.
pub(super) fn course(recipients: &[&str]) -> Result<Event, ResendError> {
    for recipient in recipients {
        let Some((local, domain)) = recipient.rsplit_once('@') else {
            continue;
        };
        let local = local.split('+').next().unwrap_or(local);
        match (domain, Event::of_name(local)) {
            (
                TRIAL_DOMAIN,
                Some(
                    event @ (Event::Delivered
                    | Event::Bounced
                    | Event::Complained
                    | Event::Suppressed),
                ),
            )
            | (COURSE_DOMAIN, Some(event)) => return Ok(event),
            (REFUSED_DOMAIN, _) => {
                if let Some(error) = error::of_name(local) {
                    return Err(error);
                }
            }
            _ => {}
        }
    }
    Ok(Event::Delivered)
}

fn domain(address: &str) -> &str {
    address.rsplit_once('@').map_or("", |(_, domain)| domain)
}
