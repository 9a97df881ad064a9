"""Replicas in real time do what `bourse simulate` says, and let go of what is cancelled."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Coroutine
from typing import Any

import pytest
import simpy

from infra.backend.replicas import Clock, Generation, LiveReplica, Replicas
from infra.simulate.batching import Sequence
from infra.simulate.machine import Machine
from infra.simulate.replica import Replica


class Leap(selectors.DefaultSelector):
    """Waits for nothing: time leaps to the next timer."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        self.now += timeout or 0.0
        return super().select(0)


class LeapLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time."""

    def __init__(self) -> None:
        self._leap = Leap()
        super().__init__(self._leap)

    def time(self) -> float:
        return self._leap.now


def leap(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=LeapLoop) as runner:
        runner.run(main)


class Load:
    """Arrivals, some of which are stopped later; when each had its first token and ended."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        at = 0
        self.todo: list[tuple[int, int, bool]] = []  # when (µs), which, whether it is stopped then
        self.sizes = [(rng.randint(1, 400), rng.randint(1, 150)) for _ in range(80)]
        for number in range(80):
            at += int(rng.expovariate(1 / 70_000)) + (2_000_000 if number % 25 == 24 else 0)  # now and then all is idle
            self.todo.append((at, number, False))
            if rng.random() < 0.2:
                self.todo.append((at + rng.randint(1000, 900_000), number, True))
        self.todo.sort()
        self.sequences: dict[int, Sequence] = {}
        self.ends: dict[int, int] = {}

    def happen(self, replica: Replica | LiveReplica, number: int, stopped: bool, now: Any) -> None:
        if stopped:
            replica.stop(self.sequences[number])
        else:
            sequence = Sequence(0, *self.sizes[number], lambda _: self.ends.setdefault(number, now()))
            self.sequences[number] = sequence
            replica.submit(sequence)

    @property
    def outcome(self) -> list[tuple[int, int | None, bool, int]]:
        return [(self.ends[n], one.first_token_us, one.stopped, one.generated) for n, one in sorted(self.sequences.items())]


@pytest.mark.parametrize(("seed", "speed"), [(1, 1.0), (2, 1.0), (3, 0.25), (4, 50.0)])
def test_real_time_gives_the_same_times_as_simulated_time(seed: int, speed: float) -> None:
    """First tokens, ends, what was stopped and how far it was: to the microsecond, where timers are exact."""
    machine = Machine(kv_blocks=60, sequences=6, batched_tokens=256)
    simulated, live = Load(seed), Load(seed)

    env = simpy.Environment()
    replica = Replica(env, machine, 1)

    def arrive() -> Any:
        for at, number, stopped in simulated.todo:
            yield env.timeout(at - env.now)
            simulated.happen(replica, number, stopped, lambda: int(env.now))

    env.process(arrive())
    env.run()

    async def real() -> None:
        clock = Clock(speed)
        replica = LiveReplica(machine, clock)
        running = asyncio.create_task(replica.run())
        for at, number, stopped in live.todo:
            await clock.until(at)
            live.happen(replica, number, stopped, lambda: replica.now_us)
        while replica.in_flight:
            await clock.until(clock.now_us() + 100_000)
        assert replica.free == machine.kv_blocks
        assert replica.counters == counters
        running.cancel()

    counters = replica.counters
    leap(real())
    assert len(simulated.ends) == 80
    assert any(stopped for _, _, stopped, _ in simulated.outcome)
    assert counters.preemptions > 0
    assert live.outcome == simulated.outcome


def test_late_timers_don_t_shift_what_comes_after_them() -> None:
    """An event loop that is blocked for a while delays nobody's later tokens; how far it is behind is told."""
    behind: list[int] = []

    async def real() -> None:
        clock = Clock(1.0)
        replica = LiveReplica(Machine(), clock)
        running = asyncio.create_task(replica.run())
        ended: list[int] = []
        replica.submit(Sequence(0, 100, 50, lambda _: ended.append(replica.now_us)))
        await clock.until(200_000)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, LeapLoop)
        loop._leap.now += 0.3  # nothing ran in this time
        behind.append(replica.behind_us)
        await clock.until(1_000_000)
        assert ended == [alone]
        running.cancel()

    env = simpy.Environment()
    Replica(env, Machine(), 1).submit(Sequence(0, 100, 50, lambda _: None))
    env.run()
    alone = int(env.now)
    leap(real())
    assert 250_000 < behind[0] <= 300_000


def test_a_request_goes_where_the_fewest_are_and_waits_its_turn() -> None:
    async def real() -> None:
        replicas = Replicas(Machine(sequences=1), 2, 1.0)
        running = asyncio.create_task(replicas.run())
        ended: list[int] = []
        started = [replicas.start([10], [5], 1, lambda _, n=n: ended.append(n)) for n in range(6)]  # type: ignore[misc]  a default argument binds n
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert {"in_flight": 6, "running": 2, "waiting": 4}.items() <= replicas.figures().items()
        for one in started:
            await one.changed()
        assert ended == list(range(6))
        running.cancel()

    leap(real())


def test_replicas_that_are_taken_away_end_what_they_run() -> None:
    async def real() -> None:
        replicas = Replicas(Machine(sequences=1), 2, 1.0)
        running = asyncio.create_task(replicas.run())
        ended: list[int] = []

        def start(number: int) -> Generation:
            return replicas.start([10], [5], 1, lambda _: ended.append(number))

        before = [start(0), start(1)]
        replicas.serve(1)
        after = [start(2), start(3)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert {"serving": 1, "running": 2, "waiting": 2}.items() <= replicas.figures().items()
        for one in (*before, *after):
            await one.changed()
        assert ended == [0, 1, 2, 3], "one after the other, where there were two"
        replicas.serve(2)
        again = [start(4), start(5)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert {"serving": 2, "running": 2, "waiting": 0}.items() <= replicas.figures().items()
        for one in again:
            await one.changed()
        for wrong in (0, 3):
            with pytest.raises(ValueError, match="1 to 2 replicas"):
                replicas.serve(wrong)
        running.cancel()

    leap(real())
