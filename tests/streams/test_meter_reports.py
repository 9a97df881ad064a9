"""The reader of meters' reports reads what fastavro reads, and says of cut or false bytes what is wrong with them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from fastavro import schemaless_reader, schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.avro import parsed
from schemas.journal import AdmissionSums, ClockTick, LatencySums, UsageSums
from schemas.model import Event
from streams.codecs import HEADER_BYTES, UnreadableRecord, decode, encode
from streams.meter_reports import HEAD, REPORTS, ReportReader

EDGES = sorted({sign * 2**bits + step for bits in range(64) for sign in (1, -1) for step in (-1, 0, 1)})
LONGS = st.integers(-200, 200) | st.sampled_from([edge for edge in EDGES if -(2**63) <= edge < 2**63])
TEXTS = st.text(max_size=3) | st.sampled_from(["x" * 63, "x" * 64, "é" * 40])


def written(schema: Any, value: Any) -> bytes:
    stream = io.BytesIO()
    schemaless_writer(stream, schema, value)
    return stream.getvalue()


def blocks(items: list[bytes], cuts: list[tuple[int, bool]]) -> bytes:
    """An Avro array of encoded items, cut into blocks of so many; whether each states its size."""
    found, at = b"", 0
    for many, sized in [*cuts, (len(items), False)]:
        block = items[at : at + many]
        at += many
        if block:
            body = b"".join(block)
            found += written("long", -len(block)) + written("long", len(body)) if sized else written("long", len(block))
            found += body
    return found + written("long", 0)


@st.composite
def reports(draw: st.DrawFn) -> tuple[type[Event], bytes]:
    """A model, and a record of it. Columns may differ in length: that is the engine's business."""
    model = draw(st.sampled_from(REPORTS))
    head = draw(st.tuples(TEXTS, TEXTS, LONGS, LONGS, LONGS))
    data = b"".join(written("string" if isinstance(each, str) else "long", each) for each in head)
    for name in list(model.model_fields)[len(HEAD) - 1 :]:
        kind, values = ("string", TEXTS) if name == "tenant" else ("long", LONGS)
        items = [written(kind, value) for value in draw(st.lists(values, max_size=4))]
        data += blocks(items, draw(st.lists(st.tuples(st.integers(1, 3), st.booleans()), max_size=2)))
    return model, header(model) + data


def header(model: type[Event]) -> bytes:
    return encode(empty(model))[:HEADER_BYTES]


def empty(model: type[Event]) -> Event:
    columns = {name: [] for name in model.model_fields if name not in HEAD}
    return model(pool="p", meter_topic="usage", meter_partition=0, tick=1, chunk=0, tenant=[], **columns)


def plain(event: Event) -> dict[str, Any]:
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in event.__dict__.items()}


@settings(max_examples=60)
@given(reports())
def test_a_report_is_read_as_fastavro_reads_it(report: tuple[type[Event], bytes]) -> None:
    model, data = report
    reader = ReportReader()
    expected = schemaless_reader(io.BytesIO(data[HEADER_BYTES:]), parsed(model), None)
    for _ in range(2):  # the second time its tenants are known
        event = reader.read(data)
        assert type(event) is model
        assert plain(event) == expected == decode(data).__dict__
        assert all(column.dtype == np.int64 for column in event.__dict__.values() if isinstance(column, np.ndarray))


@settings(max_examples=60)
@given(reports(), st.data())
def test_cut_and_lengthened_reports_are_refused(report: tuple[type[Event], bytes], data: st.DataObject) -> None:
    model, whole = report
    reader = ReportReader()
    if data.draw(st.booleans()):
        reader.read(whole)
    cut = data.draw(st.integers(HEADER_BYTES, len(whole) - 1))
    with pytest.raises(UnreadableRecord, match=f"Avro: {model.KIND}: cut after {cut} bytes"):
        reader.read(whole[:cut])
    with pytest.raises(UnreadableRecord, match=f"Avro: {model.KIND}: 3 numbers left over"):
        reader.read(whole + written("long", 2**40) + b"\0\0")
    assert plain(reader.read(whole)) == decode(whole).__dict__


@settings(max_examples=60)
@given(reports(), st.data())
def test_bytes_that_were_changed_are_read_as_fastavro_reads_them_or_refused(
    report: tuple[type[Event], bytes], data: st.DataObject
) -> None:
    _, whole = report
    at = data.draw(st.integers(HEADER_BYTES, len(whole) - 1))
    changed = whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at + 1 :]
    try:
        event = ReportReader().read(changed)
    except UnreadableRecord:
        return
    assert plain(event) == decode(changed).__dict__


HEAD_BYTES = b"".join([*(written("string", each) for each in ("p", "usage")), *(written("long", each) for each in (0, 7, 0))])
LONG_TOO_LONG = b"\xff" * 9 + b"\x02"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (HEAD_BYTES + written("long", 1) + written("long", -3), "a text of -3 bytes"),
        (HEAD_BYTES + written("long", 1) + written("long", 2) + b"\xff\xff\0" + b"\0" * 4, "'utf-8' codec can't decode"),
        (HEAD_BYTES + b"\0" + LONG_TOO_LONG, "a number has more than 64 bits"),
        (HEAD_BYTES + b"\0" + b"\x80" * 10 + b"\0", "a number has more than 64 bits"),
        (LONG_TOO_LONG, "a number has more than 64 bits"),
        (HEAD_BYTES + b"\0" * 4 + written("long", 2**62) + b"\0", "cut after"),
        (HEAD_BYTES + written("long", 2**62), "cut after"),
        (HEAD_BYTES, "cut after"),
        (HEAD_BYTES + b"\0", "cut after"),
        (b"", "cut after"),
    ],
)
def test_what_no_report_can_be_is_told(body: bytes, told: str) -> None:
    with pytest.raises(UnreadableRecord, match=f"Avro: usage_sums: {told}"):
        ReportReader().read(header(UsageSums) + body)


def test_others_are_read_as_ever_and_what_is_none_is_refused() -> None:
    tick = ClockTick(tick=1, tick_ms=1000, meter_partitions=1, grace_ticks=3)
    assert ReportReader().read(encode(tick)) == tick
    for data in (b"", b"\xc3\x01short", b"\xc3\x01" + bytes(20)):
        with pytest.raises(UnreadableRecord):
            ReportReader().read(data)


def test_tenants_of_one_meter_are_not_anothers() -> None:
    reader = ReportReader()
    for partition, tenants in ((0, ["a", "b"]), (1, ["c"]), (0, ["a", "b"]), (0, ["a"]), (1, ["c", "d"]), (0, ["a", "b"])):
        report = empty(UsageSums).model_copy(update={"meter_partition": partition, "tenant": tenants})
        assert reader.read(encode(report)).tenant == tenants


def test_only_usage_is_read_as_arrays() -> None:
    reader = ReportReader()
    for model in (LatencySums, AdmissionSums):
        assert reader.read(encode(empty(model))) == empty(model)
    assert isinstance(reader.read(encode(empty(UsageSums))).requests, np.ndarray)
