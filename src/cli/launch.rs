//! `launch`: hands the tasks of a run to a cluster's engine.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::show::{print, put};
use super::{LogFormat, PipelineArgs};
use crate::engine::RunDir;
use crate::error::{Error, Result};
use crate::io;
use crate::job::Job;
use crate::launch::Step;
use crate::launch::kubernetes::Kubernetes;
use crate::launch::ray::{self, Ray};
use crate::launch::slurm::Slurm;
use crate::pipeline::{self, config::parse_memory};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    engine: Engine,
}

#[derive(Debug, clap::Subcommand)]
enum Engine {
    /// Write (and with `--submit` submit) job arrays for Slurm: one per pass, each after the one before it.
    Slurm(SlurmArgs),
    /// Write (and with `--apply` apply) Indexed Jobs for Kubernetes: one per pass, each after the one before it.
    Kubernetes(KubernetesArgs),
    /// Write (and with `--start` start) a driver for Ray: each pass as Ray tasks, one pass after the other.
    Ray(RayArgs),
}

#[derive(Debug, clap::Args)]
struct RayArgs {
    #[command(flatten)]
    workers: WorkerArgs,
    /// Address of the cluster, as `ray.init` takes it; default what `RAY_ADDRESS` says, else the cluster that runs here.
    #[arg(long)]
    address: Option<String>,
    /// Times that a worker is started again that was interrupted, killed or lost with its node.
    #[arg(long, default_value_t = 20)]
    retries: u32,
    /// The program, as the nodes find it; default this one.
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// Python with the package `ray`.
    #[arg(long, value_name = "PATH", default_value = "python3")]
    python: PathBuf,
    /// Start at once, and wait for the end.
    #[arg(long)]
    start: bool,
}

#[derive(Debug, clap::Args)]
struct WorkerArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// Folder for everything that the run writes, on a file system that all machines see or in an object store (`s3://bucket/my`);
    /// default `run_dir:` of the pipeline, else `runs/<name>`.
    #[arg(long)]
    run_dir: Option<PathBuf>,
    /// Folder for the scripts and their logs; default `launch` in the run directory or, where that is in an object store, `launch/<name>` here.
    #[arg(long, value_name = "DIR")]
    scripts: Option<PathBuf>,
    /// Most workers of a pass; each takes its share of the tasks.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    workers: u32,
    /// Processors of a worker.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    cpus: u32,
    /// Memory of a worker.
    #[arg(long, default_value = "8GiB")]
    memory: String,
}

#[derive(Debug, clap::Args)]
struct KubernetesArgs {
    #[command(flatten)]
    workers: WorkerArgs,
    /// The image with tamis.
    #[arg(long)]
    image: String,
    /// The persistent volume claim that holds inputs and run directory; not needed where all of them are in object stores.
    #[arg(long)]
    claim: Option<String>,
    /// A secret whose entries are environment variables of the workers, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
    #[arg(long, value_name = "NAME")]
    secret: Option<String>,
    /// An environment variable of the workers, such as `AWS_ENDPOINT_URL=http://minio:9000`. May be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_variable)]
    env: Vec<(String, String)>,
    /// Where the claim is mounted: in the workers, and here, so that paths are the same.
    #[arg(long, default_value = "/work")]
    mount: PathBuf,
    /// Namespace; default that of the current context.
    #[arg(long)]
    namespace: Option<String>,
    /// Times that a worker may fail before its pass does.
    #[arg(long, default_value_t = 6)]
    retries: u32,
    /// Apply at once with `kubectl`, and wait for the end.
    #[arg(long)]
    apply: bool,
}

#[derive(Debug, clap::Args)]
struct SlurmArgs {
    #[command(flatten)]
    workers: WorkerArgs,
    /// Longest time of a worker, as `sbatch --time` takes it.
    #[arg(long)]
    time: Option<String>,
    /// Another option of `sbatch`, such as `--sbatch=--partition=long`. May be given several times.
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    sbatch: Vec<String>,
    /// Times that a worker that was interrupted or killed is queued again before it counts as failed.
    #[arg(long, default_value_t = 20)]
    requeues: u32,
    /// The program, as the nodes find it; default this one.
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// Submit at once.
    #[arg(long)]
    submit: bool,
}

fn parse_variable(text: &str) -> std::result::Result<(String, String), String> {
    let wrong = || format!("`{text}` must be like `AWS_REGION=eu-west-1`");
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(wrong)?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) fn run(args: &Args, format: LogFormat) -> Result<u8> {
    match &args.engine {
        Engine::Slurm(args) => slurm(args, format),
        Engine::Kubernetes(args) => kubernetes(args, format),
        Engine::Ray(args) => on_ray(args, format),
    }
}

/// A path from the root: workers start elsewhere.
fn absolute(path: &Path) -> Result<String> {
    if io::store::is_remote(path) {
        return Ok(path.to_string_lossy().into_owned());
    }
    let path = std::path::absolute(path).map_err(Error::io("find", path))?;
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| Error::User(format!("`{}` is no UTF-8, which scripts need", path.display())))
}

/// The program that workers run: the one that was named, or this.
fn program(named: Option<&Path>) -> Result<String> {
    match named {
        Some(path) => absolute(path),
        None => absolute(&std::env::current_exe().map_err(|error| {
            Error::Failed(format!("cannot find this program: {error}; name it with `--program`"))
        })?),
    }
}

/// A run that is planned in its directory.
struct Planned {
    name: String,
    run: RunDir,
    /// For scripts and their logs.
    scripts: PathBuf,
    steps: Vec<Step>,
    memory_mib: u64,
}

impl Planned {
    fn new(args: &WorkerArgs, check: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        let memory =
            parse_memory(&args.memory).map_err(|message| Error::User(format!("--memory: {message}")))?;
        let loaded = pipeline::load(&args.pipeline.pipeline.to_string_lossy(), &args.pipeline.set)?;
        let named = args.run_dir.clone().or_else(|| loaded.config.run_dir.as_ref().map(PathBuf::from));
        let run_dir = named.unwrap_or_else(|| PathBuf::from("runs").join(&loaded.plan.name));
        check(&run_dir)?;
        let (name, run) = (loaded.plan.name.clone(), RunDir::new(&run_dir));
        let job = Job::new(loaded.plan, loaded.readers, loaded.stages, run.clone(), 1)?;
        job.prepare()?;
        let workers =
            |pass: &str| job.planned_tasks(pass).map_or(args.workers, |tasks| tasks.clamp(1, args.workers));
        let steps =
            job.pass_names().map(|pass| Step { pass: pass.to_owned(), workers: workers(pass) }).collect();
        let scripts = match &args.scripts {
            Some(folder) => folder.clone(),
            None if io::store::is_remote(run.root()) => PathBuf::from("launch").join(&name),
            None => run.path("launch"),
        };
        Ok(Self { name, run, scripts, steps, memory_mib: (memory >> 20).max(1) })
    }

    /// Starts the script with `by` (a program and what follows the script), or says how to.
    fn end(
        &self,
        (by, script, more): (&Path, &Path, Option<&str>),
        starts: bool,
        format: LogFormat,
    ) -> Result<u8> {
        if starts {
            let status = Command::new(by).arg(script).args(more).status();
            let status =
                status.map_err(|error| Error::Failed(format!("cannot start {}: {error}", by.display())))?;
            if !status.success() {
                return Err(Error::Failed(format!(
                    "`{}` failed ({status}); what it started before goes on; run it again when the cause is mended",
                    script.display()
                )));
            }
            return Ok(0);
        }
        let mut text = String::new();
        if format == LogFormat::Json {
            let event =
                serde_json::json!({ "event": "written", "script": script, "passes": self.steps.len() });
            put(&mut text, format_args!("{event}\n"));
        } else {
            put(
                &mut text,
                format_args!(
                    "wrote     {} for {} passes\nto start  {} {}{}{}\nto watch  tamis status {}\n",
                    script.display(),
                    self.steps.len(),
                    by.display(),
                    script.display(),
                    if more.is_some() { " " } else { "" },
                    more.unwrap_or_default(),
                    self.run.root().display()
                ),
            );
        }
        print(&text)?;
        Ok(0)
    }
}

fn slurm(args: &SlurmArgs, format: LogFormat) -> Result<u8> {
    if let Some(option) = args.sbatch.iter().find(|option| !option.starts_with("--")) {
        return Err(Error::User(format!(
            "--sbatch: `{option}` must be an option with two dashes, such as `--partition=long`"
        )));
    }
    let program = program(args.program.as_deref())?;
    let planned = Planned::new(&args.workers, |_| Ok(()))?;
    let slurm = Slurm {
        program,
        run_dir: absolute(planned.run.root())?,
        start_dir: absolute(Path::new("."))?,
        cpus: args.workers.cpus,
        memory_mib: planned.memory_mib,
        time: args.time.clone(),
        options: args.sbatch.clone(),
        requeues: args.requeues,
    };
    let folder = planned.scripts.join("slurm");
    io::AtomicFile::write_all(folder.join("worker.sh"), slurm.worker().as_bytes())?;
    let script = folder.join("submit.sh");
    io::AtomicFile::write_all(&script, slurm.submission(&planned.steps).as_bytes())?;
    planned.end((Path::new("bash"), &script, None), args.submit, format)
}

fn kubernetes(args: &KubernetesArgs, format: LogFormat) -> Result<u8> {
    let mount = absolute(&args.mount)?;
    let start_dir = absolute(Path::new("."))?;
    let planned = Planned::new(&args.workers, |run_dir| {
        let is_stored = io::store::is_remote(run_dir);
        let run_dir = absolute(run_dir)?;
        let Some(claim) = &args.claim else {
            let message = format!(
                "workers need `--claim`, the volume that holds `{run_dir}`, or a run directory in an object store"
            );
            return if is_stored { Ok(()) } else { Err(Error::User(message)) };
        };
        let local = [Some(&start_dir), (!is_stored).then_some(&run_dir)].into_iter().flatten();
        let outside = local.into_iter().find(|path| !Path::new(path).starts_with(&mount));
        outside.map_or(Ok(()), |path| {
            Err(Error::User(format!(
                "`{path}` is not below `{mount}`, where workers have the claim `{claim}`; start this where the claim is mounted at the same place, or \
                 name that with `--mount`"
            )))
        })
    })?;
    let kubernetes = Kubernetes {
        name: planned.name.clone(),
        image: args.image.clone(),
        namespace: args.namespace.clone(),
        claim: args.claim.clone().map(|claim| (claim, mount)),
        secret: args.secret.clone(),
        env: args.env.clone(),
        run_dir: absolute(planned.run.root())?,
        start_dir,
        cpus: args.workers.cpus,
        memory_mib: planned.memory_mib,
        retries: args.retries,
    };
    let folder = planned.scripts.join("kubernetes");
    let end = Step { pass: "finish".to_owned(), workers: 1 };
    let mut files = Vec::new();
    for (number, step) in planned.steps.iter().chain([&end]).enumerate() {
        let file = format!("{number:02}-{}.yaml", step.pass);
        io::AtomicFile::write_all(folder.join(&file), kubernetes.manifest(step).as_bytes())?;
        files.push((file, kubernetes.job(&step.pass)));
    }
    let script = folder.join("apply.sh");
    io::AtomicFile::write_all(&script, kubernetes.script(&files).as_bytes())?;
    planned.end((Path::new("bash"), &script, None), args.apply, format)
}

fn on_ray(args: &RayArgs, format: LogFormat) -> Result<u8> {
    let program = program(args.program.as_deref())?;
    let planned = Planned::new(&args.workers, |_| Ok(()))?;
    let ray = Ray {
        program,
        run_dir: absolute(planned.run.root())?,
        start_dir: absolute(Path::new("."))?,
        cpus: args.workers.cpus,
        memory_mib: planned.memory_mib,
        retries: args.retries,
    };
    let folder = planned.scripts.join("ray");
    io::write_json(folder.join("plan.json"), &ray.plan(&planned.steps))?;
    let driver = folder.join("driver.py");
    io::AtomicFile::write_all(&driver, ray::DRIVER.as_bytes())?;
    planned.end((&args.python, &driver, args.address.as_deref()), args.start, format)
}
