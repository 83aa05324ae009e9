#!/bin/sh
# Makes src/pipeline/languages.yaml anew from the shared reference texts (docs/languages.md):
#
#     tests/tools/calibrate_languages.sh ../shared/data/text.tar.zst
set -eu
archive=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
zstd -dc "$archive" | tar -x -C "$work"
python3 tests/tools/reference_corpus.py "$work/text" > "$work/reference.jsonl"
cargo run --release --quiet -- calibrate --lang-field lang "$work/reference.jsonl" --output src/pipeline/languages.yaml
