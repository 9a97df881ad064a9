"""Ten questions that analysts ask, each a file of SQL whose first line says it in words; the README shows them all."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent


class Question(NamedTuple):
    """A question in words and in SQL."""

    name: str
    """Of its file, without its number."""
    words: str
    sql: str


def questions() -> list[Question]:
    """All questions in the order of their files' numbers."""
    return [_read(path) for path in sorted(FOLDER.glob("*.sql"))]


def _read(path: Path) -> Question:
    words, _, sql = path.read_text(encoding="utf-8").partition("\n")
    return Question(path.stem[3:], words.removeprefix("-- "), sql.strip())


def as_markdown() -> str:
    """The README's section."""
    return "\n\n".join(f"**{each.words}**\n\n```sql\n{each.sql}\n```" for each in questions()) + "\n"
