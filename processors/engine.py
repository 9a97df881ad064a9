"""The engine: facts are decide(state, command), state is fold(evolve, facts) (DESIGN.md, law 1).

`decide` judges and changes nothing; `evolve` only records. `decide` is a generator, and the caller records each fact before
it asks for the next: closing a period takes several facts, and each is judged by the state that the ones before it left.
"""

from collections.abc import Iterator

from processors.bots.ticking import decide_bots
from processors.broken import BrokenJournalError
from processors.commands import decide_pool, decide_profile, refuse_misfits
from processors.counting import decide_usage
from processors.leases.granting import decide_leases
from processors.leases.reports import decide_report
from processors.loops.counting import decide_latencies
from processors.loops.rebalancing import decide_rebalance
from processors.market.deciding import decide_tenant, decide_turned_away
from processors.market.operators import decide_operator
from processors.market.ticking import decide_time
from processors.periods import decide_due_periods
from processors.recording import evolve
from processors.scaling.deciding import decide_scaling, decide_scalings
from processors.scaling.operators import decide_replicas
from processors.sharing.counting import decide_admissions
from processors.sharing.ticking import decide_sharing
from processors.stamping import Stamp
from processors.state import PartitionState
from processors.warming import decide_priors
from schemas.fact import Fact
from schemas.facts import MeterMarked, Ticked
from schemas.gateways import GatewayReport
from schemas.journal import AdmissionSums, ClockTick, LatencySums, MeterMark, UsageSums
from schemas.market import CallCommand, DepositCommand, KeyCommand, TenantCommand, TurnedAway
from schemas.model import Event
from schemas.planning import PlanCommand, PriorsCommand, RebalanceCommand
from schemas.published import PoolCommand, ProfileCommand
from schemas.scaling import ReplicasCommand


def decide(state: PartitionState, record: Event, journal_offset: int) -> Iterator[Fact]:
    """The facts that follow from one journal record. Record each (`evolve`) before taking the next.

    Raises:
        BrokenJournalError: a record of a kind that does not belong in a journal, a clock whose tick length changed, or a
            meter's report that contradicts itself.
    """
    stamp = Stamp(journal_offset)
    match record:
        case UsageSums() | AdmissionSums() | LatencySums() | GatewayReport():
            yield from _decide_reported(state, record, stamp)
        case ClockTick():
            yield from _decide_tick(state, record, stamp)
        case MeterMark():
            yield from _decide_mark(state, record, stamp)
        case PoolCommand() | ProfileCommand() | ReplicasCommand():
            yield from _decide_terms(state, record, stamp)
        case DepositCommand() | KeyCommand() | CallCommand():
            yield from decide_operator(state, record, stamp)
        case PriorsCommand() | RebalanceCommand():
            yield from _decide_plan(state, record, stamp)
        case TurnedAway():
            yield from decide_turned_away(state, record, stamp)
        case TenantCommand():
            yield from decide_tenant(state, record, stamp)
        case _:
            raise BrokenJournalError(f"offset {journal_offset}: a record of kind {record.KIND!r} is not a command")


def facts_of(state: PartitionState, record: Event, journal_offset: int) -> Iterator[Fact]:
    """Decide on one record; each fact is recorded before it is given out. Take them all: the state stands in between till then.

    One at a time, because those of a large period are 140 MB as Python objects, but 25 MB when encoded one by one.
    """
    for fact in decide(state, record, journal_offset):
        evolve(state, fact)
        yield fact


def fold(state: PartitionState, record: Event, journal_offset: int) -> list[Fact]:
    """Decide on one record and record what was decided; the facts in their order."""
    return list(facts_of(state, record, journal_offset))


def _decide_reported(
    state: PartitionState, sums: UsageSums | AdmissionSums | LatencySums | GatewayReport, stamp: Stamp
) -> Iterator[Fact]:
    match sums:
        case GatewayReport():
            yield from decide_report(state, sums, stamp)
        case UsageSums():
            yield from decide_usage(state, sums, stamp)
        case AdmissionSums():
            yield from decide_admissions(state, sums, stamp)
        case LatencySums():
            yield from decide_latencies(state, sums, stamp)


def _decide_terms(state: PartitionState, command: PoolCommand | ProfileCommand | ReplicasCommand, stamp: Stamp) -> Iterator[Fact]:
    """What is asked for of replicas rises with what is promised, before anything else is decided."""
    match command:
        case PoolCommand():
            facts = decide_pool(state, command, stamp)
        case ProfileCommand():
            facts = decide_profile(state, command, stamp)
        case ReplicasCommand():
            facts = decide_replicas(state, command, stamp)
    said = False
    for fact in facts:
        said = True
        yield fact
    if said and command.pool in state.pools:
        yield from decide_scaling(state, state.pools[command.pool], stamp)


def _decide_plan(state: PartitionState, command: PlanCommand, stamp: Stamp) -> Iterator[Fact]:
    if isinstance(command, PriorsCommand):
        yield from decide_priors(state, command, stamp)
    else:
        yield from decide_rebalance(state, command, stamp)


def _decide_tick(state: PartitionState, record: ClockTick, stamp: Stamp) -> Iterator[Fact]:
    if record.tick <= state.tick:
        return  # two clocks for a moment: the tick is known
    if state.tick_ms not in (0, record.tick_ms):
        raise BrokenJournalError(f"tick_ms: {record.tick_ms}, but this journal was begun with {state.tick_ms}")
    first = state.tick_ms == 0
    yield stamp.fact(
        Ticked,
        "",
        tick=record.tick,
        tick_ms=record.tick_ms,
        meter_partitions=record.meter_partitions,
        grace_ticks=record.grace_ticks,
    )
    if first:
        yield from refuse_misfits(state, stamp)
    yield from decide_time(state, stamp)
    yield from decide_due_periods(state, stamp)
    yield from decide_sharing(state, stamp)
    yield from decide_scalings(state, stamp)
    yield from decide_leases(state, stamp)
    yield from decide_bots(state, stamp)


def _decide_mark(state: PartitionState, record: MeterMark, stamp: Stamp) -> Iterator[Fact]:
    meter = (record.meter_topic, record.meter_partition)
    if record.tick <= state.marks.get(meter, -1):
        return  # a meter that crashed after its mark appends it again
    yield stamp.fact(MeterMarked, "", meter_topic=meter[0], meter_partition=meter[1], tick=record.tick)
    yield from decide_due_periods(state, stamp)
