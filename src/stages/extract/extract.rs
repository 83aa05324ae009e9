//! `extract`: a page as it was fetched to its main text.
//!
//! Decodes the bytes ([`crate::text::charset`]), checks that the page can be parsed in bounded time,
//! takes the page's own statements (title, language, canonical address, date) and has one of two crates
//! find the main text: `trafilatura` (a port of Python trafilatura by way of go-trafilatura, which
//! FineWeb and RefinedWeb used) or `dom_smoothie` (a port of Mozilla's Readability). `docs/extraction.md`
//! has the figures that chose the defaults.
//!
//! Differences from datatrove's Trafilatura block: no memory of earlier pages (there the text of a page
//! depends on the pages that the same process saw before), no timeout (a clock gives different corpora on
//! different machines) but limits on bytes, depth, elements and attributes that bound the time, comments
//! of readers left out, one line per block.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::document::{Document, Media, Outcome, Raw, Reason};
use crate::stage::{
    BuildContext, Built, Context, DocStage, Kind, OptionError, StageSpec, parse_options, schema_of,
};
use crate::stages::extract::engines::Engine;
use crate::stages::extract::scan::{Limits, Scanned, scan};
use crate::text::charset;

/// How the stage describes itself.
pub static SPEC: StageSpec = StageSpec {
    name: "extract",
    kind: Kind::Extract,
    needs_text: false,
    summary: "Finds the main text of a page; documents that are text already pass through.",
    source: "trafilatura 0.6 or dom_smoothie 0.19; limits on the page's shape in place of a timeout",
    reasons: &[
        ("no_text", "no main text was found"),
        ("page_too_large", "the page has more bytes than `max_page_bytes`"),
        ("too_deep", "elements are nested deeper than `max_depth`"),
        ("too_many_elements", "the page has more elements than `max_elements`"),
        ("too_many_attributes", "a tag has more attributes than `max_attributes`"),
        ("extractor_failed", "the extraction crate gave up on the page"),
    ],
    scores: &[],
    limits: &[],
    schema: schema_of::<Config>,
    build,
};

/// Options of `extract`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which crate finds the main text. Default `trafilatura`.
    pub engine: EngineName,
    /// What trafilatura does in doubt: `precision` leaves text out, `recall` takes it, `balanced` is
    /// between. Only for `engine: trafilatura`. Default `precision`.
    pub favor: Option<Favor>,
    /// Who is asked where trafilatura finds little. Only for `engine: trafilatura`. Default `dom_smoothie`.
    pub fallback: Option<Fallback>,
    /// Largest page in bytes, before decoding; one byte more drops it as `page_too_large`. At least 1,024.
    /// Default 8 MiB.
    #[schemars(range(min = 1024))]
    pub max_page_bytes: u64,
    /// Deepest nesting of elements, `html` being 1; one more drops the page as `too_deep`. 16 to 400,
    /// default 256. The crates recurse, so more would overflow the stack of a thread.
    #[schemars(range(min = 16, max = 400))]
    pub max_depth: u32,
    /// Most elements that the parser would make; one more drops the page as `too_many_elements`. At least
    /// 100. Default 300,000. Extraction takes up to 35 microseconds per element.
    #[schemars(range(min = 100))]
    pub max_elements: u32,
    /// Most attributes of one tag (of all `html` and `body` tags together); one more drops the page as
    /// `too_many_attributes`. 8 to 4,096, default 512. The parser compares each with each.
    #[schemars(range(min = 8, max = 4096))]
    pub max_attributes: u32,
}

/// Engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngineName {
    /// Port of Python trafilatura.
    Trafilatura,
    /// Port of Mozilla's Readability; more than twice as fast, more boilerplate.
    DomSmoothie,
}

/// What trafilatura does in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Favor {
    /// Between the two.
    Balanced,
    /// Rather leave text out.
    Precision,
    /// Rather take too much.
    Recall,
}

/// Who is asked where trafilatura finds little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// dom_smoothie, where trafilatura found fewer than 1,000 characters; its text is taken if it is more
    /// than three times as long.
    DomSmoothie,
    /// The Readability and jusText inside the trafilatura crate, asked for every page; half as fast.
    Builtin,
    /// Nobody.
    None,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            engine: EngineName::Trafilatura,
            favor: None,
            fallback: None,
            max_page_bytes: 8 << 20,
            max_depth: 256,
            max_elements: 300_000,
            max_attributes: 512,
        }
    }
}

fn build(options: Value, _: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    Ok(Built::Doc(Box::new(Extract::new(&parse_options(options)?)?)))
}

/// The stage.
pub struct Extract {
    engine: Engine,
    limits: Limits,
    max_page_bytes: u64,
}

impl Extract {
    /// Builds the stage.
    ///
    /// # Errors
    /// Where `favor` or `fallback` stands beside an engine that has no such thing.
    pub fn new(config: &Config) -> Result<Self, Vec<OptionError>> {
        let engine = match config.engine {
            EngineName::Trafilatura => {
                let focus = match config.favor.unwrap_or(Favor::Precision) {
                    Favor::Balanced => trafilatura::ExtractionFocus::Balanced,
                    Favor::Precision => trafilatura::ExtractionFocus::FavorPrecision,
                    Favor::Recall => trafilatura::ExtractionFocus::FavorRecall,
                };
                let fallback = config.fallback.unwrap_or(Fallback::DomSmoothie);
                Engine::trafilatura(focus, fallback == Fallback::Builtin, fallback == Fallback::DomSmoothie)
            }
            EngineName::DomSmoothie => {
                let unused = [("favor", config.favor.is_some()), ("fallback", config.fallback.is_some())];
                let errors: Vec<OptionError> = unused
                    .into_iter()
                    .filter(|(_, given)| *given)
                    .map(|(key, _)| {
                        OptionError::new(key, format!("`{key}` is an option of `engine: trafilatura` only"))
                            .hint("leave it out, or use `engine: trafilatura`")
                    })
                    .collect();
                if !errors.is_empty() {
                    return Err(errors);
                }
                Engine::dom_smoothie()
            }
        };
        let limits = Limits {
            max_depth: config.max_depth as usize,
            max_elements: config.max_elements as usize,
            max_attributes: config.max_attributes as usize,
        };
        Ok(Self { engine, limits, max_page_bytes: config.max_page_bytes })
    }

    fn page(&self, raw: Raw, doc: &mut Document) -> Result<String, Reason> {
        let page_bytes = raw.bytes.len() as u64;
        if page_bytes > self.max_page_bytes {
            return Err(Reason::measured("page_too_large", page_bytes as f64, self.max_page_bytes as f64));
        }
        let tld = doc.url.as_deref().and_then(top_level_domain);
        let is_html = raw.media == Media::Html;
        let page = charset::decode(raw.bytes, raw.charset.as_deref(), is_html, tld.as_deref()).text;
        if !is_html {
            return if page.trim().is_empty() { Err(Reason::new("no_text")) } else { Ok(page) };
        }
        let Scanned { meta, slim, text_chars } = scan(&page, &self.limits, self.engine.takes_slim())?;
        let text =
            self.engine.extract(slim.as_deref().unwrap_or(&page), text_chars, self.limits.max_depth)?;
        meta.write(doc.url.as_deref(), &mut doc.fields);
        Ok(text)
    }
}

impl DocStage for Extract {
    fn process(&self, doc: &mut Document, _: &mut Context) -> Outcome {
        let Some(raw) = doc.raw.take() else { return Outcome::Keep };
        match self.page(raw, doc) {
            Ok(text) => {
                doc.text = text;
                Outcome::Changed
            }
            Err(reason) => Outcome::Drop(reason),
        }
    }
}

/// The last label of a host name, which hints at the encoding.
fn top_level_domain(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    url.domain()?.rsplit('.').next().map(str::to_ascii_lowercase)
}

#[cfg(test)]
mod tests;
