//! In how many parts a text message travels.

/// Septets of a message that stands alone, and of each part of a longer one (7 of them make room
/// for the header that joins the parts).
const GSM_ALONE: u32 = 160;
const GSM_PART: u32 = 153;
/// The same in UTF-16 units.
const UCS2_ALONE: u32 = 70;
const UCS2_PART: u32 = 67;

/// The basic alphabet of GSM 03.38 beyond what it shares with ASCII.
const GSM_BASIC: &str = "£¥èéùìòÇØøÅåΔΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà";
/// ASCII characters that are not in the basic alphabet.
const GSM_MISSING: &str = "[\\]^`{|}~";
/// Characters that take an escape and a septet.
const GSM_EXTENDED: &str = "[\\]^{|}~€\u{c}";

/// How many parts `body` takes: GSM-7 where all of its characters have a place there, else UCS-2.
///
/// An empty text is 1 part. No character is split over two parts.
///
/// ```
/// use onerouter_plugin::segments::segments;
///
/// assert_eq!(segments("Hello"), 1);
/// assert_eq!(segments(&"a".repeat(161)), 2);
/// assert_eq!(segments(&"ж".repeat(71)), 2);
/// ```
#[must_use]
pub fn segments(body: &str) -> u32 {
    if body.chars().all(|character| septets(character) > 0) {
        parts(body.chars().map(septets), GSM_ALONE, GSM_PART)
    } else {
        let units = body
            .chars()
            .map(|character| if character > '\u{ffff}' { 2 } else { 1 });
        parts(units, UCS2_ALONE, UCS2_PART)
    }
}

/// What a character takes in GSM-7; 0 where it has no place.
fn septets(character: char) -> u32 {
    let is_basic = match character {
        '\n' | '\r' => true,
        ' '..='~' => !GSM_MISSING.contains(character),
        _ => GSM_BASIC.contains(character),
    };
    if is_basic {
        1
    } else if GSM_EXTENDED.contains(character) {
        2
    } else {
        0
    }
}

fn parts(sizes: impl Iterator<Item = u32> + Clone, alone: u32, part: u32) -> u32 {
    if sizes.clone().fold(0_u32, u32::saturating_add) <= alone {
        return 1;
    }
    let mut count = 1_u32;
    let mut used = 0_u32;
    for size in sizes {
        if used.saturating_add(size) > part {
            count = count.saturating_add(1);
            used = 0;
        }
        used = used.saturating_add(size);
    }
    count
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn gsm_holds_160_alone_and_153_in_parts() {
        for (length, expected) in [
            (0, 1),
            (1, 1),
            (160, 1),
            (161, 2),
            (306, 2),
            (307, 3),
            (459, 3),
        ] {
            assert_eq!(segments(&"a".repeat(length)), expected, "{length}");
        }
    }

    #[test]
    fn ucs2_holds_70_alone_and_67_in_parts() {
        for (length, expected) in [(1, 1), (70, 1), (71, 2), (134, 2), (135, 3)] {
            assert_eq!(segments(&"ж".repeat(length)), expected, "{length}");
        }
    }

    #[test]
    fn extended_characters_count_twice_and_are_not_split() {
        assert_eq!(segments(&"€".repeat(80)), 1);
        assert_eq!(segments(&"€".repeat(81)), 2);
        // 152 septets, then an escape that does not fit in the 153rd alone.
        let tight = "a".repeat(152) + "€" + &"a".repeat(151);
        assert_eq!(segments(&tight), 2);
        let over = "a".repeat(152) + "€" + &"a".repeat(152);
        assert_eq!(segments(&over), 3);
    }

    #[test]
    fn an_emoji_takes_two_units_and_is_not_split() {
        assert_eq!(segments(&"😀".repeat(35)), 1);
        // 33 fit in a part of 67, not 33 and a half.
        assert_eq!(segments(&"😀".repeat(66)), 2);
        assert_eq!(segments(&"😀".repeat(67)), 3);
    }

    #[test]
    fn one_foreign_character_changes_the_alphabet() {
        assert_eq!(segments(&("a".repeat(69) + "ж")), 1);
        assert_eq!(segments(&("a".repeat(70) + "ж")), 2);
        assert_eq!(segments(&("a".repeat(70) + "`")), 2);
    }

    #[test]
    fn the_basic_alphabet_has_127_characters_and_the_extension_10() {
        let of = |size| ('\0'..=char::MAX).filter(|c| septets(*c) == size).count();
        // 128 places, one of which is the escape.
        assert_eq!(of(1), 127);
        assert_eq!(of(2), 10);
    }

    proptest! {
        #[test]
        fn more_text_never_takes_fewer_parts(text in ".{0,400}", more in ".{0,40}") {
            let longer: String = text.chars().chain(more.chars()).collect();
            prop_assert!(segments(&longer) >= segments(&text));
        }
    }
}
