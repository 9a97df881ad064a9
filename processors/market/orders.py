"""What an order does: judged by the market's rules, matched by the book, paid by the ledger; refused as a whole or done as a whole.

Order of judgement: what the pool allows (period, size, number of orders), then the book's own rules, then money and tokens.
"""

from collections.abc import Iterator
from typing import NamedTuple

from processors.ledger import Status, judge
from processors.market.instruments import begin, phase_facts, refuse_period
from processors.market.keys import Refusal
from processors.market.outcome import OrderRow, account_of
from processors.market.refusals import order_refused
from processors.market.state import Instrument, book_id
from processors.market.tokens import free, outcome_of
from processors.orderbook import Cancel, Clock, New, Op, Reduce, Rejected, Replace, decide
from processors.stamping import Stamp
from processors.state import PartitionState, PoolState
from schemas.fact import Fact
from schemas.market import CancelCommand, OrderCommand, ReduceCommand, ReplaceCommand
from schemas.market_facts import OrderEventKind
from schemas.trading import OrderType, Reject, Side, TimeInForce

INT64_MAX = 2**63 - 1

Change = CancelCommand | ReduceCommand | ReplaceCommand


class _Asked(NamedTuple):
    """An operation, and the row that tells of its refusal."""

    op: Op
    row: OrderRow


def decide_order(state: PartitionState, pool: PoolState, command: OrderCommand, stamp: Stamp) -> Iterator[Fact]:
    """An order of a tenant that is authentic."""
    op = New(
        id=book_id(command.tenant, command.id),
        acct=account_of(command.tenant),
        side=command.side,
        price=command.price,
        qty=command.qty,
        type=command.order_type,
        tif=command.tif,
        post_only=command.post_only,
        stp=command.stp,
        expire=command.expire,
    )
    yield from place(state, pool, command.period, op, stamp)


def place(state: PartitionState, pool: PoolState, period: int, op: New, stamp: Stamp) -> Iterator[Fact]:
    """An order in an instrument's book, which begins if it is the first. Of a tenant, of a bot, or of the operator."""
    refusal = refuse_period(pool, period)
    if refusal is not None:
        yield order_refused(stamp, pool.name, period, _row(op), refusal)
        return
    yield from begin(state, pool, period, stamp)
    instrument = pool.market.instruments[period]
    if op.expire is not None and instrument.book.now != state.now_ms:
        yield from phase_facts(stamp, pool.name, period, decide(instrument.book, Clock(state.now_ms)))
    refusal = _refuse_new(instrument, op)
    if refusal is not None:
        yield order_refused(stamp, pool.name, period, _row(op), refusal)
        return
    yield from _operate(state, pool, instrument, _Asked(op, _row(op)), stamp)


def decide_change(state: PartitionState, pool: PoolState, command: Change, stamp: Stamp) -> Iterator[Fact]:
    """A tenant cancels, reduces or replaces an order of its own."""
    in_book, owner = book_id(command.tenant, command.order), account_of(command.tenant)
    op: Op
    match command:
        case CancelCommand():
            op = Cancel(in_book, owner)
        case ReduceCommand():
            op = Reduce(in_book, owner, command.by)
        case ReplaceCommand():
            op = Replace(in_book, owner, command.price, command.qty)
    row = _changed_row(pool, command)
    instrument = pool.market.instruments.get(command.period)
    refusal = refuse_period(pool, command.period)
    if refusal is None and isinstance(op, Replace) and _exceeds(op.price, op.qty):
        refusal = _too_large(op.price, op.qty)
    if instrument is None:
        unknown = Refusal(Reject.UNKNOWN_ORDER, "order", f"{command.order!r}: nobody has traded period {command.period} yet")
        yield order_refused(stamp, pool.name, command.period, row, refusal or unknown)
        return
    if refusal is not None:
        yield order_refused(stamp, pool.name, command.period, row, refusal)
        return
    yield from _operate(state, pool, instrument, _Asked(op, row), stamp)


def _operate(state: PartitionState, pool: PoolState, instrument: Instrument, asked: _Asked, stamp: Stamp) -> Iterator[Fact]:
    """The book decides, then the ledger; what both allow is written."""
    op, row = asked
    events = decide(instrument.book, op)
    if events and isinstance(events[0], Rejected):
        rejected = events[0]
        yield order_refused(stamp, pool.name, instrument.period, row, Refusal(rejected.reason, rejected.field, ""))
        return
    outcome = outcome_of(pool, instrument)
    outcome.take(events)
    refusal = _refuse_means(pool, instrument, op)
    if refusal is None and judge(pool.market.ledger, outcome.postings) is not Status.OK:
        refusal = _no_money(pool, row.tenant)
    if refusal is not None:
        yield order_refused(stamp, pool.name, instrument.period, row, refusal)
        return
    open_period = instrument.period if pool.open is None else pool.open.period
    yield from outcome.facts(stamp, pool.name, open_period, state.now_ms)


def _refuse_new(instrument: Instrument, op: New) -> Refusal | None:
    if op.type is OrderType.LIMIT and op.price is not None and _exceeds(op.price, op.qty):
        return _too_large(op.price, op.qty)
    rests = op.type is OrderType.LIMIT and op.tif not in {TimeInForce.IOC, TimeInForce.FOK}
    most = instrument.terms.max_open_orders
    if rests and len(instrument.book.accounts.get(op.acct, ())) >= most:
        return Refusal(Reject.TOO_MANY_ORDERS, "id", f"{most} orders are open in period {instrument.period} already")
    return None


def _exceeds(price: int, qty: int) -> bool:
    """Whether it is worth more than an account can hold, whichever side it is on; twice, as fees are at most as much again."""
    return price > 0 and qty > 0 and 2 * price * qty > INT64_MAX


def _too_large(price: int, qty: int) -> Refusal:
    return Refusal(Reject.EXCEEDS_MONEY, "qty", f"{qty} tokens at {price} are {price * qty} nanocredits, above {INT64_MAX // 2}")


def _refuse_means(pool: PoolState, instrument: Instrument, op: Op) -> Refusal | None:
    """A seller must own what it offers; that a buyer can pay is the ledger's to judge."""
    match op:
        case New(side=Side.SELL):
            tenant, needed = op.id.partition("\n")[0], op.qty
        case Replace():
            order = instrument.book.orders[op.id]
            if order.side is not Side.SELL:
                return None
            tenant, needed = op.id.partition("\n")[0], op.qty - order.filled - order.open
        case _:
            return None
    has = free(pool, tenant, instrument.period)
    if needed <= max(has, 0):
        return None
    return Refusal(Reject.INSUFFICIENT_TOKENS, "qty", f"{needed} tokens of period {instrument.period} are needed, {has} are free")


def _no_money(pool: PoolState, tenant: str) -> Refusal:
    available = pool.market.ledger.available(-1, account_of(tenant))
    return Refusal(Reject.INSUFFICIENT_MONEY, "price", f"{available} nanocredits are available")


def _row(op: New) -> OrderRow:
    tenant, order_id = op.id.split("\n", 1)
    by_type = TimeInForce.IOC if op.type is OrderType.MARKET else TimeInForce.GTC
    return OrderRow(
        tenant,
        order_id,
        OrderEventKind.REJECTED,
        op.side,
        op.type,
        op.tif or by_type,
        op.stp,
        op.post_only,
        op.expire,
        op.price or 0,
        op.qty,
        0,
        kept_priority=False,
        reason="",
        field="",
        detail="",
    )


def _changed_row(pool: PoolState, command: Change) -> OrderRow:
    """What a refused change is told with: the order's own fields where it is open, else those of the command."""
    instrument = pool.market.instruments.get(command.period)
    order = None if instrument is None else instrument.book.orders.get(book_id(command.tenant, command.order))
    blank = New(book_id(command.tenant, command.order), "", Side.BUY, 0, 0)
    row = _row(blank)
    if order is not None:
        row = row._replace(side=order.side, stp=order.stp, post_only=order.post_only, expire=order.expire, open=order.open)
        row = row._replace(price=order.price, qty=order.filled + order.open)
    return row
