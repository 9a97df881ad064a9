"""Variants: a pool's settings with some of them changed, in every version of the pool that the journal holds."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, get_args

from schemas.model import Event
from schemas.published import Policy, PoolCommand
from streams.building import InvalidEvent, validated
from streams.errors import BadInput

RECORDED = "as recorded"
"""The variant that changes nothing: what happened."""

FIXED: Mapping[str, str] = MappingProxyType(
    {
        "type": "it is no setting",
        "id": "it is no setting",
        "pool": "--pool says which is tried",
        "period_s": "the journal's periods are numbered by it",
        "burst": "only gateways act by it, and none is folded",
        **dict.fromkeys(
            ("rebalance.quantile", "rebalance.fewest", "rebalance.look_back_h"),
            "only the planner acts by it, whose proposals stand in the journal",
        ),
    }
)
"""Fields of a pool that can't be set here, and why."""

REPLICA = ("replicas", "replica_tokens_per_s", "replica_kv_blocks", "replica_concurrency")
"""Given together or not at all."""


def _fields(model: type[Event], group: str = "") -> Iterator[str]:
    """Names of all fields; behind one that is a model of its own, those of its parts, as `sla.enabled`."""
    for name, said in model.model_fields.items():
        yield group + name
        for kind in get_args(said.annotation):
            if isinstance(kind, type) and issubclass(kind, Event):
                yield from _fields(kind, f"{name}.")


def _fixed(name: str) -> str | None:
    """Why a field, or what it is a part of, can't be set here."""
    return FIXED.get(name) or FIXED.get(name.partition(".")[0])


SETTINGS = tuple(name for name in _fields(PoolCommand) if _fixed(name) is None)


@dataclass(frozen=True, slots=True)
class Variant:
    """Settings that hold in place of the recorded ones, as they were written: JSON values by the name of a pool's field.

    A part of one (`sla.enabled`) leaves its other parts as recorded.
    """

    name: str = RECORDED
    settings: Mapping[str, Any] = field(default_factory=dict)

    def changed(self, record: Event, pool: str) -> Event:
        """A journal record as it is in this variant: a version of the pool has the variant's settings, all else stands.

        Raises:
            BadInput: this version of the pool can't have them.
        """
        if not self.settings or not isinstance(record, PoolCommand) or record.pool != pool:
            return record
        try:
            return validated(PoolCommand, _with(record.model_dump(mode="json"), self.settings))
        except InvalidEvent as wrong:
            raise BadInput(f"{self.name}: pool {pool!r}, version {record.id!r}, can't have it: {wrong}") from wrong


def variants(policies: Iterable[str], sets: Iterable[str]) -> list[Variant]:
    """What was asked for, what happened first.

    Args:
        policies: names of policies; each is tried.
        sets: `name=value`, or several with commas, which hold together; each text is tried, with every policy if there are any.

    Raises:
        BadInput: there is no such policy or setting, a value is out of range, or nothing is to be tried.
    """
    by_policy = [{"policy": _known(policy)} for policy in dict.fromkeys(policies)]
    by_set = [_settings(text) for text in dict.fromkeys(sets)]
    if not by_policy and not by_set:
        raise BadInput("what shall be tried? --policy NAME, or --set name=value; both may be repeated")
    tried = [{**policy, **said} for policy, said in itertools.product(by_policy or [{}], by_set or [{}])]
    return [Variant(), *(Variant(_name(settings), settings) for settings in tried)]


def _name(settings: Mapping[str, Any]) -> str:
    others = [f"{name}={_text(value)}" for name, value in settings.items() if name != "policy"]
    return " ".join([*([str(settings["policy"])] if "policy" in settings else []), *others])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _with(fields: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A pool's fields, with these in place of theirs."""
    changed = dict(fields)
    for name, value in settings.items():
        whole, dot, part = name.partition(".")
        changed[whole] = {**(changed.get(whole) or {}), part: value} if dot else value
    return changed


def _known(policy: str) -> str:
    if policy not in set(Policy):
        raise BadInput(f"--policy {policy}: known are {', '.join(Policy)}")
    return policy


def _settings(text: str) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for each in text.split(","):
        name, equals, value = (part.strip() for part in each.partition("="))
        if not equals or not name or not value:
            raise BadInput(f"--set {text}: name=value is expected, or several with commas")
        if why := _fixed(name):
            raise BadInput(f"--set {name}: can't be set here: {why}")
        if name not in SETTINGS:
            raise BadInput(f"--set {name}: no setting of a pool; known are {', '.join(_near(name))}")
        if any(before == name or before.startswith(f"{name}.") for before in settings):
            raise BadInput(f"--set {text}: {name} stands twice")
        settings[name] = _known(value) if name == "policy" else _value(value)
    _check(text, settings)
    return settings


def _near(name: str) -> list[str]:
    """The settings that a wrong name can have meant: the parts of what it is a part of, else all."""
    whole, dot, _ = name.partition(".")
    parts = [known for known in SETTINGS if dot and known.startswith(f"{whole}.")]
    return parts or list(SETTINGS)


def _value(text: str) -> Any:
    """A JSON number, true, false or null; else the text."""
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return found if found is None or isinstance(found, (bool, int, float)) else text


def _check(text: str, settings: Mapping[str, Any]) -> None:
    """Each value by itself; whether they suit the pool is seen when its versions are read."""
    shared = dict.fromkeys(REPLICA, 1) if any(name in settings and settings[name] is not None for name in REPLICA) else {}
    try:
        validated(PoolCommand, _with({"id": "-", "pool": "-", "capacity": 0, **shared}, settings))
    except InvalidEvent as wrong:
        raise BadInput(f"--set {text}: {wrong}") from wrong
