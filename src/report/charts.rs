//! Drawings of the report, as inline SVG in the page's colours.

use super::format::{count, measure, percent, precise};
use super::html::{Place, escape, write_to};
use super::limits::Limit;
use crate::stage::Histogram;

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 78.0;
/// Room above the bars for the limits' values.
const TOP: f64 = 14.0;

/// A histogram of a score: a bar per bin, those on the dropped side of a limit in the colour of drops, a
/// dashed line at each limit.
pub(super) fn histogram(place: &Place, name: &str, histogram: &Histogram, limits: &[&Limit]) -> String {
    let total: u64 = histogram.bins.iter().sum();
    let highest = histogram.bins.iter().copied().max().unwrap_or(0).max(1) as f64;
    let bin_width = WIDTH / histogram.bins.len().max(1) as f64;
    let span = histogram.max - histogram.min;
    let value_at = |bin: usize| histogram.min + span * bin as f64 / histogram.bins.len().max(1) as f64;
    let bins: Vec<String> = histogram.bins.iter().map(u64::to_string).collect();
    let mut svg = format!(
        "<figure class=\"hist\"><figcaption>{}<small>{} values</small></figcaption>\
         <svg viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\" aria-label=\"histogram of {}\" data-ref=\"{}\" data-bins=\"{}\">",
        escape(name),
        count(total),
        TOP + HEIGHT + 14.0,
        escape(name),
        place.at("bins").escaped(),
        bins.join(",")
    );
    for (bin, &n) in histogram.bins.iter().enumerate() {
        let (low, high) = (value_at(bin), value_at(bin + 1));
        let dropped = limits.iter().any(|limit| {
            if limit.drops_below {
                high <= limit.limit + span * 1e-9
            } else {
                low >= limit.limit - span * 1e-9
            }
        });
        // A bin that is not empty is at least one unit high, so that rare values can be seen.
        let height = if n == 0 { 0.0 } else { (n as f64 / highest * HEIGHT).max(1.5) };
        let (open, close) = (bin == 0, bin + 1 == histogram.bins.len());
        let range = match (open, close) {
            (true, _) => format!("below {}", measure(high)),
            (_, true) => format!("{} and more", measure(low)),
            _ => format!("{} to {}", measure(low), measure(high)),
        };
        if n > 0 {
            write_to(
                &mut svg,
                format_args!(
                    "<rect class=\"{}\" x=\"{:.2}\" y=\"{:.2}\" width=\"{:.2}\" height=\"{height:.2}\"><title>{range}: {}</title></rect>",
                    if dropped { "drop" } else { "keep" },
                    bin as f64 * bin_width + 0.5,
                    TOP + HEIGHT - height,
                    bin_width - 1.0,
                    count(n)
                ),
            );
        }
    }
    let base = TOP + HEIGHT;
    write_to(&mut svg, format_args!("<path class=\"axis\" d=\"M0 {base:.1}H{WIDTH}\"/>"));
    for limit in limits {
        let x = ((limit.limit - histogram.min) / span * WIDTH).clamp(0.0, WIDTH);
        let anchor = if x > WIDTH * 0.75 { "end" } else { "start" };
        let shift = if x > WIDTH * 0.75 { -3.0 } else { 3.0 };
        write_to(
            &mut svg,
            format_args!(
                "<path class=\"limit\" d=\"M{x:.1} 2V{base:.1}\"/><text class=\"limit\" x=\"{:.1}\" y=\"10\" text-anchor=\"{anchor}\">{}<title>{}</title></text>",
                x + shift,
                precise(limit.limit),
                escape(&limit.reason)
            ),
        );
    }
    let below = base + 11.0;
    write_to(
        &mut svg,
        format_args!(
            "<text x=\"0\" y=\"{below:.1}\">{}</text><text x=\"{WIDTH}\" y=\"{below:.1}\" text-anchor=\"end\">{}</text></svg>",
            measure(histogram.min),
            measure(histogram.max)
        ),
    );
    for limit in limits {
        let side = if limit.drops_below { "under" } else { "over" };
        write_to(
            &mut svg,
            format_args!(
                "<p title=\"{} are on its failing side\">{} {side} {} <small>({})</small></p>",
                count(limit.beyond),
                percent(limit.beyond, total),
                precise(limit.limit),
                escape(&limit.option)
            ),
        );
    }
    svg.push_str("</figure>");
    svg
}
