//! What other limits change, in the report of what `tamis filter` wrote.

use super::super::html::{Place, TableHtml, code, escape};
use super::super::model::Report;

/// A row per filter, and one for all together; nothing in the report of a run.
pub(super) fn redecided(report: &Report) -> String {
    let Some(redecided) = &report.redecided else { return String::new() };
    let root = Place::root().at("redecided");
    let mut table = TableHtml::new(&[
        "filter",
        "#failed before",
        "#fails now",
        "#newly passing",
        "#newly failing",
        "changed options",
    ]);
    for (number, stage) in redecided.stages.iter().enumerate() {
        let place = root.at("stages").at(number);
        let changes = stage.changes.iter().map(|(option, before, now)| {
            format!("{} {} → {}", code(option), escape(&before.to_string()), escape(&now.to_string()))
        });
        table.row(&[
            code(&stage.stage),
            place.at("failed_before").count(stage.failed_before),
            place.at("failed_now").count(stage.failed_now),
            place.at("newly_passing").count(stage.newly_passing),
            place.at("newly_failing").count(stage.newly_failing),
            changes.collect::<Vec<_>>().join(", "),
        ]);
    }
    format!(
        "<p>{} documents of the corpus were decided about again, from their stored scores: {} were kept before, \
         {} are now ({} newly kept, {} newly dropped).</p>{}",
        root.at("documents").count(redecided.documents),
        root.at("kept_before").count(redecided.kept_before),
        root.at("kept_now").count(redecided.kept_now),
        root.at("newly_kept").count(redecided.newly_kept),
        root.at("newly_dropped").count(redecided.newly_dropped),
        table.finish()
    )
}
