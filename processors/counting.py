"""Metered usage is counted towards a period, each report once."""

from collections.abc import Iterator

from processors.broken import BrokenJournalError
from processors.market.ticking import withdraw_uncovered
from processors.stamping import Stamp
from processors.state import PartitionState
from schemas.fact import Fact
from schemas.facts import UsageCounted, UsageUnrouted
from schemas.journal import UsageSums
from schemas.units import MILLION


def decide_usage(state: PartitionState, sums: UsageSums, stamp: Stamp) -> Iterator[Fact]:
    """Count a meter's sums unless they were counted before; sums of a pool that nobody defined are noted as unrouted.

    Sums of a period that is closed already count in the one that is open: each used token counts in exactly one period, and in
    none that ended before it was used.

    Raises:
        BrokenJournalError: the report names a tenant twice, its columns differ in length, or a number leaves int64.
    """
    meter = (sums.meter_topic, sums.meter_partition)
    if sums.tick <= state.marks.get(meter, -1) or (*meter, sums.tick, sums.pool, sums.chunk) in state.reported:
        return
    identity = {"meter_topic": meter[0], "meter_partition": meter[1], "tick": sums.tick, "chunk": sums.chunk}
    _require_whole(sums)
    pool = state.pools.get(sums.pool)
    if pool is None:
        yield stamp.fact(
            UsageUnrouted,
            sums.pool,
            **identity,
            tenant=sums.tenant,
            requests=sums.requests,
            input_tokens=sums.input_tokens,
            cached_input_tokens=sums.cached_input_tokens,
            output_tokens=sums.output_tokens,
        )
        return
    terms = pool.open.terms if pool.open else pool.declared
    earliest = pool.open.period if pool.open else pool.declared.from_period
    yield stamp.fact(
        UsageCounted,
        sums.pool,
        **identity,
        period=max(earliest, pool.period_of_report(sums.tick)) if pool.tick_ms else earliest,
        tenant=sums.tenant,
        requests=sums.requests,
        used=used_tokens(sums.input_tokens, sums.cached_input_tokens, sums.output_tokens, terms.cached_weight),
    )
    yield from withdraw_uncovered(state, pool, sums.tenant, stamp)


def _require_whole(sums: UsageSums) -> None:
    """Recording adds columns by tenant: a tenant that stood twice would lose one of its rows. 50 µs for 2,000 tenants."""
    rows = len(sums.tenant)
    columns = (sums.requests, sums.input_tokens, sums.cached_input_tokens, sums.output_tokens)
    if len(set(sums.tenant)) != rows:
        raise BrokenJournalError(f"{_name(sums)}: a tenant stands twice")
    if any(len(column) != rows for column in columns):
        raise BrokenJournalError(f"{_name(sums)}: {rows} tenants, but columns of {[len(column) for column in columns]} rows")
    # Both bounds together keep input + output in int64 (processors/metering.py splits what is larger over chunks).
    if any(min(column, default=0) < 0 or max(column, default=0) > 2**62 - 1 for column in columns):
        raise BrokenJournalError(f"{_name(sums)}: a number is not from 0 to 2^62-1")


def _name(sums: UsageSums) -> str:
    return f"meter {sums.meter_topic}/{sums.meter_partition}, tick {sums.tick}, pool {sums.pool!r}, chunk {sums.chunk}"


def used_tokens(fresh_and_cached: list[int], cached: list[int], output: list[int], cached_weight: int) -> list[int]:
    """What requests use of their tenants' tokens: input + output, of which cached input counts its weight, floored.

    Args:
        fresh_and_cached: input tokens a tenant, the cached ones included.
        cached: cached input tokens a tenant.
        output: output tokens a tenant.
        cached_weight: millionths, 0 to 1,000,000.
    """
    if cached_weight == MILLION:
        return [i + o for i, o in zip(fresh_and_cached, output, strict=True)]
    return [i - c + c * cached_weight // MILLION + o for i, c, o in zip(fresh_and_cached, cached, output, strict=True)]
