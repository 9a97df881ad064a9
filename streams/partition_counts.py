"""How many partitions a topic has, as the broker says: a cluster that is not ours need not agree with our settings."""

from __future__ import annotations

import faust

from streams.transport import producer_of


async def partition_count(app: faust.App, topic: str) -> int:
    """Partitions of a topic; known without asking once a record was sent there, and refreshed every five minutes.

    Raises:
        Exception: aiokafka's, where the topic does not exist.
    """
    client = producer_of(app)._ensure_producer()  # noqa: SLF001  Faust offers the metadata of topics only to who reads them
    return len(await client.partitions_for(topic))
