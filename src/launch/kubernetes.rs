//! Kubernetes: an Indexed Job per pass, and a script that applies them in order.

use super::{Step, budget_mib, quoted};

/// Port on which workers tell how they are.
const METRICS_PORT: u16 = 9464;
/// Where workers have a folder of their machine for temporary files.
const SCRATCH: &str = "/tmp";

/// What a Kubernetes cluster is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubernetes {
    /// Name of the run, which the jobs' names begin with.
    pub name: String,
    /// The image with tamis.
    pub image: String,
    /// Namespace; none: that of the user's context.
    pub namespace: Option<String>,
    /// The persistent volume claim that holds inputs and run directory, and where it is mounted: paths in the plan begin there. None where all of
    /// them are in object stores.
    pub claim: Option<(String, String)>,
    /// A secret whose entries are environment variables of the workers: credentials of an object store.
    pub secret: Option<String>,
    /// Other environment variables.
    pub env: Vec<(String, String)>,
    /// The run directory.
    pub run_dir: String,
    /// Folder in which workers start; without a claim, that of their scratch.
    pub start_dir: String,
    /// Processors of a worker.
    pub cpus: u32,
    /// Memory of a worker, in MiB.
    pub memory_mib: u64,
    /// Times that a worker may fail.
    pub retries: u32,
}

/// A string in YAML (those of JSON are).
fn text(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

/// How a worker is watched: annotations by which many Prometheus find it, the address in its environment, port and probe of its container.
fn watched() -> [String; 3] {
    let annotations = format!(
        r#"
      annotations: {{ prometheus.io/scrape: "true", prometheus.io/port: "{METRICS_PORT}", prometheus.io/path: /metrics }}"#
    );
    let address = format!(
        r#"
            - {{ name: TAMIS_METRICS_ADDRESS, value: ":{METRICS_PORT}" }}"#
    );
    let port = format!(
        r"
          ports:
            - {{ name: metrics, containerPort: {METRICS_PORT} }}
          # 503 after half an hour without any progress (TAMIS_STALL_SECS).
          livenessProbe:
            httpGet: {{ path: /healthz, port: metrics }}
            initialDelaySeconds: 10
            periodSeconds: 30
            timeoutSeconds: 10
            failureThreshold: 4"
    );
    [annotations, address, port]
}

impl Kubernetes {
    /// Name of a pass's job: letters, digits and dashes, at most 63.
    #[must_use]
    pub fn job(&self, pass: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let pass: String = pass.chars().map(plain).collect();
        // The pass tells jobs apart, so the run's name gives way. An index of five digits follows in a pod's name.
        let room = 57_usize.saturating_sub(pass.len() + 1);
        let name: String = self.name.chars().map(plain).take(room).collect();
        format!("{name}-{pass}").trim_matches('-').to_owned()
    }

    /// The job of a pass; that of `finish` ends the run.
    #[must_use]
    pub fn manifest(&self, step: &Step) -> String {
        let Step { pass, workers } = step;
        let Self { cpus, memory_mib, retries, .. } = self;
        let command = if pass == "finish" {
            // 3: done, with records in quarantine.
            let script = r#"tamis finish "$1"; code=$?; [ $code = 3 ] || exit $code"#;
            format!("command: [sh, -c, {}, sh, {}]", text(script), text(&self.run_dir))
        } else {
            let memory = format!("{}MiB", budget_mib(*memory_mib));
            format!(
                "args: [task, {}, --pass, {}, --share, \"$(TAMIS_INDEX)/{workers}\", --threads, \"{cpus}\", --memory, {memory}, --log-format, json]",
                text(&self.run_dir),
                text(pass)
            )
        };
        let namespace =
            self.namespace.as_ref().map_or(String::new(), |name| format!("\n  namespace: {}", text(name)));
        let start_dir = if self.claim.is_some() { &self.start_dir } else { SCRATCH };
        let [job, image, start_dir] = [&self.job(pass), &self.image, start_dir].map(text);
        let [mount, volume] = self.claim.as_ref().map_or_else(Default::default, |(claim, mount)| {
            [
                format!("\n            - {{ name: work, mountPath: {} }}", text(mount)),
                format!(
                    "\n        - {{ name: work, persistentVolumeClaim: {{ claimName: {} }} }}",
                    text(claim)
                ),
            ]
        });
        let variable = |(name, value): &(String, String)| {
            format!("\n            - {{ name: {}, value: {} }}", text(name), text(value))
        };
        let variables: String = self.env.iter().map(variable).collect();
        let secret = self.secret.as_ref().map_or_else(String::new, |name| {
            format!("\n          envFrom: [{{ secretRef: {{ name: {} }} }}]", text(name))
        });
        let run = text(&self.name);
        // The end of a run has no port: it does little, and `tamis finish` may simply be started again.
        let [annotations, address, port] = if pass == "finish" { Default::default() } else { watched() };
        format!(
            r#"# Written by `tamis launch kubernetes`.
apiVersion: batch/v1
kind: Job
metadata:
  name: {job}{namespace}
  labels: {{ app.kubernetes.io/name: tamis, app.kubernetes.io/instance: {run} }}
spec:
  completionMode: Indexed
  completions: {workers}
  parallelism: {workers}
  backoffLimitPerIndex: {retries}
  podFailurePolicy:
    rules:
      # A mistake of the user: starting again does not help.
      - action: FailJob
        onExitCodes: {{ containerName: tamis, operator: In, values: [2] }}
      # Interrupted, or its node went away: again elsewhere, and no failure.
      - action: Ignore
        onExitCodes: {{ containerName: tamis, operator: In, values: [75] }}
      - action: Ignore
        onPodConditions: [{{ type: DisruptionTarget, status: "True" }}]
  template:
    metadata:
      labels: {{ app.kubernetes.io/name: tamis, app.kubernetes.io/instance: {run} }}{annotations}
    spec:
      restartPolicy: Never
      # A worker that is told to go commits nothing more and ends within seconds.
      terminationGracePeriodSeconds: 30
      automountServiceAccountToken: false
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
        runAsGroup: 10001
        fsGroup: 10001
        seccompProfile: {{ type: RuntimeDefault }}
      containers:
        - name: tamis
          image: {image}
          {command}
          workingDir: {start_dir}{secret}
          env:
            - name: TAMIS_INDEX
              valueFrom: {{ fieldRef: {{ fieldPath: "metadata.annotations['batch.kubernetes.io/job-completion-index']" }} }}{address}{variables}{port}
          resources:
            requests: {{ cpu: "{cpus}", memory: {memory_mib}Mi }}
            limits: {{ memory: {memory_mib}Mi }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {{ drop: [ALL] }}
          volumeMounts:{mount}
            - {{ name: scratch, mountPath: {SCRATCH} }}
      volumes:{volume}
        - {{ name: scratch, emptyDir: {{}} }}
"#
        )
    }

    /// A script that applies the manifests in order and waits for each. Jobs that are complete are passed over; one that failed is made anew.
    #[must_use]
    pub fn script(&self, files: &[(String, String)]) -> String {
        let namespace =
            self.namespace.as_ref().map_or(String::new(), |name| format!(" --namespace={}", quoted(name)));
        let steps = files.iter().map(|(file, job)| format!("step {} {}\n", quoted(file), quoted(job)));
        let steps: String = steps.collect();
        format!(
            r#"#!/bin/bash
# Applies the jobs of a run in order, and waits for each. Written by `tamis launch kubernetes`.
# May be run again after a failure: jobs that are complete are passed over, tasks that are done too.
set -euo pipefail
cd "$(dirname "$0")"
kube() {{ kubectl{namespace} "$@"; }}
has() {{ [ "$(kube get job "$1" --ignore-not-found -o jsonpath="{{.status.conditions[?(@.type=='$2')].status}}")" = True ]; }}
step() {{
    if has "$2" Complete; then return; fi
    if has "$2" Failed; then kube delete job "$2" --wait=true; fi
    kube apply -f "$1"
    until has "$2" Complete; do
        if has "$2" Failed; then
            echo "job $2 failed; the words of its workers: kubectl logs -l job-name=$2 --prefix --tail=20" >&2
            exit 1
        fi
        sleep "${{TAMIS_POLL_SECONDS:-5}}"
    done
}}
{steps}"#
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubernetes() -> Kubernetes {
        Kubernetes {
            name: "My_run".to_owned(),
            image: "registry/tamis:1".to_owned(),
            namespace: Some("corpora".to_owned()),
            claim: Some(("shared".to_owned(), "/work".to_owned())),
            secret: None,
            env: Vec::new(),
            run_dir: "/work/my \"run\"".to_owned(),
            start_dir: "/work".to_owned(),
            cpus: 4,
            memory_mib: 8192,
            retries: 6,
        }
    }

    #[test]
    fn names_are_what_kubernetes_takes() {
        assert_eq!(kubernetes().job("01-exact_dedup-gather"), "my-run-01-exact-dedup-gather");
        let long = Kubernetes { name: "x".repeat(80), ..kubernetes() };
        let job = long.job("03-minhash_dedup-candidates");
        assert!(job.len() <= 57 && job.ends_with("x-03-minhash-dedup-candidates"), "{job}");
    }

    #[test]
    fn a_manifest_says_what_a_worker_does() {
        let text = kubernetes().manifest(&Step { pass: "00-read".to_owned(), workers: 7 });
        for part in [
            "name: \"my-run-00-read\"",
            "namespace: \"corpora\"",
            "completions: 7",
            r#"args: [task, "/work/my \"run\"", --pass, "00-read", --share, "$(TAMIS_INDEX)/7", --threads, "4", --memory, 6144MiB"#,
            "claimName: \"shared\"",
            "readOnlyRootFilesystem: true",
            "prometheus.io/port: \"9464\"",
            "{ name: TAMIS_METRICS_ADDRESS, value: \":9464\" }",
            "{ name: metrics, containerPort: 9464 }",
            "httpGet: { path: /healthz, port: metrics }",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let text = kubernetes().manifest(&Step { pass: "finish".to_owned(), workers: 1 });
        assert!(
            text.contains(
                r#"command: [sh, -c, "tamis finish \"$1\"; code=$?; [ $code = 3 ] || exit $code", sh, "/work/my \"run\""]"#
            ),
            "{text}"
        );
        assert!(!text.contains("9464") && !text.contains("livenessProbe"), "{text}");
    }

    #[test]
    fn without_a_claim_all_is_in_a_store() {
        let stored = Kubernetes {
            claim: None,
            secret: Some("store".to_owned()),
            env: vec![("AWS_ENDPOINT_URL".to_owned(), "http://minio:9000".to_owned())],
            run_dir: "s3://corpora/my".to_owned(),
            ..kubernetes()
        };
        let text = stored.manifest(&Step { pass: "00-read".to_owned(), workers: 7 });
        for part in [
            r#"args: [task, "s3://corpora/my", "#,
            r#"envFrom: [{ secretRef: { name: "store" } }]"#,
            r#"- { name: "AWS_ENDPOINT_URL", value: "http://minio:9000" }"#,
            r#"workingDir: "/tmp""#,
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("persistentVolumeClaim") && !text.contains("name: work"), "{text}");
    }
}
