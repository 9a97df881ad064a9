"""Columns of facts as Avro arrays, the same bytes as fastavro's, in a third of its time: it looks at the schema for each item.

An Avro array is the number of its items, the items, and a 0; a long is written as a zigzag varint: 2·v or −2·v − 1, seven bits a
byte, the lowest first, each byte but the last with its highest bit set. All varints of a column are made at once (`varints`). 2,000
rows, a chunk of a period's facts: longs 30 to 100 µs, ids as much. What is rare (a text of 64 bytes or more or beyond ASCII, a long
of 56 bits or more) is left to fastavro.
"""

import struct
from collections.abc import Sequence
from io import BytesIO
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
from fastavro import parse_schema, schemaless_writer

from processors.told import NONE, Longs, Names, OptionalLongs

_Unsigned = npt.NDArray[np.unsignedinteger[Any]]

_LONGS = parse_schema({"type": "array", "items": "long"})
_TEXTS = parse_schema({"type": "array", "items": "string"})

_END = b"\0"


class _Width(NamedTuple):
    """How varints of up to so many bytes come out of one machine word.

    Attributes:
        word: unsigned, a byte for each of the varint's.
        steps: (mask of what stays, mask of what moves, by how many bits): after the last, each byte holds seven bits.
        higher: shifts that bring to each byte what any byte above it holds.
    """

    word: type[np.unsignedinteger[Any]]
    steps: tuple[tuple[int, int, int], ...]
    higher: tuple[int, ...]


_WIDTHS: tuple[_Width, ...] = (
    _Width(np.uint16, ((0x7F, 0x3F80, 1),), ()),
    _Width(np.uint32, ((0x3FFF, 0xFFFC000, 2), (0x7F007F, 0x3F803F80, 1)), (8, 16)),
    _Width(
        np.uint64,
        (
            (0xFFFFFFF, 0xFFFFFFF0000000, 4),
            (0x3FFF00003FFF, 0xFFFC0000FFFC000, 2),
            (0x7F007F007F007F, 0x3F803F803F803F80, 1),
        ),
        (8, 16, 32),
    ),
)

_SHORT_TEXTS = tuple(chr(2 * length) for length in range(64))
"""The varint of a text's length, which is below 64: one byte, and ASCII itself."""


def longs(values: Sequence[int]) -> bytes:
    """An array of longs.

    Raises:
        Exception: a value is no integer, or leaves int64.
    """
    items = varints(_column(values))
    return _written(_LONGS, values) if items is None else _array(len(values), items)


def optional_longs(values: Sequence[int | None]) -> bytes:
    """An array of longs that may be null: before each stands its branch, 0 for null or 1, as a varint.

    So [5, null] is written as the longs 1, 5, 0 in an array that counts two items.

    Raises:
        Exception: as `longs`.
    """
    flat = _branched(values)
    items = varints(flat)
    if items is None:
        written = _written(_LONGS, flat.tolist())
        items = written[len(_count(len(flat))) : -len(_END)]
    return _array(len(values), items)


def texts(values: Sequence[str]) -> bytes:
    """An array of strings; of enumerations, too.

    Raises:
        Exception: a value is no string.
    """
    if not isinstance(values, Names):
        return _texts(values)
    if values.written is None:
        values.written = _texts(list(values))
    return values.written


def _texts(values: Sequence[str]) -> bytes:
    if values and values[0] == values[-1] and values.count(values[0]) == len(values):  # a column that says one thing
        one = _written(_TEXTS, values[:1])
        return _array(len(values), one[1 : -len(_END)] * len(values))
    try:
        joined = "".join([_SHORT_TEXTS[len(value)] + value for value in values])
    except IndexError:
        return _written(_TEXTS, values)
    return _array(len(values), joined.encode()) if joined.isascii() else _written(_TEXTS, values)


def varints(values: npt.NDArray[np.int64]) -> bytes | None:
    """Longs, one after the other, as Avro writes them; None where one takes more than 8 bytes."""
    zigzag = ((values << 1) ^ (values >> 63)).view(np.uint64)
    longest = -(-int(zigzag.max(initial=0)).bit_length() // 7)
    if longest <= 1:
        return zigzag.astype(np.uint8).tobytes()
    width = next((width for width in _WIDTHS if longest <= np.dtype(width.word).itemsize), None)
    return None if width is None else _packed(zigzag.astype(width.word), width)


def _packed(words: _Unsigned, width: _Width) -> bytes:
    number = width.word
    for stays, moves, by in width.steps:
        words = (words & number(stays)) | ((words & number(moves)) << number(by))
    above = words >> number(8)
    for by in width.higher:
        above |= above >> number(by)
    # A byte of seven bits, plus 127, has its highest bit where it was not 0: there something follows.
    every = int.from_bytes(b"\x01" * words.itemsize, "little")
    follows = (above + number(0x7F * every)) & number(0x80 * every)
    # Written is the first byte, and each that follows one.
    kept = ((follows << number(8)) | number(0x80)) >> number(7)
    little = words.dtype.newbyteorder("<")
    packed = (words | follows).astype(little, copy=False).view(np.uint8)
    return cast("bytes", packed[kept.astype(little, copy=False).view(np.bool_)].tobytes())


def _column(values: Sequence[int]) -> npt.NDArray[np.int64]:
    if isinstance(values, Longs):
        return values.column
    return np.frombuffer(struct.pack(f"{len(values)}q", *values), np.int64)


def _branched(values: Sequence[int | None]) -> npt.NDArray[np.int64]:
    """Each value behind the number of its branch. Most columns have no null, or nothing else: those need no look at each value."""
    if isinstance(values, OptionalLongs):
        return _interleaved(values.column, values.column != NONE)
    nulls = values.count(None)
    there = np.ones(len(values), bool) if not nulls else np.array([value is not None for value in values])
    known = cast("Sequence[int]", values) if not nulls else [0 if value is None else value for value in values]
    return _interleaved(_column(known), there)


def _interleaved(values: npt.NDArray[np.int64], there: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """1 and the value where there is one, else 0."""
    if not there.any():
        return np.zeros(values.size, np.int64)
    flat = np.empty((values.size, 2), np.int64)
    flat[:, 0] = there
    flat[:, 1] = values
    if there.all():
        return flat.ravel()
    kept = np.ones((values.size, 2), bool)
    kept[:, 1] = there
    return flat[kept]


def _array(number: int, items: bytes) -> bytes:
    return b"".join((_count(number), items, _END)) if number else _END


def _count(number: int) -> bytes:
    """A long that is not negative."""
    written = bytearray()
    rest = 2 * number
    while rest > 0x7F:
        written.append(rest & 0x7F | 0x80)
        rest >>= 7
    written.append(rest)
    return bytes(written)


def _written(schema: Any, values: Sequence[Any]) -> bytes:
    stream = BytesIO()
    schemaless_writer(stream, schema, list(values))  # fastavro takes none of its kinds
    return stream.getvalue()
