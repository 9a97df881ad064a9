"""What a page and a panel of it are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from dashboards import formats
from dashboards.bands import Bands
from dashboards.bars import Bars
from dashboards.blocks import Column, Table, Tiles
from dashboards.figures import Candles, Depth, Lines, Series, Stack


class Query(NamedTuple):
    """An SQL file's name, and the parameters that do not depend on what is chosen."""

    sql: str
    told: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: `name` is its element's; `unit` is told beside the title."""

    name: str
    title: str
    unit: str
    kind: Lines | Bands | Bars | Stack | Series | Candles | Depth | Table | Tiles
    file: str = ""
    """The SQL file that it shares with others; empty: the one of its own name."""
    told: Mapping[str, str] = field(default_factory=dict)
    """Parameters of that file that this panel is about, whatever is chosen on the page."""
    height: int = 320
    """Of a chart, in pixels."""
    wide: bool = False
    """Of a chart: whether it takes the whole width, as tables and large numbers do."""

    @property
    def query(self) -> Query:
        """What it asks."""
        return Query(self.file or self.name, tuple(self.told.items()))

    @property
    def is_figure(self) -> bool:
        """Whether it is a chart, which keeps its zoom when it is refreshed."""
        return not isinstance(self.kind, Table | Tiles)

    @property
    def is_wide(self) -> bool:
        """Whether it takes the whole width of the page."""
        return self.wide or not self.is_figure


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the dashboard, at its own path."""

    path: str
    title: str
    panels: tuple[Panel, ...]
    controls: tuple[str, ...]
    """What is chosen on it besides the pool: periods, instrument, tenant."""
    pools: str = "pools"
    """The SQL file that names the pools to choose from; where it names none, all pools can be chosen."""


def tokens_column(name: str, heading: str, bar_of: str | None = None) -> Column:
    """Tokens, perhaps as a part of another column."""
    return Column(name, heading, "tokens", formats.tokens, bar_of)
