"""A meter's partition over a simulated log: bad records around good ones, forwarding, and crashes at any record."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.metering import ORIGINS_KEPT, PART_LIMIT, MeterNote
from schemas.dead_letters import DeadLetter, Problem
from schemas.fact import CHUNK_ROWS
from schemas.journal import AdmissionSums, ClockTick, LatencySums, MeterMark, UsageSums
from schemas.units import MAX_TOKENS
from streams.codecs import decode, encode
from streams.door import Door, TopicKind
from streams.partitioning import home_partition
from streams.roles.meter_partition import MeterPartition, Safe, Surroundings, dump_note, load_note
from streams.ticks import TICK_HEADER
from streams.transport import Outgoing

TICK_MS = 1000
START = 1_700_000_000_000
DOOR = Door(max_event_bytes=1 << 20, max_ahead_ms=3_600_000, max_age_ms=86_400_000)
Headers = Sequence[tuple[str, bytes]]


@dataclass
class Record:
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


def surroundings(partitions: int = 1, window: int = 120, kind: TopicKind = "usage") -> Surroundings:
    return Surroundings(kind, f"x.{kind}", partitions, "x.journal", 2, "x.dead-letters", 3, TICK_MS, window)


def event(name: str, tenant: str = "a", **fields: Any) -> bytes:
    usage = {"id": name, "source": "s", "time": START, "tenant": tenant, "pool": "p", "input_tokens": 3, "output_tokens": 4}
    return json.dumps(usage | fields).encode()


def tick_value(number: int, tick_ms: int = TICK_MS) -> bytes:
    return encode(ClockTick(tick=number, tick_ms=tick_ms, meter_partitions=1, grace_ticks=5))


def log_of(*values: bytes | tuple[bytes | None, Headers] | None, start: int = START) -> list[Record]:
    """A log whose records were appended a millisecond apart."""
    pairs = [value if isinstance(value, tuple) else (value, ()) for value in values]
    return [Record(offset, start + offset, None, value, headers) for offset, (value, headers) in enumerate(pairs)]


def tick(number: int, tick_ms: int = TICK_MS) -> tuple[bytes, Headers]:
    return tick_value(number, tick_ms), [TICK_HEADER]


def meter(around: Surroundings | None = None, partition: int = 0, note: MeterNote | None = None, **start: int) -> MeterPartition:
    places = {"resume_at": 0, "again_below": 0} | start
    return MeterPartition(around or surroundings(), partition, DOOR, note=note or MeterNote(), **places)


def told(meter: MeterPartition, records: Sequence[Record]) -> tuple[list[Outgoing], list[Safe]]:
    portions = list(meter.fold(records))
    return [out for portion in portions for out in portion.outgoing], [portion.safe for portion in portions if portion.safe]


N = START // TICK_MS

BAD: dict[str, tuple[bytes | None, Problem]] = {
    "not JSON": (b"{", Problem.MALFORMED),
    "null": (None, Problem.MALFORMED),
    "empty": (b"", Problem.MALFORMED),
    "truncated Avro": (tick_value(1)[:9], Problem.MALFORMED),
    "unknown fingerprint": (b"\xc3\x01" + b"12345678" + b"x", Problem.UNKNOWN_SCHEMA),
    "a tick without its header": (tick_value(N), Problem.UNKNOWN_SCHEMA),
    "missing field": (b'{"id": "1"}', Problem.INVALID),
    "wrong type": (event("1", input_tokens="many"), Problem.INVALID),
    "negative": (event("1", input_tokens=-5), Problem.INVALID),
    "above 2^53": (event("1", input_tokens=MAX_TOKENS + 1), Problem.INVALID),
    "NaN": (event("1").replace(b": 3", b": NaN"), Problem.INVALID),
    "1e400": (event("1").replace(b": 3", b": 1e400"), Problem.INVALID),
    "cached above input": (event("1", cached_input_tokens=9), Problem.INVALID),
    "empty tenant": (event("1", tenant=""), Problem.INVALID),
    "long tenant": (event("1", tenant="x" * 129), Problem.INVALID),
    "control character": (event("1", tenant="a\u0007"), Problem.INVALID),
    "invalid UTF-8": (event("1", tenant="_").replace(b'"_"', b'"\xff"'), Problem.MALFORMED),
    "future": (event("1", time=START + 10**8), Problem.TIME_OUT_OF_RANGE),
    "past": (event("1", time=START - 10**8), Problem.TIME_OUT_OF_RANGE),
    "too large": (event("1", model="x" * (1 << 20)), Problem.TOO_LARGE),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_event_is_a_dead_letter_and_those_around_it_count(name: str) -> None:
    value, problem = BAD[name]
    log = log_of(event("first"), value, event("second"), tick(N))
    outgoing, safe = told(meter(), log)
    letters = [decode(out.value) for out in outgoing if out.topic == "x.dead-letters" and out.value]
    (letter,) = letters
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.source_topic, letter.source_partition, letter.source_offset) == (problem, "x.usage", 0, 1), letter
    assert (letter.payload, letter.null_payload, letter.source_time) == (value or b"", value is None, START + 1)
    assert letter.detail
    DeadLetter.model_validate(letter.model_dump())
    (sums,) = [read for read in map(decode, (out.value or b"" for out in outgoing)) if isinstance(read, UsageSums)]
    assert sums.requests == [2]
    assert safe == [Safe(4, dump_note(MeterNote(N, 0, -1), TICK_MS))]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (b"garbage", Problem.MALFORMED),
        (None, Problem.MALFORMED),
        (encode(MeterMark(meter_topic="usage", meter_partition=0, tick=N)), Problem.MALFORMED),
        (tick_value(N + 1), Problem.TIME_OUT_OF_RANGE),
        (tick_value(START, tick_ms=1), Problem.INVALID),
        (tick_value(N, tick_ms=0), Problem.INVALID),
    ],
)
def test_a_tick_that_nobody_need_believe_is_a_dead_letter_and_changes_nothing(value: bytes | None, problem: Problem) -> None:
    outgoing, safe = told(meter(), log_of(event("1"), (value, [TICK_HEADER]), event("2"), tick(N)))
    assert [letter.reason for letter in map(decode, (out.value or b"" for out in outgoing)) if isinstance(letter, DeadLetter)] == [
        problem
    ]
    assert [found.next_offset for found in safe] == [4]


def test_a_tick_sends_sums_and_behind_them_a_mark_to_every_partition_of_the_journal() -> None:
    log = log_of(event("1", pool="p"), event("2", pool="pool"), tick(N), tick(N), tick(N - 5), event("3"))
    outgoing, safe = told(meter(), log)
    homes = {pool: home_partition(pool, 2) for pool in (b"p", b"pool")}
    assert set(homes.values()) == {0, 1}
    assert [(out.topic, out.partition, out.key) for out in outgoing] == [
        ("x.journal", homes[b"p"], b"p"),
        ("x.journal", homes[b"pool"], b"pool"),
        ("x.journal", 0, None),
        ("x.journal", 1, None),
    ]
    marks = [decode(out.value or b"") for out in outgoing[2:]]
    assert marks == [MeterMark(meter_topic="usage", meter_partition=0, tick=N)] * 2
    assert [found.next_offset for found in safe] == [3]


def test_a_latency_meter_reports_histograms() -> None:
    value = json.dumps({"id": "1", "source": "s", "time": START, "tenant": "a", "pool": "p", "latency_ms": 5}).encode()
    outgoing, _ = told(meter(surroundings(kind="latency")), log_of(value, value, tick(N)))
    sums = decode(outgoing[0].value or b"")
    assert isinstance(sums, LatencySums)
    assert (sums.meter_topic, sums.bucket, sums.count) == ("latency", [5], [1])


def asked(number: int, source: str, tenant: str = "a", pool: str = "p", **counts: int) -> bytes:
    named = {"id": str(number), "source": source, "time": START, "tenant": tenant, "pool": pool, "interval_ms": 100}
    return json.dumps(named | {"admitted": 1} | counts).encode()


def test_an_admissions_meter_reports_sums_and_of_each_gateway_the_most_at_once() -> None:
    log = log_of(
        asked(1, "gw-1", refused_own_kv=2, refused_pool_throughput=1, refused_tokens=500, peak_kv_blocks=9, peak_concurrency=2),
        asked(2, "gw-1", peak_kv_blocks=7, peak_concurrency=5),
        asked(2, "gw-1", peak_kv_blocks=7, peak_concurrency=5),  # again
        asked(1, "gw-2", refused_kv_blocks=3, peak_kv_blocks=4, peak_concurrency=1),
        asked(3, "gw-2", tenant="b", refused_tokens=2**53),
        *(asked(number, "gw-3", tenant="b", refused_tokens=2**53) for number in range(600)),
        asked(4, "gw-2", pool="other"),
        tick(N),
    )
    outgoing, _ = told(meter(surroundings(kind="admissions")), log)
    reports = [said for out in outgoing if isinstance(said := decode(out.value or b""), AdmissionSums)]
    assert [(said.pool, said.tenant, said.tick, said.chunk, said.meter_topic) for said in reports] == [
        ("other", ["a"], N, 0, "admissions"),
        ("p", ["a", "b"], N, 0, "admissions"),
    ]
    (_, sums) = reports
    assert (sums.admitted, sums.refused) == ([3, 601], [3, 0])
    assert (sums.refused_tokens, sums.refused_kv_blocks) == ([500, PART_LIMIT], [3, 0])
    assert (sums.peak_kv_blocks, sums.peak_concurrency) == ([9 + 4, 0], [5 + 1, 0])
    marks = [said for out in outgoing if isinstance(said := decode(out.value or b""), MeterMark)]
    assert [(said.meter_topic, said.tick) for said in marks] == [("admissions", N)] * 2


def test_reports_of_admission_are_in_chunks_of_tenants() -> None:
    log = log_of(*(asked(number, "gw", tenant=f"t{number}") for number in range(CHUNK_ROWS + 3)), tick(N))
    outgoing, _ = told(meter(surroundings(kind="admissions")), log)
    reports = [said for out in outgoing if isinstance(said := decode(out.value or b""), AdmissionSums)]
    assert [(said.chunk, len(said.tenant)) for said in reports] == [(0, CHUNK_ROWS), (1, 3)]
    named = [tenant for said in reports for tenant in said.tenant]
    assert named == sorted(f"t{number}" for number in range(CHUNK_ROWS + 3))


def test_an_event_away_from_home_is_forwarded_as_it_came_and_counted_there_once() -> None:
    around = surroundings(partitions=2)
    home = home_partition(b"a", 2)
    away = 1 - home
    value, headers = event("1"), [("traceparent", b"00-1")]
    outgoing, _ = told(meter(around, away, again_below=1), log_of((value, headers), (event("2"), headers)))
    assert outgoing == [
        Outgoing(
            "x.usage",
            home,
            b"a",
            value,
            [*headers, ("bourse-forwarded", f"x.usage/{away}/0".encode()), ("bourse-forwarded-again", b"1")],
        ),
        Outgoing("x.usage", home, b"a", event("2"), [*headers, ("bourse-forwarded", f"x.usage/{away}/1".encode())]),
    ]
    log = log_of(*((out.value, out.headers) for out in [*outgoing, *outgoing]), tick(N))
    counted, _ = told(meter(around, home), log)
    sums = decode(counted[0].value or b"")
    assert isinstance(sums, UsageSums)
    assert sums.requests == [2]
    # It was forwarded when the topic had other partitions: it stays, rather than go round in circles.
    counted, _ = told(meter(around, away), log)
    sums = decode(counted[0].value or b"")
    assert isinstance(sums, UsageSums)
    assert sums.requests == [2]


@pytest.mark.parametrize("header", [b"", b"x", b"a/b/c", b"t/-1/2", b"t/1/\xb2"])
def test_a_forged_forwarding_header_only_keeps_the_event_where_it_is(header: bytes) -> None:
    outgoing, _ = told(meter(), log_of((event("1"), [("bourse-forwarded", header)]), tick(N)))
    sums = decode(outgoing[0].value or b"")
    assert isinstance(sums, UsageSums)
    assert sums.requests == [1]


def test_a_dead_letter_keeps_the_headers_that_are_not_ours() -> None:
    outgoing, _ = told(meter(), log_of((b"{", [("ce_id", b"7"), TICK_HEADER])))
    assert outgoing[0].headers == [("ce_id", b"7")]


def test_a_note_survives_and_fits_beside_an_offset() -> None:
    note = MeterNote(N, 2**62, N, tuple((1023 - number, 2**62) for number in range(ORIGINS_KEPT)))
    text = dump_note(note, 60_000)
    assert load_note(text, 60_000) == note
    assert len(text) <= 4096


@pytest.mark.parametrize(
    "text", ["", "x", "[]", "{}", "null", '{"tick": 1}', '{"tick":null,"window":1,"before":1,"tick_ms":1,"origins":[]}']
)
def test_what_is_no_note_is_none(text: str) -> None:
    assert load_note(text, TICK_MS) is None


def test_ticks_of_another_length_stop_the_meter() -> None:
    with pytest.raises(ValueError, match="tick_ms is 500, but this log was metered with 1000"):
        load_note(dump_note(MeterNote(1, 1, 1), 1000), 500)


# --- crashes ---------------------------------------------------------------------------------------------------------------


@dataclass
class Owner:
    """A running meter of a partition, and what it has sent that no broker has acknowledged yet."""

    meter: MeterPartition
    position: int
    unsent: list[Outgoing | Safe] = field(default_factory=list)


class System:
    """P partitions of usage, their meters, the journal, and a group's committed offsets. Nothing is real but the meters."""

    def __init__(self, partitions: int, window: int) -> None:
        self.around = surroundings(partitions, window)
        self.logs: list[list[Record]] = [[] for _ in range(partitions)]
        self.journal: list[Outgoing] = []
        self.committed: list[tuple[int, str]] = [(0, "")] * partitions
        self.owners = [self.start(partition) for partition in range(partitions)]
        self.now = START

    def append(self, partition: int, value: bytes | None, headers: Headers = (), key: bytes | None = None) -> None:
        log = self.logs[partition]
        self.now += 1
        log.append(Record(len(log), self.now, key, value, headers))

    def tick(self, ahead: int, partitions: Sequence[int]) -> None:
        self.now = (self.now // TICK_MS + ahead) * TICK_MS
        for partition in partitions:
            self.append(partition, tick_value(self.now // TICK_MS), [TICK_HEADER])

    def start(self, partition: int) -> Owner:
        offset, text = self.committed[partition]
        note = load_note(text, TICK_MS) or MeterNote()
        ends = len(self.logs[partition])
        return Owner(meter(self.around, partition, note, resume_at=offset, again_below=ends), note.window)

    def read(self, partition: int, owner: Owner, records: int) -> None:
        batch = self.logs[partition][owner.position : owner.position + records]
        for portion in owner.meter.fold(batch):
            owner.unsent += portion.outgoing
            owner.unsent += [portion.safe] if portion.safe else []
        owner.position += len(batch)

    def send(self, partition: int, owner: Owner, count: int) -> None:
        """The broker acknowledges; a commit follows when everything before it was acknowledged."""
        for sent in owner.unsent[:count]:
            if isinstance(sent, Safe):
                self.committed[partition] = max(self.committed[partition], tuple(sent))
            elif sent.topic == self.around.journal:
                self.journal.append(sent)
            elif sent.topic == self.around.topic:
                self.append(sent.partition, sent.value, sent.headers, sent.key)
        del owner.unsent[:count]

    def drain(self) -> None:
        """Everything is read and counted."""
        for _ in range(3):  # forwards, and ticks behind them
            for partition, owner in enumerate(self.owners):
                self.read(partition, owner, 10**6)
                self.send(partition, owner, 10**6)
            self.tick(1, range(len(self.logs)))

    def reports(self) -> dict[tuple[Any, ...], bytes | None]:
        """The journal as the engine takes it; two records with the same identity must be the same."""
        reports: dict[tuple[Any, ...], bytes | None] = {}
        for sent in self.journal:
            said = decode(sent.value or b"")
            assert isinstance(said, UsageSums | MeterMark)
            identity = (
                sent.partition,
                said.KIND,
                said.meter_partition,
                said.tick,
                *((said.pool, said.chunk) if isinstance(said, UsageSums) else ()),
            )
            assert reports.setdefault(identity, sent.value) == sent.value, identity
        return reports


def counted(reports: dict[tuple[Any, ...], bytes | None]) -> Counter[str]:
    total: Counter[str] = Counter()
    for value in reports.values():
        said = decode(value or b"")
        if isinstance(said, UsageSums):
            total.update(dict(zip(said.tenant, said.requests, strict=True)))
    return total


TENANTS = ["a", "b", "c", "d"]
partition_numbers = st.integers(0, 2)
actions = st.one_of(
    st.tuples(st.just("publish"), partition_numbers, st.sampled_from(TENANTS), st.integers(0, 25)),
    st.tuples(st.just("publish"), partition_numbers, st.sampled_from(TENANTS), st.integers(0, 25)),
    st.tuples(st.just("bad"), partition_numbers, st.just(""), st.just(0)),
    st.tuples(st.just("tick"), st.just(0), st.just(""), st.integers(1, 3)),
    st.tuples(st.just("tick to one"), partition_numbers, st.just(""), st.integers(1, 3)),
    st.tuples(st.just("late tick"), partition_numbers, st.just(""), st.integers(1, 3)),
    st.tuples(st.just("read"), partition_numbers, st.just(""), st.integers(1, 9)),
    st.tuples(st.just("read"), partition_numbers, st.just(""), st.integers(1, 9)),
    st.tuples(st.just("send"), partition_numbers, st.just(""), st.integers(1, 9)),
    st.tuples(st.just("send"), partition_numbers, st.just(""), st.integers(1, 9)),
    st.tuples(st.just("crash"), partition_numbers, st.just(""), st.just(0)),
    st.tuples(st.just("second owner"), partition_numbers, st.just(""), st.integers(1, 9)),
)
Script = list[tuple[str, int, str, int]]
script = st.lists(actions, min_size=20, max_size=120)


def play(system: System, some: Script, *, unique: bool) -> Counter[str]:  # noqa: C901  one case for each action
    """Act; returns how many events each tenant's backends meant."""
    meant: set[tuple[str, str]] = set()
    for number, (what, partition, tenant, amount) in enumerate(some):
        owner = system.owners[partition]
        match what:
            case "publish":
                name = str(number if unique else amount)
                meant.add((tenant, name))
                system.append(partition, event(name, tenant))
            case "bad":
                system.append(partition, b"{")
            case "tick":
                system.tick(amount, range(len(system.logs)))
            case "tick to one":
                system.tick(amount, [partition])
            case "late tick":
                system.append(partition, tick_value(system.now // TICK_MS - amount), [TICK_HEADER])
            case "read":
                system.read(partition, owner, amount)
            case "send":
                system.send(partition, owner, amount)
            case "crash":
                system.owners[partition] = system.start(partition)
            case "second owner" if not unique:
                second = system.start(partition)
                system.read(partition, second, amount)
                system.send(partition, second, amount)
    system.drain()
    return Counter(tenant for tenant, _ in meant)


def uninterrupted(system: System) -> dict[tuple[Any, ...], bytes | None]:
    """What meters say that read the same logs without a crash."""
    fresh = System(len(system.logs), system.around.window_ticks)
    for partition, owner in enumerate(fresh.owners):
        fresh.logs = system.logs
        fresh.read(partition, owner, 10**6)
        fresh.journal += [sent for sent in owner.unsent if isinstance(sent, Outgoing) and sent.topic == "x.journal"]
    return fresh.reports()


def said_until_last_read(system: System) -> dict[tuple[Any, ...], bytes | None]:
    for partition, owner in enumerate(system.owners):
        system.read(partition, owner, 10**6)
        system.send(partition, owner, 10**6)
    return system.reports()


slow = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


@slow
@given(script)
def test_crashes_and_second_owners_change_nothing_that_is_said(some: Script) -> None:
    """Backends repeat themselves, meters crash anywhere and overlap: each event counts once; the journal is what it is without."""
    system = System(3, window=10**6)
    meant = play(system, some, unique=False)
    assert said_until_last_read(system) == uninterrupted(system)
    assert counted(system.reports()) == meant


@slow
@given(script, st.integers(1, 3))
def test_forwarding_again_counts_nothing_twice_even_when_the_window_has_passed(some: Script, window: int) -> None:
    system = System(3, window)
    meant = play(system, some, unique=True)
    assert said_until_last_read(system) == uninterrupted(system)
    assert counted(system.reports()) == meant


@slow
@given(script, st.integers(1, 4))
def test_with_a_short_window_the_journal_is_still_a_function_of_the_log(some: Script, window: int) -> None:
    system = System(3, window)
    play(system, some, unique=False)
    assert said_until_last_read(system) == uninterrupted(system)
