"""Compares tamis' fastText reader with the official library, labels, probabilities and speed, in one run.

    pip install fasttext-wheel
    python tests/tools/compare_fasttext.py MODEL SENTENCES... [--pages FILE] [--limit 10000]

SENTENCES are files or folders of UTF-8 text, one sentence a line. --pages is a JSONL file with a `text` field, for
the timing on whole pages. Exits with 1 where a best label differs or a probability is off by more than 0.00001.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import fasttext


def official(model, lines):
    """Three best labels per line as [(probability, label)], and CPU seconds."""
    start = time.process_time()
    predictions = [model.f.predict(line + "\n", 3, 0.0, "strict") for line in lines]
    return predictions, time.process_time() - start


def ours(model_path, lines):
    """The same from tamis; the second value is the line that it reports about its time."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = pathlib.Path(folder, "lines"), pathlib.Path(folder, "out")
        source.write_text("".join(line + "\n" for line in lines), encoding="utf-8", newline="\n")
        command = ["cargo", "bench", "--quiet", "--bench", "bench", "--"]
        command += ["language", "fasttext-predict", str(model_path), str(source), str(out)]
        report = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        predictions = []
        for row in out.read_text(encoding="utf-8").split("\n")[:-1]:
            cells = row.split("\t")
            predictions.append([(float(p), label) for label, p in zip(cells[::2], cells[1::2])])
    return predictions, report


def sentences(paths, limit):
    """Lines of all files, taken evenly so that `limit` of them are left."""
    lines = []
    for path in map(pathlib.Path, paths):
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                lines += file.read_text(encoding="utf-8", errors="replace").replace("\r", " ").split("\n")
    lines = [line for line in lines if line.strip()]
    step = max(1, len(lines) // limit)
    return lines[::step][:limit]


def compare(model, model_path, lines, what):
    theirs, seconds = official(model, lines)
    mine, report = ours(model_path, lines)
    assert len(theirs) == len(mine) == len(lines), (len(theirs), len(mine), len(lines))
    wrong = [i for i, (a, b) in enumerate(zip(theirs, mine)) if a[0][1] != b[0][1]]
    off = max(abs(p - q) for a, b in zip(theirs, mine) for (p, x), (q, y) in zip(a, b) if x == y)
    same_three = sum([x for _, x in a] == [y for _, y in b] for a, b in zip(theirs, mine))
    size = sum(len(line.encode()) for line in lines)
    print(f"{what}: {len(lines)} texts, {size / 1e6:.2f} MB")
    print(f"  best label differs: {len(wrong)}; three best agree in order: {same_three}; largest difference of probability: {off:.2e}")
    print(f"  official: {seconds:.3f} CPU s, {size / 1e6 / seconds:.2f} MB/s, {len(lines) / seconds:.0f} lines/s")
    print(f"  tamis:    {report}")
    for i in wrong[:5]:
        print("   ", repr(lines[i][:80]), theirs[i], mine[i])
    return not wrong and off <= 1e-5


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("sentences", nargs="+")
    parser.add_argument("--pages")
    parser.add_argument("--limit", type=int, default=10_000)
    options = parser.parse_args()
    model = fasttext.load_model(options.model)
    good = compare(model, options.model, sentences(options.sentences, options.limit), "sentences")
    if options.pages:
        rows = pathlib.Path(options.pages).read_text(encoding="utf-8").split("\n")
        pages = [json.loads(row)["text"].replace("\n", " ").replace("\r", " ") for row in rows if row]
        good &= compare(model, options.model, pages, "pages")
    sys.exit(not good)


if __name__ == "__main__":
    main()
