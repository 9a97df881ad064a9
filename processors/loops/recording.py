"""Recording facts of the loops in the state: no judgement here (processors/recording.py)."""

import numpy as np

from processors.entitlement import GUARANTEED
from processors.latencies import Collected, Entries
from processors.loops.state import LOOP_COLUMNS, NOT_CONTRACTED, Gathering, Loops
from processors.rebalance import UNKNOWN, RebalanceSettings
from processors.sharing.recording import promise_before, record_promise
from processors.sla import SlaSettings, SlaState
from processors.state import PoolState
from processors.told import whole
from schemas.loop_facts import BaseChanges, BaseFloorSet, LatenciesCounted, LoopsSet, NeedsTaken, Rebalanced, SlaMeasured
from schemas.loops import BaseChange


def record_loops(pool: PoolState, fact: LoopsSet) -> None:
    """How the loops react from now on."""
    loops = _begin(pool)
    sla = SlaSettings(*(getattr(fact, f"sla_{name}") for name in SlaSettings._fields))
    rebalance = RebalanceSettings(*(getattr(fact, f"rebalance_{name}") for name in RebalanceSettings._fields))
    loops.sla = sla if fact.sla_enabled else None
    loops.rebalance = rebalance if fact.rebalance_enabled else None


def record_base(pool: PoolState, slot: int, base: int) -> None:
    """A base as the operator declares it."""
    if pool.loops is not None:
        pool.tenants["contracted_base"][slot] = base


def record_base_floor(pool: PoolState, fact: BaseFloorSet) -> None:
    """What of a base was contracted."""
    _begin(pool)
    floor = NOT_CONTRACTED if fact.base_floor is None else fact.base_floor
    pool.tenants["base_floor"][pool.tenants.slot(fact.tenant)] = floor


def record_latencies(pool: PoolState, fact: LatenciesCounted) -> None:
    """Histograms of the open period, or of the one after it."""
    loops = _begin(pool)
    runs = pool.open is not None and fact.period <= pool.open.period
    slots = pool.tenants.slots_of(fact.tenant)
    bucket, count = (np.asarray(column, np.int64) for column in (fact.bucket, fact.count))
    (loops.latencies if runs else loops.ahead).add(Entries(slots[np.asarray(fact.owner)].astype(np.int64), bucket, count))


def record_measured(pool: PoolState, fact: SlaMeasured) -> None:
    """What the SLA loop remembers."""
    _begin(pool)
    slots = pool.tenants.slots_of(fact.tenant)
    for name in SlaState._fields:
        column = getattr(fact, name)
        pool.tenants[f"sla_{name}"][slots] = whole(column) if name == "reference" else column


def record_needs(pool: PoolState, fact: NeedsTaken) -> None:
    """Needs of a proposal; its first chunk makes what came before forgotten."""
    loops = _begin(pool)
    if fact.chunk == 0:
        pool.tenants["need"][:] = UNKNOWN
    pool.tenants["need"][pool.tenants.slots_of(fact.tenant)] = fact.need
    loops.gathering = Gathering(fact.as_of, fact.chunks, fact.chunk + 1)


def record_rebalanced(pool: PoolState, fact: Rebalanced) -> None:
    """The proposal is carried out."""
    loops = _begin(pool)
    loops.rebalanced_in, loops.rebalanced_as_of, loops.gathering = fact.period, fact.as_of, None
    pool.tenants["need"][:] = UNKNOWN


def record_base_changes(pool: PoolState, fact: BaseChanges) -> None:
    """Rebalanced bases. Boosts and loans are recorded by what the SLA loop remembers."""
    rows = [at for at, kind in enumerate(fact.kind) if kind == BaseChange.REBALANCE]
    slots = pool.tenants.slots_of(fact.tenant[at] for at in rows)
    reserved = [] if pool.sharing is None else slots[pool.tenants["declared_tier"][slots] <= GUARANTEED].tolist()
    before = [promise_before(pool, slot) for slot in reserved]
    # A tenant has one such row: its base moves once.
    pool.tenants["declared_base"][slots] += np.array([fact.after[at] - fact.before[at] for at in rows], np.int64)
    for slot, was in zip(reserved, before, strict=True):
        record_promise(pool, slot, was)


def record_latencies_begin(pool: PoolState) -> None:
    """A period opens: what meters reported of it ahead of time is of the open period now."""
    if pool.loops is not None:
        pool.loops.latencies, pool.loops.ahead = pool.loops.ahead, Collected()


def record_latencies_end(pool: PoolState) -> None:
    """A period is closed: its latencies are judged."""
    if pool.loops is not None:
        pool.loops.latencies = Collected()


def _begin(pool: PoolState) -> Loops:
    """The state of the loops. What is declared before it is what was contracted."""
    if pool.loops is None:
        pool.tenants.add_columns(LOOP_COLUMNS)
        pool.tenants["contracted_base"][:] = pool.tenants["declared_base"]
        pool.loops = Loops()
    return pool.loops
