"""Random markets: what holds after every record; facts alone give the state; crashes and repetition change nothing."""

import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from audit_facts import Reader
from auditor import audit
from hypothesis import example, given, settings
from hypothesis import strategies as st
from journal_world import World, of_kind, refold, state_bytes
from market_checks import check, holds_of_facts
from market_simulation import POOLS, MarketSimulation, digest, simulated

from processors.audit_lines import Checkpoint, Fault
from processors.auditor import Auditor
from processors.engine import decide, facts_of, fold
from processors.ledger import dump
from processors.recording import evolve
from processors.snapshot import dump_commands, dump_partition, dump_pool, load_commands, load_partition, load_pool, state_hash
from processors.state import PartitionState
from schemas.bot_facts import BotActed, BotSet
from schemas.bots import BotAction
from schemas.facts import AllocationsClosed, AllocationsOpened, CommandRefused, PeriodClosed, Postings, Reason
from schemas.market import TENANT_COMMANDS
from schemas.market_facts import CommandTaken, Deliveries, OrderEventKind, OrderEvents, Trades, TransferEvents
from schemas.trading import CancelReason, Reject
from schemas.units import AVRO
from streams.codecs import decode, encode

NEVER = {Reject.NOT_OWNER, Reject.CLOSED, Reject.INVALID_SETTINGS}
"""Orders are known by their tenant, and a closed book's period is closed; a bot is refused with a fact of its own."""

SEEDS = st.integers(0, 2**32 - 1)
SOME = range(3)


@settings(max_examples=10, deadline=None)
@given(SEEDS)
@example(1)
def test_everything_fits_after_every_record(seed):
    world = World()
    for record in MarketSimulation(seed, 400).records():
        facts = world.take(record)
        named = getattr(record, "pool", "")
        for name in [named] if named in world.state.pools else sorted(world.state.pools):
            check(world.pool(name))
        if isinstance(record, TENANT_COMMANDS) and facts:
            assert isinstance(facts[0], CommandTaken)
            assert of_kind(facts, (OrderEvents, TransferEvents, BotSet, BotActed)), f"{record} is never answered with silence"
        for fact in facts:
            if isinstance(fact, (AllocationsOpened, AllocationsClosed)):
                holds_of_facts(fact)
    audit(world.journal, world.facts)


@pytest.mark.parametrize("seed", SOME)
def test_a_period_closes_with_what_its_rows_say(seed):
    """Also where the operator sold of the surplus: what is allocated and what is not come to the capacity."""
    rows = Counter()
    sold = 0
    for fact in simulated(seed).facts:
        if isinstance(fact, AllocationsClosed):
            rows[fact.pool, fact.period] += sum(fact.allocated)
            sold += sum(fact.bought) - sum(fact.sold)
        elif isinstance(fact, PeriodClosed):
            assert fact.allocated == rows[fact.pool, fact.period]
            assert fact.allocated + fact.unallocated == fact.capacity
    assert sold > 0


@pytest.mark.parametrize("seed", SOME)
def test_an_auditor_of_postings_and_orders_finds_nothing(seed):
    world = simulated(seed)
    reports = audited(world.facts, {name: dump(world.pool(name).market.ledger) for name in POOLS})
    for report in reports.values():
        assert report.clean, "\n".join(map(str, report.findings[:10]))
    assert sum(report.checkpoints for report in reports.values()) > 30
    assert sum(report.postings for report in reports.values()) > 500


def audited(facts, ledgers):
    reports = {}
    for name in POOLS:
        auditor, reader = Auditor(), Reader()
        for fact in facts:
            if fact.pool == name:
                for line in reader.lines(fact):
                    auditor.take(line)
        auditor.take(Checkpoint(balances=ledgers[name].accounts, holds=ledgers[name].holds))
        reports[name] = auditor.report
    return reports


TAMPERED = {
    "a posting is lost": lambda rows: rows[1:],
    "a posting stands twice": lambda rows: [*rows, rows[-1]],
    "one nanocredit or token more": lambda rows: [(*rows[0][:-1], rows[0][-1] + 1), *rows[1:]],
    "somebody else is paid": lambda rows: [(*row[:5], "tenant/c" if row[5] else "", row[6]) for row in rows],
    "nothing is held": lambda rows: [row for row in rows if row[0] != "hold"],
}


@pytest.mark.parametrize("what", TAMPERED)
def test_the_auditor_sees_what_was_tampered_with(what):
    world = simulated(1)
    ledgers = {name: dump(world.pool(name).market.ledger) for name in POOLS}
    names = ("entry", "code", "asset", "hold", "debit_account", "credit_account", "amount")
    chosen = random.Random(7)
    places = [at for at, fact in enumerate(world.facts) if isinstance(fact, Postings) and fact.code[0] != "allocation"]
    for at in chosen.sample(places, 12):
        fact = world.facts[at]
        rows = list(zip(*(getattr(fact, name) for name in names), strict=True))
        changed = TAMPERED[what](rows)
        if changed == rows:
            continue
        columns = dict(zip(names, map(list, zip(*changed, strict=True)), strict=True)) if changed else {name: [] for name in names}
        facts = [*world.facts[:at], fact.model_copy(update=columns), *world.facts[at + 1 :]]
        reports = audited(facts, ledgers)
        assert not reports[fact.pool].clean, (what, rows)
        assert set(reports[fact.pool].counts) - {Fault.REPEATED, Fault.OUT_OF_ORDER, Fault.LINE_MISSING}, "seen in the sums, too"


@pytest.mark.parametrize("seed", SOME)
def test_facts_alone_as_they_stand_in_kafka_give_the_state_that_decided_them(seed):
    world = simulated(seed)
    recorded = [decode(encode(fact)) for fact in world.facts]
    assert recorded == world.facts
    assert state_bytes(refold(recorded)) == state_bytes(world.state)
    for fact in recorded:
        type(fact).model_validate(fact.__dict__, context=AVRO)  # it is what its model says, which nobody asked when it was built


@pytest.mark.parametrize("seed", SOME)
def test_every_closed_period_states_the_hash_of_the_state_it_ended_in(seed):
    state = PartitionState()
    for fact in simulated(seed).facts:
        if isinstance(fact, PeriodClosed):
            assert fact.state_hash == state_hash(state.pools[fact.pool])
        evolve(state, fact)


def restored(state):
    """The state as another process finds it in a snapshot."""
    found = load_partition(dump_partition(state))
    load_commands(found, dump_commands(state))
    found.pools = {name: load_pool(dump_pool(pool)) for name, pool in sorted(state.pools.items())}
    return found


@pytest.mark.parametrize("seed", SOME)
def test_an_engine_that_dies_between_any_two_facts_decides_the_same_again(seed):
    """Each now and then it has recorded some facts of a record when it dies; the next begins from a snapshot."""
    world, chosen = simulated(seed), random.Random(seed)
    state, facts = PartitionState(), []
    for offset, record in world.journal:
        if chosen.random() < 0.1:
            saved = restored(state)
            for _, _fact in zip(range(chosen.randint(0, 4)), facts_of(state, record, offset), strict=False):
                pass  # recorded, and lost with it
            state = saved
        facts += fold(state, record, offset)
    assert facts == world.facts
    assert state_bytes(state) == state_bytes(world.state)


@pytest.mark.parametrize("seed", SOME)
def test_records_that_stand_in_the_journal_again_change_nothing(seed):
    """A writer that died before it knew of its success says the same again, at once or later."""
    world, chosen = simulated(seed), random.Random(seed)
    state, before, told = PartitionState(), [], []
    for offset, record in world.journal:
        told += [fact.model_copy(update={"journal_offset": 0}) for fact in fold(state, record, offset)]
        before.append(record)
        for again in chosen.choices(before[-60:], k=chosen.choice([0, 0, 1, 3])):
            assert fold(state, again, 10**9) == []
    assert told == [fact.model_copy(update={"journal_offset": 0}) for fact in world.facts]
    assert [fact for record in before for fact in fold(state, record, 10**9)] == []
    assert state_bytes(state) == state_bytes(world.state)


@pytest.mark.parametrize("seed", SOME[:1])
def test_deciding_changes_nothing_and_recording_decides_nothing(seed):
    state = PartitionState()
    for offset, record in simulated(seed).journal[:130]:
        before = state_bytes(state)
        assert next(decide(state, record, offset), None) == next(decide(state, record, offset), None)
        assert state_bytes(state) == before
        for fact in decide(state, record, offset):
            assert state_bytes(state) == before  # the generator stands where a fact was decided, none recorded since
            evolve(state, fact)
            before = state_bytes(state)
        assert state_bytes(state) == before


def test_facts_do_not_depend_on_hashing():
    """In processes of their own, as a process has one PYTHONHASHSEED."""
    script = "from market_simulation import digest, simulated; print(digest(simulated(11, 200).facts))"
    paths = os.pathsep.join([str(Path(__file__).parents[3]), str(Path(__file__).parents[1])])
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
    assert said == {digest(simulated(11, 200).facts) + "\n"}


def test_the_markets_are_rich():
    """What the properties say they cover happens; else they would hold of nothing."""
    facts = [fact for seed in range(8) for fact in simulated(seed).facts]
    events = Counter(event for fact in of_kind(facts, OrderEvents) for event in fact.event)
    assert all(events[kind] > 10 for kind in OrderEventKind), events
    reasons = Counter(reason for fact in of_kind(facts, (OrderEvents, TransferEvents)) for reason in fact.reason)
    assert {kind for kind in Reject if not reasons[kind]} == NEVER
    assert any(fact.reason == Reason.SOLD_FORWARD for fact in of_kind(facts, CommandRefused))
    acted = Counter(action for fact in of_kind(facts, BotActed) for action in fact.action)
    assert all(acted[kind] > 5 for kind in BotAction), acted
    assert all(reasons[kind] > 3 for kind in CancelReason), reasons
    moved = Counter(event for fact in of_kind(facts, TransferEvents) for event in fact.event)
    assert all(moved[kind] > 5 for kind in ("done", "offered", "accepted", "cancelled", "rejected")), moved
    traded = Counter((fact.period, taker) for fact in of_kind(facts, Trades) for taker in fact.taker)
    assert {taker for _, taker in traded} == {"buy", "sell", "auction"}
    deliveries = of_kind(facts, Deliveries)
    assert sum(sum(fact.received) for fact in deliveries) > 100 < sum(sum(fact.shortfall) for fact in deliveries)
