#!/usr/bin/env bash
# Runs the Dockerfile's steps without a Docker engine: each stage becomes a bare Debian root made with
# debootstrap, RUN happens in a chroot, COPY copies. Then it shows what the image promises: the program runs
# as the image's user on a root file system that is mounted read-only, writing only to the mounted folder.
#
#   tests/tools/docker_steps.sh                      all stages; the build stage compiles (minutes)
#   tests/tools/docker_steps.sh --binary FILE        FILE stands for what the build stage compiles
#   ... [-- ARGUMENTS]                               what the program is started with, default `--version`;
#                                                    it starts in a copy of pipelines/ and fixtures/
#
# Needs root, debootstrap and unshare. Packages come from the mirror that this machine's apt uses. The build
# stage borrows this machine's toolchain and cargo registry, since the image `rust:` cannot be fetched
# without an engine; it refuses a toolchain of another version than the Dockerfile names.
set -euo pipefail

repository=$(cd "$(dirname "$0")/../.." && pwd)
binary=''
arguments=(--version)
while [ $# -gt 0 ]; do
    case $1 in
        --binary) binary=$(realpath "$2"); shift 2 ;;
        --) shift; arguments=("$@"); break ;;
        *) echo "unknown argument \`$1\`" >&2; exit 2 ;;
    esac
done
if [ "$(id -u)" != 0 ]; then echo "needs root for debootstrap and chroot" >&2; exit 2; fi
for tool in debootstrap unshare chroot; do
    command -v "$tool" >/dev/null || { echo "needs $tool" >&2; exit 2; }
done

if [ -z "${DOCKER_STEPS_WORK:-}" ]; then
    # Mounts live in a namespace that ends with the inner run: what is deleted afterwards has none left.
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    again=()
    if [ -n "$binary" ]; then again+=(--binary "$binary"); fi
    status=0
    DOCKER_STEPS_WORK=$work unshare --mount --propagation private \
        "$0" "${again[@]}" -- "${arguments[@]}" || status=$?
    exit "$status"
fi
work=$DOCKER_STEPS_WORK

mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 2>/dev/null \
    | awk '$2 == "bookworm" && $3 == "main" { print $1; exit }')
if [ -z "$mirror" ]; then echo "apt knows no mirror of Debian bookworm" >&2; exit 2; fi

echo "== a bare Debian bookworm root"
debootstrap --variant=minbase bookworm "$work/base" "$mirror" >"$work/debootstrap.log" 2>&1 \
    || { tail -5 "$work/debootstrap.log" >&2; exit 1; }

# One instruction a line: comments out, continuation lines joined.
instructions() {
    sed -e '/^[[:space:]]*#/d' "$repository/Dockerfile" \
        | awk '{ if (sub(/\\$/, "")) { line = line $0 } else { line = line $0; if (line ~ /[^ ]/) print line; line = "" } }'
}

root='' directory=/ user=0:0 entry='' stage=''
declare -A stages

begin_stage() { # image [AS name]
    stage=${3:-final}
    root=$work/$stage
    stages[$stage]=$root
    directory=/ user=0:0
    cp -a "$work/base" "$root"
    case $1 in
        debian:bookworm*) ;;
        rust:*-bookworm)
            if [ -n "$binary" ]; then return; fi
            local wanted=${1#rust:} sysroot
            wanted=${wanted%-bookworm}
            sysroot=$(rustc --print sysroot)
            [ "$(rustc --version | cut -d' ' -f2)" = "$wanted" ] \
                || { echo "the Dockerfile wants Rust $wanted, this machine has $(rustc --version)" >&2; exit 1; }
            echo "== a C compiler and Rust $wanted, as image $1 has them"
            cp /etc/resolv.conf "$root/etc/resolv.conf"
            chroot "$root" apt-get -qq update
            chroot "$root" apt-get -qq install --yes --no-install-recommends gcc libc6-dev >"$work/apt.log" 2>&1
            mkdir -p "$root/usr/local/rust" "$root/usr/local/cargo/registry"
            mount --bind -o ro "$sysroot" "$root/usr/local/rust"
            mount --bind -o ro "${CARGO_HOME:-$HOME/.cargo}/registry" "$root/usr/local/cargo/registry"
            mount --bind /proc "$root/proc"
            ;;
        *) echo "no way to make image \`$1\` here" >&2; exit 1 ;;
    esac
}

run_step() {
    if [[ "$1" == cargo\ build* && -n "$binary" ]]; then
        echo "   (not compiled: $binary stands for its output)"
        install -D -m 755 "$binary" "$root/src/target/release/tamis"
        return
    fi
    chroot "$root" /usr/bin/env PATH=/usr/local/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin CARGO_HOME=/usr/local/cargo \
        CARGO_NET_OFFLINE=true \
        sh -ec "cd '$directory'; $1"
}

copy_step() {
    local from=$repository
    if [[ $1 == --from=* ]]; then from=${stages[${1#--from=}]}; shift; fi
    local target=${*: -1} source
    [[ $target == /* ]] || target=$directory/$target
    for source in "${@:1:$#-1}"; do
        if [ -d "$from/$source" ]; then
            mkdir -p "$root/$target"
            cp -a "$from/$source/." "$root/$target/"
        elif [ -d "$root/$target" ] || [[ $target == */. || $target == */./ ]]; then
            mkdir -p "$root/$target"
            cp -a "$from/$source" "$root/$target"
        else
            mkdir -p "$(dirname "$root/$target")"
            cp -a "$from/$source" "$root/$target"
        fi
    done
}

while read -r word rest; do
    echo "-- $word $rest"
    # Words of a Dockerfile line are separated by spaces and not quoted.
    case $word in
        # shellcheck disable=SC2086
        FROM) begin_stage $rest ;;
        RUN) run_step "$rest" ;;
        # shellcheck disable=SC2086
        COPY) copy_step $rest ;;
        WORKDIR) directory=$rest; mkdir -p "$root/$rest" ;;
        USER) user=$rest ;;
        VOLUME) mkdir -p "$root/$rest" ;;
        ENTRYPOINT) entry=$(sed -e 's/^\["//' -e 's/"\]$//' <<<"$rest") ;;
        *) echo "this script does not know the instruction $word" >&2; exit 1 ;;
    esac
done < <(instructions)

echo "== the final stage: user $user, folder $directory, read-only root"
du -sh --one-file-system "$root" | awk '{ print "   size of the root: " $1 }'
volume=$work/volume
mkdir "$volume"
cp -a "$repository/pipelines" "$repository/fixtures" "$volume/" 2>/dev/null || true
chown -R "$user" "$volume"
mount --bind "$root" "$root"
mount --bind "$volume" "$root$directory"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"

inside() { chroot --userspec="$user" "$root" /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin sh -c "cd '$directory'; $1"; }
inside 'test "$(id -u)" != 0' || { echo "the program would run as root" >&2; exit 1; }
for place in / /usr/local/bin /tmp /etc; do
    if inside "touch $place/probe 2>/dev/null"; then echo "$place can be written" >&2; exit 1; fi
done
chroot "$root" touch /probe 2>/dev/null && { echo "the root file system is not read-only" >&2; exit 1; }
inside 'touch probe && rm probe' || { echo "the volume cannot be written" >&2; exit 1; }
missing=$(inside "ldd /usr/local/bin/$entry" | grep 'not found' || true)
if [ -n "$missing" ]; then echo "libraries are missing: $missing" >&2; exit 1; fi
echo "== $entry ${arguments[*]}"
status=0
inside "exec $entry $(printf '%q ' "${arguments[@]}")" || status=$?
echo "== exit status $status"
exit "$status"
