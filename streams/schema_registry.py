"""A Confluent schema registry: the schemas of others by their id, and ours registered there.

The client is confluent-kafka's. It retries with growing, jittered pauses what may pass (no connection, 429, 5xx); what is left
after that is `RegistryUnavailable`, which must stop the worker: a registry that is down says nothing about an event, so
nothing may become a dead letter for it, and nothing may be passed over.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from fastavro import parse_schema
from fastavro.schema import SchemaParseException

from schemas.avro import record
from schemas.model import Event
from schemas.published import AdmissionEvent, LatencyEvent, PoolCommand, ProfileCommand, UsageEvent
from streams.errors import UserError
from streams.settings import Settings

if TYPE_CHECKING:
    # Imported where it is used: it brings HTTP, OAuth and cryptography with it, 0.2 s of every worker's start.
    from confluent_kafka.schema_registry import Schema, SchemaReference

Answer = TypeVar("Answer")

CONFLUENT_MAGIC = 0
CONFLUENT_HEADER_BYTES = 5
"""Magic byte, then the schema's id as a big-endian unsigned int32."""

_NOT_FOUND = 404
_SERVER_ERRORS = 500
_TOO_MANY = 429
_DENIED = {401, 403, 407}

_AS_STORED = {"timestamp-millis", "uuid"}
"""Logical types that are read as the long or text they are stored as: what we want anyway, faster, and without overflow."""


class RegistryUnavailable(Exception):  # noqa: N818  names the registry's state; it is fatal to a worker
    """The registry does not answer, or refuses us. Says nothing about the event."""


class UnusableSchema(Exception):  # noqa: N818  says what the schema is
    """The registry knows no such id, or its schema is none that we can read with. The message says which."""


def schema_id(value: bytes | None) -> int | None:
    """The id of the schema that a message in Confluent's format was written with; None if it is not in that format."""
    if not value or value[0] != CONFLUENT_MAGIC or len(value) < CONFLUENT_HEADER_BYTES:
        return None
    return int.from_bytes(value[1:CONFLUENT_HEADER_BYTES], "big")


class SchemaRegistry:
    """Writer schemas by id. A schema never changes, so each is asked for once and kept: a few KB for each id.

    Args:
        url: where the registry is; may hold user and password.
        retries: how often one request is tried again.
        wait_ms: the longest pause before the first retry; it doubles up to 20 s. With the defaults about 30 s pass in all.
        timeout_s: of one request.
        forget_unknown_s: after which an unknown id is asked for again: it may have been registered meanwhile.
    """

    def __init__(
        self, url: str, *, retries: int = 6, wait_ms: int = 500, timeout_s: float = 5.0, forget_unknown_s: float = 30.0
    ) -> None:
        from confluent_kafka.schema_registry import SchemaRegistryClient  # noqa: PLC0415  see the top

        self._client = SchemaRegistryClient(
            {"url": url, "max.retries": retries, "retries.wait.ms": wait_ms, "retries.max.wait.ms": 20_000, "timeout": timeout_s}
        )
        self._forget_unknown_s = forget_unknown_s
        self._known: dict[int, Any] = {}
        self._unusable: dict[int, tuple[float, UnusableSchema]] = {}

    async def learn(self, values: Iterable[bytes | None]) -> None:
        """Asks for all schemas that these messages need and we lack, off the event loop, so that `writer` need not wait.

        Raises:
            RegistryUnavailable: after all retries.
        """
        wanted = {found for found in map(schema_id, values) if found is not None and found not in self._known}
        if wanted:
            await asyncio.to_thread(self._learn, wanted)

    def _learn(self, wanted: Iterable[int]) -> None:
        for each in wanted:
            try:
                self.writer(each)
            except UnusableSchema:
                continue  # it is kept, and raised again for each of its messages

    def writer(self, number: int) -> Any:
        """The schema of an id, as fastavro reads with it. Waits for the registry unless `learn` has asked for it.

        Raises:
            UnusableSchema: no such id, or not Avro.
            RegistryUnavailable: after all retries.
        """
        schema = self._known.get(number)
        if schema is not None:
            return schema
        until, reason = self._unusable.get(number, (0.0, None))
        if reason is not None and time.monotonic() < until:
            raise reason
        try:
            schema = self._known[number] = self._fetch(number)
        except UnusableSchema as error:
            self._forget_old()
            self._unusable[number] = (time.monotonic() + self._forget_unknown_s, error)
            raise
        return schema

    def _forget_old(self) -> None:
        now = time.monotonic()
        self._unusable = {number: kept for number, kept in self._unusable.items() if kept[0] > now}

    def _fetch(self, number: int) -> Any:
        what = f"schema id {number}"
        found = _asked(what, lambda: self._client.get_schema(number))
        if found.schema_type != "AVRO":
            raise UnusableSchema(f"{what} is {found.schema_type}, not AVRO")
        named: dict[str, Any] = {}
        for reference in found.references or []:
            self._load(what, reference, named)
        return _parsed(what, found, named)

    def _load(self, what: str, reference: SchemaReference, named: dict[str, Any]) -> None:
        """Adds the types of a schema that another one refers to."""
        subject, version = reference.subject, reference.version
        if subject is None or version is None:
            raise UnusableSchema(f"{what}: its reference {reference.name} names no subject or no version")
        found = _asked(f"{what}: {subject} version {version}", lambda: self._client.get_version(subject, version)).schema
        for inner in found.references or []:
            self._load(what, inner, named)
        _parsed(what, found, named)

    def register(self, topic_prefix: str) -> dict[str, int]:
        """Registers what may be published; does nothing to what is registered already. Returns subject -> schema id.

        Subjects: `<topic>-value` (Confluent's default) where a topic has one type, `<topic>-<record>` where it has several.

        Raises:
            RegistryUnavailable: after all retries.
            UnusableSchema: the registry refuses a schema, for instance as incompatible with what is registered.
        """
        subjects: dict[str, type[Event]] = {
            f"{topic_prefix}usage-value": UsageEvent,
            f"{topic_prefix}latency-value": LatencyEvent,
            f"{topic_prefix}admissions-value": AdmissionEvent,
            f"{topic_prefix}profiles-bourse.Pool": PoolCommand,
            f"{topic_prefix}profiles-bourse.Profile": ProfileCommand,
        }
        return {subject: self._register(subject, model) for subject, model in subjects.items()}

    def _register(self, subject: str, model: type[Event]) -> int:
        from confluent_kafka.schema_registry import Schema  # noqa: PLC0415  see the top

        schema = Schema(json.dumps(record(model)), "AVRO")
        return _asked(subject, lambda: self._client.register_schema(subject, schema))

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()


def register_published(settings: Settings) -> dict[str, int]:
    """Registers what may be published in the registry of the settings; nothing where none is set. Returns subject -> schema id.

    Raises:
        UserError: the registry does not answer, or refuses a schema.
    """
    if settings.schema_registry is None:
        return {}
    registry = SchemaRegistry(settings.schema_registry)
    try:
        return registry.register(settings.topic_prefix)
    except (RegistryUnavailable, UnusableSchema) as error:
        raise UserError(str(error)) from error
    finally:
        registry.close()


def _asked(what: str, ask: Callable[[], Answer]) -> Answer:
    from confluent_kafka.schema_registry import SchemaRegistryError  # noqa: PLC0415  see the top

    try:
        return ask()
    except SchemaRegistryError as error:
        status = error.http_status_code
        if status == _NOT_FOUND:
            raise UnusableSchema(f"{what} is not registered") from error
        if status < _SERVER_ERRORS and status != _TOO_MANY and status not in _DENIED:
            raise UnusableSchema(f"{what}: the registry refuses it: {error.error_message}") from error
        raise RegistryUnavailable(f"{what}: the schema registry does not answer: {error}") from error
    except Exception as error:  # the client lets its HTTP library's errors through, which differ by the client's release
        reason = str(error) or type(error).__name__
        raise RegistryUnavailable(f"{what}: the schema registry does not answer: {reason}") from error


def _parsed(what: str, found: Schema, named: dict[str, Any]) -> Any:
    try:
        return parse_schema(_as_stored(json.loads(found.schema_str or "")), named)
    except (ValueError, KeyError, TypeError, RecursionError, SchemaParseException) as error:
        raise UnusableSchema(f"{what} is no Avro schema: {error}") from error


def _as_stored(schema: Any) -> Any:
    """The schema without the logical types of `_AS_STORED`."""
    if isinstance(schema, list):
        return [_as_stored(each) for each in schema]
    if isinstance(schema, dict):
        return {
            name: _as_stored(value) if name in {"type", "items", "values", "fields"} else value
            for name, value in schema.items()
            if not (name == "logicalType" and value in _AS_STORED)
        }
    return schema
