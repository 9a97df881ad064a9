"""What a tenant has and owes now, as the engine's web view tells it: read from the state that decides, at the moment of asking.

ClickHouse tells the same later, by the second or so that landing takes, and tells of the past (tables `ledger` and `settlements`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from schemas.trading import Side
from streams.errors import BadInput, Unavailable
from streams.settings import Settings

Row = TypeVar("Row")

PATIENCE = timedelta(seconds=20)
"""How long an engine may be away, for a restart."""
AGAIN_S = 0.2


@dataclass(frozen=True, slots=True)
class Account:
    """A tenant's money in nanocredits, and its tokens of the open period.

    Attributes:
        period: that is open; None before the pool's first.
        available: what it may spend: `balance` less `held`.
        held: for orders to buy and offered exchanges.
        allocated: tokens of the period that are its own: base, surplus and bought less sold.
        used: of them.
        limit: tokens that it may use in the period: `allocated` less what it offers for sale.
        base_ahead: tokens that it is promised of each later period.
    """

    period: int | None
    available: int
    held: int
    balance: int
    allocated: int
    used: int
    limit: int
    base_ahead: int


@dataclass(frozen=True, slots=True)
class Position:
    """A tenant's tokens of one period.

    Attributes:
        owned: of the open period what is allocated and not used, of a later one its base, bought and sold counted.
        held: offered for sale.
        free: what it may still sell.
    """

    period: int
    bought: int
    sold: int
    owned: int
    held: int
    free: int


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order that rests in the book: nanocredits per token, tokens; `expire` in milliseconds since 1970."""

    order: str
    period: int
    side: Side
    price: int
    open: int
    filled: int
    post_only: bool
    expire: int | None


@dataclass(frozen=True, slots=True)
class OpenOffer:
    """An exchange that waits for `to`: what `tenant` gives, and what it asks `for`. Tokens of `period`, or nanocredits."""

    transfer: str
    period: int
    tenant: str
    to: str
    tokens: int
    money: int
    for_tokens: int
    for_money: int


@dataclass(frozen=True, slots=True)
class TenantState:
    """All of it, of one moment."""

    account: Account
    positions: tuple[Position, ...]
    orders: tuple[OpenOrder, ...]
    offers: tuple[OpenOffer, ...]

    def position(self, period: int) -> Position:
        """Tokens of a period that is traded; of a later one in which the tenant has done nothing, its base."""
        base = self.account.base_ahead
        return next((each for each in self.positions if each.period == period), Position(period, 0, 0, base, 0, base))


async def read_state(client: httpx.AsyncClient, settings: Settings, pool: str, tenant: str) -> TenantState:
    """Asks the engine that owns the pool; waits for one that restarts.

    Raises:
        BadInput: there is no such pool, or no such tenant in it.
        Unavailable: no engine answers.
    """
    return state_of(await _ask(client, settings, f"/pools/{quote(pool, safe='')}/tenants/{quote(tenant, safe='')}"))


async def present_period(client: httpx.AsyncClient, settings: Settings, pool: str) -> int:
    """The period that is open.

    Raises:
        BadInput: there is no such pool.
        Unavailable: its first period has not begun yet, or no engine answers.
    """
    period = (await _ask(client, settings, f"/pools/{quote(pool, safe='')}/period"))["open_period"]
    if period is None:
        raise Unavailable(f"pool {pool!r}: its first period has not begun yet")
    return int(period)


async def _ask(client: httpx.AsyncClient, settings: Settings, path: str) -> Mapping[str, Any]:
    url, trouble = settings.engine_web_url(), ""
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            while True:
                try:
                    answer = await client.get(url + path, follow_redirects=True)
                except httpx.HTTPError as away:
                    trouble = str(away) or type(away).__name__
                else:
                    if answer.status_code == httpx.codes.NOT_FOUND:
                        raise BadInput(str(answer.json().get("error", answer.text)))
                    if answer.is_success:
                        said: Mapping[str, Any] = answer.json()
                        return said
                    trouble = f"{answer.status_code} {answer.text[:200]}"
                await asyncio.sleep(AGAIN_S)
    except TimeoutError:
        raise Unavailable(f"the engine at {url} does not answer ({trouble}); bourse status tells more") from None


def state_of(said: Mapping[str, Any]) -> TenantState:
    """The web view's answer."""
    account = _row(Account, {**said, **said["money"], "period": said["open_period"]})
    return TenantState(
        account=account,
        positions=tuple(_row(Position, row) for row in said["positions"]),
        orders=tuple(_row(OpenOrder, {**row, "side": Side(row["side"])}) for row in said["orders"]),
        offers=tuple(_row(OpenOffer, row) for row in said["offers"]),
    )


def _row(kind: type[Row], said: Mapping[str, Any]) -> Row:
    """A row of what is known to this release; an engine may say more."""
    return kind(**{each.name: said[each.name] for each in fields(kind)})  # type: ignore[arg-type]  # all kinds are dataclasses
