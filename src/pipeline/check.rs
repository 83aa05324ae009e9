//! Holds a YAML tree against a JSON Schema and names every mistake in it, each at its place.
//!
//! Knows the part of JSON Schema that `schemars` writes for our option types; the same schema is shown to
//! users and editors, so what it allows and what we accept cannot differ.

use serde_json::Value as Json;

use super::diagnostic::{Diagnostic, Place, closest};
use super::node::{Key, Node, Value};

/// Checks `node` against `schema`; `what` names the thing for messages (`stage `pii``).
pub fn check(node: &Node, schema: &Json, what: &str, errors: &mut Vec<Diagnostic>) {
    Checker { root: schema, what }.node(node, &node.place, schema, "", errors);
}

/// Fills in the defaults that the schema names for absent keys, at all depths.
pub fn fill_defaults(options: &mut Json, schema: &Json) {
    fill(options, schema, schema);
}

fn resolve<'s>(schema: &'s Json, root: &'s Json) -> &'s Json {
    let Some(reference) = schema.get("$ref").and_then(Json::as_str) else { return schema };
    reference.strip_prefix("#/$defs/").and_then(|name| root.get("$defs")?.get(name)).unwrap_or(schema)
}

fn fill(options: &mut Json, schema: &Json, root: &Json) {
    let schema = resolve(schema, root);
    if let Json::Array(items) = options {
        if let Some(schema) = schema.get("items") {
            for item in items.iter_mut() {
                fill(item, schema, root);
            }
        }
        return;
    }
    let (Json::Object(options), Some(Json::Object(properties))) = (options, schema.get("properties")) else {
        return;
    };
    for (name, property) in properties {
        match options.get_mut(name) {
            Some(value) => fill(value, property, root),
            None => {
                if let Some(default) = property.get("default") {
                    options.insert(name.clone(), default.clone());
                }
            }
        }
    }
}

struct Checker<'s> {
    root: &'s Json,
    what: &'s str,
}

impl<'s> Checker<'s> {
    /// `at` is where to point: the key for a value in a map, the value itself in a list.
    fn node(&self, node: &Node, at: &Place, schema: &'s Json, path: &str, errors: &mut Vec<Diagnostic>) {
        let schema = resolve(schema, self.root);
        let branches = ["oneOf", "anyOf"].iter().find_map(|key| schema.get(*key).and_then(Json::as_array));
        if let Some(branches) = branches {
            return self.one_of(node, at, branches, path, errors);
        }
        if let Some(allowed) = schema.get("const") {
            if node.to_json() != *allowed {
                errors.push(self.wrong(node, path, &format!("`{}`", text_of(allowed))));
            }
            return;
        }
        if let Some(allowed) = schema.get("enum").and_then(Json::as_array) {
            return self.choice(node, path, &allowed.iter().collect::<Vec<_>>(), errors);
        }
        let Some(types) = schema.get("type") else {
            return self.map(node, at, schema, path, errors);
        };
        let types: Vec<&str> = match types {
            Json::Array(types) => types.iter().filter_map(Json::as_str).collect(),
            other => other.as_str().into_iter().collect(),
        };
        if !types.iter().any(|kind| fits(node, kind)) {
            let names: Vec<&str> = types.iter().map(|kind| name_of(kind)).collect();
            errors.push(self.wrong(node, path, &names.join(" or ")));
            return;
        }
        match &node.value {
            Value::Int(n) => self.range(node, path, *n as f64, schema, errors),
            Value::Float(x) => self.range(node, path, *x, schema, errors),
            Value::List(items) => self.list(node, items, schema, path, errors),
            Value::Map(_) => self.map(node, at, schema, path, errors),
            Value::Text(text) if schema.get("minLength").and_then(Json::as_u64) > Some(text.len() as u64) => {
                errors.push(self.wrong(node, path, "a text that is not empty"));
            }
            _ => {}
        }
    }

    fn wrong(&self, node: &Node, path: &str, expected: &str) -> Diagnostic {
        let subject =
            if path.is_empty() { self.what.to_owned() } else { format!("`{path}` of {}", self.what) };
        Diagnostic::new(
            node.place.clone(),
            format!("{subject} must be {expected}, found {}", node.describe()),
        )
    }

    fn one_of(
        &self,
        node: &Node,
        at: &Place,
        branches: &'s [Json],
        path: &str,
        errors: &mut Vec<Diagnostic>,
    ) {
        let constants: Vec<&Json> = branches.iter().filter_map(|branch| branch.get("const")).collect();
        if constants.len() == branches.len() {
            return self.choice(node, path, &constants, errors);
        }
        let mut best: Option<Vec<Diagnostic>> = None;
        let mut expected = Vec::new();
        for branch in branches {
            let mut found = Vec::new();
            self.node(node, at, branch, path, &mut found);
            if found.is_empty() {
                return;
            }
            let resolved = resolve(branch, self.root);
            let kind = resolved.get("type").and_then(Json::as_str);
            if kind.is_some_and(|kind| fits(node, kind))
                || is_choice(resolved) && matches!(node.value, Value::Text(_))
            {
                let fewer = best.as_ref().is_none_or(|best| found.len() < best.len());
                if fewer {
                    best = Some(found);
                }
            }
            self.kinds(resolved, &mut expected);
        }
        match best {
            Some(found) => errors.extend(found),
            None => errors.push(self.wrong(node, path, &expected.join(" or "))),
        }
    }

    /// Names of the types that a schema allows, those of its branches too.
    fn kinds(&self, schema: &'s Json, names: &mut Vec<&'s str>) {
        if let Some(kind) = schema.get("type").and_then(Json::as_str).filter(|kind| *kind != "null") {
            names.push(name_of(kind));
        }
        let branches = ["oneOf", "anyOf"].iter().find_map(|key| schema.get(*key).and_then(Json::as_array));
        for branch in branches.into_iter().flatten() {
            self.kinds(resolve(branch, self.root), names);
        }
    }

    fn choice(&self, node: &Node, path: &str, allowed: &[&Json], errors: &mut Vec<Diagnostic>) {
        if allowed.contains(&&node.to_json()) {
            return;
        }
        let names: Vec<String> = allowed.iter().map(|value| text_of(value)).collect();
        let list = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let mut error = self.wrong(node, path, &format!("one of {list}"));
        if let Value::Text(text) = &node.value
            && let Some(name) = closest(text, names.iter().map(String::as_str))
        {
            error = error.hint(format!("did you mean `{name}`?"));
        }
        errors.push(error);
    }

    fn range(&self, node: &Node, path: &str, x: f64, schema: &Json, errors: &mut Vec<Diagnostic>) {
        let bound = |key: &str| schema.get(key).and_then(Json::as_f64);
        let (min, max) = (bound("minimum"), bound("maximum").or_else(|| largest(schema)));
        let above = bound("exclusiveMinimum");
        let inside =
            min.is_none_or(|min| x >= min) && max.is_none_or(|max| x <= max) && above.is_none_or(|a| x > a);
        if inside {
            return;
        }
        let expected = match (min, max, above) {
            (Some(min), Some(max), _) => format!("between {min} and {max}"),
            (_, Some(max), Some(above)) => format!("above {above} and at most {max}"),
            (Some(min), None, _) => format!("at least {min}"),
            (None, Some(max), None) => format!("at most {max}"),
            (None, None, Some(above)) => format!("above {above}"),
            (None, None, None) => return,
        };
        errors.push(self.wrong(node, path, &expected));
    }

    fn list(&self, node: &Node, items: &[Node], schema: &'s Json, path: &str, errors: &mut Vec<Diagnostic>) {
        if schema.get("minItems").and_then(Json::as_u64) > Some(items.len() as u64) {
            errors.push(self.wrong(node, path, "a list that is not empty"));
        }
        if let Some(schema) = schema.get("items") {
            for (number, item) in items.iter().enumerate() {
                self.node(item, &item.place, schema, &format!("{path}[{number}]"), errors);
            }
        }
    }

    fn map(&self, node: &Node, at: &Place, schema: &'s Json, path: &str, errors: &mut Vec<Diagnostic>) {
        let no_properties = serde_json::Map::new();
        let properties = schema.get("properties").and_then(Json::as_object).unwrap_or(&no_properties);
        for (key, value) in node.entries() {
            let inner = if path.is_empty() { key.name.clone() } else { format!("{path}.{}", key.name) };
            match (properties.get(&key.name), schema.get("additionalProperties")) {
                (Some(property), _) => self.node(value, &key.place, property, &inner, errors),
                (None, Some(Json::Bool(false))) => errors.push(self.unknown(key, path, properties)),
                (None, Some(values @ Json::Object(_))) => {
                    self.node(value, &key.place, values, &inner, errors);
                }
                (None, _) => {}
            }
        }
        for name in
            schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
        {
            if node.get(name).is_none() {
                let subject =
                    if path.is_empty() { self.what.to_owned() } else { format!("`{path}` of {}", self.what) };
                errors.push(Diagnostic::new(at.clone(), format!("{subject} lacks the key `{name}`")));
            }
        }
    }

    fn unknown(&self, key: &Key, path: &str, properties: &serde_json::Map<String, Json>) -> Diagnostic {
        let subject =
            if path.is_empty() { self.what.to_owned() } else { format!("`{path}` of {}", self.what) };
        let error = Diagnostic::new(key.place.clone(), format!("{subject} has no key `{}`", key.name));
        let names: Vec<&str> = properties.keys().map(String::as_str).collect();
        match closest(&key.name, names.iter().copied()) {
            Some(name) => error.hint(format!("did you mean `{name}`?")),
            None if names.is_empty() => error.hint("it takes no options"),
            None => error.hint(format!(
                "it has {}",
                names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
            )),
        }
    }
}

/// The largest value of an integer type that is smaller than YAML's.
fn largest(schema: &Json) -> Option<f64> {
    match schema.get("format")?.as_str()? {
        "uint8" => Some(f64::from(u8::MAX)),
        "uint16" => Some(f64::from(u16::MAX)),
        "int32" => Some(f64::from(i32::MAX)),
        "uint32" => Some(f64::from(u32::MAX)),
        _ => None,
    }
}

fn is_choice(schema: &Json) -> bool {
    schema.get("enum").is_some() || schema.get("oneOf").is_some() || schema.get("const").is_some()
}

fn fits(node: &Node, kind: &str) -> bool {
    match (&node.value, kind) {
        (Value::Null, "null")
        | (Value::Bool(_), "boolean")
        | (Value::Int(_), "integer" | "number")
        | (Value::Text(_), "string")
        | (Value::List(_), "array")
        | (Value::Map(_), "object") => true,
        (Value::Float(x), "number") => x.is_finite(),
        _ => false,
    }
}

fn name_of(kind: &str) -> &str {
    match kind {
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "a text",
        "boolean" => "`true` or `false`",
        "array" => "a list",
        "object" => "a map",
        "null" => "nothing",
        other => other,
    }
}

fn text_of(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
