"""What time does to the market: orders expire, opening auctions end, and tokens that were used are offered no longer."""

from collections.abc import Iterable, Iterator

from processors.market.instruments import phase_facts
from processors.market.state import Instrument
from processors.market.tokens import offers_to_end, outcome_of, uncovered, withdrawals
from processors.market.transfers import end_offer
from processors.orderbook import Clock, Op, Uncross, decide
from processors.stamping import Stamp
from processors.state import PartitionState, PoolState
from schemas.fact import Fact
from schemas.trading import CancelReason


def decide_time(state: PartitionState, stamp: Stamp) -> Iterator[Fact]:
    """A tick came: in each pool, instruments in order of their periods. An idle instrument costs 1 µs."""
    for name in sorted(state.pools):
        pool = state.pools[name]
        for period in sorted(pool.market.instruments):
            instrument = pool.market.instruments[period]
            first = instrument.book.expiries.first
            if first is not None and first <= state.now_ms:
                yield from operate(state, pool, instrument, Clock(state.now_ms), stamp)
            if instrument.uncross_at is not None and instrument.uncross_at <= state.now_ms:
                yield from operate(state, pool, instrument, Uncross(), stamp)


def operate(state: PartitionState, pool: PoolState, instrument: Instrument, op: Op, stamp: Stamp) -> Iterator[Fact]:
    """An operation that is the engine's own, with everything that follows from it."""
    events = decide(instrument.book, op)
    outcome = outcome_of(pool, instrument)
    outcome.take(events)
    yield from outcome.facts(stamp, pool.name, pool.present, state.now_ms)
    yield from phase_facts(stamp, pool.name, instrument.period, events)


def withdraw_uncovered(state: PartitionState, pool: PoolState, tenants: Iterable[str], stamp: Stamp) -> Iterator[Fact]:
    """Of the open period: what tenants offer and no longer have is taken off their newest orders, then their newest offers."""
    instrument = pool.market.instruments.get(pool.present)
    if instrument is None:
        return
    outcome = outcome_of(pool, instrument)
    left: list[tuple[str, int]] = []
    for tenant, missing in uncovered(pool, instrument.period, tenants):
        events = withdrawals(instrument, tenant, missing)
        outcome.take(events)
        left.append((tenant, missing - sum(event.qty for event in events)))
    yield from outcome.facts(stamp, pool.name, pool.present, state.now_ms)
    for tenant, missing in left:
        for offer in offers_to_end(pool, tenant, instrument.period, missing):
            yield from end_offer(pool, offer, CancelReason.TOKENS_USED, stamp)
