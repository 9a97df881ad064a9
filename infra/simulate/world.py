"""One simulated run: clients, a control, replicas, a clock. Time is in microseconds, integers; ticks come every second."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import simpy

from infra.simulate.batching import Sequence as Running
from infra.simulate.controls import Answer, Control
from infra.simulate.machine import Machine
from infra.simulate.replica import Replica
from infra.simulate.workloads import Request, generator

TICK_US = 1_000_000
FIRST_RETRY_MS, LONGEST_RETRY_MS = 500, 8_000
"""A refused client waits as long as it is told, but at least half a second, twice as long after each refusal, up to eight: what
OpenAI's client does by itself (INITIAL_RETRY_DELAY, MAX_RETRY_DELAY). Hints of milliseconds would have thousands come at once."""
JITTER = 0.25
"""A client waits up to a quarter longer than it must, so that not all come at once (as OpenAI's client does)."""


class End(StrEnum):
    """How a request ended."""

    SERVED = "served"
    GAVE_UP = "gave_up"
    """Refused until its tenant's patience ended."""
    NEVER = "never"
    """Refused without a chance: larger than its limit can ever hold."""
    UNFINISHED = "unfinished"
    """Waiting or running when the run ended."""


@dataclass(slots=True)
class Outcome:
    """What became of a request. Microseconds from the run's start; None: it did not come to that."""

    request: Request
    end: End = End.UNFINISHED
    first_token_us: int | None = None
    ended_us: int | None = None
    tries: int = 0
    stopped: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """What a tick sees, cumulated since the start: tokens per tenant, the integrals of the replicas."""

    at_s: int
    tokens: tuple[int, ...]
    running: int
    waiting: int
    blocks: int
    filled_us: float
    filled_of: tuple[float, ...]
    """Of each replica."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens, whoever controls it.

    Attributes:
        requests: in order of time, their numbers from 0.
        tenants: names, by index.
        patience_s: by tenant; None: it tries for ever.
        seconds: arrivals end then; the run goes on until the watched tenants' requests have ended.
        machine: of each replica.
        replicas: how many.
        cut: (seconds, replicas that are lost then), or None.
        watched: tenants whose every request is followed to its end; the others are where they are then.
        seed: of the clients' jitter.
    """

    requests: Sequence[Request]
    tenants: tuple[str, ...]
    patience_s: tuple[float | None, ...]
    seconds: int
    machine: Machine = field(default_factory=Machine)
    replicas: int = 1
    cut: tuple[int, int] | None = None
    watched: frozenset[int] = frozenset()
    seed: int = 1


@dataclass(slots=True)
class Run:
    """What a run showed.

    Attributes:
        scenario: what happened.
        outcomes: of every request, by its number.
        moments: one per second, of the time in which requests arrive; the first is of second 0.
        wasted: tokens of requests that were stopped and began again, by tenant.
        recomputed: tokens computed again after the replicas' preemptions.
        preemptions: how many of those there were.
        steps: of all replicas.
    """

    scenario: Scenario
    outcomes: list[Outcome]
    moments: list[Moment] = field(default_factory=list)
    wasted: list[int] = field(default_factory=list)
    recomputed: int = 0
    preemptions: int = 0
    steps: int = 0


Progress = Callable[[float], None]
"""Told the share of a run that is done."""


def tell(progress: Progress, done: int, runs: int, share: float) -> None:
    """Of several runs one after another: so many are done, and so much of the next."""
    progress((done + share) / runs)


class World:
    """A run under construction. `make` gets the replicas and returns the control."""

    def __init__(self, scenario: Scenario, make: Callable[[list[Replica]], Control], progress: Progress = lambda _: None) -> None:
        self._env = simpy.Environment()
        self._scenario = scenario
        tenants = len(scenario.tenants)
        self._replicas = [Replica(self._env, scenario.machine, tenants) for _ in range(scenario.replicas)]
        self._control = make(self._replicas)
        self._progress = progress
        self._run = Run(scenario, [Outcome(request) for request in scenario.requests], wasted=[0] * tenants)
        self._inside: dict[int, tuple[Replica, Running]] = {}
        self._left = sum(request.tenant in scenario.watched for request in scenario.requests)
        self._all_ended = self._env.event()
        waits = generator(scenario.seed, "jitter").random(4096)
        self._jitter = (1000 * (1 + JITTER * waits)).astype(int).tolist()
        """Microseconds of waiting for each millisecond told; taken in turns."""
        self._turn = 0

    def run(self) -> Run:
        """Simulate to the end. Nothing is random but what the scenario's requests and seed hold."""
        env, seconds = self._env, self._scenario.seconds
        env.process(self._ticks())
        env.process(self._arrive())
        env.run(until=seconds * TICK_US + 1)
        if self._left:
            # Without control the queue grows with the run; so many runs' lengths empty it at several times the capacity.
            env.run(until=env.any_of([self._all_ended, env.timeout(10 * seconds * TICK_US)]))
        self._run.recomputed = sum(replica.counters.recomputed_tokens for replica in self._replicas)
        self._run.preemptions = sum(replica.counters.preemptions for replica in self._replicas)
        self._run.steps = sum(replica.counters.steps for replica in self._replicas)
        return self._run

    @property
    def replicas(self) -> list[Replica]:
        """The replicas, for who looks at what is left in them."""
        return self._replicas

    def _ticks(self) -> Generator[simpy.Event, Any, None]:
        scenario = self._scenario
        for second in range(scenario.seconds + 1):
            if scenario.cut and second == scenario.cut[0]:
                for replica in self._replicas[-scenario.cut[1] :]:
                    replica.fail()
            self._control.tick(second * 1000, sum(not replica.failed for replica in self._replicas))
            self._run.moments.append(self._moment(second))
            self._progress(second / max(1, scenario.seconds))
            yield self._env.timeout(TICK_US)

    def _moment(self, second: int) -> Moment:
        counters = [replica.counters for replica in self._replicas]
        alive = [replica for replica in self._replicas if not replica.failed]
        return Moment(
            second,
            tuple(
                sum(one.prompt_tokens[tenant] + one.output_tokens[tenant] for one in counters) - self._run.wasted[tenant]
                for tenant in range(len(self._scenario.tenants))
            ),
            sum(len(replica.running) for replica in alive),
            sum(len(replica.waiting) for replica in alive),
            sum(replica.machine.kv_blocks - replica.free for replica in alive),
            sum(one.filled_us for one in counters),
            tuple(one.filled_us for one in counters),
        )

    def _arrive(self) -> Generator[simpy.Event, Any, None]:
        for request in self._scenario.requests:
            wait = request.at_us - int(self._env.now)
            if wait:
                yield self._env.timeout(wait)
            self._env.process(self._client(request))

    def _client(self, request: Request) -> Generator[simpy.Event, Any, None]:
        outcome = self._run.outcomes[request.number]
        patience = self._scenario.patience_s[request.tenant]
        deadline = None if patience is None else request.at_us + int(patience * 1e6)
        refusals = 0
        while True:
            outcome.tries += 1
            answer = self._control.admit(self._now_ms(), request)
            if answer.replica is not None:
                served: simpy.Event = self._env.event()
                self._start(request, answer, served)
                sequence: Running = yield served
                if not sequence.stopped:
                    outcome.first_token_us = sequence.first_token_us
                    self._close(outcome, End.SERVED)
                    return
                outcome.stopped += 1
                refusals = 0
                self._run.wasted[request.tenant] += max(sequence.lost, sequence.computed + (sequence.generated > 0))
                wait = FIRST_RETRY_MS
            elif answer.retry_ms is None:
                self._close(outcome, End.NEVER)
                return
            else:
                wait = max(answer.retry_ms, min(FIRST_RETRY_MS << refusals, LONGEST_RETRY_MS))
                refusals = min(refusals + 1, 8)
            self._turn = (self._turn + 1) % len(self._jitter)
            wait_us = wait * self._jitter[self._turn]
            if deadline is not None and int(self._env.now) + wait_us > deadline:
                yield self._env.timeout(max(0, deadline - int(self._env.now)))
                self._close(outcome, End.GAVE_UP)
                return
            yield self._env.timeout(wait_us)

    def _start(self, request: Request, answer: Answer, served: simpy.Event) -> None:
        for number in answer.stop:
            replica, sequence = self._inside[number]
            replica.stop(sequence)
        if answer.replica is None:
            raise ValueError("a refused request can't start")
        replica = self._replicas[answer.replica]

        def ended(sequence: Running) -> None:
            del self._inside[request.number]
            self._control.ended(self._now_ms(), request, *sequence.used)
            served.succeed(sequence)

        sequence = Running(request.tenant, request.input, request.output, ended)
        self._inside[request.number] = (replica, sequence)
        replica.submit(sequence)

    def _close(self, outcome: Outcome, end: End) -> None:
        outcome.end = end
        outcome.ended_us = int(self._env.now)
        if outcome.request.tenant in self._scenario.watched:
            self._left -= 1
            if not self._left and not self._all_ended.triggered:
                self._all_ended.succeed()

    def _now_ms(self) -> int:
        return int(self._env.now) // 1000
