"""Conditions: a bot acts in a period only where all of its conditions hold there."""

from collections.abc import Callable

from processors.bots.settings import Condition
from processors.bots.view import View
from schemas.bots import DAY_S, Comparison, Subject

_READ: dict[Subject, Callable[[View], int | None]] = {
    Subject.FORECAST: View.forecast,
    Subject.ALLOCATED: View.allocated,
    Subject.POSITION: View.position,
    Subject.PRICE: View.price,
    Subject.USED: View.used,
    Subject.UTILISATION: View.utilisation,
}


def unmet(conditions: tuple[Condition, ...], view: View, now_ms: int) -> tuple[Condition, int | None] | None:
    """The first condition that does not hold, with the value that it found (None: there is none); None where all hold."""
    for condition in conditions:
        value = second_of_day(now_ms) if condition.on is Subject.TIME_OF_DAY else _READ[condition.on](view)
        if value is None or not holds(condition, value):
            return condition, value
    return None


def second_of_day(time_ms: int) -> int:
    """Seconds since midnight UTC."""
    return time_ms // 1000 % DAY_S


def holds(condition: Condition, found: int) -> bool:
    """Whether a value meets a condition."""
    on, op, value, upper = condition
    match op:
        case Comparison.ABOVE:
            return found > value
        case Comparison.BELOW:
            return found < value
        case Comparison.BETWEEN:
            last = value if upper is None else upper
            if on is Subject.TIME_OF_DAY and last < value:
                return found >= value or found <= last  # past midnight
            return value <= found <= last


def told(condition: Condition, found: int | None) -> str:
    """In words, what the condition wants and what there is."""
    on, op, value, upper = condition
    wanted = f"{op} {value}" if upper is None else f"{op} {value} and {upper}"
    return f"{on} is {'unknown' if found is None else found}, not {wanted}"
