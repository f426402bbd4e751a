"""Options under Kafka's names: read, defaulted, refused in Kafka's words; and .properties files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bpsim.document import InvalidScenario
from bpsim.kafka.properties import read_properties
from bpsim.kafka.tables import TABLES
from bpsim.scenario_file import load
from bpsim.settings import changed
from bpsim.tiers.broker import BrokerSpec
from bpsim.tiers.consumer import ConsumerSpec
from bpsim.tiers.producer import ProducerSpec

SCENARIO = """\
question: What does the file say?
duration: 10 s
client:
  arrivals: {kind: poisson, rate: 10/s}
api:
  service: 1 ms
producer:
  client: CLIENT
  config: producer.properties
  OPTION
broker: {}
"""


def scenario(folder: Path, properties: str, option: str = "linger: 7 ms", client: str = "java") -> Path:
    (folder / "producer.properties").write_text(properties)
    (folder / "x.yaml").write_text(SCENARIO.replace("CLIENT", client).replace("OPTION", option))
    return folder / "x.yaml"


def problems(path: Path, *sets: str) -> list[str]:
    with pytest.raises(InvalidScenario) as caught:
        load(path, sets)
    return [str(problem).replace(f"{path.parent}/", "") for problem in caught.value.problems]


@pytest.mark.parametrize("client", ["java", "librdkafka"])
def test_isolation_levels_are_taken_and_listed_as_ignored(client: str) -> None:
    spec = ConsumerSpec.model_validate({"client": client, "isolation.level": "read_committed"})
    assert spec.ignored == {"isolation.level": "read_committed"}


def test_a_value_with_a_unit_means_the_field_where_kafkas_key_is_also_a_path(tmp_path: Path) -> None:
    path, evicts = scenario(tmp_path, ""), "broker.overflow=evict_oldest"
    ours = load(path, (evicts, "broker.retention.bytes=2 MB")).base.broker
    assert ours is not None and (ours.retention.bytes, ours.segment) == (2_000_000, None)
    kafkas = load(path, (evicts, "broker.retention.bytes=2000000")).base.broker
    assert kafkas is not None and (kafkas.retention.bytes, kafkas.segment) == (2_000_000, 2**30)
    swept = changed(load(path).written, (evicts, "broker.retention.bytes=3 MB"), of="x")["base"].broker
    assert swept is not None and swept.retention.bytes == 3_000_000


def test_a_properties_file_is_read_by_javas_rules(tmp_path: Path) -> None:
    file = tmp_path / "x.properties"
    lines = ["# a comment", "! another", "", "  acks = all", "linger.ms:5", "batch.size\t16384", r"a\=b=c\tx"]
    lines += ["long=one \\", "   two\\\\", r"last=\u00e9\q", "acks=1"]
    file.write_text("\n".join(lines))
    assert {entry.key: entry.value for entry in read_properties(file)} == {
        "linger.ms": "5", "batch.size": "16384", "a=b": "c\tx", "long": "one two\\", "last": "éq", "acks": "1",
    }  # fmt: skip
    file.write_text("x=1\ny=\\u12\n")
    with pytest.raises(InvalidScenario, match=r"x.properties:2:1: Malformed"):
        read_properties(file)


def test_the_file_says_what_the_options_in_the_scenario_would(tmp_path: Path) -> None:
    path = scenario(
        tmp_path, "buffer.memory=1048576\nlinger.ms=20\ncompression.type=lz4\nbootstrap.servers=a:9092\n", "max.block.ms: 0"
    )
    spec = load(path).base.producer
    assert spec is not None
    assert (spec.buffer.bytes, spec.linger, spec.max_block, spec.config) == (1048576, 0.02, 0.0, None)
    assert spec.ignored == {"compression.type": "lz4", "bootstrap.servers": "a:9092"}
    assert ProducerSpec.model_validate(spec.model_dump()) == spec, "the resolved scenario holds all of it"


def test_what_does_not_matter_is_listed_with_its_place_and_the_reason(tmp_path: Path) -> None:
    found = load(scenario(tmp_path, "acks=all\ncompression.type=lz4\n", "client.id: x")).remarks
    assert [str(remark).replace(f"{tmp_path}/", "") for remark in found] == [
        "producer.properties:2:1: 'compression.type' is ignored: a record is as large as client.record_size says: give its "
        "compressed size there",
        "x.yaml:10:3: 'client.id' is ignored: it names or decorates, and takes no time",
    ]


def test_what_stands_in_the_scenario_is_stronger_than_the_file(tmp_path: Path) -> None:
    spec = load(scenario(tmp_path, "linger.ms=20\n")).base.producer
    assert spec is not None
    assert spec.linger == 0.007
    spec = load(scenario(tmp_path, "linger.ms=20\n"), ("producer.batch.size=1000",)).base.producer
    assert spec is not None
    assert spec.batch.bytes == 1000


def test_every_fault_of_a_file_has_its_place(tmp_path: Path) -> None:
    path = scenario(tmp_path, "acks=all\nlingr.ms=5\nbatch.size=much\n", "max.in.flight.requests.per.connection: 0")
    assert problems(path) == [
        "producer.properties:2:1: 'lingr.ms' is not an option of the Java producer; did you mean 'linger.ms'?",
        "producer.properties:3:1: producer.batch.size: Invalid value much for configuration batch.size: "
        "Not a number of type INT",
        "x.yaml:10:42: producer.max.in.flight.requests.per.connection: Invalid value 0 for configuration "
        "max.in.flight.requests.per.connection: Value must be at least 1",
    ]
    path.write_text(path.read_text().replace("producer.properties", "nowhere.properties"))
    assert problems(path)[0].startswith("x.yaml:9:11: 'config': there is no file nowhere.properties")


def java(**options: Any) -> ProducerSpec:
    return ProducerSpec.model_validate({name.replace("_", "."): value for name, value in options.items()})


def test_defaults_are_those_of_client_and_version() -> None:
    assert (java().linger, java(version="3.9").linger) == (0.005, 0.0)
    assert (java(version="2.8").idempotence, java().idempotence) == (False, True)
    librdkafka = ProducerSpec.model_validate({"client": "librdkafka"})
    assert (librdkafka.max_in_flight, librdkafka.buffer.records, librdkafka.buffer.bytes) == (1_000_000, 100_000, 2**30)
    assert (librdkafka.batch.bytes, librdkafka.batch.records, librdkafka.delivery_timeout) == (1_000_000, 10_000, 300.0)
    assert (librdkafka.idempotence, librdkafka.on_full) == (False, "fail_fast")
    assert (java().batch.bytes, java().buffer.bytes, java().delivery_timeout, java().on_full) == (16384, 2**25, 120.0, "block")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"delivery_timeout_ms": 10_000}, "delivery.timeout.ms should be equal to or larger than linger.ms + request."),
        ({"enable_idempotence": "true", "acks": 1}, "Must set acks to all in order to use the idempotent producer."),
        ({"enable_idempotence": True, "retries": 0}, "Must set retries to non-zero when using the idempotent producer."),
        ({"max_in_flight_requests_per_connection": 6}, "Must set max.in.flight.requests.per.connection to at most 5"),
        ({"acks": "2"}, "Invalid value 2 for configuration acks: String must be one of: all, -1, 0, 1"),
        ({"linger_ms": -1}, "Invalid value -1 for configuration linger.ms: Value must be at least 0"),
        ({"client": "librdkafka", "linger_ms": 900_001}, 'property "linger.ms" value "900001": outside allowed range'),
        ({"client": "librdkafka", "enable_idempotence": True, "max_in_flight": 6}, "`max.in.flight` must be set <= 5"),
        ({"client": "librdkafka", "buffer_memory": 1}, "'buffer.memory' is not an option of librdkafka's producer"),
        ({"client": "librdkafka", "linger_ms": 5, "queue_buffering_max_ms": 5}, "are one option; leave one out"),
        ({"partitioner_class": "RoundRobinPartitioner"}, "'partitioner.class' is not modelled"),
        ({"linger_ms": 5, "linger": 0.005}, "are one thing under two names"),
    ],
)  # fmt: skip
def test_what_kafka_refuses_is_refused_with_its_reason(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        java(**options)
    assert reason in str(caught.value)


def test_what_kafka_changes_silently_is_changed_silently() -> None:
    assert java(linger_ms=100_000).delivery_timeout == 130.0
    assert java(acks=1).idempotence is False
    assert java(version="3.9", max_in_flight_requests_per_connection=6).idempotence is False


def test_topic_options_bring_kafkas_retention_with_them() -> None:
    plain = BrokerSpec.model_validate({"retention": {"bytes": 1000}})
    assert (plain.segment, plain.retention_time) == (None, None)
    topic = BrokerSpec.model_validate({"retention.bytes": 1000, "num.partitions": 3})
    assert (topic.retention.bytes, topic.segment, topic.retention_time, topic.retention_check) == (1000, 2**30, 604800.0, 300.0)
    assert topic.partitions == 3


@pytest.mark.parametrize(("tier", "client"), [(tier, client) for tier, tables in TABLES.items() for client in tables])
def test_every_option_accepts_its_own_default(tier: str, client: str) -> None:
    table = TABLES[tier][client]
    names = [name for option in table.options for name in option.names]
    assert len(names) == len(set(names))
    for option in table.options:
        assert bool(option.path) + bool(option.ignored) + bool(option.not_modelled) == 1, option.name
        if option.default is not None:
            option.value.read(option.default)
