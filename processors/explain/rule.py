"""Why a tenant got what it got in a period (BEY-2): the rule is run again on the period's recorded inputs, and its steps are told.

The recomputed row is held against the recorded one, and so are the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from processors.allocation import Outcome
from processors.allocation.exact import exact_sum
from processors.explain.inputs import COMPARED, TRADED, PeriodInputs, Rerun, Row, run_again, whole
from processors.explain.steps import Steps, steps_of
from schemas.published import Policy, Tier


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a tenant asked, what there was, what it got by which rule, and whether that is what was recorded."""

    pool: str
    period: int
    tenant: str
    policy: Policy
    took_part: bool
    tier: Tier | None
    """In a token pool, where bases go by it."""
    declared_base: int
    elasticity: int
    weight: int
    demand: int
    budget_left: int | None
    capacity: int
    promised: int
    supply: int
    base: int
    shortfall: int
    surplus: int
    bought: int
    sold: int
    allocated: int
    used: int
    price: int
    base_price: int
    charge_for_base: int
    charge_for_surplus: int
    charge: int
    rule: Steps | None
    differences: tuple[tuple[str, object, object], ...]
    """(column, recorded, recomputed) of this tenant's row; empty: equal."""
    other_rows_differing: int

    @property
    def proved(self) -> bool:
        """Whether the recorded row is what the rule gives."""
        return not self.differences


def explain(inputs: PeriodInputs, tenant: str) -> Explanation:
    """Run the period's rule again and tell a tenant's way through it.

    Raises:
        UnknownTenantError: the tenant has no row in the period.
    """
    return tell(run_again(inputs), tenant)


def tell(again: Rerun, tenant: str) -> Explanation:
    """A tenant's way through a rule that was run again; raises as `explain`."""
    inputs, asked, outcome = again.inputs, again.asked, again.outcome
    at = again.place(tenant)
    recomputed = _recomputed(again.names, outcome)
    different = {name: _differences(row, recomputed.get(name, _NOTHING)) for name, row in again.recorded.items()}
    row = again.recorded[tenant]
    base, surplus = (0, 0) if at is None else (int(outcome.base[at]), int(outcome.surplus[at]))
    return Explanation(
        pool=inputs.pool,
        period=inputs.period,
        tenant=tenant,
        policy=inputs.policy,
        took_part=at is not None,
        tier=None if inputs.tiers is None else inputs.tiers.get(tenant),
        declared_base=0 if at is None else int(asked.base[at]),
        **{name: whole(row[name]) for name in ("elasticity", "weight", "demand", "used", *TRADED)},
        budget_left=None if row["budget_left"] is None else whole(row["budget_left"]),
        capacity=inputs.capacity,
        promised=exact_sum(asked.base),
        supply=outcome.unallocated + exact_sum(outcome.surplus),
        base=base,
        shortfall=0 if at is None else int(outcome.shortfall[at]),
        surplus=surplus,
        allocated=base + surplus + _traded(row),
        price=outcome.price,
        base_price=inputs.base_price,
        charge_for_base=base * inputs.base_price,
        charge_for_surplus=surplus * outcome.price,
        charge=base * inputs.base_price + surplus * outcome.price,
        rule=None if at is None else steps_of(again, at),
        differences=(*different.pop(tenant), *_whole_differs(inputs, outcome)),
        other_rows_differing=sum(map(bool, different.values())),
    )


_NOTHING: Row = {name: None if name == "rank" else 0 for name in COMPARED}
"""What follows for a tenant that takes no part."""


def _recomputed(names: Sequence[str], outcome: Outcome) -> dict[str, Row]:
    rank = [None] * len(names) if outcome.why.rank is None else outcome.why.rank.tolist()
    columns = {
        "base": outcome.base.tolist(),
        "bid": outcome.why.bid.tolist(),
        "rank": rank,
        "surplus": outcome.surplus.tolist(),
        "allocated": (outcome.base + outcome.surplus).tolist(),
        "charge": outcome.charge.tolist(),
        "shortfall": outcome.shortfall.tolist(),
    }
    return {name: {column: values[at] for column, values in columns.items()} for at, name in enumerate(names)}


def _differences(recorded: Row, recomputed: Row) -> tuple[tuple[str, object, object], ...]:
    follows = {**recomputed, "allocated": whole(recomputed["allocated"]) + _traded(recorded)}
    return tuple((name, recorded[name], follows[name]) for name in COMPARED if recorded[name] != follows[name])


def _traded(row: Row) -> int:
    return whole(row["bought"]) - whole(row["sold"])


def _whole_differs(inputs: PeriodInputs, outcome: Outcome) -> tuple[tuple[str, object, object], ...]:
    pairs = {"price": (inputs.price, outcome.price), "unallocated": (inputs.unallocated, outcome.unallocated)}
    return tuple((name, *pair) for name, pair in pairs.items() if pair[0] != pair[1])
