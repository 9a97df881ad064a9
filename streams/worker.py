"""The composition root of the processors: from settings and a role's name to a running Faust worker."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn

import faust
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from faust.types import TP

from streams.app import build_app, run_app
from streams.collector import relax_collector
from streams.credentials import kafka_credentials
from streams.door import Door
from streams.errors import BadInput
from streams.schema_registry import SchemaRegistry
from streams.settings import Settings
from streams.transport import Batch, Committed, attach

STATE_TABLE = "state"
"""Name of the engine's table of snapshots; its changelog topic is `<group>-state-changelog`."""

ANSWER_S = 5.0
"""How long the broker may take to answer before it is asked again, s."""


def group(settings: Settings, role: str) -> str:
    """The consumer group of a role: one for all its workers."""
    return settings.topic(role)


def changelog_topic(settings: Settings) -> str:
    """The topic that keeps the engine's snapshots."""
    return f"{group(settings, 'engine')}-{STATE_TABLE}-changelog"


def run(role: str, settings: Settings, name: str | None = None) -> NoReturn:
    """Run one worker in this process until it is told to stop; never returns.

    Args:
        role: a key of `ROLES`.
        settings: where Kafka and ClickHouse are, and what the role may choose.
        name: of this worker, unique in its home (`engine-2`), the same after a restart; by default the role's, which several
            workers may share.

    Raises:
        BadInput: there is no such role.
    """
    if role not in ROLES:
        raise BadInput(f"role: {role!r} is none of {', '.join(ROLES)}")
    worker = name or role
    relax_collector()
    app = _app(role, settings, worker)
    ROLES[role](app, settings)
    attach(app, Readiness(settings, worker))
    until_kafka_answers(settings)
    run_app(app, loglevel=settings.log_level)


def until_kafka_answers(settings: Settings) -> None:
    """Wait for the broker, however long: Faust would fail at once, and a supervisor give up a worker that fails so often."""
    client = AdminClient({**settings.kafka_client_config(), "log_level": 0})
    told = False
    while True:
        try:
            client.list_topics(timeout=ANSWER_S)
        except KafkaException as silent:
            if not told:
                print(f"waiting for Kafka at {settings.kafka_bootstrap}: {silent.args[0].str()}", flush=True)
            told = True
        else:
            return


class Readiness:
    """Tells the supervisor that this worker has its partitions: a file with its process id, gone when it has not."""

    def __init__(self, settings: Settings, worker: str) -> None:
        self._file = settings.run_dir / f"{worker}.ready"
        self._file.unlink(missing_ok=True)

    async def assigned(self, committed: Mapping[TP, Committed]) -> Mapping[TP, int]:  # noqa: ARG002  any partitions will do
        """Attached last: all other listeners have their positions."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(str(os.getpid()))
        return {}

    async def revoked(self, tps: set[TP]) -> None:
        """A rebalance gives new partitions in a moment: the worker stays ready."""


def _app(role: str, settings: Settings, worker: str) -> faust.App:
    return build_app(
        group(settings, role),
        brokers=settings.kafka_bootstrap,
        datadir=settings.home / "workers" / worker,
        web_port=_web_port(settings, worker) if role == "engine" else None,
        web_host=settings.host,
        credentials=kafka_credentials(settings),
        session_timeout_s=settings.session_timeout.total_seconds(),
        changelog_partitions=settings.partitions,
    )


def _web_port(settings: Settings, worker: str) -> int:
    number = int(worker.rpartition("-")[2]) if worker[-1].isdigit() else 1
    return settings.port_of(f"engine-{number}", settings.engine_web_port + number - 1)


def _consume(app: faust.App, topics: list[str], take: Callable[[Batch], Awaitable[None]]) -> None:
    """The one agent of a role: batch after batch, in order."""

    @app.agent(app.topic(*topics), name=f"{app.conf.id} {' '.join(topics)}")
    async def batches(stream: Any) -> None:
        async for batch in stream:
            await take(batch)


def _door(settings: Settings) -> Door:
    return Door(
        max_event_bytes=settings.max_event_bytes,
        max_ahead_ms=settings.max_ahead_ms,
        max_age_ms=settings.max_age_ms,
        registry=None if settings.schema_registry is None else SchemaRegistry(settings.schema_registry),
    )


def _clock(app: faust.App, settings: Settings) -> None:
    from streams.roles.clock import Clock  # noqa: PLC0415  see ROLES

    role = Clock(app, settings)
    _consume(app, role.topics, role.take)


def _meter(app: faust.App, settings: Settings) -> None:
    from streams.roles.meter import Meter  # noqa: PLC0415  see ROLES

    role = Meter(app, settings, _door(settings))
    _consume(app, role.topics, role.take)


def _intake(app: faust.App, settings: Settings) -> None:
    from streams.roles.intake import Intake  # noqa: PLC0415  see ROLES

    role = Intake(app, settings, _door(settings))
    _consume(app, role.topics, role.take)


def _engine(app: faust.App, settings: Settings) -> None:
    from streams.roles.engine import Engine  # noqa: PLC0415  see ROLES
    from streams.web import serve_state  # noqa: PLC0415  see ROLES
    from streams.web_accounts import serve_accounts  # noqa: PLC0415  see ROLES
    from streams.web_scale import serve_scale  # noqa: PLC0415  see ROLES

    table = app.Table(STATE_TABLE, partitions=settings.partitions, key_type=bytes, value_type=bytes)
    role = Engine(
        app,
        table,
        journal=settings.topic("journal"),
        facts=settings.topic("facts"),
        limits=settings.topic("limits"),
        market=settings.topic("market"),
        leases=settings.topic("leases"),
        scaling=settings.topic("scaling"),
        snapshot_every_ms=int(settings.snapshot_every_s * 1000),
    )
    _consume(app, [settings.topic("journal")], role.take)
    serve_state(app, table, role)
    serve_accounts(app, table, role)
    serve_scale(app, table, role)


def _sink(app: faust.App, settings: Settings) -> None:
    from streams.roles.sink import Sink  # noqa: PLC0415  see ROLES

    role = Sink(app, settings, _door(settings))
    for topic in role.topics:
        _consume(app, [topic], role.take)


def _planner(app: faust.App, settings: Settings) -> None:
    from streams.roles.planner import Planner  # noqa: PLC0415  see ROLES

    role = Planner(app, settings)
    _consume(app, role.topics, role.take)


ROLES: dict[str, Callable[[faust.App, Settings], None]] = {
    "clock": _clock,
    "meter": _meter,
    "intake": _intake,
    "engine": _engine,
    "sink": _sink,
    "planner": _planner,
}
"""Builders of the roles. Each imports what it needs: five workers start at once on few cores, and importing is most of it."""
