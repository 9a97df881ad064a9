"""Errors whose cause is what the user gave or where the command runs: shown as one line, never as a traceback."""

from __future__ import annotations


class UserError(Exception):
    """A message for the person at the terminal, with the command's exit code.

    Attributes:
        exit_code: 1 a check failed or something is down, 2 bad usage or bad input.
    """

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class BadInput(UserError):  # noqa: N818  it is read at the call site as what the user gave, not as a failure of ours
    """What the user wrote can't be taken: a flag, a setting, a file, a query. Exit code 2."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=2)


class Unavailable(UserError):  # noqa: N818  names the state of a part (broker, ClickHouse), as `status` prints it
    """A part that the command needs is down or does not answer. Exit code 1."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=1)
