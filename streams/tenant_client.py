"""How a tenant trades: signed commands out, what became of them and the market's data in.

    from streams.client import TenantClient

    async with TenantClient("acme", pool="llama-70b", key="acme.key") as client:
        period = await client.present_period() + 1
        ticket = await client.submit(side="buy", period=period, qty=50_000, price=1_200)  # acknowledged by Kafka
        outcome = await ticket.outcome()                                                  # decided by the engine
        print(outcome.status, outcome.filled, outcome.open, outcome.reason)
        async for update in client.updates():                                             # of own orders, from now on
            print(update.order, update.event, update.qty, update.price)

Prices are nanocredits per token, quantities tokens, money nanocredits. What a command asks for is judged by the engine alone: an
order that can't be is acknowledged like any other, and its outcome says `rejected` with the reason.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from schemas.market import (
    AcceptCommand,
    BotCommand,
    CancelCommand,
    OrderCommand,
    ReduceCommand,
    ReplaceCommand,
    TenantCommand,
    TransferCommand,
)
from streams.building import InvalidEvent, validated
from streams.codecs import encode
from streams.errors import BadInput
from streams.market_reader import MarketReader
from streams.outbox import Delivered, Letter, Outbox, PublishFailed, Undelivered, UndeliveredError
from streams.sequence import SequenceFile, beside
from streams.settings import Settings
from streams.signatures import read_private_key, sign
from streams.tenant_state import Account, OpenOrder, Position, TenantState, present_period, read_state
from streams.tickets import KINDS, Ticket, Tickets
from streams.updates import Update


class TenantClient(MarketReader):
    """One tenant of one pool, in one event loop.

    Commands leave in the order of the calls, numbered by the key's own sequence (streams/sequence.py): one client for each key.
    Nothing is dropped: what the broker did not acknowledge raises, with its reason.

    4,000 commands/s of one core (0.07 ms of each for its signature), at most `max_pending` of them on their way.

    Args:
        tenant: who trades; default: the setting `tenant`.
        pool: where.
        key: file of the private key (PEM, as `bourse keys new` makes it); default: the setting `key`. With neither, commands go
            unsigned, which only pools with `allow_unsigned` take.
        settings: how to reach Kafka and the engine; default: from the environment and `bourse.toml`.
        max_pending: commands that may wait for their acknowledgement before the next call waits.
        max_wait: how long it then waits before it raises `PublishTimeout`.
        delivery_timeout: how long a command is tried to be delivered before it counts as failed.

    Raises:
        BadInput: no tenant is named, or the key file can't be read.
        KeyInUse: another client signs with this key.
    """

    def __init__(
        self,
        tenant: str | None = None,
        *,
        pool: str,
        key: Path | str | None = None,
        settings: Settings | None = None,
        max_pending: int = 10_000,
        max_wait: timedelta = timedelta(seconds=30),
        delivery_timeout: timedelta = timedelta(minutes=2),
    ) -> None:
        super().__init__(pool, settings)
        settings = self.settings
        named = tenant or settings.tenant
        if named is None:
            raise BadInput("tenant: who trades? Name it, or set BOURSE_TENANT")
        self.tenant = named
        path = settings.key if key is None else Path(key)
        self._key = None if path is None else read_private_key(path)
        self._sequence = None if path is None else SequenceFile(beside(path))
        self._new_outbox = partial(
            Outbox[TenantCommand],
            settings,
            max_pending=max_pending,
            max_wait=max_wait,
            delivery_timeout=delivery_timeout,
            linger_ms=0,
        )
        self._outbox: Outbox[TenantCommand] | None = None
        self._closed = False
        self._tickets = Tickets(named)
        self._turn = asyncio.Lock()
        self._answers: asyncio.Task[None] | None = None
        self._web = httpx.AsyncClient(timeout=10)

    # --- commands --------------------------------------------------------------------------------------------------------

    async def submit(self, order: OrderCommand | Mapping[str, Any] | None = None, /, **fields: Any) -> Ticket:
        """Orders to buy or sell tokens of a period.

        Args:
            order: the whole command, or its fields as a mapping.
            fields: those of `OrderCommand`: `side`, `period`, `qty`, `price` (none for a market order, with
                `order_type="market"`), and where wanted `tif`, `expire`, `post_only`, `stp`, `id` (default: random).

        Returns:
            The ticket of the acknowledged order; `await ticket.outcome()` tells what the engine decided.

        Raises:
            InvalidEvent: a field is missing or no order could have it; nothing was sent.
            UndeliveredError: the broker did not acknowledge it; it may yet stand in the topic. Sent again with its `id` it is
                taken once: the second is rejected with `duplicate_id`.
            PublishTimeout: too many commands are on their way; it was not taken.
            PublishFailed: the client is closed.
            Unavailable: Kafka does not answer.
        """
        if isinstance(order, OrderCommand):
            if fields:
                raise InvalidEvent(f"fields {sorted(fields)} beside a whole order: give one or the other")
            return await self.send(order)
        return await self._send(OrderCommand, {**(order or {}), **fields})

    async def cancel(self, order: str, period: int) -> Ticket:
        """Takes back an order, or an offered exchange. Errors as of `submit`, here and below."""
        return await self._send(CancelCommand, {"order": order, "period": period})

    async def reduce(self, order: str, period: int, *, by: int) -> Ticket:
        """Lowers the open part of an order, which keeps its priority."""
        return await self._send(ReduceCommand, {"order": order, "period": period, "by": by})

    async def replace(self, order: str, period: int, *, price: int, qty: int) -> Ticket:
        """Changes the price and the total quantity of an order, the filled part included."""
        return await self._send(ReplaceCommand, {"order": order, "period": period, "price": price, "qty": qty})

    async def transfer(self, to: str, period: int, *, tokens: int = 0, money: int = 0) -> Ticket:
        """Gives tokens of a period, or money, to another tenant, for nothing."""
        return await self._send(TransferCommand, {"to": to, "period": period, "tokens": tokens, "money": money})

    async def offer(
        self, to: str, period: int, *, tokens: int = 0, money: int = 0, for_tokens: int = 0, for_money: int = 0
    ) -> Ticket:
        """Offers an exchange: what is given is held until the other accepts, it is cancelled, or the period closes.

        The ticket's `id` is what the other names to accept, and what `cancel` takes.
        """
        given = {"tokens": tokens, "money": money, "for_tokens": for_tokens, "for_money": for_money}
        return await self._send(TransferCommand, {"to": to, "period": period, **given})

    async def accept(self, offered_by: str, offer: str, period: int) -> Ticket:
        """Accepts the exchange that another tenant offers: both legs are made, or neither."""
        return await self._send(AcceptCommand, {"offered_by": offered_by, "offer": offer, "period": period})

    async def set_bot(self, settings: Mapping[str, Any] | None = None, /, **fields: Any) -> Ticket:
        """Sets a trading bot, which acts in the engine at each tick from then on: new, or in place of the one of its name.

        Args:
            settings: its fields as a mapping.
            fields: those of `BotCommand`: `name`, `strategy`, and what the strategy takes.

        Returns:
            The ticket; its outcome is `set`, or `rejected` with the field that is wrong.
        """
        return await self._send(BotCommand, {**(settings or {}), **fields})

    async def send(self, command: TenantCommand) -> Ticket:
        """Signs and sends any command of this tenant and pool."""
        if (command.tenant, command.pool) != (self.tenant, self.pool):
            raise InvalidEvent(
                f"tenant, pool: {command.tenant!r}, {command.pool!r}; this client is {self.tenant!r} in {self.pool!r}"
            )
        outbox = await self._connected()
        async with self._turn:  # in this order the engine must see the sequence
            signed = command if self._key is None else sign(command.model_copy(update={"seq": await self._draw()}), self._key)
            ticket = self._tickets.issue(signed)
            letter = Letter(self.settings.topic("orders"), self.pool.encode(), encode(signed))
            sent = await outbox.hand_over(letter, signed)
        reason = await sent
        if reason is not None:
            raise UndeliveredError([Undelivered[object](signed, reason)])
        return ticket

    async def _send(self, kind: type[TenantCommand], fields: Mapping[str, Any]) -> Ticket:
        own = {"id": secrets.token_hex(8), "pool": self.pool, "tenant": self.tenant}
        return await self.send(validated(kind, {**own, **fields}))

    async def _draw(self) -> int | None:
        if self._sequence is None:
            return None
        return await asyncio.to_thread(self._sequence.draw) if self._sequence.is_spent else self._sequence.draw()

    # --- what the engine decided -----------------------------------------------------------------------------------------

    def updates(self, after: int | None = None) -> AsyncIterator[Update]:
        """What happens to this tenant's orders and transfers, whoever sent the commands; see `updates_of`."""
        return self.updates_of(self.tenant, after)

    # --- what the tenant has ---------------------------------------------------------------------------------------------

    async def state(self) -> TenantState:
        """Account, positions, open orders and exchanges of one moment, from the engine itself (its web view, not ClickHouse).

        Raises:
            BadInput: there is no such pool, or no such tenant in it.
            Unavailable: the engine does not answer.
        """
        return await read_state(self._web, self.settings, self.pool, self.tenant)

    async def account(self) -> Account:
        """Money, and tokens of the open period; errors as of `state`."""
        return (await self.state()).account

    async def positions(self) -> tuple[Position, ...]:
        """Tokens by period; errors as of `state`."""
        return (await self.state()).positions

    async def position(self, period: int) -> Position:
        """Tokens of one period: of the present one, or of a later one that is traded; errors as of `state`."""
        return (await self.state()).position(period)

    async def open_orders(self) -> tuple[OpenOrder, ...]:
        """Orders that rest in the books; errors as of `state`."""
        return (await self.state()).orders

    async def present_period(self) -> int:
        """The period that is open.

        Raises:
            BadInput: there is no such pool.
            Unavailable: its first period has not begun yet, or the engine does not answer.
        """
        return await present_period(self._web, self.settings, self.pool)

    # --- life ------------------------------------------------------------------------------------------------------------

    def delivered(self) -> Delivered:
        """How many commands were acknowledged, failed, or are on their way."""
        return Delivered(0, 0, 0) if self._outbox is None else self._outbox.delivered()

    async def close(self, timeout: timedelta | None = None) -> None:  # noqa: ASYNC109  passed on to the producer
        """Waits for what is on its way, ends all iterators, and gives back the key; safe to call twice.

        Args:
            timeout: after which commands that are still on their way are given up; default: as long as they are tried. Either way
                the call that sent a command raises when it failed.
        """
        self._closed = True
        try:
            if self._outbox is not None:
                await asyncio.to_thread(self._outbox.close, timeout)
        finally:
            if self._answers is not None:
                self._answers.cancel()
                await asyncio.wait({self._answers})
            await super().close()
            await self._web.aclose()
            if self._sequence is not None:
                self._sequence.close()

    async def _connected(self) -> Outbox[TenantCommand]:
        """The way to Kafka. Outcomes are looked for from where the client was opened on, so that none can be missed."""
        if self._closed:
            raise PublishFailed("the client is closed")
        await self.open()
        if self._answers is None or self._answers.done():
            self._answers = asyncio.create_task(self._take_answers())
        if self._outbox is None:  # only now: where no broker answers, `open` has said so
            self._outbox = self._new_outbox()
        return self._outbox

    async def _take_answers(self) -> None:
        async for fact, offset in self._facts(KINDS, lambda *decided: (decided,), None):
            self._tickets.take(fact, offset)
