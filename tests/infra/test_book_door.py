"""`bourse book` as a program: the spec's examples, bad cases, and an answer before the next question."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from book_notation import operations
from typer.testing import CliRunner

from infra.doors import book_command

EXAMPLES = Path(__file__).parents[3] / "shared" / "spec" / "orderbook-examples.json"
ORDER = {"op": "new", "id": "b", "acct": "B", "side": "buy", "price": 100, "qty": 5}
RESTED = {"trades": [], "book": {"bids": [["b", 100, 5]], "asks": []}, "rejects": [], "cancels": []}


@pytest.fixture
def door():
    app = typer.Typer()
    app.command("book")(book_command)
    return lambda stdin: CliRunner().invoke(app, [], input=stdin)


def test_the_examples_of_the_specification(door):
    if not EXAMPLES.exists():
        pytest.skip("the specification's examples are not beside this project: ../shared/spec/orderbook-examples.json")
    cases = json.loads(EXAMPLES.read_text())
    result = door("".join(f"{json.dumps({'config': case['config'], 'ops': case['ops']})}\n" for case in cases).encode())
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert {case["id"]: answer for case, answer in zip(cases, answers, strict=True)} == {
        case["id"]: case["expect"] for case in cases
    }
    assert len(cases) >= 18


def ops(*changes, **common):
    return {"ops": [{**ORDER, **change} for change in changes], **common}


KNOWN = "'new', 'cancel', 'reduce', 'replace', 'clock', 'to_auction', 'uncross', 'close'"
BAD = [
    ({}, "ops: is missing"),
    ([1], "line: must be an object, got [1]"),
    ({"ops": {}}, "ops: must be a list, got {}"),
    ({"ops": [3]}, "ops[0]: must be an object, got 3"),
    ({"ops": [{}]}, "ops[0]: 'op' is missing"),
    ({"ops": [{"op": "amend"}]}, f"ops[0]: 'op' must be one of {KNOWN}, got 'amend'"),
    ({"ops": [ORDER, {"op": "clock", "t": 1.5}]}, "ops[1].t: must be an integer, got 1.5"),
    ({"ops": [{"op": "clock", "t": True}]}, "ops[0].t: must be an integer, got true"),
    ({"ops": [{"op": "clock"}]}, "ops[0].t: is missing"),
    ({"ops": [{"op": "uncross", "t": 1}]}, "ops[0].t: no such field"),
    ({"ops": [{"op": "cancel", "id": "b"}]}, "ops[0].acct: is missing"),
    ({"ops": [{"op": "reduce", "id": "b", "acct": "B", "by": None}]}, "ops[0].by: must be an integer, got null"),
    ({"ops": [{"op": "replace", "id": "b", "acct": "B", "qty": 1}]}, "ops[0].price: is missing"),
    (ops({"id": 7}), "ops[0].id: must be a string, got 7"),
    (ops({"id": ""}), "ops[0].id: must not be empty"),
    (ops({}, {"acct": None}), "ops[1].acct: must be a string, got null"),
    (ops({"side": "up"}), "ops[0].side: must be 'buy' or 'sell', got \"up\""),
    (ops({"qty": "5"}), 'ops[0].qty: must be an integer, got "5"'),
    (ops({"price": [5]}), "ops[0].price: must be an integer, got [5]"),
    (ops({"type": "stop"}), "ops[0].type: must be 'limit' or 'market', got \"stop\""),
    (ops({"tif": 3}), "ops[0].tif: must be a string, got 3"),
    (
        ops({"stp": "skip"}),
        "ops[0].stp: must be 'none', 'cancel_taker', 'cancel_maker', 'cancel_both' or 'decrement', got \"skip\"",
    ),
    (ops({"post_only": 1}), "ops[0].post_only: must be true or false, got 1"),
    (ops({"expire": "soon"}), 'ops[0].expire: must be an integer, got "soon"'),
    (ops({"postonly": True}), "ops[0].postonly: no such field"),
    (ops({}, config={"tick": 0}), "config.tick: must be at least 1, got 0"),
    (ops({}, config={"lot": 2.5}), "config.lot: must be an integer, got 2.5"),
    (ops({}, config={"pmax": 2**63}), "config.pmax: must be at most 9223372036854775807, got 9223372036854775808"),
    (ops({}, config={"phase": "halted"}), "config.phase: must be 'continuous' or 'auction', got \"halted\""),
    (ops({}, config={"tik": 1}), "config.tik: no such field"),
    (ops({"side": "up", "stp": 3}, config={"tick": 0}), "config.tick: must be at least 1, got 0 (and 2 more)"),
]


@pytest.mark.parametrize(("case", "message"), BAD, ids=[f"{row} {message.split(':')[0]}" for row, (_, message) in enumerate(BAD)])
def test_a_bad_case_names_field_and_value_and_the_next_is_answered(door, case, message):
    result = door(f"{json.dumps(case)}\n{json.dumps(ops({}))}\n".encode())
    assert result.exit_code == 0
    assert [json.loads(line) for line in result.stdout.splitlines()] == [{"error": message}, RESTED]


@pytest.mark.parametrize("line", [b"{", b"\xff\xfe", b'{"ops": []', b"nothing", b'"' + b"[" * 5000])
def test_what_is_not_json_is_answered_too(door, line):
    result = door(line + b"\n\n" + json.dumps(ops({})).encode())
    first, second = map(json.loads, result.stdout.splitlines())
    assert (result.exit_code, second) == (0, RESTED)
    assert first["error"].startswith("line: not JSON")


def test_what_may_be_left_out_may_be_null_and_what_is_not_ours_is_passed_over(door):
    optional = dict.fromkeys(("type", "tif", "post_only", "stp", "expire"))
    config = dict.fromkeys(("tick", "lot", "max_qty", "pmin", "pmax", "ref", "phase"))
    cases = [ops(optional, config=config, title="a name", expect={}), ops({}, config=None)]
    result = door("".join(json.dumps(case) + "\n" for case in cases).encode())
    assert [json.loads(line) for line in result.stdout.splitlines()] == [RESTED, RESTED]


def test_every_line_is_answered_before_the_next_is_asked():
    """Another program may ask line by line; each case begins with an empty book."""
    asked = [sys.executable, "-c", "from infra.cli import main; main(['book'])"]
    with subprocess.Popen(asked, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
        for text in ("buy b 100 5", "sell s 99 1; buy b 100 6"):
            process.stdin.write(json.dumps({"ops": operations(text)}).encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["book"]["bids"] == [["b", 100, 5]]
        process.stdin.close()
        assert process.wait(timeout=60) == 0
