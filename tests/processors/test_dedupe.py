"""The window of seen events: a function of the records in it, wherever reading began."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.dedupe import SeenWindow


@dataclass(frozen=True)
class Named:
    id: str
    tenant: str = "t"
    source: str = "s"


def test_names_are_not_confused_across_their_parts() -> None:
    events = [Named("c", "a", "b"), Named("bc", "a", ""), Named("c", "ab", ""), Named("c", "", "ab"), Named("c", "b", "a")]
    assert SeenWindow(1, 0, -1).unseen(events) == events


def test_a_repetition_is_dropped_for_the_stated_ticks_and_hearing_it_again_renews_it() -> None:
    window = SeenWindow(3, 0, -1)
    event = Named("x")
    assert window.unseen([event, event]) == [event]
    for tick in (1, 2, 3):
        window.turn(tick, tick)
    assert window.unseen([event]) == []  # belonged to tick 1, forgotten at tick 4
    window.turn(4, 4)
    window.turn(5, 5)
    assert window.unseen([event]) == []  # renewed before tick 4
    for tick in (6, 7, 8):
        window.turn(tick, tick)
    assert len(window) == 1
    window.turn(9, 9)
    assert len(window) == 0
    assert window.unseen([event]) == [event]


def test_a_clock_that_stood_still_shortens_no_window() -> None:
    window = SeenWindow(3, 0, -1)
    window.turn(1, 1)
    window.unseen([Named("x")])  # perhaps just before the clock came back
    window.turn(1000, 2)
    window.turn(1002, 3)
    assert window.unseen([Named("x")]) == []


def test_a_window_needs_a_tick() -> None:
    with pytest.raises(ValueError, match="ticks: 0"):
        SeenWindow(0, 0, -1)


def _read(window: SeenWindow, log: list[int | Named], first: int, before: int) -> list[bool]:
    """Fold a log (ints are ticks) from an offset; for each event whether it was unseen."""
    last, unseen = before, []
    for offset, record in enumerate(log[first:], first):
        if isinstance(record, Named):
            unseen.append(bool(window.unseen([record])))
        elif record > last:
            last = record
            window.turn(record, offset + 1)
    return unseen


logs = st.lists(
    st.one_of(st.integers(0, 30), st.sampled_from("abcdef").map(Named), st.sampled_from("abcdef").map(Named)), max_size=60
)


@given(logs, logs, st.integers(1, 6))
def test_a_window_read_from_its_start_is_the_window_that_was_never_lost(
    past: list[int | Named], future: list[int | Named], ticks: int
) -> None:
    past = [*past, 31]
    future = [record if isinstance(record, Named) else record + 20 for record in future]  # some late, some ahead
    kept = SeenWindow(ticks, 0, -1)
    _read(kept, past, 0, -1)
    first, before = kept.start
    rebuilt = SeenWindow(ticks, first, before)
    _read(rebuilt, past, first, before)
    assert rebuilt.start == (first, before)
    assert len(rebuilt) == len(kept)
    log = past + future
    assert _read(rebuilt, log, len(past), 31) == _read(kept, log, len(past), 31)
    assert rebuilt.start == kept.start


@given(logs, st.integers(1, 6))
def test_unseen_is_what_no_record_of_the_window_had(log: list[int | Named], ticks: int) -> None:
    """Against the plain rule: a record belongs to the tick that follows it, and is remembered until `ticks` ticks after that."""
    last, heard, pending, expected = -1, [], [], []
    for record in log:
        if isinstance(record, Named):
            expected.append(record not in pending and all(event != record for tick, event in heard if tick > last - ticks))
            pending.append(record)
        elif record > last:
            last = record
            heard += [(record, event) for event in pending]
            pending = []
    assert _read(SeenWindow(ticks, 0, -1), log, 0, -1) == expected
