//! The crates that find a page's main text, behind one function.
//!
//! Nothing in here depends on the clock, on other pages or on the thread: trafilatura's date search
//! (which asks for today's year) and its memory of segments (which in datatrove blanks a page that was
//! seen before) are off. A crate that panics loses the page, not the run.

use std::panic::{AssertUnwindSafe, catch_unwind};

use trafilatura::dom::Document as Page;

use crate::document::Reason;
use crate::stages::extract::render::render;

/// Below so many characters trafilatura's result is doubted.
const SHORT_CHARS: usize = 1000;

/// How many times as long Readability's result must be to replace a doubted one.
const RESCUE_RATIO: usize = 3;

/// Metadata for trafilatura to find at once; the values go nowhere.
const STATED: &[(&str, &str)] = &[
    ("og:title", "Title"),
    ("og:author", "Jane Doe"),
    ("og:url", "https://example.com/"),
    ("og:description", "Text"),
    ("og:site_name", "Site"),
    ("og:image", "https://example.com/image.png"),
    ("og:type", "article"),
    ("og:article:tag", "tag"),
];

/// Elements that trafilatura leaves out with all they hold, but for `head` and `script`.
const REMOVED: &[&str] = &[
    "applet", "area", "aside", "audio", "blink", "button", "canvas", "datalist", "dialog", "embed",
    "fieldset", "figure", "footer", "form", "frame", "frameset", "iframe", "input", "label", "legend",
    "link", "map", "marquee", "math", "menu", "menuitem", "nav", "noscript", "object", "optgroup", "option",
    "output", "param", "picture", "progress", "rp", "rt", "rtc", "select", "source", "style", "svg",
    "textarea", "time", "track", "use", "video",
];

/// Elements of which trafilatura keeps only what they hold.
const UNWRAPPED: &[&str] = &[
    "abbr", "acronym", "address", "bdi", "bdo", "big", "cite", "data", "dfn", "font", "hgroup", "img", "ins",
    "mark", "meta", "ruby", "small", "tbody", "template", "tfoot", "thead",
];

/// The one thing that it does not take from `<meta>`.
const STATED_SECTION: &str = r#"{"@type": "Article", "articleSection": "Section"}"#;

/// An engine with its settings.
pub(super) enum Engine {
    /// trafilatura, and dom_smoothie for where it finds little.
    Trafilatura {
        options: Box<trafilatura::Options>,
        rescue: Option<Box<dom_smoothie::Config>>,
    },
    DomSmoothie(Box<dom_smoothie::Config>),
}

impl Engine {
    /// trafilatura. `builtin` lets it compare its result with its own Readability and jusText; `rescue`
    /// asks dom_smoothie where the result is short.
    pub(super) fn trafilatura(focus: trafilatura::ExtractionFocus, builtin: bool, rescue: bool) -> Self {
        let options = trafilatura::Options::default()
            .with_focus(focus)
            .with_fallback(builtin)
            .with_exclude_comments(true)
            .with_deduplicate(false)
            .with_html_date_mode(trafilatura::HtmlDateMode::Disabled);
        let rescue = rescue.then(|| Box::new(readability()));
        Self::Trafilatura { options: Box::new(options), rescue }
    }

    /// Readability as dom_smoothie has it.
    pub(super) fn dom_smoothie() -> Self {
        Self::DomSmoothie(Box::new(readability()))
    }

    /// Whether a slimmed page gives the same text. The fallbacks inside trafilatura read scripts.
    pub(super) fn takes_slim(&self) -> bool {
        match self {
            Self::Trafilatura { options, .. } => takes_clean(options),
            Self::DomSmoothie(_) => true,
        }
    }

    /// Main text of a page that has passed the scan, which has counted the characters of its text.
    ///
    /// # Errors
    /// `no_text`, `too_deep` (the real tree is deeper than the scan foresaw) or `extractor_failed`.
    pub(super) fn extract(&self, html: &str, page_chars: usize, max_depth: usize) -> Result<String, Reason> {
        let found = catch_unwind(AssertUnwindSafe(|| match self {
            Self::Trafilatura { options, rescue } => {
                let text = with_trafilatura(html, options, max_depth)?;
                match rescue {
                    // Where the whole page is not long enough to replace the text, nobody is asked.
                    Some(config)
                        if text.chars().take(SHORT_CHARS).count() < SHORT_CHARS
                            && page_chars > RESCUE_RATIO * text.chars().count() =>
                    {
                        let other = with_dom_smoothie(html, config, max_depth)?;
                        let is_longer = other.chars().count() > RESCUE_RATIO * text.chars().count();
                        Ok(if is_longer { other } else { text })
                    }
                    _ => Ok(text),
                }
            }
            Self::DomSmoothie(config) => with_dom_smoothie(html, config, max_depth),
        }));
        let text = found.map_err(|_| Reason::new("extractor_failed"))??;
        if text.is_empty() { Err(Reason::new("no_text")) } else { Ok(text) }
    }
}

fn readability() -> dom_smoothie::Config {
    dom_smoothie::Config { disable_json_ld: true, ..dom_smoothie::Config::default() }
}

fn with_trafilatura(html: &str, options: &trafilatura::Options, max_depth: usize) -> Result<String, Reason> {
    let mut page = Page::parse(html);
    let mut open = vec![(page.root(), 0)];
    while let Some((node, depth)) = open.pop() {
        check_depth(depth, max_depth)?;
        open.extend(page.children(node).into_iter().map(|child| (child, depth + 1)));
    }
    if takes_clean(options) {
        page = clean(page);
    }
    let html_element = page.children(page.root()).into_iter().find(|&node| page.tag_name(node) == "html");
    let head = html_element
        .and_then(|html| page.children(html).into_iter().find(|&node| page.tag_name(node) == "head"));
    // Our own scan has the metadata. The crate cannot be told not to look for it, but it stops looking for
    // what the head states, which saves a ninth of the time.
    if let Some(head) = head {
        for (property, content) in STATED {
            let meta = page.sub_element(head, "meta");
            // In the order of the alphabet: the crate looks attributes up by halving.
            page.set_attribute(meta, "content", content);
            page.set_attribute(meta, "property", property);
        }
        let script = page.sub_element(head, "script");
        page.set_attribute(script, "type", "application/ld+json");
        page.set_text(script, STATED_SECTION);
    }
    // Its only error with these options is that it found nothing.
    Ok(trafilatura::extract_document(page, options)
        .map_or_else(|_| String::new(), |found| render(&found.content_html)))
}

/// Whether trafilatura never goes back to the page as it was.
fn takes_clean(options: &trafilatura::Options) -> bool {
    !options.enable_fallback && options.focus == trafilatura::ExtractionFocus::FavorPrecision
}

/// Does early what the crate does late: throws the same elements away in the same order, so that it finds
/// the same text, but before it has copied the page four times and searched it for metadata.
///
/// The crate's tree keeps the room of what was taken out of it and copies that too, so what is left moves
/// to a new tree.
fn clean(mut page: Page) -> Page {
    // A script may say that the page is a forum, where comments stay.
    let root = page.root();
    let Some(body) = page.body().filter(|_| page.get_elements_by_tag_name(root, "script").is_empty()) else {
        return page;
    };
    for figure in page.get_elements_by_tag_name(root, "figure") {
        if !page.get_elements_by_tag_name(figure, "table").is_empty() {
            page.set_tag_name(figure, "div");
        }
    }
    page.strip_tags(root, UNWRAPPED);
    page.strip_elements(root, false, REMOVED);
    let mut rest = page.extract_subtree_as_document(body);
    let outer =
        [(page.parent(body), rest.body().and_then(|body| rest.parent(body))), (Some(body), rest.body())];
    for (from, to) in outer {
        let (Some(from), Some(to)) = (from, to) else { continue };
        for name in page.attribute_names(from) {
            let value = page.get_attribute(from, &name).unwrap_or_default();
            rest.set_attribute(to, &name, &value);
        }
    }
    rest
}

fn with_dom_smoothie(html: &str, config: &dom_smoothie::Config, max_depth: usize) -> Result<String, Reason> {
    let page = dom_smoothie::Readability::new(html, None, Some(config.clone()));
    let Ok(mut page) = page else { return Ok(String::new()) };
    {
        let mut open = vec![(page.doc.root(), 0)];
        while let Some((node, depth)) = open.pop() {
            check_depth(depth, max_depth)?;
            open.extend(
                node.children_it(false).filter_map(|child| child.is_element().then_some((child, depth + 1))),
            );
        }
    }
    Ok(page.parse().map_or_else(|_| String::new(), |article| render(&article.content)))
}

/// The scan errs upwards, so this is for what it cannot foresee.
fn check_depth(depth: usize, max_depth: usize) -> Result<(), Reason> {
    if depth > max_depth { Err(Reason::measured("too_deep", depth as f64, max_depth as f64)) } else { Ok(()) }
}
