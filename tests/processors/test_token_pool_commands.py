"""What operators may say of a token pool: facts, refusals that name the numbers, and promises that are never above capacity."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_world import World
from pool_world import knots, of_kind, rows, tenant, token_pool
from pydantic import ValidationError

from processors.sharing.state import all_promised
from processors.snapshot import dump_pool
from schemas.facts import CommandRefused, PoolSet, ProfileSet, Reason
from schemas.published import PoolCommand, ProfileCommand
from schemas.sharing_facts import CapacityShared, Debts, EntitlementSet, Limits, Shortfalls, TokenPoolSet
from streams.codecs import decode, encode

M = 10**6

# What operators say


def test_a_pool_without_replicas_has_nothing_of_a_token_pool():
    here = World()
    here.tick(105)
    made = here.take(token_pool(replicas=None, replica_tokens_per_s=None, replica_kv_blocks=None, replica_concurrency=None))
    here.take(tenant("a1", "a", tier="guaranteed", base=10))
    here.run(106, 130)
    assert [type(fact) for fact in made] == [PoolSet]
    assert not of_kind(here.facts, (TokenPoolSet, EntitlementSet, CapacityShared, Debts, Limits, Shortfalls))
    assert here.pool().sharing is None
    assert b"sharing" not in dump_pool(here.pool()).header


def test_a_token_pool_and_its_entitlements_are_facts():
    here = World()
    here.tick(105)
    made = here.take(token_pool(debt_gain="2.5", burst=knots((0.5, 1), ("0.9", 0))))
    assert [type(fact) for fact in made] == [PoolSet, TokenPoolSet]
    said = made[1]
    assert (said.version, said.tick, said.at, said.replicas, said.replica_kv_blocks) == (1, 105, 105_000, 10, 50)
    assert (said.debt_gain, said.burst_fill, said.burst_scale) == (2_500_000, [500_000, 900_000], [M, 0])
    set_ = here.take(tenant("a1", "a", tier="guaranteed", base=100, throughput=(5, 6), kv=(7, 0, 3)))
    assert [type(fact) for fact in set_] == [ProfileSet, EntitlementSet]
    said = set_[1]
    assert (said.tenant, said.version, said.from_period) == ("a", 1, 11)
    assert (said.throughput_borrowing, said.throughput_lending) == (5, 6)
    assert (said.kv_nominal, said.kv_borrowing, said.kv_lending) == (7, 0, 3)
    assert (said.concurrency_nominal, said.concurrency_borrowing, said.concurrency_lending) == (None, None, None)
    assert [type(fact) for fact in here.take(tenant("b1", "b"))] == [ProfileSet]
    taken_back = here.take(tenant("a2", "a", tier="guaranteed", base=100))
    assert [type(fact) for fact in taken_back] == [ProfileSet, EntitlementSet]
    assert taken_back[1].kv_nominal is None


def test_quotas_said_before_replicas_hold_when_there_are_some():
    here = World()
    here.tick(105)
    nothing = {"replicas": None, "replica_tokens_per_s": None, "replica_kv_blocks": None, "replica_concurrency": None}
    here.take(token_pool(**nothing), tenant("a1", "a", tier="guaranteed", base=1000, kv=(7, 0, 3)), tenant("b1", "b"))
    here.take(token_pool("p2"))
    here.run(106, 110)
    assert rows(here.facts, Limits, "throughput_nominal", "kv_nominal", "kv_borrowing", "concurrency_nominal") == {
        "a": (100, 7, 0, 4),
        "b": (0, 0, None, 0),
    }


# 10 replicas: 10,000 tokens a period of 10 s, 500 blocks, 40 requests. Promised so far: a half of everything, 300 blocks.
BEFORE = (
    tenant("a1", "a", tier="guaranteed", base=3000, kv=(200, None, None)),
    tenant("b1", "b", tier="dedicated", base=2000),
)
OTHERS = "promised to other dedicated and guaranteed tenants exceed"
SERVE = "what 10 replicas of 100 tokens per second serve in a period of 10 s"
HOLD = "what 10 replicas of 50 KV-cache blocks hold"
REFUSED = [
    (
        "more tokens than replicas serve",
        tenant("x", "c", tier="guaranteed", base=5001),
        Reason.OVERSUBSCRIBED,
        f"base: 5001 and the 5000 {OTHERS} 10000, {SERVE}",
    ),
    (
        "more blocks than replicas hold",
        tenant("x", "c", tier="dedicated", base=1, kv=(201, None, None)),
        Reason.OVERSUBSCRIBED,
        f"kv.nominal_quota: 201 and the 300 {OTHERS} 500, {HOLD}",
    ),
    (
        "more requests",
        tenant("x", "c", tier="guaranteed", base=1, concurrency=(21, None, None)),
        Reason.OVERSUBSCRIBED,
        f"concurrency.nominal_quota: 21 and the 20 {OTHERS} 40, what 10 replicas of 4 requests hold",
    ),
    (
        "blocks in proportion to base",
        tenant("x", "c", tier="guaranteed", base=4020),
        Reason.OVERSUBSCRIBED,
        f"kv.nominal_quota (not given: in proportion to base): 201 and the 300 {OTHERS} 500, {HOLD}",
    ),
    (
        "an elastic tenant that becomes guaranteed",
        tenant("x", "e", tier="guaranteed", base=1, kv=(201, None, None)),
        Reason.OVERSUBSCRIBED,
        f"kv.nominal_quota: 201 and the 300 {OTHERS} 500, {HOLD}",
    ),
    (
        "its own promise is replaced, not added",
        tenant("x", "a", tier="guaranteed", base=8001),
        Reason.OVERSUBSCRIBED,
        f"base: 8001 and the 2000 {OTHERS} 10000, {SERVE}",
    ),
    (
        "lends more tokens than it has",
        tenant("x", "c", base=100, throughput=(None, 11)),
        Reason.LENDING_ABOVE_NOMINAL,
        "throughput.lending_limit: 11 tokens per second, but a base of 100 per period of 10 s is a nominal quota of 10",
    ),
]


@pytest.mark.parametrize(("command", "reason", "detail"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refusals_name_the_numbers_and_change_nothing(command, reason, detail):
    here = World()
    here.tick(105)
    here.take(token_pool(capacity=20_000), *BEFORE, tenant("e1", "e"))
    before = dump_pool(here.pool())
    (refused,) = here.take(command)
    assert isinstance(refused, CommandRefused)
    assert (refused.reason, refused.detail) == (reason, detail)
    assert dump_pool(here.pool()) == before


@pytest.mark.parametrize(
    "command",
    [
        tenant("x", "c", tier="guaranteed", base=4000, concurrency=(20, None, None)),
        tenant("x", "c", tier="elastic", base=7000, kv=(10**14, None, None), concurrency=(10**14, None, None)),
        tenant("x", "a", tier="guaranteed", base=3000, kv=(400, None, None)),
        tenant("x", "b", tier="guaranteed", base=2000, throughput=(0, 200)),
    ],
)
def test_what_fits_is_taken(command):
    here = World()
    here.tick(105)
    here.take(token_pool(capacity=20_000), *BEFORE)
    assert not of_kind(here.take(command), CommandRefused)
    assert here.pool().sharing.promised == all_promised(here.pool().tenants)


def test_a_promise_that_shrinks_is_taken_where_replicas_were_lost():
    here = World()
    here.tick(105)
    here.take(token_pool(), *BEFORE)
    assert not of_kind(here.take(token_pool("p2", replicas=2)), CommandRefused)
    assert not of_kind(here.take(tenant("a2", "a", tier="guaranteed", base=2500, kv=(150, None, None))), CommandRefused)
    (refused,) = here.take(tenant("a3", "a", tier="guaranteed", base=2500, kv=(151, None, None)))
    assert refused.reason is Reason.OVERSUBSCRIBED


ANY_PROFILE = st.builds(
    lambda name, tier, base, kv, concurrency: (name, tier, base, kv, concurrency),
    st.sampled_from("abc"),
    st.sampled_from(["dedicated", "guaranteed", "elastic", "spot", "preemptible"]),
    st.integers(0, 6000),
    st.none() | st.integers(1, 400),
    st.none() | st.integers(1, 30),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ANY_PROFILE, max_size=12), st.integers(0, 12))
def test_promises_never_exceed_what_replicas_do_and_sums_are_right(said, early):
    here = World()
    here.tick(105)
    bare = {"replicas": None, "replica_tokens_per_s": None, "replica_kv_blocks": None, "replica_concurrency": None}
    commands = [
        tenant(
            f"c{at}", name, tier=tier, base=base, kv=kv and (kv, None, None), concurrency=concurrency and (concurrency, None, None)
        )
        for at, (name, tier, base, kv, concurrency) in enumerate(said)
    ]
    if early:
        here.take(token_pool(capacity=20_000, **bare), *commands[: early % 3])
    here.take(token_pool("p2", capacity=20_000), *commands)
    state = here.pool()
    assert state.sharing.promised == all_promised(state.tenants)
    if not early:
        here.run(106, 110)
        assert not of_kind(here.facts, Shortfalls)
        for fact in of_kind(here.facts, CapacityShared):
            assert fact.throughput_promised <= fact.throughput
            assert fact.kv_promised <= fact.kv
            assert fact.concurrency_promised <= fact.concurrency


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"replicas": 1}, "replica_tokens_per_s: missing, but replicas is 1"),
        ({"replica_kv_blocks": 1}, "replicas: missing, but replica_kv_blocks is 1"),
        ({"burst": knots((0.5, 1), (0.5, 0))}, "fill must rise"),
        ({"burst": knots((0.5, 0), (0.6, 1))}, "scale must not"),
        ({"debt_gain": 11}, "is more than 10"),
        ({"debt_bound_s": 601}, "600"),
    ],
)
def test_what_no_pool_may_say(said, fault):
    with pytest.raises(ValidationError, match=fault):
        PoolCommand(id="p", pool="llm", capacity=1, **said)


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"kv": {"nominal_quota": 0}}, "greater than or equal to 1"),
        ({"kv": {"nominal_quota": -1}}, "greater than or equal to 1"),
        ({"kv": {"nominal_quota": 1.5}}, "valid integer"),
        ({"kv": {"nominal_quota": 10**14 + 1}}, "less than or equal to 100000000000000"),
        ({"kv": {"nominal_quota": 5, "borrowing_limit": -1}}, "greater than or equal to 0"),
        ({"concurrency": {"nominalQuota": 5, "lendingLimit": 6}}, "lending_limit: 6 is more than nominal_quota 5"),
        ({"kv": {"lending_limit": 6}}, "no nominal_quota is given to lend of"),
        ({"throughput": {"nominalQuota": 6}}, "throughput is what the period allocates"),
        ({"tier": "dedicated", "kv": {"nominal_quota": 5, "lending_limit": 5}}, "what is dedicated is never lent"),
        ({"tier": "gold"}, "'dedicated', 'guaranteed', 'elastic', 'spot' or 'preemptible'"),
    ],
)
def test_what_no_profile_may_say(said, fault):
    with pytest.raises(ValidationError, match=fault):
        ProfileCommand(id="p", pool="llm", tenant="a", base=1, elasticity=1, **said)


def test_commands_keep_their_entitlements_through_the_journal():
    command = ProfileCommand.model_validate(
        {"id": "1", "pool": "p", "tenant": "a", "base": 1, "elasticity": 1}
        | {"kv": {"nominalQuota": 9, "borrowingLimit": 3, "lendingLimit": 2}, "throughput": {"borrowingLimit": 0}}
    )
    assert decode(encode(command)) == command
    assert command.kv is not None
    assert (command.kv.nominal_quota, command.kv.borrowing_limit, command.kv.lending_limit) == (9, 3, 2)
    stated = token_pool(burst=knots((0.25, 1), (1, "0.125")), debt_gain="0.5")
    assert decode(encode(stated)) == stated
