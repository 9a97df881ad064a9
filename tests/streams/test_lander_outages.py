"""Landing while ClickHouse fails: answers and inserts get lost, it is killed, it forgets; the counts stay exact."""

from __future__ import annotations

import asyncio
import random
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from databases import drop
from landing_world import CrashingTables, FakeBatch, ask, events, facts, land, lander

from infra.embedded import EmbeddedClickHouse
from streams import tables
from streams.clickhouse import ClickHouse, connect, native_block, send_block
from streams.lander import ForgottenRowsError
from streams.landing import Landable
from streams.settings import Settings
from streams.standing import LandingTables
from streams.tables import create_tables


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


def test_clickhouse_killed_amid_landing_and_started_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EmbeddedClickHouse(tmp_path / "clickhouse") as server:
        settings = Settings(clickhouse=server.url, clickhouse_database="killed", home=tmp_path)
        create_tables(connect(settings), "killed")
        # It comes back with its tables, so none is made again.
        monkeypatch.setattr(tables, "setup_statements", lambda *_: pytest.fail("tables are made that are there"))
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
            drop(client, settings.clickhouse_database)

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
