//! How many parts a text takes on the air.

/// GSM 03.38, the default alphabet.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// Behind an escape character, so each takes two places.
const EXTENDED: &str = "\u{c}^{}\\[~]|€";

/// 160 characters of GSM-7 or 70 of UCS-2 fit into one; the parts of a joined message hold 153 or 67.
pub(super) fn count(text: &str) -> u32 {
    let (places, alone, joined) = match gsm_places(text) {
        Some(places) => (places, 160, 153),
        None => (text.encode_utf16().count(), 70, 67),
    };
    let parts = if places <= alone {
        1
    } else {
        places.div_ceil(joined)
    };
    u32::try_from(parts).unwrap_or(u32::MAX)
}

/// `None` when a character is in neither table.
fn gsm_places(text: &str) -> Option<usize> {
    text.chars().try_fold(0_usize, |places, character| {
        if BASIC.contains(character) {
            Some(places.saturating_add(1))
        } else if EXTENDED.contains(character) {
            Some(places.saturating_add(2))
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn segments_follow_the_alphabet() {
        for (text, parts) in [
            (String::new(), 1),
            ("a".repeat(160), 1),
            ("a".repeat(161), 2),
            ("a".repeat(306), 2),
            ("a".repeat(307), 3),
            ("€".repeat(80), 1),
            ("€".repeat(81), 2),
            ("Ж".repeat(70), 1),
            ("Ж".repeat(71), 2),
            ("😀".repeat(35), 1),
            ("😀".repeat(36), 2),
        ] {
            assert_eq!(count(&text), parts, "{text}");
        }
    }
}
