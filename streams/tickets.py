"""What became of a command: the ticket that its sender holds, and how its outcome is found among the facts.

The engine states for each command that it took the digest of what was signed, and then, with the same journal offset, what it did.
So nobody can pass off another command's rejection as this one's.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from weakref import WeakValueDictionary

from schemas.bot_facts import BotActed, BotSet
from schemas.bots import BotAction
from schemas.canonical import digest
from schemas.fact import Fact
from schemas.market import TenantCommand
from schemas.market_facts import CommandTaken, OrderEventKind, OrderEvents, TransferEventKind, TransferEvents
from streams.errors import Unavailable
from streams.updates import OrderUpdate, TransferUpdate, Update, updates_of

PATIENCE = timedelta(seconds=30)
"""An engine that is killed decides again after some ten seconds."""


class Status(StrEnum):
    """What a command came to."""

    REJECTED = "rejected"
    """Nothing changed."""
    OPEN = "open"
    """The order rests in the book; a part of it may have traded."""
    FILLED = "filled"
    """All of it has traded."""
    CANCELLED = "cancelled"
    """Nothing of the order, or of the offer, is open any more; a part may have traded before."""
    DONE = "done"
    """The transfer was made."""
    OFFERED = "offered"
    """The exchange waits for the other tenant."""
    ACCEPTED = "accepted"
    """The exchange was made."""
    SET = "set"
    """The bot's settings hold from the next tick on."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one command did at once. What happens to an order later comes as updates.

    Attributes:
        filled: tokens that traded.
        notional: what they cost without fees, nanocredits.
        open: tokens of the order that are still open.
        reason: of a rejection, or why something was cancelled.
        field: of the command that it was rejected for.
        updates: all of it, in order.
    """

    status: Status
    filled: int
    notional: int
    open: int
    reason: str
    field: str
    detail: str
    updates: tuple[Update, ...]

    @property
    def rejected(self) -> bool:
        """Whether nothing changed."""
        return self.status is Status.REJECTED


class NoAnswer(Unavailable):
    """The engine has not decided in time. The command stands in its topic: it may still be."""


class Ticket:
    """A command that the broker has acknowledged.

    Attributes:
        command: as it was sent, signed.
    """

    def __init__(self, command: TenantCommand) -> None:
        self.command = command
        self._decided: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    @property
    def id(self) -> str:
        """Of what the command is about: the order, or the transfer."""
        named = getattr(self.command, "order", None) or getattr(self.command, "offer", None)
        return named or self.command.id

    async def outcome(self, timeout: timedelta = PATIENCE) -> Outcome:  # noqa: ASYNC109  a client's question, not a scope of tasks
        """What the engine decided.

        Raises:
            NoAnswer: it has not within `timeout`. Ask again, if you like.
        """
        try:
            return await asyncio.wait_for(asyncio.shield(self._decided), timeout.total_seconds())
        except TimeoutError:
            said = f"{self.command.KIND} {self.id!r} was not decided within {timeout.total_seconds():g} s"
            raise NoAnswer(f"{said}; it stands in the topic, and the engine takes it when it can") from None

    def decide(self, outcome: Outcome) -> None:
        """The engine has decided."""
        if not self._decided.done():
            self._decided.set_result(outcome)


@dataclass(slots=True)
class _Open:
    """A command whose facts are coming."""

    ticket: Ticket
    updates: list[Update] = field(default_factory=list)


class Tickets:
    """The tickets of one tenant that wait for their outcome. Who drops a ticket does not wait."""

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        self._waiting: WeakValueDictionary[str, Ticket] = WeakValueDictionary()
        self._open: tuple[int, _Open] | None = None

    def issue(self, command: TenantCommand) -> Ticket:
        """A ticket for a command that is about to be sent."""
        ticket = Ticket(command)
        self._waiting[digest(command)] = ticket
        return ticket

    def take(self, fact: Fact, offset: int) -> None:
        """The next fact of the pool, of one of KINDS. Those of one journal record follow each other."""
        if isinstance(fact, CommandTaken):
            ticket = self._waiting.pop(fact.digest, None)
            self._open = None if ticket is None else (fact.journal_offset, _Open(ticket))
        if self._open is None or self._open[0] != fact.journal_offset:
            return
        opened = self._open[1]
        of_bot = _outcome_of_bot(fact)
        if of_bot is not None:
            opened.ticket.decide(of_bot)
            self._open = None
            return
        concerned = (update for update in updates_of(self._tenant, fact, offset) if _concerns(opened.ticket, update))
        for update in concerned:
            opened.updates.append(update)
            if _is_last(update):
                opened.ticket.decide(_outcome(opened.updates))
                self._open = None
                return


KINDS: tuple[type[Fact], ...] = (CommandTaken, OrderEvents, TransferEvents, BotSet, BotActed)
"""Of facts that `Tickets` takes."""


def _concerns(ticket: Ticket, update: Update) -> bool:
    """Whether an update, which is of what the command did, is of the order it names (and not of one that it met)."""
    return isinstance(update, TransferUpdate) or update.order == ticket.id


def _is_last(update: Update) -> bool:
    """Whether nothing more of the command can follow. A sweep of a thousand orders is stated in several facts."""
    if isinstance(update, TransferUpdate):
        return True
    ending = {OrderEventKind.RESTED, OrderEventKind.REJECTED, OrderEventKind.REDUCED}
    return update.event in ending or not update.open or _keeps_its_place(update)


def _keeps_its_place(update: OrderUpdate) -> bool:
    return update.event is OrderEventKind.REPLACED and update.kept_priority


_TRANSFERRED = {
    TransferEventKind.DONE: Status.DONE,
    TransferEventKind.OFFERED: Status.OFFERED,
    TransferEventKind.ACCEPTED: Status.ACCEPTED,
    TransferEventKind.CANCELLED: Status.CANCELLED,
    TransferEventKind.REJECTED: Status.REJECTED,
}


def _outcome(updates: list[Update]) -> Outcome:
    last = updates[-1]
    fills = [each for each in updates if isinstance(each, OrderUpdate) and each.event is OrderEventKind.FILLED]
    reasons = [each.reason for each in updates if each.reason]
    return Outcome(
        status=_TRANSFERRED[last.event] if isinstance(last, TransferUpdate) else _order_status(last),
        filled=sum(each.qty for each in fills),
        notional=sum(each.price * each.qty for each in fills),
        open=last.open if isinstance(last, OrderUpdate) else 0,
        reason=reasons[-1] if reasons else "",
        field=last.field,
        detail=last.detail,
        updates=tuple(updates),
    )


def _outcome_of_bot(fact: Fact) -> Outcome | None:
    """What became of a bot's settings; None of all other facts. Orders that the bot had before are its own affair."""
    match fact:
        case BotSet():
            return Outcome(Status.SET, 0, 0, 0, "", "", "", ())
        case BotActed() if fact.action == [BotAction.REJECTED]:
            return Outcome(Status.REJECTED, 0, 0, 0, fact.reason[0], fact.field[0], fact.detail[0], ())
        case _:
            return None


def _order_status(last: OrderUpdate) -> Status:
    if last.event is OrderEventKind.REJECTED:
        return Status.REJECTED
    if last.open:
        return Status.OPEN
    return Status.FILLED if last.event is OrderEventKind.FILLED else Status.CANCELLED
