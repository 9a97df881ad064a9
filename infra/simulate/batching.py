"""A model of one vLLM replica (V1 scheduler), without a clock: continuous batching, chunked prefill, paged KV cache, recomputation.

Who drives it (`Replica` in simulated time, `bourse backend` in real time) calls `begin`, lets so much time pass and calls `finish`,
again and again; where there is nothing to do, it begins with the next `submit` or `stop`.

A step is what the GPU computes at once. As in vllm/v1/core/sched/scheduler.py:

1. Running requests come first, in the order in which they were admitted: the next token of those that decode, a chunk of those
   whose prompt is not computed. Each new token of a sequence goes into the sequence's last block or takes a new one.
2. If the blocks are used up, the request admitted last is preempted: its blocks are freed, it goes to the front of the queue, and
   later all of it is computed again, prompt and the tokens it had generated (vLLM's documentation: PreemptionMode.RECOMPUTE).
3. Only if none was preempted, waiting requests are admitted, first come first served, while a sequence, tokens of the step's
   budget and blocks for the chunk are left. The first that does not fit ends it.

Costs: a step is O(requests that begin, end or are preempted in it), not O(batch): where in its block a decoding sequence is, is
known by the step modulo the block's length, and when it ends, by the step's number. 25,000 to 50,000 steps a second of a CPU.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from infra.simulate.machine import BLOCK_TOKENS, Machine


@dataclass(slots=True, eq=False)
class Sequence:
    """A request inside a replica.

    Attributes:
        tenant: index of the tenant, for the counters.
        prompt: input tokens.
        output: tokens it will generate; the replica learns it when it happens.
        ended: called once, when the last token is there or the sequence was stopped (`stopped`).
        generated: output tokens so far.
        computed: tokens in the KV cache; of a decoding sequence when it began to decode.
        first_token_us: when the first token was there; None: not yet.
        lost: of the tokens to compute, how many had been computed before a preemption.
    """

    tenant: int
    prompt: int
    output: int
    ended: Callable[[Sequence], None]
    generated: int = 0
    computed: int = 0
    first_token_us: int | None = None
    stopped: bool = False
    lost: int = 0
    began: int = -1
    """The step with which it began to decode; -1: it does not decode."""
    last: int = -1
    """The step which will generate its last token."""

    @property
    def used(self) -> tuple[int, int]:
        """Input and output tokens that a request was worth when it ended: before its first token, what was computed."""
        return (self.prompt if self.generated else min(self.computed, self.prompt)), self.generated


@dataclass(slots=True)
class Counters:
    """What a replica has done since it started. Tokens by tenant."""

    prompt_tokens: list[int]
    output_tokens: list[int]
    recomputed_tokens: int = 0
    preemptions: int = 0
    steps: int = 0
    filled_us: float = 0.0
    """Share of what the replica can hold at once (its sequences or its blocks, whichever is fuller) times microseconds."""


@dataclass(slots=True)
class Batching:
    """One replica and its queue. Times are microseconds."""

    machine: Machine
    tenants: int
    waiting: deque[Sequence] = field(default_factory=deque)
    running: list[Sequence] = field(default_factory=list)
    free: int = 0
    step: int = 0
    failed: bool = False

    counters: Counters = field(init=False)
    _prefilling: list[Sequence] = field(default_factory=list)
    _ending: dict[int, list[Sequence]] = field(default_factory=dict)
    _filling: list[int] = field(init=False)
    """Decoding sequences by the step, modulo the block's length, in which they take a new block."""
    _decoding: list[int] = field(init=False)
    """Decoding sequences by tenant."""
    _batch: int = 0
    _context: int = 0
    _stopping: list[Sequence] = field(default_factory=list)
    _chunks: list[tuple[Sequence, int]] = field(default_factory=list)
    """Of prompts, in the step under way."""

    def __post_init__(self) -> None:
        if self.machine.batched_tokens <= self.machine.sequences:
            raise ValueError("a step must have room for a token of every sequence and some of a prompt")
        self.free = self.machine.kv_blocks
        self.counters = Counters([0] * self.tenants, [0] * self.tenants)
        self._filling = [0] * BLOCK_TOKENS
        self._decoding = [0] * self.tenants

    def submit(self, sequence: Sequence) -> None:
        """Queue a request.

        Raises:
            ValueError: it can never fit into the KV cache, or would generate nothing.
        """
        if sequence.prompt + sequence.output > self.machine.kv_blocks * BLOCK_TOKENS or sequence.prompt < 1 or sequence.output < 1:
            raise ValueError(f"no replica can run {sequence.prompt} + {sequence.output} tokens")
        self.waiting.append(sequence)

    def stop(self, sequence: Sequence) -> None:
        """End a request without its last token; one that runs ends between two steps, as vLLM aborts."""
        self._stopping.append(sequence)

    def fail(self) -> list[Sequence]:
        """The replica is lost: everything in it ends now, as stopped; nothing may be submitted any more."""
        self.failed = True
        lost = [*self.running, *self.waiting]
        for sequence in lost:
            self._end(sequence, stopped=True)
        self.free = self.machine.kv_blocks  # also what the step under way had taken
        return lost

    @property
    def in_flight(self) -> int:
        """Requests that run or wait."""
        return len(self.running) + len(self.waiting)

    def made(self, sequence: Sequence) -> int:
        """Output tokens of a request so far."""
        return sequence.generated if sequence.began < 0 else sequence.generated + self.step - sequence.began

    def held(self, sequence: Sequence) -> int:
        """Tokens which the KV cache holds of a request."""
        return sequence.computed if sequence.began < 0 else sequence.computed + self.step - sequence.began

    def begin(self) -> int | None:
        """What happens between two steps, then the next step: how long it takes. None: there is nothing to compute."""
        self._stop_all()
        self._chunks = self._schedule()
        if not self._batch and not self._chunks:
            return None
        duration = self._duration(self._chunks)
        self._count(duration)
        return duration

    def finish(self, now_us: int) -> None:
        """What the step computed is there: a token of each decoding sequence, and of each whose prompt is complete."""
        output = self.counters.output_tokens
        for tenant, decoding in enumerate(self._decoding):
            output[tenant] += decoding
        self.free = self._spare()
        self._context += self._batch
        self.step += 1
        for sequence in self._ending.pop(self.step - 1, ()):
            if sequence.last == self.step - 1 and sequence.began >= 0:
                self._end(sequence, stopped=False)
        for sequence, chunk in self._chunks:
            self._advance(sequence, chunk, now_us)

    def _stop_all(self) -> None:
        for sequence in self._stopping:
            if not sequence.stopped and sequence.generated < sequence.output:
                self._end(sequence, stopped=True)
        self._stopping.clear()

    def _schedule(self) -> list[tuple[Sequence, int]]:
        """Chunks of prompts in this step; the decoding sequences are in `_batch`."""
        preempted = False
        while self._spare() < 0:
            self._preempt_newest()
            preempted = True
        budget = self.machine.batched_tokens - self._batch
        chunks = []
        for sequence in list(self._prefilling):
            if sequence not in self._prefilling:  # preempted for an older one
                continue
            chunk = min(sequence.prompt + sequence.generated - sequence.computed, budget)
            while chunk and not self._take(sequence, chunk):
                preempted = True
                if self._preempt_newest() is sequence:
                    chunk = 0
            if chunk:
                chunks.append((sequence, chunk))
                budget -= chunk
        if not preempted:
            chunks += self._admit(budget)
        return chunks

    def _spare(self) -> int:
        """Free blocks, less those into which the decoding sequences grow in this step; negative: they can't all."""
        return self.free - self._filling[self.step % BLOCK_TOKENS]

    def _take(self, sequence: Sequence, chunk: int) -> bool:
        needed = _blocks(sequence.computed + chunk) - _blocks(sequence.computed)
        if needed > self._spare():
            return False
        self.free -= needed
        return True

    def _preempt_newest(self) -> Sequence:
        sequence = self.running[-1]
        decoding = sequence.began >= 0
        self._leave(sequence)
        # The last token of a decoding sequence is generated but not in its cache: it is counted as output already.
        sequence.lost = max(sequence.lost, sequence.computed + decoding)
        sequence.computed = 0
        self.waiting.appendleft(sequence)
        self.counters.preemptions += 1
        return sequence

    def _admit(self, budget: int) -> list[tuple[Sequence, int]]:
        chunks = []
        while budget and self.waiting and len(self.running) < self.machine.sequences:
            sequence = self.waiting[0]
            chunk = min(sequence.prompt + sequence.generated, budget)
            if not self._take(sequence, chunk):
                break
            self.waiting.popleft()
            self.running.append(sequence)
            self._prefilling.append(sequence)
            chunks.append((sequence, chunk))
            budget -= chunk
        return chunks

    def _duration(self, chunks: list[tuple[Sequence, int]]) -> int:
        prompt = sum(chunk for _, chunk in chunks)
        attended = sum(chunk * sequence.computed + chunk * chunk // 2 for sequence, chunk in chunks)
        return self.machine.step_us(self._batch, self._context, prompt, attended)

    def _count(self, duration: int) -> None:
        counters, machine = self.counters, self.machine
        used = machine.kv_blocks - self._spare()
        counters.steps += 1
        counters.filled_us += max(len(self.running) / machine.sequences, used / machine.kv_blocks) * duration

    def _advance(self, sequence: Sequence, chunk: int, now_us: int) -> None:
        again = min(max(sequence.lost - sequence.computed, 0), chunk)
        self.counters.recomputed_tokens += again
        self.counters.prompt_tokens[sequence.tenant] += chunk - again
        sequence.computed += chunk
        if sequence.computed < sequence.prompt + sequence.generated:
            return
        self._prefilling.remove(sequence)
        sequence.generated += 1
        self.counters.output_tokens[sequence.tenant] += 1
        if sequence.first_token_us is None:
            sequence.first_token_us = now_us
        if sequence.generated == sequence.output:
            self._end(sequence, stopped=False)
            return
        sequence.began = self.step
        sequence.last = self.step + sequence.output - sequence.generated - 1
        self._ending.setdefault(sequence.last, []).append(sequence)
        self._filling[(sequence.began - sequence.computed) % BLOCK_TOKENS] += 1
        self._decoding[sequence.tenant] += 1
        self._batch += 1
        self._context += sequence.computed

    def _leave(self, sequence: Sequence) -> None:
        """Out of the batch; its blocks are free, its tokens counted."""
        held = self.held(sequence)
        self.running.remove(sequence)
        if sequence.began < 0:
            self._prefilling.remove(sequence)
        else:
            self._filling[(sequence.began - sequence.computed) % BLOCK_TOKENS] -= 1
            self._decoding[sequence.tenant] -= 1
            self._batch -= 1
            self._context -= held
            sequence.generated += self.step - sequence.began
            sequence.began = -1
        sequence.computed = held
        self.free += _blocks(held)

    def _end(self, sequence: Sequence, *, stopped: bool) -> None:
        if sequence in self._prefilling or sequence.began >= 0:
            self._leave(sequence)
        elif sequence in self.waiting:
            self.waiting.remove(sequence)
        else:  # its prompt alone was computed, and its only token is there
            self.running.remove(sequence)
            self.free += _blocks(sequence.computed)
        sequence.stopped = stopped
        sequence.ended(sequence)


def _blocks(tokens: int) -> int:
    return -(-tokens // BLOCK_TOKENS)
