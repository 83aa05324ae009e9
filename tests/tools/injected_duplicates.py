#!/usr/bin/env python3
"""Which of the duplicates that were injected into the shared crawl `exact_dedup` and `minhash_dedup` remove.

    pip install pyarrow
    cargo build --release
    python tests/tools/injected_duplicates.py [BENCH_CRAWL]

BENCH_CRAWL (default `../shared/data/bench-crawl`) holds WET files and `manifest.tsv.zst`, which names the source of each injected page. A
pair counts where both pages are in the files; it is found where one of them is removed as a copy. Similarity: Jaccard
of the sets of five words in small letters between white space, which is not quite the stage's own.
"""
import glob
import pathlib
import re
import subprocess
import sys
import tempfile
import gzip

import pyarrow.parquet as parquet

ROOT = pathlib.Path(__file__).resolve().parents[2]
PIPELINE = """name: injected
input:
  - wet: {{ paths: ["{folder}/*.wet.gz"] }}
stages:
  - exact_dedup
  - minhash_dedup
"""


def pages(folder):
    texts = {}
    for path in sorted(glob.glob(f"{folder}/*.wet.gz")):
        data, at = gzip.open(path, "rb").read(), 0
        while at < len(data):
            end = data.index(b"\r\n\r\n", at)
            head = data[at:end].decode()
            length = int(re.search(r"(?mi)^Content-Length: (\d+)", head)[1])
            address = re.search(r"(?m)^WARC-Target-URI: (\S+)", head)
            if address:
                texts[address[1]] = data[end + 4:end + 4 + length].decode("utf-8", "replace")
            at = end + 4 + length + 4
    return texts


def shingles(text):
    words = text.lower().split()
    return {tuple(words[i:i + 5]) for i in range(len(words) - 4)}


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT.parent / "shared/data/bench-crawl").resolve()
    manifest = subprocess.run(["zstd", "-dc", folder / "manifest.tsv.zst"], capture_output=True, check=True, text=True)
    header, *rows = (line.split("\t") for line in manifest.stdout.splitlines())
    column = {name: place for place, name in enumerate(header)}
    texts = pages(folder)
    of = lambda row, name: row[column[name]]
    rows = [row for row in rows if of(row, "url") in texts]
    sources = {of(row, "sha1"): of(row, "url") for row in rows if not of(row, "dup_kind")}
    with tempfile.TemporaryDirectory() as scratch:
        yaml, run = pathlib.Path(scratch, "p.yaml"), pathlib.Path(scratch, "run")
        yaml.write_text(PIPELINE.format(folder=folder))
        subprocess.run([ROOT / "target/release/tamis", "run", yaml, "--run-dir", run], check=True, capture_output=True)
        kept = {address for path in glob.glob(f"{run}/corpus/*.parquet")
                for address in parquet.read_table(path, columns=["url"])["url"].to_pylist()}
    print(f"{len(texts)} pages, {len(texts) - len(kept & texts.keys())} removed")
    counts = {}
    for row in rows:
        if not of(row, "dup_kind") or of(row, "dup_of") not in sources:
            continue
        pair = of(row, "url"), sources[of(row, "dup_of")]
        if of(row, "dup_kind") == "exact":
            band = "exact"
        else:
            a, b = (shingles(texts[address]) for address in pair)
            similarity = len(a & b) / len(a | b) if a | b else 0
            low = min(int(similarity * 10), 9) / 10
            band = "near, below .5" if similarity < .5 else f"near, {low:.1f} to {low + .1:.1f}"
        found = sum(address not in kept for address in pair) > 0
        counts.setdefault(band, [0, 0])[found] += 1
    print("| injected | pairs | found |")
    for band, (missed, found) in sorted(counts.items()):
        print(f"| {band} | {missed + found} | {found} |")


main()
