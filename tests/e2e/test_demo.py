"""`bourse demo` as a new user runs it: exit code 0 means that it counted and replayed, and nothing is left running."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra import processes
from infra.demo.shared_pool import ACTS, BURST, TENANTS

pytestmark = pytest.mark.e2e

TRACE = "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "".join(
    f"2023-11-16 18:15:{second:02d}.{part}000000,{100 + second},{10 + part}\n" for second in range(50) for part in range(0, 10, 2)
)


def test_a_trace_is_watched_counted_and_proved(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text(TRACE)
    home = tmp_path / "home"
    arguments = ["demo", "--trace", str(trace), "--speed", "10", "--seconds", "6", "--tenants", "3", "--period", "2"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BOURSE_")}
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli", *arguments],
        env={**environment, "BOURSE_HOME": str(home), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for kind in ("usage", "latency"):
        assert _events(done.stdout, "demo", kind) == ["250", "250", "0", "0", "0", "✓", "exact"]
    for kind in ("usage", "latency"):
        published, landed, *rest = _events(done.stdout, "demo-gpu", kind)
        assert published == landed != "0"
        assert rest == ["0", "0", "0", "✓", "exact"]
    assert done.stdout.count("✓ exact") == (2 + 2) + (3 + len(TENANTS)) + 1, "events and tenants of two pools; admissions"
    for tenant in TENANTS:
        requests, made, landed, *_ = _numbers(done.stdout, f"{tenant.name} ", "✓ exact")
        assert made == landed
        if tenant.rate:
            assert _numbers(done.stdout, f"{tenant.name} {tenant.tier} ", last=True)[0] == requests > 0, "each is served"
    assert "gateway: http://127.0.0.1:" in done.stdout
    assert f"; {ACTS[BURST].title}" in done.stdout
    assert "What the burst changed" in done.stdout
    assert "✗" not in done.stdout
    assert "utilisation" in done.stdout, "a line for each closed period"
    assert "byte for byte" in done.stdout
    assert "3 tenants trade, by 6 bots" in done.stdout
    trades = re.search(r"^([\d,]+) trades, ([\d,]+) tokens, ", done.stdout, re.MULTILINE)
    assert trades is not None, "each tenant idles in some period and lacks tokens in another"
    assert _numbers(done.stdout, "azure-00 sell idle + buy ahead")[:2] != [0, 0]
    tokens = [_numbers(done.stdout, start) for start in ("used within allocations", "used beyond allocations (unmet demand)")]
    assert [sum(column) for column in zip(*tokens, strict=True)][2] == 0, "trading moves tokens between the two"
    assert "no account was overdrawn" in done.stdout, "the audit"
    assert "bourse explain demo " in done.stdout
    assert not processes.of_home(home), "a clean stop"


def _events(text: str, pool: str, kind: str) -> list[str]:
    """The line of a pool's events of a kind, without these two."""
    (line,) = (words for words in (line.split() for line in text.splitlines()) if words[:2] == [pool, kind])
    return line[2:]


def _numbers(text: str, start: str, end: str = "", *, last: bool = False) -> list[int]:
    """Whole numbers of the line that begins and ends so (of several the last one), its spaces taken together."""
    lines = [
        line for line in (" ".join(line.split()) for line in text.splitlines()) if line.startswith(start) and line.endswith(end)
    ]
    assert len(lines) == 1 or (last and lines), lines
    return [int(word.replace(",", "")) for word in lines[-1].removeprefix(start).split() if re.fullmatch(r"[+-]?[\d,]+", word)]


def test_a_period_that_is_no_whole_number_of_ticks_is_refused_before_anything_starts(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli", "demo", "--period", "1"],
        env={**os.environ, "BOURSE_HOME": str(tmp_path / "home"), "BOURSE_TICK_MS": "3000"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "--period 1: not a whole number of ticks of 3000 ms" in done.stderr
    assert not (tmp_path / "home").exists()
