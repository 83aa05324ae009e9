//! The little XML that S3 speaks: escaped text going out, the text of named elements coming in.

use std::fmt::Write;

/// The text with what XML would read as its own escaped.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            control if control < ' ' => {
                write!(escaped, "&#{};", u32::from(control)).expect("a string takes all text");
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// The text behind XML's escapes; an escape that is none stays.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let known = after.split_once(';').and_then(|(name, behind)| Some((entity(name)?, behind)));
        let (character, behind) = known.unwrap_or(('&', after));
        plain.push(character);
        rest = behind;
    }
    plain.push_str(rest);
    plain
}

fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

/// `<name>text</name>` with the text escaped.
pub(super) fn element(name: &str, text: &str) -> String {
    wrap(name, &escape(text))
}

/// `<name>inside</name>`, the inside being elements.
pub(super) fn wrap(name: &str, inside: &str) -> String {
    format!("<{name}>{inside}</{name}>")
}

/// A document of one element.
pub(super) fn document(root: &str, inside: &str) -> String {
    let namespace = "http://s3.amazonaws.com/doc/2006-03-01/";
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} xmlns=\"{namespace}\">{inside}</{root}>")
}

/// The inside of every element of that name, in order, escapes and all; elements of one name do not nest.
pub(super) fn insides<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}"), format!("</{name}>"));
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(&open) {
        rest = after;
        // `<Part` is also the start of `<PartNumber>`.
        let Some((attributes, inside)) = after.split_once('>') else { break };
        if !attributes.is_empty() && !attributes.starts_with(' ') {
            continue;
        }
        let Some((inside, behind)) = inside.split_once(&close) else { break };
        found.push(inside);
        rest = behind;
    }
    found
}

/// The plain text of the first element of that name.
pub(super) fn text(document: &str, name: &str) -> Option<String> {
    insides(document, name).first().map(|inside| unescape(inside))
}

#[cfg(test)]
mod tests {
    use super::{element, insides, text};

    #[test]
    fn text_comes_back() {
        let key = "a & <b> \"c\" 'd' \r\n é";
        assert_eq!(text(&element("Key", key), "Key").as_deref(), Some(key));
        assert_eq!(text("<Key>&#x41;&apos;&none; &</Key>", "Key").as_deref(), Some("A'&none; &"));
        let parts = "<Part a=\"b\"><PartNumber>1</PartNumber></Part><Part><PartNumber>2</PartNumber></Part>";
        let numbers = ["<PartNumber>1</PartNumber>", "<PartNumber>2</PartNumber>"];
        assert_eq!(insides(parts, "Part"), numbers);
    }
}
