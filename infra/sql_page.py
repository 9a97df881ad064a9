"""The result of a query on a terminal: a table, or where that is too wide each row as a block of names and values."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text


def show(console: Console, names: Sequence[str], types: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints rows.

    Args:
        console: where to.
        names: of the columns.
        types: ClickHouse's; numbers stand to the right.
        rows: values as of JSON.
    """
    table = Table(header_style="bold")
    for name, kind in zip(names, types, strict=True):
        table.add_column(Text(name), justify="right" if _is_number(kind) else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    # A column that is narrower than its name and values is hard to read; a single one is just as wide in a block.
    if len(names) == 1 or console.measure(table, options=console.options.update(width=1_000_000)).maximum <= console.width:
        console.print(table)
        return
    for number, row in enumerate(rows, 1):
        console.print(f"row {number}", style="bold")
        block = Table.grid(padding=(0, 2), pad_edge=True)
        block.add_column(style="dim", no_wrap=True)
        block.add_column(overflow="fold")
        for name, value in zip(names, row, strict=True):
            block.add_row(Text(name), _cell(value))
        console.print(block)


def _is_number(kind: str) -> bool:
    return kind.removeprefix("Nullable(").startswith(("Int", "UInt", "Float", "Decimal"))


def _cell(value: object) -> Text:
    """As it is: what looks like markup in a value is none."""
    if value is None:
        return Text("–")
    return Text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
