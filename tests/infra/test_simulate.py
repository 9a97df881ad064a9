"""The two experiments on short runs, with the goals of token pools as assertions; workloads, controls and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from infra.cli import main
from infra.commands import simulate as command
from infra.simulate import fairness, measure, overload, report
from infra.simulate.controls import RateLimit, Uncontrolled
from infra.simulate.machine import Machine
from infra.simulate.saturated import saturated
from infra.simulate.workloads import Request, Trace, arrivals, bursts, generator, merged, read, rising, steady
from infra.simulate.world import End, Scenario, World

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
AZURE, SERVEGEN = DATA / "azure-llm-2023-conv.csv", DATA / "servegen-m-small.parquet"
needs_data = pytest.mark.skipif(not AZURE.is_file(), reason="the traces of ../shared/data are not there")


@pytest.fixture(scope="module")
def overloaded() -> tuple[overload.Overload, report.Figures]:
    outcome = overload.simulate(seed=3, seconds=200)
    return outcome, report.overload_figures(outcome)


@pytest.fixture(scope="module")
def shared() -> tuple[fairness.Fairness, report.Figures]:
    outcome = fairness.simulate(seed=3, seconds=900)
    return outcome, report.fairness_figures(outcome)


# Overload.


def test_token_pools_hold_the_guaranteed_latency_and_keep_the_replica_busy(overloaded) -> None:
    pools, none = overloaded[1]["token_pools"], overloaded[1]["none"]
    assert pools["guaranteed_p99_ratio"] <= 1.2
    assert pools["throughput_tokens_s"] >= 0.95 * none["throughput_tokens_s"]
    assert pools["guaranteed"]["served"] == overloaded[1]["unloaded"]["guaranteed_requests"]
    assert pools["spot"]["served"] > 0
    assert pools["spot"]["gave_up"] > 0  # it was throttled


def test_without_control_latency_grows_with_the_length_of_the_run(overloaded) -> None:
    shorter = report.overload_figures(overload.simulate(seed=3, seconds=100))
    short, long = (one["none"]["guaranteed_p99_ms"] for one in (shorter, overloaded[1]))
    assert short > 10 * shorter["unloaded"]["guaranteed_p99_ms"]
    assert long > 1.5 * short
    assert shorter["token_pools"]["guaranteed_p99_ms"] == pytest.approx(overloaded[1]["token_pools"]["guaranteed_p99_ms"], rel=0.2)


def test_rate_limits_count_requests_and_miss_their_size(overloaded) -> None:
    assert overloaded[1]["rate_limit"]["guaranteed_p99_ratio"] > 1.5 * overloaded[1]["token_pools"]["guaranteed_p99_ratio"]


def test_dedicated_endpoints_strand_capacity(overloaded) -> None:
    dedicated = overloaded[1]["dedicated"]
    assert dedicated["guaranteed_p99_ratio"] == 1.0
    assert dedicated["replicas"] == 2
    assert 0.2 < dedicated["stranded_share"] < 0.5
    assert dedicated["stranded_tokens_s"] > 1000
    assert dedicated["utilisation"] < overloaded[1]["token_pools"]["utilisation"]


def test_every_control_saw_the_same_requests_and_accounts_for_all(overloaded) -> None:
    outcome, figures = overloaded
    for name, run in outcome.runs.items():
        assert [one.request for one in run.outcomes] == [one.request for one in outcome.runs["none"].outcomes]
        for tenant in ("guaranteed", "spot"):
            ends = sum(figures[name][tenant][str(end)] for end in End)
            assert ends == sum(one.request.tenant == overload.TENANTS.index(tenant) for one in run.outcomes)
        assert all(one.ended_us >= one.first_token_us >= one.request.at_us for one in run.outcomes if one.end is End.SERVED)
        assert all(a <= b for before, after in zip(run.moments, run.moments[1:], strict=False)
                   for a, b in zip(before.tokens, after.tokens, strict=True))  # fmt: skip
        assert 0 < measure.utilisation(run) <= 1


def test_the_figures_have_the_keys_that_others_rely_on(overloaded, shared) -> None:
    keys = {"guaranteed_p99_ms", "guaranteed_p99_ratio", "spot_p99_ms", "throughput_tokens_s", "utilisation"}
    assert all(keys <= overloaded[1][name].keys() for name in ("token_pools", "none", "rate_limit", "dedicated"))
    for name in ("debt", "no_debt"):
        assert {"tenants", "worst_share_error", "jain", "converged_s"} <= shared[1][name].keys()
        assert all({"entitled_share", "got_share"} <= row.keys() for row in shared[1][name]["tenants"].values())


# Fairness.


def test_debt_brings_shares_towards_the_entitled_ones(shared) -> None:
    debt, plain = shared[1]["debt"], shared[1]["no_debt"]
    assert plain["worst_share_error"] > 0.2  # slots by weight are not tokens by weight
    assert debt["worst_share_error"] < 0.5 * plain["worst_share_error"]
    assert plain["converged_s"] is None
    assert debt["jain"] > plain["jain"]
    outcome = shared[0]
    busy = [moment.running for moment in outcome.runs["debt"].moments[outcome.cut_s + 10 :]]
    assert np.mean(busy) > 0.9 * Machine().sequences  # nobody is served less so that nobody has more


def test_with_debt_long_run_shares_are_within_five_percent(shared) -> None:
    assert shared[1]["debt"]["worst_share_error"] <= fairness.WITHIN
    assert shared[1]["debt"]["converged_s"] is not None


def test_entitled_shares_are_the_weights_and_shares_add_up(shared) -> None:
    for name in ("debt", "no_debt"):
        rows = shared[1][name]["tenants"].values()
        assert [row["entitled_share"] for row in rows] == [0.375, 0.25, 0.25, 0.125]
        assert sum(row["got_share"] for row in rows) == pytest.approx(1, abs=1e-4)


def test_before_the_cut_everybody_is_served(shared) -> None:
    outcome, _ = shared
    for run in outcome.runs.values():
        early = [one for one in run.outcomes if one.request.at_us < outcome.cut_s * 0.8e6]
        assert sum(one.end is End.SERVED for one in early) > 0.98 * len(early)
        assert any(one.stopped for one in run.outcomes)  # what the lost replica had begun


def test_convergence_is_from_when_on_the_error_stays_small() -> None:
    class Errors(fairness.Fairness):
        def errors_so_far(self, name: str) -> np.ndarray:
            return np.array({"late": [0.9, 0.02, 0.3, 0.04, 0.01], "never": [0.1, 0.01, 0.06], "at once": [0.0, 0.05]}[name])

    outcome = Errors(None, (), 0, {}, {})  # type: ignore[arg-type]  only the errors matter
    assert [outcome.converged_s(name) for name in ("late", "never", "at once")] == [4, None, 1]


@pytest.mark.parametrize(("values", "index"), [([1, 1, 1], 1.0), ([1, 0, 0, 0], 0.25), ([2, 1], 0.9), ([0, 0], 1.0)])
def test_jains_index(values: list[float], index: float) -> None:
    assert measure.jain(values) == pytest.approx(index, abs=1e-5)


# The same seed.


def test_the_same_seed_gives_the_same_figures_and_another_one_others() -> None:
    first, again, other = (report.overload_figures(overload.simulate(seed, 30)) for seed in (7, 7, 8))
    assert json.dumps(first) == json.dumps(again)
    assert first["token_pools"] != other["token_pools"]
    first, again, other = (report.fairness_figures(fairness.simulate(seed, 40)) for seed in (7, 7, 8))
    assert json.dumps(first) == json.dumps(again)
    assert first["debt"] != other["debt"]


# Workloads.


@pytest.mark.parametrize(
    ("rate", "begin", "end", "expected"),
    [
        (steady(5.0), 0, 1000, 5.0),
        (rising(10.0, 100.0, 500.0), 0, 100, 0.0),
        (rising(10.0, 100.0, 500.0), 250, 350, 5.0),
        (rising(10.0, 100.0, 500.0), 600, 1000, 10.0),
        (bursts(6.0, 20.0, 5.0, 3.0), 0, 1000, 6.0),
        (steady(0.0), 0, 1000, 0.0),
    ],
)
def test_arrivals_have_the_rate(rate, begin: float, end: float, expected: float) -> None:
    at = arrivals(rate, 1000.0, generator(1, "test")) / 1e6
    assert (np.diff(at) >= 0).all()
    assert ((at >= 0) & (at < 1000)).all()
    found = ((at >= begin) & (at < end)).sum() / (end - begin)
    assert found == pytest.approx(expected, rel=0.1)


def test_bursts_are_where_the_rate_is_high_and_must_leave_something_between() -> None:
    at = arrivals(bursts(10.0, 20.0, 5.0, 3.0), 2000.0, generator(2, "test")) / 1e6
    assert (at % 20 < 5).mean() == pytest.approx(0.75, abs=0.02)
    with pytest.raises(ValueError, match="nothing is left"):
        bursts(1.0, 10.0, 5.0, 3.0)


def test_sizes_are_as_stated_and_within_their_limits() -> None:
    asked, answered = overload.CHAT.draw(20_000, generator(1, "sizes"))
    assert np.median(asked) == pytest.approx(150, rel=0.03)
    assert np.median(answered) == pytest.approx(200, rel=0.03)
    assert (asked.min(), answered.min()) >= (1, 1)
    assert (asked.max(), answered.max()) <= (1024, 512)


def test_streams_are_merged_in_order_of_time() -> None:
    one = (np.array([5, 10]), (np.array([1, 2]), np.array([3, 4])), 9)
    two = (np.array([5, 7]), (np.array([5, 6]), np.array([7, 8])), 8)
    assert merged([one, two]) == [
        Request(0, 0, 5, 1, 3, 9), Request(1, 1, 5, 5, 7, 8), Request(2, 1, 7, 6, 8, 8), Request(3, 0, 10, 2, 4, 9),
    ]  # fmt: skip


def test_a_trace_is_replayed_at_the_rate_that_is_asked_for_and_begins_again_at_its_end() -> None:
    trace = Trace("three", np.array([0.0, 1.0, 10.0]), np.array([1, 2, 3]), np.array([4, 5, 6]))
    at_us, rows = trace.arrivals(rate=3.0, seconds=2.0)
    assert at_us.tolist() == [0, 100_000, 1_000_000, 1_000_000, 1_100_000]
    assert rows.tolist() == [0, 1, 2, 0, 1]


@needs_data
@pytest.mark.parametrize("path", [AZURE, SERVEGEN], ids=["azure", "servegen"])
def test_real_traces(path: Path) -> None:
    trace = read(path)
    assert trace.at_s.size > 1000
    assert (np.diff(trace.at_s) >= 0).all()
    at_us, rows = trace.arrivals(2.0, 100.0)
    assert at_us.size == rows.size > 0
    assert min(trace.input.min(), trace.output.min()) >= 1


@needs_data
def test_with_the_sizes_of_a_trace_no_goal_is_promised_but_nothing_is_unbounded() -> None:
    figures = report.overload_figures(overload.simulate(1, 60, trace=read(AZURE)))
    assert figures["token_pools"]["guaranteed_p99_ms"] < figures["none"]["guaranteed_p99_ms"]


# Clients and controls.


def a_run(control, *, requests: int = 40, patience_s: float | None = None, seconds: int = 60):
    some = [Request(number, 0, 0, 100, 50, 64) for number in range(requests)]
    scenario = Scenario(some, ("one",), (patience_s,), seconds, Machine(sequences=4), watched=frozenset({0}))
    world = World(scenario, control)
    return world.run(), world


def test_without_control_everything_is_served_after_one_try() -> None:
    run, world = a_run(Uncontrolled)
    assert {one.end for one in run.outcomes} == {End.SERVED}
    assert {one.tries for one in run.outcomes} == {1}
    assert world.replicas[0].in_flight == 0
    assert world.replicas[0].free == world.replicas[0].machine.kv_blocks
    assert run.moments[-1].tokens == (40 * 150,)


def test_the_refused_come_again_and_latency_counts_from_the_first_try() -> None:
    run, _ = a_run(lambda replicas: RateLimit(replicas, [1.0], burst_s=1.0), requests=20)
    assert {one.end for one in run.outcomes} == {End.SERVED}
    assert max(one.tries for one in run.outcomes) > 1
    latencies = sorted(measure.latencies_ms(run, 0))
    assert latencies[-1] > 18_000
    assert all(after >= 1000 * number for number, after in enumerate(latencies))  # no more than one a second


def test_patience_ends() -> None:
    run, _ = a_run(lambda replicas: RateLimit(replicas, [1.0], burst_s=1.0), requests=20, patience_s=5.0)
    gave_up = [one for one in run.outcomes if one.end is End.GAVE_UP]
    assert len(gave_up) >= 13
    assert {one.ended_us for one in gave_up} == {5_000_000}


def test_what_a_saturated_replica_does() -> None:
    """32 sequences, steps of a little more than that of a full batch: the most there can be, within a few percent."""
    machine = Machine()
    found = saturated(machine, [(16, 400)])
    most = machine.sequences / (machine.step_us(machine.sequences, machine.sequences * 216, 0, 0) / 1e6)
    assert 0.9 * most < found.requests * 400 < most
    assert found.tokens == pytest.approx(found.requests * 416)


# The command.


def invoke(*arguments: str):
    return CliRunner().invoke(command.simulate, list(arguments))


def test_the_command_writes_figures_and_a_picture(tmp_path: Path) -> None:
    for name, key in (("overload", "token_pools"), ("fairness", "no_debt")):
        figures, picture = tmp_path / f"{name}.json", tmp_path / f"{name}.png"
        result = invoke(name, "--seconds", "30", "--seed", "2", "--json", str(figures), "--plot", str(picture))
        assert result.exit_code == 0, result.output
        assert key in json.loads(figures.read_text(encoding="utf-8"))
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert name.capitalize() in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("overload", "--plot", "picture.jpg"), ".png is expected"),
        (("overload", "--json", "nowhere/at/all.json"), "no directory"),
        (("fairness", "--plot", "."), ".png is expected"),
        (("fairness", "--json", "."), "is a directory"),
        (("overload", "--trace", "nothing.csv"), "no such file"),
        (("overload", "--seconds", "3"), "--seconds"),
        (("overload", "--seed", "-1"), "--seed"),
        (("fairness", "--sequences", "0"), "--sequences"),
        (("overload", "--trace", __file__), "no column"),
    ],
)
def test_what_a_user_gets_wrong_is_one_line(arguments, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["simulate", *arguments])
    told = capsys.readouterr()
    assert stopped.value.code == 2
    assert message in " ".join(told.err.split())
    assert "Traceback" not in told.err


def test_a_trace_of_requests_without_tokens_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "short.csv"
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.68,1,1\n", encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["simulate", "overload", "--trace", str(path)])
    assert "too few requests" in capsys.readouterr().err
