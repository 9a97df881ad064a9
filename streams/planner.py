"""A plan: what history says of one pool, as commands for `profiles`.

Ids are (kind, end of the history, chunk), unique in their pool: whoever plans the same hour again, after a restart or beside a
second planner, publishes the same ids, and the engine takes each once. (A profile that lands in between may move a tenant to the
next chunk: then it is told twice, which changes nothing, or not before the next plan.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from processors.history import History, long_term_needs
from processors.priors import Standing, find_priors
from processors.rebalance import RebalanceSettings
from schemas.planning import MOST_NEEDS, PriorsCommand, RebalanceCommand
from streams.history import HOUR_S


def priors(
    pool: str, as_of_s: int, histories: Mapping[str, History], standings: Mapping[str, Standing], told: Mapping[str, int]
) -> Iterator[PriorsCommand]:
    """For tenants that have not been given any since their forecaster began to learn.

    Args:
        pool: that keeps profiles of its tenants.
        as_of_s: end of the history, seconds since 1970.
        histories: of all pools.
        standings: of the pool's tenants.
        told: who has been given priors, and as of when, ms since 1970.
    """
    have_theirs = {name for name, standing in standings.items() if told.get(name, -1) >= standing.since * HOUR_S * 1000}
    for chunk, found in find_priors(pool, histories, standings, have_theirs):
        yield PriorsCommand(
            id=f"{PriorsCommand.KIND}-{as_of_s}-{chunk}",
            pool=pool,
            as_of=as_of_s * 1000,
            tenant=found.tenant,
            source=found.source,
            hour_of_week=found.hour_of_week,
        )


def rebalance(
    pool: str, as_of_s: int, history: History, standings: Mapping[str, Standing], settings: RebalanceSettings
) -> Iterator[RebalanceCommand]:
    """The long-term needs of those tenants of which they are known; nothing if of none."""
    known = long_term_needs(history, list(standings), settings)
    pairs = list(zip(known.tenant, known.need, strict=True))
    chunks = -(-len(pairs) // MOST_NEEDS)
    for chunk in range(chunks):
        part = pairs[chunk * MOST_NEEDS : (chunk + 1) * MOST_NEEDS]
        yield RebalanceCommand(
            id=f"{RebalanceCommand.KIND}-{as_of_s}-{chunk}",
            pool=pool,
            as_of=as_of_s * 1000,
            look_back_s=settings.look_back_h * HOUR_S,
            chunk=chunk,
            chunks=chunks,
            tenant=[tenant for tenant, _ in part],
            need=[need for _, need in part],
        )
