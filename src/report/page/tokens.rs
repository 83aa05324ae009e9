//! The manifest of the token shards, and the passes of the run.

use super::super::format::duration;
use super::super::html::{Place, TableHtml, code, escape, write_to};
use super::super::model::Report;

/// Rows of a table of shards.
const MAX_SHARDS: usize = 200;

/// The number of tokens in a manifest.
pub(super) fn token_total(manifest: &serde_json::Value) -> Option<(Place, u64)> {
    Some((Place::root().at("tokens").at("tokens"), manifest.get("tokens")?.as_u64()?))
}

/// The manifest as it is: plain values first, then a table for each list of objects (the shards).
pub(super) fn tokens(report: &Report) -> String {
    let Some(serde_json::Value::Object(manifest)) = &report.tokens else { return String::new() };
    let place = Place::root().at("tokens");
    let mut html = String::new();
    let mut values = TableHtml::new(&["manifest", ""]);
    for (name, value) in manifest {
        if !value.is_object() && !value.is_array() {
            values.row(&[escape(name), json_value(&place.at(name), value)]);
        }
        if let serde_json::Value::Object(inner) = value {
            for (key, value) in inner.iter().filter(|(_, value)| !value.is_object() && !value.is_array()) {
                values.row(&[escape(&format!("{name} {key}")), json_value(&place.at(name).at(key), value)]);
            }
        }
    }
    html.push_str(&values.finish());
    for (name, value) in manifest {
        let Some(items) = value.as_array() else { continue };
        let Some(serde_json::Value::Object(first)) = items.first() else { continue };
        let plain: Vec<(&str, bool)> = first
            .iter()
            .filter(|(_, value)| !value.is_object() && !value.is_array())
            .map(|(key, value)| (key.as_str(), value.is_number()))
            .collect();
        let headings: Vec<String> = plain
            .iter()
            .map(|(key, number)| if *number { format!("#{key}") } else { (*key).to_owned() })
            .collect();
        let mut table = TableHtml::new(&headings.iter().map(String::as_str).collect::<Vec<_>>());
        for (number, item) in items.iter().take(MAX_SHARDS).enumerate() {
            let cells: Vec<String> = plain
                .iter()
                .map(|(key, _)| json_value(&place.at(name).at(number).at(key), &item[*key]))
                .collect();
            table.row(&cells);
        }
        write_to(&mut html, format_args!("<h4>{}</h4>{}", escape(name), table.finish()));
        let left = items.len().saturating_sub(MAX_SHARDS);
        if left > 0 {
            write_to(&mut html, format_args!("<p class=\"soft\">and {left} more in report.json</p>"));
        }
    }
    html
}

fn json_value(place: &Place, value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Number(number) => {
            number.as_u64().map_or_else(|| escape(&number.to_string()), |n| place.count(n))
        }
        serde_json::Value::String(text) => code(text),
        serde_json::Value::Null => "<span class=\"soft\">none</span>".to_owned(),
        other => escape(&other.to_string()),
    }
}

/// Tasks and CPU time by pass, and counts that belong to no stage.
pub(super) fn passes(report: &Report) -> String {
    let most = report.timing.passes.iter().map(|(_, cpu)| *cpu).fold(0.0, f64::max);
    let mut table = TableHtml::new(&["pass", "#tasks", "", "#CPU time"]);
    for (number, pass) in report.passes.iter().enumerate() {
        let cpu = report.timing.passes.get(number).map_or(0.0, |(_, cpu)| *cpu);
        let share = if most > 0.0 { 100.0 * cpu / most } else { 0.0 };
        table.row(&[
            code(&pass.name),
            Place::root().at("passes").at(number).at("tasks").count(u64::from(pass.tasks)),
            format!("<span class=\"bar\"><i class=\"keep\" style=\"width:{share:.2}%\"></i></span>"),
            escape(&duration(cpu)),
        ]);
    }
    let mut html = table.finish();
    let mut table = TableHtml::new(&["other counts", "#"]);
    for (name, n) in &report.counts {
        table.row(&[code(name), Place::root().at("counts").at(name).count(*n)]);
    }
    let counts = table.finish();
    if !counts.is_empty() {
        html.push_str("<h4>Other counts</h4>");
        html.push_str(&counts);
    }
    html
}
