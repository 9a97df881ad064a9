"""What an engine tells of leases, for one journal partition: to each gateway its own, part by part and then the whole.

A report that is answered is told as one record of some 100 bytes; a lease that changes is that and the parts that changed, 2,000
tenants in 100 KB each. The whole stands behind its parts, and names the number of each: a reader takes all or nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from processors.leases.data import PartValues, lease_of, lease_touched, parts_since
from processors.state import PartitionState
from schemas.fact import Fact
from schemas.outputs import Lease, lease_key
from streams.codecs import encode
from streams.transport import Outgoing


class _Now(NamedTuple):
    """What is to be told of a gateway.

    Attributes:
        lease: None: it has none.
        parts: that changed since it was told last.
        ended: keys of what was told of a lease that has ended.
    """

    lease: Lease | None
    parts: list[PartValues]
    ended: tuple[bytes, ...]


class LeaseOutputs:
    """The leases of one journal partition.

    Args:
        state: as the engine has it; read only.
        partition: of the journal, and so of the topic that is written.
        topic: full name of it.
    """

    def __init__(self, state: PartitionState, partition: int, topic: str) -> None:
        self._state = state
        self._partition = partition
        self._topic = topic
        # A new owner tells all there is; of gateways that left while nobody owned the partition, the leases have run out.
        self._touched: dict[tuple[str, str], None] = {
            (pool.name, gateway): None for pool in state.pools.values() for gateway in (pool.leases.gateways if pool.leases else ())
        }
        self._told: dict[tuple[str, str], tuple[int, int]] = {}

    @property
    def pending(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self._touched)

    def note(self, fact: Fact) -> None:
        """A fact was decided and recorded."""
        gateway = lease_touched(fact)
        if gateway is not None:
            self._touched[fact.pool, gateway] = None

    def round(self) -> Iterator[list[Outgoing]]:
        """What is to be told, as it is now; only encoding waits until it is asked for."""
        touched, self._touched = self._touched, {}
        return self._slices([self._now(pool, gateway) for pool, gateway in touched])

    def _now(self, pool: str, gateway: str) -> _Now:
        state = self._state.pools[pool]
        number, parts = self._told.pop((pool, gateway), (0, 0))
        lease = lease_of(state, gateway)
        if lease is None:
            waits = state.leases is not None and gateway in state.leases.gateways  # for its first one: there is nothing to tell
            ended = () if waits else (lease_key(pool, gateway), *(lease_key(pool, gateway, part) for part in range(parts)))
            return _Now(None, [], ended)
        self._told[pool, gateway] = lease.number, len(lease.parts)
        return _Now(lease, parts_since(state, gateway, number), ())

    def _slices(self, found: list[_Now]) -> Iterator[list[Outgoing]]:
        for lease, parts, ended in found:
            for part in parts:
                yield [self._outgoing(lease_key(part.pool, part.gateway, part.part), encode(part.told()))]
            if lease is not None:
                yield [self._outgoing(lease_key(lease.pool, lease.gateway), encode(lease))]
            if ended:
                yield [self._outgoing(key, None) for key in ended]

    def _outgoing(self, key: bytes, value: bytes | None) -> Outgoing:
        return Outgoing(self._topic, self._partition, key, value)
