"""Scaling simulated: the engine's own decisions over a load that jumps, beside the rule that goes by use; figures and picture."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from infra.commands import simulate as command
from infra.simulate import scaling
from infra.simulate.machine import SEQUENCES
from infra.simulate.scaling import TICK_S, Course, Load, Scalings, load_of
from infra.simulate.scaling_plot import scaling_picture
from infra.simulate.scaling_report import scaling_figures, scaling_table, waits_of

TRACE = Path("../shared/data/azure-llm-2023-conv.csv")
REPLICA = TICK_S * SEQUENCES
"""Work of a replica in a tick."""


def load(*replicas: tuple[float, float], promised: float) -> Load:
    """Replicas' work that a guaranteed tenant and an elastic one bring, tick by tick; 100 tokens per second of a sequence."""
    work = np.array(replicas) * REPLICA
    guaranteed = np.array([True, False])
    base = np.array([promised * SEQUENCES * 100, 0.0])
    return Load("made up", ("gold", "ann"), work / 2, work, work * 100, guaranteed, base)


@pytest.fixture(scope="module")
def outcome() -> Scalings:
    quiet, burst = [(0.2, 1.0)] * 120, [(4.5, 1.0)] * 60
    return scaling.simulate(load(*quiet, *burst, promised=5), start_s=120)


def test_promises_are_there_before_they_are_used_and_use_comes_too_late(outcome: Scalings) -> None:
    figures = scaling_figures(outcome)
    ours, by_use = figures["promises"], figures["use 50 %"]
    assert (outcome.promised, ours["hours_below_promised"]) == (5, 0)
    assert ours["guaranteed"]["in_time"] == ours["others"]["in_time"] == 1
    assert by_use["hours_below_promised"] > 0.2
    assert by_use["guaranteed"]["longest_wait_s"] > 30
    assert by_use["guaranteed"]["in_time"] < 1
    assert max(outcome.courses["promises"].paid) <= 12, "demand that comes and stays is not run after for ever"
    assert scaling_table(figures).row_count == 5


def test_waits_are_the_distance_between_what_came_and_what_was_served() -> None:
    course = Course(served=[(0.0, REPLICA), (0.0, 2 * REPLICA), (0.0, 3 * REPLICA), (0.0, 4 * REPLICA)])
    waits, requests = waits_of(load((0, 2), (0, 2), (0, 0), (0, 0), promised=0), course, 1)
    assert waits[:2].tolist() == pytest.approx([TICK_S / 2, TICK_S * 1.5])
    assert requests.tolist() == [REPLICA, REPLICA, 0, 0]


def test_a_picture(outcome: Scalings, tmp_path: Path) -> None:
    two = replace(outcome, courses={name: outcome.courses[name] for name in ("promises", "use 50 %")})  # 1 s of drawing each
    scaling_picture(two, scaling_figures(two), tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")
    json.dumps(scaling_figures(outcome))


def test_a_trace_is_scaled_to_the_mean_load() -> None:
    if not TRACE.is_file():
        pytest.skip(f"{TRACE} is missing")
    found = load_of(TRACE)
    assert found.work.sum() / (REPLICA * found.work.shape[0]) == pytest.approx(scaling.MEAN_REPLICAS)
    assert found.guaranteed.sum() == len(found.tenants) // 3
    assert (found.tokens.sum(axis=0)[:-1] >= found.tokens.sum(axis=0)[1:]).all()
    assert (found.base[~found.guaranteed] == 0).all()


def test_no_trace_is_said(tmp_path: Path) -> None:
    said = CliRunner().invoke(command.simulate, ["scaling", "--trace", str(tmp_path / "none.csv")])
    assert "no such file" in str(said.exception)
