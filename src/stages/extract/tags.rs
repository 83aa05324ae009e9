//! A small HTML tokenizer: text, start tags, end tags, nothing else. It serves the scan before parsing
//! and the rendering after it, where a tree would cost more than it tells.
//!
//! Follows the tokenizer of the WHATWG HTML standard (section 13.2.5) in where a tag, an attribute or a
//! comment ends, quotes included. It leaves character references alone, and it is the caller who says
//! which elements hold raw text, since that depends on the tree.

use memchr::{memchr, memchr_iter};

/// A piece of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Characters between tags, references not decoded.
    Text(&'a str),
    /// `<name ...>`.
    Start(Tag<'a>),
    /// `</name ...>`.
    End(&'a str),
}

/// A start tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag<'a> {
    /// Name as written.
    pub(super) name: &'a str,
    /// Everything between the name and the closing `>`.
    pub(super) rest: &'a str,
    /// How many attributes it has, repeated ones included.
    pub(super) attributes: usize,
    /// Ends with `/>`.
    pub(super) self_closing: bool,
}

impl<'a> Tag<'a> {
    /// All attributes, references not decoded.
    pub(super) fn attributes(&self) -> Attributes<'a> {
        Attributes { rest: self.rest }
    }

    /// Value of an attribute, references not decoded; the first one counts.
    pub(super) fn attribute(&self, name: &str) -> Option<&'a str> {
        Attributes { rest: self.rest }.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// The attributes of a tag as (name, value).
pub(super) struct Attributes<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (item, rest) = attribute(self.rest)?;
        self.rest = rest;
        Some(item)
    }
}

/// The next attribute and what follows it; `None` at the end or at the tag's `>`.
fn attribute(rest: &str) -> Option<((&str, &str), &str)> {
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
    if rest.is_empty() || rest.starts_with('>') {
        return None;
    }
    // A leading `=` belongs to the name.
    let name_end = rest
        .bytes()
        .enumerate()
        .position(|(i, b)| b.is_ascii_whitespace() || matches!(b, b'/' | b'>') || (b == b'=' && i > 0))
        .unwrap_or(rest.len());
    let (name, rest) = rest.split_at(name_end);
    let after = rest.trim_ascii_start();
    let Some(value) = after.strip_prefix('=') else { return Some(((name, ""), rest)) };
    let value = value.trim_ascii_start();
    if let Some(&quote @ (b'"' | b'\'')) = value.as_bytes().first() {
        let inner = value.get(1..).unwrap_or_default();
        let end = memchr(quote, inner.as_bytes()).unwrap_or(inner.len());
        let (value, rest) = inner.split_at(end);
        return Some(((name, value), rest.get(1..).unwrap_or_default()));
    }
    let end = value.bytes().position(|b| b.is_ascii_whitespace() || b == b'>').unwrap_or(value.len());
    let (value, rest) = value.split_at(end);
    Some(((name, value), rest))
}

/// Reads a page from the front.
pub(super) struct Tokenizer<'a> {
    rest: &'a str,
    /// Bytes that were left where the last token began.
    left_before: usize,
}

impl<'a> Tokenizer<'a> {
    pub(super) fn new(html: &'a str) -> Self {
        Self { rest: html, left_before: html.len() }
    }

    /// Bytes that were left where the last token began, and that are left now.
    pub(super) fn left(&self) -> (usize, usize) {
        (self.left_before, self.rest.len())
    }

    /// Takes everything up to the end tag of a raw-text element (`script`, `title`), or to the end.
    pub(super) fn raw_text(&mut self, name: &str) -> &'a str {
        let bytes = self.rest.as_bytes();
        let end = memchr_iter(b'<', bytes)
            .find(|&at| {
                let tail = &bytes[at + 1..];
                tail.first() == Some(&b'/')
                    && tail.len() > name.len()
                    && tail[1..=name.len()].eq_ignore_ascii_case(name.as_bytes())
                    && tail
                        .get(name.len() + 1)
                        .is_none_or(|b| matches!(b, b'>' | b'/') || b.is_ascii_whitespace())
            })
            .unwrap_or(bytes.len());
        self.take(end)
    }

    fn take(&mut self, len: usize) -> &'a str {
        let (head, tail) = self.rest.split_at(len);
        self.rest = tail;
        head
    }

    /// Skips what begins with `<!` or `<?`: comments, doctypes, processing instructions.
    fn skip_declaration(&mut self) {
        let bytes = self.rest.as_bytes();
        let end = if bytes.starts_with(b"<!-->") {
            5
        } else if bytes.starts_with(b"<!--->") {
            6
        } else if bytes.starts_with(b"<!--") {
            memchr_iter(b'>', bytes)
                .find(|&at| {
                    let inside = bytes.get(4..at).unwrap_or_default();
                    inside.ends_with(b"--") || inside.ends_with(b"--!")
                })
                .map_or(bytes.len(), |at| at + 1)
        } else {
            memchr(b'>', bytes).map_or(bytes.len(), |at| at + 1)
        };
        self.take(end);
    }
}

impl<'a> Iterator for Tokenizer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            self.left_before = self.rest.len();
            let bytes = self.rest.as_bytes();
            let mut text_end = 0;
            // A `<` that opens nothing is text.
            loop {
                let Some(at) = memchr(b'<', &bytes[text_end..]) else {
                    text_end = bytes.len();
                    break;
                };
                text_end += at;
                let opens = match bytes.get(text_end + 1) {
                    Some(b'/') => bytes.get(text_end + 2).is_some(),
                    Some(b'!' | b'?') => true,
                    Some(b) => b.is_ascii_alphabetic(),
                    None => false,
                };
                if opens {
                    break;
                }
                text_end += 1;
            }
            if text_end > 0 {
                return Some(Token::Text(self.take(text_end)));
            }
            match bytes.get(1)? {
                b'!' | b'?' => self.skip_declaration(),
                b'/' if bytes[2].is_ascii_alphabetic() => {
                    self.take(2);
                    return self.tag().map(|tag| Token::End(tag.name));
                }
                // `</` before anything else opens a comment that ends at `>`.
                b'/' => {
                    let end = memchr(b'>', bytes).map_or(bytes.len(), |at| at + 1);
                    self.take(end);
                }
                _ => {
                    self.take(1);
                    return self.tag().map(Token::Start);
                }
            }
        }
    }
}

impl<'a> Tokenizer<'a> {
    /// The tag whose name starts here. A tag that the page's end cuts off is none.
    fn tag(&mut self) -> Option<Tag<'a>> {
        let name_end = self
            .rest
            .bytes()
            .position(|b| b.is_ascii_whitespace() || matches!(b, b'/' | b'>'))
            .unwrap_or(self.rest.len());
        let name = self.take(name_end);
        let start = self.rest;
        let (mut rest, mut attributes) = (start, 0);
        while let Some((_, after)) = attribute(rest) {
            rest = after;
            attributes += 1;
        }
        let closing = memchr(b'>', rest.as_bytes());
        let inside = start.len() - rest.len() + closing.unwrap_or(rest.len());
        let rest = self.take(inside);
        closing?;
        self.take(1);
        Some(Tag { name, rest, attributes, self_closing: rest.ends_with('/') })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(html: &str) -> String {
        let piece = |token: Token| match token {
            Token::Text(text) => format!("[{text}]"),
            Token::Start(tag) => format!("<{} {}>", tag.name, tag.attributes),
            Token::End(name) => format!("</{name}>"),
        };
        Tokenizer::new(html).map(piece).collect()
    }

    #[test]
    fn tags_end_where_the_standard_says() {
        let cases = [
            ("a<b>c</b>", "[a]<b 0>[c]</b>"),
            ("1 < 2 <3", "[1 < 2 <3]"),
            ("<a href='x>y' b=\"z>\" c>t", "<a 3>[t]"),
            ("<a title\"x>y", "<a 1>[y]"),
            ("<br/><img src=a/>", "<br 0><img 1>"),
            ("<!-- <p> --><!--><!--a--!>x<!-- -- --->y", "[x][y]"),
            ("<!doctype html><?php <b> ?>x", "[ ?>x]"),
            ("</ x><//>y</P >", "[y]</P>"),
            ("<p", ""),
            ("<p a='", ""),
            ("x<", "[x<]"),
            ("x</", "[x</]"),
            ("<a =x y= z>", "<a 2>"),
        ];
        for (html, expected) in cases {
            assert_eq!(shown(html), expected, "{html}");
        }
    }

    #[test]
    fn attributes_are_found() {
        let Some(Token::Start(tag)) = Tokenizer::new("<LINK Rel=canonical HREF = 'a b' hidden/>").next()
        else {
            panic!("a tag");
        };
        assert_eq!(tag.attribute("rel"), Some("canonical"));
        assert_eq!(tag.attribute("href"), Some("a b"));
        assert_eq!(tag.attribute("hidden"), Some(""));
        assert_eq!(tag.attribute("class"), None);
        assert!(tag.self_closing);
    }

    #[test]
    fn raw_text_ends_at_its_own_tag() {
        let mut tokens = Tokenizer::new("<script>a</scripty><b></SCRIPT >c");
        assert!(matches!(tokens.next(), Some(Token::Start(_))));
        assert_eq!(tokens.raw_text("script"), "a</scripty><b>");
        assert_eq!(tokens.next(), Some(Token::End("SCRIPT")));
        assert_eq!(tokens.next(), Some(Token::Text("c")));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_to_its_end(html in "[<>/!=a-c\"' -]{0,60}|\\PC{0,60}") {
            let pieces = Tokenizer::new(&html).count();
            proptest::prop_assert!(pieces <= html.len());
        }
    }
}
