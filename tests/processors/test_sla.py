"""The SLA loop: its steps as tables, what always holds, and closed loops with queues (a step, a ramp, no bond with tokens)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from queue_world import World

from infra.simulate.queues import QueueTenant
from processors.latencies import NO_LATENCY, Quantiles
from processors.lending import priorities
from processors.sla import NO_SLA, REASONS, Observed, Promises, SlaSettings, beginning, check, decide
from schemas.loops import BaseReason

M = 10**6
SLA = 1000
PLAIN = SlaSettings()


def column(*values):
    return np.array(values, np.int64)


def promises(base=(1000, 1000), floor=(1000, 600), sla=(SLA, NO_SLA), tier=(1, 2)):
    return Promises(column(*base), column(*floor), column(*sla), priorities(column(*tier), column(*[M] * len(tier))))


def seen(*latency, wanted=1000, allocated=1000, requests=100):
    """Latencies of the first tenants; the others had no request."""
    return lambda count: Observed(
        Quantiles(
            column(*latency, *[NO_LATENCY] * (count - len(latency))),
            column(*latency, *[NO_LATENCY] * (count - len(latency))),
            column(*(requests if each >= 0 else 0 for each in latency), *[0] * (count - len(latency))),
        ),
        column(*[wanted] * count),
        column(*[allocated] * count),
        60_000,
    )


def played(periods, *, terms=PLAIN, pool=None, state=None):
    """(state, [what happened in each period]) after the periods."""
    pool = promises() if pool is None else pool
    count = len(pool.base)
    state = beginning(count, terms) if state is None else state
    told = []
    for period in periods:
        decision = decide(state, pool, period(count), terms)
        state = decision.state
        rows = [("+", *row) for row in zip(*(each.tolist() for each in decision.raised), strict=True)]
        why = [REASONS[code] for code in decision.released_because.tolist()]
        rows += [("-", *row, str(reason)) for *row, reason in zip(*(each.tolist() for each in decision.released), why, strict=True)]
        rows += [(tenant, str(REASONS[code])) for tenant, code in zip(*(each.tolist() for each in decision.verdicts), strict=True)]
        told.append(rows)
    return state, told


BAD, GOOD, BETWEEN, SILENT = seen(2000), seen(500), seen(950), seen(NO_LATENCY)
STEP = ("+", 1, 0, 100)

TRIGGERS = [
    ("three breaches", [BAD] * 3, [[], [], [STEP]]),
    ("three of five", [BAD, GOOD, BAD, GOOD, BAD], [[], [], [], [], [STEP]]),
    ("three of six are not enough", [BAD, GOOD, GOOD, GOOD, BAD, BAD], [[]] * 6),
    ("exactly the SLA is kept", [seen(SLA)] * 5, [[]] * 5),
    ("one above it is not", [seen(SLA + 1)] * 3, [[], [], [STEP]]),
    ("a good period waits for the next bad one", [BAD, BAD, GOOD, GOOD], [[]] * 4),
    ("too few requests say nothing", [seen(2000, requests=19)] * 9, [[]] * 9),
    ("nor do they forget when tokens are used up", [BAD, BAD, *[SILENT] * 9, BAD], [[]] * 11 + [[STEP]]),
    ("silence with tokens left is no trouble", [BAD, BAD, *[seen(NO_LATENCY, wanted=0)] * 5, BAD], [[]] * 8),
    ("a second step needs as many new breaches", [BAD] * 5 + [seen(3000)], [[], [], [STEP], [], [], [STEP]]),
]


@pytest.mark.parametrize(("periods", "expected"), [case[1:] for case in TRIGGERS], ids=[case[0] for case in TRIGGERS])
def test_a_base_rises_when_the_sla_is_consistently_exceeded(periods, expected):
    assert played(periods)[1] == expected


PAYERS = [
    ("the lower tier first", (0, 0, 0), (1, 3, 2), [(1, 50), (2, 50)]),
    ("never below the floor", (0, 20, 940), (1, 3, 2), [(1, 30), (2, 60)]),
    ("nor an equal", (0, 0, 0), (1, 3, 1), [(1, 50)]),
    ("nor a higher one", (0, 0, 0), (3, 2, 0), []),
]


@pytest.mark.parametrize(("floor", "tier", "expected"), [case[1:] for case in PAYERS], ids=[case[0] for case in PAYERS])
def test_who_pays(floor, tier, expected):
    _, told = played([BAD] * 3, pool=promises(base=(1000, 50, 1000), floor=floor, sla=(SLA, -1, -1), tier=tier))
    if expected:
        assert told[-1] == [("+", giver, 0, tokens) for giver, tokens in expected]
    else:
        assert told[-1] == [(0, "sla_no_payer")]


def test_steps_end_at_the_bound_and_it_is_said_once():
    pool = promises(floor=(1000, 0))
    worse = [seen(2000 + 400 * each**2) for each in range(40)]
    state, told = played(worse, pool=pool)
    assert state.boost.tolist() == [500, 0]
    assert [row for rows in told for row in rows] == [STEP] * 5 + [(0, "sla_out_of_reach")]


def test_what_holds_is_released_by_parts_and_given_back():
    state, _ = played([BAD] * 3)
    state, told = played([GOOD] * 9, state=state)
    assert told == [[]] * 9
    state, told = played([GOOD] * 11, state=state)
    assert [row for rows in told for row in rows] == [("-", 0, 1, 50, "sla_holds")] * 2
    assert not state.boost.any()
    assert not state.paid.any()


def test_between_margin_and_sla_nothing_moves():
    state, _ = played([BAD] * 3)
    assert not any(played([BETWEEN] * 100, state=state)[1])


def test_each_release_that_must_be_undone_doubles_the_wait():
    state, waits = beginning(2, PLAIN), []
    for _ in range(5):
        state, _ = played([BAD] * 3, state=state)
        waits.append(int(state.hold[0]))
        before = int(state.boost[0])
        while state.boost[0] == before:
            state, _ = played([GOOD], state=state)
    assert waits == [10, 20, 40, 80, 160]


def test_vain_steps_go_back_at_once_and_the_pause_doubles():
    pool, state, stops = promises(floor=(1000, 0)), beginning(2, PLAIN), []
    for period in range(500):
        state, (told,) = played([BAD], pool=pool, state=state)
        if (0, "sla_not_token_bound") in told:
            assert ("-", 0, 1, 300, "sla_not_token_bound") in told
            stops.append(period)
            assert not state.boost.any()
    assert stops == [11, 80, 209, 458]


def test_what_helped_stays_when_more_is_in_vain():
    better = [seen(4000)] * 3 + [seen(2000)] * 30
    state, told = played(better, pool=promises(floor=(1000, 0)))
    assert [row for rows in told for row in rows] == [STEP] * 4 + [
        ("-", 0, 1, 300, "sla_not_token_bound"),
        (0, "sla_not_token_bound"),
    ]
    assert state.boost.tolist() == [100, 0]


def test_who_leaves_its_tokens_unused_gets_none():
    _, told = played([seen(2000, wanted=499)] * 9)
    assert told == [[]] * 8 + [[(0, "sla_not_token_bound")]]


def test_a_withdrawn_sla_gives_all_back():
    state, _ = played([BAD] * 3)
    _, told = played([GOOD], pool=promises(sla=(NO_SLA, NO_SLA)), state=state)
    assert told == [[("-", 0, 1, 100, "sla_withdrawn")]]


def test_a_payer_has_back_at_once_what_it_needs_for_its_floor():
    state, _ = played([BAD] * 3)
    state, told = played([BETWEEN], pool=promises(floor=(1000, 970)), state=state)
    assert told == [[("-", 0, 1, 70, "floor_raised")]]
    assert (state.boost.tolist(), state.paid.tolist()) == ([30, 0], [0, 30])


@pytest.mark.parametrize(
    ("change", "field"),
    [({"quantile": -1}, "quantile"), ({"window": 63}, "window"), ({"breaches": 6}, "window"), ({"hold": 0}, "hold"),
     ({"bound": 250_000}, "bound"), ({"longest": 59}, "longest"), ({"step": M + 1}, "step")],
)  # fmt: skip
def test_settings_out_of_range(change, field):
    assert not list(check(PLAIN))
    assert field in dict(check(PLAIN._replace(**change)))


TERMS = st.fixed_dictionaries({
    "window": st.just(3), "breaches": st.integers(1, 3), "step": st.integers(0, 150_000), "decay": st.integers(0, M),
    "patience": st.integers(1, 3), "hold": st.integers(1, 4), "rest": st.integers(1, 4), "longest": st.just(16),
}).map(lambda changes: PLAIN._replace(**changes))  # fmt: skip
BASES = st.integers(0, 2000) | st.sampled_from([0, 1, 2**53])


@st.composite
def pools(draw, count):
    rows = draw(
        st.lists(st.tuples(BASES, BASES, st.sampled_from([NO_SLA, 0, SLA]), st.integers(0, 4)), min_size=count, max_size=count)
    )
    return promises(*zip(*rows, strict=True))


@settings(max_examples=50, deadline=None)
@given(TERMS, st.integers(1, 6), st.data())
def test_what_always_holds(terms, count, data):
    state, pool = beginning(count, terms), data.draw(pools(count))
    latencies = st.lists(st.sampled_from([NO_LATENCY, 0, 500, 2000, 3000, 2**53]), min_size=count, max_size=count)
    for latency in data.draw(st.lists(latencies, min_size=1, max_size=15)):
        if data.draw(st.integers(0, 9)) == 0:
            pool = data.draw(pools(count))
        busy = data.draw(st.booleans())
        frozen = [each.copy() for each in state]
        decision = decide(state, pool, seen(*latency, wanted=1000 if busy else 0)(count), terms)
        assert all((before == after).all() for before, after in zip(frozen, state, strict=True)), "changed in place"
        assert_lawful(state, decision, pool, terms)
        state = decision.state


def assert_lawful(before, decision, pool, terms):
    after, released, raised = decision.state, decision.released, decision.raised
    count = len(pool.base)
    assert int(after.boost.sum()) == int(after.paid.sum()), "the sum of bases is kept"
    assert (after.boost >= 0).all()
    assert ((after.paid >= 0) & (after.paid <= np.maximum(pool.base - pool.floor, 0))).all(), "floors are kept"
    bound = np.where(pool.sla_ms >= 0, [base * terms.bound // M for base in pool.base.tolist()], 0)
    assert (after.boost <= bound).all(), "boosts are bounded"
    got, lent, gone, back = (np.zeros(count, np.int64) for _ in range(4))
    for total, rows, tokens in ((got, raised.taker, raised.tokens), (lent, raised.giver, raised.tokens),
                                (gone, released.giver, released.tokens), (back, released.taker, released.tokens)):  # fmt: skip
        np.add.at(total, rows, tokens)
    assert (after.boost == before.boost - gone + got).all(), "each change of a boost is told"
    assert (after.paid == before.paid - back + lent).all(), "and who paid"
    step = [max(base * terms.step // M, 1) for base in pool.base.tolist()]
    assert (got <= step).all(), "a raise is a step at most"
    assert (pool.priority[raised.giver] < pool.priority[raised.taker]).all(), "only lower priorities pay"
    assert not ((got > 0) & ((lent > 0) | (gone > 0))).any(), "nobody pays for a step while it gets one"
    assert (decision.released_because < len(REASONS)).all()
    assert (after.hold <= terms.longest).all()
    assert (after.rest <= terms.longest).all()


# Closed loops. Tenant 0 is guaranteed and has an SLA of 8 s; an elastic tenant and, before it, a spot one can pay.


def queues(seed=1, **tenant):
    return World(
        [
            QueueTenant(10_000, 10_000, sla_ms=8_000, tier=1, **tenant),
            QueueTenant(20_000, 15_000),
            QueueTenant(8_000, 6_000, tier=3, load=0.2),
        ],
        seed=seed,
    )


def late(world, first):
    return sum(row[0] > 8_000 for row in world.quantiles[first:])


@pytest.mark.parametrize("seed", range(3))
def test_a_step_of_load_is_met_and_no_more_than_that(seed):
    loop = queues(seed).run(250, lambda period: 0.5 if period < 20 else 1.2)
    assert not any(row[0] for row in loop.boosts[:20])
    assert [move[1:3] for move in loop.moves[:2]] == [(2, 0), (2, 0)], "spot pays first"
    boosts = [row[0] for row in loop.boosts[60:]]
    assert min(boosts) >= 2_000, "it needs 2,000 to serve its load at all"
    assert late(loop, 60) <= 190 * 0.15
    assert loop.turns(0) <= 10
    assert not loop.said


def test_without_the_loop_the_same_load_breaks_the_sla_for_ever():
    alone = World(queues().tenants, terms=PLAIN._replace(breaches=62, window=62))
    alone.run(60, lambda period: 0.5 if period < 20 else 1.2)
    assert late(alone, 25) == 35


@pytest.mark.parametrize("seed", range(3))
def test_a_ramp_is_followed_up_and_down(seed):
    loop = queues(seed).run(420, lambda period: 0.5 + 0.7 * np.clip(min(period - 20, 220 - period) / 80, 0, 1))
    assert max(row[0] for row in loop.boosts) >= 2_000
    assert loop.boosts[-1] == [0, 0, 0], "what is not needed any more is back where it came from"
    assert not loop.state.paid.any()
    assert late(loop, 220) == 0
    assert loop.turns(0) <= 8


@pytest.mark.parametrize("load", [0.3, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_latency_that_has_nothing_to_do_with_tokens_is_said_so(seed, load):
    loop = queues(seed, backend_ms=9_000, noise=0.1, queues=False, load=load).run(500)
    assert late(loop, 0) == 500
    assert set(loop.reasons(0)) == {"sla_not_token_bound"}
    assert len(loop.said) <= 5, "the pauses double"
    boosted = sum(row[0] > 0 for row in loop.boosts)
    assert boosted <= 500 * (0.12 if load > 1 else 0)
    assert loop.boosts[-1][0] == 0


def test_a_load_that_no_boost_can_serve_stays_at_its_bound():
    loop = queues().run(120, lambda period: 2.0)
    loop_boosts = [row[0] for row in loop.boosts]
    assert loop_boosts == sorted(loop_boosts)
    assert loop_boosts[-1] == 5_000
    assert loop.reasons(0) == [BaseReason.OUT_OF_REACH]


@pytest.mark.parametrize("backlog", [0.0, 100_000.0])
def test_a_queue_that_takes_long_to_work_off_is_bound_by_tokens(backlog):
    """The step that ends its growth leaves a latency of minutes, which changes little from one trial to the next."""
    loop = queues(backlog=backlog).run(120, lambda period: 1.3)
    assert "sla_not_token_bound" not in loop.reasons(0)
    assert min(row[0] for row in loop.boosts[20:90]) >= 3_000, "it needs 3,000 to serve its load at all"
    assert late(loop, 100) <= 10


def test_constant_load_comes_to_rest():
    loop = queues().run(1200, lambda period: 1.1)
    steps = np.flatnonzero(np.diff([row[0] for row in loop.boosts]))
    early, later = (steps < 400).sum(), (steps >= 800).sum()
    assert loop.turns(0) <= 16
    assert later <= max(early, 4)
