//! Writing.

use alloc::string::String;
use core::mem;

/// Writes one JSON object, field after field.
///
/// ```
/// use onerouter_plugin::json::Writer;
///
/// let mut body = Writer::new();
/// body.text("to", "+14155550100").texts("tags", ["a", "b"]);
/// assert_eq!(body.finish(), r#"{"to":"+14155550100","tags":["a","b"]}"#);
/// ```
#[derive(Debug, Clone)]
pub struct Writer {
    out: String,
    has_fields: bool,
}

impl Writer {
    /// An object without fields.
    #[must_use]
    pub fn new() -> Self {
        Self::onto(String::new())
    }

    /// An object behind text that is there already.
    ///
    /// A large body is written into one string that has room for it from the start; growing costs
    /// memory that is never given back.
    #[must_use]
    pub fn onto(mut text: String) -> Self {
        text.push('{');
        Self {
            out: text,
            has_fields: false,
        }
    }

    /// A field with a string.
    pub fn text(&mut self, name: &str, text: &str) -> &mut Self {
        self.name(name);
        quote(text, &mut self.out);
        self
    }

    /// A field with JSON text that is written already: a number, `true`, or a whole value that came
    /// from elsewhere. It must be JSON.
    pub fn raw(&mut self, name: &str, json: &str) -> &mut Self {
        self.name(name);
        self.out.push_str(json);
        self
    }

    /// A field with a list of strings.
    pub fn texts<'a>(&mut self, name: &str, texts: impl IntoIterator<Item = &'a str>) -> &mut Self {
        self.list(name, texts, |list, text| quote(text, &mut list.out))
    }

    /// A field with an object.
    pub fn object(&mut self, name: &str, write: impl FnOnce(&mut Self)) -> &mut Self {
        self.name(name);
        self.nested(write);
        self
    }

    /// A field with a list of objects, one per item.
    pub fn objects<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        write: impl Fn(&mut Self, T),
    ) -> &mut Self {
        self.list(name, items, |list, item| {
            list.nested(|object| write(object, item));
        })
    }

    /// The object as JSON text.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.out.push('}');
        self.out
    }

    fn name(&mut self, name: &str) {
        if self.has_fields {
            self.out.push(',');
        }
        self.has_fields = true;
        quote(name, &mut self.out);
        self.out.push(':');
    }

    fn nested(&mut self, write: impl FnOnce(&mut Self)) {
        let mut object = Self::onto(mem::take(&mut self.out));
        write(&mut object);
        self.out = object.finish();
    }

    fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        write: impl Fn(&mut Self, T),
    ) -> &mut Self {
        self.name(name);
        self.out.push('[');
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            write(self, item);
        }
        self.out.push(']');
        self
    }
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

/// Appends `text` as a JSON string.
pub fn quote(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    let must_escape = |byte| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    while let Some(at) = rest.bytes().position(must_escape) {
        let (plain, special) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(plain);
        let mut after = special.chars();
        if let Some(character) = after.next() {
            escape(character, out);
        }
        rest = after.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

fn escape(character: char, out: &mut String) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        control => {
            out.push_str(if control < '\x10' { "\\u000" } else { "\\u001" });
            out.extend(char::from_digit(u32::from(control) & 15, 16));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn objects_nest() {
        let mut body = Writer::new();
        body.objects("tags", [("a", "b"), ("c", "d")], |tag, (name, value)| {
            tag.text("name", name).text("value", value);
        });
        assert_eq!(
            body.finish(),
            r#"{"tags":[{"name":"a","value":"b"},{"name":"c","value":"d"}]}"#
        );
        assert_eq!(Writer::new().finish(), "{}");
        let mut body = Writer::new();
        body.raw("count", "3").raw("is", "true").text("a", "b");
        assert_eq!(body.finish(), r#"{"count":3,"is":true,"a":"b"}"#);
        let mut body = Writer::onto("[".into());
        body.object("headers", |headers| {
            headers.text("X-A", "1").text("X-B", "2");
        })
        .text("after", "")
        .objects("none", [""; 0], |_, _| {});
        assert_eq!(
            body.finish(),
            r#"[{"headers":{"X-A":"1","X-B":"2"},"after":"","none":[]}"#
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_json(name in any::<String>(), text in any::<String>()) {
            let mut body = Writer::new();
            body.text(&name, &text).texts("list", [text.as_str(), ""]);
            let read: serde_json::Value = serde_json::from_str(&body.finish()).unwrap();
            if name != "list" {
                prop_assert_eq!(read[&name].as_str(), Some(text.as_str()));
            }
            prop_assert_eq!(read["list"][0].as_str(), Some(text.as_str()));
        }
    }
}
