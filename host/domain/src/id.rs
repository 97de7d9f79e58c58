//! Ids: a prefix that names the kind, then the 26 characters of a UUID version 7 in the base-32
//! text form of TypeID. They sort by creation time.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// Lower-case Crockford base 32.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const BODY_LENGTH: usize = 26;

/// Why a text is not an id of the kind that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {prefix}_ and 26 characters of 0-9 and a-z without i, l, o and u")]
pub struct ParseIdError {
    prefix: &'static str,
}

/// The text form of an id's UUID, in ASCII.
fn encode(uuid: Uuid) -> [u8; BODY_LENGTH] {
    let mut bits = uuid.as_u128();
    let mut body = [b'0'; BODY_LENGTH];
    for place in body.iter_mut().rev() {
        let digit = usize::try_from(bits & 31).unwrap_or_default();
        *place = ALPHABET.get(digit).copied().unwrap_or(b'0');
        bits >>= 5;
    }
    body
}

fn decode(body: &str) -> Option<Uuid> {
    // 26 digits hold 130 bits: the first one may use only three of its five.
    if body.len() != BODY_LENGTH || body.as_bytes().first().is_none_or(|first| *first > b'7') {
        return None;
    }
    let mut bits = 0_u128;
    for byte in body.bytes() {
        let digit = ALPHABET.iter().position(|known| *known == byte)?;
        bits = bits << 5 | u128::try_from(digit).ok()?;
    }
    Some(Uuid::from_u128(bits))
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// What stands before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// An id from its UUID; version 7 makes it time-ordered.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID, as the database keeps it.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!($prefix, "_"))?;
                f.write_str(str::from_utf8(&encode(self.0)).map_err(|_not_ascii| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(decode)
                    .map(Self)
                    .ok_or(ParseIdError { prefix: $prefix })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

ids! {
    /// A tenant: who owns the data.
    TenantId = "ten";
    /// An API key.
    ApiKeyId = "key";
    /// An entry of the audit log.
    AuditId = "aud";
    /// A tenant's credentials for a provider in one environment.
    ConnectionId = "con";
    /// One try to do something at a provider.
    AttemptId = "att";
    /// An event about an object.
    EventId = "evt";
    /// One HTTP request to the gateway.
    RequestId = "req";
    /// A text message.
    SmsId = "sms";
    /// An e-mail.
    EmailId = "em";
    /// A payment.
    PaymentId = "pay";
    /// A refund.
    RefundId = "re";
    /// A plan: what a subscription charges, and how often.
    PlanId = "plan";
    /// A subscription.
    SubscriptionId = "sub";
    /// A payment link.
    PaymentLinkId = "plink";
    /// Where a tenant wants to hear of events.
    WebhookEndpointId = "we";
    /// An event that is told to one endpoint.
    DeliveryId = "whd";
    /// A plugin that is installed, in whichever versions.
    InstalledPluginId = "plg";
    /// One version of a plugin that is installed.
    InstallationId = "ins";
    /// A running gateway.
    NodeId = "node";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_known_uuid_has_the_typeid_text() {
        // Vector of the TypeID specification.
        let uuid: Uuid = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let id = SmsId::from_uuid(uuid);
        assert_eq!(id.to_string(), "sms_01h455vb4pex5vsknk084sn02q");
        assert_eq!("sms_01h455vb4pex5vsknk084sn02q".parse(), Ok(id));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "sms",
            "sms_",
            "em_01h455vb4pex5vsknk084sn02q",
            "sms_01h455vb4pex5vsknk084sn02",
            "sms_01h455vb4pex5vsknk084sn02qq",
            "sms_81h455vb4pex5vsknk084sn02q",
            "sms_01H455VB4PEX5VSKNK084SN02Q",
            "sms_01h455vb4pex5vsknk084sn02u",
            "sms_01h455vb4pex5vsknk084sn0é",
        ] {
            assert!(text.parse::<SmsId>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_form_is_faithful_and_ordered(a: u128, b: u128) {
            let (a, b) = (SmsId::from_uuid(Uuid::from_u128(a)), SmsId::from_uuid(Uuid::from_u128(b)));
            prop_assert_eq!(a.to_string().parse(), Ok(a));
            prop_assert_eq!(a.to_string().cmp(&b.to_string()), a.cmp(&b));
        }
    }
}
