"""The driver of `tamis launch ray`: each pass as Ray tasks that run the program, one pass after the other.

`python driver.py [ADDRESS]`; without an address the cluster that RAY_ADDRESS names, or that runs here. May be run again after a failure: tasks that
are done are passed over.
"""
import json
import os
import subprocess
import sys
import time

import ray

PLAN = json.load(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "plan.json")))


class Again(Exception):
    """The worker was interrupted or killed: it can be started anywhere."""


@ray.remote(num_cpus=PLAN["cpus"], memory=PLAN["memory_mib"] << 20, max_retries=PLAN["retries"], retry_exceptions=[Again])
def work(step, index, workers, environment):
    command = [PLAN["program"], "finish", PLAN["run_dir"]]
    if step != "finish":
        command = [PLAN["program"], "task", PLAN["run_dir"], "--pass", step, "--share", f"{index}/{workers}",
                   "--threads", str(PLAN["cpus"]), "--memory", f"{PLAN['budget_mib']}MiB"]
    # Nodes that share no folder with the driver have another one for this.
    folder = PLAN["start_dir"] if os.path.isdir(PLAN["start_dir"]) else None
    done = subprocess.run(command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True)
    if done.returncode == 75 or done.returncode < 0:
        raise Again(f"{step}, worker {index}: exit code {done.returncode}")
    # 3: done, with records in quarantine.
    if done.returncode not in (0, 3):
        raise RuntimeError(f"{step}, worker {index}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def main():
    ray.init(address=sys.argv[1] if len(sys.argv) > 1 else os.environ.get("RAY_ADDRESS", "auto"), log_to_driver=False)
    # What object stores need: address and credentials.
    environment = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "GOOGLE_", "AZURE_", "TAMIS_"))}
    steps = PLAN["steps"] + [["finish", 1]]
    for number, (step, workers) in enumerate(steps, 1):
        start = time.monotonic()
        left = [work.options(name=f"tamis {step} {index}").remote(step, index, workers, environment) for index in range(workers)]
        while left:
            done, left = ray.wait(left, timeout=10)
            try:
                text = ray.get(done)
            except (ray.exceptions.RayError, Again) as error:
                sys.exit(f"{step} failed: {error}\nthe same command goes on when the cause is mended")
            if left and sys.stderr.isatty():
                print(f"{step}: {workers - len(left)} of {workers} workers are done", end="\r", file=sys.stderr)
        print(f"{number}/{len(steps)} {step}: {workers} workers, {time.monotonic() - start:.1f} s", flush=True)
    print(text[0], end="")


main()
