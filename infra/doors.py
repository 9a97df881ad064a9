"""Doors: pure rules behind standard input and output, for conformance cases, what-if questions and other programs."""

import io
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

import numpy as np
import typer

from processors.allocation import ChargeOverflowError, InputError
from processors.allocation.arrays import answer_arrays
from processors.allocation.door import answer_line as allocation_line
from processors.orderbook.door import answer_line as book_line
from processors.orderbook.engines import Engine, has_compiler

_BAD_INPUT = 2


def allocate_command(
    source: Annotated[str, typer.Argument(metavar="[IN]", help="With --npz: the file to read, - for standard input.")] = "-",
    target: Annotated[str, typer.Argument(metavar="[OUT]", help="With --npz: the file to write, - for standard output.")] = "-",
    npz: Annotated[bool, typer.Option("--npz", help="Read and write numpy arrays (.npz), for a million tenants at once.")] = False,
) -> None:
    r"""Divide a pool's capacity for one period: JSON lines in, one JSON line out for each.

    In: {"policy": "seed" | "uniform_price" | "max_min" | "proportional", "capacity", "base_price", "reserve_price", "tenants":
    [{"id", "base", "elasticity", "demand", "budget_left" (null = no cap), "weight" (default 1)}]}, all integers.

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
    _answer_json_lines(allocation_line)


def book_command(
    engine: Annotated[
        Engine,
        typer.Option(
            help="readable: plain Python. compiled: the same rules as machine code, with the extra `fast`. Both answer the same; "
            "the compiled one takes seconds to begin with: auto takes it for cases of 300,000 operations and more, if it is there."
        ),
    ] = Engine.AUTO,
) -> None:
    r"""Put operations to an empty order book: JSON lines in, one JSON line out for each.

    In: {"config": {"tick", "lot", "max_qty", "pmin", "pmax", "ref", "phase": "continuous" | "auction"}, "ops": [{"op": "new", "id",
    "acct", "side": "buy" | "sell", "price", "qty", "type": "limit" | "market", "tif": "GTC" | "IOC" | "FOK" | "GTD", "post_only",
    "stp": "none" | "cancel_taker" | "cancel_maker" | "cancel_both" | "decrement", "expire"}, {"op": "cancel", "id", "acct"},
    {"op": "reduce", "id", "acct", "by"}, {"op": "replace", "id", "acct", "price", "qty"}, {"op": "clock", "t"},
    {"op": "to_auction"}, {"op": "uncross"}, {"op": "close"}]}, all of config and what follows qty optional.

    Out: {"trades": [{"maker", "taker", "price", "qty"}, or of an auction {"buy", "sell", "price", "qty"}], "book": {"bids": [[id,
    price, open]], "asks"}, "rejects": [[id, reason]], "cancels": [[id, open quantity cancelled, reason]]}, or {"error": "field:
    what is wrong"} for a line that cannot be answered.
    """
    if engine is Engine.COMPILED and not has_compiler():
        _refuse("--engine compiled needs numba: pip install 'tokenbourse[fast]'")
    _answer_json_lines(partial(book_line, engine=engine))


def _answer_json_lines(answer_line: Callable[[bytes], str]) -> None:
    """Every answer is flushed before the next line is read, so that another program may ask line by line."""
    lines, answers = typer.get_binary_stream("stdin"), typer.get_text_stream("stdout", encoding="utf-8")
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
