//! Changes filter options of a finished run's plan, for deciding again from stored scores.
//!
//! The plan's stages become a tree again, `--set` and the schema work on it as on a pipeline file, and every
//! change that stored scores cannot follow is a mistake at the argument that makes it.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::config::{FilterOptions, Mode, Rejects};
use super::diagnostic::{Diagnostic, Place, render};
use super::load::Loader;
use super::node::{Key, Node, Value};
use super::overrides;
use super::per_language::{self, LanguageOptions};
use super::plan::Plan;
use super::registry::Section;
use crate::error::{Error, Result};
use crate::stage::{BuildContext, Built, DocStage, StageSpec};

/// A filter of the plan with its new options.
pub struct Refilter {
    /// Its name in the pipeline.
    pub id: String,
    /// What it is.
    pub spec: &'static StageSpec,
    /// How it acted in the run.
    pub before: FilterOptions,
    /// How it acts now.
    pub now: FilterOptions,
    /// Its new options.
    pub options: Json,
    /// The same for languages that have their own.
    pub per_language: LanguageOptions,
    /// Options that differ from the plan's: name, old value, new value.
    pub changes: Vec<(String, Json, Json)>,
    /// The filter with its new options, where they differ; else what the run stored holds.
    pub stage: Option<Box<dyn DocStage>>,
}

impl Refilter {
    /// The options for documents in that language.
    #[must_use]
    pub fn options_for(&self, language: Option<&str>) -> &Json {
        language.and_then(|language| self.per_language.get(language)).unwrap_or(&self.options)
    }
}

/// The filters of a plan after `overrides` of the form `stages.NAME.OPTION=value`.
///
/// # Errors
/// [`Error::User`] with every mistake, rendered: what a pipeline file would be refused for, options that are
/// not a filter's, and options that change what is measured.
pub fn refilters(plan: &Plan, overrides: &[String]) -> Result<Vec<Refilter>> {
    let mut loader = Loader::default();
    let filters = collect(plan, overrides, &mut loader);
    if loader.errors.is_empty() { Ok(filters) } else { Err(Error::User(render(loader.errors, &[]))) }
}

fn collect(plan: &Plan, arguments: &[String], loader: &mut Loader) -> Vec<Refilter> {
    let mut root = tree(plan);
    let (inside, outside): (Vec<String>, Vec<String>) =
        arguments.iter().cloned().partition(|argument| argument.starts_with("stages."));
    for argument in outside {
        let error = Diagnostic::new(
            Place::CommandLine(format!("--set {argument}")),
            "only options of filters can be changed here",
        );
        loader.errors.push(error.hint("write `--set stages.gopher_quality.min_words=30`"));
    }
    if let Err(errors) = overrides::apply(&mut root, &inside) {
        loader.errors.extend(errors);
    }
    let entries = loader.entries(&root, Section::Stages);
    let mut filters = Vec::new();
    for (planned, entry) in plan
        .stages
        .iter()
        .filter_map(|planned| Some((planned, entries.iter().find(|entry| entry.id == planned.id)?)))
    {
        let general = differences(&planned.options, &entry.json);
        let mut changes = general.clone();
        let languages: BTreeSet<&String> =
            planned.per_language.keys().chain(entry.per_language.keys()).collect();
        for language in languages {
            let before = planned.per_language.get(language).unwrap_or(&planned.options);
            let now = entry.per_language.get(language).unwrap_or(&entry.json);
            for change in differences(before, now).into_iter().filter(|change| !general.contains(change)) {
                changes.push((format!("per_language.{language}.{}", change.0), change.1, change.2));
            }
        }
        let place_of = |option: &str| {
            let node = entry.options.and_then(|options| options.at(option));
            node.map_or_else(|| entry.place.clone(), |node| node.place.clone())
        };
        let (Some(before), Some(now)) = (planned.filter, entry.filter) else {
            for (option, ..) in &changes {
                let message = format!("`{}` is no filter: what it did cannot be decided again", planned.id);
                loader.errors.push(Diagnostic::new(place_of(option), message).hint("run the pipeline again"));
            }
            continue;
        };
        if now.mode == Mode::Annotate && before.mode != Mode::Annotate {
            let message = format!(
                "`{}` did not run in `annotate` mode: the corpus has no column for its verdict",
                planned.id
            );
            loader.errors.push(Diagnostic::new(place_of("mode"), message));
        }
        if now.mode == Mode::Sample && plan.output.rejects == Rejects::Ids {
            let message =
                format!("`{}` is to sample texts, and `output.rejects: ids` keeps none", planned.id);
            loader.errors.push(Diagnostic::new(place_of("mode"), message));
        }
        let mut stage = None;
        if !changes.is_empty() {
            match per_language::build(
                entry.spec,
                &entry.json,
                &entry.per_language,
                &mut BuildContext::default(),
            ) {
                Ok(Built::Doc(built)) => stage = Some(built),
                Ok(_) => {}
                Err(errors) => {
                    loader.errors.extend(errors.into_iter().map(|error| entry.diagnostic(error)));
                }
            }
        }
        if let Some(stage) = &stage {
            let deciding = stage.deciding_options();
            let decides = |option: &str| deciding.contains(&option.rsplit('.').next().unwrap_or(option));
            for (option, ..) in changes.iter().filter(|(option, ..)| !decides(option)) {
                let message = if deciding.is_empty() {
                    format!("`{}` cannot be decided again from stored scores", planned.id)
                } else {
                    format!(
                        "`{option}` of `{}` changes what is measured, not only what is decided",
                        planned.id
                    )
                };
                let error = Diagnostic::new(place_of(option), message);
                loader.errors.push(if deciding.is_empty() {
                    error.hint("run the pipeline again")
                } else {
                    let list = deciding.join("`, `");
                    error.hint(format!("run the pipeline again, or change one of `{list}`"))
                });
            }
        }
        filters.push(Refilter {
            id: planned.id.clone(),
            spec: entry.spec,
            before,
            now,
            options: entry.json.clone(),
            per_language: entry.per_language.clone(),
            changes,
            stage,
        });
    }
    filters
}

/// The plan's stages as a pipeline file would have them.
fn tree(plan: &Plan) -> Node {
    let place = Place::CommandLine("the plan of the run".to_owned());
    let stages = plan.stages.iter().map(|stage| {
        let mut options = stage.options.clone();
        // What was marked is decided now, unless `--set ...mode=annotate` says otherwise.
        let filter = stage.filter.map(|filter| match filter.mode {
            Mode::Annotate => FilterOptions { mode: Mode::Drop, ..filter },
            _ => filter,
        });
        if let (Json::Object(map), Some(filter)) = (&mut options, filter)
            && let Ok(Json::Object(more)) = serde_json::to_value(filter)
        {
            map.extend(more);
        }
        // What a language has of its own is what differs from the general options.
        let own = stage.per_language.iter().map(|(language, all)| {
            let own = differences(&stage.options, all).into_iter().map(|(option, _, own)| (option, own));
            (language.clone(), Json::Object(own.collect()))
        });
        let own: serde_json::Map<String, Json> = own.collect();
        if let Json::Object(map) = &mut options
            && !own.is_empty()
        {
            map.insert(per_language::KEY.to_owned(), Json::Object(own));
        }
        let mut item = serde_json::Map::new();
        item.insert(stage.stage.clone(), options);
        node(&Json::Object(item), &place)
    });
    let stages = Node { value: Value::List(stages.collect()), place: place.clone() };
    let key = Key { name: "stages".to_owned(), place: place.clone() };
    Node { value: Value::Map(vec![(key, stages)]), place }
}

fn node(json: &Json, place: &Place) -> Node {
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(n) => Value::Int(n),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(|item| node(item, place)).collect()),
        Json::Object(map) => {
            let entry = |(name, value): (&String, &Json)| {
                (Key { name: name.clone(), place: place.clone() }, node(value, place))
            };
            Value::Map(map.iter().map(entry).collect())
        }
    };
    Node { value, place: place.clone() }
}

/// Top-level options whose values differ, with both values.
fn differences(before: &Json, now: &Json) -> Vec<(String, Json, Json)> {
    let empty = serde_json::Map::new();
    let (before, now) = (before.as_object().unwrap_or(&empty), now.as_object().unwrap_or(&empty));
    let mut names: Vec<&String> = before.keys().collect();
    names.extend(now.keys().filter(|name| !before.contains_key(*name)));
    let value =
        |map: &serde_json::Map<String, Json>, name: &String| map.get(name).cloned().unwrap_or(Json::Null);
    names
        .into_iter()
        .map(|name| (name.clone(), value(before, name), value(now, name)))
        .filter(|(_, before, now)| !same(before, now))
        .collect()
}

/// Equal, with `50` and `50.0` as the same number.
fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_the_same_however_they_are_written() {
        let before = json!({"a": 50, "b": [1, {"c": 2.0}], "d": null, "gone": 1});
        let now = json!({"a": 50.0, "b": [1.0, {"c": 2}], "d": 3, "new": "x"});
        let found: Vec<String> = differences(&before, &now).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(found, ["d", "gone", "new"]);
    }

    #[test]
    fn a_tree_holds_what_the_json_held() {
        let json = json!({"a": [1, 2.5, null, true, "x"], "b": {"c": {}}});
        assert_eq!(node(&json, &Place::start(0)).to_json(), json);
    }
}
