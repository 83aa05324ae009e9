//! `per_language`: options of a filter that hold for pages of one language in place of its general ones.
//!
//! Source: FineWeb2's configurations per language (Penedo et al. 2025), which give every filter other stop words and
//! limits for each language. Here it is one option that every filter has, so a filter knows nothing of it: it is
//! built once with its general options and once more for each language, and a page goes to the one of its
//! language. What a table says of a language replaces the general option of the same name as a whole.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use super::check::{check, fill_defaults};
use super::diagnostic::{Diagnostic, Place, Source, closest};
use super::node::{self, Node, Value};
use super::registry::{self, Section, find};
use crate::document::{Document, Outcome};
use crate::error::Result as FileResult;
use crate::stage::{BuildContext, Built, Context, DocStage, OptionError, Pass, SearchedSet, StageSpec};
use crate::text::langcodes;

/// The table behind `per_language: builtin`.
const BUILTIN: &str = include_str!("languages.yaml");
/// The option's key.
pub(super) const KEY: &str = "per_language";
/// ISO 639-2 for an undetermined language: options for pages without one.
const UNKNOWN: &str = "und";
/// Name of the embedded table, as an option and in messages.
const BUILTIN_NAME: &str = "builtin";

/// The option that every filter has for this, for the schema.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PerLanguage {
    /// Options that hold instead for pages of a language, by ISO 639-1 or 639-3 code: a map such as
    /// `{de: {min_stop_words: 1}}`; or `builtin`, the table that tamis brings (made by `tamis calibrate`); or the path
    /// of a YAML file of the same shape as that table: languages, below each the stages, below each the options. `und`
    /// stands for pages without a language. Other pages are judged by the general options.
    pub per_language: Option<Table>,
}

/// Where the options per language come from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Table {
    /// `builtin` or a path.
    Named(String),
    /// The options themselves.
    Here(BTreeMap<String, serde_json::Map<String, Json>>),
}

/// A filter's complete options for some languages.
pub type LanguageOptions = BTreeMap<String, Json>;

/// Reads and checks what `node` says of `spec`, and lays it over the general options.
pub(super) fn resolve(
    spec: &StageSpec,
    node: &Node,
    general: &Json,
    sources: &mut Vec<Source>,
    errors: &mut Vec<Diagnostic>,
) -> LanguageOptions {
    match &node.value {
        Value::Map(_) => {
            let overlays = node.entries().iter().map(|(key, node)| (&*key.name, &key.place, node));
            lay_over(spec, overlays, general, errors)
        }
        Value::Text(name) => match table(name, node, sources, errors) {
            Some(table) => {
                let of_stage = table.entries().iter().filter_map(|(language, stages)| {
                    stages.get(spec.name).map(|node| (&*language.name, &language.place, node))
                });
                lay_over(spec, of_stage, general, errors)
            }
            None => BTreeMap::new(),
        },
        // Nothing; the schema has already refused anything else.
        _ => BTreeMap::new(),
    }
}

/// The table of that name, with every stage name in it checked.
fn table(name: &str, node: &Node, sources: &mut Vec<Source>, errors: &mut Vec<Diagnostic>) -> Option<Node> {
    let text = if name == BUILTIN_NAME {
        BUILTIN.to_owned()
    } else {
        let read = crate::io::read_side_file(std::path::Path::new(name))
            .map_err(|error| error.to_string())
            .and_then(|bytes| String::from_utf8(bytes).map_err(|_| format!("`{name}` is not UTF-8 text")));
        match read {
            Ok(text) => text,
            Err(message) => {
                let error = Diagnostic::new(node.place.clone(), message);
                errors.push(error.hint(format!("`{BUILTIN_NAME}` is the table that tamis brings")));
                return None;
            }
        }
    };
    let number = sources.len();
    sources.push(Source { path: name.to_owned(), text: text.clone() });
    let table = match node::parse(&text, number, &|_| None) {
        Ok(table) => table,
        Err(found) => {
            errors.extend(found);
            return None;
        }
    };
    let before = errors.len();
    if !matches!(table.value, Value::Map(_)) {
        let message = format!("a table of languages must be a map, found {}", table.describe());
        errors.push(Diagnostic::new(table.place.clone(), message));
    }
    for (_, stages) in table.entries() {
        for (stage, _) in stages.entries() {
            let takes = |spec: &StageSpec| registry::has_mode(spec.kind);
            if !find(Section::Stages, &stage.name).is_some_and(takes) {
                let message = format!("there is no filter `{}`", stage.name);
                let error = Diagnostic::new(stage.place.clone(), message);
                let names = registry::stages().filter(|spec| takes(spec)).map(|spec| spec.name);
                errors.push(match closest(&stage.name, names) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error.hint("below a language stand filters, below each its options"),
                });
            }
        }
    }
    (errors.len() == before).then_some(table)
}

fn lay_over<'n>(
    spec: &StageSpec,
    overlays: impl Iterator<Item = (&'n str, &'n Place, &'n Node)>,
    general: &Json,
    errors: &mut Vec<Diagnostic>,
) -> LanguageOptions {
    let schema = Json::from((spec.schema)());
    let mut overlay_schema = schema.clone();
    if let Json::Object(map) = &mut overlay_schema {
        map.remove("required");
    }
    let mut found = BTreeMap::new();
    for (name, place, node) in overlays {
        let Some(language) = langcodes::normalise(name) else {
            let message = format!("`{name}` is not a language code (ISO 639-1 or 639-3)");
            errors.push(Diagnostic::new(place.clone(), message));
            continue;
        };
        let before = errors.len();
        check(node, &overlay_schema, &format!("stage `{}` for `{name}`", spec.name), errors);
        if errors.len() > before {
            continue;
        }
        let mut options = general.clone();
        if let (Json::Object(options), Json::Object(overlay)) = (&mut options, node.to_json()) {
            options.extend(overlay);
        }
        fill_defaults(&mut options, &schema);
        if found.insert(language.to_string(), options).is_some() {
            let message = format!("a second entry for the language `{language}`");
            errors.push(Diagnostic::new(place.clone(), message));
        }
    }
    found
}

/// Builds a stage, once more for each language that has options of its own.
///
/// # Errors
/// The stage's own; those of a language name its key as `per_language.<language>.<option>`.
pub(super) fn build(
    spec: &StageSpec,
    general: &Json,
    languages: &LanguageOptions,
    context: &mut BuildContext,
) -> Result<Built, Vec<OptionError>> {
    let built = (spec.build)(general.clone(), context)?;
    let Built::Doc(general) = built else { return Ok(built) };
    if languages.is_empty() {
        return Ok(Built::Doc(general));
    }
    let mut by_language = BTreeMap::new();
    let mut errors = Vec::new();
    for (language, options) in languages {
        match (spec.build)(options.clone(), context) {
            Ok(Built::Doc(stage)) => {
                by_language.insert(language.clone(), stage);
            }
            Ok(Built::Reader(_) | Built::Barrier(_)) => {}
            Err(found) => errors.extend(found.into_iter().map(|error| OptionError {
                message: format!("for pages in `{language}`: {}", error.message),
                key: format!("per_language.{language}.{}", error.key),
                hint: error.hint,
            })),
        }
    }
    if errors.is_empty() { Ok(Built::Doc(Box::new(Chooser { general, by_language }))) } else { Err(errors) }
}

/// A filter that is several: one for each language that has its own options, and one for all others.
struct Chooser {
    general: Box<dyn DocStage>,
    by_language: BTreeMap<String, Box<dyn DocStage>>,
}

impl Chooser {
    fn of(&self, doc: &Document) -> &dyn DocStage {
        let own = self.by_language.get(doc.language.as_deref().unwrap_or(UNKNOWN));
        &**own.unwrap_or(&self.general)
    }
}

impl DocStage for Chooser {
    fn process(&self, doc: &mut Document, cx: &mut Context) -> Outcome {
        self.of(doc).process(doc, cx)
    }

    fn redecide(&self, stored: &Document, stage: &str) -> Option<Outcome> {
        self.of(stored).redecide(stored, stage)
    }

    fn deciding_options(&self) -> &'static [&'static str] {
        self.general.deciding_options()
    }

    fn passes(&self, name: &str, dir: &Path) -> Vec<Box<dyn Pass>> {
        let mut passes = self.general.passes(name, dir);
        for (language, stage) in &self.by_language {
            passes.extend(stage.passes(&format!("{name}-{language}"), &dir.join(language)));
        }
        passes
    }

    fn searched_sets(&self) -> Vec<SearchedSet> {
        let mut sets = self.general.searched_sets();
        for set in self.by_language.values().flat_map(|stage| stage.searched_sets()) {
            if !sets.iter().any(|known| known.name == set.name) {
                sets.push(set);
            }
        }
        sets
    }

    fn ready(&self, dir: &Path) -> FileResult<()> {
        self.general.ready(dir)?;
        self.by_language.iter().try_for_each(|(language, stage)| stage.ready(&dir.join(language)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::document::Ordinal;

    fn overlays(yaml: &str, general: &Json) -> Result<LanguageOptions, Vec<String>> {
        let spec = find(Section::Stages, "gopher_quality").unwrap();
        let node = node::parse(yaml, 0, &|_| None).unwrap();
        let (mut sources, mut errors) = (Vec::new(), Vec::new());
        let found = resolve(spec, &node, general, &mut sources, &mut errors);
        let messages: Vec<String> = errors.into_iter().map(|error| error.message).collect();
        if messages.is_empty() { Ok(found) } else { Err(messages) }
    }

    #[test]
    fn a_language_keeps_the_general_options_that_it_does_not_name() {
        let found =
            overlays("{deu: {min_words: 1, max_words: null}}", &json!({"min_stop_words": 0})).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["de"]);
        assert_eq!(found["de"]["min_words"], 1);
        assert_eq!(found["de"]["max_words"], Json::Null);
        assert_eq!(found["de"]["min_stop_words"], 0);
        assert_eq!(found["de"]["min_mean_word_chars"], 3.0);
    }

    #[test]
    fn mistakes_are_named() {
        let general = json!({});
        assert_eq!(overlays("{qqq9: {}}", &general).unwrap_err().len(), 1);
        assert!(overlays("{de: {min_word: 1}}", &general).unwrap_err()[0].contains("min_word"));
        assert!(overlays("{de: {}, deu: {}}", &general).unwrap_err()[0].contains("second"));
        assert!(!overlays("/no/such/table.yaml", &general).unwrap_err().is_empty());
    }

    #[test]
    fn a_page_is_judged_by_the_options_of_its_language() {
        let spec = find(Section::Stages, "gopher_quality").unwrap();
        let off = json!({"min_words": 3, "min_mean_word_chars": 0.0, "min_stop_words": 0, "stop_words": []});
        let languages = overlays("{de: {min_words: 1}}", &off).unwrap();
        let Built::Doc(stage) =
            build(spec, &languages["de"].clone(), &BTreeMap::new(), &mut BuildContext::default()).unwrap()
        else {
            panic!("a filter");
        };
        let judge = |stage: &dyn DocStage, language: Option<&str>| {
            let text = "zwei Worte".to_owned();
            let mut doc = Document::new(Ordinal { split: 0, record: 0 }, "a".to_owned(), text);
            doc.language = language.map(str::to_owned);
            stage.process(&mut doc, &mut Context::default())
        };
        assert_eq!(judge(&*stage, None), Outcome::Keep);
        let Built::Doc(stage) = build(spec, &off, &languages, &mut BuildContext::default()).unwrap() else {
            panic!("a filter");
        };
        assert_eq!(judge(&*stage, Some("de")), Outcome::Keep);
        for other in [Some("fr"), None] {
            assert!(matches!(judge(&*stage, other), Outcome::Drop(_)), "{other:?}");
        }
    }

    #[test]
    fn the_builtin_table_fits_every_filter_that_it_names() {
        for spec in registry::stages().filter(|spec| registry::has_mode(spec.kind)) {
            let node = Node { value: Value::Text(BUILTIN_NAME.to_owned()), place: Place::start(0) };
            let (mut sources, mut errors) = (Vec::new(), Vec::new());
            let languages = resolve(spec, &node, &json!({}), &mut sources, &mut errors);
            assert!(errors.is_empty(), "{}: {:?}", spec.name, errors.first().map(|error| &error.message));
            if !languages.is_empty() {
                let mut general = json!({});
                fill_defaults(&mut general, &Json::from((spec.schema)()));
                assert!(build(spec, &general, &languages, &mut BuildContext::default()).is_ok());
            }
        }
    }
}
