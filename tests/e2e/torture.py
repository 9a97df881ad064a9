"""Kill -9 of every process of a system, at random moments under load; afterwards everything must be exact.

`make torture N=200`, or `BOURSE_TEST_SEED=… pytest tests/e2e/test_crashes.py` to repeat a run's choices.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from load import Load, command
from proof import check_all
from system import STORES, System, until

from schemas.published import Budget, PoolCommand, ProfileCommand

KINDS = ("meter", "engine", "sink", "intake", "clock", "clickhouse", "kafka")
VICTIMS = ("meter", "engine", "sink") * 4 + ("intake", "clock", "clickhouse", "kafka") * 2
"""A round of 20. Most often those that keep something in memory; stores take longest to start."""

PER_S = 150
TENANTS = {f"pool-{number}": [f"tenant-{number}-{n}" for n in range(4)] for number in range(3)}


def schedule(rng: random.Random, kills: int) -> list[str]:
    """Whom to kill: rounds of the victims below, in an order that differs each time."""
    chosen: list[str] = []
    while len(chosen) < kills:
        chosen += rng.sample(VICTIMS, len(VICTIMS))
    return chosen[:kills]


def pools() -> list[PoolCommand | ProfileCommand]:
    """Three pools of four tenants."""
    commands: list[PoolCommand | ProfileCommand] = []
    for pool, tenants in TENANTS.items():
        commands.append(PoolCommand(id=f"def-{pool}", pool=pool, capacity=100_000, period_s=1, base_price=1, reserve_price=2))
        commands += [
            ProfileCommand(
                id=f"def-{tenant}",
                pool=pool,
                tenant=tenant,
                base=1000 * (n + 1),
                elasticity=str(1 + n / 2),
                budget=Budget(amount=50_000, window_s=5) if n == 1 else None,
            )
            for n, tenant in enumerate(tenants)
        ]
    return commands


class Torture:
    """A run: a system under load and the kills."""

    def __init__(self, home: Path, *, kills: int, seed: int, tell: Callable[[str], None]) -> None:
        self.killed: Counter[str] = Counter()
        self._home = home
        self._seed = seed
        self._rng = random.Random(seed)
        self._schedule = schedule(self._rng, kills)
        self._tell = tell

    def run(self) -> None:
        """Kill, and kill again; then wait until everything has settled, and prove that nothing was lost or counted twice."""
        began = time.monotonic()
        with System(self._home) as system:
            self._tell(f"ready after {time.monotonic() - began:.1f} s")
            command(system.settings, *pools())
            until(lambda: len(system.rows("SELECT DISTINCT pool FROM periods")) == len(TENANTS), 120, "periods of all pools")
            with Load(system.settings, TENANTS, per_s=PER_S, seed=self._seed) as load:
                for number, kind in enumerate(self._schedule, 1):
                    self._kill(system, kind, number)
            self._tell(
                f"{len(load.ledger.usage)} usage and {len(load.ledger.latency)} latency events acknowledged, "
                f"{load.repeated} published twice, {load.retried} again after a failure"
            )
            system.until_ready()
            system.settle(120)
            self._tell(f"settled after {time.monotonic() - began:.1f} s")
            check_all(system, load.ledger)
            restarts = {name: worker.restarts for name, worker in system.workers.items()}
            self._tell(f"exact after {time.monotonic() - began:.1f} s; restarts {restarts}")

    def _kill(self, system: System, kind: str, number: int) -> None:
        """At a random moment: perhaps while others, or the victim itself, are still starting."""
        time.sleep(self._rng.uniform(0.2, 4.0))
        name = kind if kind in STORES else f"{kind}-1"
        self._tell(f"{number}/{len(self._schedule)}: kill -9 {name}")
        system.kill(name)
        self.killed[kind] += 1
        if kind in STORES:
            time.sleep(self._rng.uniform(0.0, 2.0))
            system.restart(name)
