"""The section on what would have changed the outcome."""

from processors.explain.counterfactuals import Change, Counterfactual, Direction, WhatIf
from processors.explain.parts import Grid, Line, Section, credits_text, decimal, tokens
from processors.explain.rule import Explanation

NOTHING = "–"

NAMES = {
    "base": "base",
    "elasticity": "elasticity",
    "demand": "demand",
    "weight": "weight",
    "budget_left": "budget left",
    "capacity": "capacity",
    "reserve_price": "reserve price",
    "base_price": "base price",
}

WHY_RIVAL = {
    "price_setter": "the one who set the price",
    "right_before": "right before it in the order of bids",
    "right_behind": "right behind it in the order of bids",
    "largest": "the other one who got most of the surplus",
}


def changes(told: Explanation, what_if: WhatIf) -> Section:
    """A row for each input: the nearest smaller and the nearest larger value that would have changed what it got or paid."""
    got = what_if.got
    given = f"The auction gave it {tokens(got.tokens)} for {credits_text(got.charge)}."
    rows = tuple(_row(each, told, what_if) for each in what_if.inputs if each.read)
    unread = ", ".join(_name(each, told) for each in what_if.inputs if not each.read)
    notes = [
        f"{NOTHING} No value in that direction was found to change anything.",
        f"Each value is the nearest found, and a step less does not do it ({what_if.runs:,} runs of the rule).",
        *([f"{what_if.rival.tenant} is {WHY_RIVAL[what_if.rival.why]}."] if what_if.rival else []),
        *([f"The policy does not look at: {unread}."] if unread else []),
    ]
    intro = Line(f"{given} Had one input been another, and all else as it was:")
    grid = Grid(("", "was", "less", "more"), rows, numbers=(1,))
    return Section("What would have changed it", (intro, grid, Line(" ".join(notes))))


def _row(each: Counterfactual, told: Explanation, what_if: WhatIf) -> tuple[str, ...]:
    was = "no cap" if each.recorded is None else _value(each.input, each.recorded)
    return _name(each, told), was, _cell(each, each.lower, what_if), _cell(each, each.higher, what_if)


def _name(each: Counterfactual, told: Explanation) -> str:
    if each.of is None:
        return f"the pool's {NAMES[each.input]}"
    if each.of == told.tenant:
        return f"its {NAMES[each.input]}"
    return f"{each.of}'s {NAMES[each.input]}"


def _value(name: str, value: int) -> str:
    if name == "budget_left":
        return credits_text(value)
    return decimal(value) if name in {"elasticity", "weight"} else f"{value:,}"


def _cell(each: Counterfactual, direction: Direction | None, what_if: WhatIf) -> str:
    if direction is None or direction.outcome is None:
        return NOTHING
    first = _told(each.input, direction.outcome, what_if)
    if direction.tokens is None or direction.tokens == direction.outcome:
        return first
    return f"{first}; {_told(each.input, direction.tokens, what_if)}"


def _told(name: str, change: Change, what_if: WhatIf) -> str:
    value, got = _value(name, change.value), change.got
    if got.tokens == what_if.got.tokens:
        return f"{value}: {credits_text(got.charge)}"
    return f"{value}: {tokens(got.tokens)}"
