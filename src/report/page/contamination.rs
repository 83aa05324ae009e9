//! Evaluation sets: how much of each was found, and the examples in their context.

use super::super::contamination::{FoundExample, FoundSet};
use super::super::html::{Place, TableHtml, code, escape, write_to};
use super::super::model::Report;

/// A table over all sets, and one of examples for each set of which any were found.
pub(super) fn contamination(report: &Report) -> String {
    let mut table =
        TableHtml::new(&["set", "stage", "#examples", "#too short to be found", "#found", "#in documents"]);
    for (number, set) in report.contamination.iter().enumerate() {
        let place = Place::root().at("contamination").at(number);
        table.row(&[
            escape(&set.set),
            code(&set.stage),
            place.at("examples").count(set.examples),
            place.at("too_short").count(set.too_short),
            place.at("found").count(set.found),
            place.at("documents").count(set.documents),
        ]);
    }
    let mut html = table.finish();
    for (number, set) in report.contamination.iter().enumerate().filter(|(_, set)| set.found > 0) {
        write_to(&mut html, format_args!("<h4>Most found of {}</h4>", escape(&set.set)));
        html.push_str(&examples(&Place::root().at("contamination").at(number).at("most_found"), set));
    }
    if report.contamination.iter().any(|set| set.found > 0) {
        html.push_str("<p class=\"soft\">All of them stand in <code>hits/</code>.</p>");
    }
    html
}

fn examples(place: &Place, set: &FoundSet) -> String {
    let mut table = TableHtml::new(&["example", "#documents", "field", "#n-grams", "page", "in its context"]);
    for (number, example) in set.most_found.iter().enumerate() {
        let place = place.at(number);
        let of = |name: &str, n: u64| place.at(name).count(n);
        let name = example.example_id.clone().unwrap_or_else(|| example.example.to_string());
        table.row(&[
            escape(&name),
            of("documents", example.documents),
            code(&example.field),
            format!("{} of {}", of("ngrams", example.ngrams), of("all_ngrams", example.all_ngrams)),
            format!("<bdi class=\"mono\">{}</bdi>", escape(example.url.as_deref().unwrap_or(&example.id))),
            context(example),
        ]);
    }
    table.finish()
}

fn context(example: &FoundExample) -> String {
    let part = |text: &Option<String>| escape(text.as_deref().unwrap_or_default());
    match &example.text {
        None => "<span class=\"soft\">not kept</span>".to_owned(),
        text => format!("{}<mark>{}</mark>{}", part(&example.before), part(text), part(&example.after)),
    }
}
