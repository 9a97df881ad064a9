"""A sink in a process of its own, for tests and benchmarks: settings come from the environment, faults from the command line.

It tells in JSON lines when it begins, and what has landed. Argument: {"crash": {"at": …, "table": …, "nth": …}} in JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import faust
from clickhouse_connect.driver.client import Client
from faust.types import TP

from streams.app import build_app, run_app
from streams.collector import relax_collector
from streams.door import Door
from streams.landing import Landable, Standings
from streams.roles import sink
from streams.settings import Settings
from streams.standing import LandingTables
from streams.transport import Batch, consumer_of

EXIT_CODE = 9


def tell(what: str, **more: object) -> None:
    print(json.dumps({"what": what, "at": time.time(), "cpu_s": time.process_time(), **more}), flush=True)


class Fault:
    """Ends the process, as kill -9 would, at the nth time that it comes by a place."""

    def __init__(self, at: str = "", table: str = "", nth: int = 1) -> None:
        self._at, self._table, self._left = at, table, nth

    def pass_by(self, place: str, table: str) -> None:
        if place == self._at and self._table in {"", table}:
            self._left -= 1
            if self._left == 0:
                tell("crash", place=place, table=table)
                os._exit(EXIT_CODE)


def crashing_tables(fault: Fault) -> type[LandingTables]:
    class Crashing(LandingTables):
        def inserting(self, table: str, items: Sequence[Landable], landed_at: int) -> Callable[[Client], None]:
            insert = super().inserting(table, items, landed_at)

            def run(client: Client) -> None:
                fault.pass_by("before insert", table)
                insert(client)
                fault.pass_by("after insert", table)

            return run

        def insert_landed(self, client: Client, standings: Standings) -> None:
            fault.pass_by("before landed", "landed")
            super().insert_landed(client, standings)
            fault.pass_by("after landed", "landed")

    return Crashing


class TellingSink(sink.Sink):
    """Tells when it takes its first batch, and what has landed."""

    first = True

    async def take(self, batch: Batch) -> None:
        if self.first:
            self.first = False
            tell("first")
        await super().take(batch)

    async def assigned(self, committed: Any) -> Any:
        positions = await super().assigned(committed)
        tell("assigned", positions={f"{tp.topic}/{tp.partition}": at for tp, at in positions.items()})
        return positions


def watch_declarations(app: faust.App) -> None:
    consumer = consumer_of(app)
    declare = consumer.declare_safe

    def declare_safe(tp: TP, next_offset: int, note: str = "", *, generation: int | None = None) -> bool:
        tell("landed", topic=tp.topic, partition=tp.partition, next=next_offset)
        return declare(tp, next_offset, note, generation=generation)

    consumer.declare_safe = declare_safe  # type: ignore[method-assign]  # it is watched, not changed


def main() -> None:
    spec = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    relax_collector()
    settings = Settings()
    vars(sink)["LandingTables"] = crashing_tables(Fault(**spec.get("crash", {})))  # the real one, with a fault in it
    door = Door(max_event_bytes=settings.max_event_bytes, max_ahead_ms=settings.max_ahead_ms, max_age_ms=settings.max_age_ms)
    app = build_app(
        settings.topic("sink"),
        brokers=settings.kafka_bootstrap,
        datadir=settings.home / f"sink-{os.getpid()}",
        session_timeout_s=settings.session_timeout.total_seconds(),
        commit_interval_s=0.2,
    )
    role = TellingSink(app, settings, door)
    for topic in role.topics:
        app.agent(app.topic(topic), name=topic)(_agent(role))

    async def watch() -> None:
        watch_declarations(app)

    app.task(watch)

    run_app(app, loglevel="INFO")


def _agent(role: sink.Sink) -> Any:
    async def land(stream: Any) -> None:
        async for batch in stream:
            await role.take(batch)

    return land


if __name__ == "__main__":
    main()
