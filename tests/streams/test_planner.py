"""The planner on a real broker and ClickHouse: what it reads and publishes, ClickHouse away and back, a plan published twice."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from databases import drop
from journal_world import of_kind, refold, state_bytes
from landed_world import land
from planned_world import BEGIN_HOUR, HOURS, MOVER, NEWCOMER, PERIOD_S, TENANTS, Planned
from test_roles_on_kafka import PARTITIONS, TICK, TICK_MS, Bourse

from processors.history import History
from processors.rebalance import UNKNOWN, RebalanceSettings, needs
from schemas.facts import CommandRefused
from schemas.journal import ClockTick
from schemas.loop_facts import Rebalanced
from schemas.model import Event
from schemas.planning import HOURS_OF_WEEK, PriorsCommand, PriorSource, RebalanceCommand
from schemas.planning_facts import PriorOutcome, PriorsSet, ProfilesPrimed
from streams import clickhouse as clickhouse_way
from streams import history
from streams.clickhouse import ClickHouse, connect
from streams.codecs import decode, encode
from streams.history import ClosedPool, Reader, hours_to_read
from streams.partitioning import home_partition
from streams.planner import Plans
from streams.planner_note import PlannerNote
from streams.settings import Settings

pytestmark = pytest.mark.kafka

LAST_HOUR = BEGIN_HOUR + HOURS - 2
"""The last that closed whole."""
AS_OF_S = (LAST_HOUR + 1) * 3600


@pytest.fixture(scope="module")
def planned() -> Planned:
    return Planned()


@pytest.fixture(scope="module")
def database(clickhouse: str, planned: Planned, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """What the world decided has landed twice, as after a crash of the sink."""
    settings = Settings(clickhouse=clickhouse, clickhouse_database=f"p{uuid.uuid4().hex[:8]}", home=tmp_path_factory.mktemp("p"))
    land(settings, [planned], copies=2)
    yield settings
    drop(connect(settings), settings.clickhouse_database)


def test_hours_are_those_of_closed_periods_that_say_something(database: Settings, planned: Planned) -> None:
    reader, client = Reader(database.clickhouse_database), connect(database)
    pools = reader.pools(client)
    assert pools == [ClosedPool(name, PERIOD_S, BEGIN_HOUR * 3600, AS_OF_S + 2 * PERIOD_S) for name in ("gpt", "llm")]
    for pool in pools:
        known = planned.by_hour(pool.pool)
        assert {len(known.get(hour, {})) for hour in range(BEGIN_HOUR, LAST_HOUR)} > {0} or pool.pool == "gpt"
        for hour in range(BEGIN_HOUR - 1, LAST_HOUR + 1):
            found = reader.hour(client, pool, hour)
            assert dict(zip(found.tenant, found.tokens, strict=True)) == known.get(hour, {}), hour
            assert found.tenant == sorted(found.tenant)


def test_what_has_not_landed_whole_is_not_believed(database: Settings) -> None:
    """The sink has inserted a period's row, and has not noted yet that everything up to it is there."""
    reader, client, name = Reader(database.clickhouse_database), connect(database), database.clickhouse_database
    before = reader.pools(client)
    client.command(
        f"INSERT INTO {name}.periods_landed SELECT * REPLACE (period + 1 AS period, offset + 1000000 AS offset) "
        f"FROM {name}.periods_landed WHERE pool = 'llm' ORDER BY period DESC LIMIT 1"
    )
    assert reader.pools(client) == before
    (landed,) = client.query(f"SELECT max(period) FROM {name}.periods WHERE pool = 'llm'").result_rows
    assert (landed[0] + 1) * PERIOD_S > before[1].end_s


def test_standings(database: Settings) -> None:
    reader, client = Reader(database.clickhouse_database), connect(database)
    llm = reader.pools(client)[1]
    found = reader.standings(client, llm)
    assert {name: standing.base for name, standing in found.items()} == {
        **{name: 1000 * (number + 1) for number, name in enumerate(TENANTS)}, NEWCOMER: 500, MOVER: 0
    }  # fmt: skip
    assert {name for name, standing in found.items() if standing.since > LAST_HOUR} == {NEWCOMER, MOVER}
    assert reader.has_mixture(client, llm)
    assert reader.told(client, llm) == {}
    assert reader.rebalancing(client, llm) == RebalanceSettings()


def test_an_hour_is_read_in_parts_that_bound_what_a_question_reads(
    database: Settings, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, client = Reader(database.clickhouse_database), connect(database)
    llm = reader.pools(client)[1]
    whole = reader.hour(client, llm, BEGIN_HOUR + 3)
    monkeypatch.setattr(history, "MOST_ROWS", 4)  # one period of four tenants
    assert reader.hour(client, llm, BEGIN_HOUR + 3) == whole
    assert [list(part) for part in history._parts([(1, 4), (2, 2), (3, 2), (5, 9), (6, 1)])] == [[1], [2, 3], [5], [6]]


READS: list[tuple[int | None, int, range]] = [
    (None, 168, range(100, 110)),
    (None, 4, range(106, 110)),
    (105, 168, range(106, 110)),
    (109, 168, range(110, 110)),
    (100, 4, range(106, 110)),
]


@pytest.mark.parametrize(("through", "look_back", "expected"), READS)
def test_an_hour_is_read_once(through: int | None, look_back: int, expected: range) -> None:
    found = hours_to_read(History(60, look_back, through), ClosedPool("p", 60, 100 * 3600 + 60, 111 * 3600 - 60), 110 * 3600)
    assert list(found) == list(expected)


class BrokenAnswerError(Exception):
    """Holds as much of an answer as still goes through."""


class Way:
    """A way to ClickHouse that can be cut: a port of its own, behind which nothing answers until it is opened."""

    def __init__(self, url: str) -> None:
        host, port = url.rpartition("/")[2].split(":")
        self._target = (host, int(port))
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for each in self._open:
            each.close()
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:  # it was cut
                return
            server = socket.create_connection(self._target)
            self._open += [client, server]
            for source, sink, answer in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pump, args=(source, sink, answer), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, answer: bool) -> None:
        try:
            while data := source.recv(65_536):
                sink.sendall(self._forward(data, answer=answer))
            sink.shutdown(socket.SHUT_WR)
        except BrokenAnswerError as broken:
            sink.sendall(broken.args[0])
            sink.shutdown(socket.SHUT_RDWR)
        except OSError:  # it was cut, or one side has gone
            return

    def _forward(self, data: bytes, *, answer: bool) -> bytes:
        return data


class FaultyWay(Way):
    """Each answer that is due to fail breaks off behind its head."""

    def __init__(self, url: str, failing: Callable[[int], bool]) -> None:
        super().__init__(url)
        self.answers = self.broken = 0
        self.on_fault: Callable[[], None] = lambda: None
        self._failing = failing

    def _forward(self, data: bytes, *, answer: bool) -> bytes:
        if answer and data.startswith(b"HTTP/"):
            self.answers += 1
            if self._failing(self.answers):
                self.broken += 1
                self.on_fault()
                head, end, body = data.partition(b"\r\n\r\n")
                raise BrokenAnswerError(head + end + body[: len(body) // 2])
        return data


def planned_through(database: Settings, way: Way | None = None) -> list[Event]:
    """All that is planned, in order; whoever waits is told the beginning and the end of it."""
    name, url = database.clickhouse_database, way.url if way else database.clickhouse_url
    settings = Settings(home=database.home, clickhouse=url, clickhouse_database=name)
    waited: list[bool] = []
    commands: list[Event] = []

    async def run() -> None:
        store = ClickHouse(settings)
        plans = Plans(settings, store, waited.append)
        while (found := await plans.next()) is not None:
            commands.extend(plans.commands(found))
            plans.planned[found.pool] = found.as_of_s
        store.close()

    asyncio.run(run())
    assert waited == [True, False] * (len(waited) // 2)
    return commands


@pytest.fixture(scope="module")
def whole(database: Settings) -> list[Event]:
    """What is planned without any outage."""
    return planned_through(database)


def test_an_outage_amid_a_plan_changes_nothing_of_it(
    database: Settings, whole: list[Event], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(clickhouse_way, "LONGEST_PAUSE_S", 0.02)
    assert [(said.KIND, getattr(said, "pool", "")) for said in whole] == [
        ("rebalance", "gpt"),
        ("priors", "llm"),
        ("rebalance", "llm"),
    ]
    rng = random.Random(5)
    way = FaultyWay(database.clickhouse_url, lambda _number: rng.random() < 0.08)
    way.open()
    assert planned_through(database, way) == whole
    way.cut()
    assert way.broken > 10
    said = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert "works again" in said[-1]
    assert all("trying until it works" in each or "works again" in each for each in said), said


def test_a_store_that_comes_back_empty_amid_a_plan_is_not_believed(database: Settings) -> None:
    """It lands everything again: until the periods are there, nothing is planned."""
    client, name = connect(database), database.clickhouse_database
    way = FaultyWay(database.clickhouse_url, lambda number: number == 60)

    def forget() -> None:
        for table in ("allocations", "periods"):
            client.command(f"RENAME TABLE {name}.{table}_landed TO {name}.{table}_before")
            client.command(f"CREATE TABLE {name}.{table}_landed AS {name}.{table}_before")

    way.on_fault = forget
    way.open()
    try:
        assert planned_through(database, way) == []
    finally:
        way.cut()
        for table in ("allocations", "periods"):
            client.command(f"DROP TABLE {name}.{table}_landed")
            client.command(f"RENAME TABLE {name}.{table}_before TO {name}.{table}_landed")
    assert way.broken == 1


class Lab(Bourse):
    """A planner and its topics; the way to ClickHouse is cut at first."""

    def __init__(self, bootstrap: str, home: Path, database: Settings) -> None:
        super().__init__(bootstrap, home)
        self.way = Way(database.clickhouse_url)
        given = {"clickhouse": self.way.url, "clickhouse_database": database.clickhouse_database, "plan_every": "1h"}
        self.settings = Settings(**{**self._given(), **given})
        self._ticks = Producer({"bootstrap.servers": bootstrap, "linger.ms": 1})

    def _given(self) -> dict[str, Any]:
        names = ("home", "kafka", "topic_prefix", "partitions", "tick_ms", "session_timeout")
        return {name: getattr(self.settings, name) for name in names}

    def clock(self) -> None:
        """A tick of now."""
        now = time.time_ns() // 1_000_000 // TICK_MS
        value = encode(ClockTick(tick=now, tick_ms=TICK_MS, meter_partitions=PARTITIONS, grace_ticks=5))
        self._ticks.produce(self.settings.topic("clock"), value=value, partition=0, headers=TICK)
        assert self._ticks.flush(30) == 0

    def leave(self, name: str) -> None:
        """Without waiting for its session to end, as after kill -9; what it knew is gone all the same."""
        worker = self.workers.pop(name)
        worker.terminate()
        worker.wait(30)
        (self.settings.run_dir / "planner.json").unlink()

    @property
    def note(self) -> PlannerNote:
        return PlannerNote.read(self.settings) or PlannerNote(0)

    def plans(self) -> list[Event]:
        """What stands in `profiles`, in each pool's home."""
        found = []
        for message in self.messages("profiles"):
            said = decode(message.value() or b"")
            assert isinstance(said, PriorsCommand | RebalanceCommand)
            assert (message.key(), message.partition()) == (said.pool.encode(), home_partition(said.pool.encode(), PARTITIONS))
            found.append(said)
        return sorted(found, key=lambda said: said.pool)


@pytest.fixture
def lab(broker: str, database: Settings, tmp_path: Path) -> Iterator[Lab]:
    made = Lab(broker, tmp_path / "home", database)
    yield made
    made.way.cut()
    made.close()


def expected_needs(planned: Planned, name: str) -> dict[str, int]:
    import numpy as np

    known = planned.by_hour(name)
    names = sorted({tenant for used in known.values() for tenant in used})
    rows = [[known.get(hour, {}).get(tenant, UNKNOWN) for tenant in names] for hour in range(BEGIN_HOUR, LAST_HOUR + 1)]
    found = needs(np.array(rows), RebalanceSettings())
    return {tenant: need for tenant, need in zip(names, found.tolist(), strict=True) if need != UNKNOWN}


def test_a_plan_waits_for_clickhouse_and_is_published_once_more_after_a_crash(lab: Lab, planned: Planned) -> None:
    lab.clock()
    lab.start("planner", "planner-1")
    lab.until(lambda: lab.note.waiting_since, "it does not say that it waits")
    assert "fails, trying until it works" in (lab.home / "planner-1.log").read_text()
    assert not lab.plans()
    lab.way.open()
    lab.until(lambda: len(lab.note.planned) == 2, "nothing is planned")
    assert lab.note.waiting_since is None
    assert lab.note.planned == {"gpt": AS_OF_S * 1000, "llm": AS_OF_S * 1000}
    plans = lab.plans()
    assert [(said.KIND, said.pool, getattr(said, "id", "")) for said in plans] == [
        ("rebalance", "gpt", f"rebalance-{AS_OF_S}-0"),
        ("priors", "llm", f"priors-{AS_OF_S}-0"),
        ("rebalance", "llm", f"rebalance-{AS_OF_S}-0"),
    ]
    for said in plans:
        if isinstance(said, RebalanceCommand):
            assert dict(zip(said.tenant, said.need, strict=True)) == expected_needs(planned, said.pool)
    (priors,) = of_kind(plans, PriorsCommand)
    assert list(zip(priors.tenant, priors.source, strict=True)) == [
        (MOVER, PriorSource.OTHER_POOLS),
        (NEWCOMER, PriorSource.TYPICAL),
    ]
    check_priors(priors, planned)

    lab.leave("planner-1")
    lab.start("planner", "planner-1")
    lab.clock()
    lab.until(lambda: len(lab.note.planned) == 2, "nothing is planned again")
    again = lab.plans()
    assert sorted(map(repr, again)) == sorted(map(repr, plans + plans))
    assert lab.workers["planner-1"].poll() is None
    taken_once(planned, again)


def check_priors(priors: PriorsCommand, planned: Planned) -> None:
    """Computed once more, in plain Python."""
    moved, new = (priors.hour_of_week[place * HOURS_OF_WEEK : (place + 1) * HOURS_OF_WEEK] for place in range(2))
    gpt, llm = planned.by_hour("gpt"), planned.by_hour("llm")
    base = {name: 1000 * (number + 1) for number, name in enumerate(TENANTS)}
    for hour in range(LAST_HOUR + 1 - HOURS_OF_WEEK, LAST_HOUR + 1):
        assert moved[hour % HOURS_OF_WEEK] == gpt.get(hour, {}).get(MOVER), hour
        used = llm.get(hour, {})
        expected = None if not used else int(sum(used.values()) / sum(base[name] for name in used) * 500)
        assert new[hour % HOURS_OF_WEEK] == expected, hour


def taken_once(planned: Planned, commands: list[Event]) -> None:
    """The engine counts an id once; and what it decided needs nothing but the facts to be folded again."""
    facts = planned.take(*commands)
    assert not of_kind(facts, CommandRefused)
    (told,) = of_kind(facts, PriorsSet)
    assert set(told.outcome) == {PriorOutcome.TAKEN}
    assert len(of_kind(facts, ProfilesPrimed)) == 1
    assert [fact.pool for fact in of_kind(facts, Rebalanced)] == ["gpt", "llm"]
    assert state_bytes(refold(planned.facts)) == state_bytes(planned.state)
