"""`bourse book --engine`: which engine answers, and that nobody can tell from the answers."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer
from book_world import BOOKS, OPS
from hypothesis import given, settings
from typer.testing import CliRunner

from infra.doors import book_command
from processors.orderbook import engines
from processors.orderbook.door import Case, answer
from processors.orderbook.engines import Engine

EXAMPLES = Path(__file__).parents[3] / "shared" / "spec" / "orderbook-examples.json"
COMPILED = pytest.mark.skipif(find_spec("numba") is None, reason="the compiled book needs numba: extra `fast`")
ORDER = {"op": "new", "id": "b", "acct": "B", "side": "buy", "price": 100, "qty": 5}


def ask(*options, stdin):
    app = typer.Typer()
    app.command("book")(book_command)
    return CliRunner().invoke(app, list(options), input=stdin)


@COMPILED
def test_the_examples_of_the_specification_by_the_compiled_engine():
    if not EXAMPLES.exists():
        pytest.skip("the specification's examples are not beside this project: ../shared/spec/orderbook-examples.json")
    cases = json.loads(EXAMPLES.read_text())
    stdin = "".join(f"{json.dumps({'config': case['config'], 'ops': case['ops']})}\n" for case in cases)
    result = ask("--engine", "compiled", stdin=stdin)
    assert result.exit_code == 0
    assert [json.loads(line) for line in result.stdout.splitlines()] == [case["expect"] for case in cases]


@COMPILED
@settings(max_examples=150)
@given(config=BOOKS, ops=OPS)
def test_nobody_can_tell_the_engines_apart(config, ops):
    case = Case.model_validate({"config": config, "ops": ops}, strict=False)
    assert json.dumps(answer(case, Engine.COMPILED)) == json.dumps(answer(case, Engine.READABLE))


@COMPILED
def test_a_time_beyond_64_bits_is_answered_all_the_same():
    line = json.dumps({"ops": [{**ORDER, "tif": "GTD", "expire": 2**70}, {"op": "clock", "t": 2**69}, {"op": "clock", "t": 2**71}]})
    compiled, readable = (ask("--engine", engine, stdin=line + "\n").stdout for engine in ("compiled", "readable"))
    assert compiled == readable
    assert json.loads(compiled)["cancels"] == [["b", 5, "expired"]]


def test_without_its_compiler_the_compiled_engine_is_refused_and_the_readable_one_answers(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)  # as if it were not installed
    monkeypatch.setattr(engines, "_MANY", 1)
    line = json.dumps({"ops": [ORDER]}) + "\n"
    refused = ask("--engine", "compiled", stdin=line)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "pip install 'tokenbourse[fast]'" in refused.stderr
    assert json.loads(ask(stdin=line).stdout)["book"] == {"bids": [["b", 100, 5]], "asks": []}


@COMPILED
@pytest.mark.parametrize(("count", "other"), [(2, "_compiled"), (3, "_readable")])
def test_the_compiled_engine_answers_where_it_is_sooner_done(monkeypatch, count, other):
    monkeypatch.setattr(engines, "_MANY", 3)
    monkeypatch.setattr(engines, other, None)  # nobody may call it
    result = ask(stdin=json.dumps({"ops": [{**ORDER, "id": str(n)} for n in range(count)]}) + "\n")
    assert (result.exit_code, len(json.loads(result.stdout)["book"]["bids"])) == (0, count)


def test_an_unknown_engine_is_told():
    refused = ask("--engine", "rust", stdin="")
    assert refused.exit_code == 2
    assert "rust" in refused.stderr
