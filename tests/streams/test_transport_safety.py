"""What Faust's own driver does not guarantee, seen on it, and that ours does. The same app, only the driver differs."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.kafka

DRIVERS = ["bourse", "stock"]
NOTHING = -1001


def numbered(count: int, *, boom_at: int) -> list[bytes]:
    return [b"boom" if n == boom_at else b"%d" % n for n in range(count)]


@pytest.mark.parametrize("driver", DRIVERS)
def test_an_exception_in_an_agent_stops_the_worker_and_its_record_is_read_again(driver: str, lab: Any) -> None:
    topic = lab.topic()
    lab.publish(topic, numbered(10, boom_at=6))
    worker = lab.worker(driver, topic, "fail")
    worker.until(lambda w: w.told("raising"))
    assert worker.exit_code() == 1
    offset, _ = lab.committed(topic)
    if driver == "bourse":
        assert offset == 6, "what was declared is kept, the failed record is read again"
    else:
        assert offset > 6, "the stock driver acknowledges the failed record: no one will read it again"


def test_an_exception_loses_the_rest_of_a_taken_batch_on_the_stock_driver(lab: Any) -> None:
    topic = lab.topic()
    lab.publish(topic, numbered(10, boom_at=2))
    worker = lab.worker("stock", topic, "fail_in_take")
    worker.until(lambda w: w.told("raising"))
    assert worker.exit_code() == 1
    assert lab.committed(topic)[0] == 10


@pytest.mark.parametrize(
    ("driver", "way"), [("bourse", "topic"), ("bourse", "table"), ("bourse", "send_all"), ("stock", "topic"), ("stock", "table")]
)
def test_after_a_failed_send_nothing_is_committed_and_the_worker_stops(driver: str, way: str, lab: Any) -> None:
    topic, out = lab.topic(), lab.topic(max_message_bytes="1000")
    if way == "table":
        lab.topic(f"{lab.group}-kept-changelog", max_message_bytes="1000", cleanup_policy="compact")
    lab.publish(topic, numbered(10, boom_at=6))
    worker = lab.worker(driver, topic, "send", way=way, out=out, table=way == "table")
    if driver == "bourse":
        assert worker.exit_code() == 1
        assert worker.told("failed")[0]["offset"] == 6
        offset, _ = lab.committed(topic)
        assert offset in {NOTHING, *range(7)}, "the record whose answer failed is read again"
    else:
        worker.until(lambda w: [event for event in w.told("answered") if event["offset"] == 9])
        assert worker.stop() == 0
        assert lab.committed(topic)[0] == 10, "the stock driver commits as if the answer had been sent"


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_is_unfinished_is_never_committed_past(driver: str, lab: Any) -> None:
    topic = lab.topic()
    lab.publish(topic, numbered(10, boom_at=-1))
    worker = lab.worker(driver, topic, "skip_one", unfinished=4)
    worker.until(lambda w: w.told("got") and w.told("got")[-1]["last"] == 9)
    lab.publish(topic, [b"10", b"11"])
    worker.until(lambda w: w.told("got")[-1]["last"] == 11)
    worker.stop()
    offset, _ = lab.committed(topic)
    if driver == "bourse":
        assert offset == 4
    else:
        assert offset > 4, "the stock driver commits past the one unacknowledged event"


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_can_not_be_decoded_reaches_the_agent(driver: str, lab: Any) -> None:
    topic = lab.topic()
    values = [b'{"a": 1}', b"\xff\x00 no JSON", b'{"a": 2}']
    lab.publish(topic, values)
    worker = lab.worker(driver, topic, "record", values=True, value_serializer="json")
    if driver == "bourse":
        worker.until(lambda w: w.told("got") and w.told("got")[-1]["last"] == 2)
        worker.until(lambda w: w.told("values"))
        assert [value for event in worker.told("values") for value in event["values"]] == [v.decode("latin1") for v in values]
        assert worker.stop() == 0
        assert lab.committed(topic) == (3, "note 2")
    else:
        worker.until(lambda w: w.told("ready"))
        assert worker.exit_code() != 0, "the stock driver throws the bad record at the agent"
        got = [event["first"] for event in worker.told("got")]
        assert 1 not in got, "which never sees its bytes"
