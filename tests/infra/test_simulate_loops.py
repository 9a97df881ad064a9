"""The loops that move bases, closed over queues and days by the engine itself, and the command."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from infra.commands import simulate as command
from infra.simulate import loop_report, rebalance, sla


@pytest.fixture(scope="module")
def looped() -> dict:
    return loop_report.sla_figures(sla.simulate(seed=5, periods=110))


def test_a_step_of_load_is_met_with_what_it_needs(looped) -> None:
    step = looped["step"]
    assert step["breached_without"] == 90, "all periods from the step on"
    assert step["breached"] < 30
    assert 2_000 <= step["last_boost"] <= step["largest_boost"] <= 5_000
    assert step["turns"] <= 6
    assert step["not_token_bound"] == 0


def test_where_tokens_do_not_help_they_go_back_and_it_is_said(looped) -> None:
    unbound = looped["unbound"]
    assert unbound["not_token_bound"] == 2
    assert unbound["last_boost"] == 0
    assert unbound["boosted_periods"] < 25


def test_bases_come_to_rest_at_what_is_needed() -> None:
    outcome = rebalance.simulate(seed=5, hours=72)
    figures = loop_report.rebalance_figures(outcome)
    assert figures["sums"] == [28_000]
    assert figures["short_after"] < figures["short_before"] / 5
    assert not any(outcome.moved[48:]), "constant needs: it stops"
    assert not any(outcome.moved[:23]), "less than a day says nothing"
    floors = [tenant.floor for tenant in rebalance.TENANTS]
    assert all(base >= floor for bases in outcome.bases for base, floor in zip(bases, floors, strict=True))
    assert figures["tenants"]["under contract"]["base"] == 7_000


def test_the_commands_write_figures_and_pictures(tmp_path) -> None:
    for name, length in (("sla", ["--periods", "30"]), ("rebalance", ["--hours", "48"])):
        files = {option: tmp_path / f"{name}.{option}" for option in ("json", "png")}
        said = CliRunner().invoke(command.simulate, [name, *length, "--json", str(files["json"]), "--plot", str(files["png"])])
        assert said.exit_code == 0, said.output
        assert json.loads(files["json"].read_text())["seed"] == 1
        assert files["png"].read_bytes().startswith(b"\x89PNG")
