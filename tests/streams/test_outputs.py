"""What an engine tells beside facts: whoever keeps the newest value of each key has the limits and books of the engine."""

from __future__ import annotations

import random

import pytest
from journal_world import pool, profile, usage
from market_world import MarketWorld
from pool_world import PoolWorld, knots, tenant, token_pool
from test_market_data import TENANTS, trade_at_random

from processors.market.data import depth_of, limits
from processors.state import PartitionState
from schemas.outputs import Depth, Limit, PoolCapacity, output_key
from schemas.published import Policy
from streams.codecs import decode
from streams.outputs import SLICE_RECORDS, Outputs

NO_SURPLUS = Policy.UNIFORM_PRICE
"""Where nobody bids: limits are bases."""


class Topics:
    """Both topics, compacted."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[bytes, Limit | Depth | PoolCapacity]] = {"limits": {}, "market": {}}
        self.written = 0

    def take(self, outputs: Outputs, offset: int) -> list[tuple[str, bytes]]:
        keys = []
        for records in outputs.round(offset):
            assert 0 < len(records) <= SLICE_RECORDS
            for record in records:
                assert record.partition == 3
                self.written += 1
                keys.append((record.topic, record.key))
                if record.value is None:
                    self.kept[record.topic].pop(record.key, None)
                else:
                    told = decode(record.value)
                    assert isinstance(told, (Limit, PoolCapacity) if record.topic == "limits" else Depth)
                    self.kept[record.topic][record.key] = told
        return keys

    def check(self, world: MarketWorld) -> None:
        state = world.pool()
        wanted = limits(state)
        said = {told.tenant: told.tokens for told in self.kept["limits"].values() if isinstance(told, Limit)}
        assert said == {name: wanted[slot] for name, slot in state.tenants.slots.items() if state.tenants["declared_version"][slot]}
        books = {output_key("llm", period): each for period, each in state.market.instruments.items()}
        assert set(self.kept["market"]) == set(books)
        for key, instrument in books.items():
            told = self.kept["market"][key]
            assert told == depth_of("llm", instrument, told.journal_offset)


def begun(state: PartitionState) -> Outputs:
    return Outputs(state, 3, limits="limits", market="market", leases="leases", scaling="scaling")


@pytest.mark.parametrize("seed", range(8))
def test_newest_values_are_the_engines_whenever_they_are_told_and_whoever_owns_it(seed: int) -> None:
    chance = random.Random(seed)
    world = MarketWorld(TENANTS)
    topics, outputs, noted, rounds = Topics(), begun(world.state), len(world.facts), 0
    for _ in trade_at_random(world, chance, 200):
        for fact in world.facts[noted:]:
            outputs.note(fact)
        noted = len(world.facts)
        if chance.random() < 0.03:
            outputs = begun(world.state)  # a crash: what was noted and not told is forgotten
        if chance.random() < 0.4:
            assert outputs.pending or not topics.take(outputs, noted)
            topics.take(outputs, noted)
            assert not outputs.pending
            topics.check(world)
            rounds += 1
    assert rounds > 50


def test_only_what_changed_is_told_and_once() -> None:
    world = MarketWorld(policy=NO_SURPLUS)
    topics, outputs = Topics(), begun(world.state)
    topics.take(outputs, 0)
    for fact in (*world.sell("a", 10, 5, id="s"), *world.buy("b", 4, 6), *world.buy("b", 2, 6), *world.buy("c", 1, 1)):
        outputs.note(fact)
    assert sorted(topics.take(outputs, 9)) == [
        ("limits", b"llm/a"),
        ("limits", b"llm/b"),
        ("market", output_key("llm", world.present)),
    ]
    assert {told.tenant: told.tokens for told in topics.kept["limits"].values()} == {"a": 90, "b": 106, "c": 100}
    assert {told.journal_offset for told in topics.kept["limits"].values()} == {0, 9}
    for fact in world.take(usage(11, {"c": 50})):
        outputs.note(fact)
    assert not outputs.pending
    for fact in world.sell("c", 3, 9, period=world.present + 1):
        outputs.note(fact)
    assert topics.take(outputs, 10) == [("market", output_key("llm", world.present + 1))]


def test_a_period_that_opens_tells_only_limits_that_changed() -> None:
    world = MarketWorld(policy=NO_SURPLUS)
    topics, outputs = Topics(), begun(world.state)
    topics.take(outputs, 0)
    world.take(profile("more", "b", base=150))
    for fact in (*world.sell("a", 10, 5), *world.buy("c", 10, 5), *world.run(11, 12)):
        outputs.note(fact)
    assert sorted(topics.take(outputs, 1)) == [("limits", b"llm/b"), ("market", output_key("llm", 5))]
    assert topics.kept["market"] == {}
    period = {told.tenant: told.period for told in topics.kept["limits"].values()}
    assert period == {"a": 5, "b": 6, "c": 5}


def test_a_new_owner_tells_everything_and_what_closed_lately() -> None:
    world = MarketWorld(policy=NO_SURPLUS)
    topics, outputs = Topics(), begun(world.state)
    world.sell("a", 10, 5)
    for fact in world.sell("a", 10, 5, period=world.present + 1):
        outputs.note(fact)
    topics.take(outputs, 0)
    world.period(5)
    topics.take(begun(world.state), 1)
    topics.check(world)
    assert len(topics.kept["limits"]) == 3
    world.sell("b", 100, 5)
    topics.take(begun(world.state), 2)  # what was noted went with the old owner: also that nothing is left
    topics.check(world)
    assert list(topics.kept["market"]) == [output_key("llm", 6)]


def test_a_pool_without_a_period_has_no_limits_yet() -> None:
    world = MarketWorld(policy=NO_SURPLUS)
    outputs = begun(world.state)
    for fact in world.take(pool(id="p2", pool="new", policy=NO_SURPLUS), profile("n", "a", base=7, pool="new")):
        outputs.note(fact)
    topics = Topics()
    topics.take(outputs, 0)
    assert {told.pool for told in topics.kept["limits"].values()} == {"llm"}
    for fact in world.run(11, 12):
        outputs.note(fact)
    topics.take(outputs, 0)
    assert {(told.pool, told.tokens) for told in topics.kept["limits"].values()} == {("llm", 100), ("new", 7)}


def test_keys_of_pools_with_slashes_are_apart() -> None:
    assert output_key("a", "b/c") != output_key("a/b", "c")
    assert output_key("a%2Fb", 1) != output_key("a/b", 1)
    assert output_key("llama-70b", "acme") == b"llama-70b/acme"


# Token pools


def shares(topics: Topics) -> dict[str, tuple[object, ...]]:
    names = (
        "tier",
        "throughput_nominal",
        "throughput_borrowing",
        "throughput_kept",
        "kv_nominal",
        "kv_kept",
        "concurrency_nominal",
    )
    return {
        told.tenant: tuple(getattr(told, name) for name in names)
        for told in topics.kept["limits"].values()
        if isinstance(told, Limit)
    }


def test_a_token_pool_tells_its_capacity_and_limits_in_every_dimension() -> None:
    here = PoolWorld(tenant("a1", "a"), tenant("g", "g", tier="guaranteed", base=1000, kv=(30, 5, None)), burst=knots((0.5, 1)))
    topics, outputs = Topics(), begun(here.state)
    topics.take(outputs, 5)
    capacity = topics.kept["limits"].pop(b"llm/")
    assert capacity == PoolCapacity(
        pool="llm",
        throughput=1000,
        kv=500,
        concurrency=40,
        kv_block_tokens=16,
        burst_fill=[500_000],
        burst_scale=[1_000_000],
        journal_offset=5,
    )
    assert shares(topics) == {"a": ("elastic", 0, None, 0, 0, 0, 0), "g": ("guaranteed", 100, None, 0, 30, 0, 4)}
    for fact in here.second({"a": 100}):
        outputs.note(fact)
    assert topics.take(outputs, 6) == [("limits", b"llm/a")]
    assert shares(topics)["a"] == ("elastic", 0, None, 100, 0, 0, 0)
    for fact in here.second():
        outputs.note(fact)  # demand of a fades: limits change again, and tokens do not
    assert topics.take(outputs, 7) == [("limits", b"llm/a")]
    topics.take(begun(here.state), 8)
    topics.kept["limits"].pop(b"llm/")
    assert {name: told[3] for name, told in shares(topics).items()} == {"a": here.kept()["a"], "g": here.kept()["g"]}


def test_a_pool_becomes_a_token_pool_and_none_again() -> None:
    bare: dict[str, None] = dict.fromkeys(("replicas", "replica_tokens_per_s", "replica_kv_blocks", "replica_concurrency"))
    here = PoolWorld(tenant("a1", "a", base=50), **bare)
    topics, outputs = Topics(), begun(here.state)
    topics.take(outputs, 0)
    assert shares(topics) == {"a": ("", None, None, None, None, None, None)}
    assert b"llm/" not in topics.kept["limits"]
    for fact in (*here.take(token_pool("p2")), *here.second()):
        outputs.note(fact)
    assert topics.take(outputs, 1) == [("limits", b"llm/"), ("limits", b"llm/a")]
    assert shares(topics) == {"a": ("elastic", 5, None, 0, 0, 0, 0)}
    for fact in here.take(token_pool("p3", **bare)):
        outputs.note(fact)
    assert topics.take(outputs, 2) == [("limits", b"llm/"), ("limits", b"llm/a")]
    assert b"llm/" not in topics.kept["limits"]
    assert shares(topics) == {"a": ("", None, None, None, None, None, None)}
