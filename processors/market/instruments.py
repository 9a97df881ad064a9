"""Which periods are traded, and how an instrument begins, is called to auction and ends."""

from collections.abc import Iterator

from processors.market.keys import Refusal
from processors.market.state import Instrument, new_instrument
from processors.orderbook import BookEvent, ClockSet, Closed, PhaseSet
from processors.stamping import Stamp
from processors.state import PartitionState, PoolState
from schemas.fact import Fact
from schemas.market_facts import BookPhase
from schemas.trading import Phase, Reject


def refuse_period(pool: PoolState, period: int) -> Refusal | None:
    """None for the open period, those up to `forward_periods` ahead of it, and later ones whose instrument began already."""
    if pool.open is None:
        return Refusal(Reject.UNKNOWN_INSTRUMENT, "period", "no period of this pool is open yet")
    present, last = pool.open.period, pool.open.period + pool.terms.market.forward_periods
    if period < present:
        return Refusal(Reject.PERIOD_CLOSED, "period", f"{period} is closed, {present} is open")
    if period > last and period not in pool.market.instruments:
        return Refusal(Reject.UNKNOWN_INSTRUMENT, "period", f"{period} is not traded yet, {present} to {last} are")
    return None


def instrument_of(state: PartitionState, pool: PoolState, period: int) -> Instrument:
    """The period's instrument, or what it would be if it began now: an order is judged before an instrument begins for it.

    It begins in a call auction where the pool has one at opening, else in continuous trading.
    """
    begun = pool.market.instruments.get(period)
    if begun is not None:
        return begun
    terms = pool.terms.market
    seconds = terms.opening_auction_s
    phase = Phase.AUCTION if seconds else Phase.CONTINUOUS
    return new_instrument(period, terms, phase, state.now_ms, state.now_ms + 1000 * seconds if seconds else None)


def begin(state: PartitionState, pool: PoolState, period: int, stamp: Stamp) -> Iterator[Fact]:
    """The instrument begins, if it is not there yet."""
    if period in pool.market.instruments:
        return
    begun = instrument_of(state, pool, period)
    yield stamp.fact(
        BookPhase,
        pool.name,
        period=period,
        phase=begun.book.phase,
        reference=None,
        clock=begun.book.now,
        uncross_at=begun.uncross_at,
        id="",
    )


def phase_facts(stamp: Stamp, pool: str, period: int, events: list[BookEvent], command_id: str = "") -> Iterator[Fact]:
    """What the book said about itself."""
    for event in events:
        match event:
            case ClockSet():
                yield _fact(stamp, pool, period, phase="", reference=None, clock=event.t, command_id=command_id)
            case PhaseSet():
                yield _fact(stamp, pool, period, phase=event.phase, reference=event.ref, clock=None, command_id=command_id)
            case Closed():
                yield _fact(stamp, pool, period, phase=BookPhase.CLOSED, reference=None, clock=None, command_id=command_id)
            case _:
                continue


def _fact(stamp: Stamp, pool: str, period: int, *, phase: str, reference: int | None, clock: int | None, command_id: str) -> Fact:
    return stamp.fact(BookPhase, pool, period=period, phase=phase, reference=reference, clock=clock, uncross_at=None, id=command_id)
