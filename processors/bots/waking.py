"""Which bots need not be evaluated again: those that had nothing to do, and of whose world nothing has changed since.

An evaluation is a function of the pool's state. So where it came to nothing, and nothing that it read has changed, it would come
to nothing again, and is left out. What is remembered for that is no state: a recovering engine remembers nothing, evaluates every
bot once more, and comes to the same facts (tests/processors/bots/test_bots_properties.py holds both against each other).

Changes are counted as facts are recorded: those of the whole pool, of a tenant, of an instrument. What a tenant used is compared
itself: it changes with every tick.

A bot that naps costs 0.6 µs a tick (1 µs where 100,000 leave the processor's caches), one that is evaluated 13 to 16 µs, one
that orders 250 to 400 µs with its facts (tests/benchmarks/bench_bots.py). So of a tick of a second, 100,000 bots whose world
stands still take 0.1 s, 30,000 whose tenants all use tokens of the period that they look after 0.5 s, and once, as a period
opens, 100,000 1.5 s.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from processors.accounts import tenant_of
from processors.bots.settings import Settings
from processors.tenants import Column
from schemas.bot_facts import BotActed, BotSet
from schemas.bots import DAY_S, Comparison, Reference, Strategy, Subject
from schemas.fact import Fact
from schemas.facts import CommandRefused, Forecasts, Postings, ProfileSet, UsageCounted
from schemas.market_facts import BookPhase, CommandTaken, KeySet, OrderEvents, Settlements, Trades, TransferEvents
from schemas.trading import TimeInForce

FOREVER = 2**63 - 1
NO_SLOT = -1


class Nap(NamedTuple):
    """What a bot's last evaluation, which came to nothing, has read.

    Attributes:
        since: how many changes there had been.
        until_ms: the moment from which time alone may change the outcome, milliseconds.
        slot: of its tenant; NO_SLOT where it does not matter what that uses.
        used: what the tenant had used of the present period.
        periods: instruments that it looked at, the first and the last; None where it looked at no book.
    """

    since: int
    until_ms: int
    slot: int
    used: int
    periods: tuple[int, int] | None


@dataclass(slots=True)
class Changes:
    """Counts what changes. `everything`, `tenants` and `periods` say at which count something of theirs last did."""

    count: int = 0
    everything: int = 0
    tenants: dict[str, int] = field(default_factory=dict)
    periods: dict[int, int] = field(default_factory=dict)

    def of_tenants(self, names: Iterable[str]) -> None:
        """Something of these tenants changes."""
        self.count += 1
        for name in names:
            self.tenants[name] = self.count

    def of_everything(self) -> None:
        """Anything may change."""
        self.count += 1
        self.everything = self.count
        self.tenants.clear()
        self.periods.clear()


def notice(changes: Changes, fact: Fact) -> None:
    """A fact of the pool was recorded."""
    if isinstance(fact, _NOTHING_READ):
        return
    match fact:
        case OrderEvents():
            changes.of_tenants(fact.tenant)
            changes.periods[fact.period] = changes.count
        case Postings():
            owners = {*fact.debit_account, *fact.credit_account}
            changes.of_tenants(tenant for tenant in map(tenant_of, owners) if tenant is not None)
        case BookPhase():
            changes.of_tenants(())
            changes.periods[fact.period] = changes.count
        case ProfileSet():
            changes.of_tenants((fact.tenant,))
        case _:
            changes.of_everything()


# Of a trade, the order events before it name both sides, of a transfer the postings after it. What is used, a nap compares itself.
# What a bot did is no input of it.
_NOTHING_READ = (
    Trades,
    Settlements,
    TransferEvents,
    UsageCounted,
    BotActed,
    BotSet,
    CommandTaken,
    CommandRefused,
    KeySet,
    Forecasts,
)


def naps(nap: Nap, changes: Changes, tenant: str, used: Column, now_ms: int) -> bool:
    """Whether nothing that the bot's last evaluation read has changed since. `used` is by tenants' slots."""
    since, until_ms, slot, used_then, periods = nap
    if changes.everything > since or now_ms >= until_ms or (slot != NO_SLOT and used.item(slot) != used_then):
        return False
    if changes.tenants and changes.tenants.get(tenant, 0) > since:
        return False
    return periods is None or all(changes.periods.get(period, 0) <= since for period in range(periods[0], periods[1] + 1))


def reads_used(settings: Settings) -> bool:
    """Whether an evaluation reads what was used of the present period."""
    return settings.first_ahead == 0 or settings.reads(Subject.USED, Subject.UTILISATION)


def reads_books(settings: Settings) -> bool:
    """Whether an evaluation that comes to nothing reads what others do in a book."""
    quotes = settings.strategy is Strategy.MARKET_MAKER and settings.reference is not Reference.GIVEN
    return quotes or settings.tif is not TimeInForce.GTC or settings.reads(Subject.PRICE)


def wakes_ms(settings: Settings, placed_ms: int, now_ms: int) -> int:
    """The next moment at which time alone may change what the bot does, milliseconds; FOREVER: there is none."""
    moments = [FOREVER, placed_ms + 1000 * settings.wait_s]
    if settings.budget_window_s is not None:
        window = 1000 * settings.budget_window_s
        moments.append((now_ms // window + 1) * window)
    seconds = {at % DAY_S for condition in settings.conditions for at in _turns(condition.on, condition.op, condition[2:])}
    day = 1000 * DAY_S
    midnight = now_ms // day * day
    for second in seconds.union(settings.at):
        today = midnight + 1000 * second
        moments.append(today if today > now_ms else today + day)
    return min(moment for moment in moments if moment > now_ms)


def _turns(on: Subject, op: Comparison, ends: tuple[int, int | None]) -> Iterable[int]:
    """The seconds of the day at which a condition on the time of day may begin or cease to hold; no other has any."""
    if on is not Subject.TIME_OF_DAY:
        return ()
    value, upper = ends
    match op:
        case Comparison.ABOVE:
            return 0, value + 1
        case Comparison.BELOW:
            return 0, value
        case Comparison.BETWEEN:
            return value, (value if upper is None else upper) + 1
