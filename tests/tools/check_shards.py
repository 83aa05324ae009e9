"""Checks the token shards of a run with nothing of tamis: a reader written from the format descriptions.

usage: python tests/tools/check_shards.py RUN     needs numpy, pyarrow, tokenizers; uses datatrove and
megatron-core too where they are installed

For every shard: the Megatron index and the datatrove index against the payload and the document index;
every document's tokens against the text of RUN/corpus, decoded and encoded by the Python tokenizer.
"""
import collections
import glob
import hashlib
import json
import sys

import numpy as np
import pyarrow.parquet as pq
import tokenizers

MEGATRON_TYPES = {1: np.uint8, 4: np.int32, 5: np.int64, 8: np.uint16}


def megatron(prefix):
    """Documents by the description of Megatron's memory-mapped format, version 1."""
    index = open(prefix + ".idx", "rb").read()
    assert index[:9] == b"MMIDIDX\0\0", index[:9]
    version, = np.frombuffer(index, "<u8", 1, 9)
    dtype = np.dtype(MEGATRON_TYPES[index[17]]).newbyteorder("<")
    sequences, documents = np.frombuffer(index, "<u8", 2, 18)
    sequences, documents = int(sequences), int(documents)
    assert version == 1 and documents == sequences + 1
    assert len(index) == 34 + 12 * sequences + 8 * documents
    lengths = np.frombuffer(index, "<i4", sequences, 34)
    pointers = np.frombuffer(index, "<i8", sequences, 34 + 4 * sequences)
    assert (np.frombuffer(index, "<i8", documents, 34 + 12 * sequences) == np.arange(documents)).all()
    payload = np.memmap(prefix + ".bin", np.uint8, "r")
    assert int(lengths.sum()) * dtype.itemsize == len(payload)
    for length, pointer in zip(lengths, pointers):
        yield np.frombuffer(payload, dtype, int(length), int(pointer))


def datatrove(prefix, dtype):
    """Documents by the description of datatrove's format."""
    tokens = np.memmap(prefix + ".ds", dtype, "r")
    ends = np.fromfile(prefix + ".ds.index", "<u8")
    start = 0
    for end in ends:
        yield tokens[start:int(end)]
        start = int(end)
    assert start == len(tokens)


def with_datatrove_package(prefix, manifest, window):
    """What datatrove's own reader gives: windows of tokens, the positions starting anew at each document."""
    try:
        from datatrove.utils.dataset import DatatroveFileDataset
    except ImportError as error:
        return f"not checked ({error})"
    size = np.dtype(manifest["dtype"]).itemsize
    whole = np.fromfile(prefix + ".bin", manifest["dtype"])
    ends = np.fromfile(prefix + ".ds.index", "<u8")
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    positions = np.arange(len(whole)) - np.repeat(starts, np.diff(np.concatenate([[0], ends]).astype(np.int64)))
    data = DatatroveFileDataset(prefix + ".ds", window, token_size=size, return_positions=True)
    assert len(data) == len(whole) // (window + 1), (len(data), len(whole))
    for number in range(len(data)):
        item = data[number]
        at = number * (window + 1)
        assert (item["input_ids"].numpy() == whole[at:at + window + 1]).all(), number
        expected = positions[at:at + window + 1].copy()
        # A window starts its own count.
        head = int(np.argmax(expected == 0)) if (expected == 0).any() else len(expected)
        expected[:head] = np.arange(head)
        assert (item["positions"].numpy() == expected).all(), number
    return f"{len(data)} windows agree"


def with_megatron_package(prefix, documents):
    """What Megatron's own reader gives."""
    try:
        from megatron.core.datasets.indexed_dataset import IndexedDataset
    except ImportError as error:
        return f"not checked ({error})"
    data = IndexedDataset(prefix)
    assert len(data) == len(documents)
    assert all((data[number] == tokens).all() for number, tokens in enumerate(documents))
    return f"{len(data)} sequences agree"


def main(run):
    manifest = json.load(open(f"{run}/tokens/manifest.json", encoding="utf-8"))
    raw = open(f"{run}/tokenizer.json", "rb").read()
    assert hashlib.sha256(raw).hexdigest() == manifest["tokenizer"]["sha256"]
    tokenizer = tokenizers.Tokenizer.from_str(raw.decode())
    tokenizer.encode_special_tokens = True
    assert tokenizer.token_to_id(manifest["eos_token"]) == manifest["eos_id"]
    assert tokenizer.get_vocab_size() == manifest["vocab_size"]
    corpus = collections.Counter()
    for path in sorted(glob.glob(f"{run}/corpus/*.parquet")):
        table = pq.read_table(path, columns=["id", "text"])
        corpus.update(zip(table["id"].to_pylist(), table["text"].to_pylist()))
    found = collections.Counter()
    total = 0
    for shard in manifest["shards"]:
        prefix = f"{run}/tokens/{shard['name']}"
        payload = open(prefix + ".bin", "rb").read()
        assert len(payload) == shard["bytes"] and hashlib.sha256(payload).hexdigest() == shard["sha256"]
        documents = list(megatron(prefix))
        assert len(documents) == shard["docs"]
        rows = pq.read_table(prefix + ".docs.parquet").to_pylist()
        start = 0
        for one, two, row in zip(documents, datatrove(prefix, manifest["dtype"]), rows, strict=True):
            assert (one == two).all() and (row["start"], row["tokens"]) == (start, len(one))
            start += len(one)
            assert one[-1] == manifest["eos_id"] and one.max() < manifest["vocab_size"]
            text = tokenizer.decode(one[:-1].tolist(), skip_special_tokens=False)
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            assert ids == one[:-1].tolist(), f"other ids for {row['id']}"
            found[row["id"], text] += 1
        total += start
        print(shard["name"], "datatrove:", with_datatrove_package(prefix, manifest, 256))
        print(shard["name"], "megatron:", with_megatron_package(prefix, documents))
    assert total == manifest["tokens"]
    assert found == corpus, "the shards do not hold the corpus (a tokenizer with a normaliser changes text)"
    print(f"{len(manifest['shards'])} shards, {sum(found.values())} documents, {total} tokens: all decode to the corpus")


main(sys.argv[1])
