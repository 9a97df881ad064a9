"""Confluent Avro through confluent-kafka's client, against a server of the registry's REST interface with faults to order."""

import asyncio
import io
import json
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer

from schemas.avro import record
from schemas.dead_letters import Problem
from schemas.published import ProfileCommand, UsageEvent
from streams.codecs import encode
from streams.complaints import Refusal
from streams.door import Door
from streams.errors import UserError
from streams.schema_registry import RegistryUnavailable, SchemaRegistry, UnusableSchema, register_published, schema_id
from streams.settings import Settings

NOW = 1_700_000_000_000
EVENT = UsageEvent(time=NOW, source="gw", id="i1", tenant="acme", pool="llama", input_tokens=12, output_tokens=3)


class Registry:
    """The part of the interface that we use: register, by id, by subject and version."""

    def __init__(self) -> None:
        self.schemas: list[dict[str, Any]] = []
        self.subjects: dict[str, list[int]] = {}
        self.asked: list[str] = []
        self.fail: list[int] = []
        """Status of the next answers; 0 hangs up without one."""
        self.incompatible: set[str] = set()
        handler = type("Handler", (_Handler,), {"registry": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def add(self, schema: Any, kind: str = "AVRO", references: list[dict[str, Any]] | None = None) -> int:
        text = schema if isinstance(schema, str) else json.dumps(schema)
        self.schemas.append({"schema": text, "schemaType": kind, "references": references or []})
        return len(self.schemas)

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        found = re.fullmatch(r"/schemas/ids/(\d+)", path)
        if found:
            number = int(found[1])
            if not 1 <= number <= len(self.schemas):
                return 404, {"error_code": 40403, "message": "Schema not found"}
            return 200, self.schemas[number - 1]
        found = re.fullmatch(r"/subjects/([^/]+)/versions(?:/(\d+))?", path)
        if not found:
            return 404, {"error_code": 404, "message": f"no {path}"}
        subject = found[1]
        if method == "POST":
            if subject in self.incompatible:
                return 409, {"error_code": 409, "message": "incompatible with an earlier schema"}
            known = next((n for n in self.subjects.get(subject, []) if self.schemas[n - 1]["schema"] == body["schema"]), None)
            number = known or self.add(body["schema"])
            if known is None:
                self.subjects.setdefault(subject, []).append(number)
            return 200, {"id": number}
        number = self.subjects[subject][int(found[2]) - 1]
        return 200, {"subject": subject, "version": int(found[2]), "id": number, **self.schemas[number - 1]}

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class _Handler(BaseHTTPRequestHandler):
    registry: Registry

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        path = self.path.partition("?")[0]
        self.registry.asked.append(f"{self.command} {path}")
        if self.registry.fail:
            status = self.registry.fail.pop(0)
            if status == 0:
                self.close_connection = True
                return
            answer: Any = {"error_code": status * 100, "message": "ordered"}
        else:
            status, answer = self.registry.answer(self.command, path, body)
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = _serve  # noqa: N815  names that BaseHTTPRequestHandler looks for

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Registry]:
    registry = Registry()
    yield registry
    registry.stop()


@pytest.fixture
def client(server: Registry) -> Iterator[SchemaRegistry]:
    found = SchemaRegistry(server.url, retries=2, wait_ms=1, timeout_s=5.0)
    yield found
    found.close()


def confluent(number: int, schema: Any, fields: Any) -> bytes:
    stream = io.BytesIO()
    schemaless_writer(stream, parse_schema(schema), fields)
    return b"\x00" + number.to_bytes(4, "big") + stream.getvalue()


def door(client: SchemaRegistry) -> Door:
    return Door(max_event_bytes=1 << 20, max_ahead_ms=3_600_000, max_age_ms=86_400_000, registry=client)


def read(client: SchemaRegistry, value: bytes, kind: Any = "usage") -> Any:
    return door(client).read(kind, value, [], None, NOW)


def foreign(**changes: Any) -> dict[str, Any]:
    """A schema as another might write it: other name, order and types, and more than we read."""
    types: dict[str, Any] = {"region": "string"} | dict.fromkeys(("pool", "tenant", "id", "source"), "string")
    types |= {"input_tokens": "int", "output_tokens": "long", "time": {"type": "long", "logicalType": "timestamp-millis"}} | changes
    return {"type": "record", "name": "com.example.Used", "fields": [{"name": name, "type": kind} for name, kind in types.items()]}


FIELDS = EVENT.model_dump() | {"region": "eu"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}


@pytest.mark.parametrize(
    ("schema", "fields"),
    [
        (record(UsageEvent), EVENT.__dict__),
        (foreign(), FIELDS),
        (foreign(time="string"), FIELDS | {"time": "2023-11-14T22:13:20Z"}),
        (foreign(time=MICROS), FIELDS | {"time": datetime.fromtimestamp(NOW / 1000, UTC)}),
        (foreign(model=["null", "string"]), FIELDS | {"model": ""}),
        (foreign(status={"type": "enum", "name": "S", "symbols": ["ok"]}), FIELDS | {"status": "ok"}),
        (foreign(id={"type": "string", "logicalType": "uuid"}), FIELDS),
    ],
)
def test_what_others_register_is_read(server: Registry, client: SchemaRegistry, schema: Any, fields: Any) -> None:
    number = server.add(schema)
    value = confluent(number, schema if "uuid" not in json.dumps(schema) else foreign(), fields)
    assert read(client, value) == EVENT
    assert read(client, value) == EVENT
    assert server.asked == [f"GET /schemas/ids/{number}"]  # once: a schema never changes


def test_a_referenced_schema_is_fetched_too(server: Registry, client: SchemaRegistry) -> None:
    tokens = {"type": "record", "name": "com.example.Tokens", "fields": [{"name": "n", "type": "long"}]}
    server.subjects["tokens"] = [server.add(tokens)]
    schema = foreign(detail="com.example.Tokens")
    number = server.add(schema, references=[{"name": "com.example.Tokens", "subject": "tokens", "version": 1}])
    named: dict[str, Any] = {}
    parse_schema(tokens, named)
    stream = io.BytesIO()
    schemaless_writer(stream, parse_schema(schema, named), FIELDS | {"detail": {"n": 5}})
    assert read(client, b"\x00" + number.to_bytes(4, "big") + stream.getvalue()) == EVENT


def test_decimals_of_others(server: Registry, client: SchemaRegistry) -> None:
    """A long is a count of millionths, as the registered schema says; a double is the decimal itself."""
    fields = {"type": "profile", "id": "c", "pool": "p", "tenant": "t", "base": 1, "elasticity": 2.5}
    kinds = {"type": "string", "id": "string", "pool": "string", "tenant": "string", "base": "long", "elasticity": "double"}
    for kind, value in (("double", 2.5), ("long", 2_500_000)):
        schema = {
            "type": "record",
            "name": "Profile",
            "fields": [{"name": name, "type": each} for name, each in (kinds | {"elasticity": kind}).items()],
        }
        found = read(client, confluent(server.add(schema), schema, fields | {"elasticity": value}), "profiles")
        assert isinstance(found, ProfileCommand)
        assert found.elasticity == 2_500_000


@pytest.mark.parametrize(
    "case",
    [
        (None, "", b"", Problem.UNKNOWN_SCHEMA, "schema id 7 is not registered"),
        ('syntax = "proto3";', "PROTOBUF", b"", Problem.UNKNOWN_SCHEMA, "schema id 1 is PROTOBUF, not AVRO"),
        ('{"type": "rec', "AVRO", b"", Problem.UNKNOWN_SCHEMA, "schema id 1 is no Avro schema"),
        ('{"type": "nothing"}', "AVRO", b"", Problem.UNKNOWN_SCHEMA, "schema id 1 is no Avro schema"),
        ('"string"', "AVRO", b"\x02a", Problem.INVALID, "value: 'a' is not a record"),
        (record(UsageEvent), "AVRO", encode(EVENT)[10:-1], Problem.MALFORMED, "Avro: "),
        (foreign(input_tokens="double"), "AVRO", None, Problem.INVALID, "input_tokens: 12.0 is not an integer"),
        (foreign(input_tokens="boolean"), "AVRO", None, Problem.INVALID, "input_tokens: True is not an integer"),
        (foreign(tenant="bytes"), "AVRO", None, Problem.INVALID, "tenant: b'acme' is not text"),
    ],
)
def test_what_is_refused(server: Registry, client: SchemaRegistry, case: tuple[Any, str, bytes | None, Problem, str]) -> None:
    schema, kind, body, problem, said = case
    number = server.add(schema, kind) if schema is not None else 7
    if body is None:
        found = read(client, confluent(number, schema, FIELDS | ({"tenant": b"acme"} if '"bytes"' in json.dumps(schema) else {})))
    else:
        found = read(client, b"\x00" + number.to_bytes(4, "big") + body)
    assert isinstance(found, Refusal)
    assert (found.problem, said in found.detail) == (problem, True), found


def test_a_time_beyond_what_a_datetime_holds_is_out_of_range(server: Registry, client: SchemaRegistry) -> None:
    plain = foreign(time="long")
    found = read(client, confluent(server.add(foreign()), plain, FIELDS | {"time": 2**62}))
    assert found.problem is Problem.TIME_OUT_OF_RANGE


def test_too_short_for_an_id(client: SchemaRegistry) -> None:
    assert read(client, b"\x00\x00\x01") == Refusal(Problem.MALFORMED, "value: 3 bytes are too few for Confluent Avro")
    assert [schema_id(value) for value in (None, b"", b"\x00\x01", b"{}", b"\x00\x00\x00\x01\x00")] == [None, None, None, None, 256]


def test_a_passing_fault_is_not_noticed(server: Registry, client: SchemaRegistry) -> None:
    number = server.add(record(UsageEvent))
    server.fail = [503, 0]
    assert read(client, confluent(number, record(UsageEvent), EVENT.__dict__)) == EVENT
    assert len(server.asked) == 3


@pytest.mark.parametrize("fault", [[503] * 9, [0] * 9, [401]])
def test_a_registry_that_is_down_condemns_no_event(server: Registry, client: SchemaRegistry, fault: list[int]) -> None:
    number = server.add(record(UsageEvent))
    value = confluent(number, record(UsageEvent), EVENT.__dict__)
    server.fail = list(fault)
    with pytest.raises(RegistryUnavailable, match=f"schema id {number}: the schema registry does not answer"):
        read(client, value)
    server.fail = list(fault)
    with pytest.raises(RegistryUnavailable):
        asyncio.run(door(client).learn([value]))
    server.fail = []
    assert read(client, value) == EVENT
    assert read(client, encode(EVENT)) == EVENT


def test_learning_asks_once_for_each_id_and_reading_asks_no_more(server: Registry, client: SchemaRegistry) -> None:
    first, second = server.add(record(UsageEvent)), server.add(foreign())
    values = [confluent(first, record(UsageEvent), EVENT.__dict__), confluent(second, foreign(), FIELDS)]
    values += [b"\x00\x00\x00\x00\x63", b"{}", encode(EVENT), b""]
    asyncio.run(door(client).learn([*values, *values, None]))
    asked = sorted(server.asked)
    assert asked == ["GET /schemas/ids/1", "GET /schemas/ids/2", "GET /schemas/ids/99"]
    server.fail = [500] * 99
    assert [read(client, value) for value in values[:2]] == [EVENT, EVENT]
    assert read(client, values[2]).problem is Problem.UNKNOWN_SCHEMA
    assert len(server.asked) == 3


def test_an_unknown_id_is_asked_for_again_later(server: Registry) -> None:
    client = SchemaRegistry(server.url, retries=0, wait_ms=1, forget_unknown_s=0.0)
    value = confluent(1, record(UsageEvent), EVENT.__dict__)
    assert read(client, value).problem is Problem.UNKNOWN_SCHEMA
    server.add(record(UsageEvent))
    assert read(client, value) == EVENT
    client.close()


def test_ours_are_registered_once(server: Registry, client: SchemaRegistry) -> None:
    registered = client.register("bourse.")
    assert set(registered) == {
        "bourse.usage-value",
        "bourse.latency-value",
        "bourse.admissions-value",
        "bourse.profiles-bourse.Pool",
        "bourse.profiles-bourse.Profile",
    }
    again = SchemaRegistry(server.url)
    assert again.register("bourse.") == registered
    assert len(server.schemas) == 5
    again.close()
    value = b"\x00" + registered["bourse.usage-value"].to_bytes(4, "big") + encode(EVENT)[10:]
    assert read(client, value) == EVENT


def test_a_registry_that_refuses_ours_says_so(server: Registry, client: SchemaRegistry) -> None:
    server.incompatible = {"bourse.usage-value"}
    with pytest.raises(UnusableSchema, match=r"bourse\.usage-value: the registry refuses it: incompatible with an earlier schema"):
        client.register("bourse.")
    server.fail = [500] * 9
    with pytest.raises(RegistryUnavailable):
        client.register("other.")


def test_up_and_topics_register_ours_where_a_registry_is_set(server: Registry) -> None:
    registered = register_published(Settings(schema_registry=server.url, topic_prefix="other."))
    assert registered["other.usage-value"] > 0
    assert register_published(Settings()) == {}
    server.incompatible = {"other.latency-value"}
    with pytest.raises(UserError, match=r"other\.latency-value: the registry refuses it"):
        register_published(Settings(schema_registry=server.url, topic_prefix="other."))
