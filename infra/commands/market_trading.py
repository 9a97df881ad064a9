"""`bourse order`, `bourse cancel` and `bourse transfer`: a tenant trades from the terminal."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from infra.market_page import line_of, said_of
from infra.named_period import named_period
from schemas.trading import OrderType, SelfTrade, Side, TimeInForce
from streams.errors import BadInput
from streams.settings import Duration
from streams.tenant_client import TenantClient
from streams.tickets import Ticket

Pool = Annotated[str, typer.Argument(help="Id of the pool.")]
Period = Annotated[str, typer.Argument(help="The delivery period: its number, `now`, or `+N` for the Nth after the present one.")]
Tenant = Annotated[str | None, typer.Option(help="Who trades. Default: BOURSE_TENANT.")]
KeyFile = Annotated[
    Path | None, typer.Option("--key", help="File of the private key that signs. Default: BOURSE_KEY; none: unsigned.")
]
Wait = Annotated[bool, typer.Option(help="Wait for what the engine decides.")]
Timeout = Annotated[float, typer.Option(min=0.1, help="For how many seconds at most.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Tokens = Annotated[int, typer.Option(help="Tokens of the period that are given.")]
Nanocredits = Annotated[int, typer.Option(help="Or nanocredits.")]

_DURATION: TypeAdapter[timedelta] = TypeAdapter(Duration)

transfer = typer.Typer(name="transfer", add_completion=False, no_args_is_help=True, help="Give or exchange tokens and money.")


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends a command, and what is told of it."""

    tenant: str | None
    pool: str
    period: str
    key: Path | None
    wait: bool
    timeout: float
    as_json: bool

    def run(self, send: Callable[[TenantClient, int], Awaitable[Ticket]]) -> None:
        """Sends one command, and tells what became of it: exit code 1 if it was rejected or nothing was decided.

        Raises:
            BadInput: the period is none, the key file can't be read, or a value can't be one.
            UserError: Kafka or the engine does not answer.
        """
        asyncio.run(self._run(send))

    async def _run(self, send: Callable[[TenantClient, int], Awaitable[Ticket]]) -> None:
        async with TenantClient(self.tenant, pool=self.pool, key=self.key) as client:
            period = await named_period(client.settings, self.pool, self.period)
            ticket = await send(client, period)
            outcome = await ticket.outcome(timedelta(seconds=self.timeout)) if self.wait else None
        if self.as_json:
            typer.echo(json.dumps(said_of(ticket, outcome, self.pool, period), ensure_ascii=False))
        else:
            text = f"acknowledged (id {ticket.id})" if outcome is None else line_of(ticket, outcome)
            style = "red" if outcome is not None and outcome.rejected else None
            Console(stderr=style is not None).print(text, style=style, markup=False, highlight=False, soft_wrap=True)
        if outcome is not None and outcome.rejected:
            raise typer.Exit(1)


def order(
    side: Annotated[Side, typer.Argument(help="buy or sell.")],
    pool: Pool,
    period: Period,
    qty: Annotated[int, typer.Argument(help="Tokens.")],
    *,
    price: Annotated[int | None, typer.Option(help="Nanocredits per token, of a limit order.")] = None,
    market: Annotated[bool, typer.Option("--market", help="A market order: at any price, at once.")] = False,
    tif: Annotated[TimeInForce | None, typer.Option(help="Time in force; default: GTC, of a market order IOC.")] = None,
    expire: Annotated[
        str | None, typer.Option(help="With GTD, which it implies: RFC 3339, milliseconds since 1970, or +90s, +5m, +2h from now.")
    ] = None,
    post_only: Annotated[bool, typer.Option("--post-only", help="Rejected rather than traded at once.")] = False,
    stp: Annotated[
        SelfTrade, typer.Option(help="What happens where it would meet an order of one's own.")
    ] = SelfTrade.CANCEL_TAKER,
    order_id: Annotated[str | None, typer.Option("--id", help="Id of the order; default: a random one.")] = None,
    tenant: Tenant = None,
    key: KeyFile = None,
    wait: Wait = True,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Order to buy or sell tokens of a period, and tell what the engine decided: traded, open, or rejected.

    Exit code 0 if the order was taken, 1 if it was rejected or not decided in time, 2 if it could be no order.
    """
    if market == (price is not None):
        raise BadInput("--price N for a limit order, or --market for a market order: one of them")
    fields: dict[str, Any] = {"side": side, "qty": qty, "post_only": post_only, "stp": stp}
    fields |= {"order_type": OrderType.MARKET} if market else {"price": price}
    fields |= {} if order_id is None else {"id": order_id}
    if expire is not None:
        fields |= {"expire": moment(expire), "tif": tif or TimeInForce.GTD}
    elif tif is not None:
        fields["tif"] = tif
    sender = Sender(tenant, pool, period, key, wait, timeout, as_json)
    sender.run(lambda client, number: client.submit(fields, period=number))


def cancel(
    pool: Pool,
    period: Period,
    order: Annotated[str, typer.Argument(metavar="ORDER", help="Id of the order, or of the offered exchange.")],
    *,
    tenant: Tenant = None,
    key: KeyFile = None,
    wait: Wait = True,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Take an order, or an offered exchange, back. Exit code 1 if it is not open any more, or is none of yours."""
    sender = Sender(tenant, pool, period, key, wait, timeout, as_json)
    sender.run(lambda client, number: client.cancel(order, number))


@transfer.command()
def gift(
    pool: Pool,
    period: Period,
    to: Annotated[str, typer.Argument(help="Tenant that gets it.")],
    *,
    tokens: Tokens = 0,
    money: Nanocredits = 0,
    tenant: Tenant = None,
    key: KeyFile = None,
    wait: Wait = True,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Give tokens of a period, or money, to another tenant, at once and for nothing."""
    sender = Sender(tenant, pool, period, key, wait, timeout, as_json)
    sender.run(lambda client, number: client.transfer(to, number, tokens=tokens, money=money))


@transfer.command()
def exchange(
    pool: Pool,
    period: Period,
    to: Annotated[str, typer.Argument(help="Tenant that may accept.")],
    *,
    tokens: Tokens = 0,
    money: Nanocredits = 0,
    for_tokens: Annotated[int, typer.Option(help="Tokens of the period that must come back.")] = 0,
    for_money: Annotated[int, typer.Option(help="Or nanocredits.")] = 0,
    tenant: Tenant = None,
    key: KeyFile = None,
    wait: Wait = True,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Offer an exchange: what is given is held till the other accepts, `bourse cancel` takes it back, or the period closes."""
    if not for_tokens and not for_money:
        raise BadInput("--for-tokens N or --for-money N: what must come back (bourse transfer gift gives for nothing)")
    sender = Sender(tenant, pool, period, key, wait, timeout, as_json)
    asked = {"tokens": tokens, "money": money, "for_tokens": for_tokens, "for_money": for_money}
    sender.run(lambda client, number: client.offer(to, number, **asked))


@transfer.command()
def accept(
    pool: Pool,
    period: Period,
    offered_by: Annotated[str, typer.Argument(help="Tenant that offers.")],
    offer: Annotated[str, typer.Argument(help="Id of the exchange.")],
    *,
    tenant: Tenant = None,
    key: KeyFile = None,
    wait: Wait = True,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Accept an exchange that another tenant offers: both give what was agreed, or neither."""
    sender = Sender(tenant, pool, period, key, wait, timeout, as_json)
    sender.run(lambda client, number: client.accept(offered_by, offer, number))


def moment(text: str) -> int | str:
    """A time that was given, as commands take it: RFC 3339 is theirs to read.

    Raises:
        BadInput: it begins as a time from now, and is none.
    """
    if text.startswith("+"):
        return time.time_ns() // 1_000_000 + duration_ms(text[1:])
    return int(text) if text.isascii() and text.isdigit() else text


def duration_ms(text: str) -> int:
    """`90s`, `5m`, `2h`, `500ms`, … in milliseconds.

    Raises:
        BadInput: it is none.
    """
    try:
        span = _DURATION.validate_python(text)
    except (ValidationError, OverflowError) as wrong:
        raise BadInput(f"+{text}: a duration such as 90s, 5m or 2h is expected") from wrong
    return span // timedelta(milliseconds=1)
