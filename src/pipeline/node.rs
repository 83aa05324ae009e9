//! YAML as a tree that knows where each part stands, so that every later complaint can name its line.
//!
//! Scalars follow YAML 1.2's core schema (`no` is text, `0o17` is a number). `${X}` and `${X:-default}`
//! in scalars are replaced from the environment before a plain scalar is given its type; `$${` stands
//! for a literal `${`. Duplicate keys are an error. Anchors and aliases work; their expansion is capped.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::diagnostic::{Diagnostic, Place};

/// Nodes that one document may expand to; aliases of aliases grow without end otherwise.
const MAX_NODES: usize = 100_000;
/// Nesting that is read; deeper is a mistake or an attack.
const MAX_DEPTH: usize = 64;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it was written.
    pub place: Place,
}

/// A YAML value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values in written order.
    Map(Vec<(Key, Node)>),
}

/// A key and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// The key.
    pub name: String,
    /// Where it was written.
    pub place: Place,
}

impl Node {
    /// The value as an error message names it: `a list`, `text "abc"`.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(b) => format!("`{b}`"),
            Value::Int(n) => format!("`{n}`"),
            Value::Float(x) => format!("`{x:?}`"),
            Value::Text(text) if text.chars().count() > 40 => "a text".to_owned(),
            Value::Text(text) => format!("text `{text}`"),
            Value::List(items) if items.is_empty() => "an empty list".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }

    /// The keys of a map, nothing for other values.
    pub fn entries(&self) -> &[(Key, Self)] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// The items of a list, nothing for other values.
    pub fn items(&self) -> &[Self] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(k, _)| k.name == key).map(|(_, node)| node)
    }

    /// The node that a dotted path (`lists.en`, `paths.0`) leads to.
    pub fn at(&self, path: &str) -> Option<&Self> {
        let mut node = self;
        for step in path.split('.').filter(|step| !step.is_empty()) {
            node = match &node.value {
                Value::Map(_) => node.get(step)?,
                Value::List(items) => items.get(step.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(node)
    }

    /// The same as plain JSON.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(b) => (*b).into(),
            Value::Int(n) => (*n).into(),
            Value::Float(x) => serde_json::Number::from_f64(*x).map_or(serde_json::Value::Null, Into::into),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => {
                entries.iter().map(|(key, node)| (key.name.clone(), node.to_json())).collect()
            }
        }
    }
}

/// Reads the one YAML document in `text`. `file` is its number among the files of the pipeline.
///
/// # Errors
/// Every mistake found: a syntax error (only the first), duplicate keys, unset variables.
pub fn parse(text: &str, file: usize, env: &dyn Fn(&str) -> Option<String>) -> Result<Node, Vec<Diagnostic>> {
    let mut builder = Builder {
        parser: Parser::new_from_str(text),
        file,
        env,
        anchors: HashMap::new(),
        errors: Vec::new(),
        nodes: 0,
    };
    let node = builder.document();
    match node {
        Ok(node) if builder.errors.is_empty() => Ok(node),
        Ok(_) => Err(builder.errors),
        Err(error) => {
            builder.errors.push(error);
            Err(builder.errors)
        }
    }
}

struct Builder<'t, 'e> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    file: usize,
    env: &'e dyn Fn(&str) -> Option<String>,
    anchors: HashMap<usize, Node>,
    errors: Vec<Diagnostic>,
    nodes: usize,
}

impl<'t> Builder<'t, '_> {
    fn next(&mut self) -> Result<(Event<'t>, Place), Diagnostic> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, self.place(span))),
            Some(Err(error)) => {
                let place = self.place(Span::empty(*error.marker()));
                Err(Diagnostic::new(place, format!("this is not YAML: {}", error.info())))
            }
            None => Ok((Event::StreamEnd, Place::start(self.file))),
        }
    }

    fn place(&self, span: Span) -> Place {
        let length = if span.start.line() == span.end.line() {
            span.end.col().saturating_sub(span.start.col())
        } else {
            1
        };
        Place::File {
            file: self.file,
            line: span.start.line(),
            column: span.start.col() + 1,
            length: length.max(1),
        }
    }

    fn document(&mut self) -> Result<Node, Diagnostic> {
        loop {
            let (event, place) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
                Event::StreamEnd | Event::DocumentEnd => {
                    return Ok(Node { value: Value::Map(Vec::new()), place: Place::start(self.file) });
                }
                event => {
                    let node = self.node(event, place, 0)?;
                    let (_, _) = self.next()?;
                    if let (Event::DocumentStart(_), place) = self.next()? {
                        return Err(Diagnostic::new(
                            place,
                            "a pipeline file holds one YAML document, not several",
                        ));
                    }
                    return Ok(node);
                }
            }
        }
    }

    fn node(&mut self, event: Event<'t>, place: Place, depth: usize) -> Result<Node, Diagnostic> {
        self.nodes += 1;
        if self.nodes > MAX_NODES || depth > MAX_DEPTH {
            return Err(Diagnostic::new(place, "the document is too large or too deep for a pipeline"));
        }
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let text = self.interpolate(&text, &place);
                let value = if style == ScalarStyle::Plain { plain(&text) } else { Value::Text(text) };
                (Node { value, place }, anchor)
            }
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                loop {
                    let (event, at) = self.next()?;
                    if event == Event::SequenceEnd {
                        break;
                    }
                    items.push(self.node(event, at, depth + 1)?);
                }
                (Node { value: Value::List(items), place }, anchor)
            }
            Event::MappingStart(anchor, _) => (self.map(place, depth)?, anchor),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(Diagnostic::new(place, "an alias of an anchor that is not there yet"));
                };
                self.nodes += count(&node);
                if self.nodes > MAX_NODES {
                    return Err(Diagnostic::new(place, "aliases expand to too many values"));
                }
                (node, 0)
            }
            _ => return Err(Diagnostic::new(place, "a value is missing here")),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn map(&mut self, place: Place, depth: usize) -> Result<Node, Diagnostic> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, at) = self.next()?;
            let name = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(Diagnostic::new(at, "a key must be a plain word, not a list or a map")),
            };
            let (event, value_at) = self.next()?;
            let node = self.node(event, value_at, depth + 1)?;
            if entries.iter().any(|(key, _)| key.name == name) {
                self.errors
                    .push(Diagnostic::new(at.clone(), format!("key `{name}` stands here a second time")));
            }
            entries.push((Key { name, place: at }, node));
        }
        Ok(Node { value: Value::Map(entries), place })
    }

    fn interpolate(&mut self, text: &str, place: &Place) -> String {
        if !text.contains("${") {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                out.push_str(before);
                out.push_str("${");
                rest = after;
                continue;
            }
            out.push_str(before);
            let Some((inside, after)) = after.split_once('}') else {
                self.errors.push(
                    Diagnostic::new(place.clone(), "`${` without a closing `}`")
                        .hint("write `$${` for a literal `${`"),
                );
                return out;
            };
            let (name, default) = match inside.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (inside, None),
            };
            match ((self.env)(name).filter(|value| !value.is_empty()), default) {
                (Some(value), _) => out.push_str(&value),
                (None, Some(default)) => out.push_str(default),
                (None, None) => self.errors.push(
                    Diagnostic::new(place.clone(), format!("environment variable `{name}` is not set"))
                        .hint(format!("set it, or give a default: `${{{name}:-value}}`")),
                ),
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }
}

fn count(node: &Node) -> usize {
    1 + match &node.value {
        Value::List(items) => items.iter().map(count).sum(),
        Value::Map(entries) => entries.iter().map(|(_, node)| count(node)).sum(),
        _ => 0,
    }
}

/// The typed value of a plain scalar, by YAML 1.2's core schema.
pub fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let radix =
        |prefix, radix| text.strip_prefix(prefix).and_then(|digits| i64::from_str_radix(digits, radix).ok());
    if let Some(n) = text.parse::<i64>().ok().or_else(|| radix("0x", 16)).or_else(|| radix("0o", 8)) {
        return Value::Int(n);
    }
    let number = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))
        && text.bytes().any(|b| b.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
    match text.parse::<f64>() {
        Ok(x) if number => Value::Float(x),
        _ => Value::Text(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Node, Vec<Diagnostic>> {
        parse(text, 0, &|name| (name == "SET").then(|| "7".to_owned()))
    }

    #[test]
    fn values_have_types_and_places() {
        let node = read("a: 1\nb:\n  - x: 2.5\n    y: no\n  - '3'\n").unwrap();
        assert_eq!(node.to_json(), serde_json::json!({"a": 1, "b": [{"x": 2.5, "y": "no"}, "3"]}));
        assert_eq!(node.at("b.0.y").unwrap().place, Place::File { file: 0, line: 4, column: 8, length: 2 });
    }

    #[test]
    fn variables_are_filled_in_before_typing() {
        let node = read("a: ${SET}\nb: '${SET}'\nc: ${NOT:-x y}\nd: $${SET}\n").unwrap();
        assert_eq!(node.to_json(), serde_json::json!({"a": 7, "b": "7", "c": "x y", "d": "${SET}"}));
        assert!(read("a: ${NOT}\n").unwrap_err()[0].message.contains("`NOT` is not set"));
    }

    #[test]
    fn mistakes_are_reported() {
        assert!(read("a: 1\na: 2\n").unwrap_err()[0].message.contains("second time"));
        assert!(read("a: [1\n").unwrap_err()[0].message.contains("not YAML"));
        assert!(read("a: 1\n---\nb: 1\n").unwrap_err()[0].message.contains("one YAML document"));
    }

    #[test]
    fn aliases_cannot_explode() {
        let mut lines = vec!["a0: &a0 [x, x, x, x, x, x, x, x, x, x]".to_owned()];
        for n in 1..9 {
            let items = vec![format!("*a{}", n - 1); 10].join(", ");
            lines.push(format!("a{n}: &a{n} [{items}]"));
        }
        assert!(read(&lines.join("\n")).unwrap_err()[0].message.contains("too many"));
    }
}
