"""What an engine tells of how many replicas it asks for, for one journal partition: 150 bytes a scaled pool and tick."""

from __future__ import annotations

from collections.abc import Iterator

from processors.scaling.data import scale_of, scale_touched
from processors.state import PartitionState
from schemas.fact import Fact
from streams.codecs import encode
from streams.transport import Outgoing

ONLY_PARTITION = 0
"""Whoever runs replicas follows all pools: there is nothing to divide."""


class ScaleOutputs:
    """The scaled pools of one journal partition.

    Args:
        state: as the engine has it; read only.
        topic: full name of that which is written.
    """

    def __init__(self, state: PartitionState, topic: str) -> None:
        self._state = state
        self._topic = topic
        # A new owner tells of all, also that pools are scaled no more.
        self._touched: dict[str, None] = {pool.name: None for pool in state.pools.values() if pool.scaling is not None}

    @property
    def pending(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self._touched)

    def note(self, fact: Fact) -> None:
        """A fact was decided and recorded."""
        pool = self._state.pools.get(fact.pool)
        if pool is not None and pool.scaling is not None and scale_touched(fact):
            self._touched[fact.pool] = None

    def round(self, journal_offset: int) -> Iterator[list[Outgoing]]:
        """What is to be told, as it is now; only encoding waits until it is asked for."""
        touched, self._touched = self._touched, {}
        found = [(pool, scale_of(self._state.pools[pool], journal_offset)) for pool in touched]
        return (
            [Outgoing(self._topic, ONLY_PARTITION, pool.encode(), None if scale is None else encode(scale))]
            for pool, scale in found
        )
