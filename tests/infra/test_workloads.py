"""Workloads: the same ones each time, in order of time, true to the trace they replay."""

from __future__ import annotations

import csv
import zlib
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.demo.plan import free_name, plan
from infra.workloads import Request, Workload, synthetic, trace
from schemas.published import Policy
from streams.errors import BadInput

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
AZURE, SERVEGEN = DATA / "azure-llm-2023-conv.csv", DATA / "servegen-m-small.parquet"


def walked(workload: Workload) -> list[Request]:
    requests = list(workload.walk())
    assert requests == list(workload.walk()), "the same each time"
    assert [one.at_ms for one in requests] == sorted(one.at_ms for one in requests)
    assert {one.tenant for one in requests} <= workload.tempers.keys()
    return requests


def real(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"the trace {path.name} is not beside this checkout")
    return path


def test_synthetic_tenants_behave_as_they_are_called() -> None:
    workload = synthetic(seed=3, seconds=100, tenants=10, rate=400)
    requests = walked(workload)
    assert len(requests) == pytest.approx(40_000, rel=0.05)
    per_second = {tenant: [0] * 100 for tenant in workload.tempers}
    for one in requests:
        per_second[one.tenant][one.at_ms // 1000] += 1
    for tenant, temper in workload.tempers.items():
        counts = per_second[tenant]
        mean = sum(counts) / len(counts)
        if temper.habit == "idle":
            assert mean == 0
        elif temper.habit == "bursty":
            assert max(counts) > 1.8 * mean
        elif temper.habit == "surging":
            surging = counts[10:40]
            assert sum(surging) / 30 == pytest.approx(1.7 * mean, rel=0.1)
            assert sum(counts[:10] + counts[40:]) / 70 == pytest.approx(0.7 * mean, rel=0.1)
        else:
            assert max(counts) < 1.8 * mean
    assert walked(synthetic(seed=4, seconds=100, tenants=10, rate=400)) != requests


def test_more_tenants_than_names() -> None:
    workload = synthetic(seed=1, seconds=2, tenants=25, rate=50)
    assert len(workload.tempers) == 25
    walked(workload)


def test_the_whole_azure_trace_is_replayed() -> None:
    requests = walked(trace(real(AZURE), speed=60.0, seconds=70, tenants=10, rate=400))
    with AZURE.open(newline="") as lines:
        rows = [(int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in csv.DictReader(lines)]
    assert [(one.input_tokens, one.output_tokens) for one in requests] == rows
    assert requests[7].tenant == f"azure-{zlib.crc32(b'7') % 10:02d}"
    assert 50_000 < requests[-1].at_ms < 60_000, "an hour in a minute"


def test_a_trace_that_is_too_dense_is_sampled_and_says_so() -> None:
    workload = trace(real(AZURE), speed=600.0, seconds=6, tenants=10, rate=400)
    requests = walked(workload)
    assert len(requests) <= 2400
    assert workload.notes[-1].startswith("one request in ")


def test_servegen_clients_keep_their_shares_and_their_tokens() -> None:
    workload = trace(real(SERVEGEN), speed=14 * 1440.0, seconds=60, tenants=10, rate=200)
    requests = walked(workload)
    table = pq.read_table(SERVEGEN).to_pylist()
    expected: Counter[str] = Counter()
    for row in table:
        if row["mean_in"] is not None:
            expected[f"client-{row['client']:02d}"] += row["requests"]
    got = Counter(one.tenant for one in requests)
    every = sum(expected.values()) / (200 * 60)
    for client, count in expected.items():
        assert got[client] == pytest.approx(count / every, abs=2 + 0.001 * count / every)
    assert got.keys() <= expected.keys(), "clients without token counts are left out"


def test_servegen_tokens_add_up_to_the_means(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    columns = {"client": [1], "w": [0], "ts": [0], "mean_in": [10.3], "mean_out": [2.7], "requests": [100.0]}
    pq.write_table(pa.table(columns), path)
    requests = walked(trace(path, speed=600.0, seconds=10, tenants=1, rate=1000))
    assert len(requests) == 100
    assert sum(one.input_tokens for one in requests) == 1030
    assert sum(one.output_tokens for one in requests) == 270
    assert (requests[0].at_ms, requests[-1].at_ms) == (5, 995)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "no such file"),
        ("a.csv", "x,y\n1,2\n", "no column TIMESTAMP, ContextTokens, GeneratedTokens"),
        ("b.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,ten,1\n", "line 2: .*'ten'"),
        ("c.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,-1,1\n", "line 2: tokens out of range"),
        ("d.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,1,1\n", "line 2"),
        ("e.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,1\n", "line 2"),
        ("f.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n", "no request"),
        ("g.parquet", "no parquet", "g.parquet"),
    ],
)
def test_what_is_no_trace_is_told(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(BadInput, match=message):
        trace(path, speed=None, seconds=10, tenants=2, rate=100)


def test_the_pool_fits_its_guarantees_and_bursts_exceed_it() -> None:
    workload = synthetic(seed=1, seconds=60, tenants=10, rate=400)
    planned = plan(workload, pool="demo", run="r", period_s=5, policy=Policy.SEED)
    assert sum(profile.base for profile in planned.profiles) < planned.pool.capacity
    used: Counter[int] = Counter()
    for one in workload.walk():
        used[one.at_ms // 5000] += one.tokens
    assert max(used.values()) > planned.pool.capacity
    over = next(profile for profile in planned.profiles if workload.tempers[profile.tenant].habit == "over budget")
    assert over.budget is not None
    assert over.elasticity == 3_000_000


def test_a_second_pool_gets_a_name_of_its_own() -> None:
    assert free_name([]) == "demo"
    assert free_name(["demo", "demo-2", "other"]) == "demo-3"
