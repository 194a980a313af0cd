#!/usr/bin/env bash
# Why librdkafka's idempotent producer spins, and which setting stops it: calls of poll() and CPU seconds per million
# messages, throughput and latency, on the local three-broker cluster (replication factor 3).
#
# usage: peers/poll-calls.sh [ROUNDS [MILLIONS]]                      (6 rounds, 3 million messages in each `max` run)
#
# LIBRDKAFKA=/path/to/librdkafka.so.1 measures another librdkafka than the one that rdkafka-sys ships, which is built as
# a shared object in target/peers (poll() can be counted only in a shared one). Rows of a round come in random order.
# Printed: a line per run, then medians per setting. About 8 minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${1:-6} messages=$((${2:-3} * 1000000))
ackmark=${ACKMARK:-target/release/ackmark}
[[ -x $ackmark ]] || cargo build --release --locked --bin ackmark
work=$(mktemp -d) kept=target/peers/poll-calls
mkdir -p "$kept"

source=$(cargo metadata --locked --format-version 1 |
    sed -n 's/.*"manifest_path":"\([^"]*\/rdkafka-sys-[^"/]*\)\/Cargo.toml".*/\1/p' | head -n 1)/librdkafka
if [[ -z ${LIBRDKAFKA:-} ]]; then
    LIBRDKAFKA=$kept/librdkafka/src/librdkafka.so.1
    if [[ ! -e $LIBRDKAFKA ]]; then
        cp -r "$source" "$kept/"
        (cd "$kept/librdkafka" && ./configure --disable-sasl --disable-curl && make -j2 -C src) >"$kept/build.log" 2>&1 ||
            { tail -n 20 "$kept/build.log" >&2; exit 1; }
    fi
fi
LIBRDKAFKA=$(realpath "$LIBRDKAFKA")
mkdir -p "$work/include/librdkafka"
cp "$source/src/rdkafka.h" "$work/include/librdkafka/"
cc -O2 -rdynamic -I"$work/include" peers/poll-calls/poll-calls.c -o "$work/poll-calls" "$LIBRDKAFKA" \
    -Wl,-rpath,"$(dirname "$LIBRDKAFKA")" -pthread

export ACKMARK_HOME=${ACKMARK_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/ackmark}
trap 'rm -rf "$work"' EXIT
finish() { "$ackmark" cluster down >/dev/null 2>&1 || true; rm -rf "$work"; }
"$ackmark" cluster up --output json >"$work/cluster.json"
trap finish EXIT # only now: a cluster that was up before is not ours to stop
servers=$("$ackmark" cluster status --output json | sed -n 's/.*"bootstrap_servers": *"\([^"]*\)".*/\1/p' | head -n 1)
jars=$(ls -dt "$ACKMARK_HOME"/jars/4.* | head -n 1)
topics() {
    java -Xmx256m -cp "$jars/*" org.apache.kafka.tools.TopicCommand --bootstrap-server "$servers" "$@" >/dev/null 2>&1
}

# name, messages per second (0: as fast as it goes), then settings beside linger 5, batch 1 MB / 10,000, 5 in flight
max_rows=(
    "plain 0 enable.idempotence=false"
    "plain,1-in-flight 0 enable.idempotence=false max.in.flight=1"
    "idempotent 0"
    "idempotent,1-in-flight 0 max.in.flight=1"
    "idempotent,linger-50 0 linger.ms=50"
    "idempotent,linger-1000 0 linger.ms=1000"
)
rate_rows=(
    "plain,5k/s 5000 enable.idempotence=false"
    "idempotent,5k/s 5000"
    "idempotent,5k/s,1-in-flight 5000 max.in.flight=1"
    "idempotent,5k/s,linger-20 5000 linger.ms=20"
    "idempotent,5k/s,linger-50 5000 linger.ms=50"
)
run() { # name, rate, settings
    local name=$1 rate=$2 count=$messages size=100 topic=poll-calls-$RANDOM
    shift 2
    ((rate > 0)) && count=$((rate * 3)) size=1024
    topics --create --topic "$topic" --partitions 6 --replication-factor 3
    echo "setting=$name $(timeout 120 "$work/poll-calls" "$servers" "$topic" "$count" "$size" 6 "$rate" "$@" 2>"$work/err" ||
        { tail -n 3 "$work/err" >&2; echo failed; })"
    topics --delete --topic "$topic"
}
for _ in 1 2 3; do run warm-up 0 enable.idempotence=false >/dev/null; done
for _ in $(seq "$rounds"); do
    while read -r row; do
        # shellcheck disable=SC2086 # a row is words
        run $row
    done < <(shuf -e "${max_rows[@]}" "${rate_rows[@]}") | tee -a "$work/rows"
done

printf '\n%-32s %12s %14s %14s %8s\n' 'median of '"$rounds" messages/s 'polls/million' 'CPU s/million' 'p99 ms'
for row in "${max_rows[@]}" "${rate_rows[@]}"; do
    name=${row%% *}
    printf '%-32s' "$name"
    for figure in per_s polls_per_million cpu_s_per_million p99_ms; do
        grep "^setting=$name " "$work/rows" | sed -n "s/.* $figure=\([0-9.]*\).*/\1/p" | sort -g |
            awk '{ v[NR] = $1 } END { if (!NR) printf " %13s", "-"; else printf " %13.6g", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
    done
    echo
done
