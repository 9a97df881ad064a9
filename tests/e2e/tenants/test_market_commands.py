"""Tenants that trade through the command line, bots, and operators who move bases."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from databases import insert
from system import until

from schemas.loops import Rebalancing
from schemas.planning import RebalanceCommand
from schemas.published import PoolCommand, ProfileCommand
from streams import tailing, tenant_state
from streams.clickhouse import connect
from streams.client import CommandPublisher
from streams.codecs import decode
from streams.partitioning import home_partition
from tenants.market import AHEAD, BASE, POOL, SOON_S, Market, Said

pytestmark = pytest.mark.e2e


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
    root = Path(__file__).parents[3]
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


def test_the_example_bot_trades(market: Market) -> None:
    environment = {**os.environ, **market.system.settings.as_environment()}
    environment |= {"BOURSE_TENANT": "dee", "BOURSE_KEY": str(market.keys / "dee.key")}
    command = [sys.executable, "-m", "infra.demo.example_bot", POOL, "--sell-at", "900", "--buy-at", "1500", "--periods", "1"]
    told = subprocess.run(
        command, env=environment, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    assert f"accepted: sell {BASE:,} at 900, {BASE:,} open" in told


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
