"""What gateways report: taken once each, or refused with a reason."""

from collections.abc import Iterator

from processors.leases.state import MARGIN_MS, MOST_GATEWAYS, Gateway
from processors.stamping import Stamp
from processors.state import PartitionState, PoolState
from schemas.fact import Fact
from schemas.gateways import USE_COLUMNS, GatewayReport
from schemas.lease_facts import GatewayRefusal, GatewayRefused, LeaseEnd, LeaseExpired, UseReported
from schemas.units import MAX_TOKENS


def decide_report(state: PartitionState, report: GatewayReport, stamp: Stamp) -> Iterator[Fact]:
    """Count a report. What was counted before decides nothing; tenants that the pool does not know have no limits to be split."""
    pool = state.pools.get(report.pool)
    gateway = None if pool is None or pool.leases is None else pool.leases.gateways.get(report.gateway)
    if gateway is not None and gateway.incarnation == report.incarnation and _was_taken(gateway, report):
        return
    if pool is None:
        unknown = f"pool: {report.pool!r} is not defined"
        yield _refused(state, report, stamp, GatewayRefusal.UNKNOWN_POOL, unknown)
        return
    refusal = _refuse(state, pool, gateway, report)
    if refusal is not None:
        yield _refused(state, report, stamp, *refusal)
        return
    known = [at for at, tenant in enumerate(report.tenant) if tenant in pool.tenants.slots]
    yield stamp.fact(
        UseReported,
        report.pool,
        gateway=report.gateway,
        incarnation=report.incarnation,
        sequence=report.sequence,
        chunk=report.chunk,
        last=report.chunk + 1 == report.chunks,
        tick=max(state.tick, 0),
        applied=report.applied,
        heard=report.time,
        lease_ms=report.lease_ms,
        interval_ms=report.interval_ms,
        kv_in_use=min(sum(report.kv_held), MAX_TOKENS),
        concurrency_in_use=min(sum(report.concurrency_held), MAX_TOKENS),
        tenant=[report.tenant[at] for at in known],
        **{name: [getattr(report, name)[at] for at in known] for name in USE_COLUMNS},
    )
    if report.leaving and report.chunk + 1 == report.chunks:
        yield from end(state, pool, report.gateway, LeaseEnd.LEFT, stamp)


def end(state: PartitionState, pool: PoolState, name: str, reason: LeaseEnd, stamp: Stamp) -> Iterator[Fact]:
    """The end of a gateway's lease, if it has one."""
    gateway = None if pool.leases is None else pool.leases.gateways.get(name)
    if gateway is None:
        return
    yield stamp.fact(
        LeaseExpired,
        pool.name,
        at=state.now_ms,
        tick=max(state.tick, 0),
        gateway=name,
        incarnation=gateway.incarnation,
        number=gateway.number,
        reason=reason,
    )


def _was_taken(gateway: Gateway, report: GatewayReport) -> bool:
    return (report.sequence, report.chunk) < (gateway.sequence, gateway.chunks)


def _refuse(
    state: PartitionState, pool: PoolState, gateway: Gateway | None, report: GatewayReport
) -> tuple[GatewayRefusal, str] | None:
    if pool.sharing is None or pool.sharing.terms is None:
        return GatewayRefusal.NOT_SHARED, f"pool: {report.pool!r} states no replicas"
    if gateway is not None and gateway.incarnation != report.incarnation:
        held = f"{gateway.incarnation!r} has a lease until {gateway.ends_ms}"
        return GatewayRefusal.OTHER_INCARNATION, f"incarnation: {report.incarnation!r}, but {held}"
    if gateway is None and pool.leases is not None and len(pool.leases.gateways) >= MOST_GATEWAYS:
        return GatewayRefusal.TOO_MANY_GATEWAYS, f"gateway: {report.gateway!r} would be one more than {MOST_GATEWAYS}"
    if report.time + report.lease_ms + MARGIN_MS <= state.now_ms:
        return GatewayRefusal.LATE, f"time: {report.time}, a lease of {report.lease_ms} ms is over at {state.now_ms}"
    following = gateway.chunks if gateway is not None and gateway.sequence == report.sequence else 0
    if report.chunk != following:
        return GatewayRefusal.CHUNK_MISSING, f"chunk: {report.chunk} of report {report.sequence}, but {following} was expected"
    return None


def _refused(state: PartitionState, report: GatewayReport, stamp: Stamp, reason: GatewayRefusal, detail: str) -> Fact:
    return stamp.fact(
        GatewayRefused,
        report.pool,
        at=state.now_ms,
        gateway=report.gateway,
        incarnation=report.incarnation,
        sequence=report.sequence,
        reason=reason,
        detail=detail,
    )
