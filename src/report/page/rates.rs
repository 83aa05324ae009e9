//! Removal rates by language and source: what each stage drops of each, and where that is uneven.

use std::collections::BTreeMap;

use super::super::format::{count, percent};
use super::super::html::{Place, TableHtml, code, escape, write_to};
use super::super::model::{Report, Stage};
use crate::stage::Flow;

/// Rows of a table.
const TOP_GROUPS: usize = 20;

type Flows = BTreeMap<String, Flow>;

/// The section; nothing where there is one language and one source.
pub(super) fn rates(report: &Report) -> String {
    let mut html = String::new();
    html.push_str(&uneven(report));
    for (kind, flows) in [
        ("language", (|stage| &stage.by_language) as fn(&Stage) -> &Flows),
        ("source", |stage| &stage.by_source),
    ] {
        let table = matrix(report, kind, flows);
        if !table.is_empty() {
            write_to(&mut html, format_args!("<h4>Share that each stage drops, by {kind}</h4>{table}"));
        }
    }
    html
}

fn uneven(report: &Report) -> String {
    let mut table =
        TableHtml::new(&["stage", "of", "#drops", "#documents", "#of all others it drops", "#difference"]);
    for (number, uneven) in report.uneven.iter().enumerate() {
        let place = Place::root().at("uneven").at(number).at("group");
        let points = uneven.difference() * 100.0;
        table.row(&[
            code(&uneven.stage),
            format!("{} {}", escape(&uneven.kind), code(&uneven.name)),
            format!("<b>{}</b>", percent(uneven.group.docs_dropped, uneven.group.docs_in)),
            format!(
                "{} of {}",
                place.at("docs_dropped").count(uneven.group.docs_dropped),
                place.at("docs_in").count(uneven.group.docs_in)
            ),
            percent(uneven.others.docs_dropped, uneven.others.docs_in),
            format!("<span class=\"soft\">{points:+.1} points</span>"),
        ]);
    }
    match table.finish() {
        table if table.is_empty() => table,
        table => format!(
            "<p>A stage that drops far more of one language or source than of the others may be biased against \
             it, or that part may be worse. Named is what chance does not explain.</p>{table}"
        ),
    }
}

/// A row per group, a column per stage that drops something of any.
fn matrix(report: &Report, kind: &str, flows: impl Fn(&Stage) -> &Flows) -> String {
    let stages: Vec<&Stage> = report.stages.iter().filter(|stage| !flows(stage).is_empty()).collect();
    let (Some(first), Some(last)) = (stages.first(), stages.last()) else { return String::new() };
    let mut groups: Vec<(&String, Flow)> = flows(first).iter().map(|(name, flow)| (name, *flow)).collect();
    groups.sort_by(|a, b| b.1.docs_in.cmp(&a.1.docs_in).then(a.0.cmp(b.0)));
    if groups.len() < 2 {
        return String::new();
    }
    let dropping: Vec<&&Stage> =
        stages.iter().filter(|stage| flows(stage).values().any(|flow| flow.docs_dropped > 0)).collect();
    let marks: Vec<String> =
        dropping
            .iter()
            .map(|stage| {
                if stage.mode == "annotate" {
                    format!("#{}*", stage.name)
                } else {
                    format!("#{}", stage.name)
                }
            })
            .collect();
    let mut headings = vec![kind, "#documents", "#gone at the end"];
    headings.extend(marks.iter().map(String::as_str));
    let mut table = TableHtml::new(&headings);
    for (name, came) in groups.iter().take(TOP_GROUPS) {
        let left = flows(last).get(*name).map_or(0, |flow| {
            if last.mode == "annotate" { flow.docs_in } else { flow.docs_in - flow.docs_dropped }
        });
        let mut row = vec![
            code(name),
            count(came.docs_in),
            format!("<b>{}</b>", percent(came.docs_in.saturating_sub(left), came.docs_in)),
        ];
        for stage in &dropping {
            let flow = flows(stage).get(*name).copied().unwrap_or_default();
            let stands_out = report.uneven.iter().any(|uneven| {
                uneven.stage == stage.name
                    && uneven.kind == kind
                    && uneven.name == **name
                    && uneven.difference() > 0.0
            });
            let class = if stands_out { "hot" } else { "soft" };
            row.push(format!(
                "<span class=\"{class}\" title=\"{} of {}\">{}</span>",
                count(flow.docs_dropped),
                count(flow.docs_in),
                percent(flow.docs_dropped, flow.docs_in)
            ));
        }
        table.row(&row);
    }
    let left = groups.len().saturating_sub(TOP_GROUPS);
    let more = if left > 0 {
        format!("<p class=\"soft\">and {left} more in report.json</p>")
    } else {
        String::new()
    };
    let marked = if dropping.iter().any(|stage| stage.mode == "annotate") {
        "<p class=\"soft\">* only marked (annotate), not gone</p>"
    } else {
        ""
    };
    table.finish() + &more + marked
}
