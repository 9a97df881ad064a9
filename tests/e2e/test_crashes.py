"""Kill -9 of every kind of process under load: counts and sums stay exact, and the replay agrees."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

import pytest
from torture import KINDS, Torture

KILLS = 20


def seed() -> int:
    """Of this run; `BOURSE_TEST_SEED` repeats one."""
    return int(os.environ.get("BOURSE_TEST_SEED") or secrets.randbelow(2**32))


def run(home: Path, kills: int) -> Torture:
    chosen = seed()
    print(f"\nBOURSE_TEST_SEED={chosen}, {kills} kills", flush=True)
    began = time.monotonic()
    torture = Torture(
        home, kills=kills, seed=chosen, tell=lambda text: print(f"[{time.monotonic() - began:6.1f}] {text}", flush=True)
    )
    torture.run()
    return torture


@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_kill_every_process_under_load(tmp_path: Path) -> None:
    torture = run(tmp_path / "home", KILLS)
    assert sum(torture.killed.values()) >= 20
    assert all(torture.killed[kind] >= 2 for kind in KINDS), torture.killed


@pytest.mark.torture
@pytest.mark.timeout(0)
@pytest.mark.skipif("BOURSE_TORTURE_KILLS" not in os.environ, reason="`make torture N=200` runs it")
def test_kill_as_often_as_asked(tmp_path: Path) -> None:
    run(tmp_path / "home", int(os.environ["BOURSE_TORTURE_KILLS"]))
