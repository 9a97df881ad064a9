"""The modelled replica: what a step takes, who waits for whom, and that blocks are neither lost nor used twice."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
import simpy

from infra.simulate.batching import Sequence
from infra.simulate.machine import BLOCK_TOKENS, DEFAULT_SEQUENCES, KV_BLOCKS, Machine
from infra.simulate.replica import Replica


@dataclass
class Bench:
    """A replica, and when what was submitted to it ended."""

    env: simpy.Environment
    replica: Replica
    ended: dict[int, Sequence]
    at: dict[int, int]

    def submit(self, prompt: int, output: int, tenant: int = 0) -> Sequence:
        number = self.count = getattr(self, "count", -1) + 1

        def ended(sequence: Sequence) -> None:
            self.ended[number] = sequence
            self.at[number] = int(self.env.now)

        sequence = Sequence(tenant, prompt, output, ended)
        self.replica.submit(sequence)
        return sequence


def bench(machine: Machine, tenants: int = 1) -> Bench:
    env = simpy.Environment()
    return Bench(env, Replica(env, machine, tenants), {}, {})


def held_blocks(replica: Replica) -> int:
    """Blocks by the sequences' own lengths, apart from the replica's account of what is free."""
    return sum(-(-replica.held(sequence) // BLOCK_TOKENS) for sequence in replica.running)


def check(replica: Replica) -> None:
    machine = replica.machine
    assert 0 <= replica.free <= machine.kv_blocks
    assert replica._spare() >= 0  # of the step under way
    assert len(replica.running) <= machine.sequences
    # While a step is under way its chunks have blocks already, and their tokens don't count yet.
    under_way = sum(-(-(one.prompt + one.generated) // BLOCK_TOKENS) for one in replica.running if one.began < 0)
    assert held_blocks(replica) <= machine.kv_blocks - replica.free <= held_blocks(replica) + under_way


def closed_loop(concurrency: int) -> float:
    """Output tokens per second where so many clients each send the next request when the last is answered: 1,024 in, 128 out."""
    env = simpy.Environment()
    replica = Replica(env, Machine(sequences=DEFAULT_SEQUENCES), 1)
    left = 20 * concurrency

    def send(_: Sequence | None = None) -> None:
        nonlocal left
        if left:
            left -= 1
            replica.submit(Sequence(0, 1024, 128, send))

    for _ in range(concurrency):
        send()
    env.run()
    return 20 * concurrency * 128 / (env.now / 1e6)


def test_the_model_meets_the_published_sweep() -> None:
    """75 tokens/s of one request's decoding; eight at once gave 6.6 times the throughput of one: within a tenth."""
    assert 1e6 / Machine().step_us(1, 1100, 0, 0) == pytest.approx(75, rel=0.02)
    assert closed_loop(8) / closed_loop(1) == pytest.approx(6.6, rel=0.1)


@pytest.mark.parametrize(
    ("decoding", "context", "prompt"),
    [(1, 500, 0), (32, 12_800, 0), (256, 100_000, 0), (0, 0, 2048), (31, 12_000, 2017)],
)
def test_more_work_never_takes_less_time(decoding: int, context: int, prompt: int) -> None:
    machine = Machine()
    took = machine.step_us(decoding, context, prompt, prompt * 100)
    assert machine.step_us(decoding + 1, context + 400, prompt, prompt * 100) > took or decoding + prompt < 130
    assert machine.step_us(decoding, context, prompt + 500, prompt * 100) > took
    assert machine.step_us(decoding, context, prompt, prompt * 100 + 50_000) > took
    assert 10_000 < took < 250_000


def test_one_request_alone() -> None:
    """A prompt's step gives the first token, and each step after it another."""
    machine = Machine()
    one = bench(machine)
    sequence = one.submit(100, 4)
    one.env.run()
    steps = [machine.step_us(0, 0, 100, 5000), *(machine.step_us(1, context, 0, 0) for context in (100, 101, 102))]
    assert sequence.first_token_us == steps[0]
    assert one.at[0] == sum(steps)
    assert one.replica.counters.prompt_tokens == [100]
    assert one.replica.counters.output_tokens == [4]
    assert one.replica.free == KV_BLOCKS


def test_a_prompt_is_computed_in_chunks_beside_the_next_tokens_of_others() -> None:
    one = bench(Machine(batched_tokens=128))
    talker = one.submit(16, 50)
    one.env.run(until=100_000)
    generated = one.replica.held(talker)
    reader = one.submit(1000, 1)
    while 1 not in one.ended:
        one.env.step()
    assert one.replica.held(talker) - generated >= 1000 // 128  # a token in each of the steps that read the prompt
    assert reader.first_token_us == one.at[1]


def test_first_come_first_served_and_no_more_than_fit() -> None:
    one = bench(Machine(sequences=2))
    sequences = [one.submit(50, 20) for _ in range(6)]
    one.env.run()
    first = [sequence.first_token_us or 0 for sequence in sequences]
    assert first == sorted(first)
    assert first[2] >= one.at[0]


def test_a_large_prompt_at_the_front_holds_up_smaller_ones_behind_it() -> None:
    one = bench(Machine(kv_blocks=20))
    one.submit(250, 20)
    one.env.run(until=50_000)
    large, small = one.submit(200, 2), one.submit(10, 2)
    one.env.run()
    assert (small.first_token_us or 0) >= (large.first_token_us or 0) >= one.at[0]


def test_the_newest_is_preempted_and_computed_again() -> None:
    """Two sequences that grow into twelve blocks together have ten: the second gives way, and its tokens are computed twice."""
    one = bench(Machine(kv_blocks=10))
    older, newer = one.submit(32, 64), one.submit(32, 64)
    one.env.run()
    counters = one.replica.counters
    assert counters.preemptions >= 1
    assert older.lost == 0
    assert newer.lost > 32
    assert counters.recomputed_tokens == newer.lost
    assert one.at[0] < one.at[1]
    assert counters.prompt_tokens == [64]
    assert counters.output_tokens == [128]
    assert one.replica.free == 10


def test_the_preempted_come_before_who_waited_and_not_in_the_same_step() -> None:
    """The step's budget of a block would let the preempted one in at once: a step that preempts admits nobody."""
    one = bench(Machine(kv_blocks=10, sequences=2, batched_tokens=16))
    older, newer = one.submit(32, 64), one.submit(32, 64)
    one.env.run(until=300_000)
    waiting = one.submit(100, 4)
    while not one.replica.counters.preemptions:
        one.env.step()
    assert one.replica.running == [older]
    assert list(one.replica.waiting) == [newer, waiting]
    one.env.run()
    assert one.at[1] < one.at[2]


def test_what_is_stopped_ends_between_two_steps_and_frees_its_blocks() -> None:
    one = bench(Machine(sequences=2))
    running, other, queued = one.submit(100, 500), one.submit(100, 30), one.submit(100, 30)
    one.env.run(until=200_000)
    one.replica.stop(running)
    one.replica.stop(queued)
    one.replica.stop(queued)  # twice is once
    one.env.run()
    assert running.stopped
    assert 0 < running.generated < 500
    assert queued.stopped
    assert queued.generated == 0
    assert not other.stopped
    assert one.replica.free == KV_BLOCKS
    one.replica.stop(other)  # it has ended
    assert not other.stopped


def test_a_lost_replica_ends_everything_in_it() -> None:
    one = bench(Machine(sequences=4))
    for _ in range(10):
        one.submit(300, 100)
    one.env.run(until=500_000)
    lost = one.replica.fail()
    one.env.run()
    assert len(lost) == len(one.ended) == 10
    assert all(sequence.stopped for sequence in lost)
    assert (one.replica.free, one.replica.in_flight) == (KV_BLOCKS, 0)


@pytest.mark.parametrize(("prompt", "output"), [(0, 1), (1, 0), (10 * BLOCK_TOKENS, 1)])
def test_what_no_replica_can_run_is_refused(prompt: int, output: int) -> None:
    one = bench(Machine(kv_blocks=10))
    with pytest.raises(ValueError, match="no replica"):
        one.submit(prompt, output)
    assert one.replica.in_flight == 0


def test_a_step_must_have_room_for_a_prompt() -> None:
    with pytest.raises(ValueError, match="room"):
        bench(Machine(sequences=32, batched_tokens=32))


@pytest.mark.parametrize("seed", range(8))
def test_blocks_are_never_lost_nor_used_twice(seed: int) -> None:
    """Random requests, scarce blocks, some stopped: at every event the account agrees with the sequences' lengths."""
    rng = random.Random(seed)
    one = bench(Machine(kv_blocks=rng.randint(36, 70), sequences=rng.randint(6, 24), batched_tokens=rng.choice((64, 256))), 3)
    sequences: list[Sequence] = []
    asked = [0, 0, 0]

    def arrive() -> object:
        for _ in range(120):
            tenant = rng.randrange(3)
            prompt, output = rng.randint(1, 300), rng.randint(1, 200)
            sequences.append(one.submit(prompt, output, tenant))
            asked[tenant] += prompt + output
            if rng.random() < 0.1:
                one.replica.stop(rng.choice(sequences))
            yield one.env.timeout(int(rng.expovariate(1 / 60_000)))

    one.env.process(arrive())  # type: ignore[arg-type]  a generator without a declared type
    while one.env.peek() != float("inf"):
        one.env.step()
        check(one.replica)
    assert len(one.ended) == len(sequences) == 120
    assert (one.replica.free, one.replica.in_flight) == (one.replica.machine.kv_blocks, 0)
    counters = one.replica.counters
    whole = [sequence for sequence in sequences if not sequence.stopped]
    assert all(sequence.generated == sequence.output for sequence in whole)
    done = sum(counters.prompt_tokens) + sum(counters.output_tokens)
    assert sum(sequence.prompt + sequence.output for sequence in whole) <= done <= sum(asked)
    assert counters.preemptions > 0
    assert counters.recomputed_tokens > 0
