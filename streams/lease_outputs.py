"""What an engine tells of leases, for one journal partition: to each gateway its own, part by part and then the whole.

A report that is answered is told as one record of some 100 bytes; a lease that changes is that and the parts that changed, 2,000
tenants in 100 KB each. The whole stands behind its parts, and names the number of each: a reader takes all or nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from processors.leases.data import PartValues, lease_of, lease_touched, parts_since
from processors.state import PartitionState
from schemas.fact import Fact
from schemas.outputs import Lease, lease_key
from streams.codecs import encode
from streams.transport import Outgoing


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
        return self._slices([self._taken(pool, gateway) for pool, gateway in touched])

    def _taken(self, pool: str, gateway: str) -> tuple[tuple[str, str], Lease | None, list[PartValues], int]:
        """A gateway's lease, the parts that changed since it was told last, and how many parts were told before."""
        state = self._state.pools[pool]
        number, parts = self._told.pop((pool, gateway), (0, 0))
        lease = lease_of(state, gateway)
        if lease is None:
            return (pool, gateway), None, [], parts
        self._told[pool, gateway] = lease.number, len(lease.parts)
        return (pool, gateway), lease, parts_since(state, gateway, number), parts

    def _slices(self, taken: list[tuple[tuple[str, str], Lease | None, list[PartValues], int]]) -> Iterator[list[Outgoing]]:
        for (pool, gateway), lease, parts, told in taken:
            for part in parts:
                yield [self._outgoing(lease_key(pool, gateway, part.part), encode(part.told()))]
            ended = [] if lease is not None else [self._outgoing(lease_key(pool, gateway, part), None) for part in range(told)]
            yield [self._outgoing(lease_key(pool, gateway), None if lease is None else encode(lease)), *ended]

    def _outgoing(self, key: bytes, value: bytes | None) -> Outgoing:
        return Outgoing(self._topic, self._partition, key, value)
