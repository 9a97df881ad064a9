"""Measured once: what each request used and how long it took, as events, also after the gateway was killed.

The gateway writes into its write-ahead files (streams/gateway/write_ahead.py), which costs a request two write()s; a process of its
own reads them behind it and publishes (streams/gateway/publishing.py). That process is started again whenever it ends, and ends
with the gateway. What neither lives to tell is told by the next gateway of this name.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from streams.gateway.write_ahead import Begun, Ended, WriteAhead, WriteAheadError
from streams.settings import Settings

log = logging.getLogger(__name__)

LOOK_S = 0.2
"""How often is looked whether the publisher runs, and which files nobody needs."""
AGAIN_S, LONGEST_AGAIN_S = 0.5, 30.0
"""A publisher that ended is started again after so long, twice as long each time, as one that can't start would fill the log."""
LASTING_S = 60.0
"""One that ran for so long had started well."""
END_S = 5.0
"""How long a publisher may take to end: longer than it waits for acknowledgements."""


class Metered:
    """What requests used, on its way to Kafka.

    Args:
        settings: how to reach Kafka.
        source: the gateway's name; with a request's id it identifies its events for ever.
        directory: of the write-ahead files.

    Raises:
        WriteAheadError: the files are another gateway's, or damaged.
        OSError: the directory can't be written.
    """

    def __init__(self, settings: Settings, source: str, directory: Path) -> None:
        self._settings = settings
        self._source = source
        self._files = WriteAhead(directory, time.time_ns() // 1_000_000)
        if self._files.lost:
            log.warning(
                "%d requests were running when this gateway died: they are settled at what they had reserved", self._files.lost
            )
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """From now on what ended is published; before, it is only written down."""
        self._thread = threading.Thread(target=self._look_after, args=(self._publisher(),), name="metered", daemon=True)
        self._thread.start()

    @property
    def running(self) -> int:
        """Requests that began and have not ended."""
        return self._files.running

    @property
    def lost(self) -> int:
        """Requests of which an earlier process knew only the beginning."""
        return self._files.lost

    @property
    def told_all(self) -> bool:
        """Whether everything that ended is known to Kafka."""
        return self._files.told_through == self._files.ends

    def begin(self, begun: Begun) -> None:
        """A request will be passed on.

        Raises:
            OSError: it can't be written down: do not pass it on.
        """
        self._files.begin(begun)

    def end(self, ended: Ended) -> None:
        """A request has ended.

        Raises:
            OSError: it can't be written down now; it is owed (`write_owed`).
        """
        self._files.end(ended)

    def write_owed(self) -> None:
        """Tries again to write down what could not be; by the thread of `begin` and `end`, now and then.

        Raises:
            OSError: it still can't be.
        """
        self._files.write_owed()

    def close(self, patience_s: float = 10.0) -> bool:
        """Waits until all that runs has ended and is told, and stops. False: not in time; the files keep it for the next start."""
        deadline = time.monotonic() + patience_s
        while (self.running or not self.told_all) and time.monotonic() < deadline:
            time.sleep(LOOK_S)
        done = self.told_all and not self.running
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        self._files.close()
        return done

    def _publisher(self) -> subprocess.Popen[bytes]:
        """The process; it ends when its standard input does, which nobody else holds."""
        command = [sys.executable, "-m", "streams.gateway.publishing", str(self._files.directory), self._source]
        environment = {**os.environ, **self._settings.as_environment()}
        return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)  # noqa: S603  our own module

    def _look_after(self, publisher: subprocess.Popen[bytes]) -> None:
        """Starts the publisher again whenever it has ended, and ends it with the gateway."""
        again_s, started = AGAIN_S, time.monotonic()
        while not self._closing.wait(LOOK_S):
            try:
                self._files.tidy()
            except (OSError, WriteAheadError) as broken:
                log.error("files that nobody needs stay: %s", broken)  # noqa: TRY400  no mistake of ours
            if publisher.poll() is None:
                continue
            again_s = AGAIN_S if time.monotonic() - started > LASTING_S else min(again_s * 2, LONGEST_AGAIN_S)
            log.error("the publisher ended (%d), and starts again in %g s; files keep usage", publisher.returncode, again_s)
            if self._closing.wait(again_s):
                break
            publisher, started = self._publisher(), time.monotonic()
        if publisher.stdin is not None:
            publisher.stdin.close()
        try:
            publisher.wait(END_S)
        except subprocess.TimeoutExpired:
            publisher.kill()
            publisher.wait()
