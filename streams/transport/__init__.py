"""Our transport under Faust: batches in, declared offsets out, failed sends fatal.

`bourse://host:port` as an app's broker selects it. Agents, tables, the worker, rebalancing and the web view stay
Faust's.
"""

from streams.transport.batch import Batch, Committed, Outgoing, PartitionListener
from streams.transport.consumer import Consumer, consumer_of
from streams.transport.driver import SCHEME, Transport, attach
from streams.transport.producer import Producer, flushed, producer_of, send_all

__all__ = [
    "SCHEME",
    "Batch",
    "Committed",
    "Consumer",
    "Outgoing",
    "PartitionListener",
    "Producer",
    "Transport",
    "attach",
    "consumer_of",
    "flushed",
    "producer_of",
    "send_all",
]
