#!/bin/bash
# CPU seconds of the same job on local files, and with crawl and run directory in a store on this machine, one after the other, ROUNDS times.
# The store's own time is not counted; its requests are, by kind.
#
#     cargo build --release && cargo build --release --example store
#     tests/tools/compare_store.sh ../shared/data/bench-crawl [ROUNDS]
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
crawl=$(realpath "$1") rounds=${2:-3}
tamis=$root/target/release/tamis
work=$(mktemp -d)
stop() { [ -n "${store:-}" ] && kill "$store" || true; rm -rf "$work"; }
trap stop EXIT
mkdir -p "$work/store/crawl" "$work/store/runs"
cp "$crawl"/*.warc.gz "$work/store/crawl/"
"$root/target/release/examples/store" --folder "$work/store" --bucket crawl --bucket runs >"$work/address" &
store=$!
for _ in $(seq 50); do [ -s "$work/address" ] && break; sleep 0.1; done
export AWS_ENDPOINT_URL=$(head -1 "$work/address") AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=secret AWS_REGION=us-east-1
cd "$root"
measure() { # kind, crawl, run directory
    local before=0
    [ "$1" = store ] && before=$(curl -s "$AWS_ENDPOINT_URL/?log" | wc -l)
    CRAWL=$2 /usr/bin/time -f '%U %S %M %e' -o "$work/time" "$tamis" run tests/tools/trial.yaml --run-dir "$3" --set output.keep_work=true >/dev/null 2>"$work/words" \
        || [ $? = 3 ] || { cat "$work/words"; exit 1; }
    awk -v kind="$1" '{ printf "%-6s %6.2f CPU s, %4d MiB, %5.1f s", kind, $1 + $2, $3 / 1024, $4 }' <(tail -1 "$work/time")
    if [ "$1" = store ]; then
        curl -s "$AWS_ENDPOINT_URL/?log" | tail -n +$((before + 1)) >"$work/requests"
        printf ', %d requests' "$(wc -l <"$work/requests")"
    fi
    echo
    tail -1 "$work/time" | awk '{ print $1 + $2 }' >>"$work/$1.cpu"
}
for round in $(seq "$rounds"); do
    measure local "$crawl/*.warc.gz" "$work/local-$round"
    measure store 's3://crawl/*.warc.gz' "s3://runs/$round"
done
paste "$work/local.cpu" "$work/store.cpu" | awk '{ a += $1; b += $2 } END { printf "store / local: %.3f\n", b / a }'
echo "requests of the last run:"
grep -oE '(GET|PUT|HEAD|POST|DELETE)' "$work/requests" | sort | uniq -c
echo "bytes by folder of the last run:"
cd "$work/store/runs/$rounds"
du -sb --apparent-size -- * | sort -k2; du -sb --apparent-size -- work/* | sort -k2
du -sb "$work/store/crawl" | awk '{ print $1, "crawl, compressed" }'
