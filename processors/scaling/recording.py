"""Recording facts of scaling in the state: no judgement here (processors/recording.py)."""

from processors.autoscale import NEVER, Memory, ScalingSettings
from processors.entitlement import Capacity
from processors.scaling.demand import forecast_of, rates_now
from processors.scaling.state import Scaling, Told
from processors.sharing.state import DIMENSIONS
from processors.state import PoolState
from schemas.facts import Forecasts
from schemas.scaling_facts import ScalingDecided, ScalingSet
from schemas.sharing_facts import CapacityShared


def record_scaling_set(pool: PoolState, fact: ScalingSet) -> None:
    """How the pool is scaled from now on. What is asked for goes on from what is there."""
    scaled = pool.scaling is not None and pool.scaling.settings is not None
    scaling = pool.scaling if scaled else Scaling()
    if scaling is None or pool.sharing is None or pool.sharing.terms is None:
        if fact.enabled:
            raise AssertionError(f"pool {pool.name!r} is no token pool, but is scaled")
        scaling = Scaling()
    elif not scaled:
        scaling.memory = Memory(pool.sharing.terms.replicas)
    scaling.settings = ScalingSettings(*(getattr(fact, name) for name in ScalingSettings._fields)) if fact.enabled else None
    pool.scaling = scaling if fact.enabled else Scaling()


def record_scaling_decided(pool: PoolState, fact: ScalingDecided) -> None:
    """What is asked for."""
    scaling = pool.scaling
    if scaling is None:
        raise AssertionError(f"pool {pool.name!r} is not scaled")
    scaling.memory = Memory(fact.wanted, _or_never(fact.changed_at), _or_never(fact.low_since), fact.low_most)
    needed = Capacity(*(getattr(fact, f"needed_{name}") for name in DIMENSIONS))
    scaling.told = Told(fact.replicas, fact.reason, fact.promised_replicas, needed)
    scaling.told_ms = fact.at


def record_rates(pool: PoolState, fact: CapacityShared) -> None:
    """What meters have reported of a tick, before it is demand and counting starts anew."""
    scaling = pool.scaling
    if scaling is not None and scaling.settings is not None and fact.elapsed_ms:
        scaling.rates = scaling.rates.towards(rates_now(pool, fact.elapsed_ms), fact.elapsed_ms)


def record_forecasts(pool: PoolState, fact: Forecasts) -> None:
    """What tenants without reservation will want: chunk after chunk, of the period that opens."""
    scaling = pool.scaling
    if scaling is None or scaling.settings is None:
        return
    if fact.period != scaling.forecast_period:
        scaling.forecast_period, scaling.forecast = fact.period, 0
    column: list[int | None] = getattr(fact, scaling.settings.quantile)
    tokens = [mean if told is None else told for told, mean in zip(column, fact.mean, strict=True)]
    scaling.forecast += forecast_of(pool, fact.tenant, tokens)


def _or_never(moment: int | None) -> int:
    return NEVER if moment is None else moment
