//! Slurm: a job array per pass, each after the one before it.

use super::{Step, budget_mib, quoted};

/// What a Slurm cluster is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slurm {
    /// The program, as the nodes find it.
    pub program: String,
    /// The run directory, on a file system that all nodes see.
    pub run_dir: String,
    /// Folder in which the workers start: relative paths of the plan begin there.
    pub start_dir: String,
    /// Processors of a worker.
    pub cpus: u32,
    /// Memory of a worker, in MiB.
    pub memory_mib: u64,
    /// Longest time of a worker, as `sbatch --time` takes it.
    pub time: Option<String>,
    /// Other options of `sbatch`, each with its dashes.
    pub options: Vec<String>,
    /// Times that a worker that was interrupted is queued again before it counts as failed.
    pub requeues: u32,
}

impl Slurm {
    /// What `sbatch` runs: one worker of a pass (`$1`, of `$2` workers), or the end of the run (`finish`).
    #[must_use]
    pub fn worker(&self) -> String {
        let budget = budget_mib(self.memory_mib);
        let (program, run_dir, cpus, requeues) =
            (quoted(&self.program), quoted(&self.run_dir), self.cpus, self.requeues);
        format!(
            r#"#!/bin/bash
# One worker. Written by `tamis launch slurm`; submit.sh submits it.
pass=$1 workers=$2
if [ "$pass" = finish ]; then
    command=({program} finish {run_dir})
else
    command=({program} task {run_dir} --pass "$pass" --share "$SLURM_ARRAY_TASK_ID/$workers" --threads {cpus} --memory {budget}MiB)
fi
told=
for attempt in 1 2 3; do
    "${{command[@]}}" &
    child=$!
    # Slurm's notice before pre-emption or the end of the time: what is done stays, the worker ends with 75.
    trap 'told=yes; kill -TERM "$child" 2>/dev/null' TERM
    wait "$child"
    code=$?
    while kill -0 "$child" 2>/dev/null; do
        wait "$child"
        code=$?
    done
    # Killed from outside, and nobody asked it to end: again, at once.
    if [ "$code" -le 128 ] || [ -n "$told" ]; then break; fi
    echo "worker of $pass: killed by signal $((code - 128)), attempt $attempt" >&2
done
if {{ [ "$code" = 75 ] || [ "$code" -gt 128 ]; }} && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {requeues} ]; then
    # On another node, or later.
    scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
    sleep 60
fi
# 3: done, with records in quarantine.
if [ "$code" = 3 ]; then code=0; fi
exit "$code"
"#
        )
    }

    /// Submits one array per pass, each after the one before it.
    #[must_use]
    pub fn submission(&self, steps: &[Step]) -> String {
        let begin = r#"#!/bin/bash
# Submits the run to Slurm: one job array per pass, each after the one before it. Written by `tamis launch slurm`.
# May be run again after a failure: tasks that are done are passed over.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p logs
after=
submit() {
    local id
    id=$(sbatch --parsable --job-name="tamis-$1" --array="0-$(($2 - 1))" ${after:+--dependency="afterok:$after"} \
        --kill-on-invalid-dep=yes --requeue --signal=B:TERM@60 --open-mode=append --output="$PWD/logs/$1-%a.log" \
"#;
        let mut options = vec![
            format!("--chdir={}", quoted(&self.start_dir)),
            format!("--cpus-per-task={}", self.cpus),
            format!("--mem={}M", self.memory_mib),
        ];
        options.extend(self.time.iter().map(|time| format!("--time={}", quoted(time))));
        options.extend(self.options.iter().map(|option| quoted(option)));
        let options = options.join(" ");
        let steps = steps.iter().map(|step| format!("submit {} {}\n", quoted(&step.pass), step.workers));
        let steps: String = steps.collect();
        format!(
            r#"{begin}        {options} "$PWD/worker.sh" "$1" "$2")
    after=${{id%%;*}}
    echo "$1: job $after, workers: $2"
}}
{steps}submit finish 1
"#
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_follow_each_other() {
        let slurm = Slurm {
            program: "/opt/tamis".to_owned(),
            run_dir: "/shared/my run".to_owned(),
            start_dir: "/shared".to_owned(),
            cpus: 4,
            memory_mib: 8192,
            time: Some("2:00:00".to_owned()),
            options: vec!["--partition=long".to_owned()],
            requeues: 9,
        };
        let steps =
            [("00-read", 8), ("01-apply", 1)].map(|(pass, workers)| Step { pass: pass.to_owned(), workers });
        let text = slurm.submission(&steps);
        assert!(text.ends_with("submit '00-read' 8\nsubmit '01-apply' 1\nsubmit finish 1\n"), "{text}");
        for part in [
            "--mem=8192M",
            "--cpus-per-task=4",
            "--time='2:00:00'",
            "'--partition=long'",
            "--chdir='/shared'",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let text = slurm.worker();
        for part in ["'/opt/tamis' finish '/shared/my run'", "--memory 6144MiB", "--threads 4", "-lt 9"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
