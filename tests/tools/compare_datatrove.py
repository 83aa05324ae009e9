"""Speed of datatrove's filters and of ours on the same documents, in one run.

    pip install "datatrove==0.10.1" spacy regex fasttext-numpy2-wheel fasteners
    python tests/tools/compare_datatrove.py [lid.176.ftz]

Runs FineWeb's four text filters (Gopher repetition, Gopher quality, C4 without terminal punctuation,
FineWeb quality) over `../shared/reference/c4` with datatrove, timing the CPU of this process, then `cargo bench --
filters`, whose chain is the same, and prints both and their ratio; with a fastText model once more behind the language filter (English
at 0.65). Whether the decisions agree is for the tests (`cargo test agreement`); here only the number of kept documents is
compared.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import time

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
)

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS = ROOT.parent / "shared/reference/c4/documents.jsonl"


def is_kept(chain, document):
    for stage in chain:
        verdict = stage.filter(document)
        if verdict is not True:
            return False
    return True


def language_filter(model):
    """datatrove's filter with a model from disk, which it would otherwise load from the network."""
    from fasttext.FastText import _FastText

    stage = LanguageFilter(languages="en", language_threshold=0.65)
    stage.model._model = _FastText(model)
    return stage


def measure_datatrove(path, model):
    with open(path, encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    chain = [
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
    ]
    if model:
        chain.insert(0, language_filter(model))
    is_kept(chain, Document(text="Loads the tokenizer, once.", id="warm-up"))
    is_kept(chain[-4:], Document(text="Loads the tokenizer, once.", id="warm-up"))
    start = time.process_time()
    kept = sum(is_kept(chain, Document(text=text, id=str(number))) for number, text in enumerate(texts))
    seconds = time.process_time() - start
    size = sum(len(text.encode()) for text in texts)
    return kept, size / 1e6 / seconds


def measure_ours(model):
    label = "chain, fastText" if model else "chain"
    more = {"TAMIS_LID_MODEL": model} if model else {}
    command = ["cargo", "bench", "--bench", "bench", "--", "filters"]
    environment = {**os.environ, "TAMIS_BENCH_ONLY": label, **more}
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, env=environment).stdout
    chain = re.search(rf"^{label} +[\d.]+ MB .*? ([\d.]+) MB/s .*? (\d+) of \d+ kept", output, re.MULTILINE)
    return int(chain[2]), float(chain[1])


def main():
    models = [None, *map(os.path.abspath, sys.argv[1:2])]
    for model in models:
        their_kept, theirs = measure_datatrove(DOCUMENTS, model)
        our_kept, ours = measure_ours(model)
        print("behind the language filter" if model else "four text filters")
        print(f"  datatrove {theirs:8.3f} MB per CPU second, {their_kept} documents kept")
        print(f"  tamis     {ours:8.3f} MB per CPU second, {our_kept} documents kept")
        print(f"  ratio     {ours / theirs:8.1f}")


if __name__ == "__main__":
    main()
