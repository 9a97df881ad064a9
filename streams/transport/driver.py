"""The transport that Faust loads for `bourse://host:port` addresses."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar, cast

import faust
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types import AppT
from faust.types.transports import ConductorT, ConsumerT, ProducerT

from streams.transport.batch import PartitionListener
from streams.transport.conductor import Conductor
from streams.transport.consumer import Consumer
from streams.transport.listeners import Listeners
from streams.transport.producer import Producer

SCHEME = "bourse"

TRANSPORTS.aliases[SCHEME] = "streams.transport.driver:Transport"


class Transport(driver.Transport):
    """Faust's Kafka driver with batches, declared offsets and fatal sends. Several brokers: `bourse://a:9092;b:9092`."""

    Consumer: ClassVar[type[ConsumerT]] = Consumer
    Producer: ClassVar[type[ProducerT]] = Producer
    Conductor: ClassVar[type[ConductorT]] = Conductor

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.listeners = Listeners()


def attach(app: AppT, listener: PartitionListener, topics: Collection[str] | None = None) -> None:
    """Let a role hear of its partitions and say where to start. Call it before the app starts.

    Args:
        app: an app whose broker is a `bourse://` address.
        listener: the role.
        topics: names of the topics that it reads; None: all of the app, changelogs excepted.
    """
    cast("Transport", cast("faust.App", app).transport).listeners.attach(listener, topics)
