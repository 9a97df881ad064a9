"""How far a command that reads many records has come, drawn while somebody watches."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def counted(unit: str = "", *, quiet: bool = False) -> Progress:
    """A bar for each task: its description, how many `unit` of how many are done, and how long the rest may take.

    On standard error. Nothing is drawn where that is no terminal, or with `quiet`, and nothing of it stays.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        *([TextColumn(unit)] if unit else []),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal)
