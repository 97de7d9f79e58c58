//! An access token, as long as it is kept.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::connection::{SECRET_BYTES_MAX, SECRET_BYTES_MIN};
use crate::scrub::Scrubber;

/// A token: the header that carries it, and the search for it. `Debug` does not show it.
///
/// All copies of the header share one memory, which is wiped with the last of them. The patterns of the
/// search are not wiped.
pub(crate) struct Token {
    header: HeaderValue,
    scrubber: Arc<Scrubber>,
    fresh_until_ms: u64,
}

impl Token {
    /// None for a text that is no token, or none that could be found again in an answer: it has 8 to
    /// 4,096 visible ASCII characters.
    pub(super) fn new(text: &str, fresh_until_ms: u64) -> Option<Self> {
        let is_usable = (SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_graphic());
        if !is_usable {
            return None;
        }
        let bearer = Zeroizing::new(["Bearer ", text].concat().into_bytes());
        let mut header = HeaderValue::from_maybe_shared(Bytes::from_owner(bearer)).ok()?;
        header.set_sensitive(true);
        Some(Self {
            header,
            scrubber: Arc::new(Scrubber::new([text].into_iter())),
            fresh_until_ms,
        })
    }

    /// `Authorization`.
    pub(crate) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    pub(crate) fn scrubber(&self) -> &Arc<Scrubber> {
        &self.scrubber
    }

    pub(super) fn is_fresh(&self, now_ms: u64) -> bool {
        now_ms < self.fresh_until_ms
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("fresh_until_ms", &self.fresh_until_ms)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Token;

    #[test]
    fn a_token_is_visible_text_of_a_length_that_can_be_found_again() {
        for text in ["12345678", "A21AAF~._-+/==", &"t".repeat(4_096)] {
            let token = Token::new(text, 0).unwrap();
            assert_eq!(token.header(), format!("Bearer {text}"));
            assert!(token.header().is_sensitive());
        }
        for text in [
            "",
            "1234567",
            &"t".repeat(4_097),
            "1234 5678",
            "12345678\r\nX-Admin: yes",
            "1234567\u{0}8",
            "12345678\u{e9}",
        ] {
            assert!(Token::new(text, 0).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_token_is_not_printed() {
        let token = Token::new("tok-0123456789", 5).unwrap();
        assert!(!format!("{token:?} {:?}", token.header()).contains("0123456789"));
        assert!(token.is_fresh(4) && !token.is_fresh(5));
    }
}
