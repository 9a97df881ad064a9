"""Records of ours: what is written is read again, byte for byte as Avro says, in every type there is."""

import contextlib
import io
from enum import StrEnum
from typing import Any

import pytest
from fastavro import schemaless_reader, schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.avro import avro_fingerprint, parsed, record
from schemas.catalogue import EVENTS
from schemas.evolution import registry
from schemas.facts import Forecasts
from schemas.model import Event
from schemas.published import Budget, Forecaster, Policy, PoolCommand, ProfileCommand, Tier, UsageEvent
from schemas.shape import Shape, shapes
from streams.codecs import HEADER_BYTES, MAGIC, UnreadableRecord, build, decode, encode

LONGS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
SCALARS: dict[type, st.SearchStrategy[Any]] = {bool: st.booleans(), int: LONGS, str: TEXTS, bytes: st.binary(max_size=20)}


def _values(shape: Shape) -> st.SearchStrategy[Any]:
    if issubclass(shape.base, Event):
        values: st.SearchStrategy[Any] = _events(shape.base)
    elif issubclass(shape.base, StrEnum):
        values = st.sampled_from(list(shape.base))
    else:
        values = next(each for kind, each in SCALARS.items() if issubclass(shape.base, kind))
    if shape.listed:
        values = st.lists(values | st.none() if shape.item_nullable else values, max_size=8)
    return values | st.none() if shape.nullable else values


def _events(model: type[Event]) -> st.SearchStrategy[Event]:
    return st.fixed_dictionaries({shape.name: _values(shape) for shape in shapes(model)}).map(
        lambda fields: build(model, _plain(fields))
    )


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields in which the events have become theirs."""
    return {name: _members(value) for name, value in fields.items()}


def _members(value: Any) -> Any:
    if isinstance(value, list):
        return [_members(each) for each in value]
    return _plain(value.__dict__) if isinstance(value, Event) else value


@pytest.mark.parametrize("kind", list(EVENTS))
def test_every_type_comes_back_as_it_was(kind: str) -> None:
    @settings(max_examples=25, deadline=None)
    @given(event=_events(EVENTS[kind]))
    def holds(event: Event) -> None:
        data = encode(event)
        found = decode(data)
        assert type(found) is type(event)
        assert found == event
        assert encode(found) == data
        assert data[:HEADER_BYTES] == MAGIC + avro_fingerprint(record(type(event)))
        plain = _plain(event.__dict__)
        stream = io.BytesIO()
        schemaless_writer(stream, parsed(type(event)), plain)
        assert data[HEADER_BYTES:] == stream.getvalue()
        assert schemaless_reader(io.BytesIO(data[HEADER_BYTES:]), parsed(type(event)), None) == plain

    holds()


def test_long_columns_with_and_without_nulls() -> None:
    numbers: list[int | None] = [None if index % 3 == 0 else (-1) ** index * 7**index % 2**62 for index in range(2000)]
    for p50 in (numbers, [None] * 2000, [0] * 2000, [5], [None], []):
        fields = {name: [1] * len(p50) for name in ("mean", "p90", "p99")} | {"tenant": ["t"] * len(p50), "p50": p50}
        event = Forecasts.model_construct(
            pool="p", journal_offset=1, fact_index=2, period=3, period_start=4, forecaster=next(iter(Forecaster)), **fields
        )
        stream = io.BytesIO()
        schemaless_writer(stream, parsed(Forecasts), event.__dict__)
        assert encode(event)[HEADER_BYTES:] == stream.getvalue()
        assert decode(encode(event)) == event


def test_what_is_read_is_a_full_model() -> None:
    command = ProfileCommand.model_validate(
        {
            "id": "c",
            "pool": "p",
            "tenant": "t",
            "base": 1,
            "elasticity": "2.5",
            "budget": {"amount": 5, "window_s": 60},
            "tier": "spot",
        }
    )
    found = decode(encode(command))
    assert isinstance(found, ProfileCommand)
    assert found.tier is Tier.SPOT
    assert isinstance(found.budget, Budget)
    assert found.elasticity == 2_500_000
    assert hash(found) == hash(command)
    assert found.model_dump_json() == command.model_dump_json()
    assert found.model_copy(update={"base": 2}).base == 2
    with pytest.raises(ValueError, match="frozen"):
        found.base = 3


USAGE = UsageEvent(time=1, source="s", id="i", tenant="t", pool="p", input_tokens=1, output_tokens=2)
POOL = PoolCommand(id="c", pool="p", capacity=1)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not in single-object encoding"),
        (b"{}", "not in single-object encoding: 7b7d"),
        (encode(USAGE)[:9], "not in single-object encoding"),
        (MAGIC + b"12345678", "unknown schema fingerprint 3132333435363738"),
        (encode(USAGE)[:-1], "Avro: "),
        (encode(USAGE) + b"\x00", "Avro: 1 bytes left over"),
        (encode(POOL).replace(b"seed", b"luck"), "policy: 'luck' is not a valid Policy"),
    ],
)
def test_what_is_no_record_of_ours(data: bytes, said: str) -> None:
    assert Policy.SEED.encode() in encode(POOL)
    with pytest.raises(UnreadableRecord, match=said):
        decode(data)


@settings(max_examples=300, deadline=None)
@given(model=st.sampled_from(list(EVENTS.values())), body=st.binary(max_size=60))
def test_arbitrary_bytes_are_a_record_or_unreadable(model: type[Event], body: bytes) -> None:
    with contextlib.suppress(UnreadableRecord):  # anything else fails the test
        encode(decode(MAGIC + avro_fingerprint(record(model)) + body))


def test_fingerprints_tell_all_types_apart() -> None:
    assert len({avro_fingerprint(record(model)) for model in EVENTS.values()}) == len(EVENTS)
    assert {written.kind for written in registry().values()} == set(EVENTS)
