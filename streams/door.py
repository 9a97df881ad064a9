"""The door: bytes that anyone may have published -> an event, or the reason why not. It never fails on what it is given.

Encodings are told apart by the first bytes and headers: Avro single-object (C3 01), Confluent Avro (00, if a registry is set),
CloudEvents in binary (`ce_…` headers) and structured mode, and else bare JSON. Unknown fields are ignored: backends may send
more than we read.

Cost of a usage event, one core, reading and checking: JSON 4.2 µs, Avro 8 µs (of which fastavro's 4.4), CloudEvents about 11 µs
(tests/benchmarks/bench_decode.py).
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import ValidationError
from pydantic_core import from_json

from schemas.dead_letters import Problem
from schemas.evolution import Fields, read_record, registry
from schemas.gateways import REPORTS, GatewayReport
from schemas.market import OPERATOR_COMMANDS, TENANT_COMMANDS, OperatorCommand, TenantCommand
from schemas.planning import PLAN_COMMANDS, PlanCommand
from schemas.published import AdmissionEvent, LatencyEvent, PoolCommand, ProfileCommand, UsageEvent
from schemas.scaling import ReplicasCommand
from schemas.units import AVRO
from streams import envelopes
from streams.codecs import HEADER_BYTES, MAGIC, UnreadableRecord, read_all, read_body
from streams.complaints import Refusal, Refused, not_json, refused_fields, shown
from streams.envelopes import Headers
from streams.schema_registry import CONFLUENT_HEADER_BYTES, SchemaRegistry, UnusableSchema, schema_id

Observation = UsageEvent | LatencyEvent | AdmissionEvent
Published = (
    Observation | PoolCommand | ProfileCommand | ReplicasCommand | OperatorCommand | PlanCommand | GatewayReport | TenantCommand
)
ObservedKind = Literal["usage", "latency", "admissions"]
TopicKind = Literal["usage", "latency", "admissions", "orders", "profiles", "gateways"]

OBSERVED: Mapping[TopicKind, type[Observation]] = {"usage": UsageEvent, "latency": LatencyEvent, "admissions": AdmissionEvent}
"""Topics of one type, keyed by tenant, that meters read: their messages need not name the type."""

ACCEPTED: Mapping[TopicKind, Mapping[str, type[Published]]] = {
    **{topic: {model.KIND: model} for topic, model in OBSERVED.items()},
    # Tenants may write to `orders`: what only an operator may set is not taken there.
    "orders": {model.KIND: model for model in TENANT_COMMANDS},
    "profiles": {
        PoolCommand.KIND: PoolCommand,
        ProfileCommand.KIND: ProfileCommand,
        ReplicasCommand.KIND: ReplicasCommand,
        **{model.KIND: model for model in (*OPERATOR_COMMANDS, *PLAN_COMMANDS)},
    },
    "gateways": {model.KIND: model for model in REPORTS},
}
"""Topic -> the types that it may hold, by kind (which is their `type`)."""

_AVRO_BEGINS = (b"\xc3", b"\x00")
"""First bytes of Avro's two encodings. Neither begins a JSON text."""


class Door:
    """Reads what was published.

    Args:
        max_event_bytes: longest value that is looked at, bytes.
        max_ahead_ms: how far an event's time may be ahead of its append time.
        max_age_ms: how far it may be behind.
        registry: of Confluent schemas; None: Confluent Avro is not taken.
    """

    def __init__(self, *, max_event_bytes: int, max_ahead_ms: int, max_age_ms: int, registry: SchemaRegistry | None = None) -> None:
        self._max_event_bytes = max_event_bytes
        self._max_ahead_ms = max_ahead_ms
        self._max_age_ms = max_age_ms
        self._registry = registry

    async def learn(self, values: Iterable[bytes | None]) -> None:
        """Prepares to `read` these values without waiting: asks the registry, if one is set, for schemas that are not known yet.

        Raises:
            RegistryUnavailable: the registry stays down; nothing can be said about its events, so the worker must stop.
        """
        if self._registry is not None:
            await self._registry.learn(values)

    def read(
        self, kind: TopicKind, value: bytes | None, headers: Headers, key: bytes | None, append_ms: int
    ) -> Published | Refusal:
        """One message -> the event it is, or why it is not taken.

        Args:
            kind: the topic's name without its prefix.
            value: the message; None is a tombstone.
            headers: the record's headers.
            key: the record's key; None, or the event's tenant (of commands: the pool) in UTF-8.
            append_ms: when the broker appended it, milliseconds since 1970.

        Raises:
            RegistryUnavailable: a schema id that `learn` has not asked for, while the registry is down. Nothing else.
        """
        try:
            event = self._event(kind, value, headers)
            self._check_standing(event, key, append_ms)
        except Refused as refused:
            return refused.refusal
        return event

    def glimpse(self, kind: TopicKind, value: bytes | None, headers: Headers) -> Fields:
        """What can be read of a message that was refused: its fields, unchecked; none of them where nothing can.

        JSON that breaks off is read up to there. Raises what `read` does.
        """
        if value is None or len(value) > self._max_event_bytes:
            return {}
        try:
            return self._fields(kind, value, _envelope(value, headers))[0]
        except Refused:
            return _begun_object(value)

    def _event(self, kind: TopicKind, value: bytes | None, headers: Headers) -> Published:
        if value is None:
            raise Refused(Problem.MALFORMED, "value: null")
        if len(value) > self._max_event_bytes:
            raise Refused(Problem.TOO_LARGE, f"value: {len(value)} bytes, at most {self._max_event_bytes} are taken")
        envelope = _envelope(value, headers) if headers or b'"specversion"' in value else None
        model = OBSERVED.get(kind)
        if model is None or envelope is not None or value[:1] in _AVRO_BEGINS:
            return _checked(kind, *self._fields(kind, value, envelope))
        # The way of nearly all messages: bare JSON, bytes to model in one step.
        try:
            return model.__pydantic_validator__.validate_json(value, extra="ignore")  # type: ignore[no-any-return]  # a model
        except ValidationError as error:
            raise refused_fields(error, value) from None

    def _fields(self, kind: TopicKind, value: bytes, envelope: envelopes.Envelope | None) -> tuple[Fields, str | None]:
        """A message's fields, not yet checked, and the context to check them in."""
        data = value if envelope is None else envelope.data
        context = None
        if not isinstance(data, bytes):
            fields = data
        elif data[:1] in _AVRO_BEGINS:
            fields, context = self._avro(kind, data), AVRO
        else:
            fields = _json_object(data)
        return (fields if envelope is None else envelope.merged(fields)), context

    def _avro(self, kind: TopicKind, value: bytes) -> Fields:
        if value[:2] == MAGIC:
            return _single_object(kind, value)
        if value[:1] != b"\x00":
            raise Refused(Problem.MALFORMED, f"value: begins with {value[:2].hex()}, which no encoding does")
        if self._registry is None:
            raise Refused(Problem.UNKNOWN_SCHEMA, "value: begins as Confluent Avro does (00), but no schema registry is set")
        return _confluent(self._registry, value)

    def _check_standing(self, event: Published, key: bytes | None, append_ms: int) -> None:
        """What an event must be where it stands: near its append time, under its own key."""
        if isinstance(event, Observation):
            ahead = event.time - append_ms
            if ahead > self._max_ahead_ms:
                raise _out_of_range(event.time, ahead, "ahead of", self._max_ahead_ms)
            if -ahead > self._max_age_ms:
                raise _out_of_range(event.time, -ahead, "behind", self._max_age_ms)
            name, owner = "tenant", event.tenant
        else:
            name, owner = "pool", event.pool
        if key is not None and key != owner.encode():
            raise Refused(Problem.INVALID, f"key: {_shown_key(key)} differs from {name} {shown(owner)}")


def _envelope(value: bytes, headers: Headers) -> envelopes.Envelope | None:
    """The CloudEvent that the message is, if it is one."""
    if headers and envelopes.is_structured(headers):
        return envelopes.structured(_json_object(value))
    if headers and envelopes.is_binary(headers):
        return envelopes.binary(headers, value)
    if b'"specversion"' in value and value[:1] not in _AVRO_BEGINS:
        # The word may stand anywhere in the message; at the top level it makes the message a CloudEvent.
        fields = _json_object(value)
        if "specversion" in fields:
            return envelopes.structured(fields)
    return None


def _json_object(value: bytes) -> Fields:
    try:
        found = from_json(value)
    except ValueError as error:
        raise not_json(value, str(error)) from None
    if not isinstance(found, dict):
        raise Refused(Problem.INVALID, f"value: {shown(found)} is not an object")
    return found


def _begun_object(value: bytes) -> Fields:
    """The fields of a JSON object that stand whole before its text breaks off."""
    try:
        found = from_json(value, allow_partial=True)
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    if found and value[-1:].isdigit() and isinstance(next(reversed(found.values())), (int, float)):
        found.popitem()  # its digits may have gone on
    return found


def _single_object(kind: TopicKind, value: bytes) -> Fields:
    mark = value[len(MAGIC) : HEADER_BYTES]
    written = registry().get(mark)
    if written is None:
        problem = Problem.UNKNOWN_SCHEMA if len(value) >= HEADER_BYTES else Problem.MALFORMED
        raise Refused(problem, f"schema fingerprint: {mark.hex()} is of no schema that we know")
    if written.kind not in ACCEPTED[kind]:
        raise Refused(
            Problem.UNKNOWN_SCHEMA, f"schema fingerprint: {mark.hex()} is of {written.kind!r}, which {kind} does not hold"
        )
    try:
        return read_body(written, value, HEADER_BYTES)
    except UnreadableRecord as error:
        raise Refused(Problem.MALFORMED, str(error)) from None


def _confluent(schemas: SchemaRegistry, value: bytes) -> Fields:
    number = schema_id(value)
    if number is None:
        raise Refused(Problem.MALFORMED, f"value: {len(value)} bytes are too few for Confluent Avro")
    try:
        schema = schemas.writer(number)
    except UnusableSchema as error:
        raise Refused(Problem.UNKNOWN_SCHEMA, str(error)) from None
    try:
        fields = read_all(lambda stream: read_record(schema, stream), value, CONFLUENT_HEADER_BYTES)
    except UnreadableRecord as error:
        raise Refused(Problem.MALFORMED, str(error)) from None
    if not isinstance(fields, dict):
        raise Refused(Problem.INVALID, f"value: {shown(fields)} is not a record")
    return fields


def _checked(kind: TopicKind, fields: Fields, context: str | None) -> Published:
    """Fields of whatever origin -> the event; `context` AVRO says that decimals are counts of millionths."""
    model = OBSERVED.get(kind) or _named(kind, fields)
    try:
        return model.__pydantic_validator__.validate_python(fields, extra="ignore", context=context)  # type: ignore[no-any-return]  # a model
    except ValidationError as error:
        raise refused_fields(error, None) from None


def _named(kind: TopicKind, fields: Fields) -> type[Published]:
    """The type that a message of a topic of several types names."""
    known = ACCEPTED[kind]
    if "type" not in fields:
        raise Refused(Problem.INVALID, "type: missing")
    named = fields["type"]
    model = known.get(named) if isinstance(named, str) else None
    if model is None:
        raise Refused(Problem.INVALID, f"type: {shown(named)} is none that {kind} holds ({', '.join(known)})")
    return model


def _out_of_range(time: int, distance: int, where: str, most: int) -> Refused:
    detail = f"time: {shown(time)} is {shown(distance)} ms {where} its append time, at most {most} ms are taken"
    return Refused(Problem.TIME_OUT_OF_RANGE, detail)


def _shown_key(key: bytes) -> str:
    try:
        return shown(key.decode())
    except UnicodeDecodeError:
        return shown(key)
