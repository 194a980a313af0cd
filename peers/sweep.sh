#!/usr/bin/env bash
# What the profiles' [tuning] is chosen by: throughput and CPU time of `ackmark load` with other bounds on outstanding
# messages, other lingers, batch limits and requests in flight, on the local three-broker cluster (replication factor 3).
#
# usage: peers/sweep.sh [ROUNDS [MILLIONS [PROFILE ...]]]      (3 rounds, 2 million messages of 100 B, the three below)
#
# Runs of a round come in random order, each on a fresh topic of six partitions. Printed: a line per run, then for each
# profile and variant the median and range over rounds, and the median's ratio to the profile as it is. About 8 minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${1:-3} messages=$((${2:-2} * 1000000))
profiles=("${@:3}")
((${#profiles[@]})) || profiles=(all-acks idempotent transactional)
variants=(
    "as-it-is"
    "outstanding-50k --outstanding 50k"
    "outstanding-100k --outstanding 100k"
    "outstanding-1M --outstanding 1M"
    "linger-20 -X linger.ms=20"
    "linger-50 -X linger.ms=50"
    "linger-1000 -X linger.ms=1000"
    "batch-100k-messages -X batch.num.messages=100000"
    "1-in-flight -X max.in.flight.requests.per.connection=1"
)

ackmark=${ACKMARK:-target/release/ackmark}
[[ -x $ackmark ]] || cargo build --release --locked --bin ackmark
work=$(mktemp -d)
export ACKMARK_HOME=${ACKMARK_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/ackmark}
trap 'rm -rf "$work"' EXIT
finish() { "$ackmark" cluster down >/dev/null 2>&1 || true; rm -rf "$work"; }
"$ackmark" cluster up --output json >"$work/cluster.json"
trap finish EXIT # only now: a cluster that was up before is not ours to stop
servers=$("$ackmark" cluster status --output json | sed -n 's/.*"bootstrap_servers": *"\([^"]*\)".*/\1/p' | head -n 1)
jars=$(ls -dt "$ACKMARK_HOME"/jars/4.* | head -n 1)

run() { # profile, variant, flags -> a line
    local profile=$1 variant=$2 topic=sweep-$RANDOM$RANDOM
    shift 2
    "$ackmark" load -b "$servers" -t "$topic" --create-topic 6 --yes --profile "$profile" --messages "$messages" \
        --size 100B --warm-up 500ms --no-seal --progress none --output json --out "$work/load" "$@" \
        >"$work/load.json" 2>"$work/err" || { cat "$work/err" >&2; return 1; }
    rm -rf "$work/load"
    java -Xmx256m -cp "$jars/*" org.apache.kafka.tools.TopicCommand --bootstrap-server "$servers" \
        --delete --topic "$topic" >/dev/null 2>&1
    local rate cpu delivered
    figure() { sed -n "s/.*\"$1\": *\([0-9.e-]*\).*/\1/p" "$work/load.json" | head -n 1; }
    rate=$(figure delivered_per_s) delivered=$(figure delivered)
    cpu=$(awk "BEGIN { print ($(figure user_s) + $(figure system_s)) / $delivered * 1e6 }")
    printf '%s\t%s\t%.0f\t%.3f\n' "$profile" "$variant" "$rate" "$cpu"
}

for _ in 1 2 3; do run all-acks warm-up >/dev/null; done
printf 'profile\tvariant\tmessages/s\tCPU s/million\n'
for _ in $(seq "$rounds"); do
    while read -r row; do
        # shellcheck disable=SC2086 # a row is words
        run $row
    done < <(for profile in "${profiles[@]}"; do printf "$profile %s\n" "${variants[@]}"; done | shuf) |
        tee -a "$work/rows"
done

sort -t "$(printf '\t')" -k1,1 -k2,2 -k3,3g "$work/rows" | awk -F '\t' -v rounds="$rounds" '
    { key = $1 "\t" $2; if (!(key in n)) order[++keys] = key; rate[key, ++n[key]] = $3; cpu[key] += $4 }
    function median(key,   m) { m = n[key]; return m % 2 ? rate[key, (m + 1) / 2] : (rate[key, m / 2] + rate[key, m / 2 + 1]) / 2 }
    END {
        printf "\n%-14s %-22s %12s %25s %10s %14s\n", "profile", "variant", "messages/s", "range", "ratio", "CPU s/million"
        for (k = 1; k <= keys; k++) {
            key = order[k]; split(key, part, "\t")
            printf "%-14s %-22s %12.0f %12.0f-%12.0f %10.2f %14.3f\n", part[1], part[2], median(key), rate[key, 1],
                rate[key, n[key]], median(key) / median(part[1] "\tas-it-is"), cpu[key] / n[key]
        }
    }'
