"""The line in which `bourse status` tells what the planner did."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.commands.status import _planner
from streams.planner_note import PlannerNote
from streams.settings import Settings

HOUR = 1_767_225_600_000
"""2026-01-01 00:00:00."""

LINES = [
    (PlannerNote(HOUR), "planner: no hour has closed yet"),
    (
        PlannerNote(HOUR + 31_000, {"llm": HOUR}),
        "planner: planned 1 pool at 2026-01-01 00:00:31, from history up to 2026-01-01 00:00:00",
    ),
    (
        PlannerNote(HOUR, {"llm": HOUR, "gpt": HOUR - 3_600_000}),
        "planner: planned 2 pools at 2026-01-01 00:00:00, from history up to 2025-12-31 23:00:00 … 2026-01-01 00:00:00",
    ),
    (PlannerNote(HOUR, {"llm": HOUR}, HOUR + 5_000), "planner: waits for ClickHouse since 2026-01-01 00:00:05"),
]


@pytest.mark.parametrize(("note", "line"), LINES)
def test_a_note_is_read_as_it_was_written_and_told_in_a_line(note: PlannerNote, line: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert PlannerNote.read(settings) is None
    note.write(settings)
    assert PlannerNote.read(settings) == note
    assert _planner(note) == line
