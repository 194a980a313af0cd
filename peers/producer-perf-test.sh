#!/usr/bin/env bash
# Throughput of `ackmark load` (header, checksum, ledger and histograms on) beside kafka-producer-perf-test:
# the same local three-broker cluster, equal settings, interleaved pairs in random order on fresh topics.
#
# usage: peers/producer-perf-test.sh [PAIRS [MESSAGES [BYTES]]]      (6 pairs of 3,000,000 messages of 100 B)
#
# Both: acks=all, idempotence off, linger 5 ms, batch 1 MB, 5 in flight, no compression, one producer, 6 partitions,
# replication factor 3. Three rounds warm the brokers and are thrown away. The Java tool sends a third more messages
# first as a warm-up of its own (--warmup-records); its figure is printed for the rest (steady) and for the whole run,
# which is what it prints by default. Printed: a line per pair, then medians and ranges of both ratios.
set -euo pipefail
cd "$(dirname "$0")/.."

pairs=${1:-6} messages=${2:-3000000} bytes=${3:-100}
ackmark=${ACKMARK:-target/release/ackmark}
[[ -x $ackmark ]] || cargo build --release --locked -p ackmark-cli

readonly warm_rounds=3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ACKMARK_HOME=${ACKMARK_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/ackmark}
finish() { "$ackmark" cluster down >/dev/null 2>&1 || true; rm -rf "$work"; }
"$ackmark" cluster up --output json >"$work/cluster.json"
trap finish EXIT # only now: a cluster that was up before is not ours to stop
servers=$("$ackmark" cluster status --output json | sed -n 's/.*"bootstrap_servers": *"\([^"]*\)".*/\1/p' | head -n 1)
jars=$(ls -dt "$ACKMARK_HOME"/jars/4.* | head -n 1)

java_producer() { # messages -> its messages per second, steady and over the whole run
    local warm=$(($1 / 3))
    java -Xmx512m -cp "$jars/*" org.apache.kafka.tools.ProducerPerformance \
        --topic "$topic" --num-records $(($1 + warm)) --warmup-records "$warm" --record-size "$bytes" --throughput -1 \
        --producer-props "bootstrap.servers=$servers" acks=all enable.idempotence=false linger.ms=5 \
        batch.size=1000000 max.in.flight.requests.per.connection=5 compression.type=none buffer.memory=268435456 \
        >"$work/java.out" 2>"$work/java.err" || { cat "$work/java.err" >&2; return 1; }
    local rate='s/.* \([0-9.]*\) records\/sec.*/\1/'
    echo "$(grep 'records/sec' "$work/java.out" | grep 'steady state' | tail -n 1 | sed "$rate")" \
        "$(grep 'records/sec' "$work/java.out" | grep 'records sent' | grep -v 'steady state' | tail -n 1 | sed "$rate")"
}

ackmark_producer() { # messages -> its measured messages per second
    "$ackmark" load -b "$servers" -t "$topic" --profile all-acks --messages "$1" --size "${bytes}B" --warm-up 1s \
        -X linger.ms=5 -X batch.size=1000000 -X batch.num.messages=10000 -X compression.type=none \
        --no-seal --progress none --output json --out "$work/load" >"$work/load.json"
    rm -rf "$work/load"
    sed -n 's/.*"delivered_per_s": *\([0-9.]*\).*/\1/p' "$work/load.json" | head -n 1
}

new_topic() {
    topic="peers-$1-$RANDOM"
    java -Xmx256m -cp "$jars/*" org.apache.kafka.tools.TopicCommand --bootstrap-server "$servers" \
        --create --topic "$topic" --partitions 6 --replication-factor 3 >/dev/null 2>&1
}

old_topic() {
    java -Xmx256m -cp "$jars/*" org.apache.kafka.tools.TopicCommand --bootstrap-server "$servers" \
        --delete --topic "$topic" >/dev/null 2>&1
}

printf 'pair\tmessages\tackmark_per_s\tjava_steady_per_s\tjava_whole_per_s\tratio_steady\tratio_whole\n'
for pair in $(seq $((1 - warm_rounds)) "$pairs"); do
    declare -A rate=()
    for who in $(shuf -e ackmark java); do
        new_topic "$who"
        rate[$who]=$("${who}_producer" "$messages")
        old_topic
    done
    ((pair > 0)) || continue
    read -r steady whole <<<"${rate[java]}"
    awk -v p="$pair" -v n="$messages" -v a="${rate[ackmark]}" -v s="$steady" -v w="$whole" \
        'BEGIN { printf "%d\t%d\t%.0f\t%.0f\t%.0f\t%.2f\t%.2f\n", p, n, a, s, w, a / s, a / w }' | tee -a "$work/ratios"
done
for column in 6:steady 7:whole; do
    sort -k"${column%:*},${column%:*}g" "$work/ratios" | awk -v c="${column%:*}" -v what="${column#*:}" '{ r[NR] = $c } END {
        m = NR % 2 ? r[(NR + 1) / 2] : (r[NR / 2] + r[NR / 2 + 1]) / 2
        printf "ackmark / kafka-producer-perf-test (%s): median %.2f (%.2f to %.2f), %d pairs\n", what, m, r[1], r[NR], NR }'
done
