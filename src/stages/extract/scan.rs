//! Looks a page over before the parser does: is it small and flat enough to be parsed in bounded time?
//!
//! An HTML parser builds more than it reads. Unclosed elements nest without end, every open `<b>` is
//! opened again in every later paragraph (elements grow with the square of the bytes), and attributes
//! of one tag are compared with each other (time grows with the square). This scan walks the tags once
//! with a small model of the standard's tree construction (WHATWG HTML, 13.2.6): the stack of open
//! elements with the implied end tags of `p`, `li`, `dd`, `dt`, `option`, headings and tables, and the
//! list of active formatting elements with its markers, its limit of three equal entries and its reopening.
//! It stops at the first limit that is crossed, so its own time is bounded by bytes times depth.
//!
//! Where model and parser differ the model errs upwards (`noscript` is read as markup, raw text inside
//! `svg`, `math` and `select` too). The engines check the depth of the real tree once more.

use crate::document::Reason;
use crate::stages::extract::meta::PageMeta;
use crate::stages::extract::slim::Slim;
use crate::stages::extract::tags::{Tag, Token, Tokenizer};

/// What a page may cost.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "named like the options")]
pub(super) struct Limits {
    /// Open elements inside each other.
    pub(super) max_depth: usize,
    /// Elements that the parser will make.
    pub(super) max_elements: usize,
    /// Attributes of one tag; also of all `html` and `body` tags together.
    pub(super) max_attributes: usize,
}

/// What the scan brings home.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) meta: PageMeta,
    /// The page without what no engine reads; `None` where that was not asked for or nothing went.
    pub(super) slim: Option<String>,
    /// Characters of its text, blanks in a row as one; no engine finds more.
    pub(super) text_chars: usize,
}

/// Scans a page and collects its metadata; slims it on the way if asked.
///
/// # Errors
/// The reason to drop the page, at the first limit that it crosses.
pub(super) fn scan(html: &str, limits: &Limits, slims: bool) -> Result<Scanned, Reason> {
    let mut meta = PageMeta::default();
    let mut tree = Tree::new();
    let mut root_attributes = 0;
    let mut tokens = Tokenizer::new(html);
    let mut slim = Slim::new(html, slims);
    while let Some(token) = tokens.next() {
        let (before, after) = tokens.left();
        let span = html.len() - before..html.len() - after;
        slim.between(span.start, tree.is_foreign());
        match token {
            Token::Text(text) => {
                tree.text(text);
                slim.text(text, span, tree.is_foreign());
            }
            Token::End(name) => {
                slim.end(name, span);
                tree.end(&Name::of(name));
            }
            Token::Start(tag) => {
                let name = Name::of(tag.name);
                let attributes = if name.kind == Kind::Root {
                    root_attributes += tag.attributes;
                    root_attributes
                } else {
                    tag.attributes
                };
                if attributes > limits.max_attributes {
                    return Err(crossed("too_many_attributes", attributes, limits.max_attributes));
                }
                let was_foreign = tree.is_foreign();
                tree.start(&name, &tag);
                let raw = name.kind == Kind::RawText && !tree.is_foreign();
                let content = if raw { tokens.raw_text(tag.name) } else { "" };
                if name.kind.may_hold_meta() {
                    meta.tag(&tag, content);
                }
                if was_foreign {
                    slim.foreign_start(&tag, &span);
                } else {
                    slim.start(&tag, content, span);
                }
            }
        }
        if tree.depth() > limits.max_depth {
            return Err(crossed("too_deep", tree.depth(), limits.max_depth));
        }
        if tree.elements > limits.max_elements {
            return Err(crossed("too_many_elements", tree.elements, limits.max_elements));
        }
    }
    Ok(Scanned { meta, text_chars: slim.text_chars(), slim: slim.finish() })
}

fn crossed(name: &'static str, value: usize, limit: usize) -> Reason {
    Reason::measured(name, value as f64, limit as f64)
}

/// What the model needs to know of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `html`, `body`, `head`: one each, whatever the page says.
    Root,
    /// Never open.
    Void,
    /// Void, and holds metadata: `meta`, `link`.
    VoidMeta,
    /// `script`, `style`, `title`, ...: their content is not markup.
    RawText,
    /// `b`, `i`, `font`, ...: opened again after a block ends.
    Formatting,
    P,
    /// Ends an open `p`.
    Block,
    /// `address`, `div`: as `Block`, but `li` looks through them.
    OpenBlock,
    Heading,
    Li,
    DdDt,
    Button,
    Option,
    Table,
    /// `caption`: a child of `table` with a marker.
    Caption,
    /// `tbody`, `thead`, `tfoot`, `colgroup`.
    Section,
    Row,
    Cell,
    /// `applet`, `marquee`, `object`, `template`: nothing inside reaches outside.
    Scope,
    /// `svg`, `math`.
    Foreign,
    Select,
    /// `time`: an ordinary element with metadata.
    Time,
    Other,
}

impl Kind {
    /// End tags of ordinary elements do not reach past one of these.
    fn is_special(self) -> bool {
        !matches!(self, Self::Formatting | Self::Other | Self::Option | Self::Time | Self::Foreign)
    }

    /// Formatting inside is forgotten when one of these ends.
    fn has_marker(self) -> bool {
        matches!(self, Self::Caption | Self::Cell | Self::Scope)
    }

    /// End tags of blocks do not reach past one of these.
    fn is_scope(self) -> bool {
        matches!(self, Self::Table | Self::Caption | Self::Cell | Self::Scope)
    }

    fn is_tabular(self) -> bool {
        matches!(self, Self::Table | Self::Caption | Self::Section | Self::Row | Self::Cell)
    }

    fn may_hold_meta(self) -> bool {
        matches!(self, Self::Root | Self::VoidMeta | Self::RawText | Self::Time)
    }
}

/// A lower-case tag name as a number, with its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Name {
    id: u64,
    kind: Kind,
}

impl Name {
    fn of(name: &str) -> Self {
        let mut buffer = [0_u8; 12];
        let bytes = name.as_bytes();
        let Some(lower) = buffer.get_mut(..bytes.len()) else {
            return Self {
                id: xxhash_rust::xxh3::xxh3_64(name.to_ascii_lowercase().as_bytes()),
                kind: Kind::Other,
            };
        };
        lower.copy_from_slice(bytes);
        lower.make_ascii_lowercase();
        let kind =
            match &*lower {
                b"html" | b"body" | b"head" => Kind::Root,
                b"area" | b"base" | b"br" | b"col" | b"embed" | b"hr" | b"img" | b"input" | b"param"
                | b"source" | b"track" | b"wbr" | b"keygen" | b"basefont" | b"bgsound" | b"frame"
                | b"image" => Kind::Void,
                b"meta" | b"link" => Kind::VoidMeta,
                b"script" | b"style" | b"title" | b"textarea" | b"xmp" | b"iframe" | b"noembed"
                | b"noframes" => Kind::RawText,
                b"a" | b"b" | b"big" | b"code" | b"em" | b"font" | b"i" | b"nobr" | b"s" | b"small"
                | b"strike" | b"strong" | b"tt" | b"u" => Kind::Formatting,
                b"p" => Kind::P,
                b"address" | b"div" => Kind::OpenBlock,
                b"article" | b"aside" | b"blockquote" | b"center" | b"details" | b"dialog" | b"dir"
                | b"dl" | b"fieldset" | b"figcaption" | b"figure" | b"footer" | b"form" | b"header"
                | b"hgroup" | b"main" | b"menu" | b"nav" | b"ol" | b"pre" | b"listing" | b"search"
                | b"section" | b"summary" | b"ul" => Kind::Block,
                b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" => Kind::Heading,
                b"li" => Kind::Li,
                b"dd" | b"dt" => Kind::DdDt,
                b"button" => Kind::Button,
                b"option" | b"optgroup" => Kind::Option,
                b"table" => Kind::Table,
                b"caption" => Kind::Caption,
                b"tbody" | b"thead" | b"tfoot" | b"colgroup" => Kind::Section,
                b"tr" => Kind::Row,
                b"td" | b"th" => Kind::Cell,
                b"applet" | b"marquee" | b"object" | b"template" => Kind::Scope,
                b"svg" | b"math" => Kind::Foreign,
                b"select" => Kind::Select,
                b"time" => Kind::Time,
                _ => Kind::Other,
            };
        let mut id = [0_u8; 8];
        if bytes.len() <= 8 {
            id[..bytes.len()].copy_from_slice(lower);
            return Self { id: u64::from_le_bytes(id), kind };
        }
        Self { id: xxhash_rust::xxh3::xxh3_64(lower), kind }
    }
}

/// An entry of the list of active formatting elements.
#[derive(Debug, Clone, Copy)]
enum Active {
    Marker,
    /// Name, hash of the tag, and whether it is on the stack at present.
    Element {
        id: u64,
        hash: u64,
        open: bool,
    },
}

/// An open element.
#[derive(Debug, Clone, Copy)]
struct Open {
    name: Name,
    /// Hash of the whole tag for formatting elements.
    hash: u64,
}

/// The model: open elements, active formatting elements, and how many elements were made so far.
struct Tree {
    stack: Vec<Open>,
    active: Vec<Active>,
    /// Active elements that are not on the stack: they open again before the next text.
    closed_active: usize,
    foreign: usize,
    elements: usize,
}

impl Tree {
    fn new() -> Self {
        // The parser makes `html`, `head` and `body` on its own.
        Self { stack: Vec::new(), active: Vec::new(), closed_active: 0, foreign: 0, elements: 3 }
    }

    /// Depth of the element that was opened last; `html` and `body` count.
    fn depth(&self) -> usize {
        self.stack.len() + 2
    }

    /// Inside `svg`, `math` or `select`, where `title` and its like may be ordinary elements.
    fn is_foreign(&self) -> bool {
        self.foreign > 0
    }

    fn text(&mut self, text: &str) {
        if self.closed_active > 0 && !text.trim_ascii().is_empty() {
            self.reconstruct();
        }
    }

    fn start(&mut self, name: &Name, tag: &Tag) {
        match name.kind {
            Kind::Root => return,
            Kind::Void | Kind::VoidMeta => {
                self.reconstruct();
                self.elements += 1;
                return;
            }
            Kind::RawText => {
                self.reconstruct();
                // Its end tag pops it at once, unless it is foreign markup.
                if !self.is_foreign() {
                    self.elements += 1;
                    return;
                }
            }
            Kind::P | Kind::Block | Kind::OpenBlock => self.close_p(),
            Kind::Heading => {
                self.close_p();
                if self.stack.last().is_some_and(|top| top.name.kind == Kind::Heading) {
                    self.pop_to(self.stack.len() - 1);
                }
            }
            Kind::Li | Kind::DdDt => self.close_item(name.kind),
            Kind::Button => {
                self.close_in_scope(|open| open.kind == Kind::Button);
                self.reconstruct();
            }
            Kind::Option => {
                if self.stack.last().is_some_and(|top| top.name.kind == Kind::Option) {
                    self.pop_to(self.stack.len() - 1);
                }
                self.reconstruct();
            }
            Kind::Section | Kind::Row | Kind::Cell | Kind::Caption => {
                if !self.close_table_part(name.kind) {
                    return;
                }
            }
            Kind::Formatting => return self.start_formatting(name, tag),
            Kind::Table | Kind::Scope | Kind::Foreign | Kind::Select | Kind::Time | Kind::Other => {
                self.reconstruct();
            }
        }
        if !(tag.self_closing && self.is_foreign()) {
            self.push(Open { name: *name, hash: 0 });
            if name.kind.has_marker() {
                self.active.push(Active::Marker);
            }
        }
    }

    fn start_formatting(&mut self, name: &Name, tag: &Tag) {
        // A second `a` or `nobr` ends the first.
        if tag.name.eq_ignore_ascii_case("a") || tag.name.eq_ignore_ascii_case("nobr") {
            self.end_formatting(name.id);
        }
        self.reconstruct();
        let hash = xxhash_rust::xxh3::xxh3_64_with_seed(tag.rest.as_bytes(), name.id);
        // No more than three equal ones: the oldest leaves.
        let equal = self
            .active
            .iter()
            .enumerate()
            .rev()
            .take_while(|(_, active)| !matches!(active, Active::Marker))
            .filter(|(_, active)| matches!(active, Active::Element { hash: h, .. } if *h == hash));
        if let Some((oldest, _)) = equal.take(3).nth(2) {
            self.forget(oldest);
        }
        self.push(Open { name: *name, hash });
        self.active.push(Active::Element { id: name.id, hash, open: true });
    }

    fn end(&mut self, name: &Name) {
        match name.kind {
            Kind::Root | Kind::Void | Kind::VoidMeta => {}
            Kind::Formatting => {
                if !self.end_formatting(name.id) {
                    self.end_other(name.id);
                }
            }
            Kind::P => {
                if !self.close_in_scope(|open| open.kind == Kind::P) {
                    self.elements += 1;
                }
            }
            Kind::Heading => {
                self.close_in_scope(|open| open.kind == Kind::Heading);
            }
            kind if kind.is_tabular() => {
                let at = self
                    .stack
                    .iter()
                    .rposition(|open| open.name.id == name.id || open.name.kind == Kind::Table)
                    .filter(|&at| self.stack[at].name.id == name.id);
                if let Some(at) = at {
                    self.pop_to(at);
                }
            }
            Kind::RawText | Kind::Option | Kind::Foreign | Kind::Time | Kind::Other => {
                self.end_other(name.id);
            }
            _ => {
                self.close_in_scope(|open| open.id == name.id);
            }
        }
    }

    /// The end tag of an ordinary element: reaches up to the nearest special one.
    fn end_other(&mut self, id: u64) {
        let at = self.stack.iter().rposition(|open| open.name.id == id || open.name.kind.is_special());
        if let Some(at) = at.filter(|&at| self.stack[at].name.id == id) {
            self.pop_to(at);
        }
    }

    /// The end tag of a formatting element: the standard's adoption agency. False where it does not
    /// know the name.
    fn end_formatting(&mut self, id: u64) -> bool {
        let found = self
            .active
            .iter()
            .enumerate()
            .rev()
            .take_while(|(_, active)| !matches!(active, Active::Marker))
            .find_map(|(at, active)| match active {
                Active::Element { id: i, hash, open } if *i == id => Some((at, *hash, *open)),
                _ => None,
            });
        let Some((entry, hash, open)) = found else { return false };
        let place = self.stack.iter().rposition(|o| o.name.id == id && o.hash == hash);
        let Some(place) = place.filter(|_| open) else {
            self.forget(entry);
            return true;
        };
        let blocks = self.stack[place + 1..].iter().filter(|o| o.name.kind.is_special()).count();
        self.forget(entry);
        if blocks == 0 {
            self.pop_to(place);
            return true;
        }
        // Each of up to eight rounds clones the element and up to three between it and the block.
        self.elements += 4 * blocks.min(8);
        self.stack.remove(place);
        if blocks > 8 {
            // It stays open below the eighth block.
            self.stack.insert(place + 8, Open { name: Name { id, kind: Kind::Formatting }, hash });
            self.active.insert(entry.min(self.active.len()), Active::Element { id, hash, open: true });
        }
        true
    }

    /// Takes an entry off the list of active formatting elements.
    fn forget(&mut self, entry: usize) {
        if let Active::Element { open: false, .. } = self.active.remove(entry) {
            self.closed_active -= 1;
        }
    }

    /// Opens again what the end of a block closed.
    fn reconstruct(&mut self) {
        if self.closed_active == 0 {
            return;
        }
        // Only those behind the last marker, and only from the last open one on.
        let from = self
            .active
            .iter()
            .rposition(|active| matches!(active, Active::Marker | Active::Element { open: true, .. }))
            .map_or(0, |at| at + 1);
        for at in from..self.active.len() {
            if let Active::Element { id, hash, open } = &mut self.active[at] {
                *open = true;
                let again = Open { name: Name { id: *id, kind: Kind::Formatting }, hash: *hash };
                self.closed_active -= 1;
                self.push(again);
            }
        }
    }

    fn push(&mut self, open: Open) {
        self.elements += 1;
        self.foreign += usize::from(matches!(open.name.kind, Kind::Foreign | Kind::Select));
        self.stack.push(open);
    }

    /// Closes everything from a place of the stack on.
    fn pop_to(&mut self, place: usize) {
        while self.stack.len() > place {
            let Some(open) = self.stack.pop() else { return };
            match open.name.kind {
                Kind::Foreign | Kind::Select => self.foreign -= 1,
                Kind::Formatting => self.mark_closed(&open),
                kind if kind.has_marker() => self.clear_to_marker(),
                _ => {}
            }
        }
    }

    fn mark_closed(&mut self, gone: &Open) {
        let entry = self.active.iter_mut().rev().find_map(|active| match active {
            Active::Element { id, hash, open } if *open && *id == gone.name.id && *hash == gone.hash => {
                Some(open)
            }
            _ => None,
        });
        if let Some(open) = entry {
            *open = false;
            self.closed_active += 1;
        }
    }

    fn clear_to_marker(&mut self) {
        while let Some(active) = self.active.pop() {
            match active {
                Active::Marker => return,
                Active::Element { open, .. } => self.closed_active -= usize::from(!open),
            }
        }
    }

    /// Ends the element that `wanted` names, if no scope stands in between.
    fn close_in_scope(&mut self, wanted: impl Fn(&Name) -> bool) -> bool {
        for at in (0..self.stack.len()).rev() {
            let name = self.stack[at].name;
            if wanted(&name) {
                self.pop_to(at);
                return true;
            }
            if name.kind.is_scope() {
                return false;
            }
        }
        false
    }

    fn close_p(&mut self) {
        for at in (0..self.stack.len()).rev() {
            match self.stack[at].name.kind {
                Kind::P => return self.pop_to(at),
                Kind::Button => return,
                kind if kind.is_scope() => return,
                _ => {}
            }
        }
    }

    /// Before `li` (or `dd`, `dt`): ends an open one of the same list, then an open `p`.
    fn close_item(&mut self, kind: Kind) {
        for at in (0..self.stack.len()).rev() {
            let open = self.stack[at].name.kind;
            if open == kind {
                self.pop_to(at);
                break;
            }
            if open.is_special() && !matches!(open, Kind::OpenBlock | Kind::P) {
                break;
            }
        }
        self.close_p();
    }

    /// Before a part of a table: ends its siblings. False outside a table, where the tag is ignored.
    fn close_table_part(&mut self, kind: Kind) -> bool {
        let stays: &[Kind] = match kind {
            Kind::Cell => &[Kind::Table, Kind::Section, Kind::Row, Kind::Scope],
            Kind::Row => &[Kind::Table, Kind::Section, Kind::Scope],
            _ => &[Kind::Table, Kind::Scope],
        };
        let Some(at) = self.stack.iter().rposition(|open| stays.contains(&open.name.kind)) else {
            return false;
        };
        if self.stack[at].name.kind == Kind::Scope {
            return false;
        }
        self.pop_to(at + 1);
        // `tbody` and `tr` that the page leaves out are made by the parser; few, and counted in general.
        self.elements += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { max_depth: 100, max_elements: 50_000, max_attributes: 50 };

    fn verdict(html: &str) -> &'static str {
        scan(html, &LIMITS, true).map_or_else(|reason| reason.name, |_| "fine")
    }

    #[test]
    fn sloppy_but_flat_pages_pass() {
        let cases = [
            "<p>one".repeat(1000),
            "<ul>".to_owned() + &"<li>item <b>bold</b>".repeat(1000),
            "<dl>".to_owned() + &"<dt>term<dd>text".repeat(1000),
            "<table>".to_owned() + &"<tr><td>a<td>b".repeat(1000),
            "<table><tr><td><p>x</table>".repeat(1000),
            "<select>".to_owned() + &"<option>a".repeat(1000),
            "<a href=x>link".repeat(1000),
            "<p><font size=2>old page".repeat(1000),
            "<h2>title<h3>next".repeat(1000),
            "<b><p>misnested</b> text</p>".repeat(1000),
            "<div><span>x</div>".repeat(1000),
            "<script>if (a < b) document.write('<div>')</script>".repeat(1000),
            "<svg><path d=x/><g><path/></g></svg>".repeat(1000),
            "</p></div></b>".repeat(1000),
            "<button>x".repeat(1000),
        ];
        for html in cases {
            let shown: String = html.chars().take(50).collect();
            assert_eq!(verdict(&html), "fine", "{shown}");
        }
    }

    #[test]
    fn hostile_pages_are_told_by_their_kind() {
        let many = |n: usize, piece: fn(usize) -> String| (0..n).map(piece).collect::<String>();
        let cases = [
            ("<div>".repeat(200), "too_deep"),
            ("<b><i>".repeat(200), "too_deep"),
            (many(200, |i| format!("<font size={i}>")), "too_deep"),
            ("<ul><li>".repeat(200), "too_deep"),
            ("<table><tr><td>".repeat(200), "too_deep"),
            ("<span>".repeat(200), "too_deep"),
            ("<x-y-z-custom-element>".repeat(200), "too_deep"),
            ("<svg><title>".repeat(200), "too_deep"),
            ("<br>".repeat(60_000), "too_many_elements"),
            // Ninety unclosed formatting elements that each paragraph opens again.
            (many(90, |i| format!("<font size={i}>")) + &"<p>x</p>".repeat(1000), "fine"),
            (
                "<p>".to_owned() + &many(90, |i| format!("<font size={i}>")) + &"<p>x</p>".repeat(1000),
                "too_many_elements",
            ),
            (format!("<p {}>", many(60, |i| format!("a{i} "))), "too_many_attributes"),
            (many(60, |i| format!("<html a{i}>")), "too_many_attributes"),
        ];
        for (html, expected) in cases {
            let shown: String = html.chars().take(50).collect();
            assert_eq!(verdict(&html), expected, "{shown}");
        }
    }

    #[test]
    fn the_limit_itself_passes() {
        let at_limit = "<div>".repeat(98);
        assert_eq!(verdict(&at_limit), "fine");
        assert_eq!(verdict(&(at_limit + "<i>")), "too_deep");
    }

    proptest::proptest! {
        #[test]
        fn any_markup_is_scanned(parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "<b>", "</b>", "<i x>", "</i>", "<p>", "</p>", "<div>", "</div>", "<td>", "</td>", "<tr>", "</tr>",
                "<table>", "</table>", "<object>", "</object>", "<a>", "</a>", "<li>", "</ul>", "<svg>", "</svg>",
                "<select>", "</select>", "<title>", "</title>", "<button>", "</button>", "<caption>", "x", "<br/>",
            ]), 0..80))
        {
            let html: String = parts.concat();
            proptest::prop_assert_eq!(scan(&html, &Limits { max_depth: 1000, ..LIMITS }, true).is_ok(), true);
        }
    }
}
