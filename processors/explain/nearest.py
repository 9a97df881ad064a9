"""The search for the nearest change of one number that changes an outcome.

Where the outcome moves one way with the number, what is found is the nearest. It need not: Hamilton shares can take a unit back
as the total grows (the Alabama paradox), and a clearing price can jump over a budget. So the search states what it tried:

1. every distance up to NEAR, or all where there are no more than FEW;
2. distances that grow by GROWTH, up to the end of the range, until one changes the outcome;
3. halving between the last that did not and the first that did, down to neighbours;
4. BETWEEN places spread over the nearer distances: if one of them changes the outcome, halving again from there.

What it finds changes the outcome, and one less does not: both were run. At most NEAR + log4(range) + 2·log2(distance) + BETWEEN
runs: some 40 for a distance of a million, 100 at the most.
"""

from collections.abc import Callable
from dataclasses import dataclass

NEAR = 4
FEW = 32
GROWTH = 4
BETWEEN = 6


@dataclass(frozen=True, slots=True)
class Nearest:
    """What a search found.

    Attributes:
        distance: the nearest found at which the outcome is another; None: none was found.
        tried: distances below it (without one: in all) that were run and change nothing.
    """

    distance: int | None
    tried: int

    @property
    def sure(self) -> bool:
        """Whether every nearer distance was run."""
        return self.distance is not None and self.tried == self.distance - 1


def nearest(changes: Callable[[int], bool], room: int) -> Nearest:
    """Search distances from 1 to `room`.

    Args:
        changes: whether the outcome is another at a distance; asked once for each.
        room: the farthest distance; below 1 there is nothing to try.
    """
    known: dict[int, bool] = {0: False}

    def changed(distance: int) -> bool:
        if distance not in known:
            known[distance] = changes(distance)
        return known[distance]

    found = next((distance for distance in _growing(room) if changed(distance)), None)
    if found is not None and found > NEAR:
        found = _first_between(changed, max(each for each in known if each < found), found)
    between = _spread(room if found is None else found - 1)
    nearer = next((distance for distance in between if changed(distance)), None)
    if nearer is not None:
        found = _first_between(changed, max(each for each, other in known.items() if each < nearer and not other), nearer)
    unchanged = sum(1 for each in known if each > 0 and (found is None or each < found))
    return Nearest(found, unchanged)


def _growing(room: int) -> list[int]:
    if room <= FEW:
        return list(range(1, room + 1))
    distances = list(range(1, NEAR + 1))
    step = NEAR * GROWTH
    while step < room:
        distances.append(step)
        step *= GROWTH
    return [*distances, room]


def _spread(end: int) -> list[int]:
    """Places between the first distances and an end."""
    return sorted({end * part // (BETWEEN + 1) for part in range(1, BETWEEN + 1)} - set(range(NEAR + 1)))


def _first_between(changed: Callable[[int], bool], unchanged: int, other: int) -> int:
    """A distance at which the outcome is another and one less at which it is not, between two that are known so."""
    while other - unchanged > 1:
        middle = (other + unchanged) // 2
        if changed(middle):
            other = middle
        else:
            unchanged = middle
    return other
