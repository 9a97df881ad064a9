"""A journal under the test's hands: builds records, folds them one by one, keeps both journal and facts."""

from itertools import count

from processors.engine import fold
from processors.histogram import bucket_of
from processors.recording import evolve
from processors.snapshot import dump_commands, dump_partition, dump_pool
from processors.state import PartitionState
from schemas.journal import ClockTick, LatencySums, MeterMark, UsageSums
from schemas.planning import RebalanceCommand
from schemas.published import Budget, PoolCommand, ProfileCommand

MILLION = 1_000_000


NO_LOOPS = {"sla": {"enabled": False}, "rebalance": {"enabled": False}}


def pool(id="p1", *, pool="llm", capacity=1000, period_s=2, **terms):  # noqa: A002  the field's name
    """Unless `terms` say otherwise, without the loops that move bases; demand is what was used last, which heads can compute."""
    plain = {**NO_LOOPS, "forecaster": "last_value"}
    return PoolCommand(id=id, pool=pool, capacity=capacity, period_s=period_s, **plain | terms)


def profile(id, tenant, *, base=0, elasticity=1, pool="llm", budget=None, **rest):  # noqa: A002  the field's name
    """`budget` is (amount, window_s)."""
    cap = None if budget is None else Budget(amount=budget[0], window_s=budget[1])
    return ProfileCommand(id=id, pool=pool, tenant=tenant, base=base, elasticity=elasticity, budget=cap, **rest)


def usage(tick, rows, *, pool="llm", partition=0, chunk=0, topic="usage"):
    """`rows`: tenant -> output tokens, or (input, cached, output), or (input, cached, output, requests)."""
    full = {tenant: (row,) if isinstance(row, int) else row for tenant, row in rows.items()}
    full = {tenant: (0, 0, *row) if len(row) == 1 else row for tenant, row in full.items()}
    tenants = sorted(full)
    return UsageSums(
        pool=pool,
        meter_topic=topic,
        meter_partition=partition,
        tick=tick,
        chunk=chunk,
        tenant=tenants,
        requests=[full[tenant][3] if len(full[tenant]) > 3 else 1 for tenant in tenants],
        input_tokens=[full[tenant][0] for tenant in tenants],
        cached_input_tokens=[full[tenant][1] for tenant in tenants],
        output_tokens=[full[tenant][2] for tenant in tenants],
    )


def latency(tick, rows=None, *, pool="llm", partition=0, chunk=0):
    """`rows`: tenant -> {milliseconds: requests}."""
    histograms = {"a": {7: 3}} if rows is None else rows
    tenants = sorted(histograms)
    entries = [
        (owner, bucket_of(ms), requests)
        for owner, tenant in enumerate(tenants)
        for ms, requests in sorted(histograms[tenant].items())
    ]
    return LatencySums(
        pool=pool,
        meter_topic="latency",
        meter_partition=partition,
        tick=tick,
        chunk=chunk,
        tenant=tenants,
        owner=[owner for owner, _, _ in entries],
        bucket=[bucket for _, bucket, _ in entries],
        count=[requests for _, _, requests in entries],
    )


def needed(id, needs, *, pool="llm", as_of=0, chunk=0, chunks=1):  # noqa: A002  the field's name
    """A proposal to rebalance; `needs`: tenant -> tokens per period."""
    return RebalanceCommand(
        id=id, pool=pool, as_of=as_of, look_back_s=3600, chunk=chunk, chunks=chunks, tenant=list(needs), need=list(needs.values())
    )


def tick(number, tick_ms=1000, meters=1, grace=3):
    return ClockTick(tick=number, tick_ms=tick_ms, meter_partitions=meters, grace_ticks=grace)


def mark(number, topic="usage", partition=0):
    return MeterMark(meter_topic=topic, meter_partition=partition, tick=number)


def state_bytes(state):
    """The whole partition as bytes: equal states, and only they, give equal bytes."""
    pools = {name: dump_pool(each) for name, each in sorted(state.pools.items())}
    return (
        dump_partition(state),
        tuple(dump_commands(state)),
        tuple((name, dump.header, *(chunk for chunks in dump.bodies.values() for chunk in chunks)) for name, dump in pools.items()),
    )


class World:
    """One journal partition. Each record gets the next offset; offsets may be given holes."""

    def __init__(self, meters=1, grace=3, tick_ms=1000):
        self.state = PartitionState()
        self.journal = []
        self.facts = []
        self.meters, self.grace, self.tick_ms = meters, grace, tick_ms
        self._offsets = count(0)

    def take(self, *records):
        """Folds records; the facts that followed from them."""
        came = []
        for record in records:
            offset = next(self._offsets)
            self.journal.append((offset, record))
            came += fold(self.state, record, offset)
        self.facts += came
        return came

    def tick(self, number, **changed):
        return self.take(tick(number, **{"tick_ms": self.tick_ms, "meters": self.meters, "grace": self.grace, **changed}))

    def marks(self, number, but=()):
        """All meters report up to a tick, except those named as (topic, partition)."""
        everybody = [(topic, each) for topic in ("latency", "usage") for each in range(self.meters)]
        return self.take(*(mark(number, *meter) for meter in everybody if meter not in but))

    def run(self, first, last):
        """Ticks with all meters on time."""
        return [fact for number in range(first, last + 1) for fact in (*self.tick(number), *self.marks(number))]

    def pool(self, name="llm"):
        return self.state.pools[name]

    def value(self, tenant, column, pool="llm"):
        tenants = self.state.pools[pool].tenants
        return int(tenants[column][tenants.slots[tenant]])


def of_kind(facts, kind):
    return [fact for fact in facts if isinstance(fact, kind)]


def rows(facts, kind, *columns):
    """tenant -> the columns' values (a single value for one column), over all chunks of a kind of fact."""
    found = {}
    for fact in of_kind(facts, kind):
        for at, tenant in enumerate(fact.tenant):
            values = tuple(getattr(fact, column)[at] for column in columns)
            found[tenant] = values if len(values) > 1 else values[0]
    return found


def refold(facts):
    """The state that recorded facts give by themselves."""
    state = PartitionState()
    for fact in facts:
        evolve(state, fact)
    return state


def opened(**terms):
    """A world in period 5 (ticks 10 to 12) of pool llm with tenants a and b; period_s 2, tick 1 s, one partition each."""
    here = World()
    here.tick(8)
    here.marks(8)
    here.take(pool(**terms), profile("a1", "a", base=100), profile("b1", "b", base=200))
    here.run(9, 10)
    assert here.pool().open.period == 5
    return here
