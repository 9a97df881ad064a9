"""Answers that Kafka gives for a moment only. A real broker gives them when it likes, so they are acted here."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.asking import SOON, patiently


def answers(*codes):
    """An asker that fails with these codes, one after the other, and then answers."""
    left = list(codes)

    def ask():
        if left:
            raise KafkaException(KafkaError(left.pop(0)))
        return "offsets"

    return ask, left


@pytest.mark.parametrize("code", sorted(SOON))
def test_a_partition_without_a_leader_is_asked_again(code):
    ask, left = answers(code, code)
    assert patiently(ask) == "offsets"
    assert not left


@pytest.mark.parametrize("code", [KafkaError._TRANSPORT, KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError._TIMED_OUT])
def test_any_other_error_is_told_at_once(code):
    ask, left = answers(code, code)
    with pytest.raises(KafkaException) as told:
        patiently(ask)
    assert told.value.args[0].code() == code
    assert len(left) == 1


def test_patience_ends(monkeypatch):
    monkeypatch.setattr("streams.asking.PATIENCE_S", 0.0)
    ask, _ = answers(*[KafkaError.NOT_LEADER_FOR_PARTITION] * 5)
    with pytest.raises(KafkaException):
        patiently(ask)
