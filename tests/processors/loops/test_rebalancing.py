"""Rebalancing in the engine: a step by the needs of a proposal, what stays out of it, and proposals that are refused."""

import pytest
from journal_world import World, needed, of_kind, pool, profile, rows
from market_world import MarketWorld

from schemas.facts import AllocationsOpened, CommandRefused, Reason
from schemas.loop_facts import BaseChanges, Rebalanced

ON = {"sla": None, "rebalance": None}
NOW = 10_000
BASES = {"a": 400, "b": 300, "c": 200}


class Balanced(World):
    """Pool `llm` in period 5; a is guaranteed, b and c elastic."""

    def __init__(self, **terms):
        super().__init__()
        self.tick(8)
        tiers = {"a": "guaranteed", "b": "elastic", "c": "elastic"}
        self.take(pool(**ON | terms), *(profile(name, name, base=base, tier=tiers[name]) for name, base in BASES.items()))
        self.run(9, 10)

    def bases(self):
        return rows(self.facts, AllocationsOpened, "base")


def steps(facts):
    return {tenant: after - before for tenant, (before, after) in rows(facts, BaseChanges, "before", "after").items()}


def test_bases_move_a_step_and_hold_from_the_next_period_on():
    here = Balanced()
    facts = here.take(needed("r1", {"a": 100, "b": 100, "c": 900}, as_of=NOW))
    assert steps(facts) == {"b": -20, "c": 20}, "a step is a tenth of a base; what is guaranteed was contracted"
    (done,) = of_kind(facts, Rebalanced)
    assert (done.period, done.moved, done.gave, done.got) == (5, 20, 1, 1)
    assert here.bases() == BASES
    here.run(11, 12)
    assert here.bases() == {"a": 400, "b": 280, "c": 220}
    here.take(needed("r2", {"c": 900, "b": 100}, as_of=NOW + 1))
    here.take(profile("b2", "b", base=300))
    here.run(13, 14)
    assert here.bases() == {"a": 400, "b": 300, "c": 242}, "a later profile wins"


def test_a_proposal_in_chunks_counts_with_its_last():
    here = Balanced()
    assert steps(here.take(needed("r1", {"b": 100}, as_of=NOW, chunks=2))) == {}
    assert steps(here.take(needed("r2", {"c": 900, "gone": 5}, as_of=NOW, chunk=1, chunks=2))) == {"b": -20, "c": 20}


STAYS = [
    ("contracted", [profile("b2", "b", base=300, base_floor=295)], {"b": -5, "c": 5}),
    ("no more in doubt", [profile("b2", "b", base=300, base_floor=0)], {"b": -20, "c": 20}),
]


@pytest.mark.parametrize(("commands", "expected"), [case[1:] for case in STAYS], ids=[case[0] for case in STAYS])
def test_what_was_contracted_stays(commands, expected):
    here = Balanced()
    here.take(*commands)
    here.run(11, 12)
    assert steps(here.take(needed("r1", {"b": 100, "c": 900}, as_of=NOW))) == expected


def test_whose_profile_has_just_changed_stays():
    here = Balanced()
    here.take(profile("b2", "b", base=310))
    assert steps(here.take(needed("r1", {"b": 100, "c": 900}, as_of=NOW))) == {}


def test_what_is_sold_forward_stays():
    market = MarketWorld(("b", "c"), base=200, **ON)
    market.order("b", "sell", 195, 5, period=market.present + 30)
    assert steps(market.take(needed("r1", {"b": 0, "c": 900}, as_of=NOW))) == {"b": -5, "c": 5}
    assert [
        fact.reason[0] for fact in market.order("b", "sell", 1, 5, period=market.present + 30) if fact.KIND == "order_events"
    ] == ["insufficient_tokens"]


def test_in_a_token_pool_the_promises_of_reserved_tiers_do_not_grow():
    replica = {"replica_tokens_per_s": 500, "replica_kv_blocks": 100, "replica_concurrency": 10}
    here = Balanced(replicas=1, **replica)
    promised = here.pool().sharing.promised
    assert steps(here.take(needed("r1", {"a": 900, "b": 100, "c": 900}, as_of=NOW))) == {"b": -20, "c": 20}
    assert here.pool().sharing.promised == promised


REFUSED = [
    ("no such pool", [needed("r", {}, pool="x", as_of=NOW)], Reason.UNKNOWN_POOL),
    ("switched off", [pool("p2", sla=None), needed("r", {}, as_of=NOW)], Reason.REBALANCING_OFF),
    ("a second step in a period", [needed("q", {}, as_of=NOW), needed("r", {}, as_of=NOW + 1)], Reason.REBALANCED_ALREADY),
    ("the same again by another id", [needed("q", {}, as_of=NOW), needed("r", {}, as_of=NOW)], Reason.STALE),
    ("ahead of the clock", [needed("r", {}, as_of=NOW + 60_001)], Reason.STALE),
    ("a chunk is missing", [needed("r", {}, as_of=NOW, chunk=1, chunks=2)], Reason.CHUNK_MISSING),
    ("a chunk of another proposal", [needed("q", {}, as_of=NOW, chunks=2), needed("r", {}, as_of=NOW + 1, chunk=1, chunks=2)],
     Reason.CHUNK_MISSING),
]  # fmt: skip


@pytest.mark.parametrize(("commands", "reason"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refusals(commands, reason):
    here = Balanced()
    *_, last = here.take(*commands)
    assert isinstance(last, CommandRefused)
    assert last.reason == reason
    assert here.take(commands[-1]) == [], "an id that was seen changes nothing"


def test_a_proposal_of_yesterday_is_refused():
    here = Balanced()
    here.run(90_000, 90_000)
    (refused,) = here.take(needed("r", {"b": 0, "c": 900}, as_of=NOW - 10_000))
    assert refused.reason == Reason.STALE
