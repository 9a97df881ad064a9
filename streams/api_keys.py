"""API keys: how one is made, where they stand, and whose a key is that somebody shows.

Keys stand on the compacted topic `api-keys`, so that every gateway knows of a new or revoked one within a fetch (0.1 s) and goes on
with what it knows while Kafka is away. 100,000 keys hold some 100 MB in a gateway and are read in 1 s when it begins.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from schemas.access import ApiKey
from streams.building import validated
from streams.codecs import decode, encode
from streams.errors import BadInput
from streams.outbox import Letter, Outbox
from streams.settings import Settings
from streams.tailing import CaughtUp, Tail

TOPIC = "api-keys"
SECRET_BYTES = 32
"""256 random bits; 43 characters."""

_SHAPE = re.compile(r"bk-(?P<id>[0-9a-f]{8})-[A-Za-z0-9_-]{43}", re.ASCII)
_NOBODYS = "0" * 64


class KeyRefused(StrEnum):
    """Why a key opens nothing."""

    ABSENT = "absent"
    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    REVOKED = "revoked"
    OTHER_POOL = "other_pool"


@dataclass(frozen=True, slots=True)
class Issued:
    """A new key. `secret` is the key itself: it is shown once and kept nowhere."""

    secret: str = field(repr=False)
    key: ApiKey


def new_key(tenant: str, pools: Iterable[str] = (), label: str = "") -> Issued:
    """A key that nobody knows yet.

    Raises:
        InvalidEvent: the tenant or a pool is no id.
    """
    name = secrets.token_hex(4)
    secret = f"bk-{name}-{secrets.token_urlsafe(SECRET_BYTES)}"
    fields = {"id": name, "digest": _digest(secret), "tenant": tenant, "pools": sorted(set(pools)), "label": label}
    return Issued(secret, validated(ApiKey, {**fields, "issued_at": _now_ms()}))


async def issue(settings: Settings, tenant: str, pools: Iterable[str] = (), label: str = "") -> Issued:
    """Makes a key and tells all gateways of it.

    Raises:
        InvalidEvent: the tenant or a pool is no id.
        Unavailable: Kafka does not answer; then there is no such key.
    """
    known = await read_keys(settings)
    issued = new_key(tenant, pools, label)
    while issued.key.id in known:  # one in 43,000 with 100,000 keys
        issued = new_key(tenant, pools, label)
    await _publish(settings, issued.key)
    return issued


async def revoke(settings: Settings, name: str) -> ApiKey:
    """Tells all gateways that a key opens nothing any more; again it changes nothing.

    Args:
        settings: how to reach Kafka.
        name: the key's id, or the key itself.

    Raises:
        BadInput: there is no such key.
        Unavailable: Kafka does not answer.
    """
    shown = _SHAPE.fullmatch(name)
    found = (await read_keys(settings)).get(shown["id"] if shown else name.removeprefix("bk-"))
    if found is None:
        raise BadInput(f"no key has the id {shown['id'] if shown else name!r}; `bourse keys api list` shows all")
    if found.revoked_at is None:
        found = found.model_copy(update={"revoked_at": _now_ms()})
        await _publish(settings, found)
    return found


async def read_keys(settings: Settings) -> dict[str, ApiKey]:
    """All keys by id, as they are now.

    Raises:
        Unavailable: no broker answers, or none has the topic.
    """
    keys = ApiKeys(settings)
    try:
        await keys.start()
        return dict(keys.known)
    finally:
        await keys.close()


class ApiKeys:
    """Follows the topic; one object in a gateway. Not thread-safe.

    Attributes:
        known: every key, by id; revoked ones as well.
    """

    def __init__(self, settings: Settings, changed: Callable[[ApiKey], None] = lambda _key: None) -> None:
        self.known: dict[str, ApiKey] = {}
        self._changed = changed
        self._tail: Tail[ApiKey] = Tail(settings, settings.topic(TOPIC), TOPIC, _read)
        self._whole = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when everything that stands in the topic is known; changes are followed from then on.

        Raises:
            Unavailable: no broker answers, or none has the topic.
        """
        await self._tail.start(0)
        self._following = asyncio.create_task(self._follow(), name="api keys")
        whole = asyncio.create_task(self._whole.wait())
        await asyncio.wait({whole, self._following}, return_when=asyncio.FIRST_COMPLETED)
        whole.cancel()
        self.check()

    def check(self) -> None:
        """Raises what stopped the following, if anything did.

        Raises:
            Unavailable: Kafka denies access.
        """
        if self._following is not None and self._following.done():
            self._following.result()

    def find(self, shown: str | None, pool: str | None = None) -> ApiKey | KeyRefused:
        """Whose a key is, or why it opens nothing.

        Digests are compared in constant time, so how long it takes tells nothing of how much was right. 2 µs.

        Args:
            shown: what a client sent, without `Bearer`.
            pool: what it wants to use; None: that is asked later.
        """
        if not shown:
            return KeyRefused.ABSENT
        parts = _SHAPE.fullmatch(shown)
        if parts is None:
            return KeyRefused.MALFORMED
        key = self.known.get(parts["id"])
        if not hmac.compare_digest(_digest(shown), _NOBODYS if key is None else key.digest) or key is None:
            return KeyRefused.UNKNOWN
        if key.revoked_at is not None:
            return KeyRefused.REVOKED
        return key if pool is None or key.opens(pool) else KeyRefused.OTHER_POOL

    def revoked(self, name: str) -> bool:
        """Whether a key, by its id, opens nothing any more."""
        key = self.known.get(name)
        return key is None or key.revoked_at is not None

    async def close(self) -> None:
        """Stops following; what is known stays."""
        await self._tail.close()
        if self._following is not None:
            await asyncio.wait({self._following})

    async def _follow(self) -> None:
        async for items in self._tail.lists():
            for item in items:
                if isinstance(item, CaughtUp):
                    self._whole.set()
                else:
                    self.known[item.id] = item
                    self._changed(item)


def _read(offset: int, key: bytes | None, value: bytes | None) -> Iterable[ApiKey]:  # noqa: ARG001  as `Tail` calls
    if value is None:
        return ()
    found = decode(value)
    return (found,) if isinstance(found, ApiKey) else ()


async def _publish(settings: Settings, key: ApiKey) -> None:
    outbox: Outbox[ApiKey] = Outbox(settings)
    try:
        await outbox.put_async(Letter(settings.topic(TOPIC), key.id.encode(), encode(key)), key)
    finally:
        await asyncio.to_thread(outbox.close)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
