"""Modelled replicas in real time.

A step ends in the model when it ends by the machine's figures, and in the world when the clock gets there: a timer that fires late
(by a millisecond; uvloop's count whole ones) delays what a client sees of this step, but not the next step's end. So the model's
times are those of `bourse simulate` for the same arrivals, whatever the event loop's jitter. If the processor can't keep up for
longer, `behind_us` grows: then what a client measures is the processor's doing, not the model's.

A step costs some 20 µs, and each of its tokens that somebody reads as it comes some 30 µs more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from collections.abc import Sequence as Rows
from enum import StrEnum

from infra.simulate.batching import Batching, Sequence
from infra.simulate.controls import least_loaded
from infra.simulate.machine import BLOCK_TOKENS, Machine

LONGEST_CONTEXT = 131_072
"""Of Llama 3.1 (max_position_embeddings), the model whose machine is modelled."""


class Outcome(StrEnum):
    """How a request ended."""

    ANSWERED = "answered"
    CANCELLED = "cancelled"
    """The client went away, or the server was stopped."""
    FAILED = "failed"
    """By a fault that was asked for."""


class Clock:
    """Microseconds of the model since it was made, `speed` times as many as real ones. Made inside of a running event loop."""

    def __init__(self, speed: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._per_second = speed * 1e6
        self._zero = self._loop.time()

    def now_us(self) -> int:
        """Now."""
        return round((self._loop.time() - self._zero) * self._per_second)

    async def until(self, moment_us: int) -> None:
        """Sleep until then; others have their turn even if that has passed."""
        await asyncio.sleep(max(0.0, moment_us / self._per_second + self._zero - self._loop.time()))


class LiveReplica(Batching):
    """One replica and its queue, driven by the clock."""

    def __init__(self, machine: Machine, clock: Clock) -> None:
        super().__init__(machine, tenants=1)
        self._clock = clock
        self._wake = asyncio.Event()
        self.now_us = 0
        """When the step under way ends, or the last one ended."""
        self.watched: dict[Sequence, asyncio.Event] = {}
        """Told after each step in which the sequence was part of the batch."""

    @property
    def behind_us(self) -> int:
        """How far the world is ahead of the model, beyond the step under way."""
        return max(0, self._clock.now_us() - self.now_us) if self.running else 0

    def submit(self, sequence: Sequence) -> None:
        """As in `Batching`; who has nothing to do begins."""
        super().submit(sequence)
        self._wake.set()

    async def run(self) -> None:
        """Step after step, for ever."""
        while True:
            self._wake.clear()
            duration = self.begin()
            if duration is None:
                await self._wake.wait()
                self.now_us = max(self.now_us, self._clock.now_us())
                continue
            self.now_us += duration
            await self._clock.until(self.now_us)
            self.finish(self.now_us)
            for sequence in self.running:
                if sequence in self.watched:
                    self.watched[sequence].set()


class Generation:
    """A request inside of a replica: as many sequences as it has choices.

    Attributes:
        prompts: input tokens of each prompt.
        choices: the sequences; those of one prompt stand together.
        outcome: how it ended, or will if nothing else happens.
    """

    def __init__(
        self, replica: LiveReplica, prompts: Rows[int], outputs: Rows[int], n: int, ended: Callable[[Generation], None]
    ) -> None:
        """Queue it: `n` choices of each prompt, of so many output tokens. `ended` is called once.

        Raises:
            ValueError: the replica can never run it.
        """
        self.prompts = prompts
        self.outcome = Outcome.ANSWERED
        self._replica = replica
        self._n = n
        self._ended = ended
        self._changed = asyncio.Event()
        self.choices = [
            Sequence(0, prompt, output, self._one_ended) for prompt, output in zip(prompts, outputs, strict=True) for _ in range(n)
        ]
        self._left = set(self.choices)
        for sequence in self.choices:
            replica.submit(sequence)

    @property
    def done(self) -> bool:
        """All of it has ended."""
        return not self._left

    def is_done(self, choice: int) -> bool:
        """This choice has ended."""
        return self.choices[choice] not in self._left

    def made(self, choice: int) -> int:
        """Output tokens of a choice so far."""
        return self._replica.made(self.choices[choice])

    @property
    def input(self) -> int:
        """Input tokens that were computed so far, those of a prompt once for all of its choices."""
        computed = [sequence.used[0] for sequence in self.choices]
        return sum(max(computed[first : first + self._n]) for first in range(0, len(computed), self._n))

    @property
    def output(self) -> int:
        """Output tokens so far, of all choices."""
        return sum(map(self._replica.made, self.choices))

    def watch(self) -> None:
        """From now on `changed` returns after each step, not only at ends."""
        for sequence in self._left:
            self._replica.watched[sequence] = self._changed

    async def changed(self) -> None:
        """Wait until there may be more, or it has ended."""
        await self._changed.wait()
        self._changed.clear()

    def stop(self, outcome: Outcome) -> None:
        """End what has not ended: before the replica's next step nothing of it runs, waits or holds blocks any more."""
        if self._left and self.outcome is Outcome.ANSWERED:
            self.outcome = outcome
            for sequence in self._left:
                self._replica.stop(sequence)

    def _one_ended(self, sequence: Sequence) -> None:
        self._left.discard(sequence)
        self._replica.watched.pop(sequence, None)
        self._changed.set()
        if not self._left:
            self._ended(self)


class Replicas:
    """All of them behind one door: a request goes to the one with the fewest."""

    def __init__(self, machine: Machine, replicas: int, speed: float) -> None:
        """Made inside of a running event loop."""
        clock = Clock(speed)
        self.machine = machine
        self._replicas = [LiveReplica(machine, clock) for _ in range(replicas)]
        self._serving = replicas
        self._open: set[Generation] = set()
        self._most_open = 0

    @property
    def context(self) -> int:
        """The most tokens, input and output together, that a sequence may have."""
        return min(LONGEST_CONTEXT, self.machine.kv_blocks * BLOCK_TOKENS)

    def serve(self, replicas: int) -> None:
        """From now on requests go to so many of them; what runs or waits in the others ends there.

        Raises:
            ValueError: there are not so many, or none would be left.
        """
        if not 1 <= replicas <= len(self._replicas):
            raise ValueError(f"1 to {len(self._replicas)} replicas can serve")
        self._serving = replicas

    async def run(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for replica in self._replicas:
                group.create_task(replica.run())

    def start(self, prompts: Rows[int], outputs: Rows[int], n: int, ended: Callable[[Generation], None]) -> Generation:
        """Queue a request."""

        def close(generation: Generation) -> None:
            self._open.discard(generation)
            ended(generation)

        generation = Generation(self._replicas[least_loaded(self._replicas[: self._serving])], prompts, outputs, n, close)
        self._open.add(generation)
        self._most_open = max(self._most_open, len(self._open))
        return generation

    def stop(self) -> None:
        """End everything."""
        for generation in self._open:
            generation.stop(Outcome.CANCELLED)

    def figures(self) -> dict[str, int]:
        """What is inside now, of all replicas together, and the most requests that ever were."""
        machine, replicas = self.machine, self._replicas
        return {
            "serving": self._serving,
            "in_flight": len(self._open),
            "most_in_flight": self._most_open,
            "running": sum(len(replica.running) for replica in replicas),
            "waiting": sum(len(replica.waiting) for replica in replicas),
            "kv_blocks": len(replicas) * machine.kv_blocks,
            "kv_blocks_free": sum(replica.free for replica in replicas),
            "preemptions": sum(replica.counters.preemptions for replica in replicas),
            "behind_ms": max(replica.behind_us for replica in replicas) // 1000,
        }
