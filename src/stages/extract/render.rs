//! Extracted HTML to plain text, one line per block.
//!
//! The engines' own text output is one run of words (trafilatura) or keeps the page's blanks
//! (dom_smoothie); line filters and readers need paragraphs. As in Python trafilatura's text output,
//! blocks become lines, list items begin with `- ` and cells of a table row are joined by ` | `. We
//! differ in that inline elements add no blank: `H<sub>2</sub>O` stays one word.

use crate::stages::extract::tags::{Token, Tokenizer};

/// Text of the serialised HTML that an engine returned.
pub(super) fn render(html: &str) -> String {
    let mut out = Lines::default();
    let mut preformatted = 0_usize;
    let mut tokens = Tokenizer::new(html);
    while let Some(token) = tokens.next() {
        match token {
            Token::Text(raw) => {
                let text = html_escape::decode_html_entities(raw);
                if preformatted > 0 { out.verbatim(&text) } else { out.words(&text) }
            }
            Token::Start(tag) => match effect(tag.name) {
                Effect::Inline => {}
                Effect::Break => out.end_line(),
                Effect::Item => out.start_item(),
                Effect::Cell => out.start_cell(),
                Effect::Pre => {
                    out.end_line();
                    preformatted += 1;
                }
                Effect::Hidden => {
                    tokens.raw_text(tag.name);
                }
            },
            Token::End(name) => match effect(name) {
                Effect::Break | Effect::Item => out.end_line(),
                Effect::Pre => {
                    out.end_line();
                    preformatted = preformatted.saturating_sub(1);
                }
                Effect::Inline | Effect::Cell | Effect::Hidden => {}
            },
        }
    }
    out.text
}

/// What a tag does to the text.
enum Effect {
    Inline,
    Break,
    Item,
    Cell,
    Pre,
    Hidden,
}

fn effect(name: &str) -> Effect {
    let mut buffer = [0_u8; 10];
    let Some(lower) = buffer.get_mut(..name.len()) else { return Effect::Inline };
    lower.copy_from_slice(name.as_bytes());
    lower.make_ascii_lowercase();
    match &*lower {
        b"li" | b"dd" => Effect::Item,
        b"td" | b"th" => Effect::Cell,
        b"pre" => Effect::Pre,
        b"script" | b"style" => Effect::Hidden,
        b"address" | b"article" | b"aside" | b"blockquote" | b"body" | b"br" | b"caption" | b"center"
        | b"details" | b"div" | b"dl" | b"dt" | b"fieldset" | b"figcaption" | b"figure" | b"footer"
        | b"form" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"head" | b"header" | b"hr" | b"html"
        | b"lb" | b"list" | b"main" | b"nav" | b"ol" | b"p" | b"quote" | b"row" | b"section" | b"summary"
        | b"table" | b"tbody" | b"tfoot" | b"thead" | b"title" | b"tr" | b"ul" => Effect::Break,
        _ => Effect::Inline,
    }
}

/// Text that grows line by line; blanks and marks are written only once something follows them.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "four independent marks that are due")]
struct Lines {
    text: String,
    /// The line has something on it.
    open: bool,
    /// A blank stands between the last word and the next.
    blank: bool,
    /// `- ` is due before the next word.
    item: bool,
    /// ` | ` is due before the next word.
    cell: bool,
}

impl Lines {
    fn words(&mut self, text: &str) {
        if text.starts_with(char::is_whitespace) {
            self.blank = true;
        }
        let mut first = true;
        for word in text.split_whitespace() {
            self.blank |= !first;
            first = false;
            self.before_word();
            self.text.push_str(word);
        }
        if !first && text.ends_with(char::is_whitespace) {
            self.blank = true;
        }
    }

    /// Text of `pre`: its lines and indents stay.
    fn verbatim(&mut self, text: &str) {
        for (at, line) in text.split('\n').enumerate() {
            if at > 0 {
                self.end_line();
            }
            let line = line.trim_end();
            if line.trim_start().is_empty() {
                continue;
            }
            self.blank = false;
            self.before_word();
            self.text.push_str(line);
        }
    }

    fn before_word(&mut self) {
        if !self.open {
            if !self.text.is_empty() {
                self.text.push('\n');
            }
            self.open = true;
            if self.item {
                self.text.push_str("- ");
            }
        } else if self.cell {
            self.text.push_str(" | ");
        } else if self.blank {
            self.text.push(' ');
        }
        self.blank = false;
        self.item = false;
        self.cell = false;
    }

    fn end_line(&mut self) {
        self.open = false;
        self.blank = false;
        self.cell = false;
    }

    fn start_item(&mut self) {
        self.end_line();
        self.item = true;
    }

    fn start_cell(&mut self) {
        self.cell = self.open;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_become_lines() {
        let cases = [
            ("<p>a  b\n c</p><p>d</p>", "a b c\nd"),
            ("<p>H<sub>2</sub>O <b>is </b>water</p>", "H2O is water"),
            ("<h2>T</h2>x<br>y<br><br>z", "T\nx\ny\nz"),
            ("<ul><li>a</li><li><p>b</p><p>c</p></li></ul>", "- a\n- b\nc"),
            ("<ul><li></li></ul><p>x</p>", "- x"),
            ("<table><tr><td>a</td><td> b</td></tr><tr><td></td><td>c</td></tr></table>", "a | b\nc"),
            ("<pre>if x:\n    y &lt; z\n\n</pre>t", "if x:\n    y < z\nt"),
            ("a&nbsp;b &amp;lt; c", "a b &lt; c"),
            ("<p> </p><script>x<y</script>", ""),
        ];
        for (html, expected) in cases {
            assert_eq!(render(html), expected, "{html}");
        }
    }
}
