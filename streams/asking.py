"""Asking Kafka for what it can't say for a moment: a partition that has just been made, or lost its broker, has no leader yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from confluent_kafka import KafkaError, KafkaException
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

SOON: Final = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
    }
)
"""Answers that a broker gives between the moment in which a partition is known and the one in which it leads it."""

PATIENCE_S: Final = 10.0
"""A leader is there within a second, on a machine that is overloaded within a few."""

LONGEST_PAUSE_S: Final = 0.5

Answer = TypeVar("Answer")


def patiently(ask: Callable[[], Answer]) -> Answer:
    """What `ask` returns, asked again while Kafka has no leader for it, for PATIENCE_S at most.

    Raises:
        KafkaException: any other error at once, that one at last.
    """
    again = Retrying(
        retry=retry_if_exception(_is_for_a_moment),
        wait=wait_random_exponential(multiplier=0.05, max=LONGEST_PAUSE_S),
        stop=stop_after_delay(PATIENCE_S),
        reraise=True,
    )
    return again(ask)


def _is_for_a_moment(error: BaseException) -> bool:
    return isinstance(error, KafkaException) and error.args[0].code() in SOON
