"""The parts of a system as commands: Kafka and ClickHouse where none is given, workers, dashboard."""

from __future__ import annotations

import sys
from pathlib import Path

from infra.broker import broker_answers, broker_command
from infra.embedded import clickhouse_answers, clickhouse_command, get
from infra.run_state import Beside, Desired
from infra.supervised import Part
from streams.settings import Settings

TOPICS, TABLES = "topics", "tables"


def parts_of(settings: Settings, desired: Desired) -> list[Part]:
    """What shall run here: parts that exist elsewhere (`BOURSE_KAFKA`, `BOURSE_CLICKHOUSE`) are left out."""
    parts = [_beside(name, desired.beside[name]) if name in desired.beside else _part(settings, name) for name in desired.names()]
    return [part for part in parts if part is not None]


def _part(settings: Settings, name: str) -> Part | None:
    if name == "kafka":
        return None if settings.kafka else _kafka(settings)
    if name == "clickhouse":
        return None if settings.clickhouse else _clickhouse(settings)
    if name == "dashboard":
        return _dashboard(settings)
    return _worker(settings, name)


def _kafka(settings: Settings) -> Part:
    def argv() -> list[str]:
        return broker_command(
            settings.home / "kafka",
            port=settings.port_of("kafka", settings.kafka_port),
            controller_port=settings.port_of("kafka-controller", settings.kafka_port + 1),
            host=settings.host,
            jar_dir=settings.jars,
            heap_mb=settings.kafka_heap_mb,
        )

    return Part("kafka", argv, lambda _pid: broker_answers(settings.kafka_client_config()), store=True)


def _clickhouse(settings: Settings) -> Part:
    port = settings.port_of("clickhouse", settings.clickhouse_port)
    return Part(
        "clickhouse",
        lambda: clickhouse_command(settings.home / "clickhouse", port=port, host=settings.host),
        lambda _pid: clickhouse_answers(settings.clickhouse_url),
        store=True,
    )


def _worker(settings: Settings, name: str) -> Part:
    role = name.rpartition("-")[0]
    ready_file = settings.run_dir / f"{name}.ready"
    return Part(
        name,
        lambda: [sys.executable, "-m", "infra.worker", role, "--name", name],
        lambda pid: _says(ready_file, pid),
        # A sink waits for ClickHouse by itself: only its tables must be there. The others must not wait for ClickHouse at all.
        needs=frozenset({TOPICS, TABLES}) if role == "sink" else frozenset({TOPICS}),
    )


def _says(ready_file: Path, pid: int) -> bool:
    try:
        return ready_file.read_text(encoding="ascii").strip() == str(pid)
    except OSError:
        return False


def _dashboard(settings: Settings) -> Part:
    return Part("dashboard", lambda: [sys.executable, "-m", "dashboards"], lambda _pid: _answers(settings.dashboard_url))


def _beside(name: str, beside: Beside) -> Part:
    argv = [sys.executable, "-m", "infra.cli", *beside.arguments]
    return Part(name, lambda: argv, lambda _pid: _answers(beside.ready), needs=frozenset({TOPICS}))


def _answers(url: str) -> bool:
    answer = get(url)
    return answer is not None and answer.is_success
