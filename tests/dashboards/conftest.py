"""Stores that the pages' tests share, each filled once: rows of many tables, a market, and a token pool."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from busy_market import busy
from databases import drop
from journal_world import of_kind
from landed_world import publish
from market_world import MarketWorld
from pool_world import PoolWorld
from seeded import seed
from shared_rows import seed_shared, shared_pool

from schemas.market_facts import Trades
from streams.clickhouse import connect
from streams.settings import Settings
from streams.tables import create_tables


def _made(clickhouse: str, home: Path, kafka: str | None = None) -> Iterator[Settings]:
    """Empty tables in a database of their own, topics with a prefix of their own."""
    name = f"d{uuid.uuid4().hex}"
    settings = Settings(home=home, clickhouse=clickhouse, clickhouse_database=name, kafka=kafka, topic_prefix=f"{name}.")
    client = connect(settings)
    create_tables(client, settings.clickhouse_database)
    yield settings
    drop(client, settings.clickhouse_database)
    client.close()


@pytest.fixture(scope="session")
def bare(clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """With empty tables."""
    yield from _made(clickhouse, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def seeded(clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Periods, forecasts, backtests (seeded.py)."""
    for settings in _made(clickhouse, tmp_path_factory.mktemp("home")):
        seed(settings)
        yield settings


@pytest.fixture(scope="session")
def market_world() -> MarketWorld:
    """A market that has traded, and open orders of the present period."""
    world = busy(4, periods=4, orders=90, forecaster="mixture")
    for at in range(3):
        world.buy("ann", 5, 70 + at, period=world.present)
        world.sell("ben", 4, 130 + at, period=world.present)
    return world


@pytest.fixture(scope="session")
def traded(market_world: MarketWorld) -> int:
    """The instrument that was traded most."""
    trades = Counter(fact.period for fact in of_kind(market_world.facts, Trades) for _ in fact.price)
    return max(range(5, market_world.present + 1), key=lambda period: trades[period])


@pytest.fixture(scope="session")
def market_store(
    clickhouse: str, broker: str, tmp_path_factory: pytest.TempPathFactory, market_world: MarketWorld
) -> Iterator[Settings]:
    """Its journal and its facts."""
    for settings in _made(clickhouse, tmp_path_factory.mktemp("home"), broker):
        publish(settings, market_world)
        yield settings


@pytest.fixture(scope="session")
def shared_world() -> PoolWorld:
    """A token pool under pressure (shared_rows.py)."""
    return shared_pool()


@pytest.fixture(scope="session")
def shared_store(clickhouse: str, tmp_path_factory: pytest.TempPathFactory, shared_world: PoolWorld) -> Iterator[Settings]:
    """Its facts, and what gateways told meanwhile."""
    for settings in _made(clickhouse, tmp_path_factory.mktemp("home")):
        seed_shared(settings, shared_world)
        yield settings
