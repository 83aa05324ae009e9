//! A card per stage: reasons, scores, languages, samples of what it dropped.

use super::super::charts::histogram;
use super::super::format::{duration, percent, precise};
use super::super::html::{Place, TableHtml, bar, code, escape, write_to};
use super::super::limits::Limit;
use super::super::model::{Report, Stage};
use super::super::samples::Sample;
use super::corpus::language_table;

/// All cards.
pub(super) fn stages(report: &Report) -> String {
    let mut html = String::new();
    for (number, stage) in report.stages.iter().enumerate().filter(|(_, stage)| stage.kind != "read") {
        let place = Place::root().at("stages").at(number);
        write_to(
            &mut html,
            format_args!(
                "<article class=\"card\" id=\"stage-{number}\"><header><h3 class=\"mono\">{}</h3>",
                escape(&stage.name)
            ),
        );
        for tag in [&stage.kind, &stage.mode] {
            if !tag.is_empty() && tag != "drop" {
                write_to(&mut html, format_args!("<span class=\"tag\">{}</span>", escape(tag)));
            }
        }
        let cpu =
            report.timing.stages.iter().find(|(name, _)| *name == stage.name).map_or(0.0, |(_, cpu)| *cpu);
        write_to(
            &mut html,
            format_args!(
                "<span class=\"flow\">{} → {} documents, {} → {} <small>· {} CPU</small></span></header><p>{}</p>",
                place.at("docs_in").count(stage.docs_in),
                place.at("docs_out").count(stage.docs_out),
                place.at("bytes_in").bytes(stage.bytes_in),
                place.at("bytes_out").bytes(stage.bytes_out),
                escape(&duration(cpu)),
                escape(&stage.summary)
            ),
        );
        stage_tables(&mut html, &place, stage);
        html.push_str("</article>\n");
    }
    html
}

fn stage_tables(html: &mut String, place: &Place, stage: &Stage) {
    let annotate = stage.mode == "annotate";
    let count_heading = if annotate { "#would drop" } else { "#documents" };
    let limit_heading = if stage.limits.is_empty() { "" } else { "limit" };
    let mut table = TableHtml::new(&["reason", limit_heading, "", count_heading, "#of its input"]);
    for (reason, n) in stage.ranked_reasons() {
        let limits = stage.limits.iter().filter(|limit| limit.reason == reason);
        let limit = limits.map(describe_limit).collect::<Vec<_>>().join(", ");
        table.row(&[
            code(reason),
            limit,
            bar(n, stage.docs_in, if annotate { "would" } else { "drop" }),
            place.at("reasons").at(reason).count(n),
            format!("<span class=\"soft\">{}</span>", percent(n, stage.docs_in)),
        ]);
    }
    html.push_str(&table.finish());
    if stage.docs_changed > 0 {
        write_to(
            html,
            format_args!(
                "<p class=\"soft\">{} documents went on with changed text ({})</p>",
                place.at("docs_changed").count(stage.docs_changed),
                percent(stage.docs_changed, stage.docs_in)
            ),
        );
    }
    if !stage.languages.is_empty() {
        html.push_str("<h4>Languages</h4>");
        html.push_str(&language_table(&place.at("languages"), &stage.languages));
    }
    if !stage.histograms.is_empty() {
        html.push_str("<h4>Scores of all documents that came in</h4><div class=\"hists\">");
        for (name, values) in &stage.histograms {
            let full = format!("{}.{name}", stage.name);
            let limits: Vec<&Limit> =
                stage.limits.iter().filter(|limit| limit.score == *name || limit.score == full).collect();
            let short = name.strip_prefix(&format!("{}.", stage.name)).unwrap_or(name);
            html.push_str(&histogram(&place.at("histograms").at(name), short, values, &limits));
        }
        html.push_str("</div>");
    }
    if !stage.samples.is_empty() {
        let n = stage.samples.len();
        write_to(html, format_args!("<details><summary>{n} of the documents it dropped</summary>"));
        for sample in &stage.samples {
            html.push_str(&sample_html(sample));
        }
        html.push_str("</details>");
    }
}

fn describe_limit(limit: &Limit) -> String {
    let bound = if limit.drops_below { "under" } else { "over" };
    format!("<span class=\"soft\">{} {bound} {}</span>", code(limit.short_score()), precise(limit.limit))
}

fn sample_html(sample: &Sample) -> String {
    let name = sample.url.as_deref().unwrap_or(&sample.id);
    let mut why = code(&sample.reason);
    match (sample.value, sample.limit) {
        (Some(value), Some(limit)) => {
            write_to(
                &mut why,
                format_args!(": {} <span class=\"soft\">(limit {})</span>", precise(value), precise(limit)),
            );
        }
        (Some(value), None) => write_to(&mut why, format_args!(": {}", precise(value))),
        _ => {}
    }
    if let Some(detail) = &sample.detail {
        write_to(&mut why, format_args!(" <bdi>{}</bdi>", escape(detail)));
    }
    let text = match sample.text.as_deref().map(str::trim) {
        Some(text) if !text.is_empty() => format!("<blockquote dir=\"auto\">{}</blockquote>", escape(text)),
        Some(_) => "<blockquote>(empty text)</blockquote>".to_owned(),
        None => String::new(),
    };
    format!("<div class=\"sample\"><p>{why}</p><p class=\"mono\"><bdi>{}</bdi></p>{text}</div>", escape(name))
}
