"""The consumer's rules for moments that a broker does not produce on demand: late records, late acknowledgements, full hands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from streams.app import Seldom, build_app
from streams.transport import Committed, Consumer, consumer_of, producer_of
from streams.transport.consumer import DEPTH, _Partition
from streams.transport.thread import Fetched

GENERATION = 7
HERE = TP("t", 0)


def record(offset: int) -> Any:
    return ConsumerRecord("t", 0, offset, 1_700_000_000_000, 1, None, b"v", None, -1, 1, ())


def with_consumer(tmp_path: Path, check: Callable[[Consumer, list[Any]], Any], *, position: int = 100, committed: int = 90) -> None:
    """Run `check` with a consumer to which one partition is placed, and a list of what it delivers."""

    async def run() -> None:
        app = build_app("unit", brokers="127.0.0.1:1", datadir=tmp_path)
        consumer = consumer_of(app)
        delivered: list[Any] = []
        consumer._conductor.deliver = lambda message: delivered.append(message.value)  # type: ignore[method-assign]  # no agent runs
        consumer.highwater = lambda _tp: 1000  # type: ignore[method-assign]  # no broker is asked
        app.consumer_generation_id = consumer._generation = GENERATION
        consumer._partitions = {HERE: _Partition(position, Committed(committed, "n"))}
        consumer._open = consumer._assigned = True
        consumer._active_partitions = {HERE}
        result = check(consumer, delivered)
        if asyncio.iscoroutine(result):
            await result

    asyncio.run(run())


def test_records_from_before_a_seek_are_dropped(tmp_path: Path) -> None:
    async def check(consumer: Consumer, delivered: list[Any]) -> None:
        stale = Fetched(consumer._thread.epoch(HERE), [record(500)])
        consumer._thread._begin_epoch([HERE])
        await consumer._receive(HERE, stale)
        assert not delivered
        await consumer._receive(HERE, Fetched(consumer._thread.epoch(HERE), [record(100), record(101)]))
        assert [(batch.first, batch.last, batch.generation) for batch in delivered] == [(100, 101, GENERATION)]

    with_consumer(tmp_path, check)


@pytest.mark.parametrize("closed_by", ["revocation", "new generation"])
def test_records_that_come_when_the_partition_is_going_are_dropped(closed_by: str, tmp_path: Path) -> None:
    async def check(consumer: Consumer, delivered: list[Any]) -> None:
        if closed_by == "revocation":
            consumer._open = False
        else:
            consumer.app.consumer_generation_id = GENERATION + 1
        await consumer._receive(HERE, Fetched(0, [record(100)]))
        assert not delivered

    with_consumer(tmp_path, check)


def test_a_hole_in_the_log_is_passed_and_a_step_back_is_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def check(consumer: Consumer, delivered: list[Any]) -> None:
        await consumer._receive(HERE, Fetched(0, [record(105), record(107)]))
        assert "starts at 105: what was from 100 on is gone" in caplog.text
        assert [batch.last for batch in delivered] == [107]
        with pytest.raises(AssertionError, match="cut or made anew"):
            await consumer._receive(HERE, Fetched(0, [record(107)]))

    with_consumer(tmp_path, check)


def test_an_agent_holds_no_more_than_its_share(tmp_path: Path) -> None:
    async def check(consumer: Consumer, delivered: list[Any]) -> None:
        for n in range(DEPTH):
            assert consumer._fetchable() == {HERE}
            await consumer._receive(HERE, Fetched(0, [record(100 + n)]))
        assert consumer._fetchable() == set()
        consumer.on_batch_done(HERE, GENERATION - 1)
        assert consumer._fetchable() == set(), "a batch of an earlier assignment frees nothing in this one"
        consumer._something_changed.clear()
        consumer.on_batch_done(HERE, GENERATION)
        assert consumer._something_changed.is_set(), "the loop is woken"
        assert consumer._fetchable() == {HERE}

    with_consumer(tmp_path, check)


@pytest.mark.parametrize(
    ("next_offset", "generation", "taken"),
    [
        (95, None, True),
        (100, GENERATION, True),
        (90, GENERATION, True),  # the same offset, another note
        (89, GENERATION, False),  # less than what is committed
        (95, GENERATION - 1, False),  # from before the last assignment
    ],
)
def test_what_a_declaration_does(next_offset: int, generation: int | None, taken: bool, tmp_path: Path) -> None:
    def check(consumer: Consumer, _: list[Any]) -> None:
        assert consumer.declare_safe(HERE, next_offset, "note", generation=generation) is taken
        assert consumer._partitions[HERE].safe == (Committed(next_offset, "note") if taken else None)
        assert consumer.declare_safe(TP("t", 1), next_offset) is False, "not our partition"

    with_consumer(tmp_path, check)


@pytest.mark.parametrize(("first", "second"), [(None, 101), (95, 94)])
def test_a_declaration_that_can_not_be_true_is_an_error(first: int | None, second: int, tmp_path: Path) -> None:
    def check(consumer: Consumer, _: list[Any]) -> None:
        if first is not None:
            consumer.declare_safe(HERE, first)
        with pytest.raises(AssertionError, match="declared safe"):
            consumer.declare_safe(HERE, second)

    with_consumer(tmp_path, check)


@pytest.mark.parametrize("refused_by", [None, "failed send", "rebalance"])
def test_a_declaration_is_committed_with_its_note_but_not_after_a_failed_send(refused_by: str | None, tmp_path: Path) -> None:
    async def check(consumer: Consumer, _: list[Any]) -> None:
        asked: list[dict[TP, Committed]] = []

        async def commit(due: dict[TP, Committed]) -> bool:
            asked.append(due)
            return refused_by is None

        consumer._thread.commit_declared = commit  # type: ignore[method-assign]  # no broker is asked
        if refused_by == "failed send":
            producer_of(consumer.app).failure = RuntimeError("refused")
        assert await consumer.commit() is False
        assert not asked, "nothing was declared"
        consumer.declare_safe(HERE, 95, "a note")
        assert await consumer.commit() is (refused_by is None)
        assert asked == ([] if refused_by == "failed send" else [{HERE: Committed(95, "a note")}])
        assert consumer._partitions[HERE].committed == (Committed(90, "n") if refused_by else Committed(95, "a note"))
        asked.clear()
        await consumer.commit()
        assert bool(asked) is (refused_by == "rebalance"), "only what is not committed yet"

    with_consumer(tmp_path, check)


def test_a_repeated_complaint_of_the_client_is_logged_seldom() -> None:
    now = 0.0
    seldom = Seldom(5.0, clock=lambda: now)

    def logged(name: str, level: int, text: str) -> bool:
        return seldom.filter(logging.LogRecord(name, level, "f.py", 1, text, ("x",), None))

    assert logged("aiokafka.conn", logging.ERROR, "no %s")
    assert not logged("aiokafka.conn", logging.ERROR, "no %s")
    assert logged("aiokafka.conn", logging.ERROR, "another %s")
    assert logged("aiokafka.conn", logging.INFO, "no %s")
    assert logged("streams.x", logging.ERROR, "no %s")
    assert logged("streams.x", logging.ERROR, "no %s")
    now = 5.0
    assert logged("aiokafka.conn", logging.ERROR, "no %s")


def test_an_app_on_another_driver_is_told_so(tmp_path: Path) -> None:
    import faust

    async def check() -> None:
        with pytest.raises(TypeError, match="bourse://"):
            consumer_of(faust.App("plain", broker="kafka://127.0.0.1:1", datadir=str(tmp_path)))

    asyncio.run(check())
