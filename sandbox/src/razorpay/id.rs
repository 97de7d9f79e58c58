//! Ids: a prefix and 14 letters or digits, case-sensitive.

use super::error::{RazorpayError, Shape};

const LENGTH: usize = 14;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

pub(super) fn random(prefix: &str) -> String {
    format!("{prefix}_{}", characters(LENGTH))
}

pub(super) fn characters(count: usize) -> String {
    let mut rest = rand::random::<u128>();
    let mut text = String::with_capacity(count);
    for _ in 0..count {
        let index = usize::try_from(rest % 62).unwrap_or_default();
        text.extend(ALPHABET.get(index).map(|byte| char::from(*byte)));
        rest /= 62;
    }
    text
}

pub(super) fn digits(count: usize) -> String {
    let mut rest = rand::random::<u128>();
    let mut text = String::with_capacity(count);
    for _ in 0..count {
        text.push_str(&(rest % 10).to_string());
        rest /= 10;
    }
    text
}

pub(super) fn is_valid(prefix: &str, id: &str) -> bool {
    id.split_once('_').is_some_and(|(kind, rest)| {
        kind == prefix
            && rest.len() == LENGTH
            && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// Refuses what cannot be the id of such an object.
pub(super) fn check(shape: Shape, prefix: &str, id: &str) -> Result<(), RazorpayError> {
    if is_valid(prefix, id) {
        return Ok(());
    }
    Err(RazorpayError::bad(shape, format!("{id} is not a valid id")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_prefix_and_14_letters_or_digits() {
        assert!(is_valid("pay", &random("pay")));
        for id in [
            "pay_1234567890123",
            "rfnd_12345678901234",
            "pay_1234567890123!",
            "pay",
        ] {
            assert!(!is_valid("pay", id), "{id}");
        }
    }
}
