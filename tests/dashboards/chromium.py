"""A headless Chromium, driven through its own debugging protocol on a pair of pipes: pages as a person's browser shows them.

https://chromedevtools.github.io/devtools-protocol: messages are JSON, each ended by a zero byte; Chromium reads them from file
descriptor 3 and writes to 4.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",  # it would look for hosts that a test machine does not reach
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
ANSWER_S = WAIT_S = 60.0


class Tab:
    """One page. `complaints` gathers what it wrote to the console as a warning or an error, and what it could not load."""

    def __init__(self, sending: int, receiving: int) -> None:
        self.complaints: list[str] = []
        self._sending, self._receiving = sending, receiving
        self._number = 0
        self._read = b""
        self._session: str | None = None
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def open(self, url: str, width: int = 1400, height: int = 1000) -> None:
        """Shows a page in a window of this size; what was complained of before is forgotten."""
        self.resize(width, height)
        self._call("Page.navigate", url=url)
        self.complaints.clear()

    def resize(self, width: int, height: int = 1000) -> None:
        """Gives the window another size."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression, as JSON has it."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def until(self, script: str) -> None:
        """Waits until an expression holds."""
        deadline = time.monotonic() + WAIT_S
        while not self.evaluate(f"!!({script})"):
            assert time.monotonic() < deadline, f"never true: {script}; complaints: {self.complaints}"
            time.sleep(0.05)

    def picture(self, path: Path) -> None:
        """The whole page, however long, as a PNG."""
        shot = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _call(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        told: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            told["sessionId"] = self._session
        os.write(self._sending, json.dumps(told).encode() + b"\0")
        while True:
            message = self._message()
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self._note(message.get("method", ""), message.get("params", {}))

    def _message(self) -> Any:
        while b"\0" not in self._read:
            readable, _, _ = select.select([self._receiving], [], [], ANSWER_S)
            more = os.read(self._receiving, 1 << 16) if readable else b""
            assert more, "Chromium says nothing any more"
            self._read += more
        message, _, self._read = self._read.partition(b"\0")
        return json.loads(message)

    def _note(self, method: str, told: Any) -> None:
        if method == "Runtime.consoleAPICalled" and told["type"] in {"error", "warning", "assert"}:
            self.complaints.append(" ".join(str(each.get("value", each.get("description"))) for each in told["args"]))
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(told["exceptionDetails"].get("exception", {}).get("description", told)))
        elif method == "Log.entryAdded" and told["entry"]["level"] in {"error", "warning"}:
            self.complaints.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
        elif method == "Network.loadingFailed" and not told.get("canceled"):
            self.complaints.append(f"not loaded: {told.get('errorText')}")


@contextmanager
def chromium(profile: Path) -> Iterator[Tab]:
    """A browser with an empty profile in this folder, stopped in the end."""
    assert PROGRAM is not None
    to_read, sending = os.pipe()
    receiving, to_write = os.pipe()
    # The shell only moves the pipes' ends to where Chromium looks for them. Not sh: dash knows descriptors of one digit only.
    moved = f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}'
    command = ["bash", "-c", moved, PROGRAM, *ARGUMENTS, f"--user-data-dir={profile}"]
    process = subprocess.Popen(command, pass_fds=(to_read, to_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(to_read)
    os.close(to_write)
    try:
        yield Tab(sending, receiving)
    finally:
        os.close(sending)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(receiving)
