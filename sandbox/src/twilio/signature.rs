//! `X-Twilio-Signature`: HMAC-SHA1 with the account's primary auth token over the URL as it is requested
//! and the form's parameters, sorted by name, in Base64.
//! <https://www.twilio.com/docs/usage/security#validating-requests>

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

pub(super) fn sign(auth_token: &str, url: &str, parameters: &[(String, String)]) -> String {
    let Ok(mac) = Hmac::<Sha1>::new_from_slice(auth_token.as_bytes()) else {
        // HMAC takes keys of every length.
        return String::new();
    };
    let mut sorted: Vec<_> = parameters.iter().collect();
    sorted.sort();
    // Of a name that repeats, every value once.
    sorted.dedup();
    let mac = sorted
        .into_iter()
        .fold(mac.chain_update(url), |mac, (name, value)| {
            mac.chain_update(name).chain_update(value)
        });
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in the test suites of Twilio's own libraries.
    #[test]
    fn the_published_example_comes_out() {
        let parameters = [
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675309"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
        assert_eq!(
            sign("12345", url, &parameters),
            "RSOYDt4T1cUTdK1PDd93/VVr8B8="
        );
    }
}
