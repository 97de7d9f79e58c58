//! Where messages go: phone numbers, e-mail addresses and URLs, checked for shape.

use std::fmt;
use std::str::FromStr;

use email_address::{EmailAddress, Options};

/// E.164: `+`, a digit that is not 0, then 6 to 14 more.
#[derive(Clone, PartialEq, Eq)]
pub struct PhoneNumber(String);

/// A mailbox: `a@example.com` or `Name <a@example.com>`, on one line.
#[derive(Clone, PartialEq, Eq)]
pub struct Mailbox(String);

/// Who a text message comes from: E.164, a short code of 3 to 8 digits, or up to 11 letters, digits
/// and spaces with a letter among them.
#[derive(Clone, PartialEq, Eq)]
pub struct SenderId(String);

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not E.164.
    #[error("must be a phone number in E.164 form: + and 7 to 15 digits, such as +14155550123")]
    Phone,
    /// Nothing that a text message could come from.
    #[error(
        "must be a phone number in E.164 form, a short code of 3 to 8 digits, or a sender id of up to 11 letters, digits and spaces"
    )]
    Sender,
    /// Not an e-mail address.
    #[error("must be an e-mail address, such as ada@example.com or Ada <ada@example.com>")]
    Mailbox,
}

/// Whether every `%` in a URL is followed by two hexadecimal digits. What is not is read in different ways
/// by different programs.
#[must_use]
pub fn has_whole_escapes(url: &str) -> bool {
    url.split('%').skip(1).all(|after| {
        let mut bytes = after.bytes();
        let mut is_hex = || bytes.next().is_some_and(|byte| byte.is_ascii_hexdigit());
        is_hex() && is_hex()
    })
}

impl FromStr for PhoneNumber {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix('+').ok_or(AddressError::Phone)?;
        let fits = (7..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit());
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(AddressError::Phone)
        }
    }
}

impl FromStr for SenderId {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let short_code = (3..=8).contains(&text.len()) && digits;
        let name = (1..=11).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b' ')
            && text.bytes().any(|byte| byte.is_ascii_alphabetic())
            && text.trim() == text;
        if short_code || name || text.parse::<PhoneNumber>().is_ok() {
            Ok(Self(text.to_owned()))
        } else {
            Err(AddressError::Sender)
        }
    }
}

impl FromStr for Mailbox {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // 320 for the address and as much for a name; a longer text is not an address.
        if text.len() > 640 || text.chars().any(char::is_control) {
            return Err(AddressError::Mailbox);
        }
        let options = Options::default()
            .with_required_tld()
            .without_domain_literal()
            .with_display_text();
        match EmailAddress::parse_with_options(text, options) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_reason) => Err(AddressError::Mailbox),
        }
    }
}

macro_rules! address_text {
    ($name:ident) => {
        impl $name {
            /// The address as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The address as it was given.
            #[must_use]
            pub fn into_string(self) -> String {
                self.0
            }
        }

        // Addresses of people stay out of logs.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    };
}

address_text!(PhoneNumber);
address_text!(Mailbox);
address_text!(SenderId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_in_urls_are_whole() {
        for fine in ["", "https://example.com/", "/a%20b", "/%C3%a4", "%25%25"] {
            assert!(has_whole_escapes(fine), "{fine}");
        }
        for broken in ["%", "/a%", "/a%2", "/%e,W", "/%%20", "/%g0", "/%2ä"] {
            assert!(!has_whole_escapes(broken), "{broken}");
        }
    }

    #[test]
    fn phone_numbers_are_e164() {
        for good in [
            "+14155550123",
            "+4930123456",
            "+1234567",
            "+123456789012345",
        ] {
            assert!(good.parse::<PhoneNumber>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "14155550123",
            "+0415555",
            "+123456",
            "+1234567890123456",
            "+1 415",
            "+１２３４５６７",
            "whatsapp:+14155550123",
        ] {
            assert!(bad.parse::<PhoneNumber>().is_err(), "{bad}");
        }
    }

    #[test]
    fn senders_are_numbers_codes_or_names() {
        for good in ["+14155550100", "12345", "OneRouter", "My Shop 1"] {
            assert!(good.parse::<SenderId>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "12",
            "123456789",
            " Shop",
            "A name too long",
            "Shop!",
            "+1",
        ] {
            assert!(bad.parse::<SenderId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn mailboxes_are_addresses_on_one_line() {
        for good in [
            "ada@example.com",
            "Ada Lovelace <ada@example.com>",
            "a+b@sub.example.co.uk",
        ] {
            assert!(good.parse::<Mailbox>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "ada",
            "ada@",
            "@example.com",
            "ada@localhost",
            "ada@[127.0.0.1]",
            "a@b.com\r\nBcc: x@y.com",
            "a b@example.com",
        ] {
            assert!(bad.parse::<Mailbox>().is_err(), "{bad}");
        }
    }
}
