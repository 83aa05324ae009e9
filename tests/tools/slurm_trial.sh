#!/bin/bash
# A run on a real Slurm of one controller and three nodes on this machine, with workers killed, a node drained and a node lost; its bytes
# must be those of a local run.
#
#     apt-get install slurmctld slurmd munge
#     cargo build --release && sudo tests/tools/slurm_trial.sh [PIPELINE] [KILLS] [CRAWL]
#
# With CRAWL, a folder of WARC files, crawl and run directory are in an object store that fails 5 % of the requests, throttles 2 % and cuts 2 % of
# the bodies (`cargo build --release --example store`); PIPELINE reads `${CRAWL}`, as tests/tools/trial.yaml does.
#
# Needs root (munge and slurmd), and nothing of an existing Slurm: ports 16817 to 17003, a folder of its own.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
pipeline=${1:-$root/pipelines/quickstart.yaml} kills=${2:-30} crawl=${3:-}
tamis=$root/target/release/tamis
work=$(mktemp -d)
chmod 755 "$work"
export SLURM_CONF=$work/slurm.conf
stop() {
    pkill -f "slurmd -N n[1-3]" || true
    pkill -f "slurmctld -f $SLURM_CONF" || true
    [ -n "${munged:-}" ] && kill "$munged" || true
    [ -n "${store:-}" ] && kill "$store" || true
    sleep 1
    rm -rf "$work" || true
}
trap stop EXIT

mkdir -p "$work/state" "$work/munge" "$work/log"
chown munge "$work/munge"
[ -s /etc/munge/munge.key ] || { dd if=/dev/urandom of=/etc/munge/munge.key bs=1 count=1024 status=none; chown munge /etc/munge/munge.key; chmod 400 /etc/munge/munge.key; }
runuser -u munge -- munged --foreground --socket="$work/munge/socket" --pid-file="$work/munge/pid" --seed-file="$work/munge/seed" \
    --log-file="$work/munge/log" >/dev/null 2>&1 &
munged=$!
cat > "$SLURM_CONF" <<END
ClusterName=trial
SlurmctldHost=localhost
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket
CredType=cred/munge
SlurmctldPort=16817
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool-%n
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd-%n.pid
SlurmctldLogFile=$work/log/slurmctld
SlurmdLogFile=$work/log/slurmd-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SlurmdTimeout=10
ReturnToService=2
JobRequeue=1
MpiDefault=none
NodeName=n[1-3] NodeHostname=localhost NodeAddr=127.0.0.1 Port=[17001-17003] CPUs=2 RealMemory=8000
PartitionName=all Nodes=ALL Default=YES MaxTime=60 State=UP
END
sleep 1
slurmctld -f "$SLURM_CONF"
for node in n1 n2 n3; do slurmd -N $node -f "$SLURM_CONF"; done
for _ in $(seq 30); do
    [ "$(sinfo -h -t idle -o %D 2>/dev/null)" = 3 ] && break
    sleep 1
done
sinfo

cd "$root"
there=$work/run found=$work/run
if [ -n "$crawl" ]; then
    mkdir -p "$work/store/crawl" "$work/store/runs"
    cp "$crawl"/*.warc.gz "$work/store/crawl/"
    "$root/target/release/examples/store" --folder "$work/store" --bucket crawl --bucket runs --fail 0.05 --throttle 0.02 --cut 0.02 \
        >"$work/address" 2>"$work/log/store" &
    store=$!
    for _ in $(seq 50); do [ -s "$work/address" ] && break; sleep 0.1; done
    export AWS_ENDPOINT_URL=$(head -1 "$work/address") AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=secret AWS_REGION=us-east-1
    export CRAWL='s3://crawl/*.warc.gz'
    there=s3://runs/trial found=$work/store/runs/trial
fi
"$tamis" run "$pipeline" --run-dir "$work/local" >/dev/null 2>&1 || [ $? = 3 ]
"$tamis" launch slurm "$pipeline" --run-dir "$there" --scripts "$work/launch" --workers 4 --cpus 1 --memory 1GiB --submit
(
    # Workers that are killed without a word, one node drained, one lost and back.
    killed=0
    while [ "$killed" -lt "$kills" ]; do
        sleep $((RANDOM % 2)).$((RANDOM % 9 + 1))
        victims=($(pgrep -f "tamis task $there" || true))
        [ ${#victims[@]} = 0 ] && continue
        kill -9 "${victims[RANDOM % ${#victims[@]}]}" 2>/dev/null && killed=$((killed + 1)) || true
        if [ "$killed" = 3 ]; then scontrol update nodename=n2 state=drain reason=trial; fi
        if [ "$killed" = 6 ]; then
            pkill -9 -f "slurmd -N n3" || true
            pkill -9 -f "slurmstepd.*n3" || true
            echo "n2 is drained, n3 is lost"
        fi
        if [ "$killed" = 12 ]; then
            scontrol update nodename=n2 state=resume
            slurmd -N n3 -f "$SLURM_CONF"
        fi
    done
    echo "$killed workers were killed"
) &
chaos=$!
for _ in $(seq 1500); do
    [ -z "$(squeue -h)" ] && break
    sleep 1
done
kill $chaos 2>/dev/null || true
cat "$work/launch/slurm/logs/"*.log | grep -c "killed by signal" || true
"$tamis" status "$there" | tail -3
same=0
for name in corpus tokens rejects tokenizer.json quarantine.jsonl; do
    [ -e "$work/local/$name" ] || continue
    diff -r "$work/local/$name" "$found/$name" || same=1
done
[ $same = 0 ] && echo "the same bytes as the local run"
exit $same
