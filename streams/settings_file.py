"""Where settings come from, `bourse.toml` and `BOURSE_…`, and what is said of a name or a value in them that is wrong.

The settings themselves: streams/settings.py.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from streams.errors import BadInput

PREFIX = "BOURSE_"
CONFIG_NAME = "bourse.toml"
DEFAULT_HOME = Path(".bourse")


def config_path(home: object = None) -> Path | None:
    """The `bourse.toml` in use: of the working directory, else of the home directory; None if there is none."""
    directory = home or os.environ.get(PREFIX + "HOME") or DEFAULT_HOME
    candidates = (Path(CONFIG_NAME), Path(str(directory)).expanduser() / CONFIG_NAME)
    return next((path for path in candidates if path.is_file()), None)


def read_config(home: object, known: Collection[str]) -> dict[str, Any]:
    """The keys of `bourse.toml`, all of them among the `known` settings.

    Raises:
        BadInput: it is not TOML, or has a key that is no setting.
    """
    path = config_path(home)
    if path is None:
        return {}
    try:
        keys = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as unreadable:
        message = f"{path}: {unreadable}"
        raise BadInput(message) from unreadable
    for key in keys:
        if key not in known:
            message = f"{path}: unknown setting {key!r}{_meant(key, known)}"
            raise BadInput(message)
    return keys


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return (PREFIX + name).upper()


def unknown_environment(known: Collection[str]) -> list[str]:
    """One warning for each `BOURSE_…` variable that is no setting: a typo would otherwise change nothing, silently."""
    variables = [variable(name) for name in known]
    return [
        f"{name} is no setting and changes nothing{_meant(name, variables)}"
        for name in sorted(os.environ)
        if name.startswith(PREFIX) and name not in variables
    ]


def explain(invalid: ValidationError, flags: Mapping[str, object]) -> str:
    """A line for each value that is wrong: the setting, the value, where it came from, and why."""
    return "\n".join(_explain_one(error, flags) for error in invalid.errors())


def _explain_one(error: ErrorDetails, flags: Mapping[str, object]) -> str:
    name = str(error["loc"][0]) if error["loc"] else "settings"
    if name in flags:
        where = "a flag"
    elif variable(name) in os.environ:
        where = f"the environment, {variable(name)}"
    else:
        where = str(config_path(flags.get("home")))
    value = "********" if "password" in name else repr(error.get("input"))
    reason = error["msg"].removeprefix("Value error, ")
    return f"setting {name} = {value} (from {where}): {reason}"


def _meant(word: str, known: Collection[str]) -> str:
    close = get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
