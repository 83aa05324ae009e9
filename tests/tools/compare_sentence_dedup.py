#!/usr/bin/env python3
"""`sentence_dedup` beside datatrove's SentenceDedup blocks on the same documents, in one run.

    python3 -m venv V && V/bin/pip install "datatrove==0.10.1" spacy pyarrow "xxhash<3.6"
    cargo build --release
    V/bin/python tests/tools/compare_sentence_dedup.py [DOCUMENTS.jsonl]

The documents are those of `../shared/reference/c4`; to every third the middle of the one before is added, so
that there is something to find. For every document whose end differs (another text, or kept here and dropped there) the
cause is looked for: datatrove is run again with its blank sentences counted alike when hashing and when cutting (it
leaves them out only when hashing). What then agrees differed for that; in what then still differs, sentences end elsewhere.
"""
import glob
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import pyarrow.parquet
from datatrove.data import Document
from datatrove.pipeline.dedup import SentenceDedupFilter, SentenceDedupSignature, SentenceFindDedups
from datatrove.pipeline.dedup.sentence_dedup import SentDedupConfig

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS = ROOT.parent / "shared/reference/c4/documents.jsonl"


def documents(path):
    with open(path, encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    for number in range(2, len(texts), 3):
        before = texts[number - 1]
        start = before.find(". ", len(before) // 4)
        end = before.find(". ", len(before) * 3 // 4)
        if 0 <= start < end:
            texts[number] += " " + before[start + 2:end + 1]
    return texts


def count_blanks_alike(tokenizer):
    """Blank sentences belong to the one before, when hashing and when cutting."""
    spans_of = type(tokenizer).span_tokenize

    def span_tokenize(text):
        merged = []
        for start, end in spans_of(tokenizer, text):
            # As the filter reads them: from the end of the one before.
            start = merged[-1][1] if merged else 0
            if merged and not text[start:end].strip():
                merged[-1] = (merged[-1][0], end)
            else:
                merged.append((start, end))
        return merged

    tokenizer.span_tokenize = span_tokenize
    tokenizer.sent_tokenize = lambda text: [text[start:end].strip() for start, end in span_tokenize(text)]


def theirs(texts, alike):
    config = SentDedupConfig()
    docs = [Document(text=text, id=str(number)) for number, text in enumerate(texts)]
    with tempfile.TemporaryDirectory() as folder:
        signature = SentenceDedupSignature(f"{folder}/s", config=config)
        find = SentenceFindDedups(f"{folder}/s", f"{folder}/d", config=config)
        cut = SentenceDedupFilter(f"{folder}/d/0000", config=config)
        signature.tokenizer.sent_tokenize("Loads it once.")
        if alike:
            for tokenizer in {id(t): t for t in (signature.tokenizer, cut.tokenizer)}.values():
                count_blanks_alike(tokenizer)
        start = time.process_time()
        signature.run(docs)
        find.run()
        left = {int(doc.id): doc.text for doc in cut.run(docs)}
        secs = time.process_time() - start
        for tokenizer in (signature.tokenizer, cut.tokenizer):
            for name in ("span_tokenize", "sent_tokenize"):
                tokenizer.__dict__.pop(name, None)
    return left, secs


def ours(texts):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        with open(folder / "docs.jsonl", "w", encoding="utf-8") as out:
            for number, text in enumerate(texts):
                out.write(json.dumps({"id": str(number), "text": text}) + "\n")
        (folder / "p.yaml").write_text(
            f"name: compare\ninput:\n  - jsonl: {{ paths: [{folder}/docs.jsonl] }}\nstages:\n  - sentence_dedup\n")
        subprocess.run([ROOT / "target/release/tamis", "run", folder / "p.yaml", "--run-dir", folder / "run"],
                       check=True, capture_output=True)
        left = {}
        for path in sorted(glob.glob(f"{folder}/run/corpus/*.parquet")):
            for row in pyarrow.parquet.read_table(path, columns=["id", "text"]).to_pylist():
                left[int(row["id"])] = row["text"]
        return left


def main():
    texts = documents(sys.argv[1] if len(sys.argv) > 1 else DOCUMENTS)
    size = sum(len(text.encode()) for text in texts)
    mine = ours(texts)
    plain, secs = theirs(texts, False)
    alike, _ = theirs(texts, True)

    def changed(left):
        dropped = len(texts) - len(left)
        return f"{sum(left[n] != texts[n] for n in left)} cut, {dropped} dropped"

    print(f"{len(texts)} documents, {size / 1e6:.1f} MB")
    print(f"tamis:     {changed(mine)}")
    print(f"datatrove: {changed(plain)}; {size / 1e6 / secs:.2f} MB per CPU second")
    print(f"datatrove, blank sentences counted alike: {changed(alike)}")
    different = [n for n in range(len(texts)) if mine.get(n) != plain.get(n)]
    borders = [n for n in different if mine.get(n) != alike.get(n)]
    print(f"{len(different)} documents differ: {len(different) - len(borders)} for blank sentences, "
          f"{len(borders)} for the ends of sentences")
    for number in borders[:10]:
        a, b = mine.get(number), alike.get(number)
        if a is None or b is None:
            print(f"  {number}: {'dropped' if a is None else 'kept'} here, {'dropped' if b is None else 'kept'} there")
            continue
        at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
        print(f"  {number}: from character {at} on {a[at - 30:at + 40]!r} here, {b[at - 30:at + 40]!r} there")


if __name__ == "__main__":
    main()
