"""The SLA loop at a period's end: latencies are judged, and bases change before the next period opens."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from processors.allocation.exact import Ints
from processors.latencies import Quantiles, quantiles
from processors.lending import Moves, priorities
from processors.loops.bases import effective, floors
from processors.loops.state import Slots, remembered
from processors.loops.telling import KINDS, NOBODY, REASONS, Changes, Moment, tell_changes
from processors.sla import NO_SLA, Decision, Observed, Promises, SlaSettings, SlaState, decide
from processors.stamping import Stamp
from processors.state import PoolState
from processors.told import Longs, OptionalLongs
from schemas.fact import CHUNK_ROWS, Fact
from schemas.loop_facts import SlaMeasured
from schemas.loops import BaseChange, BaseReason

_BOOST, _LOAN, _VERDICT = (KINDS.index(kind) for kind in (BaseChange.BOOST, BaseChange.LOAN, BaseChange.VERDICT))
_EXCEEDED = REASONS.index(BaseReason.EXCEEDED)


def decide_sla(pool: PoolState, period: int, stamp: Stamp) -> Iterator[Fact]:
    """Judge the open period, before what was metered of it is forgotten.

    What is declared and set now counts, as it holds from the next period on. A pool that has switched the loop off takes part as
    long as there are boosts, as if nobody had an SLA: they go back. Where all of 100,000 tenants have an SLA and a third of them
    get a step at once, closing takes half as long again as with forecasts alone (tests/benchmarks/bench_engine.py); facts are 4 MB,
    and 100 bytes for each change.
    """
    loops, tenants = pool.loops, pool.tenants
    if loops is None:
        return
    sla_ms = tenants["declared_sla_ms"] if loops.sla is not None else np.full(len(tenants), NO_SLA, np.int64)
    if not (sla_ms != NO_SLA).any() and not tenants["sla_boost"].any():
        return
    settings = loops.sla or SlaSettings()
    order = tenants.order()
    slots = order[tenants["declared_version"][order] > 0]
    before = remembered(tenants, slots, settings)
    promises = Promises(
        tenants["declared_base"][slots],
        floors(pool)[slots],
        sla_ms[slots],
        priorities(tenants["declared_tier"][slots], tenants["declared_weight"][slots]),
    )
    latency = quantiles(loops.latencies.whole(), len(tenants), settings.quantile)
    allocated = tenants["base_given"] + tenants["surplus"] + tenants["bought"] - tenants["sold"]
    measures = Quantiles(*(column[slots] for column in latency))
    observed = Observed(measures, tenants["used"][slots], allocated[slots], pool.period_s * 1000)
    decision = decide(before, promises, observed, settings)
    moment = Moment(pool, period, slots, effective(pool)[slots])
    changed = np.logical_or.reduce([old != new for old, new in zip(before, decision.state, strict=True)])
    telling = np.flatnonzero((promises.sla_ms != NO_SLA) | changed)
    measured = _Measured(settings.quantile, promises.sla_ms, observed.latency, decision.state)
    yield from _tell_measured(moment, measured, telling, stamp)
    yield from tell_changes(moment, _changes(decision), stamp)


class _Measured(NamedTuple):
    """What a period's end found of all tenants, and what is remembered of it."""

    quantile: int
    sla_ms: Ints
    latency: Quantiles
    state: SlaState


def _tell_measured(moment: Moment, measured: _Measured, telling: Slots, stamp: Stamp) -> Iterator[Fact]:
    latency, state = measured.latency, measured.state
    for start in range(0, telling.size, CHUNK_ROWS):
        rows = telling[start : start + CHUNK_ROWS]
        columns = {name: Longs(column[rows]) for name, column in state._asdict().items()}
        yield stamp.fact(
            SlaMeasured,
            moment.pool.name,
            period=moment.period,
            period_start=moment.pool.start_ms(moment.period),
            quantile=measured.quantile,
            tenant=moment.pool.tenants.named(moment.slots[rows]),
            sla_ms=OptionalLongs(measured.sla_ms[rows]),
            latency_ms=OptionalLongs(latency.lower[rows]),
            latency_upper_ms=OptionalLongs(latency.upper[rows]),
            requests=Longs(latency.requests[rows]),
            **columns | {"reference": OptionalLongs(state.reference[rows])},
        )


def _changes(decision: Decision) -> Changes:
    """What goes back, what is given, then what is said; each move is two rows, the giver's first."""
    released, raised, verdicts = decision.released, decision.raised, decision.verdicts
    exceeded = np.full(raised.tokens.size, _EXCEEDED, np.int64)
    said = verdicts.tenant.size
    parts = (
        _moves(released, (_BOOST, _LOAN), decision.released_because),
        _moves(raised, (_LOAN, _BOOST), exceeded),
        Changes(
            verdicts.tenant,
            np.full(said, _VERDICT, np.int64),
            np.zeros(said, np.int64),
            verdicts.reason,
            np.full(said, NOBODY, np.int64),
        ),
    )
    return Changes(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _moves(moves: Moves, kinds: tuple[int, int], reason: Ints) -> Changes:
    return Changes(
        np.column_stack((moves.giver, moves.taker)).ravel(),
        np.tile(np.array(kinds, np.int64), moves.tokens.size),
        np.column_stack((-moves.tokens, moves.tokens)).ravel(),
        np.repeat(reason, 2),
        np.column_stack((moves.taker, moves.giver)).ravel(),
    )
