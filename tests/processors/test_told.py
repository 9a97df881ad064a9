"""Columns as they were decided: the bytes of lists, in facts of few rows and of many, and slots of whoever told the names."""

import numpy as np
import pytest

from processors.stamping import Stamp
from processors.tenants import NO_CAP, Tenants
from processors.told import Longs, OptionalLongs, whole
from schemas.loop_facts import SlaMeasured
from streams.codecs import decode, encode


def told_by(tenants: Tenants, number: int, values: np.ndarray) -> SlaMeasured:
    fields = dict.fromkeys(SlaMeasured.model_fields.keys() - {"pool", "journal_offset", "fact_index"}, Longs(values))
    optional = dict.fromkeys(("sla_ms", "latency_ms", "latency_upper_ms", "reference"), OptionalLongs(values))
    names = {"tenant": tenants.named(np.arange(number))}
    return Stamp(0).fact(SlaMeasured, "llm", **fields | optional | names | {"period": 1, "period_start": 0, "quantile": 990_000})


@pytest.mark.parametrize("number", [1, 5, 40])
@pytest.mark.parametrize("wide", [0, 2**60])
@pytest.mark.parametrize("none", ["nobody", "some", "all"])
def test_columns_are_written_and_read_as_lists_are(number, wide, none):
    tenants = Tenants()
    tenants.slots_of(f"tenant-{at}" for at in range(number))
    values = np.arange(number) * 300 + wide
    values[{"nobody": slice(0), "some": slice(0, None, 2), "all": slice(None)}[none]] = NO_CAP
    fact = told_by(tenants, number, values)
    lists = {name: list(column) for name, column in fact.__dict__.items() if isinstance(column, list)}
    assert encode(fact) == encode(fact) == encode(fact.model_copy(update=lists))
    assert decode(encode(fact)) == fact
    assert (whole(fact.reference) == values).all()
    assert (whole(list(fact.reference)) == values).all()


def test_names_are_looked_up_by_whoever_did_not_tell_them():
    here, there = Tenants(), Tenants()
    here.slots_of(["a", "b", "c"])
    there.slots_of(["c", "b", "a"])
    names = here.named(np.array([2, 0]))
    assert names == ["c", "a"]
    assert here.named(np.array([2, 0])) is names
    assert here.slots_of(names).tolist() == [2, 0]
    assert there.slots_of(names).tolist() == [0, 2]
    here.replace_all(["a", "c"], {name: here[name][:2] for name in here.columns})
    assert here.slots_of(names).tolist() == [1, 0]
