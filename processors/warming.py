"""Priors that an operator or the planner publishes: which of their hours the pool's forecaster takes."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from processors.forecast import warm
from processors.forecast.settings import UNKNOWN
from processors.forecast.state import State
from processors.stamping import Stamp
from processors.state import PartitionState, PoolState, command_key
from schemas.fact import Fact
from schemas.facts import CommandRefused, Reason
from schemas.planning import HOURS_OF_WEEK, PriorsCommand
from schemas.planning_facts import PriorOutcome, PriorsSet, ProfilesPrimed

Hours = list[int | None]
"""Tokens per period of each hour of the week; None where nothing is known, or taken."""


def decide_priors(state: PartitionState, command: PriorsCommand, stamp: Stamp) -> Iterator[Fact]:
    """What each tenant's profile takes, or a refusal. A command id that was seen before changes nothing."""
    if command_key(command.pool, command.id) in state.commands:
        return
    pool = state.pools.get(command.pool)
    if pool is None:
        yield _refused(stamp, command, Reason.UNKNOWN_POOL, f"pool: {command.pool!r} is not defined")
        return
    if pool.mixture is None:
        detail = f"pool: the forecaster of {command.pool!r} is {pool.declared.forecaster}, which knows no hours of the week"
        yield _refused(stamp, command, Reason.KEEPS_NO_PROFILES, detail)
        return
    taken = list(_taken(pool, pool.mixture, command))
    yield stamp.fact(
        PriorsSet,
        command.pool,
        id=command.id,
        as_of=command.as_of,
        tenant=command.tenant,
        source=command.source,
        outcome=[outcome for outcome, _ in taken],
        hours=[sum(tokens is not None for tokens in hours) for _, hours in taken],
    )
    primed = [(name, hours) for name, (outcome, hours) in zip(command.tenant, taken, strict=True) if outcome is PriorOutcome.TAKEN]
    if primed:
        yield stamp.fact(
            ProfilesPrimed,
            command.pool,
            tenant=[name for name, _ in primed],
            hour_of_week=[tokens for _, hours in primed for tokens in hours],
        )


def record_primed(pool: PoolState, fact: ProfilesPrimed) -> None:
    """Takes the hours into the tenants' profiles."""
    if pool.mixture is None:
        raise AssertionError(f"pool {pool.name!r} keeps no profiles that priors could enter")
    hours = np.array([UNKNOWN if tokens is None else float(tokens) for tokens in fact.hour_of_week])
    pool.outlooks.clear()
    warm.prime(pool.mixture, _slots(pool, fact.tenant), hours.reshape(-1, HOURS_OF_WEEK).T)


def _taken(pool: PoolState, mixture: State, command: PriorsCommand) -> Iterator[tuple[PriorOutcome, Hours]]:
    """Of each tenant, the hours that its profile does not know."""
    known = [name for name in command.tenant if _has_profile(pool, name)]
    unknown_hours = dict(zip(known, warm.unknown_hours(mixture, _slots(pool, known)).T.tolist(), strict=True))
    for place, name in enumerate(command.tenant):
        if name not in unknown_hours:
            yield PriorOutcome.UNKNOWN_TENANT, []
            continue
        told = command.hour_of_week[place * HOURS_OF_WEEK : (place + 1) * HOURS_OF_WEEK]
        hours = [tokens if is_new else None for tokens, is_new in zip(told, unknown_hours[name], strict=True)]
        anything = any(tokens is not None for tokens in hours)
        yield PriorOutcome.TAKEN if anything else PriorOutcome.NOTHING_NEW, hours


def _has_profile(pool: PoolState, tenant: str) -> bool:
    slot = pool.tenants.slots.get(tenant)
    return slot is not None and bool(pool.tenants["declared_version"][slot])


def _slots(pool: PoolState, tenants: list[str]) -> npt.NDArray[np.intp]:
    return np.array([pool.tenants.slots[name] for name in tenants], np.intp)


def _refused(stamp: Stamp, command: PriorsCommand, reason: Reason, detail: str) -> Fact:
    return stamp.fact(
        CommandRefused, command.pool, command=command.KIND, command_id=command.id, tenant="", reason=reason, detail=detail
    )
