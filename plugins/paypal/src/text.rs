//! Texts as long as PayPal takes them.

use alloc::borrow::{Cow, ToOwned as _};

const DOTS: &str = "...";

/// The text, or its beginning with three dots, in at most so many bytes.
///
/// PayPal counts ASCII characters and says of others only that fewer of them fit, so bytes are counted.
/// A description is for people; a payment that fails for its length would serve nobody.
pub(crate) fn cut(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return Cow::Borrowed(text);
    }
    let room = text.floor_char_boundary(bytes_max.saturating_sub(DOTS.len()));
    let (start, _) = text.split_at_checked(room).unwrap_or_default();
    let mut cut = start.trim_end().to_owned();
    cut.push_str(DOTS);
    Cow::Owned(cut)
}

/// As [`cut`]; none where nothing is said, as PayPal wants at least one character.
pub(crate) fn some(text: Option<&str>, bytes_max: usize) -> Option<Cow<'_, str>> {
    let text = text?.trim();
    (!text.is_empty()).then(|| cut(text, bytes_max))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_text_ends_in_dots_and_a_short_one_stays() {
        assert_eq!(cut("Blue chair", 10), "Blue chair");
        assert_eq!(cut("Blue chairs", 10), "Blue ch...");
        assert_eq!(cut("Blue   chairs", 10), "Blue...");
        assert_eq!(cut("жжжжжжжж", 9), "жжж...");
        assert_eq!(some(Some(" \n"), 9), None);
        assert_eq!(some(None, 9), None);
    }

    proptest! {
        #[test]
        fn what_is_cut_fits(text in ".*", most in 3_usize..200) {
            prop_assert!(cut(&text, most).len() <= most);
        }
    }
}
