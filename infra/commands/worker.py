"""`bourse worker ROLE`: one process of one role, in the foreground, as the supervisor runs it."""

from __future__ import annotations

from typing import Annotated

import typer

from streams.errors import BadInput
from streams.settings import Settings

ROLES = ("clock", "meter", "intake", "engine", "sink", "planner")


def worker(
    role: Annotated[str, typer.Argument(help=f"One of {', '.join(ROLES)}.")],
    name: Annotated[str | None, typer.Option(help="Unique on this machine, such as engine-2; default: the role's.")] = None,
) -> None:
    """Run one processor in the foreground until it is stopped. Any number may run, on any machine that reaches Kafka."""
    if role not in ROLES:
        message = f"role {role!r}: one of {', '.join(ROLES)} is expected"
        raise BadInput(message)
    from streams.worker import run  # noqa: PLC0415  imports Faust, which takes a second

    raise typer.Exit(run(role, Settings.load(), name))
