//! What was read and what was kept: languages, duplicates, inputs, quarantine.

use super::super::format::{self, measure, percent};
use super::super::html::{Place, TableHtml, bar, code, escape};
use super::super::model::{Report, ranked};

/// Rows of a table of languages.
const TOP_LANGUAGES: usize = 20;

/// Languages with their counts, most frequent first.
pub(super) fn language_table(place: &Place, languages: &std::collections::BTreeMap<String, u64>) -> String {
    let all: u64 = languages.values().sum();
    let ranked = ranked(languages);
    let most = ranked.first().map_or(0, |(_, n)| *n);
    let mut table = TableHtml::new(&["language", "", "#documents", "#share"]);
    for (language, n) in ranked.iter().take(TOP_LANGUAGES) {
        table.row(&[
            code(language),
            bar(*n, most, "keep"),
            place.at(language).count(*n),
            format!("<span class=\"soft\">{}</span>", percent(*n, all)),
        ]);
    }
    let left = ranked.len().saturating_sub(TOP_LANGUAGES);
    let more = if left > 0 {
        format!("<p class=\"soft\">and {left} more in report.json</p>")
    } else {
        String::new()
    };
    table.finish() + &more
}

/// Languages of the corpus, where any is known.
pub(super) fn languages(report: &Report) -> String {
    if report.corpus.languages.keys().all(|language| language == "unknown") {
        return String::new();
    }
    language_table(&Place::root().at("corpus").at("languages"), &report.corpus.languages)
}

/// Sizes of clusters, and the largest ones.
pub(super) fn duplicates(report: &Report) -> String {
    let Some(duplicates) = &report.duplicates else { return String::new() };
    let place = Place::root().at("duplicates");
    let mut html = format!(
        "<p>{} documents were removed as copies, from {} clusters in which one document stayed.</p><h4>Clusters by size</h4>",
        place.at("removed").count(duplicates.removed),
        place.at("clusters").count(duplicates.clusters)
    );
    let most = duplicates.sizes.iter().map(|class| class.clusters).max().unwrap_or(0);
    let mut table = TableHtml::new(&["documents in it", "", "#clusters"]);
    for (number, class) in duplicates.sizes.iter().enumerate() {
        let range = if class.min == class.max {
            format::count(class.min)
        } else {
            format!("{} to {}", format::count(class.min), format::count(class.max))
        };
        let place = place.at("sizes").at(number).at("clusters");
        table.row(&[range, bar(class.clusters, most, "drop"), place.count(class.clusters)]);
    }
    html.push_str(&table.finish());
    html.push_str("<h4>Largest clusters</h4>");
    let mut table =
        TableHtml::new(&["the one that stayed", "stage", "#documents", "#least similar", "#diameter"]);
    for (number, cluster) in duplicates.largest.iter().enumerate() {
        let name = cluster.kept_url.as_deref().unwrap_or(&cluster.kept_id);
        table.row(&[
            format!("<bdi class=\"mono\">{}</bdi>", escape(name)),
            code(&cluster.stage),
            place.at("largest").at(number).at("size").count(cluster.size),
            measure(cluster.min_similarity),
            measure(1.0 - cluster.min_similarity),
        ]);
    }
    html + &table.finish()
}

/// Inputs, and records that were passed over.
pub(super) fn input(report: &Report) -> String {
    let mut table = TableHtml::new(&["input", "reader", "#files", "#size"]);
    for (number, input) in report.inputs.iter().enumerate() {
        let place = Place::root().at("inputs").at(number);
        table.row(&[
            escape(&input.source),
            code(&input.reader),
            place.at("files").count(input.files),
            input.bytes.map_or_else(|| "not known".to_owned(), |bytes| place.at("bytes").bytes(bytes)),
        ]);
    }
    let mut html = table.finish();
    let mut table = TableHtml::new(&["records passed over", "#records"]);
    for (kind, n) in ranked(&report.read.skipped) {
        table.row(&[code(kind), Place::root().at("read").at("skipped").at(kind).count(n)]);
    }
    let skipped = table.finish();
    if !skipped.is_empty() {
        html.push_str("<h4>Records that are not meant to become documents</h4>");
        html.push_str(&skipped);
    }
    html
}

/// Unreadable records by cause.
pub(super) fn quarantine(report: &Report) -> String {
    let mut table = TableHtml::new(&["cause", "", "#records"]);
    let ranked = ranked(&report.read.quarantine);
    let most = ranked.first().map_or(0, |(_, n)| *n);
    for (cause, n) in ranked {
        let place = Place::root().at("read").at("quarantine").at(cause);
        table.row(&[code(cause), bar(n, most, "drop"), place.count(n)]);
    }
    match table.finish() {
        table if table.is_empty() => table,
        table => format!(
            "{table}<p class=\"soft\">File, offset and particulars of each stand in <code>quarantine.jsonl</code>.</p>"
        ),
    }
}
