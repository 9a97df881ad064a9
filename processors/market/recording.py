"""Recording the market's facts: no judgement, so that folding recorded facts gives the market that decided them."""

from collections.abc import Iterator

from processors.accounts import OPERATOR
from processors.ledger import INT64_MAX, record, record_bills
from processors.market.outcome import account_of
from processors.market.state import OPERATOR_TENANT, Key, Offer, book_id, new_instrument
from processors.orderbook import (
    Accepted,
    BookEvent,
    Cancelled,
    ClockSet,
    Closed,
    Filled,
    PhaseSet,
    Reduced,
    Replaced,
    Rested,
    apply,
)
from processors.state import PoolState
from processors.tenants import Tenants
from schemas.facts import Postings
from schemas.ledgering import MONEY, Code, Entry
from schemas.market_facts import (
    BookPhase,
    Deliveries,
    KeySet,
    OrderEventKind,
    OrderEvents,
    Trades,
    TransferEventKind,
    TransferEvents,
)
from schemas.trading import Phase

# To look an enumeration's member up costs as much as a call, and an order asks for a dozen.
_ACCEPTED, _RESTED, _FILLED, _REDUCED = (
    OrderEventKind.ACCEPTED,
    OrderEventKind.RESTED,
    OrderEventKind.FILLED,
    OrderEventKind.REDUCED,
)
_CANCELLED, _REJECTED = OrderEventKind.CANCELLED, OrderEventKind.REJECTED
_GIVEN = {TransferEventKind.DONE, TransferEventKind.ACCEPTED}
_ENDED = {TransferEventKind.ACCEPTED, TransferEventKind.CANCELLED}


def record_postings(pool: PoolState, fact: Postings) -> None:
    """The ledger's rows, which were judged when they were decided."""
    ledger = pool.market.ledger
    if _are_bills(fact):
        record_bills(ledger, fact.debit_account, fact.amount)
        return
    columns = (fact.entry, fact.code, fact.asset, fact.hold, fact.debit_account, fact.credit_account, fact.amount)
    record(ledger, list(zip(*columns, strict=True)))


def _are_bills(fact: Postings) -> bool:
    """Whether the rows are what a period's allocation is billed by: all alike but for the debtor and the amount."""
    number = len(fact.amount)
    return (
        fact.code.count(Code.ALLOCATION) == number
        and fact.entry.count(Entry.POST) == number
        and fact.asset.count(MONEY) == number
        and fact.hold.count("") == number
        and fact.credit_account.count(OPERATOR) == number
    )


def record_key(pool: PoolState, fact: KeySet) -> None:
    """A key as it holds from now on; its sequence goes on."""
    market = pool.market
    known = market.keys.setdefault(fact.tenant, {}).get(fact.key)
    seq = -1 if known is None else known.seq
    market.keys[fact.tenant][fact.key] = Key(fact.valid_from, fact.valid_until, fact.revoked, seq)
    market.key_owners[fact.key] = fact.tenant


def record_sequence(pool: PoolState, tenant: str, key: str, seq: int) -> None:
    """A key's sequence is used up."""
    pool.market.keys[tenant][key].seq = seq


def record_phase(pool: PoolState, fact: BookPhase) -> None:
    """An instrument begins, changes its phase or its clock, or ends."""
    instruments = pool.market.instruments
    instrument = instruments.get(fact.period)
    if instrument is None:
        begun = new_instrument(fact.period, pool.terms.market, Phase(fact.phase), fact.clock, fact.uncross_at)
        instruments[fact.period] = begun
    elif fact.phase == BookPhase.CLOSED:
        apply(instrument.book, Closed())
        del instruments[fact.period]
    elif fact.phase:
        apply(instrument.book, PhaseSet(Phase(fact.phase), fact.reference))
        instrument.uncross_at = None
    elif fact.clock is not None:
        apply(instrument.book, ClockSet(fact.clock))


def record_orders(pool: PoolState, fact: OrderEvents) -> None:
    """Order events are the book's events; a rejection left no trace."""
    if fact.event[0] == _REJECTED:  # by itself
        return
    book = pool.market.instruments[fact.period].book
    for event in _book_events(fact):
        apply(book, event)


def _book_events(fact: OrderEvents) -> Iterator[BookEvent]:
    rows = iter(zip(fact.tenant, fact.order_id, fact.event, fact.price, fact.qty, range(len(fact.event)), strict=True))
    for tenant, order_id, event, price, qty, at in rows:
        in_book = book_id(tenant, order_id)
        if event == _ACCEPTED:
            yield Accepted(
                in_book,
                account_of(tenant),
                fact.side[at],
                price,
                qty,
                fact.order_type[at],
                fact.tif[at],
                fact.post_only[at],
                fact.stp[at],
                fact.expire[at],
            )
        elif event == _RESTED:
            yield Rested(in_book)
        elif event == _FILLED:
            other, other_id, *_ = next(rows)  # both sides of a trade stand one after the other
            yield Filled(in_book, book_id(other, other_id), price, qty)
        elif event == _CANCELLED:
            yield Cancelled(in_book, qty, fact.reason[at])
        elif event == _REDUCED:
            yield Reduced(in_book, qty)
        else:
            yield Replaced(in_book, price, qty, fact.kept_priority[at])


def record_trades(pool: PoolState, fact: Trades) -> None:
    """Of the open period tokens change hands at once; forward ones become positions."""
    instrument = pool.market.instruments[fact.period]
    present = pool.open is not None and fact.period == pool.open.period
    rows = zip(fact.buyer, fact.seller, fact.price, fact.qty, fact.buyer_fee, fact.seller_fee, strict=True)
    for buyer, seller, price, qty, buyer_fee, seller_fee in rows:
        instrument.last_price = price
        instrument.volume = min(instrument.volume + qty, INT64_MAX)
        _change_hands(pool, fact.period, seller, buyer, qty)
        if not present:
            instrument.position(buyer).paid += price * qty + buyer_fee
            instrument.position(seller).earned += price * qty - seller_fee
            if buyer_fee or seller_fee:
                instrument.position(OPERATOR_TENANT).earned += buyer_fee + seller_fee


def record_transfers(pool: PoolState, fact: TransferEvents) -> None:
    """Offers begin and end; what was given is the other's."""
    rows = zip(*(getattr(fact, name) for name in _TRANSFER_COLUMNS), strict=True)
    for tenant, to, transfer_id, event, tokens, money, for_tokens, for_money in rows:
        market = pool.market
        if event == TransferEventKind.OFFERED:
            offer = Offer(tenant, to, transfer_id, fact.period, tokens, money, for_tokens, for_money)
            market.offers.setdefault(tenant, {})[transfer_id] = offer
        elif event in _ENDED:
            del market.offers[tenant][transfer_id]
            if not market.offers[tenant]:
                del market.offers[tenant]
        if event in _GIVEN:
            _change_hands(pool, fact.period, tenant, to, tokens)
            _change_hands(pool, fact.period, to, tenant, for_tokens)


_TRANSFER_COLUMNS = ("tenant", "to", "transfer_id", "event", "tokens", "money", "for_tokens", "for_money")


def _change_hands(pool: PoolState, period: int, giver: str, taker: str, tokens: int) -> None:
    if not tokens:
        return
    if pool.open is not None and period == pool.open.period:
        _count(pool.tenants, giver, sold=tokens)
        _count(pool.tenants, taker, bought=tokens)
        return
    for tenant, bought, sold in ((giver, 0, tokens), (taker, tokens, 0)):
        position = pool.market.instruments[period].position(tenant)
        position.bought, position.sold = _gross(position.bought + bought, position.sold + sold)


def _count(tenants: Tenants, tenant: str, *, bought: int = 0, sold: int = 0) -> None:
    if tenant:  # the operator has no row
        slot = tenants.slots[tenant]
        bought_column, sold_column = tenants["bought"], tenants["sold"]
        sums = _gross(int(bought_column[slot]) + bought, int(sold_column[slot]) + sold)
        bought_column[slot], sold_column[slot] = sums


def _gross(bought: int, sold: int) -> tuple[int, int]:
    """Both as they are, or, where one would leave int64, less what is in both.

    Tokens that go to and fro count each time they do, and nothing limits how often; what is bought less what is sold is at most
    what a pool has.
    """
    both = min(bought, sold) if max(bought, sold) > INT64_MAX else 0
    return bought - both, sold - both


def record_deliveries(pool: PoolState, fact: Deliveries) -> None:
    """What was received and given counts in the period that opens; forward positions are over with it."""
    positions = pool.market.instruments[fact.period].positions
    tenants = pool.tenants
    for tenant, received, given in zip(fact.tenant, fact.received, fact.given, strict=True):
        del positions[tenant]
        if tenant and fact.period == pool.present:  # one that never opened gives nothing
            slot = tenants.slots[tenant]
            tenants["bought"][slot] += received
            tenants["sold"][slot] += given
