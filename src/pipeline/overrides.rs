//! `--set a.b.c=value`: changes a pipeline's tree from the command line.

use super::diagnostic::{Diagnostic, Place, closest};
use super::node::{self, Key, Node, Value};

/// Applies arguments of the form `path=value` in order; the value is read as YAML.
///
/// # Errors
/// One mistake per argument that has no `=` or leads nowhere.
pub fn apply(root: &mut Node, arguments: &[String]) -> Result<(), Vec<Diagnostic>> {
    let mut errors = Vec::new();
    for argument in arguments {
        let place = Place::CommandLine(format!("--set {argument}"));
        let Some((path, text)) = argument.split_once('=') else {
            let error = Diagnostic::new(place, format!("`--set {argument}` has no `=`"));
            errors.push(error.hint("write `--set stages.gopher_quality.min_words=30`"));
            continue;
        };
        let mut value = match node::parse(text, 0, &|_| None) {
            Ok(node) if !text.is_empty() => node,
            _ => Node { value: Value::Text(text.to_owned()), place: place.clone() },
        };
        relocate(&mut value, &place);
        if path == "include" {
            let error = Diagnostic::new(place, "`include` cannot be changed from the command line");
            errors.push(error.hint("write it into a pipeline file"));
            continue;
        }
        if let Err(error) = set(root, path, value, &place) {
            errors.push(error);
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn relocate(node: &mut Node, place: &Place) {
    node.place = place.clone();
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| relocate(item, place)),
        Value::Map(entries) => entries.iter_mut().for_each(|(key, node)| {
            key.place = place.clone();
            relocate(node, place);
        }),
        _ => {}
    }
}

/// Puts `value` at a dotted path. Below `stages` and `input` a step is the name of an entry (`pii`, or
/// `pii-2` for its second use) or its number from 0, and leads to its options; in other lists it is a number.
fn set(root: &mut Node, path: &str, value: Node, place: &Place) -> Result<(), Diagnostic> {
    let missing =
        |step: &str| Diagnostic::new(place.clone(), format!("`{path}`: there is no `{step}` to set"));
    let unnamed = |step: &str, ids: &[String]| match closest(step, ids.iter().map(String::as_str)) {
        Some(near) => missing(step).hint(format!("did you mean `{near}`?")),
        None if ids.is_empty() => missing(step),
        None => missing(step).hint(format!("there are `{}`", ids.join("`, `"))),
    };
    let mut node = root;
    let steps: Vec<&str> = path.split('.').collect();
    for (number, step) in steps.iter().enumerate() {
        if let Value::Null = node.value {
            node.value = Value::Map(Vec::new());
        }
        let last = number + 1 == steps.len();
        let has_entries = number == 1 && ["input", "stages"].contains(&steps[0]);
        node = match &mut node.value {
            Value::List(items) => {
                let item = if has_entries {
                    let ids = item_ids(items);
                    find_item(items, &ids, step).ok_or_else(|| unnamed(step, &ids))?
                } else {
                    numbered(items, step).ok_or_else(|| missing(step))?
                };
                if has_entries { entry_options(item).ok_or_else(|| missing(step))? } else { item }
            }
            Value::Map(entries) => {
                if !entries.iter().any(|(key, _)| key.name == *step) {
                    let key = Key { name: (*step).to_owned(), place: place.clone() };
                    entries.push((key, Node { value: Value::Null, place: place.clone() }));
                }
                let entry = entries.iter_mut().find(|(key, _)| key.name == *step);
                &mut entry.ok_or_else(|| missing(step))?.1
            }
            _ => return Err(missing(step)),
        };
        if last {
            *node = value;
            return Ok(());
        }
    }
    Err(missing(path))
}

fn numbered<'n>(items: &'n mut [Node], step: &str) -> Option<&'n mut Node> {
    items.get_mut(step.parse::<usize>().ok()?)
}

/// The options of an entry; those of a bare name come into being.
fn entry_options(item: &mut Node) -> Option<&mut Node> {
    if let Value::Text(name) = &item.value {
        let key = Key { name: name.clone(), place: item.place.clone() };
        let options = Node { value: Value::Map(Vec::new()), place: item.place.clone() };
        item.value = Value::Map(vec![(key, options)]);
    }
    match &mut item.value {
        Value::Map(entries) => entries.first_mut().map(|(_, options)| options),
        _ => None,
    }
}

fn find_item<'n>(items: &'n mut [Node], ids: &[String], step: &str) -> Option<&'n mut Node> {
    if step.parse::<usize>().is_ok() {
        return numbered(items, step);
    }
    items.get_mut(ids.iter().position(|id| id == step)?)
}

/// The unique names of the entries of a list; empty for what is no entry.
fn item_ids(items: &[Node]) -> Vec<String> {
    let mut uses: Vec<&str> = Vec::new();
    let mut ids = Vec::new();
    for item in items {
        let name = match &item.value {
            Value::Text(name) => name.as_str(),
            Value::Map(entries) if !entries.is_empty() => entries[0].0.name.as_str(),
            _ => "",
        };
        uses.push(name);
        let n = uses.iter().filter(|known| **known == name).count();
        ids.push(if n == 1 || name.is_empty() { name.to_owned() } else { format!("{name}-{n}") });
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Node {
        node::parse(text, 0, &|_| None).unwrap()
    }

    #[test]
    fn overrides_reach_stages_by_name() {
        let mut root = tree("stages:\n- pii\n- gopher_quality: { min_words: 5 }\n- pii: { x: 1 }\n");
        let place = Place::CommandLine(String::new());
        let value = |n| Node { value: Value::Int(n), place: Place::CommandLine(String::new()) };
        set(&mut root, "stages.gopher_quality.min_words", value(30), &place).unwrap();
        set(&mut root, "stages.pii-2.x", value(7), &place).unwrap();
        set(&mut root, "stages.pii.y", value(8), &place).unwrap();
        set(&mut root, "stages.1.list", node::parse("[a, b]", 0, &|_| None).unwrap(), &place).unwrap();
        set(&mut root, "stages.gopher_quality.list.1", value(6), &place).unwrap();
        set(&mut root, "tokens.seed", value(9), &place).unwrap();
        let expected = serde_json::json!({
            "stages": [{"pii": {"y": 8}}, {"gopher_quality": {"min_words": 30, "list": ["a", 6]}}, {"pii": {"x": 7}}],
            "tokens": {"seed": 9},
        });
        assert_eq!(root.to_json(), expected);
        for path in
            ["stages.nope.x", "stages.3.x", "stages.gopher_quality.list.2", "stages.gopher_quality.list.a"]
        {
            assert!(set(&mut root, path, value(1), &place).is_err(), "{path}");
        }
        let hint =
            |path| set(&mut tree("stages: [pii, gopher_quality]"), path, value(1), &place).unwrap_err().hint;
        assert_eq!(hint("stages.gofer_quality.x").unwrap(), "did you mean `gopher_quality`?");
        assert_eq!(hint("stages.zzz.x").unwrap(), "there are `pii`, `gopher_quality`");
        // Read before the command line is looked at: better refused than ignored.
        assert!(apply(&mut root, &["include=x.yaml".to_owned()]).is_err());
    }
}
