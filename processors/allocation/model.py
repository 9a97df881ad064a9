"""What goes into the allocation of one pool and period, and what comes out, as numpy columns with one row per tenant.

Tokens, prices (nanocredits per token), money (nanocredits), elasticity and weights (millionths) are int64. Rows stand in the byte
order (UTF-8) of the tenants' ids: wherever order decides, the smaller row comes first.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

import numpy as np

from processors.allocation.exact import INT64_MAX, MILLION, Flags, Ints

UNLIMITED = INT64_MAX  # room of a tenant without a cap: no surplus is larger


class InputError(ValueError):
    """An input that no policy can work with. Says which field (and row), what is wrong, and the value."""

    def __init__(self, field: str, reason: str, row: int | None = None) -> None:
        super().__init__(f"{field if row is None else f'{field}[{row}]'}: {reason}")
        self.field, self.reason, self.row = field, reason, row


class ChargeOverflowError(OverflowError):
    """A charge above 2^63−1 nanocredits. `charge_ceiling` tells beforehand whether a pool can come to that."""


@dataclass(frozen=True)
class AuctionInput:
    """One pool and period.

    Attributes:
        capacity: tokens to divide.
        base_price: nanocredits per token of base.
        reserve_price: nanocredits per token below which no surplus is sold.
        base: guaranteed tokens per tenant.
        elasticity: willingness to pay for more, in millionths.
        demand: predicted tokens for the period.
        budget_left: nanocredits left of the cap in its window (negative if overspent); any number where `capped` is false.
        capped: whether the tenant has a budget cap.
        weight: share in weighted fairness, in millionths (only proportions count).
        precedence: whose base comes first where capacity is short of all: lower numbers before higher ones; None: all at once.

    Raises:
        InputError: a column has another length or type than int64, or a value is out of 0..2^63−1 (budget_left: any int64).
    """

    capacity: int
    base_price: int
    reserve_price: int
    base: Ints
    elasticity: Ints
    demand: Ints
    budget_left: Ints
    capped: Flags
    weight: Ints
    precedence: Ints | None = None

    def __post_init__(self) -> None:
        for name in ("capacity", "base_price", "reserve_price"):
            value = getattr(self, name)
            if not 0 <= value <= INT64_MAX:
                raise InputError(name, f"must be from 0 to 2^63-1, got {value}")
        for name in ("base", "elasticity", "demand", "budget_left", "capped", "weight"):
            self._check_column(name, getattr(self, name))
        if self.precedence is not None:
            self._check_column("precedence", self.precedence)

    def _check_column(self, name: str, column: Ints | Flags) -> None:
        kind = np.bool_ if name == "capped" else np.int64
        if column.dtype != kind:
            raise InputError(name, f"must be {kind.__name__}, got {column.dtype}")
        if column.shape != self.base.shape or column.ndim != 1:
            raise InputError(name, f"must have one value per tenant ({self.base.size}), got shape {column.shape}")
        if name not in ("budget_left", "capped") and column.min(initial=0) < 0:
            row = int((column < 0).argmax())
            raise InputError(name, f"must not be negative, got {column[row]}", row)


@dataclass(frozen=True)
class SurplusShares:
    """What a policy does with the surplus, and why, for explanations.

    Attributes:
        price: nanocredits per token of surplus.
        surplus: tokens per tenant.
        bid: tokens a tenant asked for in the policy's own terms; 2^63−1 stands for everything above it.
        room: tokens its budget still buys, `UNLIMITED` without a cap.
        rank: position in the auction, from 1; None where no order decides.
        taken: tokens won by rank, before the rest was shared in proportion; None where nothing is won by rank.
        limit: highest price at which it buys, 2^63−1 for everything above; None where no such price exists.
        level: what one further token is worth to everybody, in the unit of elasticity; None where the policy has no such level.
    """

    price: int
    surplus: Ints
    bid: Ints
    room: Ints
    rank: Ints | None = None
    taken: Ints | None = None
    limit: Ints | None = None
    level: int | None = None


@dataclass(frozen=True)
class Outcome:
    """The allocation of one pool and period. Σ base + Σ surplus + unallocated = capacity.

    Attributes:
        price: nanocredits per token of surplus. Above 2^63−1 only if limit prices are (see `charge_ceiling`).
        base_price: nanocredits per token of base.
        base: tokens given of each guarantee.
        surplus: tokens given above it.
        shortfall: guaranteed tokens not given; they become debt.
        unallocated: tokens that nobody may or wants to buy: backfill.
        why: the policy's own columns.
    """

    price: int
    base_price: int
    base: Ints
    surplus: Ints
    shortfall: Ints
    unallocated: int
    why: SurplusShares

    @cached_property
    def charge(self) -> Ints:
        """Nanocredits per tenant: base · base_price + surplus · price.

        Raises:
            ChargeOverflowError: one does not fit int64; it names the row.
        """
        largest = int(self.base.max(initial=0)) * self.base_price + int(self.surplus.max(initial=0)) * self.price
        if largest > INT64_MAX:
            self._require_int64_charges()
        price = min(self.price, INT64_MAX)  # a price above it leaves only rows without surplus here
        return self.base * self.base_price + self.surplus * price

    def charge_of(self, row: int) -> int:
        """One tenant's charge in nanocredits, of any size."""
        return int(self.base[row]) * self.base_price + int(self.surplus[row]) * self.price

    def _require_int64_charges(self) -> None:
        """The products are bounded one by one: a · b <= c exactly if a <= c // b."""
        over = np.zeros(self.base.size, np.bool_)
        if self.base_price:
            over |= self.base > INT64_MAX // self.base_price
        if self.price:
            left = INT64_MAX - np.where(over, 0, self.base) * self.base_price
            over |= self.surplus > (left // self.price if self.price <= INT64_MAX else 0)
        if over.any():
            self._refuse_charge(int(over.argmax()))

    def _refuse_charge(self, row: int) -> NoReturn:
        raise ChargeOverflowError(f"charge[{row}]: {self.charge_of(row)} nanocredits do not fit 2^63-1")


def charge_ceiling(capacity: int, base_price: int, reserve_price: int, elasticity: int) -> int:
    """The most nanocredits that all tenants of a pool together can be charged for one period, under any policy.

    No token costs more than the base price, the reserve price, one nanocredit, or the highest limit price; no more than `capacity`
    tokens are sold. Whoever accepts a pool or a profile refuses one for which this exceeds 2^63−1: then neither a charge nor a
    period's revenue leaves int64.

    Args:
        capacity: tokens per period.
        base_price: nanocredits per token.
        reserve_price: nanocredits per token.
        elasticity: the largest in the pool, in millionths.
    """
    return capacity * max(base_price, reserve_price, 1, elasticity * reserve_price // MILLION)
