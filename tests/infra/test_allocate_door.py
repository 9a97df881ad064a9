"""`bourse allocate` as a program: lines in, lines out, arrays in, arrays out, and never a traceback."""

import io
import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from infra.doors import allocate_command

EXAMPLE = {
    "policy": "seed",
    "capacity": 1000,
    "base_price": 1,
    "reserve_price": 1,
    "tenants": [{"id": "a", "base": 100, "elasticity": 2000000, "demand": 300, "budget_left": 500, "weight": 1}],
}
ANSWER = '{"price": 1, "allocations": {"a": {"base": 100, "surplus": 400, "charge": 500}}, "unallocated": 500, "shortfall": {}}'


@pytest.fixture
def door():
    app = typer.Typer()
    app.command("allocate")(allocate_command)
    return lambda *arguments, stdin=b"": CliRunner().invoke(app, list(arguments), input=stdin)


def changed(**changes):
    return {**EXAMPLE, **changes}


def tenants(*changes):
    return changed(tenants=[{**EXAMPLE["tenants"][0], **each} for each in changes])


def without(field):
    return changed(tenants=[{name: value for name, value in EXAMPLE["tenants"][0].items() if name != field}])


def test_the_specification_s_example(door):
    result = door(stdin=json.dumps(EXAMPLE).encode())
    assert (result.exit_code, result.stdout) == (0, ANSWER + "\n")


BAD = [
    (tenants({"base": -5}), "tenants[0].base: must be at least 0, got -5"),
    (tenants({}, {"id": "b", "demand": 1.5}), "tenants[1].demand: must be an integer, got 1.5"),
    (tenants({"elasticity": "2.5"}), 'tenants[0].elasticity: must be an integer, got "2.5"'),
    (tenants({"weight": True}), "tenants[0].weight: must be an integer, got true"),
    (tenants({"weight": None}), "tenants[0].weight: must be an integer, got null"),
    (tenants({"demand": 2**63}), "tenants[0].demand: must be at most 9223372036854775807, got 9223372036854775808"),
    (
        tenants({"budget_left": -(2**63) - 1}),
        "tenants[0].budget_left: must be at least -9223372036854775808, got -9223372036854775809",
    ),
    (tenants({"budgetleft": 5}), "tenants[0].budgetleft: no such field"),
    (tenants({"id": ""}), "tenants[0].id: must not be empty"),
    (tenants({"id": 7}), "tenants[0].id: must be a string, got 7"),
    (tenants({}, {"id": "b"}, {}), "tenants[2].id: 'a' is tenants[0].id already"),
    (without("base"), "tenants[0].base: is missing"),
    (without("id"), "tenants[0].id: is missing"),
    (changed(capacity=-1, base_price=-1), "capacity: must be at least 0, got -1 (and 1 more)"),
    (changed(tenants={}), "tenants: must be a list, got {}"),
    (changed(tenants=[3]), "tenants[0]: must be an object, got 3"),
    (changed(policy="lottery"), "policy: unknown policy 'lottery', known are seed, uniform_price, max_min, proportional"),
    (changed(policy=None), "policy: must be a string, got null"),
    ([1], "line: must be an object, got [1]"),
]


@pytest.mark.parametrize(
    ("case", "message"), BAD, ids=[message.split(":")[0] + " " + str(row) for row, (_, message) in enumerate(BAD)]
)
def test_a_bad_case_names_field_and_value_and_the_next_is_answered(door, case, message):
    result = door(stdin=f"{json.dumps(case)}\n{json.dumps(EXAMPLE)}\n".encode())
    first, second = result.stdout.splitlines()
    assert (result.exit_code, json.loads(first), second) == (0, {"error": message}, ANSWER)


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b'{"policy": "seed"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"capacity": ' + b"9" * 10_000 + b"}",
        b'{"tenants": [{"id": "\\ud800"}]}',
        b'{"capacity": NaN, "base_price": 1e400, "reserve_price": -Infinity}',
        b"\x00",
    ],
    ids=["words", "truncated", "not UTF-8", "deep", "long number", "half a surrogate", "no numbers", "NUL"],
)
def test_a_line_that_is_not_json_is_an_error_and_the_next_is_answered(door, line):
    result = door(stdin=line + b"\n\n   \n" + json.dumps(EXAMPLE).encode())
    first, second = result.stdout.splitlines()
    assert (result.exit_code, second) == (0, ANSWER)
    assert list(json.loads(first)) == ["error"]


def test_defaults_and_fields_of_others(door):
    bare = {"id": "a", "base": 0, "elasticity": 0, "demand": 10}
    case = {"name": "no cap, weight 1", **changed(policy="max_min", capacity=6, tenants=[bare, {**bare, "id": "b", "weight": 2}])}
    reply = json.loads(door(stdin=json.dumps(case).encode()).stdout)
    assert {name: got["surplus"] for name, got in reply["allocations"].items()} == {"a": 2, "b": 4}


def packed(**arrays):
    content = io.BytesIO()
    np.savez(content, **{name: np.asarray(value) for name, value in arrays.items()})
    return content.getvalue()


POOL = {
    "policy": "seed",
    "capacity": 1000,
    "base_price": 1,
    "reserve_price": 1,
    "base": [100, 50],
    "elasticity": [2_000_000, 0],
    "demand": [300, 0],
    "budget_left": [500, -1],
}


def test_arrays_from_files_and_streams(door, tmp_path):
    # 400 as in the example; the 450 left go to the tenant without a cap.
    source, target = tmp_path / "in.npz", tmp_path / "out"
    source.write_bytes(packed(**POOL))
    assert door("--npz", str(source), str(target)).exit_code == 0
    with (
        np.load(target, allow_pickle=False) as written,
        np.load(io.BytesIO(door("--npz", stdin=packed(**POOL)).stdout_bytes)) as piped,
    ):
        for answer in (written, piped):
            assert {name: answer[name].tolist() for name in answer} == {
                "price": 1,
                "base": [100, 50],
                "surplus": [400, 450],
                "charge": [500, 500],
                "shortfall": [0, 0],
                "unallocated": 0,
            }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base": [1.5, 2]}, "base: must be integers, got float64"),
        ({"base": [[1], [2]]}, "base: must have one dimension, got shape (2, 1)"),
        ({"demand": [1]}, "demand: must have one value per tenant (2), got shape (1,)"),
        ({"demand": [1, -7]}, "demand[1]: must not be negative, got -7"),
        ({"budget_left": [-2, 0]}, "budget_left[0]: must be at least -1 (no cap; write 0 for overspent), got -2"),
        ({"weight": np.array([2**63, 1], np.uint64)}, "weight: must be at most 9223372036854775807, got 9223372036854775808"),
        ({"capacity": [1, 2]}, "capacity: must be one number, got shape (2,)"),
        ({"policy": 3}, "policy: must be one string, got int64 of shape ()"),
        ({"policy": "lottery"}, "policy: unknown policy 'lottery', known are seed, uniform_price, max_min, proportional"),
        ({"base_price": 2**62}, "charge[0]: 461168601842738790400 nanocredits do not fit 2^63-1"),
    ],
)
def test_bad_arrays_are_named_and_nothing_is_written(door, tmp_path, changes, message):
    target = tmp_path / "out.npz"
    result = door("--npz", "-", str(target), stdin=packed(**{**POOL, **changes}))
    assert (result.exit_code, result.stderr.strip(), target.exists()) == (2, message, False)


def test_what_is_no_archive_is_said_to_be_none(door, tmp_path):
    assert "missing.npz" in door("--npz", str(tmp_path / "missing.npz")).stderr
    assert "not an .npz archive" in door("--npz", stdin=b"PK, but no zip").stderr
    no_policy = packed(**{name: value for name, value in POOL.items() if name != "policy"})
    assert door("--npz", stdin=no_policy).stderr == "policy: is missing\n"
    assert "allow_pickle" in door("--npz", stdin=packed(**{**POOL, "base": np.array([object(), None])})).stderr


def test_file_names_without_npz_are_a_usage_error(door):
    assert door("cases.jsonl").exit_code == 2
