"""A role in a process of its own, as `bourse worker` runs it. Settings come from the environment.

Arguments: role, name, and faults that can't be made otherwise, in JSON: `ahead_ms`, by how much its clock is ahead; `group`, a
consumer group of its own, so that it owns what another worker owns, too.
"""

from __future__ import annotations

import json
import sys

from streams import worker
from streams.roles import clock
from streams.settings import Settings

if __name__ == "__main__":
    role, name, told = sys.argv[1:]
    faults = json.loads(told)
    right = clock.now_ms
    clock.now_ms = lambda: right() + faults.get("ahead_ms", 0)
    if "group" in faults:
        worker.group = lambda _settings, _role: faults["group"]
    worker.run(role, Settings.load(), name)
