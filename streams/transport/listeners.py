"""Who hears of assignments."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from faust.types import TP

from streams.transport.batch import Committed, PartitionListener


class Listeners:
    """The roles of an app, each with the topics that it reads."""

    def __init__(self) -> None:
        self._attached: list[tuple[PartitionListener, frozenset[str] | None]] = []

    def attach(self, listener: PartitionListener, topics: Collection[str] | None) -> None:
        """Tell `listener` of the partitions of `topics`; of all, if None."""
        self._attached.append((listener, None if topics is None else frozenset(topics)))

    async def assigned(self, committed: Mapping[TP, Committed]) -> dict[TP, int]:
        """Ask everyone where to start.

        Raises:
            AssertionError: a listener named a partition that it was not asked for, or that another one has named.
        """
        positions: dict[TP, int] = {}
        for listener, topics in self._attached:
            concerned = {tp: kept for tp, kept in committed.items() if topics is None or tp.topic in topics}
            for tp, offset in (await listener.assigned(concerned)).items():
                if tp not in concerned or tp in positions:
                    text = f"{type(listener).__name__} starts {tp}, which is not its own"
                    raise AssertionError(text)
                positions[tp] = offset
        return positions

    async def revoked(self, tps: set[TP]) -> None:
        """Tell everyone, in the reverse order."""
        for listener, topics in reversed(self._attached):
            await listener.revoked({tp for tp in tps if topics is None or tp.topic in topics})
