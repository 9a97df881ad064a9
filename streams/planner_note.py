"""What the planner did last, as it notes it in its home's `run` for `bourse status`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from streams.settings import Settings


@dataclass(frozen=True, slots=True)
class PlannerNote:
    """Times in ms since 1970, by the clock's ticks.

    Attributes:
        noted_at: when.
        planned: pool -> end of the history from which it was planned last.
        waiting_since: since when ClickHouse does not answer; None if it does.
    """

    noted_at: int
    planned: Mapping[str, int] = field(default_factory=dict)
    waiting_since: int | None = None

    @classmethod
    def read(cls, settings: Settings) -> PlannerNote | None:
        """None if no planner of this home has noted anything yet."""
        try:
            return cls(**json.loads(_file(settings).read_text()))
        except FileNotFoundError:
            return None

    def write(self, settings: Settings) -> None:
        """Whole or not at all."""
        file = _file(settings)
        file.parent.mkdir(parents=True, exist_ok=True)
        whole = file.with_suffix(f".{os.getpid()}")
        whole.write_text(json.dumps(asdict(self)))
        whole.replace(file)


def _file(settings: Settings) -> Path:
    return settings.run_dir / "planner.json"
