"""A bot's settings as its state keeps them, and what is wrong with settings that a tenant publishes."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import NamedTuple

from schemas.bots import DAY_S, BotSettings, Comparison, Reference, Strategy, Subject
from schemas.market import BotCommand
from schemas.trading import Side, TimeInForce

MAX_PERIODS = 100
"""Most periods that one bot looks after: each costs some 5 µs whenever it is evaluated."""


class Condition(NamedTuple):
    """One condition of a bot; `upper` is None unless `op` is BETWEEN."""

    on: Subject
    op: Comparison
    value: int
    upper: int | None


@dataclass(frozen=True, slots=True)
class Settings:
    """The fields of BotSettings, which says what they mean."""

    name: str
    enabled: bool
    strategy: Strategy
    first_ahead: int
    last_ahead: int
    wait_s: int
    min_price: int | None
    max_price: int | None
    min_position: int | None
    max_position: int | None
    budget: int | None
    budget_window_s: int | None
    min_qty: int
    tif: TimeInForce
    margin: int
    keep: int
    reference: Reference | None
    reference_price: int | None
    spread_ticks: int | None
    tolerance_ticks: int
    qty: int | None
    side: Side | None
    at: tuple[int, ...]
    every_periods: int | None
    conditions: tuple[Condition, ...]

    def reads(self, *subjects: Subject) -> bool:
        """Whether a condition is about one of them."""
        return any(condition.on in subjects for condition in self.conditions)


_OF_STRATEGY = tuple(each.name for each in fields(Settings) if each.name not in {"at", "conditions"})


def settings_of(said: BotSettings, conditions: tuple[Condition, ...]) -> Settings:
    """What a command or a fact says, as the state keeps it."""
    return Settings(**{name: getattr(said, name) for name in _OF_STRATEGY}, at=tuple(sorted(set(said.at))), conditions=conditions)


class Fault(NamedTuple):
    """What is wrong with a field."""

    field: str
    detail: str


class _Form(NamedTuple):
    """What a strategy must be told, and what it may be told besides the fields of all."""

    needs: tuple[str, ...]
    takes: tuple[str, ...]


_BUYS = ("max_price", "max_position", "budget", "budget_window_s")
_SELLS = ("min_price", "min_position")
_FORECASTS = ("margin", "keep", "tif", "wait_s")
FORMS: dict[Strategy, _Form] = {
    Strategy.SELL_IDLE: _Form(("min_price",), (*_SELLS, *_FORECASTS)),
    Strategy.BUY_AHEAD: _Form(("max_price",), (*_BUYS, *_FORECASTS)),
    Strategy.MARKET_MAKER: _Form(
        ("reference", "spread_ticks", "qty", "min_position", "max_position"),
        (*_BUYS, *_SELLS, "reference_price", "tolerance_ticks", "wait_s"),
    ),
    Strategy.SCHEDULE: _Form(("side", "qty"), (*_BUYS, *_SELLS, "tif", "at", "every_periods")),
}
_OF_ALL = ("name", "enabled", "strategy", "first_ahead", "last_ahead", "min_qty")

_LEAST: dict[str, int] = {
    "min_price": 1,
    "max_price": 1,
    "reference_price": 1,
    "spread_ticks": 1,
    "min_qty": 1,
    "qty": 1,
    "keep": 0,
}


def fault(command: BotCommand) -> Fault | None:
    """The first thing that is wrong with a bot's settings; None where they are good."""
    return next(_faults(command), None)


def _faults(command: BotCommand) -> Iterator[Fault]:
    yield from _misplaced(command)
    yield from _too_small(command)
    yield from _contradictions(command)
    if command.strategy is Strategy.SCHEDULE:
        yield from _unscheduled(command)
    for number, condition in enumerate(command.conditions):
        problem = _wrong_condition(Condition(condition.on, condition.op, condition.value, condition.upper))
        if problem is not None:
            yield Fault("conditions", f"condition {number}: {problem}")


def _misplaced(command: BotCommand) -> Iterator[Fault]:
    """Fields that the strategy lacks, or that mean nothing to it: then the tenant meant something else than it said."""
    needs, takes = FORMS[command.strategy]
    for name in needs:
        if getattr(command, name) is None:
            yield Fault(name, f"{command.strategy} needs it")
    for name in BotSettings.model_fields:
        default = BotSettings.model_fields[name].get_default(call_default_factory=True)
        if name not in {*needs, *takes, *_OF_ALL} and getattr(command, name) != default:
            yield Fault(name, f"it means nothing to {command.strategy}")


def _too_small(command: BotCommand) -> Iterator[Fault]:
    for name, least in _LEAST.items():
        value = getattr(command, name)
        if value is not None and value < least:
            yield Fault(name, f"{value} is less than {least}")


def _contradictions(command: BotCommand) -> Iterator[Fault]:
    last, first = command.last_ahead, command.first_ahead
    if last < first:
        yield Fault("last_ahead", f"{last} is before first_ahead, {first}")
    if last - first >= MAX_PERIODS:
        yield Fault("last_ahead", f"{first} to {last} are {last - first + 1} periods, at most {MAX_PERIODS} are taken")
    if command.tif not in {TimeInForce.GTC, TimeInForce.IOC}:
        yield Fault("tif", f"{command.tif}: a bot's orders are GTC or IOC")
    if command.budget_window_s is not None and command.budget is None:
        yield Fault("budget_window_s", "there is no budget")
    if command.reference is Reference.GIVEN and command.reference_price is None:
        yield Fault("reference_price", "the reference is given, but no price")
    if command.spread_ticks is not None and command.tolerance_ticks >= command.spread_ticks:
        # Else a new bid could meet the offer that still stands.
        yield Fault("tolerance_ticks", f"{command.tolerance_ticks} is not less than spread_ticks, {command.spread_ticks}")
    least, most = command.min_position, command.max_position
    if least is not None and most is not None and least > most:
        yield Fault("min_position", f"{least} is more than max_position, {most}")


def _unscheduled(command: BotCommand) -> Iterator[Fault]:
    if bool(command.at) == (command.every_periods is not None):
        yield Fault("at", "a schedule has times of the day or every_periods, one of them")
    limit, other = ("max_price", _SELLS) if command.side is Side.BUY else ("min_price", _BUYS)
    if getattr(command, limit) is None:
        yield Fault(limit, f"an order to {command.side} needs it")
    for name in other:
        if getattr(command, name) is not None:
            yield Fault(name, f"it means nothing to a schedule that places orders to {command.side}")


def _wrong_condition(condition: Condition) -> str | None:
    between = condition.op is Comparison.BETWEEN
    if between != (condition.upper is not None):
        return f"{condition.op} {'needs' if between else 'has no'} upper"
    ends = [value for value in (condition.value, condition.upper) if value is not None]
    if condition.on is Subject.TIME_OF_DAY:
        if any(not 0 <= value < DAY_S for value in ends):
            return f"a time of day is from 0 to {DAY_S - 1} seconds, or text such as 08:30"
        return None
    if between and ends[1] < ends[0]:
        return f"upper, {ends[1]}, is below value, {ends[0]}"
    return None
