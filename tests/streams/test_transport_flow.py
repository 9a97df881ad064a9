"""Where reading starts, how it flows, and who owns what: on a real broker."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import Any

import pytest

pytestmark = pytest.mark.kafka

NOTHING = -1001
RECORDS = 600


def values(count: int, size: int = 20) -> list[bytes]:
    return [b"%0*d" % (size, n) for n in range(count)]


def read_by(worker: Any, partition: int = 0) -> int:
    """Offset behind the last record that the agent got."""
    return max((event["last"] + 1 for event in worker.told("got") if event["partition"] == partition), default=0)


@pytest.mark.parametrize("driver", ["bourse", "stock"])
def test_back_pressure_never_makes_the_fetch_loop_sleep(driver: str, lab: Any) -> None:
    topic = lab.topic()
    lab.publish(topic, values(RECORDS))
    worker = lab.worker(driver, topic, "record", pause_s=0.002, max_batch_records=10, stream_buffer_maxsize=10)
    if driver == "bourse":
        worker.until(lambda w: read_by(w) == RECORDS)
        assert not worker.told("slept")
        assert max(event["count"] for event in worker.told("got")) == 10, "a batch is capped, so that there was back-pressure"
    else:
        worker.until(lambda w: w.told("slept"))
        assert worker.told("slept")[0]["backlog"] == [0], "the stock driver sleeps a second although records wait"


def test_an_idle_partition_does_not_delay_a_busy_one(lab: Any) -> None:
    topic = lab.topic(partitions=2)
    lab.publish(topic, values(RECORDS))
    worker = lab.worker("bourse", topic, "record", pause_s=0.01, max_batch_records=10)
    worker.until(lambda w: read_by(w) == RECORDS)
    got = worker.told("got")
    gaps = [later["at"] - earlier["at"] for earlier, later in pairwise(got)]
    # If a finished batch did not end the fetch that waits for the idle partition, nearly every gap would last a second.
    assert sum(gap > 0.5 for gap in gaps) <= len(gaps) // 10, gaps


@pytest.mark.parametrize("driver", ["bourse", "stock"])
def test_reading_starts_where_the_role_says(driver: str, lab: Any) -> None:
    topic = lab.topic(partitions=2)
    for partition in (0, 1):
        lab.publish(topic, values(30), partition)
    first = lab.worker(driver, topic, "record")
    first.until(lambda w: read_by(w, 0) == 30 and read_by(w, 1) == 30)
    assert first.stop() == 0
    assert [lab.committed(topic, partition)[0] for partition in (0, 1)] == [30, 30]
    for partition in (0, 1):
        lab.publish(topic, values(5), partition)

    start = {"0": 12} if driver == "bourse" else {"0": 12, "1": 30}
    second = lab.worker(driver, topic, "record", start=start, max_batch_records=10)
    second.until(lambda w: read_by(w, 0) == 35 and read_by(w, 1) == 35)
    begun = {p: min(event["first"] for event in second.told("got") if event["partition"] == p) for p in (0, 1)}
    if driver == "bourse":
        assert second.told("assigned")[0]["committed"] == {f"{topic}/0": [30, "note 29"], f"{topic}/1": [30, "note 29"]}
        assert begun == {0: 12, 1: 30}
        ignored = [event["next"] for event in second.told("late") if event["partition"] == 0]
        assert ignored, "less than what is committed is declared and ignored"
        assert max(ignored) < 30
    else:
        assert begun == {0: 30, 1: 30}, "the stock driver seeks back to what is committed, after every hook that it offers"


def test_a_role_that_can_not_say_where_to_start_stops_the_worker(lab: Any) -> None:
    topic = lab.topic()
    lab.publish(topic, values(3))
    worker = lab.worker("bourse", topic, "record", fail_assigned=True)
    assert worker.exit_code() == 1
    assert not worker.told("got")
    assert lab.committed(topic)[0] == NOTHING


def test_a_clean_stop_commits_what_was_declared(lab: Any) -> None:
    topic = lab.topic()
    lab.publish(topic, values(7))
    worker = lab.worker("bourse", topic, "record", commit_interval_s=600)
    worker.until(lambda w: read_by(w) == 7)
    assert lab.committed(topic)[0] == NOTHING
    assert worker.stop() == 0
    assert lab.committed(topic) == (7, "note 6")
    assert worker.told("revoked"), "a role hears of a stop as of any loss of its partitions"


@pytest.mark.parametrize("off_by", [0, 2])
def test_a_declaration_that_can_not_be_true_stops_the_worker(off_by: int, lab: Any) -> None:
    topic = lab.topic()
    lab.publish(topic, values(3))
    worker = lab.worker("bourse", topic, "misdeclare", off_by=off_by)
    assert worker.exit_code() == 1
    assert lab.committed(topic)[0] in {NOTHING, 3}
    assert "AssertionError" in worker.log.read_text()


def test_a_log_that_was_cut_stops_the_worker(lab: Any) -> None:
    topic = lab.topic()
    lab.publish(topic, values(30))
    first = lab.worker("bourse", topic, "record")
    first.until(lambda w: read_by(w) == 30)
    assert first.stop() == 0
    lab.admin.delete_topics([topic])[topic].result(timeout=30)
    _create_again(lab, topic)
    lab.publish(topic, values(5))
    second = lab.worker("bourse", topic, "record", start={"0": 30})
    assert second.exit_code() == 1
    assert "cut or made anew" in second.log.read_text()
    assert not second.told("got")


def _create_again(lab: Any, topic: str) -> None:
    from confluent_kafka import KafkaException

    for _ in range(100):
        try:
            lab.topic(topic)
        except KafkaException:  # the deletion is still under way; each attempt waits for the broker's answer
            threading.Event().wait(0.05)
        else:
            return
    raise AssertionError("the topic could not be created again")


def test_tables_are_recovered_before_the_role_says_where_to_start(lab: Any) -> None:
    topic = lab.topic()
    lab.topic(f"{lab.group}-kept-changelog", cleanup_policy="compact")
    lab.publish(topic, values(50, size=3))
    first = lab.worker("bourse", topic, "keep", table=True)
    first.until(lambda w: w.told("declared") and w.told("declared")[-1]["next"] == 50)
    first.kill()
    second = lab.worker("bourse", topic, "keep", table=True)
    second.until(lambda w: w.told("assigned"))
    assert second.told("assigned")[0]["table"] == {"last": "049"}
    lab.publish(topic, values(50, size=3))
    second.until(lambda w: w.told("declared") and w.told("declared")[-1]["next"] == 100)


def test_two_workers_one_joins_one_is_killed_nothing_is_lost_and_order_holds(lab: Any) -> None:
    partitions, rounds = 4, 3
    topic = lab.topic(partitions=partitions)

    def load() -> None:
        for partition in range(partitions):
            lab.publish(topic, values(RECORDS), partition)

    def all_read(*workers: Any, upto: int) -> bool:
        return all(max(read_by(w, p) for w in workers) == upto for p in range(partitions))

    spec = {"max_batch_records": 50, "pause_s": 0.005, "commit_interval_s": 600}
    load()
    one = lab.worker("bourse", topic, "record", **spec)
    one.until(lambda w: w.told("got"))
    two = lab.worker("bourse", topic, "record", **spec)
    two.until(lambda w: w.told("assigned") and w.told("assigned")[-1]["committed"])
    for name, (offset, _) in two.told("assigned")[-1]["committed"].items():
        partition = int(name.rsplit("/", 1)[1])
        declared = max((e["next"] for e in one.told("declared") if e["partition"] == partition), default=None)
        assert offset == declared, "all that was declared was committed before the partition moved, though no interval had passed"
    load()
    two.until(lambda _: all_read(one, two, upto=2 * RECORDS))
    one.kill()
    load()
    two.until(lambda _: all_read(two, upto=rounds * RECORDS))

    for worker in (one, two):
        assert_order(worker)
    for partition in range(partitions):
        read = {
            n for w in (one, two) for e in w.told("got") if e["partition"] == partition for n in range(e["first"], e["last"] + 1)
        }
        assert read == set(range(rounds * RECORDS))


def assert_order(worker: Any) -> None:
    """In every assignment a partition is read from what was committed on, without a gap and without going back."""
    expected: dict[int, int] = {}
    for event in worker.events:
        if event["what"] == "assigned":
            expected = {int(tp.rsplit("/", 1)[1]): offset or 0 for tp, (offset, _) in event["committed"].items()}
        elif event["what"] == "got":
            assert event["first"] == expected[event["partition"]], event
            expected[event["partition"]] = event["last"] + 1


def test_what_an_agent_declares_after_its_partition_moved_is_ignored(lab: Any) -> None:
    topic = lab.topic(partitions=2)
    for partition in (0, 1):
        lab.publish(topic, values(5), partition)
    one = lab.worker("bourse", topic, "hold")
    one.until(lambda w: w.told("got"))
    two = lab.worker("bourse", topic, "hold")
    two.until(lambda w: w.told("assigned"))
    one.until(lambda w: len(w.told("assigned")) == 2)
    one.go()
    one.until(lambda w: w.told("late"))
    held = one.told("got")[0]["partition"]
    assert one.told("late")[0] | {"at": 0} == {"what": "late", "partition": held, "next": 5, "at": 0}
    assert lab.committed(topic, held)[0] in {NOTHING, 5}
    one.until(lambda w: len(w.told("declared")) == 1)  # what it was given anew counts
    kept = one.told("declared")[0]["partition"]
    assert one.stop() == 0
    assert lab.committed(topic, kept)[0] == 5
    assert lab.committed(topic, 1 - kept)[0] == NOTHING


def test_a_worker_without_partitions_hears_of_it(lab: Any) -> None:
    topic = lab.topic()
    one = lab.worker("bourse", topic, "record")
    one.until(lambda w: w.told("assigned"))
    two = lab.worker("bourse", topic, "record")
    two.until(lambda w: w.told("assigned"))
    one.until(lambda w: len(w.told("assigned")) == 2)
    owned = [len(w.told("assigned")[-1]["committed"]) for w in (one, two)]
    assert sorted(owned) == [0, 1]
    lab.publish(topic, values(3))
    two.until(lambda _: read_by(one) + read_by(two) == 3)
    for worker in (one, two):
        assert worker.stop() == 0


def test_a_role_that_is_still_thinking_when_its_partitions_go_is_asked_anew(lab: Any) -> None:
    topic = lab.topic(partitions=2)
    for partition in (0, 1):
        lab.publish(topic, values(3), partition)
    one = lab.worker("bourse", topic, "record", think=True)
    one.until(lambda w: w.told("thinking"))
    two = lab.worker("bourse", topic, "record")
    two.until(lambda w: read_by(w, 0) + read_by(w, 1) == 3)
    one.until(lambda w: len(w.told("thinking")) == 2)
    assert not one.told("got"), "nothing is delivered before the role has answered"
    one.go()
    one.until(lambda w: read_by(w, 0) + read_by(w, 1) == 3)
    assert len(one.told("assigned")) == 1
    assert len(one.told("assigned")[0]["committed"]) == 1


def test_a_leader_that_assigned_before_its_broker_knew_the_topic_assigns_again(lab: Any) -> None:
    """As after a restart of the broker, which for a moment tells of no topics; aiokafka would look again after five minutes."""
    name = f"late-{lab.group}"
    worker = lab.worker("bourse", name, "record")
    worker.until(lambda w: w.told("assigned"))
    assert not worker.told("assigned")[0]["committed"]
    lab.topic(name)
    lab.publish(name, values(3))
    worker.until(lambda w: read_by(w) == 3)
    assert worker.stop() == 0
