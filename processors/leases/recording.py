"""Recording facts of leases in the state: no judgement here (processors/recording.py)."""

import numpy as np

from processors.entitlement import TIERS
from processors.leases.state import GRANTED, HELD, MARGIN_MS, MOST_WANTED, NO_LIMIT, PART_ROWS, WANTED, Gateway, Leases
from processors.limits import remembered
from processors.state import PoolState
from processors.tenants import Column
from schemas.lease_facts import CapacityLeased, LeaseExpired, LeasesGranted, UseReported
from schemas.published import Tier

_SPACES = (("kv", 1, 0), ("concurrency", 2, 1))
"""Dimensions that are space: name, place among dimensions, place in what is in use."""


def record_use(pool: PoolState, fact: UseReported) -> None:
    """A report, or a chunk of one; with the last it counts as a whole."""
    leases = pool.leases = pool.leases or Leases()
    gateway = leases.gateways.setdefault(fact.gateway, Gateway(fact.incarnation))
    if not fact.chunk:
        gateway.coming = [0, 0]
    gateway.sequence, gateway.chunks = fact.sequence, fact.chunk + 1
    gateway.coming = [gateway.coming[0] + fact.kv_in_use, gateway.coming[1] + fact.concurrency_in_use]
    _record_tenants(pool, gateway, fact)
    if fact.last:
        _record_whole(gateway, fact)


def record_capacity(pool: PoolState, fact: CapacityLeased) -> None:
    """A new lease: the gateway may use it from now on, or still the one before."""
    gateway = _gateway(pool, fact.gateway)
    gateway.number = fact.tick
    gateway.capacity = [fact.throughput, fact.kv, fact.concurrency]
    gateway.held_capacity = [max(pair) for pair in zip(gateway.held_capacity, gateway.capacity, strict=True)]


def record_grants(pool: PoolState, fact: LeasesGranted) -> None:
    """Tenants' parts that change with it."""
    gateway, slots = _gateway(pool, fact.gateway), pool.tenants.slots_of(fact.tenant)
    rows = gateway.rows
    rows.reach(len(pool.tenants))
    rows["tier"][slots] = [TIERS.index(Tier(tier)) for tier in fact.tier]
    for granted, held in zip(GRANTED, HELD, strict=True):
        rows[granted][slots] = [NO_LIMIT if value is None else value for value in getattr(fact, granted)]
        rows[held][slots] = np.maximum(rows[held][slots], rows[granted][slots])
    gateway.parts += [0] * (-(-len(rows) // PART_ROWS) - len(gateway.parts))
    for part in np.unique(slots // PART_ROWS).tolist():
        gateway.parts[part] = fact.tick


def record_end(pool: PoolState, fact: LeaseExpired) -> None:
    """The gateway is forgotten."""
    leases = pool.leases
    if leases is not None:
        leases.gateways.pop(fact.gateway, None)
        pool.leases = leases if leases.gateways else None


def _record_tenants(pool: PoolState, gateway: Gateway, fact: UseReported) -> None:
    rows, slots = gateway.rows, pool.tenants.slots_of(fact.tenant)
    rows.reach(len(pool.tenants))
    refused = np.array(fact.refused, np.int64) > 0
    tokens = np.array(fact.tokens, np.int64)  # at most 2^53: a thousand times it fits int64
    now = (-(-tokens * 1000 // fact.interval_ms), fact.kv_peak, fact.concurrency_peak)
    for name, column in zip(WANTED, now, strict=True):
        # Who was refused wants something, whatever else was said.
        told = np.clip(np.array(column, np.int64), refused, MOST_WANTED)
        rows[name][slots] = remembered(rows[name][slots], told)
    rows["kv_used"][slots] = fact.kv_held
    rows["concurrency_used"][slots] = fact.concurrency_held
    rows["refused_tick"][slots[refused]] = fact.tick
    rows["named"][slots] = fact.sequence


def _record_whole(gateway: Gateway, fact: UseReported) -> None:
    """Who was not named uses nothing. A gateway that goes by its newest lease holds nothing by the one before."""
    rows = gateway.rows
    silent = np.flatnonzero(rows["named"] != fact.sequence)
    nothing = np.zeros(silent.size, np.int64)
    for name in WANTED:
        rows[name][silent] = remembered(rows[name][silent], nothing)
    for name, _, _ in _SPACES:
        rows[f"{name}_used"][silent] = 0
    gateway.in_use, gateway.coming = gateway.coming, [0, 0]
    gateway.answers, gateway.applied, gateway.lease_ms = fact.sequence, fact.applied, fact.lease_ms
    gateway.ends_ms = max(gateway.ends_ms, fact.heard + fact.lease_ms + MARGIN_MS)
    if gateway.number and gateway.ready:
        _release(gateway)


def _release(gateway: Gateway) -> None:
    """What the lease before granted is free; of spaces, what is still occupied counts as held: of the right first."""
    rows = gateway.rows
    before = {name: rows[f"held_{name}_nominal"].copy() for name, _, _ in _SPACES}
    for granted, held in zip(GRANTED, HELD, strict=True):
        rows[held][:] = np.maximum(rows[granted], 0)
    gateway.held_capacity = gateway.capacity.copy()
    for name, dimension, place in _SPACES:
        used: Column = rows[f"{name}_used"]
        nominal, borrowing = rows[f"held_{name}_nominal"], rows[f"held_{name}_borrowing"]
        nominal[:] = np.maximum(nominal, np.minimum(used, before[name]))
        borrowing[:] = np.maximum(borrowing, used - nominal)
        gateway.held_capacity[dimension] = max(gateway.capacity[dimension], gateway.in_use[place])


def _gateway(pool: PoolState, name: str) -> Gateway:
    if pool.leases is None or name not in pool.leases.gateways:
        raise AssertionError(f"pool {pool.name!r} has no gateway {name!r}")
    return pool.leases.gateways[name]
