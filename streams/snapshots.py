"""Snapshots of the engine's state in a Faust table, so that a restart folds only the end of the journal.

A snapshot of journal partition p is many records of the table, all under keys that begin with p, so that no record grows with
the pool: for each pool chunks of its tenants, the ids of seen commands, and a marker that says which of them belong together.
Chunks have two places, written in turn: while a snapshot is written, the marker still names the places of the one before it.

    write    1. chunks whose bytes changed, each to the place that the marker does not name
             2. wait until the broker has acknowledged them
             3. the marker, which names all places and the next journal offset
             4. wait again: only now the snapshot counts
    A crash before 4 leaves the old marker and everything that it names. A worker that was frozen and writes after its
    partition was given to another one can spoil a chunk: the marker holds digests, and a snapshot that does not match
    them is not loaded; the journal is folded from its beginning instead, to the same state.

100,000 tenants: 50 chunks; a chunk of 2,000 tenants is 600 KB and packs to about 60 KB, as most columns are equal or small. With
forecasts 589 more, of which a period changes 197: 30 MB packed (processors/forecast/dumping.py).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import zstandard

from processors.snapshot import (
    PoolDump,
    SnapshotFormatError,
    dump_commands,
    dump_partition,
    dump_pool,
    load_commands,
    load_partition,
    load_pool,
)
from processors.state import PartitionState

Table = MutableMapping[bytes, bytes]
"""The Faust table: keys and values are bytes, writes go to the changelog partition of the event that is being handled."""

_COUNT = {"pool": "chunks", "market": "market", "latencies": "latencies", "mixture": "mixture", "leases": "leases"}
"""What a chunk holds -> the marker's field that counts them; a snapshot of an older release has not all of them."""

logger = logging.getLogger(__name__)

_PACK = zstandard.ZstdCompressor(level=1)
_UNPACK = zstandard.ZstdDecompressor()


class SpoiledSnapshotError(Exception):
    """A chunk is not the one that the marker names."""


@dataclass(slots=True)
class Place:
    """Where a chunk lies: which of its two places, and the digest of what is there."""

    turn: int
    digest: bytes


@dataclass(slots=True)
class SnapshotStore:
    """The snapshots of one journal partition."""

    partition: int
    table: Table
    places: dict[str, Place] = field(default_factory=dict)

    def load(self) -> tuple[PartitionState, int]:
        """State and the journal offset from which to go on; a new state and 0 where there is no snapshot to go by.

        A snapshot in the format of another version, or one whose chunks are not those that its marker names, is no snapshot.
        """
        packed = self.table.get(self._key("marker", 0))
        self.places.clear()
        if packed is None:
            return PartitionState(), 0
        marker = json.loads(_UNPACK.decompress(packed))
        try:
            return self._load(marker), int(marker["next_offset"])
        except (SnapshotFormatError, SpoiledSnapshotError) as unusable:
            logger.warning("journal partition %s is folded from its beginning: %s", self.partition, unusable)
            self.places.clear()
            return PartitionState(), 0

    async def write(
        self,
        state: PartitionState,
        next_offset: int,
        durable: Callable[[], Awaitable[None]],
        ours: Callable[[], bool],
    ) -> bool:
        """Write a snapshot, in the steps above; must run inside the handling of an event of the journal partition.

        Args:
            state: what all records below `next_offset` came to.
            next_offset: the first journal offset that is not in `state`.
            durable: waits until what was written to the table is acknowledged.
            ours: whether the partition is still this worker's; asked before the marker is written.

        Returns:
            Whether the snapshot counts.
        """
        places = {}
        commands = dump_commands(state)
        marker: dict[str, Any] = {"next_offset": next_offset, "partition": dump_partition(state).decode(), "pools": {}}
        marker["commands"] = len(commands)
        for number, chunk in enumerate(commands):
            part = f"commands/{number}"
            places[part] = self._put(part, chunk)
        for name, pool in sorted(state.pools.items()):
            dump = dump_pool(pool)
            bodies = dump.bodies
            counts = {_COUNT[kind]: len(chunks) for kind, chunks in bodies.items()}
            marker["pools"][name] = {"header": dump.header.decode(), **counts}
            for kind, chunks in bodies.items():
                for number, chunk in enumerate(chunks):
                    part = f"{kind}/{name}/{number}"
                    places[part] = self._put(part, chunk)
        marker["places"] = {part: [place.turn, place.digest.hex()] for part, place in places.items()}
        await durable()
        if not ours():
            return False
        self.table[self._key("marker", 0)] = _PACK.compress(json.dumps(marker, sort_keys=True).encode())
        await durable()
        self.places = places
        return True

    def _put(self, part: str, data: bytes) -> Place:
        digest = blake2b(data, digest_size=16).digest()
        now = self.places.get(part)
        if now is not None and now.digest == digest:
            return now
        place = Place(0 if now is None else 1 - now.turn, digest)
        self.table[self._key(part, place.turn)] = _PACK.compress(data)
        return place

    def _get(self, part: str, place: list[Any]) -> bytes:
        turn, digest = int(place[0]), bytes.fromhex(place[1])
        packed = self.table.get(self._key(part, turn))
        try:
            data = b"" if packed is None else _UNPACK.decompress(packed)
        except zstandard.ZstdError as error:
            raise SpoiledSnapshotError(f"{part}: place {turn}: {error}") from error
        if packed is None or blake2b(data, digest_size=16).digest() != digest:
            raise SpoiledSnapshotError(f"{part}: place {turn} does not hold what the marker says")
        self.places[part] = Place(turn, digest)
        return data

    def _load(self, marker: dict[str, Any]) -> PartitionState:
        places: dict[str, list[Any]] = marker["places"]
        state = load_partition(marker["partition"].encode())
        parts = [f"commands/{number}" for number in range(marker["commands"])]
        load_commands(state, [self._get(part, places[part]) for part in parts])
        for name, pool in marker["pools"].items():
            bodies = {
                kind: [
                    self._get(part, places[part]) for part in (f"{kind}/{name}/{number}" for number in range(pool.get(count, 0)))
                ]
                for kind, count in _COUNT.items()
            }
            state.pools[name] = load_pool(PoolDump(pool["header"].encode(), *(bodies[kind] for kind in _COUNT)))
        return state

    def _key(self, part: str, turn: int) -> bytes:
        return f"{self.partition}/{part}/{turn}".encode()
