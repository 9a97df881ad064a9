"""The demo's tenants that trade: a key each, money, and bots that the engine evaluates at every tick.

Who has more than its forecast sells, who is about to have less buys. The bots' settings are commands like any other: signed, and
published to `orders`; the demo's pool takes no unsigned ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.workloads import Temper
from schemas.bots import Strategy
from schemas.market import BotCommand, DepositCommand, KeyCommand
from streams.codecs import encode
from streams.errors import Unavailable
from streams.outbox import Letter, Outbox
from streams.settings import Settings
from streams.signatures import generate, public_key, sign, write_private_key

MOST_TRADERS = 50
"""Tenants with bots: enough for a market that a summary can still show."""
SELLS_FROM, IDLE_SELLS_FROM, BUYS_UP_TO = 1_400, 1_200, 2_500
"""Nanocredits per token. A base costs 1,000 and surplus 1,500: who makes no requests asks for less than the auction's price, who
needs tokens in this very period pays more."""
SELLERS_MARGIN, BUYERS_MARGIN = "0.2", "0.3"
"""Of the forecast: kept by who sells, bought ahead of a burst by who buys."""
LAST_AHEAD = 1
"""They trade the present period and the next one."""
LEAST_PART = 1_000
"""An order is for at least this part of the pool's capacity: 0.1 %."""
MONEY_PERIODS = 400
"""A trader's deposit: its mean demand for so many periods, at the most that its bot pays."""
LEAST_DEPOSIT = 1_000_000_000
SENDING = timedelta(seconds=30)


@dataclass(slots=True)
class Trader:
    """A tenant that trades.

    Attributes:
        bots: their settings, unsigned.
        seq: the last number that it signed with.
    """

    tenant: str
    key: Ed25519PrivateKey
    deposit: int
    bots: tuple[BotCommand, ...]
    seq: int = field(default=0)

    def signed(self, command: BotCommand) -> BotCommand:
        """The command with the key's next number and the signature."""
        self.seq += 1
        return sign(command.model_copy(update={"seq": self.seq}), self.key)

    @property
    def trades(self) -> str:
        """What its bots do, for people."""
        return " + ".join(_TOLD[bot.strategy] for bot in self.bots)


_TOLD = {Strategy.SELL_IDLE: "sell idle", Strategy.BUY_AHEAD: "buy ahead"}


def traders(tempers: Mapping[str, Temper], means: Mapping[str, float], *, pool: str, run: str, capacity: int) -> tuple[Trader, ...]:
    """The tenants that trade, each with a new key.

    Args:
        tempers: all tenants.
        means: what each uses in a period on average, tokens.
        pool: where they trade.
        run: makes the commands' ids unique.
        capacity: of the pool, tokens.
    """
    least = max(1, capacity // LEAST_PART)
    chosen = [tenant for tenant, temper in tempers.items() if temper.sells or temper.buys][:MOST_TRADERS]
    found = []
    for tenant in chosen:
        deposit = max(LEAST_DEPOSIT, int(MONEY_PERIODS * means[tenant] * BUYS_UP_TO))
        key, _ = generate()
        bots = tuple(_bots(tempers[tenant], tenant, idle=not means[tenant], pool=pool, run=run, least=least))
        found.append(Trader(tenant, key, deposit, bots))
    return tuple(found)


def _bots(temper: Temper, tenant: str, *, idle: bool, pool: str, run: str, least: int) -> Iterable[BotCommand]:
    if temper.sells:
        yield BotCommand(
            id=f"{run}-{tenant}-sells",
            pool=pool,
            tenant=tenant,
            name="sell-idle",
            strategy=Strategy.SELL_IDLE,
            last_ahead=LAST_AHEAD,
            min_price=IDLE_SELLS_FROM if idle else SELLS_FROM,
            margin=SELLERS_MARGIN,
            min_qty=least,
        )
    if temper.buys:
        yield BotCommand(
            id=f"{run}-{tenant}-buys",
            pool=pool,
            tenant=tenant,
            name="buy-ahead",
            strategy=Strategy.BUY_AHEAD,
            last_ahead=LAST_AHEAD,
            max_price=BUYS_UP_TO,
            margin=BUYERS_MARGIN,
            min_qty=least,
        )


def admitted(found: Iterable[Trader], *, pool: str, run: str) -> list[KeyCommand | DepositCommand]:
    """What the operator publishes for them: whose key it is, and what was paid in."""
    commands: list[KeyCommand | DepositCommand] = []
    for trader in found:
        named = {"pool": pool, "tenant": trader.tenant}
        commands.append(KeyCommand(id=f"{run}-{trader.tenant}-key", key=public_key(trader.key), **named))
        commands.append(DepositCommand(id=f"{run}-{trader.tenant}-deposit", amount=trader.deposit, **named))
    return commands


def keep_keys(found: Iterable[Trader], folder: Path) -> None:
    """Writes the private keys, so that a person can trade as these tenants afterwards: FOLDER/TENANT.pem.

    Raises:
        BadInput: the folder has such a file, or can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for trader in found:
        write_private_key(folder / f"{trader.tenant}.pem", trader.key)


def set_bots(settings: Settings, found: Iterable[Trader], *, enabled: bool) -> int:
    """Publishes their bots' settings, signed: to begin, or to rest and take all orders back. Returns how many were acknowledged.

    Raises:
        Unavailable: Kafka did not acknowledge them all.
    """
    outbox: Outbox[BotCommand] = Outbox(settings, delivery_timeout=SENDING, linger_ms=0)
    for trader in found:
        for bot in trader.bots:
            ident = bot.id if enabled else f"{bot.id}-end"
            signed = trader.signed(bot.model_copy(update={"id": ident, "enabled": enabled}))
            outbox.put(Letter(settings.topic("orders"), signed.pool.encode(), encode(signed)), signed)
    outbox.close()
    delivered = outbox.delivered()
    if delivered.failed:
        raise Unavailable(f"{delivered.failed} settings of bots were not acknowledged")
    return delivered.acknowledged
