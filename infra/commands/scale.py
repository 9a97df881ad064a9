"""`bourse scale meter=2`: more or fewer processes of a role, while the system runs."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Annotated

import typer

from infra.commands.up import counts
from infra.run_state import Desired, Seen, one_command_at_a_time, supervisor
from infra.supervised import State
from streams.errors import BadInput, UserError
from streams.settings import Settings


def scale(
    workers: Annotated[list[str], typer.Argument(help="role=number, such as meter=2 engine=3.")],
    wait: Annotated[bool, typer.Option(help="Return only when all of them are ready.")] = True,
) -> None:
    """Set how many processes of a role run. Kafka shares the partitions among them anew."""
    settings = Settings.load()
    wanted = counts(",".join(workers))
    if not wanted:
        raise BadInput("workers: role=number is expected")
    with one_command_at_a_time(settings):
        before = Desired.read(settings)
        if supervisor(settings) is None or before is None:
            raise UserError("nothing runs: bourse up")
        desired = replace(before, workers={**before.workers, **wanted})
        desired.write(settings)
        if wait:
            _wait(settings, desired, set(wanted))
    typer.echo(", ".join(f"{role}: {number}" for role, number in desired.workers.items()))


def _wait(settings: Settings, desired: Desired, roles: set[str]) -> None:
    expected = {name for name in desired.names() if name.rpartition("-")[0] in roles}
    deadline = time.monotonic() + settings.ready_timeout.total_seconds()
    while time.monotonic() < deadline:
        seen = Seen.read(settings)
        processes = [] if seen is None else [each for each in seen.processes if each["name"].rpartition("-")[0] in roles]
        ready = {each["name"] for each in processes if each["state"] == State.RUNNING}
        if ready == expected and len(processes) == len(expected):
            return
        time.sleep(0.1)
    raise UserError(f"not ready: {', '.join(sorted(expected - ready))}; logs are in {settings.log_dir}")
