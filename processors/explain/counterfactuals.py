"""What one change of one input would have made of a tenant's period: found by running the rule again, never told by prose.

All other inputs stand as recorded, and only the period itself is judged: what other bids, prices or budgets would have followed in
later periods is another question (`bourse backtest`). A search is some 300 to 600 runs of the rule (`runs` tells): 0.2 s for
1,000 tenants, 3 to 5 s for 100,000.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from processors.allocation import AuctionInput, allocate, charge_ceiling
from processors.allocation.exact import INT64_MAX, exact_sum
from processors.explain.inputs import Rerun
from processors.explain.nearest import Nearest, nearest
from processors.explain.steps import price_setters
from schemas.published import Policy
from schemas.units import MAX_TOKENS

UNREAD: dict[str, frozenset[str]] = {
    Policy.SEED: frozenset({"weight"}),
    Policy.UNIFORM_PRICE: frozenset({"weight"}),
    Policy.MAX_MIN: frozenset({"elasticity"}),
    Policy.PROPORTIONAL: frozenset({"weight"}),
}
"""Tenants' inputs that a policy does not look at: no run is needed to know that they change nothing."""


class Got(NamedTuple):
    """What the rule gives a tenant: tokens of base and surplus, nanocredits per token of surplus, nanocredits in all."""

    base: int
    surplus: int
    price: int
    charge: int

    @property
    def tokens(self) -> int:
        """Of base and surplus together."""
        return self.base + self.surplus


@dataclass(frozen=True, slots=True)
class Change:
    """Another value of an input, and what the tenant would have got with it.

    Attributes:
        value: the nearest that was found; the value next to it, towards the recorded one, does not do it.
        got: what would have come of it.
        tried: values nearer to the recorded one that were run and do not do it.
        sure: whether those are all values between: then there is no nearer one.
    """

    value: int
    got: Got
    tried: int
    sure: bool


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction in which an input may change.

    Attributes:
        outcome: the nearest change of what the tenant gets or pays; None: none was found.
        tokens: the nearest change of what it gets: the same, or a larger one where the first changes the charge alone.
        tried: values that were run without any change; as far as `end`.
        end: the last value that is allowed.
    """

    outcome: Change | None
    tokens: Change | None
    tried: int
    end: int


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """One input: of the tenant, of the pool (`of` is None), or of the rival.

    Attributes:
        recorded: its value; None: a budget without a cap.
        read: whether the policy looks at it at all.
        lower: where smaller values lead; of a budget without a cap: what caps would change, the largest first.
        higher: where larger ones lead; None where there is nothing above.
    """

    input: str
    of: str | None
    recorded: int | None
    read: bool
    lower: Direction | None
    higher: Direction | None


@dataclass(frozen=True, slots=True)
class Rival:
    """The other tenant whose inputs are changed, and why it is this one."""

    tenant: str
    why: str
    """price_setter, right_before, right_behind or largest."""


@dataclass(frozen=True, slots=True)
class WhatIf:
    """All counterfactuals of a tenant's period; `got` is what the rule gave as recorded, `runs` how often it was run for them."""

    got: Got
    rival: Rival | None
    inputs: tuple[Counterfactual, ...]
    runs: int


Progress = Callable[[int, int], None]
"""Called with the inputs that are done, and all of them."""


def silent(_done: int, _of: int) -> None:
    """The progress that nobody watches."""


def what_if(again: Rerun, tenant: str, progress: Progress = silent) -> WhatIf | None:
    """The nearest change of each input that would have changed what a tenant got or paid; None if it took no part.

    Raises:
        UnknownTenantError: the tenant has no row in the period.
    """
    at = again.place(tenant)
    if at is None:
        return None
    rival = _rival(again, at)
    levers = _levers(again, at, rival)
    runs = _Runs(again, at)
    told = []
    for lever in levers:
        told.append(runs.counterfactual(lever))
        progress(len(told), len(levers))
    named = None if rival is None else Rival(again.names[rival.row], rival.why)
    return WhatIf(runs.recorded, named, tuple(told), runs.count)


class _Lever(NamedTuple):
    """An input and the values that it may have; `put` is the auction with another one."""

    input: str
    of: str | None
    recorded: int | None
    most: int
    read: bool
    put: Callable[[int], AuctionInput]


class _RivalRow(NamedTuple):
    row: int
    why: str


def _rival(again: Rerun, at: int) -> _RivalRow | None:
    """Who set the price, or stands next in the order of bids, or has most of the surplus."""
    rows, _ = price_setters(again.asked, again.outcome)
    setter = next((row for row in rows.tolist() if row != at), None)
    if setter is not None:
        return _RivalRow(setter, "price_setter")
    rank = again.outcome.why.rank
    if rank is not None:
        for place, why in ((int(rank[at]) - 1, "right_before"), (int(rank[at]) + 1, "right_behind")):
            beside = np.flatnonzero(rank == place)
            if beside.size:
                return _RivalRow(int(beside[0]), why)
    others = again.outcome.surplus.copy()
    others[at] = 0
    return _RivalRow(int(others.argmax()), "largest") if others.any() else None


def _levers(again: Rerun, at: int, rival: _RivalRow | None) -> list[_Lever]:
    asked = again.asked
    own = [_of_tenant(again, at, name) for name in ("base", "elasticity", "demand", "weight", "budget_left")]
    pool = [
        _Lever(name, None, getattr(asked, name), most, read=True, put=partial(_with_terms, asked, name))
        for name, most in _most_terms(asked).items()
    ]
    told = () if rival is None else ("elasticity", "demand", "weight")
    theirs = [] if rival is None else [_of_tenant(again, rival.row, name) for name in told]
    return [*own, *pool, *(lever for lever in theirs if lever.read)]


def _of_tenant(again: Rerun, row: int, name: str) -> _Lever:
    asked = again.asked
    recorded: int | None = int(getattr(asked, name)[row])
    if name == "budget_left" and not asked.capped[row]:
        recorded = None
    most = {
        "base": asked.capacity - exact_sum(asked.base) + int(asked.base[row]),  # more would have been refused
        "elasticity": _most(lambda value: charge_ceiling(max(asked.capacity, 1), asked.base_price, asked.reserve_price, value)),
        "budget_left": INT64_MAX,
    }.get(name, MAX_TOKENS)
    read = name not in UNREAD.get(again.inputs.policy, frozenset())
    put = partial(_with_cap if name == "budget_left" else _with_column, asked, row)
    return _Lever(name, again.names[row], recorded, max(most, recorded or 0), read, partial(put, name))


def _most_terms(asked: AuctionInput) -> dict[str, int]:
    """The largest values that a pool's command would have been taken with: a larger one could cost more than an int64 holds."""
    elasticity, capacity = int(asked.elasticity.max(initial=0)), max(asked.capacity, 1)
    ceilings: dict[str, Callable[[int], int]] = {
        "capacity": lambda value: charge_ceiling(value, asked.base_price, asked.reserve_price, elasticity),
        "reserve_price": lambda value: charge_ceiling(capacity, asked.base_price, value, elasticity),
        "base_price": lambda value: charge_ceiling(capacity, value, asked.reserve_price, elasticity),
    }
    return {name: max(_most(ceiling), getattr(asked, name)) for name, ceiling in ceilings.items()}


def _most(ceiling: Callable[[int], int]) -> int:
    """The largest value up to MAX_TOKENS whose charges fit an int64; ceilings rise with the value."""
    low, high = 0, MAX_TOKENS
    while low < high:
        middle = (low + high + 1) // 2
        if ceiling(middle) <= INT64_MAX:
            low = middle
        else:
            high = middle - 1
    return low


def _with_column(asked: AuctionInput, row: int, name: str, value: int) -> AuctionInput:
    column = getattr(asked, name).copy()
    column[row] = value
    return replace(asked, **{name: column})


def _with_cap(asked: AuctionInput, row: int, name: str, value: int) -> AuctionInput:
    capped = asked.capped.copy()
    capped[row] = True
    return replace(_with_column(asked, row, name, value), capped=capped)


def _with_terms(asked: AuctionInput, name: str, value: int) -> AuctionInput:
    changed: dict[str, Any] = {name: value}
    return replace(asked, **changed)


class _Runs:
    """The rule, run again and again for one tenant."""

    def __init__(self, again: Rerun, at: int) -> None:
        self._policy, self._at = again.inputs.policy, at
        self.count = 0
        self.recorded = self._got(again.asked)
        self.count = 0

    def counterfactual(self, lever: _Lever) -> Counterfactual:
        """One input in both directions."""
        lower = higher = None
        if lever.read:
            got = _remembered(lambda value: self._got(lever.put(value)))
            if lever.recorded is None:
                lower = self._caps(got)
            else:
                here = lever.recorded
                lower = self._direction(got, here, -1, max(here, 0)) if here > 0 else None
                higher = self._direction(got, here, 1, lever.most - here) if lever.most > here else None
        return Counterfactual(lever.input, lever.of, lever.recorded, lever.read, lower, higher)

    def _caps(self, got: Callable[[int], Got]) -> Direction:
        """Of a budget without a cap: caps below the least power of two, times what was paid, that changes nothing."""
        above = max(self.recorded.charge, 1)
        while above < INT64_MAX and got(above) != self.recorded:
            above = min(2 * above, INT64_MAX)
        found = self._direction(got, above, -1, above)
        # Larger caps were not run.
        first, tokens = (each and replace(each, sure=False) for each in (found.outcome, found.tokens))
        return replace(found, outcome=first, tokens=tokens)

    def _direction(self, got: Callable[[int], Got], start: int, sign: int, room: int) -> Direction:
        def at(distance: int) -> Got:
            return got(start + sign * distance)

        def change(found: Nearest) -> Change | None:
            if found.distance is None:
                return None
            return Change(start + sign * found.distance, at(found.distance), found.tried, found.sure)

        def other_tokens(distance: int) -> bool:
            return at(distance).tokens != self.recorded.tokens

        first = nearest(lambda distance: self._differs(at(distance)), room)
        outcome = tokens = change(first)
        if outcome is not None and outcome.got.tokens == self.recorded.tokens:
            tokens = change(nearest(other_tokens, room))
        return Direction(outcome, tokens, first.tried, start + sign * room)

    def _differs(self, got: Got) -> bool:
        return (got.tokens, got.charge) != (self.recorded.tokens, self.recorded.charge)

    def _got(self, asked: AuctionInput) -> Got:
        self.count += 1
        outcome = allocate(self._policy, asked)
        at = self._at
        return Got(int(outcome.base[at]), int(outcome.surplus[at]), outcome.price, outcome.charge_of(at))


def _remembered(got: Callable[[int], Got]) -> Callable[[int], Got]:
    known: dict[int, Got] = {}

    def asked(value: int) -> Got:
        if value not in known:
            known[value] = got(value)
        return known[value]

    return asked
