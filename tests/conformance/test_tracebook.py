"""The suite of tracebook-conformance 0.6.0 (version v2) on our order book, through its own command line.

Not covered: `pro-rata-allocation`, as our book gives priority to time within a price and knows no other allocation; the adapter
says so. The suite knows nothing of GTD, post-only, our other two self-trade modes, the call auction, or a replacement that keeps
its place: for these see tests/processors/orderbook.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import tracebook_adapter
from tracebook.conformance import copy_bundled_conformance_suite, run_conformance
from tracebook.conformance.model import ConformanceError

ADAPTER = Path(tracebook_adapter.__file__)
CASES = (
    "fifo-lifecycle",
    "order-instructions",
    "stp-cancel-resting",
    "stp-cancel-resting-deep",
    "stp-cancel-incoming",
    "multi-symbol",
    "tick-grid",
    "deep-cancellation",
)
PROFILES = ("fifo-limit-v1", "fifo-full-v1", "fifo-partial-fill-v1")

TRACES = 4


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    copied = copy_bundled_conformance_suite(tmp_path_factory.mktemp("suite") / "v2", suite_version="v2")
    return {case.name: case for case in copied.cases}


def test_every_case_of_the_suite_is_here(suite):
    assert suite.keys() == {*CASES, "pro-rata-allocation"}


@pytest.mark.parametrize("name", CASES)
def test_fixed_case(suite, name):
    report = run_conformance(suite[name].load_events(), tracebook_adapter.adapter, config=suite[name].config, trace_name=name)
    assert report.conformant, report.divergence


def test_what_is_not_covered_is_refused(suite):
    with pytest.raises(ConformanceError, match="price-time only"):
        tracebook_adapter.adapter(suite["pro-rata-allocation"].config)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_command_line_qualifies_it(profile, tmp_path):
    """Fixed cases of the profile and generated traces, each compared event by event, our book in a process of its own."""
    asked = [sys.executable, "-m", "tracebook.conformance.cli", "qualify", "--profile", profile, "--suite-version", "v2"]
    asked += ["--seed", "42", "--traces", str(TRACES), "--events-per-trace", "200", "--output-dir", str(tmp_path / "bundle")]
    asked += ["--timeout", "60", "--candidate-cmd", f"'{sys.executable}' '{ADAPTER}'"]
    ran = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=240, cwd=Path(__file__).parents[2])
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Qualification: PASS" in ran.stdout
    found = json.loads((tmp_path / "bundle" / "qualification.json").read_text())
    assert found["qualified"] is True
    assert found["checks"]["fixed_cases"]["passed"] == found["checks"]["fixed_cases"]["total"] > 0
    assert found["checks"]["generated_campaign"]["completed_traces"] == TRACES
    assert found["checks"]["semantic_coverage"]["uncovered"] == []
