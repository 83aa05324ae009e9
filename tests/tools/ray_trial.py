#!/usr/bin/env python3
"""A run on a real Ray of a head and two nodes on this machine, with workers killed and a node lost in the middle of a pass; its bytes must be those
of a local run.

    python3 -m venv V && V/bin/pip install ray
    cargo build --release && V/bin/python tests/tools/ray_trial.py [PIPELINE] [KILLS] [CRAWL]

With CRAWL, a folder of WARC files, crawl and run directory are in an object store that fails 5 % of the requests, throttles 2 % and cuts 2 % of the
bodies (`cargo build --release --example store`); PIPELINE reads `${CRAWL}`, as tests/tools/trial.yaml does.
"""
import filecmp
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from ray.cluster_utils import Cluster

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TAMIS = os.path.join(ROOT, "target/release/tamis")


def same(a, b):
    if os.path.isfile(a):
        return filecmp.cmp(a, b, shallow=False)
    found = filecmp.dircmp(a, b)
    return not found.left_only + found.right_only and all(same(os.path.join(a, n), os.path.join(b, n)) for n in found.common)


def workers(run):
    found = subprocess.run(["pgrep", "-f", f"{TAMIS} task {run}"], capture_output=True, text=True).stdout
    return [int(pid) for pid in found.split()]


def start_store(folder, crawl):
    """A store with the crawl in it, whose objects are files below the folder."""
    os.makedirs(os.path.join(folder, "crawl"))
    for name in os.listdir(crawl):
        if name.endswith(".warc.gz"):
            shutil.copy(os.path.join(crawl, name), os.path.join(folder, "crawl", name))
    command = [os.path.join(ROOT, "target/release/examples/store"), "--folder", folder, "--bucket", "crawl", "--bucket", "runs", "--fail", "0.05",
               "--throttle", "0.02", "--cut", "0.02"]
    store = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    os.environ.update(AWS_ENDPOINT_URL=store.stdout.readline().strip(), AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="secret", AWS_REGION="us-east-1",
                      CRAWL="s3://crawl/*.warc.gz")
    return store


def trouble(cluster, nodes, run, kills, told):
    while told["killed"] < kills and not told["over"]:
        time.sleep(random.random() * 1.5)
        victims = workers(run)
        if not victims:
            continue
        os.kill(random.choice(victims), signal.SIGKILL)
        told["killed"] += 1
        if told["killed"] == 3:
            cluster.remove_node(nodes.pop(), allow_graceful=False)
            told["lost"] += 1
            print("a node is lost", flush=True)


def main():
    pipeline = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "pipelines/quickstart.yaml")
    kills = int(sys.argv[2]) if len(sys.argv) > 2 else 30
    with tempfile.TemporaryDirectory() as folder:
        local, there = os.path.join(folder, "local"), os.path.join(folder, "there")
        found, store = there, None
        if len(sys.argv) > 3:
            store = start_store(os.path.join(folder, "store"), sys.argv[3])
            there, found = "s3://runs/trial", os.path.join(folder, "store", "runs", "trial")
        subprocess.run([TAMIS, "run", pipeline, "--run-dir", local], cwd=ROOT, capture_output=True)
        # The head takes no work, so that losing a node loses workers.
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        nodes = [cluster.add_node(num_cpus=2) for _ in range(2)]
        told = {"killed": 0, "lost": 0, "over": False}
        thread = threading.Thread(target=trouble, args=(cluster, nodes, there, kills, told))
        thread.start()
        launch = [TAMIS, "launch", "ray", pipeline, "--run-dir", there, "--workers", "4", "--cpus", "1", "--memory", "1GiB", "--python", sys.executable,
                  "--address", cluster.address, "--retries", "50", "--scripts", os.path.join(folder, "launch"), "--start"]
        start = time.monotonic()
        try:
            subprocess.run(launch, cwd=ROOT, check=True)
        finally:
            told["over"] = True
            thread.join()
            cluster.shutdown()
        for name in ("corpus", "tokens", "rejects", "tokenizer.json", "quarantine.jsonl"):
            if os.path.exists(os.path.join(local, name)):
                assert same(os.path.join(local, name), os.path.join(found, name)), f"`{name}` differs"
        if store:
            store.kill()
        print(f"the same bytes as the local run, with {told['killed']} workers killed and {told['lost']} node lost; {time.monotonic() - start:.0f} s")


main()
