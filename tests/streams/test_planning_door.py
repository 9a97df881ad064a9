"""The planner's commands at the door of `profiles`: what is taken, how large they may be, what is refused in which words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.dead_letters import Problem
from schemas.model import Event
from schemas.planning import HOURS_OF_WEEK, MOST_NEEDS, MOST_PRIORS, PlanCommand, PriorsCommand, PriorSource, RebalanceCommand
from schemas.units import MAX_NAME_BYTES, MAX_TOKENS
from streams.codecs import encode
from streams.complaints import Refusal
from streams.door import Door
from streams.settings import Settings

DOOR = Door(max_event_bytes=Settings.model_fields["max_event_bytes"].default, max_ahead_ms=1, max_age_ms=1)
WEEK: list[int | None] = [*range(HOURS_OF_WEEK - 1), None]
PRIORS: dict[str, Any] = {
    "type": "priors",
    "id": "priors-472536-0",
    "pool": "llama",
    "as_of": "2023-11-28T00:00:00Z",
    "tenant": ["acme", "bob"],
    "source": ["own", "typical"],
    "hour_of_week": WEEK + WEEK,
}
REBALANCE: dict[str, Any] = {
    "type": "rebalance",
    "id": "rebalance-472536-0",
    "pool": "llama",
    "as_of": 1_701_129_600_000,
    "look_back_s": 604_800,
    "tenant": ["acme", "bob"],
    "need": [5, 0],
}


def read(value: dict[str, Any] | bytes) -> Event | Refusal:
    return DOOR.read("profiles", value if isinstance(value, bytes) else json.dumps(value).encode(), (), b"llama", 0)


def test_taken_in_both_encodings() -> None:
    for fields, model in ((PRIORS, PriorsCommand), (REBALANCE, RebalanceCommand)):
        expected = model(**fields)
        assert read(fields) == expected
        assert read(encode(expected)) == expected
    assert isinstance(read(PRIORS | {"hour_of_week": [None] * 2 * HOURS_OF_WEEK}), PriorsCommand)
    assert isinstance(read(REBALANCE | {"tenant": [], "need": [], "chunk": 1, "chunks": 2}), RebalanceCommand)


def longest() -> tuple[PlanCommand, ...]:
    """The longest commands that there are."""
    names = [f"{number:0{MAX_NAME_BYTES}}" for number in range(MOST_NEEDS)]
    who = {"id": "i" * MAX_NAME_BYTES, "pool": "llama", "as_of": 10**13}
    return (
        PriorsCommand(
            **who,
            tenant=names[:MOST_PRIORS],
            source=[PriorSource.OTHER_POOLS] * MOST_PRIORS,
            hour_of_week=[MAX_TOKENS] * (MOST_PRIORS * HOURS_OF_WEEK),
        ),
        RebalanceCommand(**who, look_back_s=1, chunk=2**62, chunks=2**63 - 1, tenant=names, need=[MAX_TOKENS] * MOST_NEEDS),
    )


@pytest.mark.parametrize("command", longest(), ids=lambda command: command.KIND)
def test_the_longest_pass_the_door_as_it_is_by_default(command: PlanCommand) -> None:
    assert read(encode(command)) == command
    assert read(command.model_dump_json().encode()) == command


WRONG: list[tuple[dict[str, Any], str]] = [
    (PRIORS | {"hour_of_week": WEEK}, "hour_of_week: 168 entries, but 336 belong to 2 tenants"),
    (PRIORS | {"source": ["own"]}, "source: 1 entries, but 2 belong to 2 tenants"),
    (PRIORS | {"tenant": ["acme", "acme"]}, "tenant: 'acme' twice"),
    (PRIORS | {"tenant": [], "source": [], "hour_of_week": []}, "tenant: "),
    (PRIORS | {"source": ["own", "guess"]}, "source.1: "),
    (PRIORS | {"hour_of_week": [-1, *WEEK[1:], *WEEK]}, "hour_of_week.0: -1 "),
    (PRIORS | {"hour_of_week": [0.5, *WEEK[1:], *WEEK]}, "hour_of_week.0: 0.5 "),
    (PRIORS | {"tenant": [str(number) for number in range(MOST_PRIORS + 1)]}, "tenant: "),
    (REBALANCE | {"need": [1]}, "need: 1 entries, but 2 belong to 2 tenants"),
    (REBALANCE | {"need": [1, None]}, "need.1: "),
    (REBALANCE | {"tenant": ["a", "a"]}, "tenant: 'a' twice"),
    (REBALANCE | {"chunk": 1}, "chunk: 1 of 1"),
    (REBALANCE | {"look_back_s": 0}, "look_back_s: 0 "),
]


@pytest.mark.parametrize(("value", "detail"), WRONG)
def test_refused(value: dict[str, Any], detail: str) -> None:
    refused = read(value)
    assert isinstance(refused, Refusal), refused
    assert refused.problem is Problem.INVALID
    assert refused.detail.startswith(detail), refused.detail
