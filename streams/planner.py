"""A plan: what history says of one pool, as commands for `profiles`.

All that a plan is made of is read before its first command is made. Where ClickHouse fails amid that, reading begins again with the
question which periods have landed: a store that came back without its rows, and lands them again, is not believed half-way. What
was read before it failed stays.

Ids are (kind, end of the history, chunk), unique in their pool: whoever plans the same hour again, after a restart or beside a
second planner, publishes the same ids, and the engine takes each once. (A profile that lands in between may move a tenant to the
next chunk: then it is told twice, which changes nothing, or not before the next plan.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from processors.history import History, long_term_needs
from processors.priors import Standing, find_priors
from processors.rebalance import RebalanceSettings
from schemas.planning import MOST_NEEDS, PlanCommand, PriorsCommand, RebalanceCommand
from streams.clickhouse import ClickHouse
from streams.history import HOUR_S, ClosedPool, Reader, hours_to_read
from streams.settings import Settings


class Found(NamedTuple):
    """What was read for one pool's plan, besides the hours.

    Attributes:
        as_of_s: end of the history, seconds since 1970.
        told: who has been given priors, and as of when, ms since 1970; None: the pool keeps no profiles.
        rebalancing: None: it is off.
    """

    pool: str
    as_of_s: int
    standings: dict[str, Standing]
    told: dict[str, int] | None
    rebalancing: RebalanceSettings | None


class Plans:
    """What is due, and what it is made of.

    Args:
        settings: how often is planned, how far is looked back, and the database.
        store: ClickHouse.
        waits: told whether ClickHouse is waited for, when that changes.

    Attributes:
        planned: pool -> end of the last interval that was planned, seconds since 1970; whoever publishes a plan says so here.
    """

    def __init__(self, settings: Settings, store: ClickHouse, waits: Callable[[bool], None] = lambda _waits: None) -> None:
        self.planned: dict[str, int] = {}
        self._every_s, self._look_back_s = settings.plan_every_s, settings.plan_look_back_s
        self._store = store
        self._reader = Reader(settings.clickhouse_database)
        self._histories: dict[str, History] = {}
        self._tell = waits
        self._waiting = False

    async def next(self) -> Found | None:
        """What the next plan is made of, however long ClickHouse takes; None: nothing is due."""
        return await self._store.until_done(self._find)

    def commands(self, found: Found) -> Iterator[PlanCommand]:
        """The plan. Made one after the other, a chunk in up to 50 ms."""
        if found.told is not None:
            yield from priors(found.pool, found.as_of_s, self._histories, found.standings, found.told)
        if found.rebalancing is not None:
            yield from rebalance(found.pool, found.as_of_s, self._histories[found.pool], found.standings, found.rebalancing)

    async def _find(self, attempt: int) -> Found | None:
        self._waits(waiting=attempt > 1)
        pools = await self._store.call(self._reader.pools)
        self._waits(waiting=False)
        due = [(pool, pool.end_s // self._every_s * self._every_s) for pool in pools]
        due = [(pool, as_of_s) for pool, as_of_s in due if as_of_s > self.planned.get(pool.pool, -1)]
        rebalancing = {pool.pool: await self._read(pool, as_of_s) for pool, as_of_s in due}
        if not due:
            return None
        pool, as_of_s = due[0]
        standings = await self._store.call(partial(self._reader.standings, pool=pool))
        mixture = await self._store.call(partial(self._reader.has_mixture, pool=pool))
        told = await self._store.call(partial(self._reader.told, pool=pool)) if mixture else None
        return Found(pool.pool, as_of_s, standings, told, rebalancing[pool.pool])

    async def _read(self, pool: ClosedPool, as_of_s: int) -> RebalanceSettings | None:
        """Take in the hours that are new. How the pool rebalances."""
        settings = await self._store.call(partial(self._reader.rebalancing, pool=pool))
        look_back = max(self._look_back_s // HOUR_S, settings.look_back_h if settings else 0)
        history = self._histories.get(pool.pool)
        if history is None or (history.period_s, history.look_back) != (pool.period_s, look_back):
            history = History(pool.period_s, look_back)
        hours = hours_to_read(history, pool, as_of_s)
        if hours and history.through is not None and hours.start != history.through + 1:
            history = History(pool.period_s, look_back)  # it was away for longer than it looks back
        self._histories[pool.pool] = history
        for hour in hours:
            used = await self._store.call(partial(self._reader.hour, pool=pool, hour=hour))
            history.take(hour, used.tenant, used.tokens)
        return settings

    def _waits(self, *, waiting: bool) -> None:
        if waiting != self._waiting:
            self._waiting = waiting
            self._tell(waiting)


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
