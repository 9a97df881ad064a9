"""`bourse bench`: a table, a file, and what it says when something is missing or fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra import cli
from infra.commands import bench

GOOD = """
from neighbour import ROW
def run(events: int = 5, repeats: int = 3):
    return [{**ROW, "value": events, "ratio": repeats}]
"""
ROW = {
    "name": "reading",
    "value": 0,
    "unit": "events/s",
    "baseline": "the driver alone",
    "baseline_value": 10,
    "ratio": 0,
    "goal": 0.5,
    "met": False,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    (folder / "neighbour.py").write_text(f"ROW = {ROW!r}\n")
    (folder / "bench_good.py").write_text(GOOD)
    monkeypatch.setattr(bench, "FOLDER", folder)
    monkeypatch.setenv("BOURSE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return folder


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", *arguments])
    return int(ended.value.code or 0)


def test_prints_a_table_and_writes_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    printed = capsys.readouterr().out
    assert "reading" in printed
    assert "missed" in printed
    (written,) = (folder.parent / "bench-results").glob("*.json")
    told = json.loads(written.read_text())
    assert told["rows"] == [{"benchmark": "good", **ROW, "value": 5, "ratio": 3}]
    assert told["failed"] == []


def test_a_quick_run_has_small_sizes(folder: Path, tmp_path: Path) -> None:
    assert run("good", "--quick", "--json", str(tmp_path / "x" / "figures.json")) == 0
    told = json.loads((tmp_path / "x" / "figures.json").read_text())
    assert (told["quick"], told["rows"][0]["ratio"]) == (True, bench.QUICK["repeats"])


def test_one_that_fails_does_not_cost_the_others(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bench_bad.py").write_text("def run():\n    raise RuntimeError('no such luck')\n")
    assert run("--json", str(tmp_path / "figures.json")) == 1
    told = json.loads((tmp_path / "figures.json").read_text())
    assert (told["failed"], len(told["rows"])) == (["bad"], 1)
    out, err = capsys.readouterr()
    assert "no such luck" in out
    assert "failed: bad" in err


def test_an_unknown_name_is_bad_usage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fast") == 2
    assert "one of good is expected" in capsys.readouterr().err


def test_without_a_checkout_it_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bench, "FOLDER", folder / "nowhere")
    assert run() == 1
    assert "checkout" in capsys.readouterr().err
