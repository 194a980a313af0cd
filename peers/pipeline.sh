#!/usr/bin/env bash
# The exactly-once pipeline against batch size, beside a plain loop over the Java clients that does the same work
# (java-pipeline/), on the local three-broker cluster (replication factor 3), one member each, 1 KiB.
#
# usage: peers/pipeline.sh [ROUNDS [THOUSANDS [BATCH ...]]]      (6 rounds, 20 thousand messages, cycles of 100, 1000, 10000)
#
# Both linger for 1 ms and try again after 5 ms what is refused while a commit's markers are on their way.
# In each round both run once with each batch, in random order, each into a topic of its own, with a group of its own; a
# round before them is discarded. Both read the same input, wait 20 ms for a cycle to fill, and are timed by themselves from
# the first message to the end of the last commit: start-up is not in it, the JVM's compilation is. Printed: a line per run,
# then medians with ranges, and the ratio ackmark / Java of each round: median and range. About 6 minutes.
set -euo pipefail
shopt -s inherit_errexit # otherwise a failure within $(…) passes unseen
cd "$(dirname "$0")/.."

rounds=${1:-6} thousands=${2:-20}
batches=("${@:3}")
((${#batches[@]})) || batches=(100 1000 10000)
ackmark=${ACKMARK:-target/release/ackmark}
[[ -x $ackmark ]] || cargo build --release --locked --bin ackmark
mvn -q -B -f peers/java-pipeline package
work=$(mktemp -d)
export ACKMARK_HOME=${ACKMARK_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/ackmark}
trap 'rm -rf "$work"' EXIT
finish() { "$ackmark" cluster down >/dev/null 2>&1 || true; rm -rf "$work"; }
"$ackmark" cluster up --output json >"$work/cluster.json"
trap finish EXIT # only now: a cluster that was up before is not ours to stop
servers=$("$ackmark" cluster status --output json | sed -n 's/.*"bootstrap_servers": *"\([^"]*\)".*/\1/p' | head -n 1)
jars=$(ls -dt "$ACKMARK_HOME"/jars/4.* | head -n 1)

load() { # topic, profile, flags
    "$ackmark" load -b "$servers" -t "$1" --create-topic 6 --yes --profile "$2" --no-seal --progress none --warm-up 0s \
        --out "$work/load-$1" "${@:3}" >/dev/null 2>"$work/err" || { cat "$work/err" >&2; return 1; }
    rm -rf "$work/load-$1"
}

run() { # who, batch -> messages per second
    local who=$1 batch=$2 output=pipeline-out-$RANDOM$RANDOM
    if [[ $who == ackmark ]]; then
        "$ackmark" process exactly-once -b "$servers" -t pipeline-in --to "$output" --batch "$batch" --batch-wait 20ms \
            -X batch.size=1000000 --yes --progress none --output json --out "$work/$output" \
            >"$work/told" 2>"$work/err" || { cat "$work/err" >&2; return 1; }
        awk -F '[:,]' '/"messages"/ && !m { m = $2 } /"busy_s"/ && !s { s = $2 } END { printf "%.0f\n", m / s }' \
            <(sed -n '/"lives"/,$p' "$work/told")
        rm -rf "${work:?}/$output"
    else
        load "$output" all-acks --messages 1 --size 100B
        java -Xmx1g -cp "target/java-pipeline/java-pipeline.jar:target/java-pipeline/lib/*" ackmark.Pipeline "$servers" \
            pipeline-in "$output" "$output" "$((thousands * 1000))" "$batch" 20 |
            sed 's/.*"messages":\([0-9]*\).*"interval_s":\([0-9.]*\).*/\1 \2/' | awk '{ printf "%.0f\n", $1 / $2 }'
    fi
    java -Xmx256m -cp "$jars/*" org.apache.kafka.tools.TopicCommand --bootstrap-server "$servers" \
        --delete --topic "$output" >/dev/null 2>&1
}

load pipeline-warm all-acks --messages 4M --size 100B
load pipeline-in idempotent --messages "${thousands}k" --size 1KiB --keys uniform:600
for who in ackmark java; do run "$who" 1000 >/dev/null; done
printf 'round\tbatch\twho\tmessages/s\n'
for round in $(seq "$rounds"); do
    while read -r who batch; do
        rate=$(run "$who" "$batch") # by itself: within printf a failure would still pass unseen
        printf '%s\t%s\t%s\t%s\n' "$round" "$batch" "$who" "$rate"
    done < <(for batch in "${batches[@]}"; do printf '%s %s\n' ackmark "$batch" java "$batch"; done | shuf) |
        tee -a "$work/rows"
done

awk -F '\t' '
    { rate[$2, $3, $1] = $4; rounds = $1 > rounds ? $1 : rounds; if (!($2 in seen)) { seen[$2]; batches[++n] = $2 } }
    function told(values, count, digits,   i, j, t, middle) {
        for (i = 2; i <= count; i++) for (j = i; j > 1 && values[j] < values[j - 1]; j--) {
            t = values[j]; values[j] = values[j - 1]; values[j - 1] = t
        }
        middle = count % 2 ? values[(count + 1) / 2] : (values[count / 2] + values[count / 2 + 1]) / 2
        return sprintf("%." digits "f (%." digits "f-%." digits "f)", middle, values[1], values[count])
    }
    END {
        printf "\n%-8s %-28s %-28s %s\n", "batch", "ackmark, messages/s", "Java, messages/s", "ackmark / Java"
        for (b = 1; b <= n; b++) {
            for (r = 1; r <= rounds; r++) {
                own[r] = rate[batches[b], "ackmark", r]; java[r] = rate[batches[b], "java", r]; ratio[r] = own[r] / java[r]
            }
            printf "%-8s %-28s %-28s %s\n", batches[b], told(own, rounds, 0), told(java, rounds, 0), told(ratio, rounds, 2)
        }
    }' <(sort -t "$(printf '\t')" -k2,2n -k1,1n "$work/rows")
