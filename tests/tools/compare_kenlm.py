"""Compares n-gram scores with KenLM's, line by line, and the speed with that of KenLM's `query`, in one run.

    pip install kenlm
    cargo build --release && cargo bench --no-run
    python tests/tools/compare_kenlm.py LINES MODEL... [--programs FOLDER] [--limit 100000]

LINES is UTF-8 text; MODEL are ARPA files or KenLM binaries. FOLDER holds KenLM's `query` (built from the sources that
PyPI's archive has); without it the only KenLM that is timed is the loop in Python, which is not its speed. CPU seconds
of programs are user and system time of the whole process less those of the same process on empty input, so that neither
opening nor checking a model is in them. Exits with 1 where a log10 probability is off by more than 0.0001 or another
number differs.
"""

import argparse
import math
import pathlib
import resource
import subprocess
import sys
import time

import kenlm


def cpu(command, text):
    """Output and CPU seconds of a program."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run(command, input=text, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return run, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def net(command, text, rounds=5):
    """Output, and the best of some differences of CPU seconds to empty input."""
    empty = min(cpu(command, b"")[1] for _ in range(rounds))
    runs = [cpu(command, text) for _ in range(rounds)]
    return runs[0][0], min(seconds for _, seconds in runs) - empty


def theirs(model, lines):
    """(log10 probability, tokens, unknown words) per line. KenLM adds up in 32 bits; here 64 do it."""
    rows = []
    for line in lines:
        words = list(model.full_scores(line))
        rows.append((math.fsum(prob for prob, _, _ in words), len(words), sum(oov for _, _, oov in words)))
    return rows


def compare(path, lines, options):
    text = b"".join(line + b"\n" for line in lines)
    run, seconds = net([options.tamis, "lm", "score", "--model", path], text)
    mine = []
    for row in run.stdout.decode().splitlines():
        prob, tokens, oovs, _ = row.split("\t")
        mine.append((float(prob), int(tokens), int(oovs)))
    model = kenlm.Model(str(path))
    start = time.process_time()
    expected = theirs(model, [line.decode() for line in lines])
    loop = time.process_time() - start
    assert len(mine) == len(expected) == len(lines), (len(mine), len(expected), len(lines))
    off = max(abs(a[0] - b[0]) for a, b in zip(mine, expected))
    other = sum(a[1:] != b[1:] for a, b in zip(mine, expected))
    tokens = sum(row[1] for row in mine)
    rate = lambda seconds: f"{tokens / seconds / 1e6:6.2f} M tokens per CPU second"
    print(f"{path}: order {model.order}, {len(lines)} lines, {tokens} tokens")
    print(f"  largest difference of log10 probability {off:.1e}; lines with another number of tokens or unknown words: {other}")
    print(f"  tamis lm score    {rate(seconds)}, with its table of four columns")
    bench = ["cargo", "bench", "--quiet", "--bench", "bench", "--", "ngram", path, options.lines]
    print("  tamis, as a library:", subprocess.run(bench, check=True, capture_output=True, text=True).stdout.strip().split(": ", 1)[1])
    if options.programs:
        _, query = net([options.programs / "query", "-v", "sentence", path], text)
        print(f"  KenLM query       {rate(query)}, with its lines of two numbers; ratio {query / seconds:.2f}")
        _, query = net([options.programs / "query", "-v", "summary", path], text)
        print(f"  KenLM query       {rate(query)}, with a summary only; ratio {query / seconds:.2f}")
    print(f"  Python loop       {rate(loop)}")
    return off <= 1e-4 and not other


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lines", type=pathlib.Path)
    parser.add_argument("models", nargs="+", type=pathlib.Path)
    parser.add_argument("--programs", type=pathlib.Path)
    parser.add_argument("--tamis", type=pathlib.Path, default="target/release/tamis")
    parser.add_argument("--limit", type=int, default=100_000)
    options = parser.parse_args()
    lines = options.lines.read_bytes().split(b"\n")[: options.limit]
    good = [compare(path, lines, options) for path in options.models]
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
