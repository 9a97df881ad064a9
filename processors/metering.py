"""What one meter counts: sums per (pool, tenant) between two ticks, each event once.

A meter is one partition of `usage`, `latency` or `admissions`. Its reports are a function of its log alone: reading again from a
point at which it noted its state gives the same reports (schemas.journal), which the engine knows by (meter, tick).

Memory: a tenant that was active since the last tick holds about 300 bytes (usage), 100 for each bucket in use (latency), or 500 and
100 for each further gateway (admissions): 50 MB for 100,000 tenants. Beside it stands the window of what was seen
(processors/dedupe.py). Time: below 2 µs an event; a tick sorts the active tenants and builds their columns, 0.2 s for 100,000
(tests/benchmarks/bench_metering.py measures both).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from processors.dedupe import Identified, SeenWindow
from processors.histogram import bucket_of
from schemas.fact import CHUNK_ROWS
from schemas.journal import AdmissionSums, LatencySums, UsageSums
from schemas.model import Event
from schemas.published import AdmissionEvent, LatencyEvent, UsageEvent
from schemas.units import MILLION

PART_LIMIT: Final = (2**62 - 1) // MILLION * MILLION
"""Most input or output tokens of one row, so that a row's input + output fits int64. Events of 2^53 tokens may sum to more: such a
sum is split over rows of further chunks. A whole number of millions: floor(cached·weight / 1,000,000) of the parts then adds up
to that of the sum, as only the last part is floored."""

CHUNK_ENTRIES: Final = 50_000
"""Most histogram entries of one record: at 9 bytes or less each, with 2,000 names of 130, a record stays below 750 KB."""

ORIGINS_KEPT: Final = 128
"""Partitions whose forwarding progress is noted: 128 pairs of at most 25 bytes fit the broker's 4,096 bytes of commit metadata."""


@dataclass(frozen=True, slots=True)
class MeterName:
    """One meter: `topic` is "usage", "latency" or "admissions", without prefix: a journal must read the same on every cluster."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a forwarded event stood before. `again`: whoever forwarded it may have done so before a crash."""

    partition: int
    offset: int
    again: bool = False


@dataclass(frozen=True, slots=True)
class MeterNote:
    """A meter's state right behind a tick, small enough to stand beside a committed offset; the rest is read again."""

    tick: int = -1
    """The last tick; -1: none yet."""
    window: int = 0
    """Offset of the first record of the dedupe window."""
    before: int = -1
    """The tick before that record."""
    origins: tuple[tuple[int, int], ...] = ()
    """(partition, highest offset forwarded from it), the most recently heard last."""


E = TypeVar("E", bound=Identified)
R = TypeVar("R", bound=Event)
E_contra = TypeVar("E_contra", bound=Identified, contravariant=True)


class Sheet(Protocol[E_contra, R]):
    """What a meter adds up between two ticks."""

    def add(self, events: Iterable[E_contra]) -> None:
        """Count events."""

    def take(self, name: MeterName, tick: int) -> list[R]:
        """The reports of what was counted, in the order of pool, chunk, tenant; the sheet is empty afterwards."""


class UsageSheet:
    """Requests, input, cached input and output tokens per pool and tenant, exact at any size until they are reported."""

    __slots__ = ("_pools",)

    def __init__(self) -> None:
        self._pools: dict[str, dict[str, list[int]]] = {}

    def add(self, events: Iterable[UsageEvent]) -> None:
        """Count events."""
        pools = self._pools
        for event in events:
            tenants = pools.get(event.pool)
            if tenants is None:
                tenants = pools[event.pool] = {}
            row = tenants.get(event.tenant)
            if row is None:
                tenants[event.tenant] = [1, event.input_tokens, event.cached_input_tokens, event.output_tokens]
            else:
                row[0] += 1
                row[1] += event.input_tokens
                row[2] += event.cached_input_tokens
                row[3] += event.output_tokens

    def take(self, name: MeterName, tick: int) -> list[UsageSums]:
        """Chunks of at most CHUNK_ROWS tenants; within a chunk a tenant stands once."""
        pools, self._pools = self._pools, {}
        # Text sorts by code points, which is the byte order of its UTF-8.
        return [report for pool in sorted(pools) for report in _usage_reports(name, tick, pool, pools[pool])]


def _usage_reports(name: MeterName, tick: int, pool: str, sums: dict[str, list[int]]) -> Iterator[UsageSums]:
    chunk = 0
    while sums:
        tenants = sorted(sums)
        for start in range(0, len(tenants), CHUNK_ROWS):
            some = tenants[start : start + CHUNK_ROWS]
            rows = [sums[tenant] for tenant in some]
            yield UsageSums.model_construct(
                pool=pool,
                meter_topic=name.topic,
                meter_partition=name.partition,
                tick=tick,
                chunk=chunk,
                tenant=some,
                requests=[row[0] for row in rows],
                input_tokens=[min(row[1], PART_LIMIT) for row in rows],
                cached_input_tokens=[min(row[2], PART_LIMIT) for row in rows],
                output_tokens=[min(row[3], PART_LIMIT) for row in rows],
            )
            chunk += 1
        sums = dict(_rests(sums))


def _rests(sums: dict[str, list[int]]) -> Iterator[tuple[str, list[int]]]:
    """What one row can't state. Cached tokens are part of the input, so a row's share of them never exceeds its input."""
    for tenant, (_, inputs, cached, outputs) in sums.items():
        if inputs > PART_LIMIT or outputs > PART_LIMIT:
            yield tenant, [0, max(0, inputs - PART_LIMIT), max(0, cached - PART_LIMIT), max(0, outputs - PART_LIMIT)]


class LatencySheet:
    """A histogram of latencies per pool and tenant."""

    __slots__ = ("_pools",)

    def __init__(self) -> None:
        self._pools: dict[str, dict[str, dict[int, int]]] = {}

    def add(self, events: Iterable[LatencyEvent]) -> None:
        """Count events."""
        pools = self._pools
        for event in events:
            tenants = pools.get(event.pool)
            if tenants is None:
                tenants = pools[event.pool] = {}
            counts = tenants.get(event.tenant)
            if counts is None:
                counts = tenants[event.tenant] = {}
            bucket = bucket_of(event.latency_ms)
            counts[bucket] = counts.get(bucket, 0) + 1

    def take(self, name: MeterName, tick: int) -> list[LatencySums]:
        """Chunks of at most CHUNK_ROWS tenants and CHUNK_ENTRIES entries; a tenant's histogram is never divided."""
        pools, self._pools = self._pools, {}
        return [
            _latency_report(name, tick, pool, chunk, some)
            for pool in sorted(pools)
            for chunk, some in enumerate(_latency_chunks(pools[pool]))
        ]


def _latency_chunks(histograms: dict[str, dict[int, int]]) -> Iterator[list[tuple[str, dict[int, int]]]]:
    some: list[tuple[str, dict[int, int]]] = []
    entries = 0
    for tenant in sorted(histograms):
        counts = histograms[tenant]
        if some and (len(some) == CHUNK_ROWS or entries + len(counts) > CHUNK_ENTRIES):
            yield some
            some, entries = [], 0
        some.append((tenant, counts))
        entries += len(counts)
    if some:
        yield some


def _latency_report(name: MeterName, tick: int, pool: str, chunk: int, some: Sequence[tuple[str, dict[int, int]]]) -> LatencySums:
    entries = [(owner, bucket, counts[bucket]) for owner, (_, counts) in enumerate(some) for bucket in sorted(counts)]
    return LatencySums.model_construct(
        pool=pool,
        meter_topic=name.topic,
        meter_partition=name.partition,
        tick=tick,
        chunk=chunk,
        tenant=[tenant for tenant, _ in some],
        owner=[owner for owner, _, _ in entries],
        bucket=[bucket for _, bucket, _ in entries],
        count=[count for _, _, count in entries],
    )


class _Asked:
    """What one tenant asked of one pool. Of a gateway the most at once counts; gateways serve other requests, so theirs add up."""

    __slots__ = ("admitted", "peaks", "refused", "refused_kv_blocks", "refused_tokens")

    def __init__(self) -> None:
        self.admitted = self.refused = self.refused_tokens = self.refused_kv_blocks = 0
        self.peaks: dict[str, tuple[int, int]] = {}

    def add(self, event: AdmissionEvent) -> None:
        self.admitted += event.admitted
        self.refused += event.refused
        self.refused_tokens += event.refused_tokens
        self.refused_kv_blocks += event.refused_kv_blocks
        blocks, requests = self.peaks.get(event.source, (0, 0))
        self.peaks[event.source] = max(blocks, event.peak_kv_blocks), max(requests, event.peak_concurrency)

    def numbers(self) -> tuple[int, ...]:
        """In the order of AdmissionSums; demand, not money: what is larger than PART_LIMIT counts as that."""
        blocks, requests = (sum(peak[at] for peak in self.peaks.values()) for at in (0, 1))
        sums = (self.admitted, self.refused, self.refused_tokens, self.refused_kv_blocks, blocks, requests)
        return tuple(min(each, PART_LIMIT) for each in sums)


class AdmissionSheet:
    """What gateways admitted and refused, per pool and tenant."""

    __slots__ = ("_pools",)

    def __init__(self) -> None:
        self._pools: dict[str, dict[str, _Asked]] = {}

    def add(self, events: Iterable[AdmissionEvent]) -> None:
        """Count events."""
        for event in events:
            tenants = self._pools.setdefault(event.pool, {})
            asked = tenants.get(event.tenant)
            if asked is None:
                asked = tenants[event.tenant] = _Asked()
            asked.add(event)

    def take(self, name: MeterName, tick: int) -> list[AdmissionSums]:
        """Chunks of at most CHUNK_ROWS tenants; a tenant stands once."""
        pools, self._pools = self._pools, {}
        return [
            _admission_report(name, tick, pool, start // CHUNK_ROWS, asked[start : start + CHUNK_ROWS])
            for pool in sorted(pools)
            for asked in (sorted(pools[pool].items()),)
            for start in range(0, len(asked), CHUNK_ROWS)
        ]


def _admission_report(name: MeterName, tick: int, pool: str, chunk: int, some: Sequence[tuple[str, _Asked]]) -> AdmissionSums:
    admitted, refused, tokens, refused_blocks, blocks, requests = zip(*(asked.numbers() for _, asked in some), strict=True)
    return AdmissionSums.model_construct(
        pool=pool,
        meter_topic=name.topic,
        meter_partition=name.partition,
        tick=tick,
        chunk=chunk,
        tenant=[tenant for tenant, _ in some],
        admitted=list(admitted),
        refused=list(refused),
        refused_tokens=list(tokens),
        refused_kv_blocks=list(refused_blocks),
        peak_kv_blocks=list(blocks),
        peak_concurrency=list(requests),
    )


class Meter(Generic[E, R]):
    """The fold of one meter's log.

    A new meter is behind its note's window. `remember` and `pass_tick` rebuild the window up to where the note was taken; then
    `resume`, and from there `observe`, `observe_forwarded` and `tick` count.
    """

    __slots__ = ("_last", "_note", "_origins", "_sheet", "_window", "name")

    def __init__(self, name: MeterName, sheet: Sheet[E, R], window_ticks: int, note: MeterNote) -> None:
        self.name = name
        self._sheet = sheet
        self._window = SeenWindow(window_ticks, note.window, note.before)
        self._note = note
        self._last = note.before
        self._origins: dict[int, int] = {}

    @property
    def last(self) -> int:
        """The last tick; -1 before the first."""
        return self._last

    @property
    def remembered(self) -> int:
        """How many events the window holds."""
        return len(self._window)

    def remember(self, events: Iterable[E]) -> None:
        """Rebuild: events that were counted before the note was taken."""
        self._window.unseen(events)

    def pass_tick(self, tick: int, following: int) -> None:
        """Rebuild: a tick that was reported before the note was taken; its record is followed by offset `following`."""
        if tick > self._last:
            self._last = tick
            self._window.turn(tick, following)

    def resume(self) -> None:
        """Everything before the note was read: from here on the meter counts."""
        self._last = max(self._last, self._note.tick)
        self._origins = dict(self._note.origins)

    def observe(self, events: Iterable[E]) -> None:
        """Count events, in the order of the log, that stand where they were published. A repetition is not counted."""
        self._sheet.add(self._window.unseen(events))

    def observe_forwarded(self, event: E, origin: Origin) -> None:
        """Count an event that another meter forwarded.

        A meter that restarts forwards again what it may have forwarded before, perhaps long after the window forgot it. A
        forwarder sends in the order of its log, so an offset at or below the highest one heard from that partition is known here.
        Only a forward that says it may be a repetition is judged by that: a forged header can't suppress others.
        """
        unseen = self._window.unseen((event,))
        through = self._origins.pop(origin.partition, -1)
        self._origins[origin.partition] = max(through, origin.offset)
        if len(self._origins) > ORIGINS_KEPT:
            del self._origins[next(iter(self._origins))]
        if not (origin.again and origin.offset <= through):
            self._sheet.add(unseen)

    def tick(self, tick: int, following: int) -> list[R] | None:
        """The reports of a tick, whose record is followed by offset `following`; None if it is at or below the last: ignored."""
        if tick <= self._last:
            return None
        self.pass_tick(tick, following)
        return self._sheet.take(self.name, tick)

    def note(self) -> MeterNote:
        """The state right behind the last tick, to be kept beside the offset that follows it. Only valid there."""
        window, before = self._window.start
        return MeterNote(self._last, window, before, tuple(self._origins.items()))
