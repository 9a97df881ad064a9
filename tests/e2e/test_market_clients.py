"""Tenants that trade through the SDK and the command line, on a running system: one for all tests of this file.

Most trade forward periods, far enough ahead that none of them opens meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from confluent_kafka import Producer
from databases import insert
from system import System, until

from infra.cli import main
from schemas.loops import Rebalancing
from schemas.market import DepositCommand, KeyCommand, OrderCommand
from schemas.market_facts import OrderEventKind
from schemas.outputs import Depth, Limit, output_key
from schemas.planning import RebalanceCommand
from schemas.published import Policy, PoolCommand, ProfileCommand
from streams import tailing, tenant_state
from streams.clickhouse import connect
from streams.client import CommandPublisher, TenantClient
from streams.codecs import decode, encode
from streams.partitioning import home_partition
from streams.sequence import KeyInUse
from streams.signatures import generate, read_private_key, sign, write_private_key
from streams.tickets import Status
from streams.updates import OrderUpdate

pytestmark = pytest.mark.e2e

POOL = "gpu/a"
"""With a slash: it has to be told apart in keys of topics and in addresses."""
TENANTS = ("ann", "bob", "cyd", "dee")
BASE, MONEY = 1_000, 10**9
AHEAD = 20
"""Periods of four seconds."""
SOON_S = 60.0

Item = TypeVar("Item")


@dataclass(frozen=True)
class Market:
    """A running system, and where the tenants' keys are."""

    system: System
    keys: Path

    def client(self, tenant: str, **options: Any) -> TenantClient:
        return TenantClient(tenant, pool=POOL, key=self.keys / f"{tenant}.key", settings=self.system.settings, **options)

    def present(self) -> int:
        return int(self.system.web("/pools/gpu%2Fa/period")["open_period"] or 0)

    def newest(self, topic: str) -> dict[bytes, Any]:
        """Key -> newest value of a compacted topic; a key whose value is a tombstone is not there."""
        kept: dict[bytes, Any] = {}
        for record in self.system.read(topic):
            kept[record.key()] = record.value()
        return {key: decode(value) for key, value in kept.items() if value is not None}


@pytest.fixture(scope="module")
def market(broker: str, clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    home = tmp_path_factory.mktemp("market")
    with System(home / "system", kafka=broker, clickhouse=clickhouse) as system:
        with CommandPublisher(system.settings) as operator:
            # Nobody bids for surplus in this policy: everybody has its base and what it trades.
            operator.publish(PoolCommand(id="pool", pool=POOL, capacity=10_000, period_s=4, policy=Policy.UNIFORM_PRICE))
            for tenant in TENANTS:
                key, public = generate()
                write_private_key(home / f"{tenant}.key", key)
                operator.publish(ProfileCommand(id=f"profile-{tenant}", pool=POOL, tenant=tenant, base=BASE, elasticity=1))
                operator.publish(KeyCommand(id=f"key-{tenant}", pool=POOL, tenant=tenant, key=public))
                operator.publish(DepositCommand(id=f"deposit-{tenant}", pool=POOL, tenant=tenant, amount=MONEY))
        running = Market(system, home)
        until(running.present, SOON_S, "the pool's first period is open")
        yield running


async def take(items: AsyncIterator[Item], wanted: Callable[[Item], bool], many: int = 1) -> list[Item]:
    """The first so many items that are wanted."""
    found = []
    async with asyncio.timeout(SOON_S):
        async for item in items:
            found += [item] if wanted(item) else []
            if len(found) == many:
                return found
    raise AssertionError(f"ended with {found}")


def test_orders_trade_and_their_updates_come(market: Market) -> None:
    period = market.present() + AHEAD

    async def scenario() -> None:
        async with market.client("ann") as ann, market.client("bob") as bob:
            before = await bob.account()
            sell = await ann.submit(side="sell", period=period, qty=10, price=500)
            assert (await sell.outcome()).status is Status.OPEN
            bought = await (await bob.submit({"side": "buy", "qty": 4}, period=period, price=700)).outcome()
            assert (bought.status, bought.filled, bought.notional) == (Status.FILLED, 4, 2_000)
            market_order = await (await bob.submit(side="buy", period=period, qty=1, order_type="market")).outcome()
            assert market_order.notional == 500

            fills = await take(ann.updates(), lambda update: update.event is OrderEventKind.FILLED, 2)
            assert [(each.order, each.qty, each.open) for each in fills if isinstance(each, OrderUpdate)] == [
                (sell.id, 4, 6),
                (sell.id, 1, 5),
            ]
            # From an offset: what stands behind it, and nothing else.
            rest = await take(ann.updates(after=fills[0].offset), lambda update: update.event is OrderEventKind.FILLED)
            assert rest == fills[1:]
            trades = await take(bob.trades(period, after=-1), lambda _: True, 2)
            assert [(trade.price, trade.qty, trade.taker) for trade in trades] == [(500, 4, "buy"), (500, 1, "buy")]

            after = await bob.account()
            assert before.available - after.available == 2_500
            assert (await bob.position(period)).owned == BASE + 5
            (order,) = await ann.open_orders()
            assert (order.order, order.open, order.filled) == (sell.id, 5, 5)
            for change in (
                ann.reduce(sell.id, period, by=1),
                ann.replace(sell.id, period, price=600, qty=8),
                ann.cancel(sell.id, period),
            ):
                assert not (await (await change).outcome()).rejected
            assert not await ann.open_orders()

    asyncio.run(scenario())


def test_transfers_and_exchanges(market: Market) -> None:
    period = market.present() + AHEAD + 1

    async def scenario() -> None:
        async with market.client("ann") as ann, market.client("bob") as bob:
            assert (await (await ann.transfer("bob", period, tokens=5)).outcome()).status is Status.DONE
            offer = await ann.offer("bob", period, tokens=10, for_money=3_000)
            assert (await offer.outcome()).status is Status.OFFERED
            (seen,) = (await bob.state()).offers
            assert (seen.transfer, seen.tokens, seen.for_money) == (offer.id, 10, 3_000)
            assert (await (await bob.accept("ann", offer.id, period)).outcome()).status is Status.ACCEPTED
            assert (await bob.position(period)).owned == BASE + 15
            taken_back = await ann.offer("bob", period, money=5, for_tokens=1)
            assert (await (await ann.cancel(taken_back.id, period)).outcome()).status is Status.CANCELLED
            assert (await (await ann.transfer("ann", period, tokens=1)).outcome()).reason == "self_transfer"

    asyncio.run(scenario())


def test_a_client_that_restarts_goes_on_with_its_sequence(market: Market) -> None:
    period = market.present() + AHEAD + 2

    async def once() -> int:
        async with market.client("cyd") as cyd:
            tickets = await asyncio.gather(*(cyd.submit(side="sell", period=period, qty=1, price=9 + n) for n in range(50)))
            assert {(await ticket.outcome()).status for ticket in tickets} == {Status.OPEN}
            with pytest.raises(KeyInUse):
                market.client("cyd")
            return max(ticket.command.seq or 0 for ticket in tickets)

    first = asyncio.run(once())
    file = market.keys / "cyd.key.seq"
    assert int(file.read_text()) == first
    file.write_text(str(first + 10**7))  # as a crash leaves it: a block ahead of what was used
    assert asyncio.run(once()) > first + 10**7


def test_nobody_trades_in_anothers_name(market: Market) -> None:
    period = market.present() + AHEAD + 3

    async def scenario() -> None:
        thief = TenantClient("ann", pool=POOL, key=market.keys / "dee.key", settings=market.system.settings)
        unsigned = TenantClient("ann", pool=POOL, settings=market.system.settings)
        async with market.client("ann") as ann, thief, unsigned:
            assert (await (await thief.submit(side="sell", period=period, qty=1, price=1)).outcome()).reason == "key_unknown"
            assert (
                await (await unsigned.submit(side="sell", period=period, qty=1, price=1)).outcome()
            ).reason == "signature_missing"
            mine = await ann.submit(side="sell", period=period, qty=2, price=10**6)
            assert (await mine.outcome()).status is Status.OPEN
            tampered = mine.command.model_copy(update={"id": "tampered", "price": 1})
            again = sign(OrderCommand(id="again", pool=POOL, tenant="ann", period=period, side="sell", qty=1, price=1, seq=1),
                         read_private_key(market.keys / "ann.key"))  # fmt: skip
            producer = Producer(market.system.settings.kafka_client_config())
            for command in (tampered, mine.command, again):
                home = home_partition(POOL.encode(), market.system.settings.partitions)
                producer.produce(market.system.settings.topic("orders"), encode(command), POOL.encode(), home)
            assert producer.flush(30) == 0
            refused = await take(ann.updates(after=mine_offset(await mine.outcome())), lambda update: update.event == "rejected", 2)
            assert [(update.order, update.reason) for update in refused if isinstance(update, OrderUpdate)] == [
                ("tampered", "signature_wrong"),
                ("again", "sequence_reused"),
            ]
            assert [order.order for order in await ann.open_orders() if order.period == period] == [mine.id]

    asyncio.run(scenario())


def mine_offset(outcome: Any) -> int:
    return int(outcome.updates[-1].offset)


def test_books_are_followed_and_close_with_their_period(market: Market) -> None:
    async def scenario() -> None:
        async with market.client("dee") as dee:
            period = await dee.present_period() + 1
            assert await dee.last_depth(period) is None
            async with aclosing(dee.top_of_book(period)) as tops:  # type: ignore[type-var]  # it is a generator
                assert await anext(tops) is None
                await dee.submit(side="sell", period=period, qty=3, price=50)
                top = await anext(tops)
                assert top is not None
                assert (top.bid, top.ask, top.ask_qty) == (None, 50, 3)
                await dee.submit(side="sell", period=period, qty=2, price=40)
                top = await anext(tops)
                assert top is not None
                assert (top.ask, top.ask_qty) == (40, 2)
                depth = await dee.last_depth(period)
                assert depth is not None
                assert (depth.ask_price, depth.ask_qty) == ([40, 50], [2, 3])
                async with asyncio.timeout(SOON_S):
                    assert await anext(tops) is None, "the period has closed"

    asyncio.run(scenario())


def test_limits_and_books_are_the_engines_also_after_it_was_killed(market: Market) -> None:
    """Trades of the present period change limits at once. Each round in a period of its own, as the next one may open any time."""

    async def trade() -> None:
        async with market.client("ann") as ann, market.client("bob") as bob:
            while True:
                period = await ann.present_period()
                offered = await (await ann.submit(side="sell", period=period, qty=30, price=5)).outcome()
                bought = await (await bob.submit(side="buy", period=period, qty=10, price=5, tif="IOC")).outcome()
                if not offered.rejected and bought.filled == 10:
                    break

    def agrees() -> bool:
        period = market.present()
        state = {name: market.system.web(f"/pools/gpu%2Fa/tenants/{name}") for name in TENANTS}
        if {each["open_period"] for each in state.values()} != {period}:
            return False
        told = [limit for limit in market.newest("limits").values() if isinstance(limit, Limit) and limit.pool == POOL]
        limits = {limit.tenant: limit.tokens for limit in told}
        return market.present() == period and limits == {name: each["limit"] for name, each in state.items()}

    def books_agree() -> bool:
        told = {
            (book.period, side): prices[0]
            for book in market.newest("market").values()
            if isinstance(book, Depth) and book.pool == POOL
            for side, prices in (("buy", book.bid_price), ("sell", book.ask_price))
            if prices
        }
        best: dict[tuple[int, str], int] = {}
        for name in TENANTS:
            for order in market.system.web(f"/pools/gpu%2Fa/tenants/{name}")["orders"]:
                at, better = (order["period"], order["side"]), max if order["side"] == "buy" else min
                best[at] = better(best.get(at, order["price"]), order["price"])
        return told == best

    asyncio.run(trade())
    until(agrees, SOON_S, "limits are the engine's")
    until(books_agree, SOON_S, "books are the engine's")
    market.system.kill("engine-1")
    asyncio.run(trade())
    until(agrees, SOON_S, "limits are the engine's")
    gone = market.present() - 1
    until(lambda: output_key(POOL, gone) not in market.newest("market"), SOON_S, "a closed book is gone")
    until(books_agree, SOON_S, "books are the engine's")


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.out))


@pytest.fixture
def bourse(market: Market, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """The command in this process; `BOURSE_…` by name."""
    for name, value in market.system.settings.as_environment().items():
        monkeypatch.setenv(name, value)

    def run(*arguments: object, **variables: object) -> Said:
        with monkeypatch.context() as environment:
            for name, value in variables.items():
                environment.setenv(f"BOURSE_{name.upper()}", str(value))
            with pytest.raises(SystemExit) as ended:
                main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Said(int(ended.value.code or 0), out, err)

    return run


def test_a_tenant_comes_to_trade_by_the_command_line(market: Market, bourse: Callable[..., Said], tmp_path: Path) -> None:
    eve, key = {"tenant": "eve", "key": tmp_path / "eve.key"}, tmp_path / "eve.key"
    with CommandPublisher(market.system.settings) as operator:
        operator.publish(ProfileCommand(id="profile-eve", pool=POOL, tenant="eve", base=500, elasticity=1))
    made = bourse("keys", "new", key, "--pool", POOL, "--tenant", "eve", "--json").json
    assert key.stat().st_mode & 0o777 == 0o600
    assert made["register"] == f"bourse keys register {POOL} {made['key']} --tenant eve"
    assert bourse(*made["register"].split()[1:]).code == 0
    assert bourse("deposit", POOL, "eve", 5_000).out == f"5,000 nanocredits booked for eve in {POOL}\n"

    period = market.present() + AHEAD
    sold = bourse("order", "sell", POOL, period, 20, "--price", 7, "--id", "s-1", **eve)
    assert (sold.code, sold.out) == (0, "open, 20 tokens open (id s-1)\n")
    asked = bourse("order", "buy", POOL, f"+{AHEAD}", 5, "--price", 1, "--expire", "+5m", "--json", **eve).json
    assert (asked["status"], asked["open"]) == ("open", 5)
    positions = bourse("positions", POOL, "--json", **eve).json
    assert {order["order"] for order in positions["orders"]} == {"s-1", asked["id"]}
    account = bourse("account", POOL, "--json", **eve).json
    assert (account["available"], account["held"], account["balance"]) == (4_995, 5, 5_000)
    assert bourse("positions", POOL, **eve).out.count("s-1") == 1
    assert "4,995" in bourse("account", POOL, **eve).out
    book = bourse("depth", POOL, period, "--once", "--json").json
    assert [7, 20] in book["asks"]
    assert "7" in bourse("depth", POOL, period, "--once").out
    assert bourse("cancel", POOL, period, "s-1", **eve).out == "cancelled (id s-1)\n"

    given = bourse("transfer", "gift", POOL, period, "bob", "--tokens", 5, **eve)
    assert given.out.startswith("done")
    offered = bourse("transfer", "exchange", POOL, period, "bob", "--tokens", 5, "--for-money", 9, "--json", **eve).json
    taken = bourse("transfer", "accept", POOL, period, "eve", offered["id"], tenant="bob", key=market.keys / "bob.key")
    assert taken.out == f"accepted (id {offered['id']})\n"

    assert bourse("keys", "revoke", POOL, key, "--tenant", "eve").code == 0
    refused = bourse("order", "sell", POOL, period, 1, "--price", 7, **eve)
    assert refused.code == 1
    assert refused.err.startswith("rejected: key_revoked; key: ")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("order", "buy", POOL, "+20", "5", "--price", "1"), 2, "tenant: who trades? Name it, or set BOURSE_TENANT"),
        (("order", "buy", POOL, "+20", "5", "--tenant", "ann"), 2, "--price N for a limit order, or --market"),
        (("order", "buy", POOL, "soon", "5", "--price", "1", "--tenant", "ann"), 2, "period 'soon': its number"),
        (("order", "buy", "nowhere", "now", "5", "--price", "1", "--tenant", "ann"), 2, "'nowhere' is not defined"),
        (("order", "buy", POOL, "1", "5", "--price", "1", "--tenant", "ann"), 1, "rejected: signature_missing; signature: "),
        (("order", "buy", POOL, "1", str(2**64), "--price", "1", "--tenant", "ann"), 2, "qty: Input should be less"),
        (("order", "buy", POOL, "1", "5", "--price", "1", "--tenant", "ann", "--expire", "+9 eons"), 2, "+9 eons: a duration"),
        (("order", "buy", POOL, "1", "5", "--price", "1", "--tenant", "ann", "--expire", "noon"), 2, "expire: "),
        (("order", "buy", POOL, "1", "5", "--price", "1", "--tenant", "ann", "--key", "no.such"), 2, "no.such: No such file"),
        (("transfer", "exchange", POOL, "1", "bob", "--tokens", "1", "--tenant", "ann"), 2, "--for-tokens N or --for-money N"),
        (("positions", POOL, "--tenant", "stranger"), 2, "'stranger' is not known"),
        (("deposit", POOL, "stranger", "5"), 1, "refused: unknown_tenant; tenant: 'stranger'"),
        (("deposit", POOL, "ann", str(2**62), "--withdraw"), 1, "refused: insufficient_money"),
        (("keys", "revoke", POOL, "no key", "--tenant", "ann"), 2, "key: "),
        (("keys", "new", "x.key", "--register"), 2, "--register needs --pool and --tenant"),
    ],
)
def test_what_cannot_be_is_one_line(bourse: Callable[..., Said], arguments: tuple[str, ...], code: int, said: str) -> None:
    answer = bourse(*arguments)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert not Path("x.key").exists()


def test_without_a_broker_or_an_engine_it_is_one_line_too(monkeypatch: pytest.MonkeyPatch, bourse: Callable[..., Said]) -> None:
    monkeypatch.setattr(tailing, "ANSWER_S", 0.5)
    monkeypatch.setattr(tenant_state, "PATIENCE", timedelta(seconds=0.5))
    for command in (
        ("order", "buy", POOL, "1", "5", "--price", "1"),
        ("deposit", POOL, "ann", "5"),
        ("depth", POOL, "1", "--once"),
    ):
        answer = bourse(*command, kafka="127.0.0.1:9", tenant="ann")
        assert (answer.code, answer.out) == (1, "")
        assert answer.err.startswith("bourse: Kafka at 127.0.0.1:9 does not answer: ")
        assert answer.err.count("\n") == 1
    answer = bourse("account", POOL, tenant="ann", home="/nowhere", engine_web_port=9)
    assert (answer.code, answer.err.count("\n")) == (1, 1)
    assert answer.err.startswith("bourse: the engine at http://127.0.0.1:9 does not answer")


def test_trades_are_shown_from_the_past_on_and_live(market: Market) -> None:
    """By a process of its own, which is interrupted as by a person."""
    period = market.present() + AHEAD + 4

    async def trade(price: int) -> None:
        async with market.client("ann") as ann, market.client("bob") as bob:
            await (await ann.submit(side="sell", period=period, qty=1, price=price)).outcome()
            assert (await (await bob.submit(side="buy", period=period, qty=1, price=price)).outcome()).filled == 1

    asyncio.run(trade(11))
    until(lambda: market.system.rows(f"SELECT * FROM trades WHERE period = {period}"), SOON_S, "the trade has landed")
    environment = {**os.environ, **market.system.settings.as_environment()}
    command = [sys.executable, "-m", "infra.cli", "trades", POOL, "--period", str(period), "--json"]
    root = Path(__file__).parents[2]
    once = subprocess.run([*command, "--once"], env=environment, cwd=root, capture_output=True, text=True, check=True, timeout=120)
    assert [json.loads(line)["price"] for line in once.stdout.splitlines()] == [11]
    # Where tests run in the background SIGINT may be ignored, which children inherit; one that has a handler here is not.
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)
    live = subprocess.Popen(command, env=environment, cwd=root, stdout=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, ours)
    with live:
        assert live.stdout is not None
        assert json.loads(live.stdout.readline())["price"] == 11
        asyncio.run(trade(12))
        asyncio.run(trade(13))
        assert [json.loads(live.stdout.readline())["price"] for _ in range(2)] == [12, 13]
        live.send_signal(signal.SIGINT)
        assert live.wait(60) == 0


def test_a_bot_is_set_listed_tried_and_trades(market: Market, bourse: Callable[..., Said], tmp_path: Path) -> None:
    cyd, file = {"tenant": "cyd", "key": market.keys / "cyd.key"}, tmp_path / "bot.json"
    settings = {"name": "far", "strategy": "sell_idle", "min_price": 40, "keep": BASE - 100, "first_ahead": 3 * AHEAD - 9}
    settings |= {"last_ahead": 3 * AHEAD - 5}

    def asked(*arguments: object, **changed: object) -> Said:
        file.write_text(json.dumps({**settings, **changed}))
        return bourse("bots", *arguments, file, "--pool", POOL, **cyd)

    refused = asked("set", min_price=0)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err == "rejected: invalid_settings; min_price: 0 is less than 1\n"
    unsigned = bourse("bots", "set", file, "--pool", POOL, tenant="cyd")
    assert unsigned.err.startswith("rejected: signature_missing; signature: ")

    assert asked("set").out == f"far: set; bourse bots list {POOL} tells what it does\n"

    def offered() -> list[Any]:
        orders = bourse("positions", POOL, "--json", **cyd).json["orders"]
        return [order for order in orders if order["order"].startswith("bot/far/")]

    until(lambda: len(offered()) >= 5, SOON_S, "the bot offers what it does not keep, of five periods")
    assert {(order["side"], order["price"], order["open"]) for order in offered()} == {("sell", 40, 100)}
    last = max(order["period"] for order in offered())
    assert bourse("order", "buy", POOL, last, 30, "--price", 50, "--tenant", "bob", key=market.keys / "bob.key").code == 0

    def listed() -> list[Any]:
        return [bot for bot in bourse("bots", "list", POOL, "--json").json["bots"] if bot["name"] == "far" and bot["orders"] >= 5]

    (told,) = until(listed, SOON_S, "what the bot did has landed")
    assert (told["tenant"], told["strategy"], told["enabled"]) == ("cyd", "sell_idle", True)
    assert "far" in bourse("bots", "list", "--tenant", "cyd").out
    assert bourse("bots", "list", "--tenant", "stranger").out == "there are no bots\n"

    tried = json.loads(asked("test", "--history", "--json", min_price=45).out)
    assert (tried["actual"]["sold"], tried["with_bot"]["sold"]) == (30, 30)
    assert [(trade["price"], trade["qty"]) for trade in tried["trades"]] == [(45, 30)]

    assert asked("set", enabled=False).code == 0
    until(lambda: not offered(), SOON_S, "a disabled bot has taken its orders back")


def test_bases_are_moved_by_the_command_line(market: Market, bourse: Callable[..., Said]) -> None:
    """In a pool of which an earlier hour is known. What is proposed is done, once: by the journal, with reasons, and not again."""
    system, pool, hour = market.system, "moved", int(time.time()) // 3600 - 1
    terms = Rebalancing(quantile="1", fewest=1)  # of whatever further hours there are the largest counts
    with CommandPublisher(system.settings) as operator:
        operator.publish(PoolCommand(id="moved", pool=pool, capacity=10_000, period_s=2, rebalance=terms))
        for tenant, base in (("ann", 1_000), ("bob", 4_000)):
            operator.publish(ProfileCommand(id=f"moved-{tenant}", pool=pool, tenant=tenant, base=base, elasticity=1))
    until(lambda: system.rows(f"SELECT * FROM periods WHERE pool = '{pool}'"), SOON_S, "the pool's first period has landed")
    of_facts = {"topic": system.settings.topic("facts"), "partition": home_partition(pool.encode(), system.settings.partitions)}
    earlier = [{**of_facts, "pool": pool, "period": hour * 1_800 + at} for at in range(9)]
    client = connect(system.settings)
    insert(client, system.settings, "periods", [{**row, "period_s": 2, "used": 3_100, "tenants": 2} for row in earlier])
    used = (("ann", 3_000), ("bob", 100))
    insert(
        client, system.settings, "allocations", [{**row, "tenant": of, "used": tokens} for row in earlier for of, tokens in used]
    )

    def asked(*options: str) -> Any:
        answer = bourse("rebalance", pool, *options, "--json")
        assert answer.code == 0, answer.err
        return answer.json

    def commands() -> list[RebalanceCommand]:
        records = (decode(record.value()) for record in system.read("journal"))
        return [record for record in records if isinstance(record, RebalanceCommand) and record.pool == pool]

    proposed = asked("--dry-run")
    moves = {row["tenant"]: (row["need"], row["base"], row["after"]) for row in proposed["rows"]}
    assert (proposed["status"], moves) == ("proposed", {"ann": (3_000, 1_000, 1_100), "bob": (100, 4_000, 3_900)})
    assert commands() == []
    done = asked()
    assert (done["status"], done["rows"]) == ("done", proposed["rows"])
    assert [dict(zip(command.tenant, command.need, strict=True)) for command in commands()] == [{"ann": 3_000, "bob": 100}]

    def bases() -> dict[str, int]:
        return {row["tenant"]: row["base"] for row in system.web(f"/pools/{pool}")["tenants"]}

    until(lambda: bases() == {"ann": 1_100, "bob": 3_900}, SOON_S, "bases have moved")
    facts = f"SELECT tenant, kind, before, after, reason FROM sla WHERE pool = '{pool}' ORDER BY tenant"
    assert until(lambda: system.rows(facts), SOON_S, "the facts have landed") == [
        ("ann", "rebalance", 1_000, 1_100, "long_term_use"),
        ("bob", "rebalance", 4_000, 3_900, "long_term_use"),
    ]
    assert system.rows(f"SELECT moved, gave, got FROM rebalances WHERE pool = '{pool}'") == [(100, 1, 1)]
    again = asked()
    assert (again["status"], again["rows"]) == ("taken before", [])
    assert len(commands()) == 1


def test_the_example_bot_trades(market: Market) -> None:
    environment = {**os.environ, **market.system.settings.as_environment()}
    environment |= {"BOURSE_TENANT": "dee", "BOURSE_KEY": str(market.keys / "dee.key")}
    command = [sys.executable, "-m", "infra.demo.example_bot", POOL, "--sell-at", "900", "--buy-at", "1500", "--periods", "1"]
    told = subprocess.run(
        command, env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    assert f"accepted: sell {BASE:,} at 900, {BASE:,} open" in told


def test_submit_tells_that_nothing_was_decided_in_time(market: Market) -> None:
    async def scenario() -> None:
        async with market.client("ann") as ann:
            began = time.monotonic()
            ticket = await ann.submit(side="buy", period=market.present() + AHEAD, qty=1, price=1)
            with pytest.raises(Exception, match="was not decided within 0 s"):
                await ticket.outcome(timedelta(0))
            assert (await ticket.outcome()).status is Status.OPEN
            assert time.monotonic() - began < SOON_S

    asyncio.run(scenario())
