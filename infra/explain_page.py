"""What `bourse explain` prints: one page that tells a tenant's way through a period, step by step."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from processors.explain import Explained
from processors.explain.parts import Facts, Grid, Line, Part
from processors.explain.sections import proof, sections, subtitle, title

TONES = {"": "", "strong": "bold", "warning": "yellow"}


def page(told: Explained) -> RenderableType:
    """The whole page."""
    head = Text(title(told.auction), style="bold")
    under = Text(subtitle(told.auction, told.around), style="dim")
    steps = sections(told.auction, told.around, told.what_if)
    body = [each for number, step in enumerate(steps, 1) for each in (_heading(number, step.title), *map(_drawn, step.parts))]
    return Group(head, under, *body, Text(), _proof(told))


def _heading(number: int, text: str) -> RenderableType:
    return Text(f"{number}. {text}", style="bold cyan")


def _drawn(part: Part) -> RenderableType:
    match part:
        case Facts():
            return _facts(part)
        case Line():
            return Padding(Text(part.text, style=TONES[part.tone]), (0, 0, 0, 2))
        case Grid():
            return _grid(part)


def _facts(facts: Facts) -> RenderableType:
    table = Table(box=None, show_header=False, padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column()
    for fact in facts.rows:
        table.add_row(*map(Text, fact))
    return table


def _grid(grid: Grid) -> RenderableType:
    table = Table(box=None, header_style="dim", padding=(0, 2))
    for place, name in enumerate(grid.heading):
        table.add_column(name, justify="right" if place in grid.numbers else "left")
    for row in grid.rows:
        table.add_row(*map(Text, row))
    return table


def _proof(told: Explained) -> RenderableType:
    colour = "red" if not told.auction.proved else "yellow" if told.auction.other_rows_differing else "green"
    return Panel.fit(Group(*map(_drawn, proof(told.auction))), border_style=colour, box=box.ROUNDED)
