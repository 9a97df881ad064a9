"""`bourse --help` names every command, and each of these says what it and all that it takes are for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from infra.cli import COMMANDS, app


def commands() -> Iterator[tuple[str, Any]]:
    """Name and command; those of a group by both names."""
    root: Any = typer.main.get_command(app)
    for name in COMMANDS:
        yield from _below(name, root.get_command(None, name))


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for part, below in getattr(command, "commands", {}).items():
        yield from _below(f"{name} {part}", below)


def test_every_command_is_named_and_says_what_it_and_its_options_are_for() -> None:
    wrong = []
    for name, command in commands():
        told = {parameter.name: parameter.help for parameter in command.params}
        wrong += [name] if command.name != name.split()[-1] or not command.help else []
        wrong += [f"{name}: {parameter}" for parameter, said in told.items() if not said]
        wrong += [f"{name}: {parameter}" for parameter in told if "completion" in parameter]
    assert wrong == []
