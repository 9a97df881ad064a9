"""Random worlds: what an independent auditor makes of the facts, that facts alone give the state, and that nothing else does."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from audited_periods import AuditError, table
from auditor import audit
from hypothesis import example, given, settings
from hypothesis import strategies as st
from journal_world import World, refold, state_bytes
from simulation import POOLS, Simulation

from processors.engine import decide, fold
from processors.recording import evolve
from processors.snapshot import state_hash
from processors.state import PartitionState
from schemas.facts import AllocationsClosed, CommandRefused, PeriodClosed, Reason, UsageCounted
from schemas.planning_facts import PriorOutcome, PriorsSet
from streams.codecs import decode, encode

SEEDS = st.integers(0, 2**32 - 1)


def simulated(seed, **choices):
    """A world in which everything of a seed has happened."""
    world = World()
    world.take(*Simulation(seed, **choices).records())
    return world


def digest(facts):
    return hashlib.sha256(b"".join(map(encode, facts))).hexdigest()


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.sampled_from([1000, 1000, 500, 2000]))
@example(7, 1000)
def test_an_independent_auditor_finds_nothing(seed, tick_ms):
    world = simulated(seed, tick_ms=tick_ms)
    closed = audit(world.journal, world.facts)
    assert len(closed) == len(set(closed))
    for name in POOLS:
        periods = [period for pool, period in closed if pool == name]
        assert periods == sorted(periods)


def test_the_worlds_are_rich():
    """What the properties say they cover happens; else they would hold of nothing."""
    worlds = [simulated(seed) for seed in range(30)]
    facts = [fact for world in worlds for fact in world.facts]
    kinds = Counter(fact.KIND for fact in facts)
    assert all(kinds[kind] >= 100 for kind in ("period_closed", "postings", "usage_unrouted", "profile_set", "pool_set"))
    reasons = {fact.reason for fact in facts if isinstance(fact, CommandRefused)}
    expected = {Reason.UNKNOWN_POOL, Reason.OVERSUBSCRIBED, Reason.PERIOD_FIXED, Reason.EXCEEDS_MONEY, Reason.KEEPS_NO_PROFILES}
    assert reasons == expected
    assert {outcome for fact in facts if isinstance(fact, PriorsSet) for outcome in fact.outcome} == set(PriorOutcome)
    assert kinds["profiles_primed"] > 10
    rows = [row for fact in facts if isinstance(fact, AllocationsClosed) for row in table(fact)]
    assert sum(row["shortfall"] > 0 for row in rows) > 10
    assert sum(row["surplus"] > 0 and row["budget_left"] is not None for row in rows) > 10
    assert sum(row["used"] > 0 for row in rows) > 100
    assert any(fact.late_meters for fact in facts if isinstance(fact, PeriodClosed))
    assert any(not fact.late_meters for fact in facts if isinstance(fact, PeriodClosed))
    reports = sum(record.KIND == "usage_sums" for world in worlds for _, record in world.journal)
    assert kinds["usage_counted"] + kinds["usage_unrouted"] < 0.95 * reports  # the others were repetitions


TAMPERED = ["used", "surplus", "charge", "allocated", "base", "budget_left", "demand"]


@pytest.mark.parametrize("column", TAMPERED)
def test_the_auditor_sees_one_wrong_number(column):
    world = simulated(3)
    at = next(at for at, fact in enumerate(world.facts) if isinstance(fact, AllocationsClosed) and any(fact.used))
    fact = world.facts[at]
    values = [(fact.__dict__[column][0] or 0) + 1, *fact.__dict__[column][1:]]
    world.facts[at] = fact.model_copy(update={column: values})
    with pytest.raises(AuditError):
        audit(world.journal, world.facts)


@pytest.mark.parametrize("kind", [UsageCounted, PeriodClosed, AllocationsClosed])
def test_the_auditor_sees_a_missing_and_a_doubled_fact(kind):
    world = simulated(3)
    at = next(at for at, fact in enumerate(world.facts) if isinstance(fact, kind))
    with pytest.raises(AuditError):
        audit(world.journal, world.facts[:at] + world.facts[at + 1 :])
    with pytest.raises(AuditError):
        audit(world.journal, world.facts[: at + 1] + world.facts[at:])


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_recorded_facts_alone_give_the_state_that_decided_them(seed):
    world = simulated(seed, quiet_end=False)
    recorded = [decode(encode(fact)) for fact in world.facts]
    assert recorded == world.facts
    assert state_bytes(refold(recorded)) == state_bytes(world.state)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_every_closed_period_states_the_hash_of_the_state_it_ended_in(seed):
    world = simulated(seed)
    state = PartitionState()
    hashes = 0
    for fact in world.facts:
        if isinstance(fact, PeriodClosed):
            assert fact.state_hash == state_hash(state.pools[fact.pool])
            hashes += 1
        evolve(state, fact)
    assert hashes or not world.state.pools


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_deciding_changes_nothing_and_recording_decides_nothing(seed):
    state = PartitionState()
    before = state_bytes(state)
    for offset, record in enumerate(Simulation(seed, steps=150).records()):
        assert next(decide(state, record, offset), None) == next(decide(state, record, offset), None)
        for fact in decide(state, record, offset):
            assert state_bytes(state) == before  # the generator stands where a fact was decided, none recorded since
            evolve(state, fact)
            before = state_bytes(state)
    assert state_bytes(state) == before


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_records_that_are_given_again_change_nothing(seed):
    """A recovering engine skips what it knows by its offset; should a writer repeat itself, ids and ticks tell."""
    world = simulated(seed, steps=150)
    before = state_bytes(world.state)
    assert [fact for _, record in world.journal for fact in fold(world.state, record, 10**9)] == []
    assert state_bytes(world.state) == before


def test_facts_do_not_depend_on_hashing_or_on_the_order_of_dictionaries():
    """In processes of their own, as a process has one PYTHONHASHSEED."""
    script = "from test_engine_properties import digest, simulated; print(digest(simulated(11).facts), digest(simulated(12).facts))"
    root = Path(__file__).parents[2]
    paths = os.pathsep.join([str(root), str(Path(__file__).parent)])
    said = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "4711")
    }
    assert said == {f"{digest(simulated(11).facts)} {digest(simulated(12).facts)}\n"}


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_dictionaries_of_the_state_may_be_in_any_order(seed):
    """Loaded from a snapshot pools stand in the order of their names, marks in that of their meters: the facts are the same."""
    records = list(Simulation(seed, steps=200).records())
    state, shuffled = PartitionState(), PartitionState()
    for offset, record in enumerate(records):
        assert fold(shuffled, record, offset) == fold(state, record, offset)
        shuffled.pools = dict(reversed(shuffled.pools.items()))
        shuffled.marks = dict(reversed(shuffled.marks.items()))
    assert state_bytes(shuffled) == state_bytes(state)
