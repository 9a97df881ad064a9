"""The proof by replay on a real broker: equal facts are called equal, and each way to differ is told as what it is."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from journal_world import World, pool, profile, usage

from processors.snapshot import state_hash
from schemas.facts import AllocationsClosed, PeriodClosed, UsageCounted
from schemas.journal import ClockTick, UsageSums
from streams.codecs import encode
from streams.replay import ReplayError, fold_again, verify

pytestmark = pytest.mark.kafka

NOBODY = lambda *_: None  # noqa: E731  the progress that nobody watches


def a_world(first: str, periods: int = 3) -> World:
    world = World()
    world.take(pool(id="p", pool=first, base_price=1, forecaster="mixture"), profile("1", "a", pool=first, base=10))
    world.take(profile("2", "b", pool=first, bid_on="p90"))
    for number in range(2, 2 * periods + 3):
        world.take(usage(number, {"a": 5, "b": 7}, pool=first), *([usage(number, {"a": 1}, pool="ghost")] if number == 3 else []))
        world.run(number, number)
    return world


class Recorded:
    """A journal and facts of two partitions in topics of their own."""

    def __init__(self, bootstrap: str) -> None:
        self.config = {"bootstrap.servers": bootstrap}
        self.worlds = [a_world("llm"), a_world("gpt", periods=4)]
        self.facts = [[encode(fact) for fact in world.facts] for world in self.worlds]
        run = uuid.uuid4().hex[:8]
        self.journal_topic, self.facts_topic = f"replay-{run}-journal", f"replay-{run}-facts"

    def write(self) -> Recorded:
        topics = [NewTopic(name, 2, 1) for name in (self.journal_topic, self.facts_topic)]
        admin = AdminClient(self.config)  # its answers come only while it lives
        for made in admin.create_topics(topics).values():
            made.result(30)
        producer = Producer({**self.config, "enable.idempotence": True})
        for partition, (world, facts) in enumerate(zip(self.worlds, self.facts, strict=True)):
            for offset, (expected, record) in enumerate(world.journal):
                assert offset == expected
                producer.produce(self.journal_topic, encode(record), partition=partition)
            for fact in facts:
                producer.produce(self.facts_topic, fact, partition=partition)
        assert producer.flush(30) == 0
        return self

    def verify(self):
        return verify(self.config, self.journal_topic, self.facts_topic, NOBODY)

    def place(self, kind, partition=1):
        """Where the second fact of a kind stands."""
        return [at for at, fact in enumerate(self.worlds[partition].facts) if isinstance(fact, kind)][1]


@pytest.fixture
def recorded(bootstrap: str) -> Recorded:
    return Recorded(bootstrap)


def test_what_was_recorded_is_proved(recorded: Recorded) -> None:
    told = []
    recorded.write()
    verdicts = verify(recorded.config, recorded.journal_topic, recorded.facts_topic, lambda *step: told.append(step))
    for partition, verdict in enumerate(verdicts):
        world = recorded.worlds[partition]
        assert (verdict.partition, verdict.journal, verdict.facts) == (partition, len(world.journal), len(world.facts))
        assert verdict.periods == sum(isinstance(fact, PeriodClosed) for fact in world.facts) == 3 + partition
        assert (verdict.difference, verdict.repeated, verdict.unpublished) == (None, 0, 0)
        assert (partition, len(world.journal), len(world.journal)) in told


def test_a_fact_that_says_something_else_is_shown_beside_what_was_decided(recorded: Recorded) -> None:
    at = recorded.place(UsageCounted)
    decided = recorded.worlds[1].facts[at]
    other = decided.model_copy(update={"used": [decided.used[0] + 1, *decided.used[1:]]})
    recorded.facts[1][at] = encode(other)
    good, bad = recorded.write().verify()
    assert good.difference is None
    assert bad.facts == at
    assert bad.difference.fact == (decided.journal_offset, decided.fact_index)
    assert (bad.difference.decided, bad.difference.recorded) == (decided, other)


def test_a_wrong_state_hash_is_seen(recorded: Recorded) -> None:
    at = recorded.place(PeriodClosed)
    decided = recorded.worlds[1].facts[at]
    recorded.facts[1][at] = encode(decided.model_copy(update={"state_hash": state_hash(recorded.worlds[0].pool())}))
    verdict = recorded.write().verify()[1]
    assert verdict.periods == 1
    assert verdict.difference.decided == decided


def test_a_changed_byte_anywhere_is_seen(recorded: Recorded) -> None:
    at = recorded.place(UsageCounted)
    whole = recorded.facts[1][at]
    for byte in range(0, len(whole), 9):
        changed = Recorded(recorded.config["bootstrap.servers"])
        changed.facts[1][at] = whole[:byte] + bytes([whole[byte] ^ 0x04]) + whole[byte + 1 :]
        try:
            verdict = changed.write().verify()[1]
        except ReplayError as unreadable:
            assert f"{changed.facts_topic}/1, offset {at}: " in str(unreadable)  # noqa: PT017  either is an answer
        else:
            assert verdict.difference is not None
            assert verdict.facts == at


def test_a_missing_fact_is_called_missing(recorded: Recorded) -> None:
    at = recorded.place(UsageCounted)
    missing = recorded.worlds[1].facts[at]
    del recorded.facts[1][at]
    verdict = recorded.write().verify()[1]
    assert (verdict.difference.decided, verdict.difference.recorded) == (missing, None)
    assert verdict.difference.fact == (missing.journal_offset, missing.fact_index)


def test_a_fact_that_no_journal_record_gives_is_called_foreign(recorded: Recorded) -> None:
    at = recorded.place(UsageCounted)
    foreign = recorded.worlds[1].facts[at].model_copy(update={"fact_index": 1})
    recorded.facts[1].insert(at + 1, encode(foreign))
    verdict = recorded.write().verify()[1]
    assert (verdict.difference.decided, verdict.difference.recorded) == (None, foreign)


def test_a_fact_beyond_the_journal_is_called_foreign(recorded: Recorded) -> None:
    last = recorded.worlds[1].facts[-1]
    foreign = last.model_copy(update={"journal_offset": last.journal_offset + 1})
    recorded.facts[1].append(encode(foreign))
    verdict = recorded.write().verify()[1]
    assert verdict.facts == len(recorded.worlds[1].facts)
    assert (verdict.difference.decided, verdict.difference.recorded) == (None, foreign)


def test_facts_that_a_recovering_engine_published_again_are_counted_apart(recorded: Recorded) -> None:
    facts = recorded.facts[1]
    recorded.facts[1] = facts[:20] + facts[7:30] + facts[29:]
    verdict = recorded.write().verify()[1]
    assert (verdict.difference, verdict.facts, verdict.repeated) == (None, len(facts), 13 + 1)


def test_what_is_not_published_yet_is_no_difference(recorded: Recorded) -> None:
    del recorded.facts[1][-4:]
    verdict = recorded.write().verify()[1]
    assert (verdict.difference, verdict.facts, verdict.unpublished) == (None, len(recorded.facts[1]), 4)


def test_empty_topics_are_equal(recorded: Recorded) -> None:
    recorded.facts = [[], []]
    for world in recorded.worlds:
        world.journal.clear()
    assert [(verdict.journal, verdict.facts, verdict.difference) for verdict in recorded.write().verify()] == [(0, 0, None)] * 2


def test_what_cannot_be_read_is_one_clear_line(recorded: Recorded) -> None:
    with pytest.raises(ReplayError, match=rf"{recorded.journal_topic}: .*[Uu]nknown topic"):
        recorded.verify()
    offset, record = recorded.worlds[0].journal[5]
    recorded.worlds[0].journal[5] = (offset, ClockTick(tick=99, tick_ms=7, meter_partitions=1, grace_ticks=3))
    assert record is not None
    with pytest.raises(ReplayError, match=rf"{recorded.journal_topic}/0, offset 5: tick_ms: 7, but this journal was begun"):
        recorded.write().verify()


def test_the_repositorys_own_golden_journals_replay(bootstrap: str) -> None:
    import golden

    recorded = Recorded(bootstrap)
    for at, policy in enumerate(("seed", "uniform_price")):
        world = World()
        written = (Path(golden.FOLDER) / f"{policy}.jsonl").read_text(encoding="utf-8")
        world.take(*(record for _, record in golden.journal_of(written)))
        recorded.worlds[at], recorded.facts[at] = world, [encode(fact) for fact in world.facts]
    assert [(verdict.periods, verdict.difference) for verdict in recorded.write().verify()] == [(5, None)] * 2


def test_a_journal_is_folded_again_without_some_of_its_records(recorded: Recorded) -> None:
    recorded.write()
    world = recorded.worlds[1]
    where = (recorded.config, recorded.journal_topic, 1)
    assert list(fold_again(*where, lambda _: True)) == world.facts
    without = list(fold_again(*where, lambda record: not isinstance(record, UsageSums)))
    closed = [fact for fact in without if isinstance(fact, AllocationsClosed)]
    assert len(closed) == sum(isinstance(fact, AllocationsClosed) for fact in world.facts)
    assert sum(sum(fact.used) for fact in closed) == 0 < sum(sum(f.used) for f in world.facts if isinstance(f, AllocationsClosed))
