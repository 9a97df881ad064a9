"""Transfers between two tenants: at once, or in exchange, where both legs are posted or neither (ATP-8a).

What is offered in exchange is held until the other tenant accepts, its giver cancels, or the period closes.
"""

from collections.abc import Iterator

from processors.ledger import PostingRow, Status, judge
from processors.market.instruments import begin, refuse_period
from processors.market.keys import Refusal
from processors.market.outcome import account_of, grants, posting_facts
from processors.market.refusals import transfer_refused
from processors.market.state import Offer, offer_hold, transfer_post
from processors.market.tokens import free
from processors.stamping import Stamp
from processors.state import PartitionState, PoolState
from schemas.fact import Fact
from schemas.ledgering import MONEY, Code, Entry
from schemas.market import AcceptCommand, TransferCommand
from schemas.market_facts import TransferEventKind, TransferEvents
from schemas.trading import Reject


def decide_transfer(state: PartitionState, pool: PoolState, command: TransferCommand, stamp: Stamp) -> Iterator[Fact]:
    """An authentic tenant gives, or offers to give, tokens or money."""
    refusal = _refuse_transfer(pool, command)
    if refusal is not None:
        yield transfer_refused(stamp, command, refusal)
        return
    offer = Offer(
        command.tenant,
        command.to,
        command.id,
        command.period,
        command.tokens,
        command.money,
        command.for_tokens,
        command.for_money,
    )
    asked = bool(offer.for_tokens or offer.for_money)
    rows = _offered(pool, offer) if asked else _leg(pool, offer, forth=True)
    if judge(pool.market.ledger, rows) is Status.INSUFFICIENT_FUNDS:
        yield transfer_refused(stamp, command, _short_of_money(pool, command.tenant, "money", offer.money))
        return
    if asked or offer.tokens:  # a gift of money concerns no period
        yield from begin(state, pool, command.period, stamp)
    yield transfer_fact(stamp, pool, offer, TransferEventKind.OFFERED if asked else TransferEventKind.DONE)
    yield from posting_facts(stamp, pool.name, pool.present, rows)


def decide_accept(pool: PoolState, command: AcceptCommand, stamp: Stamp) -> Iterator[Fact]:
    """The tenant to which an exchange was offered takes it."""
    offer = pool.market.offer(command.offered_by, command.offer)
    refusal = refuse_period(pool, command.period)
    if refusal is not None:
        yield transfer_refused(stamp, command, refusal)
        return
    if offer is None or offer.to != command.tenant or offer.period != command.period:
        detail = f"{command.offer!r} of {command.offered_by!r} is not open to {command.tenant!r}"
        yield transfer_refused(stamp, command, Refusal(Reject.UNKNOWN_OFFER, "offer", detail))
        return
    rows = [_hold_row(offer, Entry.CAPTURE), *_leg(pool, offer, forth=False)]
    refusal = _refuse_tokens(pool, command.tenant, offer.period, offer.for_tokens, "offer")
    if refusal is None and judge(pool.market.ledger, rows) is Status.INSUFFICIENT_FUNDS:
        refusal = _short_of_money(pool, command.tenant, "offer", offer.for_money)
    if refusal is not None:
        yield transfer_refused(stamp, command, refusal)
        return
    yield transfer_fact(stamp, pool, offer, TransferEventKind.ACCEPTED)
    yield from posting_facts(stamp, pool.name, pool.present, rows)


def end_offer(pool: PoolState, offer: Offer, reason: str, stamp: Stamp) -> Iterator[Fact]:
    """An offer ends unaccepted; what it held is free."""
    yield transfer_fact(stamp, pool, offer, TransferEventKind.CANCELLED, reason)
    yield from posting_facts(stamp, pool.name, pool.present, [_hold_row(offer, Entry.VOID)])


def transfer_fact(stamp: Stamp, pool: PoolState, offer: Offer, event: TransferEventKind, reason: str = "") -> Fact:
    """What happened to a transfer."""
    return stamp.fact(
        TransferEvents,
        pool.name,
        period=offer.period,
        tenant=[offer.tenant],
        to=[offer.to],
        transfer_id=[offer.id],
        event=[event],
        tokens=[offer.tokens],
        money=[offer.money],
        for_tokens=[offer.for_tokens],
        for_money=[offer.for_money],
        reason=[reason],
        field=[""],
        detail=[""],
    )


def _refuse_transfer(pool: PoolState, command: TransferCommand) -> Refusal | None:
    if command.to == command.tenant:
        return Refusal(Reject.SELF_TRANSFER, "to", f"{command.to!r} is the giver itself")
    to = pool.tenants.slots.get(command.to)
    if to is None or not pool.tenants["declared_version"][to]:
        return Refusal(Reject.UNKNOWN_TENANT, "to", f"{command.to!r} has no profile in {pool.name!r}")
    refusal = refuse_period(pool, command.period) or _refuse_amounts(command)
    if refusal is not None:
        return refusal
    market, most = pool.market, pool.terms.market.max_open_orders
    if market.offer(command.tenant, command.id) or market.ledger.posted(transfer_post(command.tenant, command.id)):
        return Refusal(Reject.DUPLICATE_ID, "id", f"{command.id!r} is an open offer, or was made")
    if (command.for_tokens or command.for_money) and len(market.offers.get(command.tenant, ())) >= most:
        return Refusal(Reject.TOO_MANY_ORDERS, "id", f"{most} offers are open already")
    return _refuse_tokens(pool, command.tenant, command.period, command.tokens, "tokens")


def _refuse_amounts(command: TransferCommand) -> Refusal | None:
    for tokens, money in (("tokens", "money"), ("for_tokens", "for_money")):
        for field in (tokens, money):
            if getattr(command, field) < 0:
                return Refusal(Reject.INVALID_QTY, field, f"{getattr(command, field)} is less than 0")
        if getattr(command, tokens) and getattr(command, money):
            return Refusal(Reject.INVALID_QTY, money, f"{tokens} or {money} changes hands, not both")
    if not command.tokens and not command.money:
        return Refusal(Reject.INVALID_QTY, "tokens", "nothing is given")
    return None


def _refuse_tokens(pool: PoolState, tenant: str, period: int, tokens: int, field: str) -> Refusal | None:
    if not tokens:
        return None
    has = free(pool, tenant, period)
    if tokens <= has:
        return None
    return Refusal(Reject.INSUFFICIENT_TOKENS, field, f"{tokens} tokens of period {period} are needed, {has} are free")


def _short_of_money(pool: PoolState, tenant: str, field: str, needed: int) -> Refusal:
    available = pool.market.ledger.available(MONEY, account_of(tenant))
    return Refusal(Reject.INSUFFICIENT_MONEY, field, f"{needed} nanocredits are needed, {available} are available")


def _leg(pool: PoolState, offer: Offer, *, forth: bool) -> list[PostingRow]:
    """What is given (forth), or what comes back for it; under the transfer's id, so that it is made once."""
    giver, taker = account_of(offer.tenant), account_of(offer.to)
    debit, credit = (giver, taker) if forth else (taker, giver)
    tokens, money = (offer.tokens, offer.money) if forth else (offer.for_tokens, offer.for_money)
    once = transfer_post(offer.tenant, offer.id)
    if tokens:
        issued = grants(pool.market.ledger, offer.period, debit, tokens)
        return [*issued, PostingRow(Entry.POST, Code.TRANSFER, offer.period, once, debit, credit, tokens)]
    return [PostingRow(Entry.POST, Code.TRANSFER, MONEY, once, debit, credit, money)]


def _offered(pool: PoolState, offer: Offer) -> list[PostingRow]:
    issued = grants(pool.market.ledger, offer.period, account_of(offer.tenant), offer.tokens) if offer.tokens else []
    return [*issued, _hold_row(offer, Entry.HOLD)]


def _hold_row(offer: Offer, entry: Entry) -> PostingRow:
    """What is offered is set aside, given, or free again."""
    asset, amount = (offer.period, offer.tokens) if offer.tokens else (MONEY, offer.money)
    to = account_of(offer.to) if entry is Entry.CAPTURE else ""
    return PostingRow(entry, Code.TRANSFER, asset, offer_hold(offer.tenant, offer.id), account_of(offer.tenant), to, amount)
