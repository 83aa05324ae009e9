#!/usr/bin/env python3
"""The manifests of `tamis launch kubernetes`: valid by the published schemas, and the same bytes as a local run when a stand-in for kubectl
does what they say (indexes at random, workers killed, liveness probes, failures by the pod failure policy).

    python3 -m venv V && V/bin/pip install kubernetes-validate pyyaml
    cargo build --release && V/bin/python tests/tools/kubernetes_trial.py
"""
import filecmp
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TAMIS = os.path.join(ROOT, "target/release/tamis")
VERSIONS = ["1.31", "1.33", "1.36"]
KILLS = 5


def probe(container, process):
    """Asks the liveness probe until it answers or the process has ended; returns whether it was well."""
    if "livenessProbe" not in container:
        return False
    asked = container["livenessProbe"]["httpGet"]
    port = next(port["containerPort"] for port in container["ports"] if port["name"] == asked["port"])
    while process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{asked['path']}", timeout=container["livenessProbe"]["timeoutSeconds"]) as answer:
                return answer.status == 200
        except (ConnectionError, urllib.error.URLError) as error:
            assert not isinstance(error, urllib.error.HTTPError), error
            time.sleep(0.005)
    return False


def pod(container, index, kills, probes):
    """Runs a container as a process; returns its exit code."""
    values = {"TAMIS_INDEX": str(index)} | {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}
    words = [re.sub(r"\$\((\w+)\)", lambda found: values[found[1]], word) for word in container.get("command", ["tamis"]) + container.get("args", [])]
    env = {**os.environ, **values, "PATH": os.path.dirname(TAMIS) + ":" + os.environ["PATH"]}
    process = subprocess.Popen(words, cwd=container["workingDir"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    probes.append(probe(container, process))
    if kills and random.random() < 0.4:
        time.sleep(random.random() * 0.2)
        process.send_signal(random.choice([signal.SIGKILL, signal.SIGTERM]))
    error = process.communicate()[1]
    if process.returncode < 0 or process.returncode == 75:
        kills.pop()
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode
    if code not in (0, 75, 137, 143):
        print(error.decode()[-500:])
    return code


def kubectl(arguments):
    """What apply.sh asks: get a condition, apply a job (and do it at once), delete one."""
    state_path = os.environ["KUBE_STATE"]
    state = json.load(open(state_path))
    if arguments[0] == "get":
        wanted = re.search(r"type=='(\w+)'", arguments[-1])[1]
        print("True" if state["jobs"].get(arguments[2]) == wanted else "", end="")
    elif arguments[0] == "delete":
        state["jobs"].pop(arguments[2])
    elif arguments[0] == "apply":
        job = yaml.safe_load(open(arguments[2]))
        container = job["spec"]["template"]["spec"]["containers"][0]
        kills, probes, condition = [0] * state["kills"], [], "Complete"
        indexes = list(range(job["spec"]["completions"]))
        random.shuffle(indexes)
        for index in indexes:
            failures = 0
            while (code := pod(container, index, kills, probes)) != 0:
                rules = job["spec"]["podFailurePolicy"]["rules"]
                action = next((rule["action"] for rule in rules if code in rule.get("onExitCodes", {}).get("values", [])), "Count")
                failures += action == "Count"
                if action == "FailJob" or failures > job["spec"]["backoffLimitPerIndex"]:
                    condition = "Failed"
                    break
        state["jobs"][job["metadata"]["name"]] = condition
        print(f"job.batch/{job['metadata']['name']} {condition}, {state['kills'] - len(kills)} workers killed, {sum(probes)} of {len(probes)} probes well")
        state["probed"] += sum(probes)
        state["killed"] += state["kills"] - len(kills)
        json.dump(state, open(state_path, "w"))
    json.dump(state, open(state_path, "w"))


def same(a, b):
    if os.path.isfile(a):
        return filecmp.cmp(a, b, shallow=False)
    found = filecmp.dircmp(a, b)
    return not found.left_only + found.right_only and all(same(os.path.join(a, n), os.path.join(b, n)) for n in found.common)


def main():
    import kubernetes_validate
    with tempfile.TemporaryDirectory(dir=ROOT, prefix="runs-trial-") as folder:
        local, there = os.path.join(folder, "local"), os.path.join(folder, "there")
        pipeline = os.path.join(ROOT, "pipelines/quickstart.yaml")
        subprocess.run([TAMIS, "run", pipeline, "--run-dir", local], cwd=ROOT, capture_output=True)
        launch = [TAMIS, "launch", "kubernetes", pipeline, "--run-dir", there, "--image", "tamis:1", "--claim", "shared", "--mount", ROOT,
                  "--workers", "3", "--cpus", "1", "--memory", "1GiB"]
        print(subprocess.run(launch, cwd=ROOT, check=True, capture_output=True, text=True).stdout, end="")
        manifests = os.path.join(there, "launch/kubernetes")
        files = sorted(name for name in os.listdir(manifests) if name.endswith(".yaml"))
        for name in files:
            job = yaml.safe_load(open(os.path.join(manifests, name)))
            for version in VERSIONS:
                kubernetes_validate.validate(job, version, strict=True)
        print(f"{len(files)} manifests are valid for Kubernetes {', '.join(VERSIONS)}")
        with open(os.path.join(folder, "kubectl"), "w") as file:
            file.write(f"#!/bin/sh\nexec {sys.executable} {os.path.abspath(__file__)} kubectl \"$@\"\n")
        os.chmod(file.name, 0o755)
        state = os.path.join(folder, "state.json")
        json.dump({"jobs": {}, "kills": KILLS, "killed": 0, "probed": 0}, open(state, "w"))
        env = {**os.environ, "PATH": folder + ":" + os.environ["PATH"], "KUBE_STATE": state, "TAMIS_POLL_SECONDS": "0.1"}
        subprocess.run(["bash", os.path.join(manifests, "apply.sh")], check=True, env=env)
        for name in ("corpus", "tokens", "rejects", "tokenizer.json", "quarantine.jsonl"):
            assert same(os.path.join(local, name), os.path.join(there, name)), f"`{name}` differs"
        ended = json.load(open(state))
        assert ended["probed"] > 0
        print(f"the same bytes as the local run, with {ended['killed']} workers killed and {ended['probed']} asked how they are")


if sys.argv[1:2] == ["kubectl"]:
    kubectl(sys.argv[2:])
else:
    main()
