"""A file of demand: CSV or Parquet with the columns tenant, period and tokens, read and checked."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
from pyarrow import parquet

from processors.forecast import History
from schemas.units import MAX_TOKENS
from streams.errors import BadInput

COLUMNS = ("tenant", "period", "tokens")
SUFFIXES = (".csv", ".parquet")
GAPS = ("", "null", "NULL", "NaN", "nan", "NA", "N/A", "None")
"""What stands for a gap in the tokens of a CSV file."""

_SHOWN = 12
"""How many columns of a file a message lists."""


@dataclass(frozen=True)
class DemandFile:
    """What a file holds.

    Attributes:
        history: its rows, sorted; tenants are numbers.
        names: Arrow array of the tenants by number, ascending, in the type in which the file has them.
    """

    history: History
    names: Any


def read(path: Path) -> DemandFile:
    """Reads and checks a file.

    Raises:
        BadInput: it can't be read, lacks a column, or holds what can't be taken; names the column, the row and the value.
    """
    tenants, periods, tokens = _columns(path)
    if not len(tenants):
        raise BadInput(f"{path}: no rows")
    numbers, names = _tenants(path, tenants)
    history = _sorted(numbers, _periods(path, periods), _tokens(path, tokens))
    _refuse_twice(path, history, names)
    return DemandFile(history, names)


def _columns(path: Path) -> list[Any]:
    """The three columns: of a CSV file as text, so that what does not convert can be named as it stands there."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise BadInput(f"{path}: a name that ends in {' or '.join(SUFFIXES)} is expected")
    try:
        if suffix == ".parquet":
            _check_names(path, parquet.read_schema(path).names)
            table = parquet.read_table(path, columns=list(COLUMNS))
        else:
            _check_names(path, _header(path))
            as_text = arrow_csv.ConvertOptions(
                include_columns=COLUMNS, column_types=dict.fromkeys(COLUMNS, pa.string()), strings_can_be_null=False
            )
            table = arrow_csv.read_csv(path, convert_options=as_text)
    except (OSError, pa.ArrowException) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BadInput(f"{path}: {said.splitlines()[0] if said else type(error).__name__}") from error
    return [_plain(table.column(name)) for name in COLUMNS]


def _header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return next(csv.reader(lines), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: is not a CSV file in UTF-8: {error}") from error


def _check_names(path: Path, found: list[str]) -> None:
    for name in COLUMNS:
        if found.count(name) == 1:
            continue
        if name in found:
            raise BadInput(f"{path}: {found.count(name)} columns are called {name!r}, one is expected")
        shown = ", ".join(found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "") if found else "none"
        raise BadInput(f"{path}: no column {name!r}: {', '.join(COLUMNS)} are expected, found are {shown}")


def _plain(column: Any) -> Any:
    whole = column.combine_chunks()
    return whole.dictionary_decode() if pa.types.is_dictionary(whole.type) else whole


def _tenants(path: Path, column: Any) -> tuple[npt.NDArray[np.int64], Any]:
    """The rows' tenants as numbers, and their names."""
    text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type)
    if not text and not pa.types.is_integer(column.type):
        raise BadInput(f"{path}: tenant: text or integers are expected, the column is {column.type}")
    _refuse_first(path, "tenant", column, pc.is_null(column), "is missing")
    if text:
        _refuse_first(path, "tenant", column, pc.equal(column, ""), "is empty")
    names = pc.unique(column)
    names = names.take(pc.sort_indices(names))
    return np.asarray(pc.index_in(column, value_set=names), np.int64), names


def _periods(path: Path, column: Any) -> npt.NDArray[np.int64]:
    _refuse_first(path, "period", column, pc.is_null(column), "is missing")
    if pa.types.is_string(column.type):
        column = pc.utf8_trim_whitespace(column)
    elif not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise BadInput(f"{path}: period: integers are expected, the column is {column.type}")
    whole = _converted(path, "period", column, pa.int64(), "is not an integer")
    return np.asarray(whole, np.int64)


def _tokens(path: Path, column: Any) -> npt.NDArray[np.float64]:
    """Tokens, NaN where there is a gap."""
    if pa.types.is_string(column.type):
        column = pc.utf8_trim_whitespace(column)
        column = pc.if_else(pc.is_in(column, value_set=pa.array(GAPS)), pa.scalar(None, pa.string()), column)
    elif not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_null(column.type)):
        raise BadInput(f"{path}: tokens: numbers are expected, the column is {column.type}")
    numbers = _converted(path, "tokens", column, pa.float64(), "is not a number")
    values: npt.NDArray[np.float64] = numbers.to_numpy(zero_copy_only=False)
    _refuse_first(path, "tokens", column, pa.array(values < 0), "is less than 0")
    _refuse_first(path, "tokens", column, pa.array(values > MAX_TOKENS), f"is more than {MAX_TOKENS:,}")
    return values


def _converted(path: Path, name: str, column: Any, kind: Any, wrong: str) -> Any:
    try:
        # Integers above 2^53 lose digits as floats: they are refused by their size, not by their digits.
        return column.cast(kind, safe=not pa.types.is_integer(column.type) or pa.types.is_integer(kind))
    except pa.ArrowInvalid as error:
        row = next(row for row, value in enumerate(column) if not _converts(value, kind))
        raise BadInput(_told(path, name, row, column[row], wrong)) from error


def _converts(value: Any, kind: Any) -> bool:
    try:
        value.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def _refuse_first(path: Path, name: str, column: Any, wrong: Any, why: str) -> None:
    rows = np.flatnonzero(np.asarray(wrong, np.bool_))
    if len(rows):
        more = f", and {len(rows) - 1:,} more" if len(rows) > 1 else ""
        raise BadInput(_told(path, name, int(rows[0]), column[int(rows[0])], why) + more)


def _told(path: Path, name: str, row: int, value: Any, why: str) -> str:
    found = value.as_py()
    return f"{path}: row {row + 1}: {name}: {'' if found in (None, '') else f'{found!r} '}{why}"


def _sorted(tenants: npt.NDArray[np.int64], periods: npt.NDArray[np.int64], tokens: npt.NDArray[np.float64]) -> History:
    order = np.lexsort((tenants, periods))
    return History(tenants[order], periods[order], tokens[order])


def _refuse_twice(path: Path, history: History, names: Any) -> None:
    same = (np.diff(history.tenants) == 0) & (np.diff(history.periods) == 0)
    if same.any():
        row = int(np.argmax(same))
        tenant, period = names[int(history.tenants[row])].as_py(), int(history.periods[row])
        many = np.count_nonzero((history.tenants == history.tenants[row]) & (history.periods == period))
        raise BadInput(f"{path}: tenant {tenant!r} has {many} rows of period {period}, one is expected")
