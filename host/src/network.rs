//! Addresses and networks that operators name.

use std::net::IpAddr;

use ipnet::IpNet;

/// What [`parse`] takes.
pub(crate) const RULE: &str = "an address or a network: 203.0.113.7, 10.0.0.0/8, 2001:db8::/32";

/// An address or a network. Bits beyond the prefix are not kept, and an IPv4 address that is written
/// as an IPv6 one is an IPv4 address.
pub(crate) fn parse(text: &str) -> Option<IpNet> {
    let address = |text: &str| text.parse::<IpAddr>().ok();
    match address(text) {
        Some(address) => Some(IpNet::from(address.to_canonical())),
        None => text.parse::<IpNet>().ok().map(|network| network.trunc()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_networks_are_read() {
        for (text, expected) in [
            ("203.0.113.7", "203.0.113.7/32"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("::ffff:203.0.113.7", "203.0.113.7/32"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), expected, "{text}");
        }
        for text in ["", "10.0.0.0/33", "10.0.0", "example.com", "10.0.0.0/8 "] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
