#!/usr/bin/env python3
"""Makes the golden files anew: log bytes that other clients had a real Kafka write, and what is to be read in them.

usage: make.py    (in any folder; ACKMARK names the binary, ACKMARK_HOME where its local cluster lives)

It needs Java 17, Go, Python 3.10 and `ackmark cluster prepare`. It starts a local cluster, lets three clients write
the plan below (kafka-clients by Generate.java, franz-go by go/, confluent-kafka by generate.py), copies the segments
out of the brokers' folders and stops the cluster. For each topic it writes NAME.log, the bytes, and NAME.json, what
is expected of them: batches, markers, offsets, timestamps and sequences as Kafka's own DumpLogSegments tells them;
keys, values and headers as they were given to the client, found by the offset that the client was told. Producer ids,
times of commits and so the bytes differ from one making to the next.

Bytes are strings in the plan and in the JSON: a code point below 256 for each.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
ACKMARK = os.environ.get("ACKMARK", ROOT / "target/release/ackmark")
HOME = Path(os.environ.get("ACKMARK_HOME", Path.home() / ".cache/ackmark"))
CONFLUENT_KAFKA = "2.16.1"
CLIENTS = {"java": "kafka-clients", "go": "franz-go", "python": "confluent-kafka"}
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
START = 1_700_000_000_000  # timestamps, in the past: brokers refuse the future
COMPACTION_WAIT_S = 120

ids = iter(range(1_000_000))


def record(key, value, headers=(), at=0, times=1):
    return {
        "id": next(ids),
        "timestamp": START + at,
        "key": key,
        "value": value,
        "times": times,
        "headers": [list(header) for header in headers],
    }


def send(*records):
    return {"do": "send", "records": list(records)}


def do(what):
    return {"do": what}


def texts(prefix, count, at=0):
    return [record(f"{prefix} {n}", f"{prefix} value {n} " * 3, at=at + n) for n in range(count)]


def every_form(large):
    """Every form that a record has: null and empty keys and values, headers, time that goes back, all byte values."""
    all_bytes = "".join(map(chr, range(256)))
    return [
        send(
            record("key", "value", [("a", "1"), ("b", None), ("a", ""), ("", "no key")], at=500),
            record(None, "no key", at=400),
            record("tombstone", None, [("why", "deleted")], at=300),
            record("", "", at=70_000),
            record(None, None, at=0),
            record(all_bytes, "all bytes", [("bytes", all_bytes)], at=-1_000_000),
        ),
        # More than one block of Snappy (32 KiB by snappy-java) and LZ4 (64 KiB).
        send(record("large", "one of many. ", at=1_000, times=large), *texts("behind it", 2, at=1_000)),
        send(*texts("small", 12, at=2_000)),
    ]


def transactions():
    return [
        do("begin"), send(*texts("committed", 3)), do("commit"),
        do("begin"), send(*texts("aborted", 4, at=100)), do("abort"),
        do("begin"), send(*texts("two batches", 2, at=200)), send(*texts("of one transaction", 2, at=300)), do("commit"),
    ]  # fmt: skip


def plan():
    files = []

    def file(name, client, compression, idempotent, steps, transactional=None, config=None):
        files.append(
            {
                "topic": name,
                "client": client,
                "compression": compression,
                "idempotent": idempotent,
                "transactional": transactional,
                "config": config or {},
                "steps": steps,
            }
        )

    for client in CLIENTS:
        for codec in CODECS:
            # librdkafka's default is without idempotence, the others' with.
            file(f"{client}-{codec}", client, codec, client != "python", every_form(50 if codec == "none" else 6_000))
        codec = {"java": "zstd", "go": "none", "python": "lz4"}[client]
        file(f"{client}-transactions", client, codec, True, transactions(), transactional=f"golden-{client}")
    for codec in ["none", "gzip"]:
        config = {"message.timestamp.type": "LogAppendTime"}
        file(f"java-append-time-{codec}", "java", codec, True, every_form(50), config=config)

    def compacted(steps, transactional=None, compression="none"):
        """One producer after another, on one topic whose older records go."""
        config = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.0", "segment.ms": "600000"}
        file("java-compacted", "java", compression, True, steps, transactional, config)

    def keys(*keys, value="old"):
        return send(*(record(key, value, at=now) for key in keys))

    now = int(time.time() * 1000) - START  # as the markers that the broker writes
    compacted([keys("a", "b", "c"), keys("a", "b", "c")])  # its last batch is emptied and kept for its state
    compacted([keys("d", "e"), keys("b", "d", value=None), keys("a", "f", "g", value="new")], compression="zstd")
    compacted(
        [do("begin"), keys("h", "i"), do("commit"), do("begin"), keys("j", "a"), do("abort")], "golden-compacted"
    )
    compacted([keys("h", "i", value="new"), keys("c", "k", value="new")])
    # Later by more than segment.ms: the record opens the next segment, and the one before it may be compacted.
    compacted([send(record("the active segment", "is not compacted", at=now + 1_800_000))])
    return files


def run(*command, **more):
    return subprocess.run([str(part) for part in command], check=True, text=True, stdout=subprocess.PIPE, **more).stdout


def generator(client, work, jars):
    match client:
        case "java":
            return ["java", "-Xmx256m", "-cp", f"{jars}/*", HERE / "Generate.java"]
        case "go":
            run("go", "build", "-o", work / "golden", ".", cwd=HERE / "go")
            return [work / "golden"]
        case "python":
            run(sys.executable, "-m", "venv", work / "venv")
            run(work / "venv/bin/pip", "install", "--quiet", f"confluent-kafka=={CONFLUENT_KAFKA}")
            return [work / "venv/bin/python", HERE / "generate.py"]


def version(client):
    match client:
        case "java":
            return kafka_version()
        case "go":
            return re.search(r"franz-go v(\S+)", (HERE / "go/go.mod").read_text())[1]
        case "python":
            return CONFLUENT_KAFKA


def kafka_version():
    return jars_folder().name.split("-")[0]


def jars_folder():
    return max((HOME / "jars").glob("[0-9]*"), key=lambda folder: folder.stat().st_mtime)


def segments(topic, work):
    """Copies of the topic's files, which lie in one broker's folder: the cleaner may replace them at any time."""
    (folder,) = (HOME / "clusters").glob(f"**/{topic}-0")
    copies = work / topic
    shutil.rmtree(copies, ignore_errors=True)
    shutil.copytree(folder, copies)
    return sorted(copies.glob("*.log"))


def wait_for_compaction(jars, work):
    """Until there is an emptied batch, and one whose tombstones or marker may be deleted later."""
    until = time.monotonic() + COMPACTION_WAIT_S
    while time.monotonic() < until:
        batches = dump(jars, {"java-compacted": segments("java-compacted", work)})["java-compacted"]
        if any(batch["count"] == 0 for batch in batches) and any(batch["delete_horizon"] for batch in batches):
            return
        time.sleep(1)
    sys.exit("the log cleaner did not come")


NUMBER = {
    "base_offset": "baseOffset", "last_offset": "lastOffset", "count": "count", "base_sequence": "baseSequence",
    "last_sequence": "lastSequence", "producer_id": "producerId", "producer_epoch": "producerEpoch",
    "partition_leader_epoch": "partitionLeaderEpoch", "position": "position", "size": "size", "crc": "crc",
}  # fmt: skip


def dump(jars, topics):
    """Batches and the bare facts of their records, by topic, as Kafka's own tool sees them in these segments."""
    files = [str(file) for files in topics.values() for file in files]
    dumper = ["java", "-Xmx256m", "-cp", f"{jars}/*", "org.apache.kafka.tools.DumpLogSegments"]
    told = {}
    # It complains of gaps in the offsets, which compaction leaves and segments begin with.
    quiet = {"stderr": subprocess.DEVNULL}
    for line in run(*dumper, "--deep-iteration", "--files", ",".join(files), **quiet).splitlines():
        words = dict(re.findall(r"(\w+): (\S*)", line))
        clock = next((clock for clock in ("CreateTime", "LogAppendTime") if clock in words), None)
        if line.startswith("Dumping "):
            batches = told[line.removeprefix("Dumping ").strip()] = []
        elif line.startswith("baseOffset:"):
            batch = {name: int(words[theirs]) for name, theirs in NUMBER.items()}
            batch["timestamp_type"], batch["max_timestamp"] = clock, int(words[clock])
            batch["transactional"], batch["control"] = words["isTransactional"] == "true", words["isControl"] == "true"
            horizon = re.search(r"deleteHorizonMs: OptionalLong\[(\d+)]", line)
            batch["delete_horizon"] = int(horizon[1]) if horizon else None
            batch["codec"] = words["compresscodec"]
            assert words["magic"] == "2" and words["isvalid"] == "true", line
            batch["records"] = []
            batches.append(batch)
        elif line.startswith("| offset:"):
            seen = {"offset": int(words["offset"]), "timestamp": int(words[clock]), "sequence": int(words["sequence"])}
            if "endTxnMarker" in words:
                seen["marker"], seen["coordinator_epoch"] = words["endTxnMarker"], int(words["coordinatorEpoch"])
            else:
                seen["sizes"] = [int(words["keySize"]), int(words["valueSize"])]
            batches[-1]["records"].append(seen)
    found = {}
    for topic, files in topics.items():
        found[topic], begin = [], 0
        for file in files:
            for batch in told[str(file)]:
                found[topic].append({**batch, "position": batch["position"] + begin})
            begin += file.stat().st_size
    return found


def expect(batches, sent):
    """Adds what the client was given to what the tool saw; both must know the same records."""
    for batch in batches:
        assert len(batch["records"]) == batch["count"], batch
        for seen in batch["records"]:
            if "marker" in seen:
                continue
            given = sent[seen["offset"]]
            lengths = [
                -1 if given["key"] is None else len(given["key"]),
                -1 if given["value"] is None else len(given["value"]) * given["times"],
            ]
            assert seen.pop("sizes") == lengths, (seen, given)
            if batch["timestamp_type"] == "CreateTime":
                assert seen["timestamp"] == given["timestamp"], (seen, given)
            seen.update({name: given[name] for name in ("key", "value", "times", "headers")})
    return batches


def lines(expected):
    """JSON with a line for each batch and each record."""
    text = json.dumps(expected, ensure_ascii=False)
    return text.replace('{"base_offset"', '\n {"base_offset"').replace('{"offset"', '\n  {"offset"') + "\n"


def main():
    files = plan()
    jars = jars_folder()
    overrides = ["log.cleaner.backoff.ms=500", "log.retention.ms=-1"]
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        (work / "plan.json").write_text(json.dumps(files), encoding="utf-8")
        up = [part for override in overrides for part in ("--override", override)]
        cluster = json.loads(run(ACKMARK, "cluster", "up", "--settings", "fault", "--output", "json", *up))
        try:
            servers = cluster["bootstrap_servers"]
            generators = {client: generator(client, work, jars) for client in CLIENTS}
            run(*generators["python"], servers, work / "plan.json", "topics")
            acked = []
            for client in CLIENTS:
                print(client, file=sys.stderr)
                told = run(*generators[client], servers, work / "plan.json", client)
                acked += [json.loads(line) for line in told.splitlines() if line.startswith("{")]
            wait_for_compaction(jars, work)
            given = {record["id"]: record for file in files for step in file["steps"] for record in step.get("records", [])}
            assert len(acked) == len(given), "every record is acknowledged once"
            topics = {file["topic"]: file["client"] for file in files}
            copies = {topic: segments(topic, work) for topic in topics}
            dumped = dump(jars, copies)
            for topic, client in topics.items():
                sent = {ack["offset"]: given[ack["id"]] for ack in acked if ack["topic"] == topic}
                expected = {
                    "client": f"{CLIENTS[client]} {version(client)}",
                    "broker": f"Apache Kafka {kafka_version()}",
                    "batches": expect(dumped[topic], sent),
                }
                (HERE / f"{topic}.log").write_bytes(b"".join(copy.read_bytes() for copy in copies[topic]))
                (HERE / f"{topic}.json").write_text(lines(expected), encoding="utf-8")
        finally:
            run(ACKMARK, "cluster", "down")


if __name__ == "__main__":
    main()
