"""A guaranteed tenant within its promise, at gateways that change, while everybody else wants all that there is.

`python tests/processors/leases/test_lease_promises.py [SEEDS]` (with tests/processors on the path) prints the figures that
processors/leases/granting.py states.
"""

import random
import sys

import pytest
from lease_world import BURST_MS, STEP_MS, LeaseWorld, tenant

from processors.leases import granting
from processors.leases.splitting import BAND_WHEN_SHORT, split

NAMES = ("x", "y", "z", "w")
RATE, BLOCKS, SLOTS = 400, 200, 16
TOKENS = (20, 80)
LONGEST_MS = 10_000


class Promised:
    """What the owner may have at once, if there were one gateway only."""

    def __init__(self):
        self.spent, self.running = 0, []

    def pass_ms(self, now_ms, many):
        self.spent = max(0, self.spent - RATE * many // 1000)
        self.running = [each for each in self.running if each[0] > now_ms]

    def has_room(self, tokens):
        return (
            self.spent + tokens <= RATE * BURST_MS // 1000
            and len(self.running) < SLOTS
            and sum(blocks for _, blocks in self.running) - (-tokens // 16) <= BLOCKS
        )

    def take(self, now_ms, tokens, lasts_ms):
        self.spent += tokens
        self.running.append((now_ms + lasts_ms, -(-tokens // 16)))


class Story:
    """The owner asks for `load` of its promise, now at one gateway, now at others, or (`moves`) always at all alike.

    Attributes:
        within: its requests within the promise.
        refused: how many of them were.
        waited: for how long requests waited, of those that may wait.
    """

    def __init__(self, seed, gateways=2, load=0.5, *, moves=True, longest_ms=0):
        self.chance, self.names, self.load, self.moves, self.longest_ms = (
            random.Random(seed),
            NAMES[:gateways],
            load,
            moves,
            longest_ms,
        )
        promise = {"throughput": (0, None), "kv": (BLOCKS, 0, None), "concurrency": (SLOTS, 0, None)}
        owner = tenant("g1", "g", tier="guaranteed", base=10 * RATE, **promise)
        self.world = LeaseWorld(owner, tenant("b1", "b", weight=2), tenant("s1", "s", tier="spot"), seed=seed, late_ms=100)
        for name in self.names:
            self.world.start(name)
        self.promised, self.weights, self.until, self.coming = Promised(), [1] * gateways, 0, []
        self.within = self.refused = 0

    def run(self, seconds):
        """What happens while gateways come is not counted."""
        self.world.pass_ms(10_000, self.ask)
        self.within = self.refused = 0
        for node in self.world.nodes.values():
            node.waited.clear()
        self.world.pass_ms(seconds * 1000, self.ask)
        self.refused += sum(not admitted for _, _, admitted in self._waited())
        return self

    @property
    def waited(self):
        return sorted(many for _, many, _ in self._waited())

    def _waited(self):
        return [each for node in self.world.nodes.values() for each in node.waited]

    def ask(self, node):
        if node.name == self.names[0]:
            self.arrive()
        for _, tokens, lasts_ms in (each for each in self.coming if each[0] == node.name):
            self.owner_asks(node, tokens, lasts_ms)
        for _ in range(3):
            for each in "bs":
                node.ask(self.world.now, each, self.chance.randint(20, 120), 2_000)

    def arrive(self):
        """The owner's requests of this step: where, tokens, how long they last."""
        chance, now = self.chance, self.world.now
        self.promised.pass_ms(now, STEP_MS)
        if self.moves and now >= self.until:
            self.until = now + chance.choice((5_000, 10_000, 20_000))
            self.weights = [chance.choice((0, 1, 1, 4, 9)) for _ in self.names]
            self.weights[chance.randrange(len(self.names))] += 1
        rate, at = self.load * RATE / (sum(TOKENS) / 2) * STEP_MS / 1000, 0.0
        self.coming = []
        while (at := at + chance.expovariate(rate)) < 1:
            where = chance.choices(self.names, self.weights)[0]
            self.coming.append((where, chance.randint(*TOKENS), chance.choice((500, 1_000, 1_500))))

    def owner_asks(self, node, tokens, lasts_ms):
        now, room = self.world.now, self.promised.has_room(tokens)
        self.within += room
        if self.longest_ms:
            node.wait(now, "g", tokens, lasts_ms, self.longest_ms)
        elif not node.ask(now, "g", tokens, lasts_ms):
            self.refused += room
            return
        self.promised.take(now, tokens, lasts_ms)


def as_others(monkeypatch):
    """Promises are split as all else is."""
    monkeypatch.setattr(granting, "where_claimed", lambda total, wanted, weight: split(total, weight, wanted > 0))
    monkeypatch.setattr(granting, "BAND_OF_RATE", BAND_WHEN_SHORT)


def test_a_promise_split_by_need_refuses_less_than_half_as_often(monkeypatch):
    now = Story(0).run(40)
    as_others(monkeypatch)
    before = Story(0).run(40)
    assert before.within == now.within > 100
    assert 2 * now.refused < before.refused


@pytest.mark.parametrize(("seed", "gateways"), [(1, 2), (2, 3)])
def test_who_waits_for_its_promise_has_it(seed, gateways):
    story = Story(seed, gateways, longest_ms=LONGEST_MS).run(25)
    assert story.within > 50
    assert story.refused == 0, "what waits is reported as wanted, and the part of the promise that it lacks comes to it"
    assert story.waited[-1] > 0


def main():
    """Prints them."""
    seeds = range(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
    with pytest.MonkeyPatch.context() as before:
        for then in (False, True):
            if not then:
                as_others(before)
            else:
                before.undo()
            for gateways, load, moves in ((2, 0.5, False), (2, 0.5, True), (4, 0.5, True), (2, 0.8, True)):
                for longest_ms in (0, LONGEST_MS):
                    found = [Story(seed, gateways, load, moves=moves, longest_ms=longest_ms).run(60) for seed in seeds]
                    within, refused = sum(each.within for each in found), sum(each.refused for each in found)
                    waited = sorted(many for each in found for many in each.waited)
                    marks = [waited[len(waited) * percent // 100] for percent in (50, 90, 99)] if waited else []
                    sys.stdout.write(
                        f"{'by need' if then else 'as others'}, {gateways} gateways, load {load}, moving {moves}, waiting "
                        f"{longest_ms}: {refused} of {within} refused, {refused / within:.2%}; waits P50, P90, P99 {marks} ms\n"
                    )
                    sys.stdout.flush()


if __name__ == "__main__":
    main()
