"""Several gateways with real admission, messages that are late or lost, deaths and returns: no limit is ever exceeded."""

import asyncio
import random
from itertools import pairwise

import pytest
from journal_world import refold, state_bytes
from lease_world import BURST_MS, SPACES, STEP_MS, LeaseWorld, tenant
from pool_world import token_pool

from processors.engine import fold
from processors.state import PartitionState
from schemas.lease_facts import CapacityLeased, LeaseEnd, LeaseExpired, LeasesGranted
from streams.codecs import decode, encode
from streams.snapshots import SnapshotStore

NAMES = ("x", "y", "z")


def tenants(kv=60, slots=6):
    return (
        tenant("a1", "a", throughput=(200, None), kv=(kv, 20, None), concurrency=(slots, 2, None)),
        tenant("b1", "b", weight=2),
        tenant("g1", "g", tier="guaranteed", base=3000, throughput=(100, None), kv=(100, 0, None), concurrency=(8, 0, None)),
        tenant("p1", "p", tier="preemptible"),
        tenant("s1", "s", tier="spot", concurrency=(2, 1, None)),
    )


class Story:
    """What happens, by chance: gateways come, go and are cut off, limits and replicas change, the engine pauses."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.world = LeaseWorld(*tenants(), seed=seed, late_ms=600, loss=0.1, again=0.1, drift=0.01)
        self.lives = self.versions = 0
        self.most = {}
        for name in NAMES[: self.chance.randint(1, 3)]:
            self.start(name)

    def start(self, name):
        self.lives += 1
        self.world.start(name, f"{self.lives}")

    def run(self, seconds):
        for _ in range(seconds):
            self.event()
            self.world.pass_ms(1000, self.ask)
            self.check()

    def event(self):
        world, chance = self.world, self.chance
        roll, name = chance.random(), chance.choice(NAMES)
        node = world.nodes.get(name)
        if node is None and roll < 0.3:
            self.start(name)
        elif node is not None and roll < 0.03:
            world.kill(name)
        elif node is not None and roll < 0.3:
            node.reachable = roll > 0.08
        elif roll < 0.35:
            world.pause(chance.choice((500, 2000, 14_000)))
        elif roll < 0.42:
            self.change()

    def change(self):
        self.versions += 1
        world, chance = self.world, self.chance
        if chance.random() < 0.3:
            world.take(token_pool(f"replicas-{self.versions}", replicas=chance.randint(3, 12)))
            return
        changed = [
            each.model_copy(update={"id": f"{each.id}-{self.versions}"})
            for each in tenants(chance.randint(10, 90), chance.randint(1, 9))
        ]
        world.take(changed[chance.randrange(len(changed))])

    def ask(self, node):
        chance = self.chance
        for name in "abgps":
            if chance.random() < 0.25:
                node.ask(self.world.now, name, chance.randint(1, 120), chance.choice((200, 1000, 4000)))

    def check(self):
        """Of each tenant and space, the sum of what is in flight is within its limit, or one that it had lately."""
        world = self.world
        now = {
            (name, each): (of[f"{each}_nominal"], of[f"{each}_borrowing"]) for name, of in world.limits().items() for each in SPACES
        }
        for (name, each), (nominal, borrowing) in now.items():
            if borrowing is not None:
                recent = [(at, most) for at, most in self.most.get((name, each), []) if at > world.now - 30_000]
                self.most[name, each] = recent = [*recent, (world.now, nominal + borrowing)]
                assert world.in_flight(name, each) <= max(most for _, most in recent)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_in_flight_never_exceeds_a_limit(seed):
    story = Story(seed)
    story.run(45)
    world = story.world
    kinds = {fact.KIND for fact in world.engine.facts}
    assert {"use_reported", "capacity_leased", "leases_granted"} <= kinds
    assert state_bytes(refold(world.engine.facts)) == state_bytes(world.engine.state), "facts alone give the state"
    resumed, recorded = PartitionState(), iter(world.engine.facts)
    for (offset, record), stop in zip(world.engine.journal, _stops(seed, len(world.engine.journal)), strict=True):
        resumed = copied(resumed) if stop else resumed
        facts = fold(resumed, decode(encode(record)), offset)
        assert [encode(fact) for fact in facts] == [encode(next(recorded)) for _ in facts]
    assert next(recorded, None) is None
    assert state_bytes(resumed) == state_bytes(world.engine.state)


def copied(state):
    """Through a snapshot and back."""

    async def acknowledged():
        """All that was written is durable."""

    table = {}
    assert asyncio.run(SnapshotStore(0, table).write(state, 1, acknowledged, lambda: True))
    return SnapshotStore(0, table).load()[0]


def _stops(seed, many):
    chance = random.Random(seed)
    return [chance.random() < 0.01 for _ in range(many)]


def test_tokens_of_any_time_are_within_the_limits_burst_and_rate():
    """A bucket of the limit's size takes all that was admitted, wherever; however parts move, and gateways die."""
    world = LeaseWorld(
        tenant("a1", "a", tier="guaranteed", base=2000, throughput=(100, None)), tenant("b1", "b"), seed=3, late_ms=300
    )
    rate, level, chance, admitted = 300, 0, random.Random(3), 0
    for name in NAMES:
        world.start(name, "0")

    def ask(node):
        nonlocal level, admitted
        busy = NAMES[world.now // 7_000 % 3]
        for _ in range(3 if node.name == busy else chance.randint(0, 1)):
            tokens = chance.randint(1, 200)
            if node.ask(world.now, "a", tokens, 300):
                level, admitted = level + tokens * 1000, admitted + tokens
        assert level <= rate * BURST_MS

    def drain(node):
        nonlocal level
        if node.name == min(world.nodes):
            level = max(0, level - rate * STEP_MS)
        ask(node)

    for second in range(45):
        if second in (15, 30):
            world.kill("y")
            world.start("y", str(second))
        world.pass_ms(1000, drain)
    assert admitted > rate * 45 // 2, "and more than half of it is used, with a third of it lost at times"


def test_who_is_one_of_three_for_one_slot_has_its_turn():
    world = LeaseWorld(tenant("a1", "a", concurrency=(1, 0, None)), tenant("b1", "b"))
    served = {name: [] for name in NAMES}
    for name in NAMES:
        world.start(name)

    def ask(node):
        for _ in range({"x": 5, "y": 1, "z": 1}[node.name]):
            if node.ask(world.now, "a", 10, 400):
                served[node.name].append(world.now)
        assert world.in_flight("a") <= 1

    world.pass_ms(75_000, ask)
    for times in served.values():
        assert len(times) > 20
        assert max(b - a for a, b in pairwise([110_000, *times, 185_000])) <= 45_000, "three turns of 10 s, and what moving takes"


def test_the_share_of_a_dead_gateway_returns_and_it_comes_back():
    world = LeaseWorld(tenant("a1", "a", concurrency=(12, 0, None)), tenant("b1", "b"))
    for name in "xy":
        world.start(name)

    def ask(node):
        node.ask(world.now, "a", 5, 1000)

    world.pass_ms(20_000, ask)
    assert world.share("x", "a", "concurrency_nominal") + world.share("y", "a", "concurrency_nominal") == 12
    assert min(world.share(name, "a", "concurrency_nominal") for name in "xy") >= 4
    world.kill("x")
    world.pass_ms(10_000, ask)
    assert world.share("y", "a", "concurrency_nominal") < 12, "its lease may still hold"
    world.start("x", "2")
    world.pass_ms(5_000, ask)
    (ended,) = [fact for fact in world.engine.facts if isinstance(fact, LeaseExpired)]
    assert (ended.gateway, ended.incarnation, ended.reason) == ("x", "1", LeaseEnd.SILENT)
    world.pass_ms(15_000, ask)
    assert min(world.share(name, "a", "concurrency_nominal") for name in "xy") >= 4
    assert world.leases["x"].incarnation == "2"


@pytest.mark.parametrize("drift", [-0.1, 0, 0.1])
def test_who_is_cut_off_stops_before_its_share_is_given_away(drift):
    world = cut_off(drift)
    assert not world.nodes["x"].may_admit(world.now)
    assert world.share("y", "a", "concurrency_nominal") == 6


def test_a_clock_that_is_far_too_slow_would_be_seen():
    with pytest.raises(AssertionError, match="its share was given away"):
        cut_off(-0.3)


def cut_off(drift):
    """What x goes by is compared with what the engine holds for it at each step."""
    world = LeaseWorld(*tenants(), seed=1)
    for name in "xy":
        world.start(name)
    world.nodes["x"].drift = drift
    world.pass_ms(4_000)
    assert world.nodes["x"].may_admit(world.now)
    world.nodes["x"].reachable = False
    world.pass_ms(17_000)
    return world


def test_a_gateway_alone_has_everything_and_idle_ones_change_nothing():
    world = LeaseWorld(*tenants(), seed=1)
    world.start("x")
    world.pass_ms(3_000)
    lease, limits = world.nodes["x"].lease, world.limits()
    assert lease.capacity == (1000, 500, 40)
    for name, of in limits.items():
        quotas = [value for quota in lease.tenants[name].quotas for value in quota]
        assert quotas == list(of.values())
    granted = len([fact for fact in world.engine.facts if isinstance(fact, CapacityLeased | LeasesGranted)])
    world.pass_ms(20_000)
    assert len([fact for fact in world.engine.facts if isinstance(fact, CapacityLeased | LeasesGranted)]) == granted
    assert world.nodes["x"].may_admit(world.now), "its reports are answered all the same"
