//! The table that a run ends with.

use super::format::{bytes, count, duration, percent};
use super::html::write_to;
use super::model::ranked;
use super::rates;
use super::summary::RunSummary;

/// Reasons named per stage.
const TOP_REASONS: usize = 3;
/// Languages and sources named that a stage is harder on.
const TOP_UNEVEN: usize = 3;
/// Least difference between two removal rates that is named here.
const TELLING: f64 = 0.1;

/// One line per stage.
pub(super) fn table(summary: &RunSummary) -> String {
    let header = ["stage", "docs in", "kept", "dropped", "share", "text out", "CPU", "most frequent reasons"];
    let mut lines: Vec<[String; 8]> = vec![header.map(str::to_owned)];
    for (info, stats) in summary.stage_stats() {
        let dropped = stats.docs_in.saturating_sub(stats.docs_out);
        let mut reasons: Vec<String> = ranked(&stats.reasons)
            .into_iter()
            .take(TOP_REASONS)
            .map(|(reason, n)| format!("{reason} {}", count(n)))
            .collect();
        let left = stats.reasons.len().saturating_sub(TOP_REASONS);
        if left > 0 {
            reasons.push(format!("and {left} more"));
        }
        if stats.docs_changed > 0 {
            reasons.push(format!("changed {}", count(stats.docs_changed)));
        }
        let mut reasons = reasons.join(", ");
        if info.is_some_and(|info| info.mode == "annotate") && !reasons.is_empty() {
            reasons.insert_str(0, "would drop: ");
        }
        lines.push([
            stats.name.clone(),
            count(stats.docs_in),
            count(stats.docs_out),
            count(dropped),
            percent(dropped, stats.docs_in),
            bytes(stats.bytes_out),
            duration(stats.cpu_secs),
            reasons,
        ]);
    }
    let mut text = aligned(&lines);
    let stages =
        summary.total.stages.iter().map(|stats| (stats.name.as_str(), &stats.by_language, &stats.by_source));
    for uneven in
        rates::uneven(stages).iter().filter(|uneven| uneven.difference() >= TELLING).take(TOP_UNEVEN)
    {
        let line = format_args!(
            "uneven: {} drops {} of {} {} ({} of {}), {} of all others\n",
            uneven.stage,
            percent(uneven.group.docs_dropped, uneven.group.docs_in),
            uneven.kind,
            uneven.name,
            count(uneven.group.docs_dropped),
            count(uneven.group.docs_in),
            percent(uneven.others.docs_dropped, uneven.others.docs_in),
        );
        write_to(&mut text, line);
    }
    let quarantined: u64 = summary.quarantine.values().sum();
    if quarantined > 0 {
        let causes: Vec<String> =
            ranked(&summary.quarantine).iter().map(|(cause, n)| format!("{cause} {}", count(*n))).collect();
        write_to(&mut text, format_args!("quarantined {}: {}\n", count(quarantined), causes.join(", ")));
    }
    text
}

/// Columns of equal width: the first and the last to the left, the others to the right.
fn aligned(lines: &[[String; 8]]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..8).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, &width))| match column {
                0 => format!("{cell:<width$}"),
                7 => cell.clone(),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::report::testing;

    #[test]
    fn one_aligned_line_per_stage() {
        let text = super::table(&testing::summary());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "stage           docs in  kept  dropped   share  text out     CPU  most frequent reasons"
        );
        let uneven = lines.iter().filter(|line| line.starts_with("uneven: ")).count();
        assert!(lines.len() == 7 + uneven && uneven <= super::TOP_UNEVEN, "{text}");
        assert!(lines[6].starts_with("uneven: gopher_quality drops 100.0 % of language zh ("), "{text}");
        assert!(lines[2].starts_with("gopher_quality   "), "{text}");
    }
}
