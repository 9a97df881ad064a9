"""What operators say of the loops: settings of a pool, and what of a tenant's base was contracted."""

from collections.abc import Iterator

from processors import rebalance, sla
from processors.loops.state import NOT_CONTRACTED
from processors.rebalance import RebalanceSettings
from processors.sla import SlaSettings
from processors.stamping import Stamp
from processors.state import PoolState
from schemas.fact import Fact
from schemas.facts import Reason
from schemas.loop_facts import BaseFloorSet, LoopsSet
from schemas.loops import Rebalancing, SlaLoop
from schemas.published import PoolCommand, ProfileCommand

Refusal = tuple[Reason, str]


def refuse_settings(command: PoolCommand) -> Refusal | None:
    """The first setting that is out of its range, or against another one."""
    if command.sla is not None:
        for field, why in sla.check(_sla(command.sla)):
            return Reason.INVALID_SETTING, f"sla.{field}: {why}"
    if command.rebalance is not None:
        for field, why in rebalance.check(_rebalance(command.rebalance)):
            return Reason.INVALID_SETTING, f"rebalance.{field}: {why}"
    return None


def set_loops(pool: PoolState | None, command: PoolCommand, version: int, stamp: Stamp) -> Iterator[Fact]:
    """What a version of a pool says of its loops; nothing where it says what holds already, or both are off and always were.

    Args:
        pool: as it was before the command.
        command: accepted.
        version: of the pool.
        stamp: of the record.
    """
    said, to_be = command.sla or SlaLoop(), command.rebalance or Rebalancing()
    now = (None, None) if pool is None or pool.loops is None else (pool.loops.sla, pool.loops.rebalance)
    if now == (_sla(said) if said.enabled else None, _rebalance(to_be) if to_be.enabled else None):
        return
    yield stamp.fact(
        LoopsSet,
        command.pool,
        id=command.id,
        version=version,
        **{f"sla_{name}": value for name, value in said},
        **{f"rebalance_{name}": value for name, value in to_be},
    )


def set_base_floor(pool: PoolState, command: ProfileCommand, version: int, from_period: int, stamp: Stamp) -> Iterator[Fact]:
    """What a version of a profile says was contracted; nothing where it says nothing and nothing was said before.

    Args:
        pool: with the profile recorded.
        command: accepted.
        version: of the profile.
        from_period: from which it holds.
        stamp: of the record.
    """
    before = NOT_CONTRACTED if pool.loops is None else int(pool.tenants["base_floor"][pool.tenants.slots[command.tenant]])
    if command.base_floor is None and before == NOT_CONTRACTED:
        return
    yield stamp.fact(
        BaseFloorSet,
        command.pool,
        id=command.id,
        version=version,
        from_period=from_period,
        tenant=command.tenant,
        base_floor=command.base_floor,
    )


def _sla(said: SlaLoop) -> SlaSettings:
    return SlaSettings(*(getattr(said, name) for name in SlaSettings._fields))


def _rebalance(said: Rebalancing) -> RebalanceSettings:
    return RebalanceSettings(*(getattr(said, name) for name in RebalanceSettings._fields))
