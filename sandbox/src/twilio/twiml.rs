//! As much of TwiML as the answer to an inbound message needs: the texts of its `<Message>`s.
//! <https://www.twilio.com/docs/messaging/twiml/message>

/// What each `<Message>` says: its own text, or that of its `<Body>`. A document that is none says nothing.
pub(super) fn messages(document: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    let mut text = String::new();
    let mut rest = document;
    while let Some((before, tag)) = rest.split_once('<') {
        if is_spoken(&open) {
            text.push_str(&unescaped(before));
        }
        if let Some(data) = tag.strip_prefix("![CDATA[") {
            let (data, after) = data.split_once("]]>").unwrap_or((data, ""));
            if is_spoken(&open) {
                text.push_str(data);
            }
            rest = after;
            continue;
        }
        if let Some(comment) = tag.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let Some((inner, after)) = tag.split_once('>') else {
            break;
        };
        rest = after;
        if let Some(name) = inner.strip_prefix('/') {
            if open.pop() == Some("Message") && name.trim() == "Message" {
                found.push(std::mem::take(&mut text).trim().to_owned());
            }
        } else if !inner.starts_with(['?', '!']) && !inner.ends_with('/') {
            open.push(inner.split_whitespace().next().unwrap_or_default());
        }
    }
    found.retain(|text| !text.is_empty());
    found
}

fn is_spoken(open: &[&str]) -> bool {
    matches!(
        open,
        ["Response", "Message"] | ["Response", "Message", "Body"]
    )
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, entity)) = rest.split_once('&') {
        plain.push_str(before);
        let Some((name, after)) = entity.split_once(';') else {
            plain.push('&');
            rest = entity;
            continue;
        };
        match character(name) {
            Some(character) => plain.push(character),
            None => plain.push_str(&format!("&{name};")),
        }
        rest = after;
    }
    plain.push_str(rest);
    plain
}

fn character(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let code = entity.strip_prefix('#')?;
            let code = match code.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => code.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_messages_are_read_and_nothing_else() {
        let said = |document| messages(document);
        for silent in [
            "",
            "<Response/>",
            "<Response></Response>",
            "<?xml version=\"1.0\"?><Response><!-- <Message>no</Message> --></Response>",
            "<Response><Message></Message></Response>",
            "<html><Message>no</Message></html>",
            "Hello",
            "<Response><Message>no",
        ] {
            assert!(said(silent).is_empty(), "{silent}");
        }
        assert_eq!(
            said(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Message to=\"+1\"> A &amp; B &#x21; </Message><Message><Body>two</Body><Media>https://x/y</Media></Message><Message><![CDATA[<3]]></Message></Response>"
            ),
            ["A & B !", "two", "<3"]
        );
    }
}
