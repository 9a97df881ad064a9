"""What the backend counted itself: the truth that others' accounts are compared with.

A request counts when it has ended, before its end is told to anybody, under its `user` and under its header `x-request-id`. With a
file each is a line there before it counts, written at once: after kill -9 the counts go on from it, and a request that was inside
then stands nowhere. Names beyond the latest 100,000 of each kind are forgotten (50 MB); the total is not.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from infra.backend.replicas import Outcome
from streams.errors import BadInput

MOST_NAMES = 100_000


class Who(NamedTuple):
    """Whose request it is, as far as it said so."""

    user: str | None
    request: str | None


@dataclass(slots=True)
class Tally:
    """Requests and tokens by how they ended; `input` and `output` of those that were answered."""

    requests: int = 0
    input: int = 0
    output: int = 0
    cancelled: int = 0
    cancelled_input: int = 0
    cancelled_output: int = 0
    failed: int = 0
    failed_input: int = 0
    failed_output: int = 0

    def add(self, outcome: Outcome, input_tokens: int, output_tokens: int) -> None:
        """One request more."""
        match outcome:
            case Outcome.ANSWERED:
                self.requests += 1
                self.input += input_tokens
                self.output += output_tokens
            case Outcome.CANCELLED:
                self.cancelled += 1
                self.cancelled_input += input_tokens
                self.cancelled_output += output_tokens
            case Outcome.FAILED:
                self.failed += 1
                self.failed_input += input_tokens
                self.failed_output += output_tokens


class Counted:
    """The tallies, and the file that keeps them if there is one."""

    def __init__(self, path: Path | None = None) -> None:
        """Goes on from what the file says.

        Raises:
            BadInput: it can't be opened, or is not such a file.
        """
        self.total = Tally()
        self.users: dict[str, Tally] = {}
        self.requests: dict[str, Tally] = {}
        self._file = None
        if path is not None:
            try:
                self._file = path.open("a+b", buffering=0)
                self._restore()
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise BadInput(f"{path}: not a file of this backend's counts: {error}") from None

    def add(self, who: Who, outcome: Outcome, input_tokens: int, output_tokens: int) -> None:
        """A request has ended."""
        if self._file is not None:
            line = {"user": who.user, "request": who.request, "outcome": outcome, "input": input_tokens, "output": output_tokens}
            self._file.write(json.dumps(line).encode() + b"\n")
        self._count(who, outcome, input_tokens, output_tokens)

    def told(self) -> dict[str, Any]:
        """As `/counted` answers."""
        return {
            "total": asdict(self.total),
            "users": {name: asdict(tally) for name, tally in self.users.items()},
            "requests": {name: asdict(tally) for name, tally in self.requests.items()},
        }

    def close(self) -> None:
        """Nothing more is counted."""
        if self._file is not None:
            self._file.close()

    def _restore(self) -> None:
        if self._file is None:
            return
        self._file.seek(0)
        whole = 0
        for line in self._file.read().splitlines(keepends=True):
            if not line.endswith(b"\n"):  # torn by the end of the machine; nobody was told
                break
            whole += len(line)
            kept = json.loads(line)
            self._count(Who(kept["user"], kept["request"]), Outcome(kept["outcome"]), int(kept["input"]), int(kept["output"]))
        self._file.truncate(whole)

    def _count(self, who: Who, outcome: Outcome, input_tokens: int, output_tokens: int) -> None:
        tallies = [self.total]
        for names, name in ((self.users, who.user), (self.requests, who.request)):
            if name is not None:
                tallies.append(names.setdefault(name, Tally()))
                if len(names) > MOST_NAMES:
                    del names[next(iter(names))]
        for tally in tallies:
            tally.add(outcome, input_tokens, output_tokens)
