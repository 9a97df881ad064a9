"""Every command of a tenant: taken once, authenticated, then done or refused."""

from collections.abc import Iterator
from hashlib import blake2b

from processors.bots.setting import bot_refused, decide_bot
from processors.market.keys import Refusal, authenticate, spent_sequence
from processors.market.orders import decide_change, decide_order, is_open
from processors.market.outcome import OrderRow
from processors.market.refusals import order_refused, transfer_refused
from processors.market.transfers import decide_accept, decide_transfer, end_offer
from processors.stamping import Stamp
from processors.state import PartitionState, PoolState
from schemas.canonical import digest
from schemas.fact import Fact
from schemas.market import (
    AcceptCommand,
    BotCommand,
    CancelCommand,
    OrderCommand,
    ReduceCommand,
    ReplaceCommand,
    TenantCommand,
    TransferCommand,
    TurnedAway,
)
from schemas.market_facts import CommandTaken, OrderEventKind
from schemas.trading import CancelReason, OrderType, Reject, SelfTrade, Side, TimeInForce


def decide_tenant(state: PartitionState, command: TenantCommand, stamp: Stamp) -> Iterator[Fact]:
    """One command of a tenant. What was signed and taken once changes nothing when it comes again."""
    mark = digest(command)
    if bytes.fromhex(mark) in state.taken:
        return
    pool = state.pools.get(command.pool)
    if pool is None:
        yield _taken(stamp, command, mark, None)
        yield _refused(state, stamp, command, Refusal(Reject.UNKNOWN_POOL, "pool", f"{command.pool!r} is not defined"))
        return
    refusal = authenticate(pool, command, state.now_ms)
    yield _taken(stamp, command, mark, spent_sequence(pool, command))
    if refusal is not None:
        yield _refused(state, stamp, command, refusal)
        return
    yield from _decide(state, pool, command, stamp)


def _taken(stamp: Stamp, command: TenantCommand, mark: str, spent: tuple[str, int] | None) -> Fact:
    key, seq = spent or (None, None)
    return stamp.fact(
        CommandTaken,
        command.pool,
        tenant=command.tenant,
        command=command.KIND,
        command_id=command.id,
        digest=mark,
        key=key,
        seq=seq,
    )


def _decide(state: PartitionState, pool: PoolState, command: TenantCommand, stamp: Stamp) -> Iterator[Fact]:
    match command:
        case OrderCommand():
            yield from decide_order(state, pool, command, stamp)
        case CancelCommand():
            yield from _cancel(state, pool, command, stamp)
        case ReduceCommand() | ReplaceCommand():
            yield from decide_change(state, pool, command, stamp)
        case TransferCommand():
            yield from decide_transfer(state, pool, command, stamp)
        case AcceptCommand():
            yield from decide_accept(pool, command, stamp)
        case BotCommand():
            yield from decide_bot(state, pool, command, stamp)
        case _:
            raise TypeError(f"{command.KIND} is no command of a tenant")


def _cancel(state: PartitionState, pool: PoolState, command: CancelCommand, stamp: Stamp) -> Iterator[Fact]:
    """Of an order and an offer that share their tenant, period and id, the order is meant."""
    offer = pool.market.offer(command.tenant, command.order)
    if offer is not None and offer.period == command.period and not is_open(pool, command):
        yield from end_offer(pool, offer, CancelReason.USER, stamp)
    else:
        yield from decide_change(state, pool, command, stamp)


def decide_turned_away(state: PartitionState, record: TurnedAway, stamp: Stamp) -> Iterator[Fact]:
    """What intake could not take is stated as a rejection, once for each record of the topic that it came from."""
    place = f"{record.source_topic}\n{record.source_partition}\n{record.source_offset}"
    mark = blake2b(place.encode(), digest_size=16).digest()
    if mark in state.taken:
        return
    yield stamp.fact(
        CommandTaken,
        record.pool,
        tenant=record.tenant,
        command=record.command,
        command_id=record.id,
        digest=mark.hex(),
        key=None,
        seq=None,
    )
    refusal = Refusal(Reject(record.reason), record.field, record.detail)
    yield order_refused(stamp, record.pool, record.period or 0, _blank(record.tenant, record.id), refusal)


def _refused(state: PartitionState, stamp: Stamp, command: TenantCommand, refusal: Refusal) -> Fact:
    match command:
        case BotCommand():
            return bot_refused(state, stamp, command, refusal)
        case TransferCommand() | AcceptCommand():
            return transfer_refused(stamp, command, refusal)
        case OrderCommand():
            row = _blank(command.tenant, command.id)
            row = row._replace(side=command.side, order_type=command.order_type, price=command.price or 0, qty=command.qty)
            return order_refused(stamp, command.pool, command.period, row, refusal)
        case CancelCommand() | ReduceCommand() | ReplaceCommand():
            return order_refused(stamp, command.pool, command.period, _blank(command.tenant, command.order), refusal)
        case _:
            raise TypeError(f"{command.KIND} is no command of a tenant")


def _blank(tenant: str, order_id: str) -> OrderRow:
    return OrderRow(
        tenant,
        order_id,
        OrderEventKind.REJECTED,
        Side.BUY,
        OrderType.LIMIT,
        TimeInForce.GTC,
        SelfTrade.NONE,
        post_only=False,
        expire=None,
        price=0,
        qty=0,
        open=0,
        kept_priority=False,
        reason="",
        field="",
        detail="",
    )
