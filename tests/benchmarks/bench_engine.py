"""The engine at 100,000 tenants: closing a period, counting usage, taking commands, snapshots and recovery; with forecasts, too.

Run alone: `python tests/benchmarks/bench_engine.py`. Seconds are of the processor, so that neighbours on the machine disturb
little. The baseline of closing is the same rule as a plain loop (plain_engine.py), whose facts must be the engine's, byte for byte;
it predicts the last value. The mixture's baselines are the same engine with the last value.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from engine_journal import (
    PERIOD,
    POOL,
    demanding,
    latencies,
    mark_of,
    opening,
    profiles,
    proposal,
    reports,
    terms,
    usage,
)

from processors.engine import facts_of
from processors.snapshot import state_hash
from processors.stamping import Stamp
from processors.state import PartitionState
from schemas.fact import Fact
from schemas.facts import PeriodClosed
from schemas.published import Forecaster
from streams.codecs import decode, encode
from streams.snapshots import SnapshotStore

TENANTS = 100_000
GOAL_CLOSE_S, GOAL_CLOSE_MB = 2.0, 1000.0
REPEATS = 3


def run(tenants: int = TENANTS) -> list[dict[str, object]]:
    """Rows of {name, value, unit, baseline, baseline_value, ratio, goal, met}.

    Raises:
        RuntimeError: a part failed, or loop and engine disagree.
    """
    engine, loop, state, mixture, last_value, loops = (_in_a_process_of_its_own(part, tenants) for part in PARTS)
    if engine["facts"] != loop["facts"]:
        raise RuntimeError("the plain loop gives other facts than the engine: one of them is wrong")
    many = f"{tenants:,} tenants"
    folding = ("folding the journal", state["fold_s"])
    return [
        _row(f"close a period of {many}, facts encoded", engine["close_s"], "s", ("plain loop", loop["close_s"]), GOAL_CLOSE_S),
        _row(f"peak memory of an engine closing {many}", engine["peak_mb"], "MB", ("plain loop", loop["peak_mb"]), GOAL_CLOSE_MB),
        _rate("usage counted, facts encoded", engine["usage"], "rows/s", ("plain loop, no facts", loop["usage"])),
        _rate(f"profiles taken, {many}", state["profiles"], "commands/s", ("decoding them alone", state["decoding"])),
        _row(f"first snapshot of {many}", state["first_s"], "s", ("hash of the state", state["hash_s"])),
        _row("next snapshot, one chunk changed", state["next_s"], "s", ("first snapshot", state["first_s"])),
        _row(f"load a snapshot of {many}", state["load_s"], "s", folding),
        _row(f"size of a snapshot of {many}", state["snapshot_mb"], "MB", ("the journal", state["journal_mb"])),
        *_with_forecasts(f"{many} with forecasts", mixture, last_value),
        *_with_loops(f"{many} with forecasts, SLAs and rebalanced bases", loops, mixture),
    ]


def _with_forecasts(many: str, mixture: dict[str, float], last_value: dict[str, float]) -> list[dict[str, object]]:
    def row(name: str, figure: str, unit: str, goal: float | None = None) -> dict[str, object]:
        return _row(name, mixture[figure], unit, ("last value", last_value[figure]), goal)

    return [
        row(f"close a period of {many}, facts encoded", "close_s", "s", GOAL_CLOSE_S),
        row(f"peak memory of an engine closing {many}", "peak_mb", "MB", GOAL_CLOSE_MB),
        row(f"first snapshot of {many}", "first_s", "s"),
        row("next snapshot, a period closed, with forecasts", "next_s", "s"),
        row("what it writes", "next_mb", "MB"),
        row(f"load a snapshot of {many}", "load_s", "s"),
    ]


def _with_loops(many: str, loops: dict[str, Any], mixture: dict[str, Any]) -> list[dict[str, object]]:
    """All tenants have an SLA, which a third of them exceed for the third time; then a proposal moves nearly all bases."""
    forecasts = ("forecasts alone", mixture["close_s"])
    return [
        _row(f"close a period of {many}", loops["close_s"], "s", forecasts, GOAL_CLOSE_S),
        _row("the proposal to rebalance, once an hour, facts encoded", loops["rebalance_s"], "s", forecasts),
        _row(
            f"peak memory of an engine closing {many}",
            loops["peak_mb"],
            "MB",
            ("forecasts alone", mixture["peak_mb"]),
            GOAL_CLOSE_MB,
        ),
        _rate(
            "latencies counted, histograms of 20 buckets, facts encoded",
            loops["latencies"],
            "rows/s",
            ("decoding them", loops["decoding"]),
        ),
    ]


def _row(name: str, value: float, unit: str, baseline: tuple[str, float], goal: float | None = None) -> dict[str, object]:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "baseline": baseline[0],
        "baseline_value": baseline[1],
        "ratio": baseline[1] / max(value, 1e-9),
        "goal": goal,
        "met": None if goal is None else value <= goal,
    }


def _rate(name: str, value: float, unit: str, baseline: tuple[str, float]) -> dict[str, object]:
    return {**_row(name, value, unit, baseline), "ratio": value / baseline[1]}


def _in_a_process_of_its_own(part: str, tenants: int) -> dict[str, Any]:
    """So that memory is that part's alone."""
    done = subprocess.run([sys.executable, __file__, part, str(tenants)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


# The parts


def measure_engine(tenants: int) -> dict[str, Any]:
    """As the engine's role does it: each fact is encoded as it comes, and the bytes are kept until they are sent."""
    state, offset = folded(PartitionState(), 0, opening(tenants))
    metered = usage(tenants)
    counting, (_, offset) = _timed(lambda: folded(state, offset, metered))
    mark = encode(mark_of("usage"))
    seconds, sent = _timed(lambda: [encode(fact) for fact in facts_of(state, decode(mark), offset)])
    return {
        "close_s": seconds,
        "peak_mb": _peak_mb(),
        "usage": tenants / counting,
        "facts": _digests(sent),
    }


def measure_forecaster(tenants: int, forecaster: Forecaster) -> dict[str, Any]:
    """Closing and snapshots of a pool that forecasts so. The second period is measured: when it closes, all tenants are known."""
    state, offset = folded(PartitionState(), 0, [*opening(tenants, forecaster), *usage(tenants), encode(mark_of("usage"))])
    state, offset = folded(state, offset, usage(tenants, PERIOD + 1))
    mark = encode(mark_of("usage", PERIOD + 1))
    closing, _ = _timed(lambda: [encode(fact) for fact in facts_of(state, decode(mark), offset)])
    figures = {"close_s": closing, "peak_mb": _peak_mb()}
    table = Written()
    store = SnapshotStore(0, table)
    first, _ = _timed(lambda: _write(store, state, offset))
    figures |= {"first_s": first, "first_mb": table.written / 1e6}
    table.written = 0
    state, offset = folded(state, offset + 1, [*usage(tenants, PERIOD + 2), encode(mark_of("usage", PERIOD + 2))])
    again, _ = _timed(lambda: _write(store, state, offset))
    loading = min(_timed(SnapshotStore(0, table).load)[0] for _ in range(REPEATS))
    return {**figures, "next_s": again, "next_mb": table.written / 1e6, "load_s": loading}


def measure_loops(tenants: int) -> dict[str, Any]:
    """Closing the third period in which the same tenants are slow, and rebalancing."""
    state, offset = folded(PartitionState(), 0, demanding(tenants))
    for period in (PERIOD, PERIOD + 1):
        state, offset = folded(
            state, offset, [*latencies(tenants, period), *usage(tenants, period), encode(mark_of("usage", period))]
        )
    last = PERIOD + 2
    slow = latencies(tenants, last)
    decoding, _ = _timed(lambda: [decode(data) for data in slow])
    counting, (state, offset) = _timed(lambda: folded(state, offset, slow))
    state, offset = folded(state, offset, usage(tenants, last))
    proposed = proposal(tenants, last)
    rebalancing, (state, offset) = _timed(lambda: folded(state, offset, proposed))
    mark = encode(mark_of("usage", last))
    closing, sent = _timed(lambda: [encode(fact) for fact in facts_of(state, decode(mark), offset)])
    assert sum(len(decode(data).tenant) for data in sent if decode(data).KIND == "base_changes") > tenants // 3
    return {
        "close_s": closing,
        "rebalance_s": rebalancing,
        "peak_mb": _peak_mb(),
        "latencies": tenants / counting,
        "decoding": tenants / decoding,
    }


class Written(dict[bytes, bytes]):
    """A table that counts the bytes written to it."""

    written = 0

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.written += len(value)
        super().__setitem__(key, value)


def measure_loop(tenants: int) -> dict[str, Any]:
    """The same by the plain loop."""
    from plain_engine import PlainPool

    pool = PlainPool(terms(tenants, Forecaster.LAST_VALUE))
    for command in profiles(tenants):
        pool.declare(command)
    offset = len(opening(tenants)) + len(usage(tenants))
    for _ in pool.open(PERIOD, Stamp(0)):
        pass
    metered = [encode(report) for report in reports(tenants)]
    counting, _ = _timed(lambda: [pool.count(decode(data)) for data in metered])
    seconds, sent = _timed(lambda: [encode(fact) for fact in pool.close(mark_of("usage"), offset)])
    return {"close_s": seconds, "peak_mb": _peak_mb(), "usage": tenants / counting, "facts": _digests(sent)}


def measure_state(tenants: int) -> dict[str, Any]:
    """Commands, snapshots and recovery."""
    begun, metered = opening(tenants), usage(tenants)
    commands = begun[2:-1]
    decoding, _ = _timed(lambda: [decode(data) for data in commands])
    state, offset = folded(PartitionState(), 0, begun[:2])
    taking, _ = _timed(lambda: folded(state, offset, commands))
    folding, (state, offset) = _timed(lambda: folded(PartitionState(), 0, [*begun, *metered]))
    hashing = min(_timed(lambda: state_hash(state.pools[POOL]))[0] for _ in range(REPEATS))
    table: dict[bytes, bytes] = {}
    store = SnapshotStore(0, table)
    first, _ = _timed(lambda: _write(store, state, offset))
    size = sum(map(len, table.values()))
    state, offset = folded(state, offset, [_one_more(tenants)])
    again, _ = _timed(lambda: _write(store, state, offset))
    loading = min(_timed(SnapshotStore(0, table).load)[0] for _ in range(REPEATS))
    return {
        "profiles": tenants / taking,
        "decoding": tenants / decoding,
        "fold_s": folding,
        "hash_s": hashing,
        "first_s": first,
        "next_s": again,
        "load_s": loading,
        "snapshot_mb": size / 1e6,
        "journal_mb": sum(map(len, [*begun, *metered])) / 1e6,
    }


def _one_more(tenants: int) -> bytes:
    """Usage of one tenant, in a chunk that was not reported yet."""
    report = next(reports(tenants))
    columns = {name: value[:1] for name, value in report.__dict__.items() if isinstance(value, list)}
    return encode(report.model_copy(update={**columns, "chunk": tenants}))


def folded(state: PartitionState, offset: int, records: Iterable[bytes]) -> tuple[PartitionState, int]:
    """Decides on records from `offset` on, facts encoded as when they are sent; the state and the next offset."""
    for data in records:
        for fact in facts_of(state, decode(data), offset):
            encode(fact)
        offset += 1
    return state, offset


def _write(store: SnapshotStore, state: PartitionState, offset: int) -> bool:
    async def acknowledged() -> None:
        """The broker's time is not ours."""

    return asyncio.run(store.write(state, offset, acknowledged, lambda: True))


def _digests(sent: list[bytes]) -> list[str]:
    """A digest of each fact; the loop has no state to hash."""
    facts = [decode(data) for data in sent]
    plain = [fact.model_copy(update={"state_hash": ""}) if isinstance(fact, PeriodClosed) else fact for fact in facts]
    assert all(isinstance(fact, Fact) for fact in plain)
    return [sha256(encode(fact)).hexdigest() for fact in plain]


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1024 if sys.platform != "darwin" else 1) / 1e6


PARTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "engine": measure_engine,
    "loop": measure_loop,
    "state": measure_state,
    "mixture": partial(measure_forecaster, forecaster=Forecaster.MIXTURE),
    "last_value": partial(measure_forecaster, forecaster=Forecaster.LAST_VALUE),
    "loops": measure_loops,
}


def main() -> None:
    if len(sys.argv) > 1:
        sys.stdout.write(json.dumps(PARTS[sys.argv[1]](int(sys.argv[2]))))
        return
    for row in run():
        sys.stdout.write(
            f"{row['name']:50} {row['value']:12,.3f} {row['unit']:10} x{row['ratio']:<9,.2f} {row['baseline']} "
            f"{row['baseline_value']:,.3f} {'' if row['met'] is None else 'met' if row['met'] else 'MISSED'}\n"
        )


if __name__ == "__main__":
    # Started by its path it finds the plain loop beside it, and the oracle among the tests of processors.
    sys.path.append(str(Path(__file__).parents[1] / "processors"))
    main()
