#!/usr/bin/env python3
"""MinHash signatures per CPU second: ours beside datatrove, rensa and datasketch, in one run.

    python3 -m venv V && V/bin/pip install datatrove rensa datasketch spacy tokenizers "xxhash<3.6"
    cargo bench --no-run
    V/bin/python tests/tools/compare_minhash.py TEXTS.jsonl [BENCH-EXECUTABLE]

TEXTS.jsonl (or .jsonl.zst, read with the `zstd` program): one object with `text` a line. Ours is the
bench executable, on the same file, from text to band hashes and sorted shingle set. The peers get the
first megabytes of it: each makes its signature its own way; rensa and datasketch come without a word
splitter, so `lower().split()` and 5-grams joined with spaces are made for them, timed apart.
"""
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import time


def texts(path):
    data = subprocess.run(["zstd", "-dc", path], capture_output=True, check=True).stdout \
        if path.endswith(".zst") else open(path, "rb").read()
    return [json.loads(line)["text"] for line in data.splitlines() if line.strip()]


def some(all_texts, megabytes):
    taken, size = [], 0
    for text in all_texts:
        if size > megabytes * 1e6:
            break
        taken.append(text)
        size += len(text.encode())
    return taken, size / 1e6


def rate(name, size, work):
    start = time.process_time()
    work()
    value = size / (time.process_time() - start)
    print(f"{name:62} {value:9.3f} MB per CPU second", flush=True)
    return value


def shingles(text):
    words = text.lower().split()
    return [" ".join(words[i:i + 5]) for i in range(len(words) - 4)]


def peers(all_texts):
    rates = {}
    import datasketch
    import rensa
    taken, size = some(all_texts, 6)
    made = []
    rates["shingles"] = rate("5-grams by str.split and join (for the next two)", size,
                             lambda: made.extend(shingles(text) for text in taken))
    for hashes in (112, 286):
        def sketch():
            for grams in made:
                sketched = rensa.RMinHash(num_perm=hashes, seed=1)
                sketched.update(grams)
                sketched.digest()
        if hashes == 112:
            sketch()  # the first walk over the strings costs as much again
        alone = rate(f"rensa RMinHash, {hashes} hashes, given the 5-grams", size, sketch)
        rates[f"rensa {hashes}"] = 1 / (1 / alone + 1 / rates["shingles"])
    few = made[:300]
    small = sum(len(text.encode()) for text in taken[:300]) / 1e6
    for hashes in (112, 286):
        def batch():
            for grams in few:
                sketched = datasketch.MinHash(num_perm=hashes, seed=1)
                sketched.update_batch([gram.encode() for gram in grams])
        alone = rate(f"datasketch MinHash.update_batch, {hashes} hashes, given the 5-grams", small, batch)
        rates[f"datasketch {hashes}"] = 1 / (1 / alone + 1 / rates["shingles"])

    from datatrove.pipeline.dedup import MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    with tempfile.TemporaryDirectory() as folder:
        step = MinhashDedupSignature(output_folder=folder, config=MinhashConfig(), language="eng")
        taken, size = some(all_texts, 1)
        step.get_signature(step.get_shingles("warm up the tokenizer with six words"))

        def sign():
            for text in taken:
                grams = step.get_shingles(text)
                if grams.size:
                    step.get_signature(grams)
        rates["datatrove 112"] = rate("datatrove MinhashDedupSignature, 112 hashes, from text", size, sign)
    return rates


def ours(path, executable):
    environment = dict(os.environ, TAMIS_BENCH_TEXT=os.path.abspath(path))
    output = subprocess.run([executable], env=environment, capture_output=True, text=True, check=True).stdout
    found = re.findall(r"signatures, (\d+) hashes: ([0-9.]+) MB", output)
    for hashes, value in found:
        print(f"tamis, {hashes} hashes, from text".ljust(62), f"{float(value):9.3f} MB per CPU second")
    return {int(hashes): float(value) for hashes, value in found}


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    root = os.path.join(os.path.dirname(__file__), "..", "..")
    executables = [path for path in glob.glob(os.path.join(root, "target/release/deps/bench-*"))
                   if os.access(path, os.X_OK) and not path.endswith(".d")]
    executable = sys.argv[2] if len(sys.argv) > 2 else max(executables, key=os.path.getmtime)
    mine = ours(sys.argv[1], executable)
    rates = peers(texts(sys.argv[1]))
    print("\nfrom text to signature, times as fast as")
    for name, value in rates.items():
        if name[-3:].isdigit():
            print(f"  {name:20} {mine[int(name[-3:])] / value:7.1f}")


if __name__ == "__main__":
    main()
