"""Writes what the plan says with confluent-kafka. usage: generate.py BOOTSTRAP_SERVERS PLAN CLIENT

stdout: a line of JSON per record that was acknowledged: topic, id, offset.
With the word `topics` for the client it makes the topics of the plan.
"""

import json
import sys

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic


def latin1(text):
    """The plan's strings hold bytes: a code point below 256 each."""
    return None if text is None else text.encode("latin-1")


def write(servers, file):
    topic = file["topic"]
    properties = {
        "bootstrap.servers": servers,
        "compression.type": file["compression"],
        "enable.idempotence": file["idempotent"],
        "linger.ms": 30_000,  # a batch is what one flush sends
    }
    if file["transactional"]:
        properties["transactional.id"] = file["transactional"]
    producer = Producer(properties)

    def told(id):
        def acked(error, message):
            if error:
                sys.exit(str(error))
            print(json.dumps({"topic": topic, "id": id, "offset": message.offset()}))

        return acked

    if file["transactional"]:
        producer.init_transactions()
    for step in file["steps"]:
        match step["do"]:
            case "begin":
                producer.begin_transaction()
            case "commit":
                producer.commit_transaction()
            case "abort":
                producer.abort_transaction()
            case "send":
                for record in step["records"]:
                    value = latin1(record["value"])
                    producer.produce(
                        topic,
                        partition=0,
                        key=latin1(record["key"]),
                        value=None if value is None else value * record["times"],
                        timestamp=record["timestamp"],
                        headers=[(key, latin1(value)) for key, value in record["headers"]],
                        on_delivery=told(record["id"]),
                    )
                assert producer.flush(30) == 0
            case other:
                sys.exit(f"no step {other}")


def create(servers, files):
    topics = {
        file["topic"]: NewTopic(file["topic"], num_partitions=1, replication_factor=1, config=file["config"])
        for file in files
    }
    admin = AdminClient({"bootstrap.servers": servers})
    for made in admin.create_topics(list(topics.values())).values():
        made.result(timeout=60)


servers, plan, client = sys.argv[1:]
with open(plan, encoding="utf-8") as text:
    files = json.load(text)
if client == "topics":
    create(servers, files)
for file in files:
    if file["client"] == client:
        write(servers, file)
