"""The files that a command writes its figures and its picture to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from streams.errors import BadInput

JsonFile = Annotated[Path | None, typer.Option("--json", help="Write all figures to this file.")]
PlotFile = Annotated[Path | None, typer.Option("--plot", help="Write a picture to this PNG file.")]


def check_files(json_file: Path | None, plot_file: Path | None) -> None:
    """What is wrong with the files is told before a minute has passed, not after.

    Raises:
        BadInput: no PNG, a directory, or no directory to put it in.
    """
    if plot_file and plot_file.suffix.lower() != ".png":
        raise BadInput(f"--plot {plot_file}: a name that ends in .png is expected")
    for option, path in (("--json", json_file), ("--plot", plot_file)):
        if path and path.is_dir():
            raise BadInput(f"{option} {path}: is a directory")
        if path and not path.parent.is_dir():
            raise BadInput(f"{option} {path}: no directory {path.parent}")


def write_figures(path: Path | None, figures: dict[str, Any]) -> None:
    """Nothing where no file was named.

    Raises:
        BadInput: it can't be written.
    """
    if path is None:
        return
    try:
        path.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise BadInput(f"--json {path}: {error.strerror or error}") from error
