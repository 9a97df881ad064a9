"""What is true of all rows of a kind, one SQL file each, whose rows are what is not: subject, period, expected, found."""

from __future__ import annotations

from importlib import resources
from typing import NamedTuple

from infra.audit.store import AuditStore, Scope

CHECKS = ("trades_settled", "trades_posted", "deliveries", "allocations")

LISTED = 1_000
"""Most rows of a check that are listed; all are counted."""


class Failing(NamedTuple):
    """One thing that does not hold: nanocredits or tokens, as the subject says."""

    check: str
    subject: str
    period: int | None
    expected: int
    found: int


class Outcome(NamedTuple):
    """What one check found."""

    check: str
    failing: int
    listed: list[Failing]


def run(store: AuditStore, scope: Scope, check: str) -> Outcome:
    """One check over the scope. ClickHouse aggregates by records, orders or tenants of a period; if all is well no row comes here.

    Args:
        store: to read from.
        scope: what of a pool.
        check: one of CHECKS.
    """
    query = resources.files(__package__).joinpath(f"{check}.sql").read_text(encoding="utf-8")
    rows = store.rows(f"SELECT *, count() OVER () FROM ({query}) LIMIT {LISTED}", **scope.parameters)  # noqa: S608  files of ours
    listed = [Failing(check, *row[:4]) for row in rows]
    return Outcome(check, rows[0][4] if rows else 0, listed)
