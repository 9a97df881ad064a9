"""Columns written at once: the same bytes as fastavro's, whatever is in them."""

import io
import struct

import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import given
from hypothesis import strategies as st

from processors.demand import QUANTILES
from schemas.facts import Forecasts
from schemas.published import Forecaster
from streams.codecs import MANY, decode, encode
from streams.columns import longs, optional_longs, texts

EDGES = [sign * (2**bits + off) for bits in (0, 6, 7, 13, 14, 20, 27, 28, 34, 55, 56, 62) for sign in (1, -1) for off in (-1, 0)]
LONGS = st.sampled_from([*EDGES, 2**63 - 1, -(2**63)]) | st.integers(0, 300)
SMALL = st.integers(-(2**20), 2**20)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=4) | st.text("az", min_size=60, max_size=68)


def written(items: object, values: list[object]) -> bytes:
    stream = io.BytesIO()
    schemaless_writer(stream, parse_schema({"type": "array", "items": items}), values)
    return stream.getvalue()


@given(st.lists(LONGS, max_size=70) | st.lists(SMALL, max_size=200))
def test_longs_as_fastavro_writes_them(values):
    assert longs(values) == written("long", values)


@given(st.lists(LONGS | st.none(), max_size=70) | st.lists(SMALL, max_size=70) | st.lists(st.none(), max_size=70))
def test_longs_that_may_be_null(values):
    assert optional_longs(values) == written(["null", "long"], values)


@given(st.lists(TEXTS, max_size=70) | st.builds(lambda text, many: [text] * many, TEXTS, st.integers(0, 70)))
def test_texts(values):
    assert texts(values) == written("string", values)


@pytest.mark.parametrize("value", [1.0, "1", None, 2**63, -(2**63) - 1])
def test_what_is_no_long_is_refused(value):
    with pytest.raises(struct.error):
        longs([1, value])


def test_a_number_is_no_text():
    with pytest.raises(TypeError):
        texts(["a", 1])


@pytest.mark.parametrize("rows", [MANY - 1, MANY])
def test_records_of_few_rows_and_of_many_are_read_alike(rows):
    levels = {name: [None, *range(rows - 1)] for name in QUANTILES}
    fact = Forecasts(
        pool="p",
        journal_offset=1,
        fact_index=0,
        period=2,
        period_start=3,
        forecaster=Forecaster.MIXTURE,
        tenant=[f"t{at}" for at in range(rows)],
        mean=list(range(rows)),
        **levels,
    )
    assert decode(encode(fact)) == fact
