"""Priority inside a tenant: who of those that wait is next, and that nobody starves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.waiting import Class, NotTaken, Rules, Waiting, WaitingRoom

RULES = Rules(length=8, longest_ms=1_000, head_start_ms=300, heaviest=1_000)

COMES = st.tuples(st.integers(0, 120), st.integers(0, 3_000), st.sampled_from(Class))
"""Milliseconds after the one before, weight, class."""


def order(*comers: tuple[int, str, int, Class]) -> str:
    room = WaitingRoom(RULES)
    for at, name, weight, class_ in comers:
        assert isinstance(room.enter(at, name, weight, class_), Waiting)
    return "".join(each.request for each in room)


LOW, NORMAL, HIGH = Class


@pytest.mark.parametrize(
    ("comers", "expected"),
    [
        ([(0, "a", 10, NORMAL), (0, "b", 500, NORMAL), (0, "c", 100, NORMAL)], "bca"),
        ([(0, "a", 500, LOW), (0, "b", 0, NORMAL), (0, "c", 0, HIGH)], "cba"),
        ([(0, "a", 5, NORMAL), (1, "b", 5, NORMAL)], "ab"),
        ([(0, "b", 1_000, NORMAL), (0, "a", 9_000, NORMAL)], "ba"),  # heavier than the heaviest is as heavy; who came first, first
        ([(0, "b", 0, LOW), (0, "a", -9, LOW)], "ba"),
        ([(0, "a", 0, LOW), (299, "b", 1_000, HIGH)], "ba"),
        ([(0, "b", 0, LOW), (300, "a", 1_000, HIGH)], "ba"),  # aged by as much as a head start is at most
    ],
)
def test_whose_turn_it_is(comers: list[tuple[int, str, int, Class]], expected: str) -> None:
    assert order(*comers) == expected


def test_a_room_is_bounded_and_refuses_whom_it_has() -> None:
    room = WaitingRoom(RULES)
    for number in range(8):
        room.enter(number, str(number), 1)
    assert room.enter(9, "one more", 1) is NotTaken.FULL
    assert room.leave("3")
    assert not room.leave("3")
    assert room.enter(9, "4", 1) is NotTaken.WAITS_ALREADY
    assert isinstance(room.enter(9, "one more", 1), Waiting)
    assert len(room) == 8


def test_who_waits_too_long_has_waited_in_vain() -> None:
    room = WaitingRoom(RULES)
    assert room.ends_ms is None
    room.enter(0, "a", 1)
    room.enter(150, "b", 900, HIGH)
    assert room.first is not None
    assert room.first.request == "b"
    assert room.ends_ms == 1_000
    assert room.in_vain(999) == ()
    assert room.in_vain(1_000) == ("a",)
    assert room.in_vain(1_150) == ("b",)
    assert room.first is None


@pytest.mark.parametrize(("name", "value"), [("length", -1), ("longest_ms", 0), ("head_start_ms", -1), ("heaviest", 0)])
def test_a_setting_that_cannot_be_meant_is_named(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{name}: {value}"):
        Rules(**{name: value})


def test_the_least_of_each_setting_can_be_meant() -> None:
    room = WaitingRoom(Rules(length=0, longest_ms=1, head_start_ms=0, heaviest=1))
    assert room.enter(0, "a", 1) is NotTaken.FULL, "nobody waits"
    assert not room.before(0, LOW, 9)


@given(st.lists(COMES, max_size=40), st.data())
def test_nobody_goes_before_one_who_came_a_head_start_earlier(comers: list[tuple[int, int, Class]], data: st.DataObject) -> None:
    room, now, came = WaitingRoom(RULES), 0, {}
    for number, (after, weight, class_) in enumerate(comers):
        now += after
        name = str(number)
        passes = not room.before(weight, class_, now)
        if isinstance(room.enter(now, name, weight, class_), Waiting):
            came[name] = now
            assert passes == (room.first is not None and room.first.request == name), "it may go at once if its turn is the first"
        if data.draw(st.booleans()) and room.first is not None:
            served = room.first.request
            for other, at in came.items():
                assert came[served] - at <= RULES.head_start_ms, f"{served} goes before {other}"
            room.leave(served)
            del came[served]
    assert [each.request for each in sorted(room)] == [each.request for each in room]


@given(st.lists(COMES, max_size=30))
def test_the_bound_on_waiting_holds_whatever_comes(comers: list[tuple[int, int, Class]]) -> None:
    """One request is served every 50 ms: who waits is served within the head start and the time of a full room."""
    rules = Rules(length=8, longest_ms=10_000, head_start_ms=300, heaviest=1_000)
    bound = rules.head_start_ms + (rules.length + 1) * 50
    room, now, next_served = WaitingRoom(rules), 0, 50
    for number, (after, weight, class_) in enumerate(comers):
        now += after
        while next_served <= now:
            first = room.first
            if first is not None:
                assert next_served - first.since_ms <= bound
                room.leave(first.request)
            next_served += 50
        room.enter(now, str(number), weight, class_)
