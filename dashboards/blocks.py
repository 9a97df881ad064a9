"""Tables and large numbers: what a panel's rows become in HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dash import html
from dash.development.base_component import Component

from dashboards import formats
from dashboards.figures import NO_PERIOD
from dashboards.store import Row


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: heading, unit, how its numbers are written; `bar_of` names the column it is a part of."""

    name: str
    heading: str
    unit: str = ""
    format: formats.Format | None = None
    bar_of: str | None = None
    colour_of: str | None = None
    """A column whose value is the cell's class in the style sheet."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as they come."""

    columns: tuple[Column, ...]
    nothing: str = NO_PERIOD

    def draw(self, rows: Sequence[Row]) -> Component:
        """An HTML table; numbers are right-aligned, the unit stands in the heading."""
        heading = [html.Th([column.heading, html.Small(column.unit)], className=_alignment(column)) for column in self.columns]
        body = [html.Tr([self._cell(column, row) for column in self.columns]) for row in rows]
        if not rows:
            body = [html.Tr(html.Td(self.nothing, colSpan=len(self.columns), className="nothing"))]
        return html.Table([html.Thead(html.Tr(heading)), html.Tbody(body)], className="rows")

    def _cell(self, column: Column, row: Row) -> Component:
        value = row[column.name]
        text = column.format(value) if column.format else str(value)
        if column.bar_of is None or value is None or row[column.bar_of] is None:
            colour = f" {row[column.colour_of]}" if column.colour_of else ""
            return html.Td(text, className=_alignment(column) + colour)
        whole = row[column.bar_of]
        share = 100 * value / whole if whole else 100.0 if value else 0.0
        over = " over" if share > 100 else ""
        bar = html.Div(html.Div(style={"width": f"{min(share, 100):.1f}%"}, className="part" + over), className="bar")
        return html.Td([text, bar], className="number", title=f"{share:.0f} % of {column.bar_of}")


@dataclass(frozen=True, slots=True)
class Tile:
    """One large number: its column, label and format; `note` is a pattern over the formatted `note_columns`."""

    column: str
    label: str
    unit: str
    format: formats.Format
    note: str = ""
    note_columns: Mapping[str, formats.Format] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tiles:
    """Large numbers from a query that gives one row."""

    tiles: tuple[Tile, ...]

    def draw(self, rows: Sequence[Row]) -> Component:
        """The tiles, with dashes where there is no row."""
        row = rows[0] if rows else {}
        return html.Div([self._tile(tile, row) for tile in self.tiles], className="tiles")

    def _tile(self, tile: Tile, row: Row) -> Component:
        note = tile.note.format(**{name: show(row[name]) for name, show in tile.note_columns.items()}) if row else ""
        value: list[str | Component] = [
            tile.format(row.get(tile.column)),
            html.Span(f" {tile.unit}" if tile.unit else "", className="unit"),
        ]
        return html.Div(
            [html.Div(tile.label, className="label"), html.Div(value, className="value"), html.Div(note, className="note")]
        )


def _alignment(column: Column) -> str:
    return "number" if column.format else "text"
