//! `validate`, `plan`, `stages`, `schema`: what a pipeline says, without running it.

use super::PipelineArgs;
use super::show::{check_finished, check_run, print, put};
use crate::engine::RunDir;
use crate::error::{Error, Result};
use crate::job::Job;
use crate::pipeline::{self, Loaded, reference, registry, trial};

#[derive(Debug, clap::Args)]
pub(super) struct ValidateArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// Also run the pipeline's `tests:`.
    #[arg(long)]
    test: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// Print the plan as `plan.json` holds it.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct StagesArgs {
    /// Only this reader or stage.
    name: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct ReportArgs {
    /// Run directory.
    run: std::path::PathBuf,
}

pub(super) fn report(args: &ReportArgs) -> Result<u8> {
    check_run(&args.run)?;
    check_finished(&args.run, "its report is written at the end")?;
    if !crate::io::exists(args.run.join("report.json"))? {
        return Err(Error::User(format!("`{}` has no report.json to show", args.run.display())));
    }
    crate::report::render_again(&args.run)?;
    print(&format!("{}\n", args.run.join("report.html").display()))?;
    Ok(0)
}

fn load(args: &PipelineArgs) -> Result<Loaded> {
    pipeline::load(&args.pipeline.to_string_lossy(), &args.set)
}

pub(super) fn validate(args: &ValidateArgs) -> Result<u8> {
    let loaded = load(&args.pipeline)?;
    let plan = &loaded.plan;
    let mut text = format!(
        "`{}` holds: {} input files ({}), {} stages",
        plan.name,
        plan.splits.len(),
        shown_bytes(plan.input_bytes()),
        plan.stages.len()
    );
    if args.test {
        trial::prepare(&loaded)?;
        let failures = trial::run(&loaded);
        let cases = loaded.config.tests.len();
        if !failures.is_empty() {
            let list = failures.join("\n  ");
            return Err(Error::Failed(format!("{} of {cases} tests fail:\n  {list}", failures.len())));
        }
        put(&mut text, format_args!(", {cases} tests pass"));
    }
    text.push('\n');
    print(&text)?;
    Ok(0)
}

fn shown_bytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "size not known".to_owned(), crate::report::human_bytes)
}

pub(super) fn plan(args: &PlanArgs) -> Result<u8> {
    let loaded = load(&args.pipeline)?;
    if args.json {
        let json =
            serde_json::to_string_pretty(&loaded.plan).map_err(|error| Error::Failed(error.to_string()))?;
        print(&format!("{json}\n"))?;
        return Ok(0);
    }
    let mut text =
        format!("pipeline {}  fingerprint {}\n\ninput\n", loaded.plan.name, loaded.plan.fingerprint);
    for (number, input) in loaded.plan.inputs.iter().enumerate() {
        let splits = loaded.plan.splits.iter().filter(|split| split.input == number);
        let bytes: Option<u64> = splits.clone().map(|split| split.bytes).sum();
        put(
            &mut text,
            format_args!("  {}: {} files, {}\n", input.reader, splits.count(), shown_bytes(bytes)),
        );
    }
    text.push_str("\nstages\n");
    for stage in &loaded.plan.stages {
        let mode =
            stage.filter.map_or_else(String::new, |filter| format!(" ({:?})", filter.mode).to_lowercase());
        put(&mut text, format_args!("  {}{mode}: {}\n", stage.id, stage.options));
        if !stage.per_language.is_empty() {
            let languages: Vec<&str> = stage.per_language.keys().map(String::as_str).collect();
            put(&mut text, format_args!("    options of their own: {}\n", languages.join(", ")));
        }
    }
    let stages: Vec<String> = loaded.plan.stages.iter().map(|stage| stage.id.clone()).collect();
    let flow = flows(&loaded);
    let job = Job::new(loaded.plan, loaded.readers, loaded.stages, RunDir::new("runs/not-started"), 1)?;
    text.push_str("\npasses\n");
    for name in job.pass_names() {
        let tasks = match job.planned_tasks(name) {
            Some(1) => "1 task".to_owned(),
            Some(tasks) => format!("{tasks} tasks"),
            _ => "tasks by the amount of data".to_owned(),
        };
        let what =
            flow.iter().find(|(key, _)| name.ends_with(key.as_str())).map_or("", |(_, what)| what.as_str());
        put(&mut text, format_args!("  {name:<28} {tasks}{what}\n"));
    }
    if stages.is_empty() {
        text.push_str("  (no stages: documents go into the corpus as they are)\n");
    }
    print(&text)?;
    Ok(0)
}

/// What flows through the passes of each kind, for the text of `plan`.
fn flows(loaded: &Loaded) -> Vec<(String, String)> {
    let mut segments: Vec<Vec<&str>> = vec![Vec::new()];
    for (stage, (spec, _)) in loaded.plan.stages.iter().zip(&loaded.stages) {
        if spec.kind == crate::stage::Kind::Dedup {
            segments.push(Vec::new());
        } else if let Some(last) = segments.last_mut() {
            last.push(&stage.id);
        }
    }
    let last = segments.len() - 1;
    let mut flows = Vec::new();
    let mut number = 0;
    for (position, stages) in segments.iter().enumerate() {
        let from = if position == 0 { "input files" } else { "documents less removed ones" };
        let to = if position == last { "corpus/" } else { "documents and signatures" };
        let through = if stages.is_empty() { String::new() } else { format!(" > {}", stages.join(" > ")) };
        let name = if position == 0 { "00-read".to_owned() } else { format!("{number:02}-apply") };
        flows.push((name, format!(": {from}{through} > {to}")));
        number += 2;
    }
    for (name, what) in [
        ("cc-select", "index of the crawl > places of the chosen records"),
        ("cc-ranges", "places > places by file"),
        ("tokenizer-count", "corpus/ > counted pieces"),
        ("tokenizer-merge", "counted pieces > tokenizer.json"),
        ("tokens-encode", "corpus/ > token documents in shuffle cells"),
        ("tokens-shuffle", "shuffle cells > tokens/"),
        ("tokens-manifest", "tokens/ > tokens/manifest.json"),
    ] {
        flows.push((name.to_owned(), format!(": {what}")));
    }
    flows
}

pub(super) fn stages(args: &StagesArgs) -> Result<u8> {
    let page = reference::markdown();
    let Some(name) = &args.name else {
        print(&page)?;
        return Ok(0);
    };
    let start = page.find(&format!("\n### `{name}`\n")).ok_or_else(|| {
        let names = registry::readers().chain(registry::stages()).map(|spec| spec.name);
        let hint = pipeline::diagnostic::closest(name, names)
            .map_or(String::new(), |near| format!("\n = hint: did you mean `{near}`?"));
        Error::User(format!("there is no reader or stage `{name}`{hint}"))
    })?;
    let (_, rest) = page.split_at(start + 1);
    let end = rest.get(4..).and_then(|rest| rest.find("\n##")).map_or(rest.len(), |end| end + 4);
    print(rest.split_at(end).0)?;
    print("\n")?;
    Ok(0)
}

#[derive(Debug, clap::Args)]
pub(super) struct SchemaArgs {
    /// Of training files, which `tamis train` reads, in place of pipelines.
    #[arg(long)]
    training: bool,
}

pub(super) fn schema(args: &SchemaArgs) -> Result<u8> {
    let schema = if args.training {
        serde_json::to_value(schemars::schema_for!(crate::train::Config))
            .map_err(|error| Error::Failed(error.to_string()))?
    } else {
        reference::schema()
    };
    let text = serde_json::to_string_pretty(&schema).map_err(|error| Error::Failed(error.to_string()))?;
    print(&format!("{text}\n"))?;
    Ok(0)
}
