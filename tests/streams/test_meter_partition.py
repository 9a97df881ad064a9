"""A meter's partition over a simulated log: bad records around good ones, what a tick sends, forwarding, notes."""

from __future__ import annotations

import json

import pytest
from meter_log import START, TICK_MS, event, log_of, meter, surroundings, tick, tick_value, told

from processors.metering import ORIGINS_KEPT, PART_LIMIT, MeterNote
from schemas.dead_letters import DeadLetter, Problem
from schemas.fact import CHUNK_ROWS
from schemas.journal import AdmissionSums, LatencySums, MeterMark, UsageSums
from schemas.units import MAX_TOKENS
from streams.codecs import decode, encode
from streams.partitioning import home_partition
from streams.roles.meter_partition import Safe, dump_note, load_note
from streams.ticks import TICK_HEADER
from streams.transport import Outgoing

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
