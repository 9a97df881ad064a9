"""Doors: pure rules behind standard input and output, for conformance cases, what-if questions and other programs."""

import io
import sys
import zipfile
from pathlib import Path
from typing import IO, Annotated, NoReturn

import numpy as np
import typer

from processors.allocation import ChargeOverflowError, InputError
from processors.allocation.arrays import answer_arrays
from processors.allocation.door import answer_line

_BAD_INPUT = 2


def allocate_command(
    source: Annotated[str, typer.Argument(metavar="[IN]", help="With --npz: the file to read, - for standard input.")] = "-",
    target: Annotated[str, typer.Argument(metavar="[OUT]", help="With --npz: the file to write, - for standard output.")] = "-",
    npz: Annotated[bool, typer.Option("--npz", help="Read and write numpy arrays (.npz), for a million tenants at once.")] = False,
) -> None:
    r"""Divide a pool's capacity for one period: JSON lines in, one JSON line out for each.

    In: {"policy": "seed" | "uniform_price" | "max_min", "capacity", "base_price", "reserve_price", "tenants": [{"id", "base",
    "elasticity", "demand", "budget_left" (null = no cap), "weight" (default 1)}]}, all integers.

    Out: {"price", "allocations": {id: {"base", "surplus", "charge"}}, "unallocated", "shortfall": {id: tokens}}, or
    {"error": "field: what is wrong"} for a line that cannot be answered.

    Arrays in (--npz): policy, capacity, base_price, reserve_price, base, elasticity, demand, budget_left (-1 = no cap; may be
    missing), weight (may be missing). Out: price, base, surplus, charge, shortfall, unallocated.
    """
    if npz:
        _answer_npz(source, target)
        return
    if source != "-" or target != "-":
        raise typer.BadParameter("file names are for --npz; JSON lines come from standard input")
    _answer_json_lines(typer.get_binary_stream("stdin"), typer.get_text_stream("stdout", encoding="utf-8"))


def _answer_json_lines(lines: IO[bytes], answers: IO[str]) -> None:
    """Every answer is flushed before the next line is read, so that another program may ask line by line."""
    try:
        for line in lines:
            if line.strip():
                answers.write(answer_line(line) + "\n")
                answers.flush()
    except BrokenPipeError:
        # Whoever read the answers has gone (`| head`). Python's own flush at exit must not fail a second time.
        sys.stdout = io.StringIO()


def _answer_npz(source: str, target: str) -> None:
    """Answers arrays; nothing is written unless there is an answer."""
    try:
        content = io.BytesIO(_read(source))
        if not zipfile.is_zipfile(content):
            _refuse(f"{source}: not an .npz archive")
        content.seek(0)
        with np.load(content, allow_pickle=False) as arrays:
            answer = answer_arrays(dict(arrays))
        packed = io.BytesIO()
        np.savez(packed, allow_pickle=False, **answer)
        _write(target, packed.getbuffer())
    except (InputError, ChargeOverflowError) as error:
        _refuse(str(error))
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        _refuse(f"{source} -> {target}: {error}")


def _read(source: str) -> bytes:
    return typer.get_binary_stream("stdin").read() if source == "-" else Path(source).read_bytes()


def _write(target: str, content: memoryview) -> None:
    if target != "-":
        Path(target).write_bytes(content)
        return
    out = typer.get_binary_stream("stdout")
    out.write(content)
    out.flush()


def _refuse(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(_BAD_INPUT)
