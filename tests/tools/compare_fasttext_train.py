"""Trains a classifier with tamis and with the official fastText library on the same documents, in one run.

    pip install fasttext-wheel 'numpy<2'
    cargo build --release
    python tests/tools/compare_fasttext_train.py --label hq=GOOD.txt --label cc=BAD.txt [--word-ngrams 2 ...]

Files hold one document a line. A tenth of the documents, chosen by a hash, is held out. Prints accuracy, macro F1 and ROC
AUC of both on it, CPU seconds and their ratio, and how far the two libraries' probabilities for our model differ. Exits
with 1 where our F1 is more than a point below, a probability is off by more than 0.00001, or two threads give other bytes
than one.
"""

import argparse
import hashlib
import json
import pathlib
import random
import resource
import subprocess
import sys
import tempfile

import fasttext

OFFICIAL = """
import json, sys, time
import fasttext
options = json.loads(sys.argv[3])
start = time.process_time()
model = fasttext.train_supervised(sys.argv[1], loss="softmax", thread=1, verbose=0, **options)
print(time.process_time() - start)
model.save_model(sys.argv[2])
"""


def documents(label, path):
    for line in pathlib.Path(path).read_text(encoding="utf-8").split("\n"):
        if line.strip():
            yield label, " ".join(line.split())


def cpu_of(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return out, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def scores(model, held):
    """Probability per label for every document."""
    return [{label: p for p, label in model.f.predict(text + "\n", -1, 0.0, "strict")} for _, text in held]


def auc(pairs):
    pairs = sorted(pairs)
    wins = others = members = i = 0
    while i < len(pairs):
        j = i
        while j < len(pairs) and pairs[j][0] == pairs[i][0]:
            j += 1
        inside = sum(member for _, member in pairs[i:j])
        wins += inside * (others + (j - i - inside) / 2)
        members, others, i = members + inside, others + j - i - inside, j
    return wins / (members * others)


def quality(found, held, labels):
    best = [max(row, key=row.get) for row in found]
    truth = [f"__label__{label}" for label, _ in held]
    f1, areas = [], []
    for label in labels:
        hits = sum(b == t == label for b, t in zip(best, truth))
        f1.append(2 * hits / max(1, best.count(label) + truth.count(label)))
        areas.append(auc([(row.get(label, 0.0), t == label) for row, t in zip(found, truth)]))
    accuracy = sum(b == t for b, t in zip(best, truth)) / len(truth)
    return accuracy, sum(f1) / len(f1), sum(areas) / len(areas)


def ours_predicts(model, held, folder):
    source, out = folder / "lines", folder / "out"
    source.write_text("".join(text + "\n" for _, text in held), encoding="utf-8", newline="\n")
    command = ["cargo", "bench", "--quiet", "--bench", "bench", "--", "language", "fasttext-predict", str(model), str(source), str(out)]
    subprocess.run(command, check=True, capture_output=True)
    for row in out.read_text(encoding="utf-8").split("\n")[:-1]:
        cells = row.split("\t")
        yield dict(zip(cells[::2], map(float, cells[1::2])))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--label", action="append", required=True, metavar="NAME=FILE")
    parser.add_argument("--tamis", default="target/release/tamis")
    for name, default in [("dim", 100), ("epoch", 5), ("word-ngrams", 1), ("minn", 0), ("maxn", 0), ("bucket", 2_000_000), ("min-count", 1)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--lr", type=float, default=0.1)
    options = parser.parse_args()
    rows = sorted({row for pair in options.label for row in documents(*pair.split("=", 1))})
    random.Random(0).shuffle(rows)
    held = [row for row in rows if hashlib.sha256(row[1].encode()).digest()[0] < 26]
    train = [row for row in rows if hashlib.sha256(row[1].encode()).digest()[0] >= 26]
    labels = sorted({f"__label__{label}" for label, _ in rows})
    size = sum(len(text.encode()) for _, text in train)
    print(f"{len(train)} documents to train with, {size / 1e6:.1f} MB, {len(labels)} labels; {len(held)} held out")
    names = {"word-ngrams": "wordNgrams", "min-count": "minCount"}
    settings = {k: vars(options)[k.replace("-", "_")] for k in ["dim", "epoch", "lr", "word-ngrams", "minn", "maxn", "bucket", "min-count"]}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "train.txt").write_text("".join(f"__label__{label} {text}\n" for label, text in train), encoding="utf-8")
        arguments = [f"--{k}={v}" for k, v in settings.items()] + ["--held-out=0", "--memory=20GiB"]
        for label in labels:
            name = label.removeprefix("__label__")
            (folder / f"{name}.txt").write_text("".join(text + "\n" for own, text in train if own == name), encoding="utf-8")
            arguments += ["--label", f"{name}={folder / name}.txt"]
        official = {names.get(k, k): v for k, v in settings.items()}
        command = [sys.executable, "-c", OFFICIAL, str(folder / "train.txt"), str(folder / "official.bin"), json.dumps(official)]
        official_cpu = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        cpu = {}
        for threads in (1, 2):
            target = str(folder / f"ours{threads}.bin")
            cpu[threads] = cpu_of([options.tamis, "classifier", "train", *arguments, "--output", target, f"--threads={threads}"])[1]
        same = (folder / "ours1.bin").read_bytes() == (folder / "ours2.bin").read_bytes()
        theirs = quality(scores(fasttext.load_model(str(folder / "official.bin")), held), held, labels)
        loaded = scores(fasttext.load_model(str(folder / "ours1.bin")), held)
        ours = quality(loaded, held, labels)
        off = max(abs(p - row[label]) for row, mine in zip(loaded, ours_predicts(folder / "ours1.bin", held, folder)) for label, p in mine.items())
    print("                 accuracy  macro F1  ROC AUC   CPU s")
    print("official      " + "".join(f"{value:10.4f}" for value in theirs) + f"{official_cpu:10.2f}   one thread, training alone")
    for threads in (1, 2):
        print("tamis         " + "".join(f"{value:10.4f}" for value in ours) + f"{cpu[threads]:10.2f}   {threads} thread(s), the whole command")
    print(f"official CPU / tamis CPU with one thread: {official_cpu / cpu[1]:.2f}")
    print(f"our model in both libraries: probabilities differ by at most {off:.1e}; one and two threads the same bytes: {same}")
    sys.exit(not (same and off <= 1e-5 and ours[1] >= theirs[1] - 0.01))


if __name__ == "__main__":
    main()
