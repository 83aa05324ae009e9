//! A YAML file of options that is no pipeline (a training file): read, held against its schema, with mistakes at their places.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::check::{check, fill_defaults};
use super::diagnostic::{Diagnostic, Place, Source, render};
use super::{node, overrides};
use crate::error::{Error, Result};
use crate::io;

/// Mistakes that a schema does not see: the key, and what is wrong.
pub type Mistakes = Vec<(&'static str, String)>;

/// Reads a file, changes it by `path=value` arguments, and checks it; `what` names it in messages.
///
/// # Errors
/// [`Error::User`] with all mistakes, each at its place.
pub fn read<C: JsonSchema + DeserializeOwned>(
    path: &str,
    arguments: &[String],
    what: &str,
    mistakes: impl Fn(&C) -> Mistakes,
) -> Result<C> {
    let bytes = io::read_side_file(path.as_ref())?;
    let text = String::from_utf8(bytes).map_err(|_| Error::User(format!("`{path}` is not UTF-8 text")))?;
    let sources = [Source { path: path.to_owned(), text }];
    let fail = |errors: Vec<Diagnostic>| Error::User(render(errors, &sources));
    let env = |name: &str| std::env::var(name).ok();
    let mut root = node::parse(&sources[0].text, 0, &env).map_err(fail)?;
    overrides::apply(&mut root, arguments).map_err(fail)?;
    let schema = serde_json::to_value(schemars::schema_for!(C))
        .map_err(|error| Error::Failed(format!("the schema of {what}: {error}")))?;
    let mut errors = Vec::new();
    check(&root, &schema, what, &mut errors);
    if !errors.is_empty() {
        return Err(fail(errors));
    }
    let mut json = root.to_json();
    fill_defaults(&mut json, &schema);
    let config: C = serde_json::from_value(json)
        .map_err(|error| fail(vec![Diagnostic::new(root.place.clone(), error.to_string())]))?;
    let place = |key: &str| root.at(key).map_or_else(|| Place::start(0), |node| node.place.clone());
    let errors: Vec<Diagnostic> = mistakes(&config)
        .into_iter()
        .map(|(key, message)| Diagnostic::new(place(key), format!("`{key}`: {message}")))
        .collect();
    if errors.is_empty() { Ok(config) } else { Err(fail(errors)) }
}
