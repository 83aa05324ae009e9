"""Trains rustbpe (PyPI) on the corpus that the `tokens` benchmark left in target/bench-tokens.

usage: python tests/tools/bench_rustbpe.py [CORPUS_DIR]     needs rustbpe and pyarrow
"""
import glob
import json
import resource
import sys
import time

import pyarrow.parquet as pq
import rustbpe

folder = sys.argv[1] if len(sys.argv) > 1 else "target/bench-tokens/corpus"
tokenizer = json.load(open(f"{folder}/../tokenizer.json", encoding="utf-8"))
pattern = tokenizer["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]


def texts():
    for path in sorted(glob.glob(f"{folder}/*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(128, columns=["text"]):
            yield from batch.column(0).to_pylist()


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


size = sum(len(text.encode()) for text in texts())
idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
before, start = cpu(), time.time()
peer = rustbpe.Tokenizer()
peer.train_from_iterator(texts(), vocab_size=31999, pattern=pattern)
seconds = cpu() - before
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
print(f"rustbpe: {size / 1e6:.1f} MB, {seconds:.2f} CPU s, {time.time() - start:.2f} s, peak {peak:.0f} MB ({idle:.0f} MB before)")
