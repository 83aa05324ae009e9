//! `tamis filter RUN --set stages.NAME.OPTION=VALUE`: what other limits would keep and drop, decided from the
//! scores that a finished run stored, without its texts.

use std::path::PathBuf;

use super::show::{check_finished, check_run, clean, print, put, read_plan};
use crate::error::{Error, Result};
use crate::pipeline::refilters;
use crate::refilter;
use crate::report::{Redecided, RedecidedStage, human_count};

/// Decide again with other limits, from a finished run's stored scores.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run directory of a finished run, best one whose filters ran in `mode: annotate`
    pub run: PathBuf,
    /// Change an option of a filter: `stages.gopher_quality.min_words=30`. May be given several times.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Write what is kept and dropped into this folder, which must be new or empty
    #[arg(long)]
    pub output: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// Where the run is none or not finished, `--set` has a mistake, a filter cannot decide from its scores, or
/// tables cannot be read or written.
pub fn run(args: &Args) -> Result<u8> {
    check_run(&args.run)?;
    check_finished(&args.run, "only a finished one can be decided about again")?;
    let Some(plan) = read_plan(&args.run)? else {
        return Err(Error::User(format!(
            "`{}` has no plan.json that says what was measured",
            args.run.display()
        )));
    };
    let filters = refilters(&plan, &args.set)?;
    if filters.is_empty() {
        return Err(Error::User(format!("the run in `{}` has no filters", args.run.display())));
    }
    let redecided = match &args.output {
        Some(target) => refilter::write(&args.run, &plan, &filters, target)?,
        None => refilter::decide(&args.run, &plan, &filters)?,
    };
    if args.json {
        let mut json =
            serde_json::to_string_pretty(&redecided).map_err(|error| Error::Failed(error.to_string()))?;
        json.push('\n');
        print(&json)?;
        return Ok(0);
    }
    let mut text = describe(&redecided);
    if plan.stages.iter().any(|stage| stage.stage.ends_with("_dedup")) {
        text.push_str("deduplication is not done again: where the copy that stayed is dropped now, its twins stay out too\n");
    }
    if let Some(target) = &args.output {
        put(&mut text, format_args!("\ncorpus   {}\n", target.join("corpus").display()));
        put(&mut text, format_args!("rejects  {}\n", target.join("rejects").display()));
        put(&mut text, format_args!("report   {}\n", target.join("report.html").display()));
    }
    print(&text)?;
    Ok(0)
}

fn describe(redecided: &Redecided) -> String {
    let header = ["stage", "fail before", "fail now", "newly pass", "newly fail", ""].map(str::to_owned);
    let mut lines = vec![header];
    for stage in &redecided.stages {
        lines.push([
            clean(&stage.stage),
            human_count(stage.failed_before),
            human_count(stage.failed_now),
            human_count(stage.newly_passing),
            human_count(stage.newly_failing),
            remarks(stage),
        ]);
    }
    let dropped = |kept: u64| human_count(redecided.documents - kept);
    lines.push([
        "all together".to_owned(),
        dropped(redecided.kept_before),
        dropped(redecided.kept_now),
        human_count(redecided.newly_kept),
        human_count(redecided.newly_dropped),
        String::new(),
    ]);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..5).map(width).collect();
    let mut out = String::new();
    for line in &lines {
        put(&mut out, format_args!("{:<1$}", line[0], widths[0]));
        for column in 1..5 {
            put(&mut out, format_args!("  {:>1$}", line[column], widths[column]));
        }
        out.push_str("  ");
        out.push_str(&line[5]);
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    put(
        &mut out,
        format_args!(
            "\n{} documents in the corpus: {} kept before, {} now\n",
            human_count(redecided.documents),
            human_count(redecided.kept_before),
            human_count(redecided.kept_now)
        ),
    );
    for stage in redecided.stages.iter().filter(|stage| stage.lost > 0) {
        put(
            &mut out,
            format_args!(
                "{} more that `{}` dropped would pass it now; no later stage saw them, so they stay out (run it with `mode: annotate`)\n",
                human_count(stage.lost),
                clean(&stage.stage)
            ),
        );
    }
    out
}

/// Changed options, and the mode where it says something.
fn remarks(stage: &RedecidedStage) -> String {
    let mut remarks: Vec<String> =
        stage.changes.iter().map(|(option, before, now)| format!("{option} {before} → {now}")).collect();
    if stage.mode == "annotate" {
        remarks.push("marks only".to_owned());
    }
    clean(&remarks.join(", "))
}
