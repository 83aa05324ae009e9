//! Takes out of a page what no engine reads, before the parser builds a tree of it: comments, scripts,
//! styles, the insides of drawings, blanks in a row, attributes such as `onclick`, `srcset`, `data-*`.
//!
//! It rides on the scan, which passes every token anyway, and copies the stretches between the cuts. The
//! engines copy and search the tree many times over, so a byte saved here is saved more than once. What
//! remains must parse to the same tree of text: a cut never joins what stood apart, and where our reading
//! of the page may differ from the parser's (scripts inside scripts, CDATA, `plaintext`) nothing more
//! is cut.

use std::ops::Range;

use memchr::memmem;

use crate::stages::extract::tags::Tag;

/// Longest address of an image that stays.
const MAX_SRC_BYTES: usize = 300;

/// A page that loses weight.
pub(super) struct Slim<'a> {
    html: &'a str,
    out: String,
    /// Up to here the page is in `out` or cut.
    done: usize,
    /// Where the last token ended.
    token_end: usize,
    /// No more cuts.
    is_off: bool,
    /// Open `pre` and `code`, where blanks count.
    preformatted: usize,
    /// A raw-text element that waits for its end tag: start of its tag, its content.
    raw: Option<(usize, Range<usize>)>,
    /// Characters of text so far, blanks in a row as one.
    text_chars: usize,
    /// Where the inside of an open `svg` begins that holds nothing but shapes so far.
    drawing: Option<usize>,
}

impl<'a> Slim<'a> {
    pub(super) fn new(html: &'a str, is_on: bool) -> Self {
        Self {
            html,
            out: String::new(),
            done: 0,
            token_end: 0,
            is_off: !is_on,
            preformatted: 0,
            raw: None,
            text_chars: 0,
            drawing: None,
        }
    }

    /// Characters of text outside raw-text elements, blanks in a row as one.
    pub(super) fn text_chars(&self) -> usize {
        self.text_chars
    }

    /// What is left of the page, if anything went.
    pub(super) fn finish(mut self) -> Option<String> {
        if self.done == 0 {
            return None;
        }
        self.out.push_str(&self.html[self.done..]);
        Some(self.out)
    }

    /// Comments and declarations between the last token and the next.
    pub(super) fn between(&mut self, start: usize, foreign: bool) {
        let from = self.token_end;
        if self.is_off || start == from {
            return;
        }
        let gap = &self.html[from..start];
        let is_declaration = |at: usize| matches!(gap.as_bytes().get(at + 2), Some(b'd' | b'D' | b'['));
        if memmem::find_iter(gap.as_bytes(), b"<![").any(|at| gap[at..].starts_with("<![CDATA[")) {
            self.is_off = true;
        } else if gap.starts_with("<!--")
            && !foreign
            && !memmem::find_iter(&gap.as_bytes()[4..], b"<!").any(|at| is_declaration(at + 4))
        {
            let stands_apart = self.stands_apart(from);
            self.replace(from..start, if stands_apart { "" } else { "<!>" });
        }
    }

    /// Text: one blank for many, outside foreign markup.
    pub(super) fn text(&mut self, text: &str, span: Range<usize>, foreign: bool) {
        self.token_end = span.end;
        let mut was_blank = false;
        for byte in text.bytes() {
            let is_blank = byte.is_ascii_whitespace();
            self.text_chars += usize::from(!(is_blank && was_blank || (0x80..0xc0).contains(&byte)));
            was_blank = is_blank;
        }
        if self.is_off || foreign || self.preformatted > 0 {
            return;
        }
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            if !bytes[at].is_ascii_whitespace() {
                at += 1;
                continue;
            }
            let run = bytes[at..].iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(bytes.len() - at);
            if run > 1 {
                let blank = if bytes[at..at + run].contains(&b'\n') { "\n" } else { " " };
                self.replace(span.start + at..span.start + at + run, blank);
            }
            at += run;
        }
    }

    /// A start tag outside foreign markup, with its raw text.
    pub(super) fn start(&mut self, tag: &Tag, content: &str, span: Range<usize>) {
        self.token_end = span.end + content.len();
        if self.is_off {
            return;
        }
        let mut buffer = [0_u8; 10];
        let name = match buffer.get_mut(..tag.name.len()) {
            Some(lower) => {
                lower.copy_from_slice(tag.name.as_bytes());
                lower.make_ascii_lowercase();
                &*lower
            }
            None => b"",
        };
        match name {
            b"script" | b"style" => {
                let nests = memmem::find(content.as_bytes(), b"<!--").is_some_and(|at| {
                    let inside = &content.as_bytes()[at..];
                    inside.windows(7).any(|tag| tag.eq_ignore_ascii_case(b"<script"))
                });
                if nests {
                    self.is_off = true;
                } else if memmem::find(content.as_bytes(), b"DiscussionForumPosting").is_none() {
                    self.raw = Some((span.start, span.end..span.end + content.len()));
                }
            }
            b"plaintext" => self.is_off = true,
            b"link" if self.stands_apart(span.start) => self.replace(span, ""),
            b"svg" if !tag.self_closing => self.drawing = Some(span.end),
            // The parser compares the attributes of formatting elements, and the engines may look at
            // anything of what is embedded.
            b"html" | b"body" | b"head" | b"meta" | b"title" | b"svg" | b"math" | b"b" | b"big" | b"code"
            | b"em" | b"font" | b"i" | b"nobr" | b"s" | b"small" | b"strike" | b"strong" | b"tt" | b"u"
            | b"iframe" | b"object" | b"embed" | b"input" | b"video" | b"audio" | b"source" => {}
            _ => self.attributes(tag, &span),
        }
        if matches!(name, b"pre" | b"code" | b"listing") {
            self.preformatted += 1;
        }
    }

    /// A start tag inside `svg`, `math` or `select`.
    pub(super) fn foreign_start(&mut self, tag: &Tag, span: &Range<usize>) {
        self.token_end = span.end;
        if !is_shape(tag.name) {
            self.drawing = None;
        }
        if tag.name.eq_ignore_ascii_case("script") || tag.name.eq_ignore_ascii_case("plaintext") {
            self.is_off = true;
        }
    }

    /// An end tag.
    pub(super) fn end(&mut self, name: &str, span: Range<usize>) {
        self.token_end = span.end;
        if self.is_off {
            return;
        }
        if let Some((start, content)) = self.raw.take() {
            let whole = if self.stands_apart(start) { start..span.end } else { content };
            self.replace(whole, "");
            return;
        }
        if self.drawing.is_some() && !is_shape(name) {
            let from = self.drawing.take().filter(|_| name.eq_ignore_ascii_case("svg"));
            if let Some(from) = from {
                self.replace(from..span.start, "");
            }
        }
        if ["pre", "code", "listing"].iter().any(|pre| name.eq_ignore_ascii_case(pre)) {
            self.preformatted = self.preformatted.saturating_sub(1);
        }
    }

    /// Leaves only the attributes that an engine looks at.
    fn attributes(&mut self, tag: &Tag, span: &Range<usize>) {
        let keeps = |(name, value): (&str, &str)| Fate::of(name, value);
        let fates = || tag.attributes().map(|attribute| (attribute, keeps(attribute)));
        let writable = |value: &str| !(value.contains('"') && value.contains('\''));
        if fates().all(|(_, fate)| fate == Fate::Stays)
            || fates().any(|((_, value), fate)| fate == Fate::Stays && !writable(value))
        {
            return;
        }
        // The tag ends with one `>` behind the attributes.
        let end = span.end - 1;
        self.replace(end - tag.rest.len()..end, "");
        for ((name, value), fate) in fates() {
            if fate == Fate::Goes {
                continue;
            }
            let value = if fate == Fate::Short { "data:," } else { value };
            let quote = if value.contains('"') { '\'' } else { '"' };
            self.out.push(' ');
            self.out.push_str(name);
            self.out.push('=');
            self.out.push(quote);
            self.out.push_str(value);
            self.out.push(quote);
        }
    }

    /// Whether what follows can be cut without joining its two sides to a tag or a reference.
    fn stands_apart(&self, at: usize) -> bool {
        let before = if at > self.done {
            self.html.as_bytes()[at - 1]
        } else {
            *self.out.as_bytes().last().unwrap_or(&b'>')
        };
        before == b'>' || before.is_ascii_whitespace()
    }

    fn replace(&mut self, span: Range<usize>, with: &str) {
        if self.out.capacity() == 0 {
            self.out.reserve(self.html.len() / 2);
        }
        self.out.push_str(&self.html[self.done..span.start]);
        self.out.push_str(with);
        self.done = span.end;
    }
}

/// What becomes of an attribute.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    /// Only that it is there counts.
    Short,
    Goes,
}

impl Fate {
    fn of(name: &str, value: &str) -> Self {
        let mut buffer = [0_u8; 28];
        let Some(lower) = buffer.get_mut(..name.len()) else { return Self::Goes };
        lower.copy_from_slice(name.as_bytes());
        lower.make_ascii_lowercase();
        let has = |words: &[&str]| {
            words.iter().any(|word| memmem::find(value.as_bytes(), word.as_bytes()).is_some())
        };
        let stays = match &*lower {
            b"src" if value.len() > MAX_SRC_BYTES => return Self::Short,
            b"src"
            | b"class"
            | b"id"
            | b"role"
            | b"itemprop"
            | b"lang"
            | b"hidden"
            | b"rel"
            | b"dir"
            | b"type"
            | b"aria-hidden"
            | b"aria-modal"
            | b"data-component"
            | b"data-lp-replacement-content"
            | b"datatable"
            | b"summary"
            | b"rowspan"
            | b"colspan" => true,
            b"style" => {
                let lower = value.to_ascii_lowercase();
                ["hidden", "display", "visibility", "border"].iter().any(|word| lower.contains(word))
                    || has(&["&"])
            }
            // Links within the page count less, links to scripts are undone.
            b"href" => {
                let value = value.trim_start();
                value.starts_with('#')
                    || value.starts_with('&')
                    || value.get(..11).is_some_and(|start| start.eq_ignore_ascii_case("javascript:"))
            }
            _ => false,
        };
        if stays { Self::Stays } else { Self::Goes }
    }
}

/// Elements of a drawing that hold neither markup nor scripts.
fn is_shape(name: &str) -> bool {
    [
        "path",
        "g",
        "circle",
        "rect",
        "line",
        "polygon",
        "polyline",
        "ellipse",
        "use",
        "defs",
        "symbol",
        "title",
        "desc",
        "stop",
        "lineargradient",
        "radialgradient",
        "clippath",
        "mask",
        "filter",
        "pattern",
        "text",
        "tspan",
        "image",
        "style",
    ]
    .iter()
    .any(|shape| name.eq_ignore_ascii_case(shape))
}

#[cfg(test)]
mod tests {
    use crate::stages::extract::scan::{Limits, scan};

    fn slim(html: &str) -> String {
        let limits = Limits { max_depth: 100, max_elements: 1000, max_attributes: 100 };
        scan(html, &limits, true).expect("a small page").slim.unwrap_or_else(|| html.to_owned())
    }

    #[test]
    fn what_no_engine_reads_goes() {
        let cases = [
            ("<p>a<script>if (1 < 2) x()</script>b</p>", "<p>a<script></script>b</p>"),
            ("<p>a</p><script>x</script> <STYLE>p {}</STYLE>b", "<p>a</p> b"),
            ("<p>a</p><!-- x --><p>b<!-- y -->c", "<p>a</p><p>b<!>c"),
            ("<p>a \n  b\t\tc", "<p>a\nb c"),
            ("<pre>a  b</pre>  c", "<pre>a  b</pre> c"),
            ("<div onclick='x' class=y data-z>a", "<div class=\"y\">a"),
            (
                "<a href=/far title=t>a</a><a href='#near' rel=author>b</a>",
                "<a>a</a><a href='#near' rel=author>b</a>",
            ),
            ("<p style='color: red'>a<p style='Display:none'>b", "<p>a<p style='Display:none'>b"),
            ("<svg class=i><path d='M0'/><g><path d='M1'/></g></svg>a", "<svg class=i></svg>a"),
            ("<p>x</p><link rel=stylesheet href=y><p>z", "<p>x</p><p>z"),
        ];
        for (html, expected) in cases {
            assert_eq!(slim(html), expected, "{html}");
        }
    }

    #[test]
    fn what_may_matter_stays() {
        let cases = [
            "<p>a",
            "<script>never ends",
            "<!-- never ends",
            "<script><!-- <script> </script> <p onclick=x>a  b</p> <!-- c -->",
            "<svg><![CDATA[ <!-- ]]> a  b --></svg> <p onclick=x>c  d",
            "<svg><p>a  b</svg>",
            "<svg><path d=x><foreignObject>a</foreignObject></svg>",
            "<plaintext>a  b <!-- c -->",
            "<font color=red>a</font><b class=x onclick=y>b</b>",
            "<script type='application/ld+json'>{\"@type\": \"DiscussionForumPosting\"}</script>",
            "<select><option onclick=x>a  b</select>",
        ];
        for html in cases {
            assert_eq!(slim(html), html);
        }
    }

    #[test]
    fn a_cut_joins_nothing() {
        assert_eq!(slim("a <<!-- x -->b>c"), "a <<!>b>c");
        assert_eq!(slim("&am<!-- x -->p; &l<script>x</script>t;"), "&am<!>p; &l<script></script>t;");
        assert_eq!(slim("<<link rel=x>b>"), "<<link rel=x>b>");
    }

    proptest::proptest! {
        #[test]
        fn a_slim_page_says_nothing_new(parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "<b x=1>", "</b>", "<p style=x onclick=y>", "</p>", "<div id=a data-b=c>", "</div>", "<table>", "<td>", "</table>",
                "<!-- c -->", "<!--", "-->", "<script>", "</script>", "<style>", "</style>", "<svg>", "</svg>", "<path d=x />",
                "<select>", "</select>", "<pre>", "</pre>", "word", "  ", "&am", "p;", "<", "<link rel=x>", "<![CDATA[", "]]>", "<title>",
                "</title>", "<a href=/x>", "</a>", "<textarea>", "</textarea>", "<math>", "</math>",
            ]), 0..30))
        {
            let html = parts.concat();
            let text = |html: &str| {
                let page = trafilatura::dom::Document::parse(html);
                page.text_content(page.body().unwrap_or_else(|| page.root())).split_ascii_whitespace().collect::<Vec<_>>().join(" ")
            };
            let dropped: String = text(&html);
            let kept = text(&slim(&html));
            // Words of scripts and styles may be gone, nothing may be new.
            proptest::prop_assert!(kept.len() <= dropped.len(), "{html:?}: {kept:?} of {dropped:?}");
        }
    }
}
