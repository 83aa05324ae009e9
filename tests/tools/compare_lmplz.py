"""Our n-gram training against KenLM's lmplz, on the same text, in one run.

    pip install kenlm; build lmplz and build_binary from the sources in that package (cmake, boost)
    python tests/tools/compare_lmplz.py --lmplz BIN/lmplz --text TRAIN.txt --held HELD_OUT.txt
                                        [--tamis target/release/tamis] [--order 5] [--memory 400MiB]
                                        [--prune 0 0 1] [--vocabulary FILE] [--skip-symbols] [--fallback]

Trains with both, with the same memory; prints CPU seconds, peak memory and their ratio; compares every line of the two
ARPA files (same n-grams, same order, values to 1e-5); scores the held-out text with KenLM's Python module on
lmplz's ARPA file, ours, and our binary (perplexities within 0.1 %); trains once more with 64 MiB and one thread and
compares bytes. With `build_binary` beside lmplz our binary is held against KenLM's of our ARPA file, table by table.
Ends with an error where something differs.
"""

import argparse
import filecmp
import os
import subprocess
import sys
import tempfile

import kenlm

parser = argparse.ArgumentParser()
parser.add_argument("--lmplz", required=True)
parser.add_argument("--text", required=True)
parser.add_argument("--held", required=True)
parser.add_argument("--tamis", default="target/release/tamis")
parser.add_argument("--order", default="5")
parser.add_argument("--memory", default="400MiB")
parser.add_argument("--prune", nargs="*", default=[])
parser.add_argument("--vocabulary")
parser.add_argument("--skip-symbols", action="store_true")
parser.add_argument("--fallback", action="store_true")
args = parser.parse_args()
failures = []


def measured(command):
    """CPU seconds and peak MB of a command."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command} failed: {errors.decode()}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


def check(what, holds):
    print(f"{'ok  ' if holds else 'FAIL'} {what}")
    if not holds:
        failures.append(what)


def compare_arpa(ours, theirs):
    """Number of lines, lines that are not about the same n-gram, largest difference of a value."""
    lines = different = 0
    largest = 0.0
    with open(ours, "rb") as one, open(theirs, "rb") as other:
        for a, b in zip(one, other):
            lines += 1
            if a == b:
                continue
            a, b = a.rstrip(b"\n").split(b"\t"), b.rstrip(b"\n").split(b"\t")
            if len(a) != len(b) or len(a) < 2 or a[1] != b[1]:
                different += 1
                continue
            pairs = [(a[0], b[0]), *zip(a[2:], b[2:])]
            largest = max([largest] + [abs(float(x) - float(y)) for x, y in pairs])
        different += sum(1 for _ in one) + sum(1 for _ in other)
    return lines, different, largest


def perplexity(path):
    model = kenlm.Model(path)
    total = tokens = 0
    reserved = {"<s>", "</s>", "<unk>"}
    with open(args.held, encoding="utf-8", errors="replace") as held:
        for line in held:
            words = [word for word in line.split() if word not in reserved]
            total += model.score(" ".join(words))
            tokens += len(words) + 1
    return 10 ** (-total / tokens)


def tables(path):
    """Sections of a probing binary, hash tables as sorted records."""
    import numpy as np

    data = open(path, "rb").read()
    order = data[88]
    counts = [int.from_bytes(data[108 + 8 * n : 116 + 8 * n], "little") for n in range(order)]
    at = (108 + 8 * order + 7) // 8 * 8 + 8
    sections = [data[:at]]
    for number, (entries, record) in enumerate(
        [(counts[0], 12)] + [(count, 16) for count in counts[1:-1]] + [(counts[-1], 12)]
    ):
        if number == 1:
            end = at + 8 * (counts[0] + 1)
            sections.append(data[at:end])
            at = end
        places = max(entries + 1, int(np.float32(1.5) * np.float32(entries)))
        end = at + places * record
        records = np.frombuffer(data[at:end], dtype=np.dtype([("key", "<u8"), ("rest", f"V{record - 8}")]))
        sections.append(records[np.argsort(records["key"], kind="stable")].tobytes())
        at = end
    return [*sections, data[at:]]


with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
    theirs, ours, binary = (f"{folder}/{name}" for name in ("lmplz.arpa", "tamis.arpa", "tamis.binary"))
    size = args.memory.replace("iB", "")
    reference = [args.lmplz, "-o", args.order, "-S", size, "-T", f"{folder}/t", "--text", args.text, "--arpa", theirs]
    mine = [args.tamis, "lm", "train", "--order", args.order, "--temp", folder, "--text", args.text]
    if args.prune:
        reference += ["--prune", *args.prune]
        mine += ["--prune", *args.prune]
    if args.vocabulary:
        reference += ["--limit_vocab_file", args.vocabulary]
        mine += ["--vocabulary", args.vocabulary]
    if args.skip_symbols:
        reference.append("--skip_symbols")
        mine.append("--skip-symbols")
    if args.fallback:
        reference.append("--discount_fallback")
        mine.append("--discount-fallback")
    for number in range(2):
        them = measured(reference)
        us = measured([*mine, "--memory", args.memory, "--arpa", ours])
        print(
            f"run {number + 1}: lmplz {them[0]:.2f} CPU s, {them[1]:.0f} MB; tamis {us[0]:.2f} CPU s, {us[1]:.0f} MB;"
            f" lmplz / tamis {them[0] / us[0]:.2f} in CPU, {them[1] / us[1]:.2f} in memory"
        )
    lines, different, largest = compare_arpa(ours, theirs)
    check(f"{lines} lines of ARPA, {different} about other n-grams, largest difference {largest:.1e}",
          different == 0 and largest <= 1e-5)
    both = measured([*mine, "--memory", args.memory, "--binary", binary])
    print(f"binary alone: tamis {both[0]:.2f} CPU s, {both[1]:.0f} MB")
    small = measured([*mine, "--memory", "64MiB", "--threads", "1",
                      "--arpa", f"{folder}/small.arpa", "--binary", f"{folder}/small.binary"])
    same = filecmp.cmp(ours, f"{folder}/small.arpa", False) and filecmp.cmp(binary, f"{folder}/small.binary", False)
    check(f"64 MiB and one thread: the same bytes ({small[0]:.2f} CPU s, {small[1]:.0f} MB)", same)
    expected = perplexity(theirs)
    for name, path in (("ARPA", ours), ("binary", binary)):
        found = perplexity(path)
        check(f"perplexity of {name}: {found:.6f}, lmplz {expected:.6f}", abs(found / expected - 1) < 1e-3)
    build_binary = os.path.join(os.path.dirname(args.lmplz), "build_binary")
    if os.path.exists(build_binary):
        measured([build_binary, "probing", ours, f"{folder}/kenlm.binary"])
        check("the binary holds what build_binary's does", tables(binary) == tables(f"{folder}/kenlm.binary"))
sys.exit(1 if failures else 0)
