"""The rule of scaling: needs to the last unit, and what is asked for over time."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.autoscale import NEVER, Memory, Need, ScalingSettings, decide, need_of, with_headroom
from processors.entitlement import Capacity
from schemas.scaling import ScalingReason as Why

REPLICA = Capacity(100, 50, 4)
SETTINGS = ScalingSettings(1, 20, "p90", 100_000, max_step=4, down_after_s=300, cooldown_s=60)
AMOUNT = st.one_of(st.integers(0, 10), st.integers(0, 2**63 - 1))

NEEDS = [
    ("nothing", (0, 0, 0), (0, 0, 0), 0, (0, 0, 0)),
    ("one token is a replica", (1, 0, 0), (0, 0, 0), 1, (1, 0, 0)),
    ("exactly full", (300, 150, 12), (0, 0, 0), 3, (3, 3, 3)),
    ("one block more", (300, 151, 12), (0, 0, 0), 4, (3, 4, 3)),
    ("promised and expected share a replica", (250, 0, 0), (50, 0, 0), 3, (3, 0, 0)),
    ("of different dimensions each counts for itself", (300, 0, 0), (0, 50, 9), 3, (3, 1, 3)),
    ("beyond a float", (2**62 + 1, 0, 0), (0, 0, 0), ceil(Fraction(2**62 + 1, 100)), (ceil(Fraction(2**62 + 1, 100)), 0, 0)),
]


@pytest.mark.parametrize(("promised", "expected", "alone", "needed"), [c[1:] for c in NEEDS], ids=[c[0] for c in NEEDS])
def test_replicas_that_are_needed(promised, expected, alone, needed):
    assert need_of(REPLICA, Capacity(*promised), Capacity(*expected)) == Need(alone, Capacity(*needed))


@given(st.tuples(AMOUNT, AMOUNT, AMOUNT), st.tuples(AMOUNT, AMOUNT, AMOUNT), st.integers(0, 10**6))
def test_needs_are_enough_and_one_less_is_not(promised, expected, headroom):
    more = with_headroom(Capacity(*expected), headroom)
    need = need_of(REPLICA, Capacity(*promised), more)
    for place, replica in enumerate(REPLICA):
        exact = Fraction(expected[place]) * (10**6 + headroom) / 10**6
        assert exact <= more[place] < exact + 1
        total = promised[place] + more[place]
        assert (need.needed[place] - 1) * replica < total <= need.needed[place] * replica
        assert promised[place] <= need.promised * replica


def course(steps, memory, chosen=SETTINGS):
    """`steps`: (second, promised, needed); (wanted, reason) of each."""
    said = []
    for second, promised, needed in steps:
        memory, reason = decide(second * 1000, Need(promised, Capacity(needed, 0, 0)), memory, chosen)
        said.append((memory.wanted, reason))
    return said


COURSES = [
    ("enough", 5, [(0, 5, 5), (1, 2, 5)], [(5, Why.PROMISED), (5, Why.DEMAND)]),
    ("demand a step at a time", 2, [(0, 0, 9), (1, 0, 9), (60, 0, 9)], [(6, Why.STEP), (6, Why.COOLDOWN), (9, Why.DEMAND)]),
    ("a promise at once", 2, [(0, 0, 5), (1, 12, 12), (2, 15, 16)], [(5, Why.DEMAND), (12, Why.PROMISED), (15, Why.COOLDOWN)]),
    ("a promise that nobody refused", 2, [(0, 30, 30)], [(30, Why.PROMISED)]),
    ("no more than the most", 18, [(0, 0, 90)], [(20, Why.BOUNDS)]),
    ("no fewer than the least", 1, [(0, 0, 0)], [(1, Why.BOUNDS)]),
    (
        "fewer when they have sufficed",
        5,
        [(0, 0, 2), (299, 0, 3), (300, 0, 2), (599, 0, 2), (600, 0, 2)],
        [(5, Why.LATELY_NEEDED), (5, Why.LATELY_NEEDED), (3, Why.IDLE), (3, Why.LATELY_NEEDED), (2, Why.IDLE)],
    ),
    (
        "fewer still a moment later: the time begins when fewer suffice",
        5,
        [(0, 0, 2), (300, 0, 2), (301, 0, 1), (600, 0, 1), (601, 0, 1)],
        [(5, Why.LATELY_NEEDED), (2, Why.IDLE), (2, Why.LATELY_NEEDED), (2, Why.LATELY_NEEDED), (1, Why.IDLE)],
    ),
    (
        "needed in between",
        5,
        [(0, 0, 2), (200, 0, 5), (300, 0, 2), (600, 0, 2)],
        [(5, Why.LATELY_NEEDED), (5, Why.DEMAND), (5, Why.LATELY_NEEDED), (2, Why.IDLE)],
    ),
    (
        "far fewer a step at a time",
        12,
        [(0, 0, 2), (300, 0, 2), (301, 0, 2), (360, 0, 2), (420, 0, 2)],
        [(12, Why.LATELY_NEEDED), (8, Why.STEP), (8, Why.COOLDOWN), (4, Why.STEP), (2, Why.IDLE)],
    ),
]


@pytest.mark.parametrize(("wanted", "steps", "said"), [c[1:] for c in COURSES], ids=[c[0] for c in COURSES])
def test_what_is_asked_for(wanted, steps, said):
    assert course(steps, Memory(wanted)) == said


def test_a_lower_bound_holds_at_once_and_what_was_needed_before_it_is_no_reason_to_change():
    memory, _ = decide(0, Need(0, Capacity(11, 0, 0)), Memory(12), SETTINGS)
    memory, reason = decide(300_000, Need(0, Capacity(2, 0, 0)), memory, SETTINGS._replace(max_replicas=8))
    assert (memory, reason) == (Memory(8, 300_000, 300_000, 2), Why.IDLE)


@settings(max_examples=100)
@given(
    st.builds(
        ScalingSettings,
        st.integers(0, 5),
        st.integers(5, 20),
        st.just("p90"),
        st.just(0),
        max_step=st.integers(1, 6),
        down_after_s=st.integers(0, 20),
        cooldown_s=st.integers(0, 10),
    ),
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 25)), min_size=1, max_size=80),
    st.integers(0, 30),
)
def test_whatever_comes_the_bounds_hold(chosen, seconds, wanted):
    """A second each: what is promised fits, steps and times are kept, and nothing falls below what was needed lately."""
    memory, targets, changed = Memory(wanted), [], NEVER
    for second, (promised, more) in enumerate(seconds):
        need = Need(promised, Capacity(promised + more, 0, 0))
        least, most = max(chosen.min_replicas, promised), max(chosen.max_replicas, promised)
        targets.append(min(max(need.most, least), most))
        before = min(max(memory.wanted, least), most)
        memory, _ = decide(second * 1000, need, memory, chosen)
        assert least <= memory.wanted <= most
        assert abs(memory.wanted - before) <= chosen.max_step
        if memory.wanted != before:
            assert changed == NEVER or second - changed >= chosen.cooldown_s
            changed = second
        if memory.wanted < before:
            assert memory.wanted >= max(targets[-chosen.down_after_s - 1 :])
            assert second >= chosen.down_after_s
    assert decide(10**7, need, memory, chosen)[0].wanted <= max(memory.wanted, targets[-1])
