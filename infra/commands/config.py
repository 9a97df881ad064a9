"""`bourse config`: every setting, its value and where it came from."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from streams.settings import Settings
from streams.settings_file import variable


def config(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Print all settings with their source: env, toml, flag or default. Secrets are masked."""
    settings = Settings.load()
    fields = Settings.model_fields
    if as_json:
        shown = {
            name: {
                "value": settings.shown(name),
                "source": settings.source_of(name),
                "env": variable(name),
                "description": field.description,
            }
            for name, field in fields.items()
        }
        typer.echo(json.dumps(shown, indent=2))
        return
    table = Table("setting", "value", "source", "what it is", header_style="bold")
    for name, field in fields.items():
        source = settings.source_of(name)
        value = settings.shown(name)
        style = None if source == "default" else "bold"
        table.add_row(name, "–" if value is None else value, source, field.description, style=style)
    Console().print(table)
