"""`bourse audit` on a real ClickHouse into which a market's facts were landed, and on rows that somebody changed there."""

from __future__ import annotations

import json
import threading
import uuid
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from busy_market import busy
from databases import drop
from landed_world import land

from infra import cli
from infra.audit import engine as compared
from infra.audit import lines as audited_lines
from schemas.clickhouse import tables
from schemas.market import DepositCommand
from streams.clickhouse import connect
from streams.settings import Settings
from streams.tables import create_tables
from streams.web_accounts import FIRST, page_of


class EngineView(BaseHTTPRequestHandler):
    """The engine's page of accounts over a world of a test: what streams/web_accounts.py serves, without a broker."""

    def do_GET(self):
        asked = parse_qs(urlsplit(self.path).query)
        after = int(asked.get("asset", [FIRST[0]])[0]), asked.get("account", [FIRST[1]])[0]
        world = self.server.world
        page = page_of(world.market.ledger, after, 20)  # several pages
        told = {"journal_offset": len(world.journal) - 1, "accounts": page.accounts, "more": page.more}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing."""


@pytest.fixture(scope="module")
def world():
    world = busy(3, periods=6, orders=80)
    # The last record's facts may be on their way: what is judged ends before it.
    world.take(DepositCommand(id="last", pool="llm", tenant="ann", amount=1))
    return world


@pytest.fixture(scope="module")
def engine(world):
    with ThreadingHTTPServer(("127.0.0.1", 0), EngineView) as server:
        server.world = world
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def new_database(clickhouse, tmp_path_factory, engine):
    """Makes settings with a database of their own."""
    made = []

    def make():
        name = f"audit_{uuid.uuid4().hex[:8]}"
        home = tmp_path_factory.mktemp("home")
        made.append(Settings(home=home, clickhouse=clickhouse, clickhouse_database=name, engine_web_port=engine.server_address[1]))
        return made[-1]

    yield make
    for settings in made:
        drop(connect(settings), settings.clickhouse_database)


@pytest.fixture(scope="module")
def settings(new_database, world):
    settings = new_database()
    land(settings, [world], copies=2)
    return settings


@pytest.fixture
def bourse(settings, monkeypatch, capsys):
    """Runs `bourse audit`; (exit code, what it printed, what it complained of)."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(audited_lines, "WINDOW_ROWS", 700)  # several windows
    monkeypatch.setattr(audited_lines, "BUCKET", 16)
    for patience in ("PATIENCE_S", "AWAY_S"):
        monkeypatch.setattr(compared, patience, 0.1)

    def run(*arguments, settings=settings):
        for name, value in settings.as_environment().items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            cli.main(["audit", *arguments])
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


def audited(bourse, *arguments, **rest):
    code, told, complaint = bourse("--json", *arguments, **rest)
    assert complaint == ""
    return code, json.loads(told)


@contextmanager
def changed(settings, table, where, update):
    """The first row of which something is true is changed in ClickHouse, and then as it was."""
    client = connect(settings)
    client.database = settings.clickhouse_database
    made = next(each for each in tables(settings.clickhouse_database) if each.name == table)
    names = [column.name for column in made.columns]
    picked = f"SELECT {', '.join(names)} FROM {table} WHERE {where} ORDER BY journal_offset, fact_index, record_row LIMIT 1"
    (row,) = client.query(picked).result_rows
    told = dict(zip(names, row, strict=True))
    one = " AND ".join(f"{name} = {told[name]}" for name in ("journal_offset", "fact_index", "record_row"))

    def alter(what):
        client.command(f"ALTER TABLE {made.insert_into} {what} WHERE {one}", settings={"mutations_sync": 2})

    alter(update)
    yield
    alter("DELETE")
    client.insert(made.insert_into, [row], column_names=names)


def test_a_market_that_landed_holds(bourse, settings, world):
    code, told = audited(bourse)
    (pool,) = told["pools"]
    assert (code, told["clean"], pool["findings"]) == (0, True, [])
    assert pool["postings"] > 1_000
    assert pool["order_events"] > 500
    assert (pool["closings"], pool["to_period"]) == (6, 10)
    assert pool["engine"]["accounts"] == len(world.market.ledger.standings)
    code, page, _ = bourse()
    assert code == 0
    assert "no account was overdrawn" in page
    assert "the engine's" in page


@pytest.mark.parametrize(("first", "last"), [(7, None), (7, 8), (None, 8)])
def test_a_stretch_of_periods_begins_with_what_stood(bourse, settings, first, last):
    arguments = [*(("--from", str(first)) if first else ()), *(("--to", str(last)) if last else ())]
    code, told = audited(bourse, *arguments)
    (pool,) = told["pools"]
    assert (code, pool["findings"]) == (0, [])
    assert pool["closings"] == (last or 10) - (first or 5) + 1
    assert 0 < pool["postings"] < 1_000


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        (
            [
                ("ledger", "code = 'deposit'", "UPDATE amount = amount - 1"),
                ("ledger", "entry = 'hold' AND asset = -1", "UPDATE amount = amount + 1"),
                ("ledger", "entry = 'capture' AND asset >= 0", "UPDATE credit_account = 'nobody'"),
            ],
            {"engine_differs", "hold_differs", "misplaced"},
        ),
        (
            [
                ("ledger", "entry = 'void'", "DELETE"),
                ("ledger", "entry = 'capture' AND asset = -1", "UPDATE amount = amount + 1"),
                ("orders", "event = 'cancelled'", "DELETE"),
            ],
            {"hold_without_order", "trades_posted", "order_without_hold"},
        ),
        ([("orders", "event = 'filled'", "UPDATE open = open + 1")], {"order_differs"}),
        ([("transfers", "event = 'offered'", "DELETE"), ("trades", "qty > 1", "DELETE")], {"hold_without_order", "trades_settled"}),
        ([("settlements", "kind = 'delivered'", "UPDATE tokens = tokens + 1")], {"trades_settled", "trades_posted", "allocations"}),
        ([("settlements", "kind = 'secured'", "UPDATE paid = paid + 1")], {"trades_settled", "trades_posted", "deliveries"}),
        (
            [
                ("deliveries", "given > 0", "UPDATE given = given - 1"),
                ("allocations", "bought > 0", "UPDATE bought = bought + 1, allocated = allocated + 1"),
            ],
            {"deliveries", "allocations"},
        ),
    ],
)
def test_rows_that_were_changed_are_found(bourse, settings, changes, found):
    with ExitStack() as stack:
        for each in changes:
            stack.enter_context(changed(settings, *each))
        code, told = audited(bourse)
    faults = {each["fault"] for each in told["pools"][0]["findings"]}
    assert code == 1
    assert found <= faults, told["pools"][0]["findings"][:5]


def test_a_table_of_findings_says_where_and_how_much(bourse, settings):
    with changed(settings, "trades", "qty > 1", "UPDATE qty = qty + 5"):
        code, page, _ = bourse()
    assert code == 1
    assert "trades_settled" in page
    assert "does not hold" in page
    assert "no account was overdrawn" not in page
    assert audited(bourse)[0] == 0, "it is not as it was"


def test_orders_are_held_to_the_fees_with_which_their_instrument_began(bourse, new_database):
    settings = new_database()
    world = busy(5, periods=5, orders=40, later={"maker_fee_bp": 300, "taker_fee_bp": 250})
    assert {instrument.terms.maker_fee_bp for instrument in world.market.instruments.values()} == {5, 300}
    world.take(DepositCommand(id="last", pool="llm", tenant="ann", amount=1))
    land(settings, [world])
    for arguments in ((), ("--from", "8")):
        code, told = audited(bourse, "--no-engine", *arguments, settings=settings)
        assert (code, told["pools"][0]["findings"]) == (0, [])


def test_what_has_landed_in_part_is_left_for_later(bourse, new_database, world):
    settings = new_database()
    land(settings, [world], upto=len(world.facts) * 2 // 3)
    code, told = audited(bourse, "--no-engine", settings=settings)
    assert (code, told["pools"][0]["findings"]) == (0, [])
    assert 0 < told["pools"][0]["through_offset"] < len(world.journal) - 50


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--pool", "nobody"), 2, "pool 'nobody' is not known: known are llm"),
        (("--pool", "'; DROP TABLE x"), 2, "is not known"),
        (("--from", "7", "--to", "6"), 2, "--to 6 is before --from 7"),
        (("--from", "99"), 2, "has no closed period from 99 to now: closed are 5 to 10"),
        (("--to", "x"), 2, "Invalid value for"),
    ],
)
def test_what_is_not_there_is_said_clearly(bourse, settings, arguments, code, says):
    found, page, complaint = bourse(*arguments)
    assert (found, page) == (code, "")
    assert says in " ".join(complaint.split())


def test_an_empty_database_proves_nothing(bourse, new_database):
    settings = new_database()
    create_tables(connect(settings), settings.clickhouse_database)
    code, page, complaint = bourse(settings=settings)
    assert (code, page) == (1, "")
    assert "no pool has landed" in complaint


def test_clickhouse_that_is_away_is_one_line(bourse, settings):
    code, page, complaint = bourse(settings=settings.model_copy(update={"clickhouse": "http://127.0.0.1:9"}))
    assert (code, page) == (1, "")
    assert complaint.startswith("bourse: ClickHouse at http://127.0.0.1:9: ")


def test_an_engine_that_is_away_is_one_line(bourse, settings):
    code, page, complaint = bourse(settings=settings.model_copy(update={"engine_web_port": 9}))
    assert (code, page) == (1, "")
    assert "the engine's web view at http://127.0.0.1:9/pools/llm/accounts does not tell its accounts" in complaint
