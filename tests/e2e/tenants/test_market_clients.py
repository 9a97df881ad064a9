"""Tenants that trade through the SDK."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from confluent_kafka import Producer
from system import until

from schemas.market import OrderCommand
from schemas.market_facts import OrderEventKind
from schemas.outputs import Depth, Limit, output_key
from streams.client import TenantClient
from streams.codecs import encode
from streams.partitioning import home_partition
from streams.sequence import KeyInUse
from streams.signatures import read_private_key, sign
from streams.tickets import Status
from streams.updates import OrderUpdate
from tenants.market import AHEAD, BASE, POOL, SOON_S, TENANTS, Market

pytestmark = pytest.mark.e2e

Item = TypeVar("Item")


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
                assert await dee.last_top_of_book(period) == top
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
