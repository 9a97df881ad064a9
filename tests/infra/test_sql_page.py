"""What `bourse sql` prints: a table that fits, else each row by itself; values are shown as they are."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from infra.sql_page import show

NAMES, TYPES = ["tenant", "tokens", "note"], ["String", "Int64", "Nullable(String)"]
ROWS = [["acme", 12, None], ["[red]bold[/red]", 3_000, "[]"]]


def printed(width: int, names: list[str] = NAMES, types: list[str] = TYPES, rows: list[list[object]] = ROWS) -> list[str]:
    console = Console(width=width, file=StringIO(), record=True)
    show(console, names, types, rows)
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_a_table_that_fits_is_a_table() -> None:
    lines = printed(40)
    assert "│ acme            │     12 │ –    │" in lines
    assert "│ [red]bold[/red] │   3000 │ []   │" in lines


def test_a_wider_one_tells_each_row_by_itself() -> None:
    assert printed(30) == [
        "row 1",
        "  tenant  acme",
        "  tokens  12",
        "  note    –",
        "row 2",
        "  tenant  [red]bold[/red]",
        "  tokens  3000",
        "  note    []",
    ]


@pytest.mark.parametrize("names", [["statement"], ["statement", "other"]])
def test_nothing_of_a_long_value_is_lost(names: list[str]) -> None:
    letters = "".join(map(chr, range(ord("Ā"), ord("Ā") + 100)))
    lines = printed(20, names, ["String"] * len(names), [[letters] * len(names)])
    assert "".join(each for line in lines for each in line if each in letters) == letters * len(names)
