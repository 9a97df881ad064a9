"""What clients make of facts: outcomes, updates, trades. The facts are an engine's own."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import count

import pytest
from journal_world import of_kind
from market_world import MarketWorld, fresh

from schemas.canonical import digest
from schemas.fact import CHUNK_ROWS, Fact
from schemas.market import (
    BotCommand,
    CancelCommand,
    OrderCommand,
    ReduceCommand,
    ReplaceCommand,
    TenantCommand,
    TransferCommand,
    TurnedAway,
)
from schemas.market_facts import OrderEvents, Trades
from streams.codecs import encode
from streams.tickets import KINDS, NoAnswer, Outcome, Status, Tickets
from streams.updates import Facts, OrderUpdate, TransferUpdate, trades_of, updates_of


class Desk:
    """A world and the tickets of tenant `a`; all in one loop that a test runs."""

    def __init__(self, **terms: object) -> None:
        self.world = MarketWorld(**terms)
        self.tickets = Tickets("a")

    def ask(self, kind: type[TenantCommand], **fields: object) -> TenantCommand:
        return kind.model_validate({"id": fresh("x"), "pool": "llm", "tenant": "a", "period": self.world.present, **fields})

    def hear(self, facts: list[Fact]) -> None:
        for fact in facts:
            if type(fact) in KINDS:
                self.tickets.take(fact, 7)

    async def do(self, kind: type[TenantCommand], **fields: object) -> Outcome:
        command = self.ask(kind, **fields)
        ticket = self.tickets.issue(command)
        self.hear(self.world.take(command))
        return await ticket.outcome(timedelta(seconds=0.01))


def test_orders_and_their_changes() -> None:
    async def scenario() -> None:
        desk = Desk()
        world = desk.world
        world.sell("b", 30, 5)
        assert (await desk.do(OrderCommand, side="buy", qty=10, price=4)).status is Status.OPEN
        part = await desk.do(OrderCommand, id="o", side="buy", qty=40, price=6)
        assert (part.status, part.filled, part.notional, part.open) == (Status.OPEN, 30, 150, 10)
        assert [update.offset for update in part.updates] == [7] * 3
        assert (await desk.do(ReduceCommand, order="o", by=1)).status is Status.OPEN
        assert (await desk.do(ReplaceCommand, order="o", price=6, qty=38)).open == 8
        moved = await desk.do(ReplaceCommand, order="o", price=7, qty=38)
        assert (moved.status, moved.open, moved.filled) == (Status.OPEN, 8, 0)
        world.sell("b", 3, 9)
        swept = await desk.do(ReplaceCommand, order="o", price=9, qty=33)
        assert (swept.status, swept.filled, swept.notional, swept.open) == (Status.FILLED, 3, 27, 0)
        ioc = await desk.do(OrderCommand, side="buy", qty=5, price=9, tif="IOC")
        assert (ioc.status, ioc.reason, ioc.open) == (Status.CANCELLED, "unfilled", 0)
        gone = await desk.do(CancelCommand, order="o")
        assert (gone.status, gone.reason, gone.field, gone.rejected) == (Status.REJECTED, "unknown_order", "order", True)
        assert (await desk.do(OrderCommand, id="p", side="buy", qty=5, price=1)).status is Status.OPEN
        assert (await desk.do(CancelCommand, order="p")).status is Status.CANCELLED
        assert (await desk.do(OrderCommand, side="buy", qty=5, price=1, pool="nowhere")).reason == "unknown_pool"

    asyncio.run(scenario())


def test_settings_of_bots() -> None:
    """The orders that a bot takes back as it is set anew are no part of the outcome."""

    async def scenario() -> None:
        desk = Desk()

        async def set_bot(**settings: object) -> Outcome:
            fixed = {"id": fresh("b"), "pool": "llm", "tenant": "a", "name": "x", "strategy": "sell_idle", "min_price": 3}
            command = BotCommand.model_validate({**fixed, **settings})
            ticket = desk.tickets.issue(command)
            desk.hear(desk.world.take(command))
            return await ticket.outcome(timedelta(seconds=0.01))

        assert (await set_bot()).status is Status.SET
        desk.hear(desk.world.tick(desk.world.state.tick + 1))
        assert desk.world.market.instruments[desk.world.present].book.orders
        again = await set_bot(min_price=4)
        assert (again.status, again.rejected, again.updates) == (Status.SET, False, ())
        assert not desk.world.market.instruments[desk.world.present].book.orders
        refused = await set_bot(min_price=0)
        assert (refused.status, refused.reason, refused.field) == (Status.REJECTED, "invalid_settings", "min_price")
        assert (await set_bot(pool="nowhere")).reason == "unknown_pool"

    asyncio.run(scenario())


def test_transfers() -> None:
    async def scenario() -> None:
        desk = Desk()
        assert (await desk.do(TransferCommand, to="b", tokens=5)).status is Status.DONE
        assert (await desk.do(TransferCommand, to="b", tokens=10**6)).reason == "insufficient_tokens"
        assert (await desk.do(TransferCommand, id="t", to="b", tokens=5, for_money=5)).status is Status.OFFERED
        assert (await desk.do(CancelCommand, order="t")).status is Status.CANCELLED

    asyncio.run(scenario())


def test_an_order_that_meets_thousands_is_whole_before_it_is_decided() -> None:
    async def scenario() -> None:
        desk = Desk(base=1_000_000, capacity=10**7, money=10**12, max_open_orders=100_000)
        makers = CHUNK_ROWS  # each trade is two rows: more than two facts
        for _ in range(makers):
            desk.world.sell("b", 1, 5)
        outcome = await desk.do(OrderCommand, side="buy", qty=makers + 1, price=5)
        assert (outcome.status, outcome.filled, outcome.open) == (Status.OPEN, makers, 1)

    asyncio.run(scenario())


def test_a_self_trade_that_takes_a_part_is_not_the_end() -> None:
    async def scenario() -> None:
        desk = Desk()
        desk.world.sell("a", 3, 5)
        desk.world.sell("b", 3, 5)
        outcome = await desk.do(OrderCommand, side="buy", qty=10, price=5, stp="decrement")
        assert (outcome.status, outcome.filled, outcome.open) == (Status.OPEN, 3, 4)

    asyncio.run(scenario())


def test_nobody_passes_off_a_rejection_as_ours() -> None:
    async def scenario() -> None:
        desk = Desk()
        ours = desk.ask(OrderCommand, id="mine", side="buy", qty=1, price=1)
        ticket = desk.tickets.issue(ours)
        forged = TurnedAway(
            pool="llm",
            tenant="a",
            command="order",
            id="mine",
            period=desk.world.present,
            source_topic="orders",
            source_partition=0,
            source_offset=5,
            reason="signature_wrong",
            field="signature",
            detail="no",
        )
        desk.hear(desk.world.take(forged))
        desk.hear(desk.world.take(ours.model_copy(update={"qty": 0})))
        with pytest.raises(NoAnswer, match=r"order 'mine' was not decided within 0\.01 s"):
            await ticket.outcome(timedelta(seconds=0.01))
        desk.hear(desk.world.take(ours))
        assert (await ticket.outcome()).status is Status.OPEN

    asyncio.run(scenario())


def test_what_happens_to_the_order_later_is_no_answer() -> None:
    async def scenario() -> None:
        desk = Desk()
        assert (await desk.do(OrderCommand, id="o", side="buy", qty=1, price=1, tif="GTD", expire=11_000)).status is Status.OPEN
        cancel = desk.ask(CancelCommand, order="o")
        ticket = desk.tickets.issue(cancel)
        taken, *_ = desk.world.take(desk.ask(CancelCommand, order="another"))
        desk.hear([taken.model_copy(update={"digest": digest(cancel)}), *desk.world.run(11, 11)])
        with pytest.raises(NoAnswer):
            await ticket.outcome(timedelta(seconds=0.01))

    asyncio.run(scenario())


def test_a_dropped_ticket_is_forgotten() -> None:
    async def scenario() -> None:
        desk = Desk()
        command = desk.ask(OrderCommand, side="buy", qty=1, price=1)
        desk.tickets.issue(command)
        assert not desk.tickets._waiting
        desk.hear(desk.world.take(command))

    asyncio.run(scenario())


def records(world: MarketWorld, facts: list[Fact]) -> list[tuple[int, bytes, bytes]]:
    offsets = count(100)
    return [(next(offsets), fact.pool.encode(), encode(fact)) for fact in facts]


def test_facts_are_taken_once_of_one_pool_and_of_the_kinds_asked_for() -> None:
    world = MarketWorld()
    before = len(world.facts)
    world.sell("a", 10, 5, id="s")
    world.buy("b", 4, 6, id="b")
    world.run(11, 12)
    published = records(world, world.facts[before:])
    elsewhere = of_kind(world.facts, OrderEvents)[0].model_copy(update={"pool": "other", "journal_offset": 10**6})
    again = [*published, *published[1:], (999, b"other", encode(elsewhere)), (1000, b"llm", b"no avro"), (1001, b"llm", None)]

    def read(since: int, tenant: str) -> list[OrderUpdate | TransferUpdate]:
        facts = Facts("llm", (OrderEvents,), lambda fact, offset: updates_of(tenant, fact, offset), since=since)
        return [update for record in again for update in facts(*record)]

    everything = [(each.order, each.event.value, each.qty, each.open) for each in read(0, "a") if isinstance(each, OrderUpdate)]
    assert everything == [("s", "accepted", 10, 10), ("s", "rested", 10, 10), ("s", "filled", 4, 6), ("s", "cancelled", 6, 0)]
    assert [each.event.value for each in read(0, "b") if isinstance(each, OrderUpdate)] == ["accepted", "filled"]
    # From the fact of the trade on: what stands before is known, also when a recovering engine publishes it again.
    trade = next(
        offset
        for offset, _, value in published
        for fact in world.facts[before:]
        if isinstance(fact, Trades) and encode(fact) == value
    )
    assert [each.event.value for each in read(trade, "a")] == ["cancelled"]
    trades = Facts("llm", (Trades,), lambda fact, offset: trades_of(None, fact, offset))
    assert [(t.price, t.qty, t.taker, t.period) for record in again for t in trades(*record)] == [(5, 4, "buy", world.present - 1)]
    assert [*trades_of(7, next(fact for fact in world.facts if isinstance(fact, Trades)), 1)] == []
