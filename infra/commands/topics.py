"""`bourse topics`: create what is missing, show how everything is."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from streams.settings import Settings
from streams.topics import TopicState, check_partitions, ensure_topics


def topics(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Create the topics that are missing, and show all with what is not as it should be. Exit code 1 if they can't be used.

    Where a schema registry is set, the schemas of what may be published are registered, too.
    """
    settings = Settings.load()
    states = ensure_topics(settings)
    if as_json:
        shown = {
            state.full_name: {
                "partitions": state.partitions,
                "config": state.spec.config,
                "created": state.created,
                "differences": list(state.differences),
            }
            for state in states
        }
        typer.echo(json.dumps(shown, indent=2))
    else:
        Console().print(_table(states))
    check_partitions(states)
    if settings.schema_registry is not None:
        from streams.schema_registry import register_published  # noqa: PLC0415  0.3 s that few need

        register_published(settings)


def _table(states: list[TopicState]) -> Table:
    table = Table("topic", "partitions", "kept", "largest message", "", header_style="bold")
    for state in states:
        config = state.spec.config
        retention = int(config.get("retention.ms", 0))
        kept = "latest" if "cleanup.policy" in config else "for ever" if retention < 0 else f"{retention // 86_400_000} days"
        largest = config.get("max.message.bytes")
        note = "; ".join(state.differences) or ("created" if state.created else "")
        table.add_row(
            state.full_name,
            str(state.partitions),
            kept,
            f"{int(largest) >> 20} MiB" if largest else "",
            note,
            style="yellow" if state.differences else None,
        )
    return table
