"""Sums, chunks, splitting beyond int64, duplicates, forwards, ticks; and that order within a tick does not matter."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors import metering
from processors.histogram import Histogram, bucket_of
from processors.metering import (
    CHUNK_ENTRIES,
    ORIGINS_KEPT,
    PART_LIMIT,
    LatencySheet,
    Meter,
    MeterName,
    MeterNote,
    Origin,
    UsageSheet,
)
from schemas.journal import LatencySums, UsageSums
from schemas.published import LatencyEvent, UsageEvent
from schemas.units import MAX_TOKENS

NAME = MeterName("usage", 3)
NOTHING = MeterNote()


def usage(
    name: str, tenant: str = "a", pool: str = "p", tokens: tuple[int, int, int] = (10, 4, 5), source: str = "s"
) -> UsageEvent:
    inputs, cached, outputs = tokens
    return UsageEvent(
        time=0,
        source=source,
        id=name,
        tenant=tenant,
        pool=pool,
        input_tokens=inputs,
        cached_input_tokens=cached,
        output_tokens=outputs,
    )


def latency(name: str, tenant: str = "a", pool: str = "p", ms: int = 7) -> LatencyEvent:
    return LatencyEvent(time=0, source="s", id=name, tenant=tenant, pool=pool, latency_ms=ms)


def usage_meter(note: MeterNote = NOTHING, ticks: int = 120) -> Meter[UsageEvent, UsageSums]:
    meter = Meter(NAME, UsageSheet(), ticks, note)
    meter.resume()
    return meter


def rows(reports: list[UsageSums]) -> list[tuple[Any, ...]]:
    return [
        (report.pool, report.chunk, *row)
        for report in reports
        for row in zip(
            report.tenant,
            report.requests,
            report.input_tokens,
            report.cached_input_tokens,
            report.output_tokens,
            strict=True,
        )
    ]


def test_a_tick_reports_sums_in_the_order_of_pools_and_tenants() -> None:
    meter = usage_meter()
    meter.observe([usage("1", "b"), usage("2", "a", "q"), usage("3", "b", tokens=(1, 0, 2)), usage("4", "é"), usage("5", "z")])
    reports = meter.tick(7, 6)
    assert reports is not None
    assert [(report.meter_topic, report.meter_partition, report.tick) for report in reports] == [("usage", 3, 7)] * 2
    assert rows(reports) == [
        ("p", 0, "b", 2, 11, 4, 7),
        ("p", 0, "z", 1, 10, 4, 5),
        ("p", 0, "é", 1, 10, 4, 5),
        ("q", 0, "a", 1, 10, 4, 5),
    ]
    assert all(UsageSums.model_validate(report.model_dump()) == report for report in reports)
    assert meter.tick(8, 7) == []


@given(st.lists(st.text(min_size=1, max_size=3), unique=True))
def test_tenants_are_in_the_byte_order_of_their_utf8(tenants: list[str]) -> None:
    tenants = [tenant for tenant in tenants if tenant.isprintable()]
    sheet = UsageSheet()
    sheet.add(usage(str(number), tenant) for number, tenant in enumerate(tenants))
    told = [tenant for report in sheet.take(NAME, 0) for tenant in report.tenant]
    assert told == sorted(tenants, key=str.encode)


@pytest.mark.parametrize("tick", [-5, 0, 6, 7])
def test_a_tick_at_or_below_the_last_is_ignored(tick: int) -> None:
    meter = usage_meter()
    meter.observe([usage("1")])
    assert meter.tick(7, 2) is not None
    meter.observe([usage("2")])
    assert meter.tick(tick, 4) is None
    assert meter.note() == MeterNote(7, 0, -1, ())
    reports = meter.tick(8, 5)
    assert reports is not None
    assert rows(reports) == [("p", 0, "a", 1, 10, 4, 5)]


def test_chunks_hold_at_most_2000_tenants() -> None:
    meter = usage_meter()
    meter.observe([usage(str(number), f"{number:05}") for number in range(4001)])
    reports = meter.tick(1, 4002)
    assert reports is not None
    assert [(report.chunk, len(report.tenant), report.tenant[0]) for report in reports] == [
        (0, 2000, "00000"),
        (1, 2000, "02000"),
        (2, 1, "04000"),
    ]


@given(
    st.lists(
        st.tuples(
            st.sampled_from("ab"), st.integers(0, 3 * PART_LIMIT), st.integers(0, 3 * PART_LIMIT), st.integers(0, 3 * PART_LIMIT)
        ),
        max_size=4,
    ),
    st.integers(0, 1_000_000),
)
def test_sums_beyond_int64_are_split_into_rows_that_fit_and_use_the_same(
    sums: list[tuple[str, int, int, int]], weight: int
) -> None:
    """Sums of this size need thousands of events: they are put into the sheet as they would have grown."""
    sheet = UsageSheet()
    exact: dict[str, list[int]] = {}
    for tenant, inputs, cached, outputs in sums:
        row = exact.setdefault(tenant, [0, 0, 0, 0])
        for column, value in enumerate((1, inputs, min(cached, inputs), outputs)):
            row[column] += value
    sheet._pools["p"] = {tenant: list(row) for tenant, row in exact.items()}
    reports = sheet.take(NAME, 1)
    parts: dict[str, list[tuple[int, int, int, int]]] = {}
    for report in reports:
        assert len(set(report.tenant)) == len(report.tenant)
        UsageSums.model_validate(report.model_dump())
    for _, _, tenant, *columns in rows(reports):
        parts.setdefault(tenant, []).append(tuple(columns))
        assert columns[2] <= columns[1]
        assert columns[1] + columns[3] < 2**63
    assert [report.chunk for report in reports] == list(range(len(reports)))
    assert {tenant: [sum(column) for column in zip(*some, strict=True)] for tenant, some in parts.items()} == exact
    for tenant, some in parts.items():
        used = sum(inputs - cached + outputs + cached * weight // 1_000_000 for _, inputs, cached, outputs in some)
        _, inputs, cached, outputs = exact[tenant]
        assert used == inputs - cached + outputs + cached * weight // 1_000_000


def test_a_flood_of_the_largest_events_is_reported_exactly() -> None:
    meter = usage_meter()
    meter.observe([usage(str(number), tokens=(MAX_TOKENS, MAX_TOKENS, MAX_TOKENS)) for number in range(1100)])
    reports = meter.tick(1, 1101)
    assert reports is not None
    assert sum(sum(report.input_tokens) for report in reports) == 1100 * MAX_TOKENS
    assert [report.requests for report in reports] == [[1100], [0], [0]]


def test_an_event_counts_once_and_its_id_belongs_to_its_source_and_tenant() -> None:
    meter = usage_meter()
    meter.observe([usage("1"), usage("1"), usage("1", source="other"), usage("1", "b")])
    meter.observe([usage("1")])
    meter.tick(1, 5)
    meter.observe([usage("1")])
    assert meter.tick(2, 7) == []
    assert meter.remembered == 3


@pytest.mark.parametrize(
    ("origin", "counted"),
    [
        (Origin(0, 10, again=False), True),  # the window alone judges it
        (Origin(0, 50, again=True), False),  # it came before
        (Origin(0, 49, again=True), False),
        (Origin(0, 51, again=True), True),  # it had not been forwarded yet
        (Origin(1, 10, again=True), True),  # another partition's offsets say nothing
    ],
)
def test_a_forward_that_may_be_a_repetition_is_judged_by_its_origin(origin: Origin, counted: bool) -> None:
    meter = usage_meter(MeterNote(origins=((0, 20),)))
    meter.observe_forwarded(usage("first"), Origin(0, 50))
    meter.observe_forwarded(usage("second"), origin)
    reports = meter.tick(1, 3)
    assert reports is not None
    assert rows(reports)[0][3] == 1 + counted


def test_what_was_forwarded_before_a_crash_is_known_after_it() -> None:
    note = MeterNote(tick=5, window=40, before=4, origins=((0, 50),))
    meter = usage_meter(note, ticks=1)
    meter.observe_forwarded(usage("x"), Origin(0, 50, again=True))
    assert meter.tick(6, 60) == []
    assert meter.note().origins == ((0, 50),)


def test_a_note_keeps_the_origins_that_were_heard_last() -> None:
    meter = usage_meter()
    for partition in range(ORIGINS_KEPT + 2):
        meter.observe_forwarded(usage(str(partition)), Origin(partition, 5))
    meter.observe_forwarded(usage("x"), Origin(2, 1))
    meter.tick(1, 1000)
    origins = meter.note().origins
    assert len(origins) == ORIGINS_KEPT
    assert origins[0] == (3, 5)
    assert origins[-1] == (2, 5)


def test_latencies_are_histograms_of_each_tenant() -> None:
    meter = Meter(MeterName("latency", 0), LatencySheet(), 120, MeterNote())
    meter.resume()
    meter.observe(
        [latency("1", "b", ms=1000), latency("2", "b", ms=1001), latency("3", "b", ms=3), latency("4", "a"), latency("4", "a")]
    )
    reports = meter.tick(1, 6)
    assert reports is not None
    (report,) = reports
    assert report == LatencySums(
        pool="p",
        meter_topic="latency",
        meter_partition=0,
        tick=1,
        chunk=0,
        tenant=["a", "b"],
        owner=[0, 1, 1],
        bucket=[7, 3, bucket_of(1000)],
        count=[1, 1, 2],
    )


@pytest.mark.parametrize(
    ("tenants", "each", "chunks"), [(4001, 1, 3), (4, CHUNK_ENTRIES // 4, 1), (9, CHUNK_ENTRIES // 4, 3), (2, CHUNK_ENTRIES, 2)]
)
def test_a_latency_record_is_bounded_in_tenants_and_entries(tenants: int, each: int, chunks: int) -> None:
    histograms = {f"{number:05}": dict.fromkeys(range(each), 1) for number in range(tenants)}
    some = list(metering._latency_chunks(histograms))
    assert len(some) == chunks
    assert [tenant for chunk in some for tenant, _ in chunk] == sorted(histograms)
    assert all(sum(len(counts) for _, counts in chunk) <= CHUNK_ENTRIES for chunk in some)


events = st.builds(
    usage,
    name=st.sampled_from([str(number) for number in range(30)]),
    tenant=st.sampled_from(["a", "b", "ü"]),
    pool=st.sampled_from(["p", "q"]),
)


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["p", "q"]), st.integers(0, 100)), max_size=20).flatmap(
        lambda some: st.tuples(st.just(some), st.permutations(range(len(some))))
    ),
    st.integers(1, 7),
)
def test_the_order_of_events_within_a_tick_and_their_batches_change_nothing(
    drawn: tuple[list[tuple[str, str, int]], list[int]], size: int
) -> None:
    some, order = drawn
    events = [usage(str(number), tenant, pool, (tokens, 0, tokens)) for number, (tenant, pool, tokens) in enumerate(some)]
    first, second = usage_meter(), usage_meter()
    first.observe(events)
    shuffled = [events[index] for index in order] + events
    for start in range(0, len(shuffled), size):
        second.observe(shuffled[start : start + size])
    assert first.tick(1, 100) == second.tick(1, 100)


@given(st.lists(st.one_of(st.integers(0, 12), events), max_size=50), st.integers(1, 4))
def test_every_event_of_the_window_is_counted_once_in_the_tick_after_it(log: list[int | UsageEvent], ticks: int) -> None:
    """Against a plain count: an event is new if no equally named one stands within the window."""
    meter = usage_meter(ticks=ticks)
    last, heard, pending = -1, Counter[tuple[str, str]](), []
    before: list[tuple[int, tuple[str, str]]] = []
    for offset, record in enumerate(log):
        if isinstance(record, UsageEvent):
            meter.observe([record])
            name = (record.tenant, record.id)
            if name not in pending and all(other != name for tick, other in before if tick > last - ticks):
                heard[(record.pool, record.tenant)] += 1
            pending.append(name)
            continue
        reports = meter.tick(record, offset + 1)
        assert (reports is None) == (record <= last)
        if reports is None:
            continue
        assert {(pool, tenant): requests for pool, _, tenant, requests, *_ in rows(reports)} == dict(heard)
        before += [(record, name) for name in pending]
        last, heard, pending = record, Counter(), []


def test_histograms_of_reports_merge_to_the_histogram_of_all() -> None:
    sheet, whole = LatencySheet(), Histogram()
    for number in range(500):
        sheet.add([latency(str(number), str(number % 7), ms=number * number)])
        whole.add(number * number)
    merged = Histogram()
    for report in sheet.take(NAME, 1):
        merged.merge(Histogram.of_entries(zip(report.bucket, report.count, strict=True)))
    assert merged == whole
