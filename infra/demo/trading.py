"""What trading came to in a run, and what it changed: the market's figures from ClickHouse, and the journal folded without it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from schemas.facts import AllocationsClosed, PeriodClosed
from schemas.market import TenantCommand
from schemas.model import Event
from streams.errors import UserError
from streams.replay import ReplayError, fold_again
from streams.settings import Settings


@dataclass(frozen=True, slots=True)
class Volume:
    """Trades of a pool so far: tokens, nanocredits, and prices in nanocredits per token."""

    trades: int
    tokens: int
    money: int
    low: int
    high: int
    last: int

    @property
    def average(self) -> int:
        """Price of a token, rounded down; 0 without trades."""
        return self.money // self.tokens if self.tokens else 0


NO_TRADES = Volume(0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Traded:
    """What one tenant traded: tokens, and nanocredits without what the auction billed. Tenant "" is the operator."""

    tenant: str
    bought: int
    sold: int
    paid: int
    earned: int


@dataclass(slots=True)
class Met:
    """How allocations met what was used, over some periods: tokens.

    Attributes:
        capacity: of all periods.
        within: used within the tenants' allocations, period by period.
        beyond: used above them, by tenant: what gateways would have refused.
        idle: allocated and not used.
    """

    capacity: int = 0
    within: int = 0
    idle: int = 0
    beyond: dict[str, int] = field(default_factory=dict)

    def count(self, rows: Iterable[tuple[str, int, int]]) -> None:
        """Rows of (tenant, allocated, used)."""
        for tenant, allocated, used in rows:
            self.within += min(allocated, used)
            self.idle += max(0, allocated - used)
            self.beyond[tenant] = self.beyond.get(tenant, 0) + max(0, used - allocated)


def met_without(settings: Settings, pool: str, partition: int, periods: range) -> Met:
    """What allocations would have been had no tenant traded: the journal is folded again without tenants' commands.

    Bots act only where they are set, so without that command there is none. The same requests and the same rules otherwise. One
    core folds some 10,000 records a second; memory is that of one engine.

    Args:
        settings: where Kafka is.
        pool: whose periods.
        partition: of the journal, in which the pool is.
        periods: that count.

    Raises:
        UserError: the journal can't be read.
    """
    found = Met()
    facts = fold_again(settings.kafka_client_config(), settings.topic("journal"), partition, _is_no_trade)
    try:
        for fact in facts:
            match fact:
                case AllocationsClosed() if fact.pool == pool and fact.period in periods:
                    found.count(zip(fact.tenant, fact.allocated, fact.used, strict=True))
                case PeriodClosed() if fact.pool == pool and fact.period in periods:
                    found.capacity += fact.capacity
                    if fact.period == periods[-1]:
                        break
    except ReplayError as error:
        raise UserError(f"what trading changed is not known: {error}") from error
    return found


def _is_no_trade(record: Event) -> bool:
    return not isinstance(record, TenantCommand)
