//! Reading.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

/// Values nested deeper than this are refused: the stack is small.
const DEPTH_MAX: u32 = 64;

/// A JSON object whose values are looked at only when they are asked for.
#[derive(Debug, Clone)]
pub struct Object<'a> {
    /// Names as they are written, without their quotation marks, and values as JSON text.
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Object<'a> {
    /// Reads `bytes`, which must be one JSON object in UTF-8 and nothing else.
    ///
    /// All of it is checked, however little is asked for later.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        Self::parse(core::str::from_utf8(bytes).ok()?)
    }

    /// Reads JSON text that is an object.
    #[must_use]
    pub fn parse(json: &'a str) -> Option<Self> {
        let mut scanner = Scanner::new(json);
        let mut fields = Vec::with_capacity(24);
        scanner.space();
        scanner.members(0, |name, value| fields.push((name, value)))?;
        scanner.end()?;
        Some(Self { fields })
    }

    /// The value of a field as JSON text; the last one where the name stands there twice.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&'a str> {
        self.fields
            .iter()
            .rfind(|(written, _)| {
                *written == name || (written.contains('\\') && stands_for(written, name))
            })
            .map(|(_, value)| *value)
    }

    /// The text of a field; none where it is absent, null or no string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        let written = self.raw(name)?.strip_prefix('"')?.strip_suffix('"')?;
        Some(if written.contains('\\') {
            unescape(written)
        } else {
            written.to_owned()
        })
    }

    /// The number in a field, as it was written; none where it is absent, null or no number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<&'a str> {
        self.raw(name)
            .filter(|raw| raw.starts_with(|c: char| c == '-' || c.is_ascii_digit()))
    }

    /// The text or the number in a field: providers are not always of one mind.
    #[must_use]
    pub fn text_or_number(&self, name: &str) -> Option<String> {
        self.text(name)
            .or_else(|| self.number(name).map(str::to_owned))
    }

    /// The object in a field.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<Self> {
        Self::parse(self.raw(name)?)
    }

    /// The list in a field, each item as JSON text.
    #[must_use]
    pub fn items(&self, name: &str) -> Option<Vec<&'a str>> {
        let mut items = Vec::new();
        let mut scanner = Scanner::new(self.raw(name)?);
        scanner.elements(0, |item| items.push(item))?;
        Some(items)
    }

    /// The list of objects in a field; none where anything else stands there or in it.
    #[must_use]
    pub fn objects(&self, name: &str) -> Option<Vec<Self>> {
        self.items(name)?.into_iter().map(Self::parse).collect()
    }
}

/// Walks over JSON text. Every step is none where the text is not JSON.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    /// Steps over `byte` if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        let comes = self.peek() == Some(byte);
        if comes {
            self.step();
        }
        comes
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.step();
        }
    }

    fn end(&mut self) -> Option<()> {
        self.space();
        self.peek().is_none().then_some(())
    }

    fn since(&self, start: usize) -> Option<&'a str> {
        self.text.get(start..self.at)
    }

    /// An object; `each` gets the names and values.
    fn members(&mut self, depth: u32, mut each: impl FnMut(&'a str, &'a str)) -> Option<()> {
        self.expect(b'{')?;
        self.space();
        if self.take(b'}') {
            return Some(());
        }
        loop {
            self.space();
            let name = self.string()?;
            self.space();
            self.expect(b':')?;
            let value = self.value(depth)?;
            each(name, value);
            if !self.take(b',') {
                return self.expect(b'}');
            }
        }
    }

    /// A list; `each` gets the items.
    fn elements(&mut self, depth: u32, mut each: impl FnMut(&'a str)) -> Option<()> {
        self.expect(b'[')?;
        self.space();
        if self.take(b']') {
            return Some(());
        }
        loop {
            each(self.value(depth)?);
            if !self.take(b',') {
                return self.expect(b']');
            }
        }
    }

    /// Any value, with the space on both sides.
    fn value(&mut self, depth: u32) -> Option<&'a str> {
        self.space();
        let start = self.at;
        match self.peek()? {
            b'"' => {
                self.string()?;
            }
            b'{' if depth < DEPTH_MAX => self.members(depth.saturating_add(1), |_, _| ())?,
            b'[' if depth < DEPTH_MAX => self.elements(depth.saturating_add(1), |_| ())?,
            b't' => self.word("true")?,
            b'f' => self.word("false")?,
            b'n' => self.word("null")?,
            _ => self.number()?,
        }
        let value = self.since(start);
        self.space();
        value
    }

    fn word(&mut self, word: &str) -> Option<()> {
        word.bytes().try_for_each(|byte| self.expect(byte))
    }

    /// The inside of a string, as it is written.
    fn string(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    self.step();
                    match self.peek()? {
                        b'u' => {
                            for _ in 0..4 {
                                self.step();
                                self.peek().filter(u8::is_ascii_hexdigit)?;
                            }
                        }
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        _ => return None,
                    }
                }
                0..=0x1f => return None,
                _ => {}
            }
            self.step();
        }
        let inside = self.since(start);
        self.step();
        inside
    }

    fn number(&mut self) -> Option<()> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.step();
        }
        (self.at > start).then_some(())
    }
}

/// The text that the inside of a string stands for. Half a surrogate pair becomes U+FFFD.
fn unescape(written: &str) -> String {
    let mut out = String::with_capacity(written.len());
    unescape_to(written, &mut |part| out.push_str(part));
    out
}

/// Whether the inside of a string stands for this text. Takes no memory: a guest gives none back, and there
/// may be as many such names as fit in a body.
fn stands_for(written: &str, text: &str) -> bool {
    let mut rest = Some(text);
    unescape_to(written, &mut |part| {
        rest = rest.and_then(|rest| rest.strip_prefix(part));
    });
    rest == Some("")
}

fn unescape_to(written: &str, out: &mut dyn FnMut(&str)) {
    let mut rest = written;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out(plain);
        let mut escaped = escape.chars();
        let character = match escaped.next() {
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let (character, after) = code_point(escaped.as_str());
                escaped = after.chars();
                character
            }
            Some(other) => other,
            None => return,
        };
        out(character.encode_utf8(&mut [0; 4]));
        rest = escaped.as_str();
    }
    out(rest);
}

/// The character of one `\uXXXX`, or of two that make a pair, and what follows.
fn code_point(hex: &str) -> (char, &str) {
    let (first, after) = unit(hex);
    if (0xd800..0xdc00).contains(&first)
        && let Some(next) = after.strip_prefix("\\u")
    {
        let (second, after) = unit(next);
        if (0xdc00..0xe000).contains(&second) {
            let pair = 0x1_0000 + ((first & 0x3ff) << 10) + (second & 0x3ff);
            return (
                char::from_u32(pair).unwrap_or(char::REPLACEMENT_CHARACTER),
                after,
            );
        }
    }
    (
        char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER),
        after,
    )
}

/// Four hexadecimal digits, and what follows.
fn unit(hex: &str) -> (u32, &str) {
    let (digits, after) = hex.split_at_checked(4).unwrap_or((hex, ""));
    (u32::from_str_radix(digits, 16).unwrap_or(0xfffd), after)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn fields_are_read_by_type_and_only_when_asked_for() {
        let object = Object::read(
            br#"{"a":"x\u00e9\n","b":-1.50,"c":null,"d":{"e":[1,{"f":"g"}]},"h":[{"i":"1"},{"i":"2"}]}"#,
        )
        .unwrap();
        assert_eq!(object.text("a").as_deref(), Some("x\u{e9}\n"));
        assert_eq!(object.number("b"), Some("-1.50"));
        assert_eq!(object.text("b"), None);
        assert_eq!(object.text_or_number("b").as_deref(), Some("-1.50"));
        assert_eq!(object.text("c"), None);
        assert_eq!(object.number("c"), None);
        assert_eq!(object.object("c").map(|_| ()), None);
        let list = object.objects("h").unwrap();
        assert_eq!(list[1].text("i").as_deref(), Some("2"));
        assert!(object.object("d").unwrap().objects("e").is_none());
        assert_eq!(object.object("d").unwrap().items("e").unwrap()[0], "1");
        assert_eq!(object.text("missing"), None);
    }

    #[test]
    fn an_escaped_name_is_found_and_the_last_of_two_counts() {
        let object = Object::read(br#"{"\u0061":"1","a":"2"}"#).unwrap();
        assert_eq!(object.text("a").as_deref(), Some("2"));
        let object =
            Object::read(br#"{"ab":"1","\u0061b":"2","\u0061bc":"3","\u0061":"4"}"#).unwrap();
        assert_eq!(object.text("ab").as_deref(), Some("2"));
    }

    #[test]
    fn whatever_is_no_object_is_refused() {
        for text in ["", "[]", "null", "\"a\"", "{\"a\":1", "{} {}", "<html>"] {
            assert!(Object::read(text.as_bytes()).is_none(), "{text}");
        }
        assert!(Object::read(b"{\"a\":\"\xff\"}").is_none());
    }

    #[test]
    fn escapes_are_undone() {
        let object = Object::read(
            br#"{"a":"\"\\\/\b\f\n\r\t\u00E9\ud83d\ude00","b":"\ud83d!","c":"\ude00\ud83d\u0041"}"#,
        )
        .unwrap();
        assert_eq!(
            object.text("a").as_deref(),
            Some("\"\\/\u{8}\u{c}\n\r\t\u{e9}\u{1f600}")
        );
        assert_eq!(object.text("b").as_deref(), Some("\u{fffd}!"));
        assert_eq!(object.text("c").as_deref(), Some("\u{fffd}\u{fffd}A"));
    }

    #[test]
    fn nesting_has_an_end() {
        let nested = |depth: usize| {
            let mut json = String::from("{\"a\":");
            json.push_str(&"[".repeat(depth));
            json.push_str(&"]".repeat(depth));
            json.push('}');
            json
        };
        assert!(Object::read(nested(64).as_bytes()).is_some());
        assert!(Object::read(nested(65).as_bytes()).is_none());
        assert!(Object::read(nested(100_000).as_bytes()).is_none());
    }

    /// JSON as `serde_json` writes it, and texts that nearly are.
    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            Just("false".to_owned()),
            any::<i64>().prop_map(|number| serde_json::to_string(&number).unwrap()),
            any::<f64>().prop_map(|number| serde_json::to_string(&number).unwrap()),
            any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
            "-?[0-9]{0,3}(\\.[0-9]{0,2})?([eE][+-]?[0-9]{0,2})?",
            "\"(\\\\[\"\\\\/bfnrtux]|\\\\u[0-9a-g]{3,5}|[a-c\u{1}\n\u{e9}]){0,6}\"?",
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|items| [
                    "[",
                    &items.join(" ,"),
                    "]"
                ]
                .concat()),
                prop::collection::vec(("\"[a-c]\"|\"\\\\\\\\u0061\"|a", inner), 0..4).prop_map(
                    |fields| {
                        let fields: Vec<String> = fields
                            .into_iter()
                            .map(|(name, value)| [name.as_str(), "\t:", value.as_str()].concat())
                            .collect();
                        ["{ ", &fields.join(",\n"), "}"].concat()
                    }
                ),
            ]
        })
    }

    fn reads_as_serde_json_does(text: &str) -> Result<(), TestCaseError> {
        let expected: Option<HashMap<String, &RawValue>> = serde_json::from_str(text).ok();
        let read = Object::read(text.as_bytes());
        prop_assert_eq!(read.is_some(), expected.is_some(), "{}", text);
        let (Some(read), Some(expected)) = (read, expected) else {
            return Ok(());
        };
        for (name, value) in expected {
            prop_assert_eq!(read.raw(&name), Some(value.get()));
            // Half a surrogate pair is an error there and U+FFFD here.
            if let Ok(text) = serde_json::from_str::<String>(value.get()) {
                prop_assert_eq!(read.text(&name), Some(text));
            }
            let items: Option<Vec<&RawValue>> = serde_json::from_str(value.get()).ok();
            let items = items.map(|items| items.into_iter().map(RawValue::get).collect());
            prop_assert_eq!(read.items(&name), items);
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn it_agrees_with_serde_json(values in prop::collection::vec(json(), 0..4)) {
            let fields: Vec<String> = values
                .iter()
                .zip(["\"a\"", "\"b\"", "\"\\u0061\""])
                .map(|(value, name)| [name, ":", value].concat())
                .collect();
            reads_as_serde_json_does(&["{", &fields.join(","), "}"].concat())?;
        }

        #[test]
        fn it_agrees_with_serde_json_on_damaged_texts(
            value in json(),
            at in any::<prop::sample::Index>(),
            put in "[{}\\[\\]\",:\\\\0-9eE.+-ntu \u{1}]?",
        ) {
            let mut text: Vec<char> = ["{\"a\":", &value, "}"].concat().chars().collect();
            let at = at.index(text.len());
            text.splice(at..=at, put.chars());
            reads_as_serde_json_does(&text.into_iter().collect::<String>())?;
        }

        #[test]
        fn nothing_panics(bytes in any::<Vec<u8>>(), inside in any::<String>()) {
            let _ = Object::read(&bytes);
            let _ = unescape(&inside);
        }
    }
}
