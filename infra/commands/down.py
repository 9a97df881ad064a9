"""`bourse down`: stop everything of this home."""

from __future__ import annotations

import contextlib
import shutil
from typing import Annotated

import psutil
import typer

from infra import processes
from infra.run_state import one_command_at_a_time, supervisor, supervisor_file
from streams.settings import Settings

DATA = ("kafka", "clickhouse", "workers", "gateways", "logs", "run")


def down(
    purge: Annotated[bool, typer.Option("--purge", help="Remove the data too: journal, facts, tables, logs.")] = False,
) -> None:
    """Stop everything that `up` started. Nothing of it runs afterwards, even if its supervisor was killed."""
    settings = Settings.load()
    if not settings.run_dir.exists():
        typer.echo("nothing runs")
        return
    with one_command_at_a_time(settings):
        stopped = _stop(settings)
        for file in (*settings.run_dir.glob("*.pid"), *settings.run_dir.glob("*.ready"), settings.run_dir / "status.json"):
            file.unlink(missing_ok=True)
        if purge:
            for name in DATA:
                shutil.rmtree(settings.home / name, ignore_errors=True)
            with contextlib.suppress(OSError):  # something of the user's own is in it
                settings.home.rmdir()
    typer.echo(("stopped" if stopped else "nothing runs") + (", data removed" if purge else ""))


def _stop(settings: Settings) -> bool:
    grace_s = settings.stop_grace.total_seconds()
    running = supervisor(settings)
    if running is not None and (process := running.process) is not None:
        # It stops the others in two groups, each within the grace.
        with contextlib.suppress(psutil.Error):
            process.terminate()
        processes.stop([process], grace_s=2 * grace_s + 5)
        supervisor_file(settings).unlink(missing_ok=True)
    orphans = processes.of_home(settings.home)
    processes.stop(orphans, grace_s=grace_s)
    return running is not None or bool(orphans)
