"""Landing into a real ClickHouse: crashes at every step, answers that get lost, outages; the counts stay exact."""

from __future__ import annotations

import asyncio
import random
import socket
import socketserver
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from infra.embedded import EmbeddedClickHouse
from schemas.clickhouse import tables
from streams.clickhouse import ClickHouse, connect, native_block, send_block
from streams.errors import UserError
from streams.lander import ForgottenRowsError, Lander
from streams.landing import Collected, Landable, Standings
from streams.settings import Settings
from streams.standing import LandingTables
from streams.tables import create_tables

NOW = 1_800_000_000_000
DDL = {ddl.name: ddl for ddl in tables("any")}


class Record(NamedTuple):
    """Stands for a record of two tables: what the reader below makes of it."""

    offset: int
    table: str
    fact: tuple[int, int] = (-1, -1)
    value: bytes = b"12345678"


class FakeBatch(NamedTuple):
    """What `Lander.take` needs of a transport.Batch."""

    partition: int
    records: Sequence[Record]
    generation: int = 1

    @property
    def last(self) -> int:
        return self.records[-1].offset


def read(collected: Collected, partition: int, records: Sequence[Record]) -> None:
    for record in records:
        if record.table == "refusals":
            values: tuple[Any, ...] = ("p", *record.fact, "pool", f"c{record.fact}", "", "period_fixed", "d")
        elif record.table == "unrouted_usage":
            # Two rows of one record.
            columns = [[1, 2]] * 4
            values = ("p", *record.fact, "usage", 0, 1, 0, ["t1", "t2"], *columns)
        else:
            values = (NOW, "s", f"id{partition}-{record.offset % 50}", "t", "p", record.offset, 0, 0, "", "")
        collected.add(record.table, Landable(partition, record.offset, values, record.fact), 1)


@pytest.fixture
def settings(clickhouse: str, tmp_path: Path) -> Iterator[Settings]:
    database = f"l{uuid.uuid4().hex[:10]}"
    yield Settings(clickhouse=clickhouse, clickhouse_database=database, home=tmp_path)
    clickhouse_connect.get_client(dsn=clickhouse).command(f"DROP DATABASE IF EXISTS {database}")


@pytest.fixture
def client(settings: Settings) -> Client:
    made = connect(settings)
    create_tables(made, settings.clickhouse_database)
    keep_parts_apart(made, settings)
    return made


def keep_parts_apart(client: Client, settings: Settings) -> None:
    """A merge would drop the copies that some of these tests look for."""
    for name in {ddl.insert_into for ddl in DDL.values()}:
        client.command(f"SYSTEM STOP MERGES {settings.clickhouse_database}.{name}")


def ask(client: Client, settings: Settings, sql: str) -> Any:
    return client.query(sql.replace("DB", settings.clickhouse_database)).result_rows


class Crash(BaseException):
    """A crash: not an Exception, so that nothing tries again."""


class CrashingTables(LandingTables):
    """Crashes, or fails as ClickHouse would, at a step that the test chooses."""

    fault: Callable[[str], None] = staticmethod(lambda _step: None)

    def inserting(self, table: str, items: Sequence[Landable], landed_at: int) -> Callable[[Client], None]:
        insert = super().inserting(table, items, landed_at)

        def run(client: Client) -> None:
            self.fault("before insert")
            insert(client)
            self.fault("after insert")

        return run

    def insert_landed(self, client: Client, standings: Standings) -> None:
        self.fault("before landed")
        super().insert_landed(client, standings)
        self.fault("after landed")


STEPS = ("before insert", "after insert", "before landed", "after landed")


def lander(made: LandingTables, store: ClickHouse, **changes: Any) -> Lander:
    return Lander(made, read, store, **{"batch_rows": 10, "batch_s": 0.0, "landed": lambda *_: None} | changes)  # type: ignore[arg-type]  # reads Records


async def land(
    made: LandingTables, store: ClickHouse, logs: dict[int, list[Record]], fetch: Callable[[], int], **changes: Any
) -> None:
    """Lands all of the logs, one fetch of each partition in turn; raises what the lander fails with."""
    ends = {partition: len(log) for partition, log in logs.items()}
    done: dict[int, int] = {}
    finished = asyncio.Event()

    def landed(partition: int, next_offset: int) -> None:
        done[partition] = next_offset
        if all(done[each] == ends[each] for each in ends):
            finished.set()

    role = lander(made, store, landed=landed, **changes)
    positions = done = dict(await role.start(logs))
    landing = asyncio.ensure_future(role.land())
    feeding = asyncio.ensure_future(feed(role, logs, dict(positions), fetch))
    waits = {landing, asyncio.ensure_future(finished.wait())}
    if all(done[each] == ends[each] for each in ends):
        finished.set()
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    await role.stop()
    feeding.cancel()
    if not landing.done():
        landing.cancel()
    for each in waits:
        each.cancel()
    await asyncio.wait({landing, feeding})
    if not landing.cancelled():
        landing.result()


async def feed(role: Lander, logs: dict[int, list[Record]], at: dict[int, int], fetch: Callable[[], int]) -> None:
    while any(at[partition] < len(log) for partition, log in logs.items()):
        for partition, log in logs.items():
            records = log[at[partition] : at[partition] + fetch()]
            if records:
                await role.take(FakeBatch(partition, records))  # type: ignore[arg-type]  # has what it needs
                at[partition] += len(records)


def events(count: int) -> list[Record]:
    return [Record(offset, "usage_events") for offset in range(count)]


def facts(rng: random.Random, count: int) -> list[Record]:
    """What engines publish that begin again now and then."""
    decided = [((n // 3, n % 3), rng.choice(("refusals", "unrouted_usage"))) for n in range(count)]
    log: list[Record] = []
    position = 0
    while position < count:
        end = min(count, position + rng.randint(1, 40))
        log += [Record(len(log) + n, table, fact) for n, (fact, table) in enumerate(decided[position:end])]
        position = max(0, end - rng.randint(0, 30)) if end < count else end
    return log


def run_with_crashes(settings: Settings, names: list[str], logs: dict[int, list[Record]], *, seed: int, crashes: int) -> None:
    rng = random.Random(seed)
    made = CrashingTables(settings.clickhouse_database, "topic", names)
    left = crashes

    def fault(_step: str) -> None:
        nonlocal left
        if left and rng.random() < 0.25:
            left -= 1
            raise Crash

    made.fault = fault  # type: ignore[method-assign]  # of this instance only
    while True:
        store = ClickHouse(settings)
        try:
            asyncio.run(land(made, store, logs, lambda: rng.randint(1, 7)))
        except Crash:
            continue
        finally:
            store.close()
        break
    assert left == 0, f"seed {seed}: too few steps for {crashes} crashes"


@pytest.mark.parametrize("seed", range(3))
def test_events_land_once_through_crashes_at_any_step(settings: Settings, client: Client, seed: int) -> None:
    logs = {0: events(200), 3: events(120)}
    run_with_crashes(settings, ["usage_events"], logs, seed=seed, crashes=15)
    offsets = "SELECT partition, count(), uniqExact(offset), max(offset) FROM DB.usage_events_landed GROUP BY partition ORDER BY 1"
    # Ids repeat every 50 records, and a repeated one may be replaced by now: what is in the view is the first copies.
    assert ask(client, settings, "SELECT partition, count(), max(offset) FROM DB.usage_events GROUP BY 1 ORDER BY 1") == [
        (0, 50, 49),
        (3, 50, 49),
    ]
    assert all(rows == unique for _, rows, unique, _ in ask(client, settings, offsets)), "the table itself holds a record twice"
    assert ask(client, settings, "SELECT partition, through FROM DB.landed ORDER BY 1") == [(0, 199), (3, 119)]


@pytest.mark.parametrize("seed", range(3))
def test_facts_land_once_through_crashes_and_recovering_engines(settings: Settings, client: Client, seed: int) -> None:
    rng = random.Random(seed)
    logs = {0: facts(rng, 150), 1: facts(rng, 90)}
    run_with_crashes(settings, ["refusals", "unrouted_usage"], logs, seed=seed, crashes=15)
    for table, per_record in (("refusals", 1), ("unrouted_usage", 2)):
        for suffix in ("", "_landed"):
            found = ask(
                client,
                settings,
                f"SELECT partition, count(), uniqExact((journal_offset, fact_index)) FROM DB.{table}{suffix} GROUP BY 1",
            )
            assert {partition: (rows, ids) for partition, rows, ids in found} == {
                partition: (len(ids) * per_record, len(ids))
                for partition, log in logs.items()
                if (ids := {record.fact for record in log if record.table == table})
            }, table + suffix


# --- ClickHouse fails ----------------------------------------------------------------------------------------------------


class Proxy:
    """Stands before ClickHouse; ends the connection in the middle of a request, or swallows the answer to an insert."""

    def __init__(self, url: str) -> None:
        self._target = ("127.0.0.1", int(url.rsplit(":", 1)[1]))
        self.swallow_answers = 0
        self.cut_requests = 0
        self.seen = 0
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                proxy.handle(self.request)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def handle(self, near: socket.socket) -> None:
        with socket.create_connection(self._target) as far:
            back = threading.Thread(target=self._pump_back, args=(far, near), daemon=True)
            back.start()
            while data := _receive(near):
                # An insert's body is LZ4: this is the magic number of a frame.
                insert = b"\x04\x22\x4d\x18" in data
                self.seen += insert
                if insert and self.cut_requests:
                    self.cut_requests -= 1
                    far.sendall(data[: len(data) // 2])
                    break
                if insert and self.swallow_answers:
                    self._swallowing = True
                far.sendall(data)
            _close(far)
            _close(near)

    _swallowing = False

    def _pump_back(self, far: socket.socket, near: socket.socket) -> None:
        while data := _receive(far):
            if self._swallowing:
                self.swallow_answers -= 1
                self._swallowing = False
                break
            try:
                near.sendall(data)
            except OSError:
                break
        _close(near)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _receive(end: socket.socket) -> bytes:
    try:
        return end.recv(1 << 20)
    except OSError:
        return b""


def _close(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


@pytest.fixture
def proxy(clickhouse: str) -> Iterator[Proxy]:
    made = Proxy(clickhouse)
    yield made
    made.close()


def through(proxy: Proxy, settings: Settings) -> Settings:
    return Settings(clickhouse=proxy.url, clickhouse_database=settings.clickhouse_database, home=settings.home)


@pytest.mark.parametrize("fault", ["swallow_answers", "cut_requests"])
def test_a_lost_insert_or_a_lost_answer_changes_nothing(
    settings: Settings, client: Client, proxy: Proxy, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = LandingTables(settings.clickhouse_database, "topic", ["usage_events"])
    store = ClickHouse(through(proxy, settings))
    setattr(proxy, fault, 2)
    asyncio.run(land(made, store, {0: events(40)}, lambda: 10))
    store.close()
    assert getattr(proxy, fault) == 0
    assert ask(client, settings, "SELECT count(), uniqExact(offset) FROM DB.usage_events_landed") == [(40, 40)]
    said = [record.message for record in caplog.records if record.name == "streams.clickhouse"]
    assert 2 <= len(said) <= 6, said
    assert "works again" in said[-1]


def test_one_try_of_an_insert_is_one_request(settings: Settings, client: Client, proxy: Proxy) -> None:
    """Else the library would repeat an insert of which nobody knows whether it was done."""
    proxy.swallow_answers = 1
    with pytest.raises(Exception, match="HTTP"):
        send_block(connect(through(proxy, settings)), native_block(f"{settings.clickhouse_database}.none", ["x"], ["Int64"], [[1]]))
    assert proxy.seen == 1


def test_clickhouse_killed_amid_landing_and_started_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with EmbeddedClickHouse(tmp_path / "clickhouse") as server:
        settings = Settings(clickhouse=server.url, clickhouse_database="killed", home=tmp_path)
        create_tables(connect(settings), "killed")
        made = CrashingTables("killed", "topic", ["refusals", "unrouted_usage"])
        rng = random.Random(5)
        log = facts(rng, 300)
        kills = iter((3, 9, 14))
        due, count = next(kills), 0

        def fault(_step: str) -> None:
            nonlocal due, count
            count += 1
            if count == due:
                due = next(kills, -1)
                server.kill()
                restarts.submit(restart)

        def restart() -> None:
            threading.Event().wait(0.5)  # long enough for a few tries to fail
            server.start()

        made.fault = fault  # type: ignore[method-assign]  # of this instance only
        store = ClickHouse(settings)
        # The server ends with the thread that started it (PR_SET_PDEATHSIG), so that thread has to stay.
        restarts = ThreadPoolExecutor(1)
        asyncio.run(land(made, store, {0: log}, lambda: 25, batch_rows=40))
        store.close()
        assert due == -1, "it was killed three times"
        client = connect(settings)
        for table, per_record in (("refusals", 1), ("unrouted_usage", 2)):
            ids = {record.fact for record in log if record.table == table}
            assert ask(client, settings, f"SELECT count() FROM DB.{table}_landed") == [(len(ids) * per_record,)]
        server.stop()
        restarts.shutdown()
    assert sum("works again" in record.message for record in caplog.records) == 3


def test_a_clickhouse_that_lost_rows_stops_the_sink(settings: Settings, client: Client) -> None:
    made = CrashingTables(settings.clickhouse_database, "topic", ["usage_events"])
    calls = 0

    def fault(_step: str) -> None:
        nonlocal calls
        calls += 1
        if calls == 6:
            client.command(f"DROP DATABASE {settings.clickhouse_database}")

    made.fault = fault  # type: ignore[method-assign]  # of this instance only
    store = ClickHouse(settings)
    with pytest.raises(ForgottenRowsError, match=r"topic/0: landed through -1, it was 9 before"):
        asyncio.run(land(made, store, {0: events(60)}, lambda: 10))
    # The supervisor starts it again, and it lands everything that Kafka has.
    asyncio.run(land(LandingTables(settings.clickhouse_database, "topic", ["usage_events"]), store, {0: events(60)}, lambda: 10))
    store.close()
    assert ask(client, settings, "SELECT count(), max(through) FROM DB.usage_events, DB.landed") == [(50, 59)]


def test_memory_is_bounded_while_clickhouse_is_away(settings: Settings, client: Client) -> None:
    class Away(LandingTables):
        def inserting(self, table: str, items: Sequence[Landable], landed_at: int) -> Callable[[Client], None]:
            def run(_client: Client) -> None:
                raise ConnectionError("away")

            return run

    async def attempt() -> int:
        store = ClickHouse(settings)
        role = lander(Away(settings.clickhouse_database, "topic", ["usage_events"]), store, batch_rows=20)
        await role.start([0])
        landing = asyncio.ensure_future(role.land())
        taken = 0
        for record in events(1000):
            try:
                await asyncio.wait_for(role.take(FakeBatch(0, [record])), 1)  # type: ignore[arg-type]  # has what it needs
            except TimeoutError:
                break
            taken += 1
        landing.cancel()
        await asyncio.wait({landing})
        store.close()
        return taken

    # One batch in hand (which may have begun with one record, for its time had come) and one that is full.
    assert 20 < asyncio.run(attempt()) <= 40


# --- two sinks -------------------------------------------------------------------------------------------------------------


def test_what_a_frozen_sink_inserts_late_is_not_seen(settings: Settings, client: Client) -> None:
    """Its successor has cut the log into other batches; the frozen one was at an insert, and finishes it now."""
    names = ["refusals", "unrouted_usage"]
    log = facts(random.Random(1), 60)
    made = LandingTables(settings.clickhouse_database, "topic", names)
    collected = Collected()
    read(collected, 0, log[:30])
    late = [made.inserting(table, items, NOW) for table, items in collected.tables.items()]
    store = ClickHouse(settings)
    asyncio.run(land(made, store, {0: log}, lambda: 7))
    store.close()
    seen = {table: ask(client, settings, f"SELECT * EXCEPT landed_at FROM DB.{table} ORDER BY ALL") for table in names}
    for insert in late:
        insert(client)
    for table in names:
        assert ask(client, settings, f"SELECT * EXCEPT landed_at FROM DB.{table} ORDER BY ALL") == seen[table]
        assert ask(client, settings, f"SELECT count() FROM DB.{table}") == [(len(seen[table]),)]
        assert ask(client, settings, f"SELECT count() FROM DB.{table}_landed")[0][0] > len(seen[table]), "nothing was doubled"


def test_of_two_that_note_how_far_they_are_the_further_one_counts(settings: Settings, client: Client) -> None:
    from streams.landing import Standing

    made = LandingTables(settings.clickhouse_database, "topic", ["refusals"])
    made.insert_landed(client, {0: Standing(20, (7, 1), NOW)})
    made.insert_landed(client, {0: Standing(10, (3, 0), NOW + 5)})
    found = made.read(client, [0, 1])
    assert (found[0].through, found[0].fact, found[1].through) == (20, (7, 1), -1)


# --- blocks and tables -----------------------------------------------------------------------------------------------------


def usage_columns(rows: int, payload: str = "") -> list[Sequence[Any]]:
    numbers = list(range(rows))
    names = [column.name for column in DDL["usage_events"].columns]
    special: dict[str, Sequence[Any]] = {"id": [str(n) for n in numbers], "offset": numbers}
    text = {column.name for column in DDL["usage_events"].columns if "String" in column.clickhouse_type}
    return [special.get(name) or ([payload or "x"] * rows if name in text else [1] * rows) for name in names]


@pytest.mark.parametrize(("rows", "payload"), [(1, "x"), (1_200_000, "x"), (40, "y" * 5_000_000)])
def test_an_insert_is_one_part(settings: Settings, client: Client, rows: int, payload: str) -> None:
    """More rows than any block size of ClickHouse, and more bytes: whole or not at all."""
    ddl = DDL["usage_events"]
    columns = usage_columns(rows)
    columns[[column.name for column in ddl.columns].index("request_id")] = [payload] * rows
    names, types = [column.name for column in ddl.columns], [column.clickhouse_type for column in ddl.columns]
    send_block(client, native_block(f"{settings.clickhouse_database}.{ddl.insert_into}", names, types, columns))
    # Each part that was ever written has taken a block number, also if parts have been merged since.
    parts = "SELECT sum(rows), max(max_block_number) FROM system.parts WHERE active AND database = 'DB' AND table = "
    assert ask(client, settings, f"{parts}'{ddl.insert_into}'") == [(rows, 1)]


def test_tables_are_made_once_and_extended(settings: Settings, client: Client) -> None:
    database = settings.clickhouse_database
    before = ask(client, settings, "SELECT table, name, type, position FROM system.columns WHERE database = 'DB' ORDER BY ALL")
    # As an older release would have left it.
    client.command(f"ALTER TABLE {database}.usage_events_landed DROP COLUMN model")
    create_tables(client, database)
    create_tables(client, database)
    assert (
        ask(client, settings, "SELECT table, name, type, position FROM system.columns WHERE database = 'DB' ORDER BY ALL") == before
    )


def test_a_column_of_another_type_is_named(settings: Settings, client: Client) -> None:
    database = settings.clickhouse_database
    client.command(f"ALTER TABLE {database}.usage_events_landed MODIFY COLUMN input_tokens String CODEC(ZSTD)")
    with pytest.raises(UserError, match=r"usage_events_landed\.input_tokens is String, needed is Int64"):
        create_tables(client, database)


def test_calls_follow_one_another_also_behind_one_that_was_given_up(settings: Settings, client: Client) -> None:
    order: list[str] = []
    release = threading.Event()

    async def attempt() -> None:
        store = ClickHouse(settings)
        slow = asyncio.ensure_future(store.call(lambda _client: (release.wait(10), order.append("slow"))))
        await asyncio.sleep(0.05)  # let it begin
        slow.cancel()
        later = asyncio.ensure_future(store.call(lambda _client: order.append("later")))
        asyncio.get_running_loop().call_later(0.1, release.set)
        await later
        store.close()

    asyncio.run(attempt())
    assert order == ["slow", "later"]


def test_time_of_landing_never_falls(settings: Settings, client: Client) -> None:
    """Whoever looks for rows beyond `through` looks no further back than when it was written."""
    from streams.landing import Standing

    made = LandingTables(settings.clickhouse_database, "topic", ["usage_events"])
    ahead = int(time.time() * 1000) + 3_600_000  # written by a machine whose clock is ahead
    made.insert_landed(client, {0: Standing(4, landed_at=ahead)})
    store = ClickHouse(settings)
    asyncio.run(land(made, store, {0: events(9)}, lambda: 9))
    store.close()
    assert ask(client, settings, f"SELECT count(), min(landed_at) = fromUnixTimestamp64Milli({ahead}) FROM DB.usage_events") == [
        (4, True)
    ]
