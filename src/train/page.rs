//! `train.html`: the curves of a run on one page, without anything from elsewhere.

use std::fmt::Write as _;
use std::path::Path;

use super::run::{Metrics, Outcome};
use crate::error::Result;
use crate::io::AtomicFile;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 240.0;
/// Room for numbers at the left.
const LEFT: f64 = 64.0;
/// Points of a curve; longer ones show the mean of neighbours.
const POINTS: usize = 800;

/// One curve: its name, colour and points (tokens, value).
struct Curve {
    name: &'static str,
    color: &'static str,
    points: Vec<(f64, f64)>,
}

/// Writes the page.
///
/// # Errors
/// [`Error::Io`](crate::error::Error::Io) where it cannot be written.
pub fn write(path: &Path, name: &str, outcome: &Outcome, metrics: &[Metrics]) -> Result<()> {
    let mut out = AtomicFile::create(path)?;
    out.write(page(name, outcome, metrics).as_bytes())?;
    out.commit()
}

fn page(name: &str, outcome: &Outcome, metrics: &[Metrics]) -> String {
    let of = |name, color, value: fn(&Metrics) -> Option<f64>| Curve {
        name,
        color,
        points: metrics.iter().filter_map(|line| Some((line.tokens as f64, value(line)?))).collect(),
    };
    let summary = &outcome.summary;
    let mut html = String::from(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\n\
         <style>body{font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:2em auto;padding:0 1em;color:#222}\
         table{border-collapse:collapse}td{padding:.1em 1.5em .1em 0}svg{width:100%;height:auto;background:#fafafa}\
         text{font-size:11px;fill:#555}</style>\n",
    );
    let title = html_escape::encode_text(name);
    put(&mut html, format_args!("<title>{title}</title></head><body>\n<h1>{title}</h1>\n<table>\n"));
    let mut row = |key: &str, value: String| {
        put(
            &mut html,
            format_args!("<tr><td>{key}</td><td>{}</td></tr>\n", html_escape::encode_text(&value)),
        );
    };
    row("parameters", grouped(summary.parameters));
    row("tokens drawn", format!("{} ({:.2} passes)", grouped(summary.tokens), summary.epochs));
    row(
        "steps",
        format!("{} ({} skipped, {} times back)", summary.steps, outcome.skipped_steps, outcome.rollbacks),
    );
    row("loss of the last step", format!("{:.4}", outcome.loss));
    if let Some([first, last]) = outcome.held_out {
        row(
            "held-out loss",
            format!("{:.4} before, {:.4} after ({} tokens)", first.loss, last.loss, grouped(last.tokens)),
        );
        if let (Some(first), Some(last)) = (first.bits_per_byte, last.bits_per_byte) {
            row("held-out bits per byte", format!("{first:.4} before, {last:.4} after"));
        }
    }
    html.push_str("</table>\n");
    for (title, curves) in [
        (
            "Loss, nats per token",
            vec![
                of("training", "#3b6ea5", |line| line.loss),
                of("held out", "#c0392b", |line| line.eval_loss),
            ],
        ),
        (
            "Bits per byte on held-out documents",
            vec![of("held out", "#c0392b", |line| line.eval_bits_per_byte)],
        ),
        ("Norm of the gradient", vec![of("norm", "#6b8e23", |line| line.grad_norm)]),
        ("Learning rate", vec![of("rate", "#8e5ea2", |line| line.lr)]),
        ("Tokens per second", vec![of("speed", "#777777", |line| line.tokens_per_sec)]),
    ] {
        if curves.iter().any(|curve| curve.points.len() > 1) {
            chart(&mut html, title, &curves);
        }
    }
    html.push_str("</body></html>\n");
    html
}

fn put(out: &mut String, arguments: std::fmt::Arguments) {
    out.write_fmt(arguments).expect("writing to a String cannot fail");
}

/// A number with commas between thousands.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The means of equal stretches, so that there are at most [`POINTS`].
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let each = points.len().div_ceil(POINTS).max(1);
    let mean = |chunk: &[(f64, f64)]| {
        let (x, y) = chunk.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
        (x / chunk.len() as f64, y / chunk.len() as f64)
    };
    points.chunks(each).map(mean).collect()
}

fn chart(html: &mut String, title: &str, curves: &[Curve]) {
    let curves: Vec<(&Curve, Vec<(f64, f64)>)> =
        curves.iter().map(|curve| (curve, thinned(&curve.points))).collect();
    let all = || curves.iter().flat_map(|(_, points)| points);
    let bounds = |value: fn(&(f64, f64)) -> f64| {
        let (low, high) = all()
            .map(value)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        if high > low { (low, high) } else { (low - 0.5, high + 0.5) }
    };
    let ((left, right), (low, high)) = (bounds(|point| point.0), bounds(|point| point.1));
    let x = |tokens: f64| LEFT + (tokens - left) / (right - left) * (WIDTH - LEFT - 10.0);
    let y = |value: f64| HEIGHT - 24.0 - (value - low) / (high - low) * (HEIGHT - 40.0);
    put(html, format_args!("<h2>{title}</h2>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\">\n"));
    for step in 0..=4 {
        let value = low + (high - low) * f64::from(step) / 4.0;
        let at = y(value);
        put(
            html,
            format_args!(
                "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/><text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
                LEFT - 6.0,
                at + 4.0,
                short(value)
            ),
        );
        let tokens = left + (right - left) * f64::from(step) / 4.0;
        put(
            html,
            format_args!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
                x(tokens).min(WIDTH - 20.0),
                HEIGHT - 6.0,
                short(tokens)
            ),
        );
    }
    for (number, (curve, points)) in (0_u32..).zip(&curves) {
        let path: Vec<String> =
            points.iter().map(|&(tokens, value)| format!("{:.1},{:.1}", x(tokens), y(value))).collect();
        put(
            html,
            format_args!(
                "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\" points=\"{}\"/><text x=\"{:.0}\" y=\"14\" style=\"fill:{}\">{}</text>\n",
                curve.color,
                path.join(" "),
                WIDTH - 200.0 + 90.0 * f64::from(number),
                curve.color,
                curve.name
            ),
        );
    }
    html.push_str("</svg>\n");
}

fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1e9 => format!("{:.3}G", value / 1e9),
        size if size >= 1e6 => format!("{:.2}M", value / 1e6),
        size if size >= 1e4 => format!("{:.0}k", value / 1e3),
        size if size >= 10.0 => format!("{value:.0}"),
        size if size >= 0.01 || size == 0.0 => format!("{value:.3}"),
        _ => format!("{value:.1e}"),
    }
}
