"""A worker process for the transport's tests: one agent that behaves as the test says, and tells what it sees in JSON lines.

The same app runs on either driver: for "stock" the `bourse://` address loads Faust's own driver, all settings stay the same.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import faust
from faust.transport.consumer import Consumer as StockConsumer
from faust.transport.drivers import TRANSPORTS
from faust.types import TP

from streams.app import build_app, run_app
from streams.credentials import kafka_credentials
from streams.settings import Settings
from streams.transport import Batch, Committed, Outgoing, attach, consumer_of, flushed, send_all

Stream = Any


def tell(what: str, **more: object) -> None:
    print(json.dumps({"what": what, **more}), flush=True)


class Role:
    """Starts where the test says and tells of its assignments."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.table: Any = None
        self.go = asyncio.Event()

    async def assigned(self, committed: dict[TP, Committed]) -> dict[TP, int]:
        if self.spec.get("think"):
            tell("thinking", partitions=sorted(tp.partition for tp in committed))
            await self.go.wait()
        listed = {f"{tp.topic}/{tp.partition}": list(kept) for tp, kept in sorted(committed.items())}
        tell("assigned", committed=listed, table={str(k): v.decode() for k, v in (self.table or {}).items()})
        if self.spec.get("fail_assigned"):
            raise RuntimeError("can't say where to start")
        start: dict[str, int] = self.spec.get("start", {})
        return {tp: start[str(tp.partition)] for tp in committed if str(tp.partition) in start}

    async def revoked(self, tps: set[TP]) -> None:
        tell("revoked", partitions=sorted(tp.partition for tp in tps))


class Behaviour:
    """What the agent does with what it gets. `ours` says whether a stream yields batches."""

    def __init__(self, app: faust.App, spec: dict[str, Any], role: Role) -> None:
        self.app, self.spec, self.role = app, spec, role
        self.ours = spec["driver"] == "bourse"
        self.go = role.go

    def declare(self, batch: Batch, next_offset: int, note: str = "") -> None:
        done = consumer_of(self.app).declare_safe(batch.tp, next_offset, note, generation=batch.generation)
        tell("declared" if done else "late", partition=batch.partition, next=next_offset)

    async def deliveries(self, stream: Stream) -> AsyncIterator[tuple[Batch | None, list[tuple[int, int, bytes]]]]:
        """(batch, [(partition, offset, value)]): a batch of ours, or one event of the stock driver."""
        if self.ours:
            async for batch in stream:
                yield batch, [(batch.partition, record.offset, record.value) for record in batch.records]
        else:
            async for event in stream.events():
                yield None, [(event.message.partition, event.message.offset, event.message.value)]

    async def record(self, stream: Stream) -> None:
        """Tell every delivery, declare it safe with a note."""
        async for batch, records in self.deliveries(stream):
            tell("got", partition=records[0][0], first=records[0][1], last=records[-1][1], count=len(records))
            if self.spec.get("values"):
                tell("values", values=[value.decode("latin1") for _, _, value in records])
            await asyncio.sleep(self.spec.get("pause_s", 0))
            if batch is not None and self.spec.get("declare", True):
                self.declare(batch, batch.last + 1, f"note {batch.last}")

    async def fail(self, stream: Stream) -> None:
        """Raise at the record `boom`, having declared what came before it."""
        async for batch, records in self.deliveries(stream):
            for _, offset, value in records:
                if value == b"boom":
                    tell("raising", offset=offset)
                    raise RuntimeError("boom")
                if batch is not None:
                    self.declare(batch, offset + 1)

    async def fail_in_take(self, stream: Stream) -> None:
        """The stock driver's only way to a batch."""
        async for values in stream.take(10, within=0.5):
            tell("taken", count=len(values))
            if b"boom" in values:
                tell("raising", offset=-1)
                raise RuntimeError("boom")

    async def send(self, stream: Stream) -> None:
        """Answer every record; the answer to `boom` is one that the broker refuses. Go on as if nothing had happened."""
        out = self.app.topic(self.spec["out"], value_serializer="raw")
        async for batch, records in self.deliveries(stream):
            for _, offset, value in records:
                answer = b"x" * (4096 if value == b"boom" else 10)
                try:
                    if self.spec["way"] == "topic":
                        await (await out.send(value=answer))
                    elif self.spec["way"] == "send_all":
                        await (await send_all(self.app, [Outgoing(self.spec["out"], 0, b"k", answer)]))
                    else:
                        self.role.table["k"] = answer
                        await (flushed(self.app) if self.ours else asyncio.sleep(0.2))
                except Exception as error:  # noqa: BLE001  a role that swallows the failure must not make it unseen
                    tell("failed", offset=offset, error=type(error).__name__)
                if batch is not None:
                    self.declare(batch, offset + 1)
                tell("answered", offset=offset)

    async def skip_one(self, stream: Stream) -> None:
        """Everything is done but one record."""
        unfinished = self.spec["unfinished"]
        if self.ours:
            async for batch in stream:
                if batch.first <= unfinished:
                    self.declare(batch, min(batch.last + 1, unfinished))
                tell("got", partition=batch.partition, first=batch.first, last=batch.last, count=len(batch.records))
        else:
            async for event in stream.noack().events():
                if event.message.offset != unfinished:
                    event.ack()
                tell("got", partition=0, first=event.message.offset, last=event.message.offset, count=1)

    async def hold(self, stream: Stream) -> None:
        """Keep the first delivery in hand until the test says go."""
        async for batch, records in self.deliveries(stream):
            tell("got", partition=records[0][0], first=records[0][1], last=records[-1][1], count=len(records))
            await self.go.wait()
            if batch is not None:
                self.declare(batch, batch.last + 1)

    async def misdeclare(self, stream: Stream) -> None:
        """Declare what can't be true."""
        async for batch, _ in self.deliveries(stream):
            assert batch is not None
            self.declare(batch, batch.last + 1)
            self.declare(batch, batch.last + self.spec["off_by"])

    async def keep(self, stream: Stream) -> None:
        """Write the last value into the table, and declare it when the changelog has it."""
        async for batch, records in self.deliveries(stream):
            assert batch is not None
            self.role.table["last"] = records[-1][2]
            await flushed(self.app)
            self.declare(batch, batch.last + 1)


def watch_sleeps() -> None:
    """Tell when the stock driver's fetch loop sleeps its second."""
    sleep = StockConsumer.sleep

    async def told(self: StockConsumer, n: float) -> None:
        # The commit timers sleep too, with their interval; the fetch loop sleeps exactly 1.
        if n == 1:
            tell("slept", backlog=sorted(tp.partition for tp in self._buffered_partitions))
        await sleep(self, n)

    StockConsumer.sleep = told  # type: ignore[method-assign]  # it is watched, not changed


def main() -> None:
    spec = json.loads(sys.argv[1])
    if spec["driver"] == "stock":
        TRANSPORTS.aliases["bourse"] = "faust.transport.drivers.aiokafka:Transport"
    watch_sleeps()
    app = build_app(
        spec["group"],
        brokers=spec["bootstrap"],
        datadir=Path(spec["datadir"]),
        credentials=kafka_credentials(Settings(**spec["settings"])) if "settings" in spec else None,
        session_timeout_s=4.0,
        commit_interval_s=spec.get("commit_interval_s", 0.2),
        max_batch_records=spec.get("max_batch_records", 5000),
    )
    app.conf.stream_buffer_maxsize = spec.get("stream_buffer_maxsize", 4096)
    role = Role(spec)
    if spec.get("table"):
        role.table = app.Table("kept", partitions=1, key_type=str, value_type=bytes)
    if spec["driver"] == "bourse":
        attach(app, role)
    elif "start" in spec:
        seek_on_signal(app, spec["start"])
    behaviour = Behaviour(app, spec, role)
    topic = app.topic(spec["topic"], value_serializer=spec.get("value_serializer", "raw"))
    agent: Callable[[Stream], Any] = getattr(behaviour, spec["do"])

    @app.agent(topic, name="agent")
    async def run(stream: Stream) -> None:
        await agent(stream)

    @app.task
    async def listen() -> None:
        tell("ready")
        asyncio.get_running_loop().add_reader(sys.stdin, behaviour.go.set)

    run_app(app, loglevel=spec.get("loglevel", "INFO"))


def seek_on_signal(app: faust.App, start: dict[str, int]) -> None:
    """The only hook that the stock driver offers for a start position."""

    @app.on_partitions_assigned.connect(weak=False)
    async def seek(_app: faust.App, assigned: set[TP], **_: object) -> None:
        for tp in assigned:
            await app.consumer.seek(tp, start[str(tp.partition)])


if __name__ == "__main__":
    main()
