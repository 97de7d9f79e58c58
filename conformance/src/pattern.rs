//! Texts that a manifest's pattern accepts: credentials are made up where nobody gave any.

use regex_syntax::hir::{Class, Hir, HirKind};
use sha2::{Digest as _, Sha256};

/// Repetitions without an upper bound, or with a far one, are made so long: what is made is to be told
/// from ordinary text.
const REPEATED: u32 = 24;

/// Longer texts are not made.
const TEXT_BYTES_MAX: usize = 512;

/// Steps through a pattern. Patterns come from strangers, and repetitions nest.
const STEPS_MAX: u32 = 20_000;

/// A text that `pattern` accepts, always the same one for the same `seed`. None for a pattern that asks for
/// what cannot be made.
pub(crate) fn text_for(pattern: Option<&str>, seed: &str) -> Option<String> {
    let pattern = pattern.unwrap_or("[A-Za-z0-9]{32}");
    let parsed = regex_syntax::Parser::new().parse(pattern).ok()?;
    let mut maker = Maker {
        text: String::new(),
        steps: 0,
        random: Random::new(seed),
    };
    maker.add(&parsed)?;
    Some(maker.text)
}

struct Maker {
    text: String,
    steps: u32,
    random: Random,
}

impl Maker {
    /// None as soon as it takes too long.
    fn add(&mut self, part: &Hir) -> Option<()> {
        self.steps += 1;
        if self.steps > STEPS_MAX || self.text.len() > TEXT_BYTES_MAX {
            return None;
        }
        match part.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => self.text.push_str(std::str::from_utf8(&literal.0).ok()?),
            HirKind::Class(class) => {
                let candidates = candidates(class);
                let character = self.random.pick(&candidates)?;
                self.text.push(character);
            }
            HirKind::Repetition(repetition) => {
                let most = repetition.max.unwrap_or(u32::MAX);
                let wanted = if is_telling(&repetition.sub) {
                    REPEATED.clamp(repetition.min, most.max(repetition.min))
                } else {
                    repetition.min
                };
                for _ in 0..wanted {
                    self.add(&repetition.sub)?;
                }
            }
            HirKind::Capture(capture) => self.add(&capture.sub)?,
            HirKind::Concat(parts) => {
                for part in parts {
                    self.add(part)?;
                }
            }
            HirKind::Alternation(choices) => self.add(choices.first()?)?,
        }
        Some(())
    }
}

/// Whether more of it makes a text that is easier to recognise: padding does not.
fn is_telling(part: &Hir) -> bool {
    match part.kind() {
        HirKind::Class(class) => candidates(class)
            .iter()
            .any(|character| character.is_ascii_alphanumeric()),
        HirKind::Capture(capture) => is_telling(&capture.sub),
        HirKind::Empty
        | HirKind::Look(_)
        | HirKind::Literal(_)
        | HirKind::Repetition(_)
        | HirKind::Concat(_)
        | HirKind::Alternation(_) => false,
    }
}

/// Letters and digits where the class has some, else what can be printed, else its first character.
fn candidates(class: &Class) -> Vec<char> {
    let holds = |character: char| match class {
        Class::Unicode(class) => class
            .ranges()
            .iter()
            .any(|range| range.start() <= character && character <= range.end()),
        Class::Bytes(class) => class.ranges().iter().any(|range| {
            u8::try_from(character).is_ok_and(|byte| range.start() <= byte && byte <= range.end())
        }),
    };
    let plain: Vec<char> = ('0'..='9')
        .chain('A'..='Z')
        .chain('a'..='z')
        .filter(|character| holds(*character))
        .collect();
    if !plain.is_empty() {
        return plain;
    }
    let printable: Vec<char> = ('!'..='~').filter(|character| holds(*character)).collect();
    if !printable.is_empty() {
        return printable;
    }
    match class {
        Class::Unicode(class) => class.ranges().first().map(|range| range.start()),
        Class::Bytes(class) => class.ranges().first().map(|range| range.start().into()),
    }
    .into_iter()
    .collect()
}

/// A hash, read byte by byte, and hashed again.
struct Random {
    state: [u8; 32],
    at: usize,
}

impl Random {
    fn new(seed: &str) -> Self {
        let seed = Sha256::new()
            .chain_update(b"onerouter-conformance:")
            .chain_update(seed.as_bytes());
        Self {
            state: seed.finalize().into(),
            at: 0,
        }
    }

    fn pick(&mut self, candidates: &[char]) -> Option<char> {
        if self.at >= self.state.len() {
            self.state = Sha256::digest(self.state).into();
            self.at = 0;
        }
        let byte = usize::from(self.state.get(self.at).copied().unwrap_or_default());
        self.at += 1;
        candidates.get(byte.checked_rem(candidates.len())?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::text_for;

    #[test]
    fn what_is_made_fits_the_patterns_that_plugins_have() {
        for (pattern, start, length) in [
            (r"AC[0-9a-fA-F]{32}", "AC", 34),
            (r"re_[A-Za-z0-9_-]{8,200}", "re_", 27),
            (r"whsec_[A-Za-z0-9+/]{16,128}={0,2}", "whsec_", 30),
            (r"rzp_(test|live)_[A-Za-z0-9]{8,32}", "rzp_test_", 33),
            (r"[!-~]{8,200}", "", 24),
            (r"\+[1-9][0-9]{1,14}", "+", 16),
        ] {
            let text = text_for(Some(pattern), "field").unwrap();
            assert!(text.starts_with(start), "{pattern}: {text}");
            assert_eq!(text.len(), length, "{pattern}: {text}");
            assert_eq!(text_for(Some(pattern), "field").unwrap(), text);
            assert_ne!(text_for(Some(pattern), "other").unwrap(), text);
        }
        assert_eq!(text_for(None, "field").unwrap().len(), 32);
    }

    #[test]
    fn a_pattern_that_asks_for_too_much_makes_nothing() {
        for pattern in ["a{1000}", "((((a{9}){9}){9}){9}){9}", "["] {
            assert_eq!(text_for(Some(pattern), "field"), None, "{pattern}");
        }
    }
}
