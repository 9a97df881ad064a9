"""Tenants that trade: what operators publish for them, and a stream of signed commands that a seed determines."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas.market import CancelCommand, DepositCommand, KeyCommand, OperatorCommand, OrderCommand, ReduceCommand, ReplaceCommand
from schemas.market import TenantCommand as Command
from schemas.published import PoolCommand, ProfileCommand
from schemas.trading import Side, TimeInForce
from streams.signatures import public_key, sign

POOL = "market"
TENANTS = tuple(f"trader-{number}" for number in range(10))
BASE = 1_000_000
"""Tokens of each tenant in each period."""
MONEY = 10**12
"""Nanocredits that each tenant has paid in."""
MID = 1_000
"""Nanocredits per token about which everything is traded."""


def private_key(seed: int, name: str) -> Ed25519PrivateKey:
    """A key that is the same in every run of one seed."""
    return Ed25519PrivateKey.from_private_bytes(random.Random(f"{seed} {name}").randbytes(32))


def market(pool: PoolCommand, keys: dict[str, Ed25519PrivateKey]) -> list[PoolCommand | ProfileCommand | OperatorCommand]:
    """What operators publish so that these tenants can trade."""
    named = pool.pool
    commands: list[PoolCommand | ProfileCommand | OperatorCommand] = [pool]
    for tenant, key in keys.items():
        commands += [
            ProfileCommand(id=f"profile-{tenant}", pool=named, tenant=tenant, base=BASE, elasticity="1.5"),
            KeyCommand(id=f"key-{tenant}", pool=named, tenant=tenant, key=public_key(key)),
            DepositCommand(id=f"deposit-{tenant}", pool=named, tenant=tenant, amount=MONEY),
        ]
    return commands


@dataclass
class Flow:
    """An endless stream of signed commands of all tenants: half rest, the others trade, cancel, reduce and replace.

    Attributes:
        kinds: how often each kind comes, of 100: an order that rests, one that trades, a cancel, a reduce, a replace.
        queued: per instrument, orders that may still be open, oldest first.
    """

    seed: int
    keys: dict[str, Ed25519PrivateKey]
    pool: str = POOL
    kinds: Sequence[int] = (40, 30, 24, 3, 3)
    number: int = 0
    queued: dict[int, deque[tuple[str, str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._names = list(self.keys)
        self._rests, self._trades, self._cancels, self._reduces = _running(self.kinds)[:4]
        self._seq = dict.fromkeys(self.keys, 0)

    def next(self, period: int) -> Command:
        """The next command, of an instrument."""
        return self.signed(self.unsigned(period))

    def stream(self, periods: Sequence[int]) -> Iterator[Command]:
        """Commands over these periods at random."""
        while True:
            yield self.next(self._random.choice(periods))

    def signed(self, command: Command) -> Command:
        """The command with its tenant's next sequence and signature."""
        self._seq[command.tenant] += 1
        return sign(command.model_copy(update={"seq": self._seq[command.tenant]}), self.keys[command.tenant])

    def unsigned(self, period: int) -> Command:
        """As `next`, not signed yet."""
        self.number += 1
        queue = self.queued.setdefault(period, deque())
        draw = self._random.randrange(100)
        if draw < self._trades or not queue:
            return self._order(period, queue, rests=draw < self._rests)
        tenant, order = queue.popleft()
        named = {"id": f"x{self.number}", "pool": self.pool, "tenant": tenant, "period": period, "order": order}
        if draw < self._cancels:
            return CancelCommand(**named)
        if draw < self._reduces:
            return ReduceCommand(**named, by=self._random.randint(1, 20))
        return ReplaceCommand(**named, price=MID + self._random.randint(-3, 3), qty=self._random.randint(1, 60))

    def _order(self, period: int, queue: deque[tuple[str, str]], *, rests: bool) -> OrderCommand:
        chosen = self._random
        tenant, side = chosen.choice(self._names), chosen.choice((Side.BUY, Side.SELL))
        away = chosen.randint(1, 20) if rests else -chosen.randint(3, 20)
        order = f"o{self.number}"
        if rests:
            queue.append((tenant, order))
        return OrderCommand(
            id=order,
            pool=self.pool,
            tenant=tenant,
            period=period,
            side=side,
            qty=chosen.randint(1, 50),
            price=MID - away if side is Side.BUY else MID + away,
            tif=None if rests else TimeInForce.IOC,
        )


def _running(shares: Sequence[int]) -> list[int]:
    sums, total = [], 0
    for share in shares:
        total += share
        sums.append(total)
    return sums
