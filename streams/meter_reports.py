"""Reads the reports of meters, of which journals mostly consist, five to ten times as fast as `decode`.

fastavro asks its stream for every byte, 1.3 µs a tenant of `usage_sums`. Two things spare that. Arrays of longs that follow each
other are one row of Avro's variable-length longs: counts, items and ends alike. numpy reads them all at once, 20 ns each. And a
meter names its tenants in order, so that where the same ones are active the column of names is, byte for byte, the last one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.evolution import Fields, registry
from schemas.journal import AdmissionSums, LatencySums, UsageSums
from schemas.model import Event
from schemas.shape import shapes
from streams.codecs import HEADER_BYTES, MAGIC, UnreadableRecord, build, decode

Longs = npt.NDArray[np.int64]

REPORTS: tuple[type[Event], ...] = (UsageSums, LatencySums, AdmissionSums)
HEAD = ("pool", "meter_topic", "meter_partition", "tick", "chunk", "tenant")
"""With these a report begins; nothing but columns of longs follows."""
LONGEST = 10
"""Bytes of a long: seven of its 64 bits in each, and one in the last."""


class ReportReader:
    """Reads one journal's records; keeps of each meter, pool and chunk the last column of tenants.

    Reports of the same tenants share their list: nobody may change it. Memory: 90 bytes a tenant of a pool, 9 MB of 100,000.
    """

    __slots__ = ("_forms", "_tenants")

    def __init__(self) -> None:
        current = [(mark, written.model) for mark, written in registry().items() if written.current and written.model in REPORTS]
        self._forms = {MAGIC + mark: (model, _columns(model)) for mark, model in current}
        self._tenants: dict[tuple[Any, ...], tuple[bytes, list[str]]] = {}

    def read(self, data: bytes) -> Event:
        """A record's value -> the event, as `decode` reads it; but columns of usage are int64 arrays, as a fold adds them up.

        Raises:
            UnreadableRecord: no event of ours; or it is cut, too long or otherwise not what its schema says.
        """
        form = self._forms.get(data[:HEADER_BYTES])
        if form is None:
            return decode(data)
        model, columns = form
        try:
            return build(model, self._fields(model, columns, data))
        except IndexError as error:
            raise UnreadableRecord(f"Avro: {model.KIND}: cut after {len(data)} bytes") from error
        except ValueError as error:
            raise UnreadableRecord(f"Avro: {model.KIND}: {error}") from error

    def _fields(self, model: type[Event], columns: list[str], data: bytes) -> Fields:
        pool, at = _text(data, HEADER_BYTES)
        topic, at = _text(data, at)
        partition, at = _long(data, at)
        tick, at = _long(data, at)
        chunk, at = _long(data, at)
        place = (model, pool, topic, partition, chunk)
        written, tenants = self._tenants.get(place, (b"", []))
        if not written or not data.startswith(written, at):
            tenants, end = _texts(data, at)
            written = data[at:end]
            self._tenants[place] = written, tenants
        fields: Fields = dict(zip(HEAD, (pool, topic, partition, tick, chunk, tenants), strict=True))
        arrays = _arrays(longs(data, at + len(written)), len(columns))
        if model is UsageSums:
            return fields | dict(zip(columns, arrays, strict=True))
        return fields | {name: array.tolist() for name, array in zip(columns, arrays, strict=True)}


def _columns(model: type[Event]) -> list[str]:
    """Names of a report's columns of longs."""
    head, rest = shapes(model)[: len(HEAD)], shapes(model)[len(HEAD) :]
    of_longs = all(shape.base is int and shape.listed and not shape.nullable and not shape.item_nullable for shape in rest)
    if tuple(shape.name for shape in head) != HEAD or not of_longs:
        raise TypeError(f"{model.KIND}: is not {', '.join(HEAD)} and columns of longs")
    return [shape.name for shape in rest]


def longs(data: bytes, start: int) -> Longs:
    """All longs from `start` to the end of `data`: seven bits a byte, the lowest first; odd ones are negative (zig-zag).

    Raises:
        IndexError: there are none, or the last one is cut.
        ValueError: one has more than 64 bits.
    """
    raw = np.frombuffer(data, np.uint8, offset=start)
    last = np.flatnonzero(raw < 128)
    if not len(last) or last[-1] != len(raw) - 1:
        raise IndexError
    length = np.diff(last, prepend=-1)
    value = raw[last].astype(np.uint64)
    if length.max() >= LONGEST and ((length > LONGEST) | ((length == LONGEST) & (value > 1))).any():
        raise ValueError("a number has more than 64 bits")
    before, longer = 1, np.flatnonzero(length > 1)
    while len(longer):
        value[longer] = value[longer] << 7 | raw[last[longer] - before] & 127
        before += 1
        longer = longer[length[longer] > before]
    return (value >> 1).view(np.int64) ^ -(value & 1).view(np.int64)


def _arrays(row: Longs, columns: int) -> Iterator[Longs]:
    """Takes a row of longs apart.

    An array is blocks, each behind the number of its items, and a 0; a block whose number is negative states its size in bytes
    besides, for readers that skip it.
    """
    at = 0
    for _ in range(columns):
        blocks: list[Longs] = []
        while count := int(row[at]):
            at += 1 if count > 0 else 2
            block = row[at : at + abs(count)]
            if len(block) != abs(count):
                raise IndexError
            blocks.append(block)
            at += len(block)
        at += 1
        yield blocks[0] if len(blocks) == 1 else np.concatenate([row[:0], *blocks])
    if at != len(row):
        raise ValueError(f"{len(row) - at} numbers left over")


def _long(data: bytes, at: int) -> tuple[int, int]:
    """A long, and where it ends."""
    value = 0
    for place in range(LONGEST):
        byte = data[at + place]
        value |= (byte & 127) << 7 * place
        if byte < 128:
            break
    if byte > 127 or value >> 64:
        raise ValueError("a number has more than 64 bits")
    return value >> 1 ^ -(value & 1), at + place + 1


def _text(data: bytes, at: int) -> tuple[str, int]:
    """A string, and where it ends."""
    size, start = _long(data, at)
    end = start + size
    if size < 0:
        raise ValueError(f"a text of {size} bytes")
    if end > len(data):
        raise IndexError
    return data[start:end].decode(), end


def _texts(data: bytes, at: int) -> tuple[list[str], int]:
    """An array of strings, and where it ends. See `_arrays`."""
    texts: list[str] = []
    end = len(data)
    count, at = _long(data, at)
    while count:
        if count < 0:
            _, at = _long(data, at)
        for _ in range(abs(count)):
            twice = data[at]
            if twice & 129:  # a text of 64 bytes or more, or what is no length
                text, at = _text(data, at)
            else:
                start, at = at + 1, at + 1 + (twice >> 1)
                if at > end:
                    raise IndexError
                text = data[start:at].decode()
            texts.append(text)
        count, at = _long(data, at)
    return texts, at


__all__ = ["REPORTS", "ReportReader", "longs"]
