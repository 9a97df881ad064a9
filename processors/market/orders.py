"""What an order does: judged by the market's rules, matched by the book, paid by the ledger; refused as a whole or done as a whole.

Order of judgement: whether the period is traded, the book's own rules, how much and how many it may be, then tokens and money.
"""

from collections.abc import Iterator
from typing import NamedTuple

from processors.ledger import INT64_MAX, Status, judge
from processors.market.instruments import begin, instrument_of, refuse_period
from processors.market.keys import Refusal
from processors.market.outcome import OrderRow, Outcome, account_of, reserve
from processors.market.refusals import order_refused
from processors.market.state import Instrument, book_id, parted
from processors.market.ticking import operate
from processors.market.tokens import free, outcome_of
from processors.orderbook import Book, BookEvent, Cancel, Clock, Config, New, Op, Reduce, Rejected, Replace, Rested, decide
from processors.stamping import Stamp
from processors.state import PartitionState, PoolState
from schemas.fact import Fact
from schemas.ledgering import MONEY, Entry
from schemas.market import CancelCommand, OrderCommand, ReduceCommand, ReplaceCommand
from schemas.market_facts import OrderEventKind
from schemas.trading import OrderType, Reject, Side, TimeInForce

Change = CancelCommand | ReduceCommand | ReplaceCommand


class _Asked(NamedTuple):
    """An operation of a tenant, and the row that tells of its refusal."""

    tenant: str
    op: New | Cancel | Reduce | Replace
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
    """An order in an instrument's book, which begins with the first that is accepted. Of a tenant, of a bot, or of the operator."""
    refusal = refuse_period(pool, period)
    if refusal is not None:
        yield order_refused(stamp, pool.name, period, _row(op), refusal)
        return
    instrument = instrument_of(state, pool, period)
    if op.tif is TimeInForce.GTD and instrument.book.now != state.now_ms:
        yield from operate(state, pool, instrument, Clock(state.now_ms), stamp)
    yield from _operate(state, pool, instrument, _Asked(parted(op.id)[0], op, _row(op)), stamp)


def decide_change(state: PartitionState, pool: PoolState, command: Change, stamp: Stamp) -> Iterator[Fact]:
    """A tenant cancels, reduces or replaces an order of its own."""
    in_book, owner = book_id(command.tenant, command.order), account_of(command.tenant)
    op: Cancel | Reduce | Replace
    match command:
        case CancelCommand():
            op = Cancel(in_book, owner)
        case ReduceCommand():
            op = Reduce(in_book, owner, command.by)
        case ReplaceCommand():
            op = Replace(in_book, owner, command.price, command.qty)
    row = _changed_row(pool, command)
    refusal = refuse_period(pool, command.period)
    if refusal is not None:
        yield order_refused(stamp, pool.name, command.period, row, refusal)
        return
    instrument = instrument_of(state, pool, command.period)
    yield from _operate(state, pool, instrument, _Asked(command.tenant, op, row), stamp)


def is_open(pool: PoolState, command: Change) -> bool:
    """Whether the order that a command names is in its book."""
    instrument = pool.market.instruments.get(command.period)
    return instrument is not None and book_id(command.tenant, command.order) in instrument.book.orders


def attempt(state: PartitionState, pool: PoolState, period: int, op: New) -> Outcome | Refusal:
    """What an order would come to, or why it would be refused. Changes nothing.

    To place it: `begin` the instrument, then take the outcome's facts.
    """
    refusal = refuse_period(pool, period)
    if refusal is not None:
        return refusal
    return _judge(pool, instrument_of(state, pool, period), _Asked(parted(op.id)[0], op, _row(op)))


def _judge(pool: PoolState, instrument: Instrument, asked: _Asked) -> Outcome | Refusal:
    """The book decides, then the ledger."""
    events = decide(instrument.book, asked.op)
    refusal = (
        _refuse_by_book(instrument.book, asked.op, events[0])
        or _refuse_worth(instrument, asked.op)
        or _refuse_number(instrument, asked.op, events[-1])
    )
    if refusal is not None:
        return refusal
    outcome = outcome_of(pool, instrument)
    outcome.take(events)
    return _refuse_tokens(pool, instrument, asked) or _refuse_money(pool, outcome, asked) or outcome


def _operate(state: PartitionState, pool: PoolState, instrument: Instrument, asked: _Asked, stamp: Stamp) -> Iterator[Fact]:
    """What is allowed is written, with all that follows from it; else why it is refused."""
    outcome = _judge(pool, instrument, asked)
    if isinstance(outcome, Refusal):
        yield order_refused(stamp, pool.name, instrument.period, asked.row, outcome)
        return
    yield from begin(state, pool, instrument.period, stamp)
    yield from outcome.facts(stamp, pool.name, pool.present, state.now_ms)


_CALLED = {"id": "order", "acct": "tenant"}
"""What a command calls the fields of a change of an order."""


def _refuse_by_book(book: Book, op: Op, event: BookEvent) -> Refusal | None:
    if not isinstance(event, Rejected):
        return None
    field = event.field if isinstance(op, New) else _CALLED.get(event.field, event.field)
    return Refusal(event.reason, field, _why(book.config, event, op))


def _why(config: Config, event: Rejected, op: Op) -> str:
    """The value that the book refused, and what it would have taken."""
    if event.field == "id":
        return repr(parted(event.id)[1])
    value = getattr(op, event.field, "")
    match event.reason:
        case Reject.INVALID_QTY:
            return f"{value} is no multiple of {config.lot} from {config.lot} to {config.max_qty}"
        case Reject.INVALID_PRICE:
            return f"{value} is no multiple of {config.tick} from {config.pmin} to {config.pmax}"
        case _:
            return f"{value}"


def _refuse_worth(instrument: Instrument, op: Op) -> Refusal | None:
    """Whether the order is worth more than an account can hold. What a market order costs is seen from what it trades."""
    if not isinstance(op, New | Replace) or op.price is None or (isinstance(op, New) and op.type is OrderType.MARKET):
        return None
    side = op.side if isinstance(op, New) else instrument.book.orders[op.id].side
    worth = reserve(instrument.terms, op.price, op.qty) if side is Side.BUY else op.price * op.qty
    if worth <= INT64_MAX:
        return None
    return Refusal(Reject.EXCEEDS_MONEY, "qty", f"{op.qty} tokens at {op.price}: {worth} nanocredits are above {INT64_MAX}")


def _refuse_number(instrument: Instrument, op: Op, last: BookEvent) -> Refusal | None:
    """Whether it would be one more than a tenant may have open."""
    most = instrument.terms.max_open_orders
    if not (isinstance(op, New) and isinstance(last, Rested)) or len(instrument.book.accounts.get(op.acct, ())) < most:
        return None
    return Refusal(Reject.TOO_MANY_ORDERS, "id", f"{most} orders are open in period {instrument.period} already")


def _refuse_tokens(pool: PoolState, instrument: Instrument, asked: _Asked) -> Refusal | None:
    """A seller must own what it offers."""
    match asked.op:
        case New(side=Side.SELL, qty=needed):
            pass
        case Replace(id=order_id, qty=qty) if instrument.book.orders[order_id].side is Side.SELL:
            order = instrument.book.orders[order_id]
            needed = qty - order.filled - order.open
        case _:
            return None
    has = free(pool, asked.tenant, instrument.period)
    if needed <= max(has, 0):
        return None
    return Refusal(Reject.INSUFFICIENT_TOKENS, "qty", f"{needed} tokens of period {instrument.period} are needed, {has} are free")


def _refuse_money(pool: PoolState, outcome: Outcome, asked: _Asked) -> Refusal | None:
    """A buyer must be able to pay. Every other fault of the rows is our own, and recording them says so."""
    status = judge(pool.market.ledger, outcome.postings)
    if status not in {Status.INSUFFICIENT_FUNDS, Status.EXCEEDS_INT64}:
        return None
    needed = sum(row.amount for row in outcome.postings if row.asset == MONEY and row.entry == Entry.HOLD)
    available = pool.market.ledger.available(MONEY, account_of(asked.tenant))
    reason = Reject.INSUFFICIENT_MONEY if status is Status.INSUFFICIENT_FUNDS else Reject.EXCEEDS_MONEY
    field = "qty" if asked.row.order_type is OrderType.MARKET else "price"
    return Refusal(reason, field, f"{needed} nanocredits are needed, {available} are available")


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
