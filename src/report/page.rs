//! `report.html`: one file with everything in it, no script, nothing loaded from elsewhere.
//!
//! Page texts and addresses are hostile input: all of them are escaped, none becomes a link, and the page
//! forbids scripts and outside content by its own policy.

mod contamination;
mod corpus;
mod rates;
mod redecided;
mod stages;
mod tokens;

use super::format::{self, duration, percent};
use super::html::{Place, TableHtml, bar, code, escape, write_to};
use super::model::{Report, Stage};

/// Rows of the table of reasons over all stages.
const TOP_REASONS: usize = 12;

/// The page.
pub(super) fn render(report: &Report) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{} · tamis report</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n",
        escape(&report.name),
        include_str!("page.css")
    );
    write_to(
        &mut html,
        format_args!(
            "<header><p>tamis report</p><h1>{}</h1><p>plan {}</p></header>\n",
            escape(&report.name),
            code(&report.fingerprint)
        ),
    );
    tiles(&mut html, report);
    let sections: [(&str, &str, String); 12] = [
        ("redecided", "What other limits change", redecided::redecided(report)),
        ("funnel", "From crawl to corpus", funnel(report)),
        ("reasons", "Why documents were dropped", reasons(report)),
        ("stages", "Stage by stage", stages::stages(report)),
        ("rates", "Removal by language and source", rates::rates(report)),
        ("languages", "Languages of the corpus", corpus::languages(report)),
        ("duplicates", "Duplicates", corpus::duplicates(report)),
        ("contamination", "Evaluation sets", contamination::contamination(report)),
        ("input", "Input", corpus::input(report)),
        ("quarantine", "Records that could not be read", corpus::quarantine(report)),
        ("tokens", "Token shards", tokens::tokens(report)),
        ("time", "Passes and time", tokens::passes(report)),
    ];
    html.push_str("<nav>");
    for (id, title, _) in sections.iter().filter(|(.., content)| !content.is_empty()) {
        write_to(&mut html, format_args!("<a href=\"#{id}\">{title}</a>"));
    }
    html.push_str("</nav>\n");
    for (id, title, content) in sections.iter().filter(|(.., content)| !content.is_empty()) {
        write_to(&mut html, format_args!("<section id=\"{id}\"><h2>{title}</h2>\n{content}</section>\n"));
    }
    html.push_str(
        "<footer>Every number here stands in <code>report.json</code> beside this page. \
         <code>tamis explain RUN URL</code> tells what happened to one page, \
         <code>tamis inspect RUN STAGE</code> shows more pages near a limit.</footer>\n\
         </main>\n</body>\n</html>\n",
    );
    html
}

fn tile(html: &mut String, label: &str, number: &str, below: &str) {
    write_to(
        html,
        format_args!("<div class=\"tile\"><span>{label}</span><b>{number}</b><small>{below}</small></div>"),
    );
}

fn tiles(html: &mut String, report: &Report) {
    let root = Place::root();
    let (read, corpus) = (root.at("read"), root.at("corpus"));
    html.push_str("<div class=\"tiles\">");
    tile(
        html,
        "documents read",
        &read.at("documents").count(report.read.documents),
        &read.at("bytes").bytes(report.read.bytes),
    );
    tile(
        html,
        "documents kept",
        &corpus.at("documents").count(report.corpus.documents),
        &format!("{} of those read", percent(report.corpus.documents, report.read.documents)),
    );
    tile(
        html,
        "text kept",
        &corpus.at("bytes").bytes(report.corpus.bytes),
        &format!("{} of the bytes read", percent(report.corpus.bytes, report.read.bytes)),
    );
    if let Some(tokens) = report.tokens.as_ref().and_then(tokens::token_total) {
        tile(html, "tokens", &tokens.0.count(tokens.1), "in shards");
    }
    if let Some(duplicates) = &report.duplicates {
        let place = root.at("duplicates");
        tile(
            html,
            "duplicates",
            &place.at("removed").count(duplicates.removed),
            &format!("removed, in {} clusters", place.at("clusters").count(duplicates.clusters)),
        );
    }
    let quarantined: u64 = report.read.quarantine.values().sum();
    if quarantined > 0 {
        tile(html, "unreadable", &format::count(quarantined), "records, quarantined");
    }
    tile(
        html,
        "CPU time",
        &escape(&duration(report.timing.cpu_secs)),
        &format!("{} by the clock", escape(&duration(report.timing.wall_secs))),
    );
    html.push_str("</div>\n");
}

fn funnel(report: &Report) -> String {
    if report.stages.is_empty() {
        return String::new();
    }
    let all = report.read.documents;
    let mut table =
        TableHtml::new(&["stage", "documents", "#kept", "#dropped", "#of its input", "#bytes after"]);
    let read = Place::root().at("read");
    table.row(&[
        "read".to_owned(),
        bar(all, all, "keep"),
        read.at("documents").count(all),
        String::new(),
        String::new(),
        read.at("bytes").bytes(report.read.bytes),
    ]);
    for (number, stage) in report.stages.iter().enumerate().filter(|(_, stage)| stage.kind != "read") {
        let place = Place::root().at("stages").at(number);
        let share = |n: u64| if all == 0 { 0.0 } else { 100.0 * n as f64 / all as f64 };
        let would: u64 = if stage.mode == "annotate" { stage.reasons.values().sum() } else { 0 };
        let bar = format!(
            "<span class=\"bar\"><i class=\"keep\" style=\"width:{:.2}%\"></i><i class=\"would\" style=\"width:{:.2}%\"></i><i class=\"drop\" style=\"width:{:.2}%\"></i></span>",
            share(stage.docs_out.saturating_sub(would)),
            share(would.min(stage.docs_out)),
            share(stage.docs_dropped)
        );
        let dropped = if stage.docs_dropped == 0 { "soft" } else { "" };
        table.row(&[
            format!(
                "<a class=\"mono\" style=\"color:inherit\" href=\"#stage-{number}\">{}</a>",
                escape(&stage.name)
            ),
            bar,
            place.at("docs_out").count(stage.docs_out),
            format!(
                "<span class=\"{dropped}\">{}</span>",
                place.at("docs_dropped").count(stage.docs_dropped)
            ),
            format!("<span class=\"soft\">{}</span>", percent(stage.docs_dropped, stage.docs_in)),
            place.at("bytes_out").bytes(stage.bytes_out),
        ]);
    }
    let annotated = report.stages.iter().any(|stage| stage.mode == "annotate");
    let would = if annotated { "<span><i class=\"would\"></i>marked only (annotate)</span>" } else { "" };
    format!(
        "<p class=\"legend\"><span><i class=\"keep\"></i>kept</span><span><i class=\"drop\"></i>dropped by this stage</span>{would}</p><div class=\"funnel\">{}</div>",
        table.finish()
    )
}

fn reasons(report: &Report) -> String {
    let mut all: Vec<(usize, &Stage, &str, u64)> = Vec::new();
    for (number, stage) in report.stages.iter().enumerate().filter(|(_, stage)| stage.mode != "annotate") {
        all.extend(stage.ranked_reasons().into_iter().map(|(reason, n)| (number, stage, reason, n)));
    }
    all.sort_by_key(|(number, _, _, n)| (std::cmp::Reverse(*n), *number));
    let most = all.first().map_or(0, |(.., n)| *n);
    let left = all.len().saturating_sub(TOP_REASONS);
    let mut table = TableHtml::new(&["reason", "stage", "", "#documents", "#of those read"]);
    for (number, stage, reason, n) in all.into_iter().take(TOP_REASONS) {
        let place = Place::root().at("stages").at(number).at("reasons").at(reason);
        table.row(&[
            code(reason),
            code(&stage.name),
            bar(n, most, "drop"),
            place.count(n),
            format!("<span class=\"soft\">{}</span>", percent(n, report.read.documents)),
        ]);
    }
    let more = if left > 0 {
        format!("<p class=\"soft\">and {left} more, below by stage</p>")
    } else {
        String::new()
    };
    table.finish() + &more
}

#[cfg(test)]
mod tests {
    use regex::Regex;
    use serde_json::Value;

    use super::super::{format, render_again, testing, write};

    #[test]
    fn the_page_shows_the_numbers_of_report_json_and_no_foreign_markup() {
        let dir = tempfile::tempdir().unwrap();
        let mut summary = testing::make_run(dir.path());
        write(dir.path(), &summary).unwrap();
        let html = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
        let json: Value = crate::io::read_json(dir.path().join("report.json")).unwrap();

        let number =
            Regex::new(r#"<data value="(\d+)" data-ref="([^"]*)"(?: title="[^"]*")?>([^<]*)</data>"#)
                .unwrap();
        let mut shown = 0;
        for found in number.captures_iter(&html) {
            let there = json.pointer(&found[2].replace("&amp;", "&")).and_then(Value::as_u64);
            let n: u64 = found[1].parse().unwrap();
            assert_eq!(there, Some(n), "{}", &found[2]);
            assert!(found[3] == format::count(n) || found[3] == format::bytes(n), "{}", &found[0]);
            shown += 1;
        }
        assert!(shown > 60, "{shown}");
        assert_eq!(html.matches("<data ").count(), shown);
        for found in Regex::new(r#"data-ref="([^"]*)" data-bins="([^"]*)""#).unwrap().captures_iter(&html) {
            let bins: Vec<String> =
                json.pointer(&found[1]).unwrap().as_array().unwrap().iter().map(Value::to_string).collect();
            assert_eq!(bins.join(","), &found[2]);
        }

        assert!(html.contains("&lt;script&gt;alert(1)"));
        assert!(html.contains("b=&lt;script&gt;"));
        for banned in ["<script", "<b>\"", "http-equiv=\"refresh", "<img", "<iframe", "src="] {
            assert!(!html.contains(banned), "{banned}");
        }
        assert!(!html.contains("href=\"http"));

        let timing = json.pointer("/timing").unwrap().clone();
        summary.wall_secs += 1.0;
        summary.total.cpu_secs += 1.0;
        summary.total.stages[1].cpu_secs += 1.0;
        write(dir.path(), &summary).unwrap();
        let mut later: Value = crate::io::read_json(dir.path().join("report.json")).unwrap();
        assert_ne!(later, json);
        later["timing"] = timing;
        assert_eq!(later, json);

        let html = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
        render_again(dir.path()).unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("report.html")).unwrap(), html);
    }

    #[test]
    fn limits_and_clusters_come_from_the_tables() {
        let dir = tempfile::tempdir().unwrap();
        let summary = testing::make_run(dir.path());
        let report = super::Report::collect(dir.path(), &summary).unwrap();
        let limits = &report.stages[1].limits;
        assert_eq!(limits[0].beyond, report.stages[1].reasons["too_few_words"]);
        // Whatever has too few words is dropped for that, so its symbols are no reason.
        assert!(limits[1].beyond > report.stages[1].reasons["too_many_symbols"]);
        let html = super::render(&report);
        assert!(html.contains("are on its failing side") && html.contains("id=\"rates\""));
        let worst = &report.uneven[0];
        assert_eq!((worst.stage.as_str(), worst.name.as_str()), ("gopher_quality", "zh"));
        assert_eq!(worst.group.docs_dropped, worst.group.docs_in);
        let duplicates = report.duplicates.unwrap();
        assert_eq!(duplicates.removed, summary.total.stages[3].reasons["near_duplicate"]);
        assert_eq!(duplicates.clusters, duplicates.sizes.iter().map(|class| class.clusters).sum::<u64>());
        assert!(duplicates.largest[0].kept_url.is_some());
        assert!(duplicates.largest.windows(2).all(|pair| pair[0].size >= pair[1].size));
        assert_eq!(report.corpus.documents, summary.total.stages[4].docs_out);
        assert!(
            report
                .stages
                .iter()
                .filter(|stage| stage.docs_dropped > 0)
                .all(|stage| !stage.samples.is_empty())
        );
    }

    #[test]
    fn an_empty_run_has_a_page() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &super::super::RunSummary::default()).unwrap();
        assert!(std::fs::read_to_string(dir.path().join("report.html")).unwrap().ends_with("</html>\n"));
    }
}
