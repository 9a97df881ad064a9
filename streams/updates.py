"""What clients hear of the market, made from the facts of one pool: updates of a tenant's own orders, trades, outcomes.

A recovering engine publishes facts again; each is taken once. Kinds that nobody asked for are told apart by their schema's
fingerprint and not decoded: the facts of a period of 100,000 tenants cost a reader of orders nothing but their bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from schemas.evolution import registry
from schemas.fact import Fact
from schemas.market_facts import OrderEventKind, OrderEvents, Trades, TransferEventKind, TransferEvents
from schemas.trading import OrderType, Side, TimeInForce
from streams.codecs import HEADER_BYTES, MAGIC, decode

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """One event of an order's life.

    A rejection is of a command: an order that it named is as it was before. Anybody may have sent that command in the tenant's name
    (`signature_wrong`, `key_unknown`): so a rejection says nothing of an order but that somebody tried.

    Attributes:
        order: its id, unique among its tenant's of the period.
        price: of the order where it was accepted, replaced or rejected; of the trade where it was filled. Nanocredits per token.
        qty: likewise; what was cancelled, or by how much it was reduced. Tokens.
        open: what is left open afterwards.
        kept_priority: of a replaced order, whether it kept its place.
        reason: why it was rejected or cancelled; empty else.
        field: the offending field of a rejected command.
        offset: of the fact on `facts`: `updates(after=offset)` goes on behind it.
        journal_offset: of the record that led to it; all that one command did has the same.
    """

    pool: str
    period: int
    order: str
    event: OrderEventKind
    side: Side
    order_type: OrderType
    tif: TimeInForce
    price: int
    qty: int
    open: int
    kept_priority: bool
    reason: str
    field: str
    detail: str
    offset: int
    journal_offset: int


@dataclass(frozen=True, slots=True)
class TransferUpdate:
    """One event of a transfer that the tenant gives or gets: tokens of `period`, or nanocredits.

    Attributes:
        transfer: its id, unique among its giver's open offers.
        tenant: who gives.
        to: who gets.
        offset: as of `OrderUpdate`.
        journal_offset: likewise.
    """

    pool: str
    period: int
    transfer: str
    tenant: str
    to: str
    event: TransferEventKind
    tokens: int
    money: int
    for_tokens: int
    for_money: int
    reason: str
    field: str
    detail: str
    offset: int
    journal_offset: int


Update = OrderUpdate | TransferUpdate


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade, as everybody may see it.

    Attributes:
        time: of the engine's clock, milliseconds since 1970.
        price: nanocredits per token.
        qty: tokens.
        taker: which side came last: buy or sell; auction where neither did.
        offset: of the fact on `facts`: `trades(after=offset)` goes on behind it. The trades of one fact share it.
    """

    pool: str
    period: int
    time: int
    price: int
    qty: int
    taker: str
    offset: int


class Facts(Generic[Item]):
    """Reads records of `facts`: those of one pool and of some kinds, each fact once.

    Args:
        pool: whose facts.
        kinds: which; others are passed over.
        make: what becomes of a fact at an offset.
        since: records below this offset only tell what is known already.
    """

    def __init__(
        self, pool: str, kinds: Iterable[type[Fact]], make: Callable[[Fact, int], Iterable[Item]], *, since: int = 0
    ) -> None:
        self._pool = pool.encode()
        wanted = set(kinds)
        self._wanted = {mark for mark, written in registry().items() if written.model in wanted}
        self._make = make
        self._since = since
        self._last = (-1, -1)

    def __call__(self, offset: int, key: bytes | None, value: bytes | None) -> Iterable[Item]:
        """What becomes of one record."""
        if value is None or value[:2] != MAGIC:
            return ()
        early = offset < self._since
        if not early and (key != self._pool or value[2:HEADER_BYTES] not in self._wanted):
            return ()
        fact = decode(value)
        if not isinstance(fact, Fact) or (fact.journal_offset, fact.fact_index) <= self._last:
            return ()
        self._last = (fact.journal_offset, fact.fact_index)
        return () if early else self._make(fact, offset)


def updates_of(tenant: str, fact: Fact, offset: int) -> Iterator[Update]:
    """What a fact tells a tenant."""
    if isinstance(fact, OrderEvents):
        yield from _order_updates(tenant, fact, offset)
    elif isinstance(fact, TransferEvents):
        yield from _transfer_updates(tenant, fact, offset)


def _order_updates(tenant: str, fact: OrderEvents, offset: int) -> Iterator[OrderUpdate]:
    for at, owner in enumerate(fact.tenant):
        if owner == tenant:
            yield OrderUpdate(
                pool=fact.pool,
                period=fact.period,
                order=fact.order_id[at],
                event=fact.event[at],
                side=fact.side[at],
                order_type=fact.order_type[at],
                tif=fact.tif[at],
                price=fact.price[at],
                qty=fact.qty[at],
                open=fact.open[at],
                kept_priority=fact.kept_priority[at],
                reason=fact.reason[at],
                field=fact.field[at],
                detail=fact.detail[at],
                offset=offset,
                journal_offset=fact.journal_offset,
            )


def _transfer_updates(tenant: str, fact: TransferEvents, offset: int) -> Iterator[TransferUpdate]:
    for at, (giver, taker) in enumerate(zip(fact.tenant, fact.to, strict=True)):
        if tenant in {giver, taker}:
            yield TransferUpdate(
                pool=fact.pool,
                period=fact.period,
                transfer=fact.transfer_id[at],
                tenant=giver,
                to=taker,
                event=fact.event[at],
                tokens=fact.tokens[at],
                money=fact.money[at],
                for_tokens=fact.for_tokens[at],
                for_money=fact.for_money[at],
                reason=fact.reason[at],
                field=fact.field[at],
                detail=fact.detail[at],
                offset=offset,
                journal_offset=fact.journal_offset,
            )


def trades_of(period: int | None, fact: Fact, offset: int) -> Iterator[Trade]:
    """The trades of a fact; None: of whatever period."""
    if isinstance(fact, Trades) and period in {None, fact.period}:
        for price, qty, taker in zip(fact.price, fact.qty, fact.taker, strict=True):
            yield Trade(fact.pool, fact.period, fact.time, price, qty, taker, offset)
