//! Short texts with a form: ids, keys, addresses, amounts.

use onerouter_domain::address::{Mailbox, PhoneNumber, SenderId};
use onerouter_domain::cost::{COST_SCALE_MAX, Cost, CostSource};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{ApiKeyId, ConnectionId, EmailId, RequestId, SmsId, TenantId};
use onerouter_domain::idempotency::IdempotencyKey;
use onerouter_domain::message::{EmailStatus, SmsStatus};
use onerouter_domain::metadata;
use onerouter_manifest::PluginId;

use crate::api_key::ApiKey;

pub(crate) fn texts(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    macro_rules! shown_as_read {
        ($($name:ty),+) => {$(
            if let Ok(value) = text.parse::<$name>() {
                assert_eq!(value.to_string(), text, stringify!($name));
            }
        )+};
    }
    shown_as_read!(ApiKeyId, ConnectionId, EmailId, RequestId, SmsId, TenantId);
    shown_as_read!(Environment, EmailStatus, SmsStatus);
    if let Ok(id) = PluginId::try_from(text.to_owned()) {
        assert_eq!(id.as_str(), text);
    }
    addresses(text);
    if let Ok(key) = IdempotencyKey::parse(text) {
        let bare = key.as_str();
        assert!((1..=255).contains(&bare.len()) && !bare.trim().is_empty());
        assert!(bare.bytes().all(|byte| (0x20..=0x7e).contains(&byte)));
        let quoted = format!("\"{}\"", bare.replace('\\', "\\\\").replace('"', "\\\""));
        assert_eq!(IdempotencyKey::parse(&quoted), Ok(key));
    }
    if let Ok(key) = ApiKey::parse(text) {
        assert_eq!(key.expose(), text);
    }
    amounts(text);
    if metadata::key_fits(text) {
        assert!(text.len() <= metadata::KEY_LENGTH_MAX && !text.contains(['[', ']', '\0']));
    }
}

fn addresses(text: &str) {
    if let Ok(phone) = text.parse::<PhoneNumber>() {
        assert!(text.parse::<SenderId>().is_ok());
        assert!(phone.as_str().len() <= 16);
    }
    if let Ok(sender) = text.parse::<SenderId>() {
        assert!((3..=16).contains(&sender.as_str().len()) || text.len() < 12);
    }
    if let Ok(mailbox) = text.parse::<Mailbox>() {
        let mailbox = mailbox.as_str();
        assert!(mailbox.contains('@') && !mailbox.chars().any(char::is_control));
    }
}

fn amounts(text: &str) {
    let (amount, currency) = text.split_once(' ').unwrap_or((text, "USD"));
    let Ok(cost) = Cost::parse(amount, currency, CostSource::Provider) else {
        return;
    };
    assert!(!cost.amount().is_sign_negative());
    assert!(cost.amount().normalize().scale() <= COST_SCALE_MAX);
    let again = Cost::parse(&cost.amount().to_string(), currency, CostSource::Provider);
    assert_eq!(again, Ok(cost.clone()));
    let _ = cost.times(u32::MAX);
}
