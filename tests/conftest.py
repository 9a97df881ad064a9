"""What every test may use: one real Kafka and one real ClickHouse for the session, started when first asked for.

Where a Docker daemon answers they run in containers, elsewhere embedded. Either way on free ports, with nothing left behind.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from infra.broker import LARGEST_MESSAGE_BYTES, wait_for_broker
from infra.embedded import EmbeddedBroker, EmbeddedClickHouse, clickhouse_answers
from infra.processes import free_port

# Timing belongs in tests/benchmarks: an example that a busy machine made slow has not failed. The same examples each time, so that
# a change is judged by what it changed; BOURSE_FUZZ=1 looks for new ones.
hypothesis.settings.register_profile("bourse", deadline=None, derandomize="BOURSE_FUZZ" not in os.environ)
hypothesis.settings.load_profile("bourse")

ON_STORES = {"dashboards": "stores", "streams": "stores", "e2e": "systems", "infra": "systems"}
"""Folders whose tests need brokers and stores, or start whole systems; those of one name run in one process."""

WITHOUT_STORES = {
    "infra": "allocate_door backtest backtest_variants backtest_welfare bench book_door book_engines clickhouse_sql demo_pool "
    "demo_sla demo_trading forecast_door help settings simulate simulate_replica sql_page workloads",
    "streams": "asking codecs desk desk_limits door door_commands door_fuzzing engine_role following intake_partition landing "
    "market_door meter_crashes meter_partition outputs planning_door schema_registry sequence signatures tickets "
    "transport_consumer web",
}
"""Files of these folders that do not: they go wherever there is time."""

PURE = {f"tests/{folder}/test_{name}.py" for folder, names in WITHOUT_STORES.items() for name in names.split()}


class OneSystemAtATime(LoadScopeScheduling):
    """Under `pytest -n 2` one process has all tests of whole systems, so that there are never two, and one those of stores.

    Those come first, and are each other's only company: tests that take all of a processor beside them made their waits too long.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return path if path in PURE else ON_STORES.get(path.split("/")[1], path)

    def _assign_work_unit(self, node: WorkerController) -> None:
        for scope in ("systems", "stores"):
            if scope in self.workqueue:
                self.workqueue.move_to_end(scope, last=False)
                break
        super()._assign_work_unit(node)


def pytest_itemcollected(item: pytest.Item) -> None:
    """A file that is said to need no store may not come to need one."""
    path = item.nodeid.partition("::")[0]
    asked = {"broker", "clickhouse"} & set(getattr(item, "fixturenames", ()))
    if asked and path in PURE:
        raise pytest.UsageError(f"{path} needs a {min(asked)}: take it from WITHOUT_STORES in tests/conftest.py")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneSystemAtATime:
    return OneSystemAtATime(config, log)


KAFKA_IMAGE = "apache/kafka:4.3.0"
CLICKHOUSE_IMAGE = "clickhouse/clickhouse-server:26.9"


def docker_answers() -> bool:
    client = shutil.which("docker")
    if client is None:
        return False
    asked = subprocess.run([client, "info", "--format", "{{.ServerVersion}}"], capture_output=True, timeout=20, check=False)
    return asked.returncode == 0 and bool(asked.stdout.strip())


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of a Kafka for this session; every test makes topics of its own."""
    if docker_answers():
        yield from _kafka_in_docker()
        return
    with EmbeddedBroker(tmp_path_factory.mktemp("broker")) as running:
        yield running.bootstrap


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a ClickHouse for this session; every test makes a database of its own."""
    if docker_answers():
        yield from _clickhouse_in_docker()
        return
    with EmbeddedClickHouse(tmp_path_factory.mktemp("clickhouse")) as running:
        yield running.url


def _kafka_in_docker() -> Iterator[str]:
    from testcontainers.core.container import DockerContainer

    port = free_port()
    # The address that a broker hands out has to be the one by which clients reach it: the port of the host.
    container = DockerContainer(KAFKA_IMAGE).with_bind_ports(9092, port)
    environment = {
        "NODE_ID": "1",
        "PROCESS_ROLES": "broker,controller",
        "LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
        "AUTO_CREATE_TOPICS_ENABLE": "false",
        "LOG_MESSAGE_TIMESTAMP_TYPE": "LogAppendTime",
        "MESSAGE_MAX_BYTES": str(LARGEST_MESSAGE_BYTES),
    }
    for name, value in environment.items():
        container.with_env(f"KAFKA_{name}", value)
    with container:
        address = f"127.0.0.1:{port}"
        wait_for_broker({"bootstrap.servers": address}, timeout_s=120)
        yield address


def _clickhouse_in_docker() -> Iterator[str]:
    import time

    from testcontainers.core.container import DockerContainer

    container = DockerContainer(CLICKHOUSE_IMAGE).with_exposed_ports(8123).with_env("CLICKHOUSE_SKIP_USER_SETUP", "1")
    with container:
        url = f"http://{container.get_container_host_ip()}:{container.get_exposed_port(8123)}"
        deadline = time.monotonic() + 120
        while not clickhouse_answers(url):
            assert time.monotonic() < deadline, f"ClickHouse at {url} does not answer"
            time.sleep(0.2)
        yield url
