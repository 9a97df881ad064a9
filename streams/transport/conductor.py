"""Hands batches to the streams of agents; changelogs of tables take Faust's own way."""

from __future__ import annotations

from collections.abc import Iterable

from faust.transport.conductor import Conductor as FaustConductor
from faust.types import Message


class Conductor(FaustConductor):
    """Faust's conductor, with a door for batches."""

    # Faust waits 45 s before it subscribes to topics that agents ask for after the start.
    _resubscribe_sleep_lock_seconds = 0.1

    async def _update_indices(self) -> Iterable[str]:
        topics = await super()._update_indices()
        # Faust's bookkeeping of acknowledged offsets is off for every topic: only declared offsets are committed.
        self._acking_topics.clear()
        return topics

    def deliver(self, message: Message) -> None:
        """Put a batch into the queue of every stream of its partition.

        It is not decoded, never waits and never drops: the consumer keeps at most a few batches of a partition in flight, which
        bounds the queues.

        Raises:
            RuntimeError: no agent reads the topic; dropping its records in silence would lose them.
        """
        channels = self._tp_index.get(message.tp)
        if not channels:
            text = f"nobody reads {message.tp}, which this worker is subscribed to"
            raise RuntimeError(text)
        message.incref(len(channels))
        event = self.app.create_event(None, message.value, None, message)
        for channel in channels:
            channel.queue.force_put_nowait(event)
