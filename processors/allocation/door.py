"""Cases in, answers out, as JSON lines (spec: allocation, "The door").

What is accepted is what the arithmetic can do: every quantity 0 to 2^63−1 (a budget may be negative: overspent). Answers are exact
at any size: a price or a charge may have more than 64 bits.
"""

import json
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from processors.allocation import AuctionInput, InputError, allocate
from processors.allocation.exact import INT64_MAX, Ints
from processors.cases import first_fault

_Count = Annotated[int, Field(ge=0, le=INT64_MAX)]
_Money = Annotated[int, Field(ge=-INT64_MAX - 1, le=INT64_MAX)]


class TenantCase(BaseModel):
    """One tenant of a case. An unknown field is refused: a misspelt `budget_left` would otherwise lift a cap."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    id: Annotated[str, Field(min_length=1)]
    base: _Count
    elasticity: _Count
    demand: _Count
    budget_left: _Money | None = None
    weight: _Count = 1


class Case(BaseModel):
    """One pool and period. Fields that are not ours (a case's name, a comment) are passed over."""

    model_config = ConfigDict(strict=True, frozen=True)

    policy: str
    capacity: _Count
    base_price: _Count
    reserve_price: _Count
    tenants: list[TenantCase]


def answer_line(line: bytes) -> str:
    """The answer to one JSON line, as one JSON line: an allocation, or `{"error": "field: what is wrong"}`."""
    try:
        return json.dumps(answer(parse_case(line)))
    except InputError as error:
        return json.dumps({"error": str(error)})


def parse_case(line: bytes) -> Case:
    """Reads a case.

    Raises:
        InputError: names the first field that is wrong, the value, and how many more are.
    """
    try:
        case = Case.model_validate_json(line)
    except ValidationError as error:
        raise InputError(*first_fault(error)) from error
    first_seen: dict[str, int] = {}
    for row, tenant in enumerate(case.tenants):
        other = first_seen.setdefault(tenant.id, row)
        if other != row:
            raise InputError(f"tenants[{row}].id", f"{tenant.id!r} is tenants[{other}].id already")
    return case


def answer(case: Case) -> dict[str, Any]:
    """The allocation of a case, tenants in the byte order of their ids."""
    # Code point order, Python's order of strings, is the byte order of UTF-8.
    tenants = sorted(case.tenants, key=lambda tenant: tenant.id)
    outcome = allocate(case.policy, _columns(case, tenants))
    base, surplus, shortfall = outcome.base.tolist(), outcome.surplus.tolist(), outcome.shortfall.tolist()
    return {
        "price": outcome.price,
        "allocations": {
            tenant.id: {"base": base[row], "surplus": surplus[row], "charge": outcome.charge_of(row)}
            for row, tenant in enumerate(tenants)
        },
        "unallocated": outcome.unallocated,
        "shortfall": {tenant.id: shortfall[row] for row, tenant in enumerate(tenants) if shortfall[row]},
    }


def _columns(case: Case, tenants: list[TenantCase]) -> AuctionInput:
    def column(values: list[int]) -> Ints:
        return np.array(values, np.int64)

    return AuctionInput(
        capacity=case.capacity,
        base_price=case.base_price,
        reserve_price=case.reserve_price,
        base=column([tenant.base for tenant in tenants]),
        elasticity=column([tenant.elasticity for tenant in tenants]),
        demand=column([tenant.demand for tenant in tenants]),
        budget_left=column([tenant.budget_left or 0 for tenant in tenants]),
        capped=np.array([tenant.budget_left is not None for tenant in tenants], np.bool_),
        weight=column([tenant.weight for tenant in tenants]),
    )
