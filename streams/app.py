"""The Faust app of a role, with the settings under which our transport keeps its promises."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import faust
import mode
from faust.tables import TableManager as FaustTableManager
from faust.types.auth import CredentialsT
from faust.worker import Worker as FaustWorker

from streams.partitioning import partition_by_key
from streams.transport import SCHEME
from streams.transport.consumer import MAX_RECORDS

MAX_BATCH_BYTES = 900_000
"""Of one batch to one partition: below the 1,048,588 bytes that a broker takes by default (`message.max.bytes`)."""

MAX_REQUEST_BYTES = 16 << 20
"""Of one record: a dead letter holds what a client sent, 8 MiB at most, and its context."""

SEND_TIMEOUT_S = 120.0
"""A record that the brokers don't take within this fails, and with it the worker. Longer than any restart of a broker."""


NEVER_S = 10 * 365 * 86_400.0
"""A worker never leaves its group for not fetching. It may have to wait long for ClickHouse, its heartbeats tell that it lives, and
aiokafka would not let it come back before it fetches, which without partitions it never does."""


class TableManager(FaustTableManager):
    """Faust's waits a second for tables that are still to be declared; ours are declared before the app starts."""

    async def on_start(self) -> None:
        """Register the tables and start their recovery."""
        await self._update_channels()
        await self.recovery.start()


class Seldom(logging.Filter):
    """Lets each message of aiokafka through once in a while: without a broker it repeats itself eighty times a second."""

    def __init__(self, every_s: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._every_s, self._clock = every_s, clock
        self._said: dict[tuple[str, str], float] = {}  # of each place in aiokafka's source, so it stays small

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log it. Informational messages always: they are few, and each tells something new."""
        if record.levelno < logging.WARNING or not record.name.startswith("aiokafka"):
            return True
        now, place = self._clock(), (record.name, str(record.msg))
        if now - self._said.get(place, -self._every_s) < self._every_s:
            return False
        self._said[place] = now
        return True


class Worker(FaustWorker):
    """Faust's sleeps a second before it closes its loop."""

    def on_setup_root_logger(self, logger: logging.Logger, level: int) -> None:
        """Faust has set up the handlers of the log."""
        super().on_setup_root_logger(logger, level)
        for handler in logger.handlers:
            handler.addFilter(Seldom())

    async def _sentinel_task(self) -> None:
        """Nothing runs any more: there is nothing to wait for."""


def build_app(
    role: str,
    *,
    brokers: str,
    datadir: Path,
    web_port: int | None = None,
    web_host: str = "127.0.0.1",
    credentials: CredentialsT | None = None,
    session_timeout_s: float = 10.0,
    commit_interval_s: float = 1.0,
    linger_s: float = 0.0,
    max_batch_records: int = MAX_RECORDS,
    changelog_partitions: int = 1,
) -> faust.App:
    """An app without agents.

    Args:
        role: name of the consumer group, the same for all workers of a role.
        brokers: `host:port`, several separated by commas.
        datadir: a directory of this worker's own.
        web_port: of Faust's web view; None: no web view.
        web_host: the address on which the web view listens, and at which other workers of the group find it.
        credentials: TLS and SASL.
        session_timeout_s: after which a dead worker's partitions move to another one, s; a broker takes at least 6
            (`group.min.session.timeout.ms`).
        commit_interval_s: between commits of what was declared safe, s.
        linger_s: how long the producer waits for more records to send together, s.
        max_batch_records: of one fetch.
        changelog_partitions: of tables; their changelog topics, `<role>-<table>-changelog`, are created by us, not by Faust.
    """
    return faust.App(
        role,
        broker=f"{SCHEME}://" + ";".join(part.strip() for part in brokers.split(",")),
        broker_credentials=credentials,
        datadir=str(datadir),
        autodiscover=False,
        # Delivery. The transport decides what is safe; a broken invariant stops the process, whose supervisor starts it again.
        processing_guarantee="at_least_once",
        agent_supervisor=mode.CrashingSupervisor,
        stream_wait_empty=True,  # calls the transport's hand-over when the worker stops
        stream_publish_on_commit=False,
        broker_commit_interval=commit_interval_s,
        broker_commit_every=None,
        broker_max_poll_records=max_batch_records,
        consumer_auto_offset_reset="earliest",
        # Fail-over: a dead worker is noticed after the session, the others hear of it at their next heartbeat. A rebalance waits
        # longer for a worker that lives but is busy, such as with a role's `revoked`.
        broker_session_timeout=session_timeout_s,
        broker_heartbeat_interval=min(1.0, session_timeout_s / 6),
        broker_request_timeout=max(30.0, session_timeout_s),
        broker_rebalance_timeout=30.0,
        broker_max_poll_interval=NEVER_S,
        # Sending.
        producer_partitioner=partition_by_key,
        producer_acks=-1,
        producer_linger=linger_s,
        producer_max_batch_size=MAX_BATCH_BYTES,
        producer_max_request_size=MAX_REQUEST_BYTES,
        producer_request_timeout=SEND_TIMEOUT_S,
        # Topics are ours to create, with the partitions that must agree.
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=changelog_partitions,
        # Tables: a snapshot is small, so memory and the changelog are enough.
        store="memory://",
        table_standby_replicas=0,
        stream_recovery_delay=0.0,
        TableManager=TableManager,
        key_serializer="raw",
        value_serializer="raw",
        # The process.
        Worker=Worker,
        web_enabled=web_port is not None,
        web_host=web_host,
        web_bind=web_host,
        web_port=web_port or 6066,
        worker_redirect_stdouts=False,
    )


def run_app(app: faust.App, *, loglevel: str = "INFO") -> NoReturn:
    """Run a worker in this process until SIGTERM or a crash, and exit: 0 after a clean stop, 1 after a crash."""
    app.conf.datadir.mkdir(parents=True, exist_ok=True)
    app.finalize()
    worker = app.Worker(loglevel=loglevel, quiet=True)
    worker.spinner = None  # above INFO Faust would draw one into the log
    worker.execute_from_commandline()
