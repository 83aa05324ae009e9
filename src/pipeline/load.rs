//! From a pipeline file to a checked plan: reads, overrides, checks everything, builds the stages.
//!
//! All mistakes are collected and shown together; no input record is read before there are none.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::check::{check, fill_defaults};
use super::config::{FilterOptions, Mode, PipelineConfig, Rejects, parse_memory};
use super::diagnostic::{Diagnostic, Place, Source, closest, render};
use super::node::{self, Node, Value};
use super::overrides;
use super::per_language::{self, LanguageOptions, PerLanguage};
use super::plan::{self, InputPlan, Plan, SideFile, Split, StagePlan};
use super::registry::{Section, bucket_field, find, has_mode, scores_with, sets_language};
use crate::document::PAGE_FIELDS;
use crate::error::{Error, Result};
use crate::stage::{BuildContext, Built, FieldType, Kind, OptionError, Reader, StageSpec};
use crate::stages::write::CorpusSchema;
use crate::tokens::TokensConfig;

/// Files per input whose beginning is looked at for passed-through fields.
const PEEKED_FILES: usize = 16;

/// A pipeline that holds: the plan, and the stages built from it.
pub struct Loaded {
    /// The plan.
    pub plan: Plan,
    /// Readers in the order of `plan.inputs`.
    pub readers: Vec<Box<dyn Reader>>,
    /// Stages in the order of `plan.stages`, with what they are.
    pub stages: Vec<(&'static StageSpec, Built)>,
    /// What the file says beside the plan: run directory, threads, memory, tests.
    pub config: PipelineConfig,
    /// `memory:` in bytes.
    pub memory_bytes: Option<u64>,
}

/// Reads a pipeline file with overrides of the form `a.b.c=value`.
///
/// # Errors
/// [`Error::User`] with every mistake, rendered.
pub fn load(path: &str, overrides: &[String]) -> Result<Loaded> {
    let mut loader = Loader::default();
    let loaded = loader.run(path, overrides);
    match loaded {
        Some(loaded) if loader.errors.is_empty() => Ok(loaded),
        // A store that was not to be had is no mistake of the user.
        _ => Err(crate::io::store::take_outage()
            .unwrap_or_else(|| Error::User(render(loader.errors, &loader.sources)))),
    }
}

/// Readers and stages of a plan, in its order.
pub type Instances = (Vec<Box<dyn Reader>>, Vec<(&'static StageSpec, Built)>);

/// Builds readers and stages of a plan that an earlier run checked.
///
/// # Errors
/// [`Error::User`] where a side file is gone or changed.
pub fn instantiate(plan: &Plan) -> Result<Instances> {
    let mut context = BuildContext::default();
    let mut readers = Vec::new();
    let mut stages = Vec::new();
    let fail = |name: &str, errors: Vec<OptionError>| {
        let list: Vec<String> = errors.into_iter().map(|error| error.message).collect();
        let message = format!("`{name}` of the plan cannot be built: {}", list.join("; "));
        crate::io::store::take_outage().unwrap_or(Error::User(message))
    };
    let unknown =
        |name: &str| Error::User(format!("the plan names `{name}`, which this version does not know"));
    for input in &plan.inputs {
        let spec = find(Section::Input, &input.reader).ok_or_else(|| unknown(&input.reader))?;
        match (spec.build)(input.options.clone(), &mut context).map_err(|errors| fail(spec.name, errors))? {
            Built::Reader(reader) => readers.push(reader),
            Built::Doc(_) | Built::Barrier(_) => return Err(unknown(spec.name)),
        }
    }
    for stage in &plan.stages {
        let spec = find(Section::Stages, &stage.stage).ok_or_else(|| unknown(&stage.stage))?;
        let built = per_language::build(spec, &stage.options, &stage.per_language, &mut context)
            .map_err(|errors| fail(spec.name, errors))?;
        context.scores.extend(score_names(&stage.id, spec, &stage.options));
        stages.push((spec, built));
    }
    if let Some(tokenizer) = &plan.tokenizer {
        let errors = tokenizer.check(&mut context);
        if !errors.is_empty() {
            return Err(fail("tokenizer", errors));
        }
    }
    if side_files(&context) != plan.side_files {
        return Err(Error::User("a model or word list has changed since the run was planned".to_owned()));
    }
    Ok((readers, stages))
}

/// Full names of the scores that a stage adds with these options.
fn score_names<'a>(
    id: &'a str,
    spec: &'static StageSpec,
    options: &serde_json::Value,
) -> impl Iterator<Item = String> + use<'a> {
    scores_with(spec, options).map(move |score| format!("{id}.{}", score.name))
}

fn side_files(context: &BuildContext) -> Vec<SideFile> {
    let file = |(path, hash): &(String, u128)| SideFile { path: path.clone(), xxh3: format!("{hash:032x}") };
    context.files.iter().map(file).collect()
}

/// Collects what a pipeline says and all mistakes in it.
#[derive(Default)]
pub(super) struct Loader {
    sources: Vec<Source>,
    pub(super) errors: Vec<Diagnostic>,
}

/// One entry of `input:` or `stages:` after checking.
pub(super) struct Entry<'n> {
    pub(super) spec: &'static StageSpec,
    /// Unique name.
    pub(super) id: String,
    /// Where the name stands.
    pub(super) place: Place,
    /// Its options, for finding places.
    pub(super) options: Option<&'n Node>,
    /// Options that fit the schema, defaults filled in.
    pub(super) json: Json,
    /// The same for languages that have their own.
    pub(super) per_language: LanguageOptions,
    pub(super) filter: Option<FilterOptions>,
}

impl Entry<'_> {
    pub(super) fn diagnostic(&self, error: OptionError) -> Diagnostic {
        let node = self.options.and_then(|options| options.at(&error.key)).filter(|_| !error.key.is_empty());
        let place = node.map_or_else(|| self.place.clone(), |node| node.place.clone());
        let subject = if error.key.is_empty() { String::new() } else { format!("`{}` of ", error.key) };
        let message = format!("{subject}`{}`: {}", self.spec.name, error.message);
        Diagnostic { place, message, hint: error.hint }
    }
}

impl Loader {
    fn run(&mut self, path: &str, overrides: &[String]) -> Option<Loaded> {
        let mut root = self.read(path, 0)?;
        if let Err(errors) = overrides::apply(&mut root, overrides) {
            self.errors.extend(errors);
        }
        let schema = serde_json::to_value(schemars::schema_for!(PipelineConfig)).ok()?;
        check(&root, &schema, "the pipeline", &mut self.errors);
        let inputs = self.entries(&root, Section::Input);
        let stages = self.entries(&root, Section::Stages);
        self.check_order(&inputs, &stages);
        let mut context = BuildContext::default();
        let readers = self.build_readers(&inputs, &mut context);
        let built = self.build_stages(&stages, &mut context);
        let splits = self.splits(&inputs, &readers);
        if !self.errors.is_empty() {
            return None;
        }
        let mut json = root.to_json();
        fill_defaults(&mut json, &schema);
        let mut config: PipelineConfig = match serde_json::from_value(json) {
            Ok(config) => config,
            Err(error) => {
                self.errors.push(Diagnostic::new(root.place.clone(), error.to_string()));
                return None;
            }
        };
        let memory_bytes = self.check_config(&root, &config, &mut context);
        self.check_tests(&root, &config, &stages);
        self.check_samples(&config, &stages);
        if config.tokenizer.is_some() {
            let tokens = config.tokens.get_or_insert_with(TokensConfig::default);
            tokens.name.get_or_insert_with(|| config.name.clone());
        }
        let corpus = self.corpus_schema(&inputs, &stages, &readers, &splits);
        let mut plan = Plan {
            format: plan::FORMAT,
            name: config.name.clone(),
            fingerprint: String::new(),
            inputs: inputs
                .iter()
                .map(|entry| InputPlan { reader: entry.spec.name.to_owned(), options: entry.json.clone() })
                .collect(),
            splits,
            stages: stages
                .iter()
                .map(|entry| StagePlan {
                    id: entry.id.clone(),
                    stage: entry.spec.name.to_owned(),
                    filter: entry.filter,
                    options: entry.json.clone(),
                    per_language: entry.per_language.clone(),
                })
                .collect(),
            tokenizer: config.tokenizer.clone(),
            tokens: config.tokens.clone(),
            output: config.output.clone(),
            corpus,
            side_files: side_files(&context),
        };
        plan.seal();
        let readers = readers.into_iter().flatten().collect();
        let stages = stages.iter().map(|entry| entry.spec).zip(built.into_iter().flatten()).collect();
        Some(Loaded { plan, readers, stages, config, memory_bytes })
    }

    /// Reads one file and, below it, the one that it includes.
    fn read(&mut self, path: &str, depth: usize) -> Option<Node> {
        let number = self.sources.len();
        self.sources.push(Source { path: path.to_owned(), text: String::new() });
        let text = match crate::io::read_side_file(std::path::Path::new(path)) {
            Ok(bytes) => String::from_utf8(bytes).map_err(|_| format!("`{path}` is not UTF-8 text")),
            Err(error) => Err(error.to_string()),
        };
        match text {
            Ok(text) => self.sources[number].text = text,
            Err(message) => {
                self.errors.push(Diagnostic::new(Place::start(number), message));
                return None;
            }
        }
        let env = |name: &str| std::env::var(name).ok();
        let mut node = match node::parse(&self.sources[number].text, number, &env) {
            Ok(node) => node,
            Err(errors) => {
                self.errors.extend(errors);
                return None;
            }
        };
        if let Some(Node { value: Value::Text(include), place }) = node.get("include").cloned() {
            if depth >= 8 {
                self.errors.push(Diagnostic::new(place, "files include each other without end"));
                return None;
            }
            let folder = std::path::Path::new(path).parent().unwrap_or(std::path::Path::new(""));
            let base = self.read(&folder.join(include).to_string_lossy(), depth + 1)?;
            if let (Value::Map(mine), Value::Map(theirs)) = (&mut node.value, base.value) {
                for (key, value) in theirs {
                    if !mine.iter().any(|(known, _)| known.name == key.name) {
                        mine.push((key, value));
                    }
                }
            }
        }
        Some(node)
    }

    pub(super) fn entries<'n>(&mut self, root: &'n Node, section: Section) -> Vec<Entry<'n>> {
        let mut entries: Vec<Entry> = Vec::new();
        for node in root.get(section.key()).map_or(&[][..], Node::items) {
            let (name, place, options) = match &node.value {
                Value::Text(name) => (name.as_str(), node.place.clone(), None),
                Value::Map(map) if map.len() == 1 => {
                    let options = (map[0].1.value != Value::Null).then_some(&map[0].1);
                    (map[0].0.name.as_str(), map[0].0.place.clone(), options)
                }
                Value::Map(map) if !map.is_empty() => {
                    let error = Diagnostic::new(
                        map[1].0.place.clone(),
                        format!(
                            "one {} per list item, but `{}` stands beside `{}`",
                            section.noun(),
                            map[1].0.name,
                            map[0].0.name
                        ),
                    );
                    self.errors.push(
                        error.hint("options are indented below the name, and each name has its own `- `"),
                    );
                    continue;
                }
                _ => {
                    let message = format!(
                        "an item of `{}` must be `- name: {{options}}`, found {}",
                        section.key(),
                        node.describe()
                    );
                    self.errors.push(Diagnostic::new(node.place.clone(), message));
                    continue;
                }
            };
            let Some(spec) = find(section, name) else {
                self.unknown_entry(section, name, place);
                continue;
            };
            let Some((mut json, filter)) = self.options(spec, options, &place, section) else { continue };
            let own = options.and_then(|options| options.get(per_language::KEY));
            if let Json::Object(map) = &mut json {
                map.remove(per_language::KEY);
            }
            let per_language = match own.filter(|_| has_mode(spec.kind)) {
                Some(node) => per_language::resolve(spec, node, &json, &mut self.sources, &mut self.errors),
                None => LanguageOptions::new(),
            };
            let uses = entries.iter().filter(|entry| entry.spec.name == name).count();
            let id = if uses == 0 { name.to_owned() } else { format!("{name}-{}", uses + 1) };
            entries.push(Entry { spec, id, place, options, json, per_language, filter });
        }
        entries
    }

    fn unknown_entry(&mut self, section: Section, name: &str, place: Place) {
        let noun = section.noun();
        let error = Diagnostic::new(place, format!("there is no {noun} `{name}`"));
        let other = if section == Section::Input { Section::Stages } else { Section::Input };
        let error = if find(other, name).is_some() {
            error.hint(format!("`{name}` is a {} and stands under `{}:`", other.noun(), other.key()))
        } else if let Some(near) = closest(name, section.specs().map(|spec| spec.name)) {
            error.hint(format!("did you mean `{near}`?"))
        } else {
            let names: Vec<String> = section.specs().map(|spec| format!("`{}`", spec.name)).collect();
            error.hint(format!("there are {}", names.join(", ")))
        };
        self.errors.push(error);
    }

    /// Checks one entry's options; `None` where they have mistakes.
    fn options(
        &mut self,
        spec: &StageSpec,
        options: Option<&Node>,
        place: &Place,
        section: Section,
    ) -> Option<(Json, Option<FilterOptions>)> {
        let schema = options_schema(spec);
        let what = format!("{} `{}`", section.noun(), spec.name);
        let empty = Node { value: Value::Map(Vec::new()), place: place.clone() };
        let before = self.errors.len();
        check(options.unwrap_or(&empty), &schema, &what, &mut self.errors);
        if self.errors.len() > before {
            return None;
        }
        let mut json = options.unwrap_or(&empty).to_json();
        fill_defaults(&mut json, &schema);
        let filter = has_mode(spec.kind).then(|| {
            let mut filter = FilterOptions::default();
            if let Json::Object(map) = &mut json {
                if let Some(mode) = map.remove("mode").and_then(|mode| serde_json::from_value(mode).ok()) {
                    filter.mode = mode;
                }
                if let Some(ratio) = map.remove("sample_ratio").as_ref().and_then(Json::as_f64) {
                    filter.sample_ratio = ratio;
                }
            }
            filter
        });
        Some((json, filter))
    }

    fn check_order(&mut self, inputs: &[Entry], stages: &[Entry]) {
        let extract = stages.iter().position(|entry| entry.spec.kind == Kind::Extract);
        if let Some(entry) = inputs.iter().find(|entry| entry.spec.name == "warc")
            && extract.is_none()
        {
            let error =
                Diagnostic::new(entry.place.clone(), "`warc` brings HTML, and no stage makes text of it");
            self.errors.push(error.hint("add `- extract` as the first stage"));
        }
        let early = &stages[..extract.unwrap_or(0)];
        if let (Some(extract), Some(first)) = (extract, early.iter().find(|entry| entry.spec.needs_text)) {
            let message = format!("`{}` stands after `{}`, which needs text", stages[extract].id, first.id);
            let error = Diagnostic::new(stages[extract].place.clone(), message);
            self.errors.push(error.hint(format!("put it before `{}`", first.id)));
        }
        let language = stages.iter().position(|entry| sets_language(entry.spec)).unwrap_or(stages.len());
        for entry in stages[..language].iter().filter(|entry| !entry.per_language.is_empty()) {
            let message = format!("`{}` has options per language before the language is known", entry.id);
            let error = Diagnostic::new(entry.place.clone(), message);
            self.errors.push(error.hint("put `- language` before it"));
        }
    }

    fn build_readers(
        &mut self,
        entries: &[Entry],
        context: &mut BuildContext,
    ) -> Vec<Option<Box<dyn Reader>>> {
        let mut readers = Vec::new();
        for entry in entries {
            readers.push(match (entry.spec.build)(entry.json.clone(), context) {
                Ok(Built::Reader(reader)) => Some(reader),
                Ok(Built::Doc(_) | Built::Barrier(_)) => None,
                Err(errors) => {
                    self.errors.extend(errors.into_iter().map(|error| entry.diagnostic(error)));
                    None
                }
            });
        }
        readers
    }

    fn build_stages(&mut self, entries: &[Entry], context: &mut BuildContext) -> Vec<Option<Built>> {
        let mut stages = Vec::new();
        for entry in entries {
            let built = per_language::build(entry.spec, &entry.json, &entry.per_language, context);
            stages.push(match built {
                Ok(built) => Some(built),
                Err(errors) => {
                    self.errors.extend(errors.into_iter().map(|error| entry.diagnostic(error)));
                    None
                }
            });
            context.scores.extend(score_names(&entry.id, entry.spec, &entry.json));
        }
        stages
    }

    fn splits(&mut self, entries: &[Entry], readers: &[Option<Box<dyn Reader>>]) -> Vec<Split> {
        let mut splits = Vec::new();
        for (input, (entry, reader)) in entries.iter().zip(readers).enumerate() {
            let Some(reader) = reader else { continue };
            match reader.files() {
                Ok(files) => {
                    for file in files {
                        match reader.bytes(&file) {
                            Ok(bytes) => splits.push(Split { file, input, bytes }),
                            Err(error) => {
                                self.errors.push(Diagnostic::new(entry.place.clone(), error.to_string()));
                            }
                        }
                    }
                }
                Err(errors) => self.errors.extend(errors.into_iter().map(|error| entry.diagnostic(error))),
            }
        }
        splits.sort();
        // Twice the same file would be twice the same ids.
        let plain = |split: &Split| split.file.strip_prefix("./").unwrap_or(&split.file).to_owned();
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for split in &splits {
            if seen.insert(plain(split), split.input).is_some() {
                let message = format!("`{}` is named twice below `input`", split.file);
                self.errors.push(Diagnostic::new(entries[split.input].place.clone(), message));
            }
        }
        splits
    }

    fn check_samples(&mut self, config: &PipelineConfig, stages: &[Entry]) {
        let samples = |entry: &&Entry| entry.filter.is_some_and(|filter| filter.mode == Mode::Sample);
        for entry in stages.iter().filter(samples).filter(|_| config.output.rejects == Rejects::Ids) {
            let message = format!("`{}` is to sample texts, and `output.rejects: ids` keeps none", entry.id);
            let error = Diagnostic::new(entry.place.clone(), message);
            self.errors.push(error.hint("leave `output.rejects` at `full`, or take `mode: drop`"));
        }
    }

    fn check_config(
        &mut self,
        root: &Node,
        config: &PipelineConfig,
        context: &mut BuildContext,
    ) -> Option<u64> {
        let place = |key: &str| root.get(key).map_or_else(|| Place::start(0), |node| node.place.clone());
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !config.name.chars().all(allowed) || config.name.starts_with('.') {
            let message =
                format!("`name` must be letters, digits, `-`, `_` and `.`, found `{}`", config.name);
            self.errors.push(Diagnostic::new(place("name"), message));
        }
        if config.tokens.is_some() && config.tokenizer.is_none() {
            let error = Diagnostic::new(place("tokens"), "`tokens` needs a tokenizer");
            self.errors.push(error.hint("add `tokenizer: { train: { vocab_size: 32000 } }`"));
        }
        for (key, errors) in [
            ("tokenizer", config.tokenizer.as_ref().map(|tokenizer| tokenizer.check(context))),
            ("tokens", config.tokens.as_ref().map(TokensConfig::check)),
        ] {
            for error in errors.into_iter().flatten() {
                let node = root.get(key).and_then(|node| node.at(&error.key));
                let at = node.map_or_else(|| place(key), |node| node.place.clone());
                self.errors.push(Diagnostic {
                    place: at,
                    message: format!("`{key}`: {}", error.message),
                    hint: error.hint,
                });
            }
        }
        match config.memory.as_deref().map(parse_memory) {
            None => None,
            Some(Ok(bytes)) => Some(bytes),
            Some(Err(message)) => {
                self.errors.push(Diagnostic::new(place("memory"), message));
                None
            }
        }
    }

    fn check_tests(&mut self, root: &Node, config: &PipelineConfig, stages: &[Entry]) {
        for (number, case) in config.tests.iter().enumerate() {
            let place = |path: String| {
                root.at(&path)
                    .or_else(|| root.get("tests"))
                    .map_or_else(|| Place::start(0), |node| node.place.clone())
            };
            if case.text.is_some() == case.html.is_some() {
                let message = format!("test `{}` must have one of `text` and `html`", case.name);
                self.errors.push(Diagnostic::new(place(format!("tests.{number}")), message));
            }
            let (stage, reason) = case.expect.split_once('/').unwrap_or((&case.expect, ""));
            let at = || place(format!("tests.{number}.expect"));
            let entry = stages.iter().find(|entry| entry.id == stage);
            match entry {
                None if case.expect == "keep" => {}
                None => {
                    let names = || stages.iter().map(|entry| entry.id.as_str()).chain(["keep"]);
                    let message =
                        format!("test `{}` expects `{stage}`, which is no stage of this pipeline", case.name);
                    let error = Diagnostic::new(at(), message);
                    self.errors.push(match closest(stage, names()) {
                        Some(near) => error.hint(format!("did you mean `{near}`?")),
                        None => error.hint("write `keep`, a stage, or `stage/reason`"),
                    });
                }
                Some(entry)
                    if !reason.is_empty() && entry.spec.reasons.iter().all(|(name, _)| *name != reason) =>
                {
                    let message =
                        format!("test `{}` expects `{reason}`, which is no reason of `{stage}`", case.name);
                    let error = Diagnostic::new(at(), message);
                    let near = closest(reason, entry.spec.reasons.iter().map(|(name, _)| *name));
                    self.errors.push(match near {
                        Some(near) => error.hint(format!("did you mean `{near}`?")),
                        None => error,
                    });
                }
                Some(_) => {}
            }
        }
    }

    fn corpus_schema(
        &mut self,
        inputs: &[Entry],
        stages: &[Entry],
        readers: &[Option<Box<dyn Reader>>],
        splits: &[Split],
    ) -> CorpusSchema {
        let mut corpus = CorpusSchema::default();
        for entry in stages {
            corpus.scores.extend(score_names(&entry.id, entry.spec, &entry.json));
            if entry.filter.is_some_and(|filter| filter.mode == Mode::Annotate) {
                corpus.verdicts.push(entry.id.clone());
            }
            if let Some(field) = bucket_field(entry.spec, &entry.json) {
                corpus.fields.push((field.to_owned(), FieldType::String));
            }
            if entry.spec.kind == Kind::Extract {
                corpus.fields.extend(PAGE_FIELDS.iter().map(|name| ((*name).to_owned(), FieldType::String)));
            }
        }
        for (input, reader) in readers.iter().enumerate() {
            let Some(reader) = reader else { continue };
            for split in splits.iter().filter(|split| split.input == input).take(PEEKED_FILES) {
                match reader.passthrough(&split.file) {
                    Ok(fields) => corpus.add_fields(&fields),
                    Err(error) => {
                        self.errors.push(Diagnostic::new(inputs[input].place.clone(), error.to_string()));
                    }
                }
            }
        }
        corpus
    }
}

/// The schema of a stage's options, with those that every filter has.
pub fn options_schema(spec: &StageSpec) -> Json {
    let mut schema = Json::from((spec.schema)());
    if has_mode(spec.kind) {
        for common in [schemars::schema_for!(FilterOptions), schemars::schema_for!(PerLanguage)] {
            let common = Json::from(common);
            for part in ["properties", "$defs"] {
                let Some(Json::Object(more)) = common.get(part).cloned() else { continue };
                if let Json::Object(map) = &mut schema {
                    let target = map.entry(part).or_insert_with(|| Json::Object(serde_json::Map::new()));
                    if let Json::Object(target) = target {
                        target.extend(more);
                    }
                }
            }
        }
    }
    schema
}
