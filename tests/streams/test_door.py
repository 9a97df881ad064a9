"""Which usage events the door takes, in which forms, and which it refuses with which words."""

import base64
import json
from typing import Any

import pytest
from door_cases import (
    BODY,
    CLOUD,
    DAY,
    ELSEWHERE,
    HOUR,
    INVALID,
    LATENCY_EVENT,
    MALFORMED,
    NOW,
    TIME_OUT_OF_RANGE,
    TOO_LARGE,
    UNKNOWN_SCHEMA,
    USAGE,
    USAGE_EVENT,
    avro,
    envelope,
    raw,
    read,
    usage,
)

from schemas.dead_letters import Problem
from schemas.published import UsageEvent
from streams.codecs import encode
from streams.complaints import Refusal

# (what, value, headers, key, problem, what the detail must say)
BAD: list[tuple[str, bytes | dict[str, Any] | None, list[tuple[str, bytes | None]], bytes | None, Problem, str]] = [
    ("no value", None, [], b"acme", MALFORMED, "value: null"),
    ("nothing", b"", [], None, MALFORMED, "JSON: EOF while parsing a value"),
    ("not JSON", b"hello", [], None, MALFORMED, "JSON: expected value at line 1 column 1"),
    ("truncated JSON", json.dumps(USAGE).encode()[:-1], [], None, MALFORMED, "JSON: EOF while parsing an object"),
    ("two objects", json.dumps(USAGE).encode() * 2, [], None, MALFORMED, "JSON: trailing characters"),
    ("a byte order mark", b"\xef\xbb\xbf" + json.dumps(USAGE).encode(), [], None, MALFORMED, "JSON: expected value"),
    ("UTF-16", json.dumps(USAGE).encode("utf-16"), [], None, MALFORMED, "JSON: expected value"),
    ("a bomb", raw("extra", "[" * 200_000), [], None, MALFORMED, "JSON: recursion limit exceeded"),
    ("a closed bomb", raw("extra", "[" * 5000 + "]" * 5000), [], None, MALFORMED, "JSON: recursion limit exceeded"),
    ("invalid UTF-8", raw("tenant", '"@"').replace(b"@", b"\xff"), [], None, MALFORMED, "JSON: invalid unicode code point"),
    ("a lone surrogate", raw("tenant", '"\\ud800"'), [], None, INVALID, "JSON: a lone surrogate is no character"),
    ("a lone low surrogate", raw("tenant", '"\\udc00x"'), [], None, INVALID, "JSON: a lone surrogate is no character"),
    ("a broken escape", raw("tenant", '"\\ud8"'), [], None, MALFORMED, "JSON: "),
    ("a list", b"[]", [], None, INVALID, "value: a list is not an object"),
    ("a number", b"5", [], None, INVALID, "value: 5 is not an object"),
    ("null as JSON", b"null", [], None, INVALID, "value: None is not an object"),
    ("missing tenant", usage(tenant=...), [], None, INVALID, "tenant: missing"),
    ("all missing", b"{}", [], None, INVALID, "time: missing; source: missing; id: missing; and 4 more"),
    ("text for tokens", usage(input_tokens="12"), [], None, INVALID, "input_tokens: '12' is not an integer"),
    ("a float for tokens", usage(input_tokens=12.0), [], None, INVALID, "input_tokens: 12.0 is not an integer"),
    ("true for tokens", usage(input_tokens=True), [], None, INVALID, "input_tokens: True is not an integer"),
    ("null for tokens", usage(output_tokens=None), [], None, INVALID, "output_tokens: None is not an integer"),
    ("negative tokens", usage(input_tokens=-5), [], None, INVALID, "input_tokens: -5 is less than 0"),
    ("too many tokens", usage(output_tokens=2**53 + 1), [], None, INVALID, f"output_tokens: {2**53 + 1} is more than {2**53}"),
    ("beyond int64", usage(output_tokens=2**70), [], None, INVALID, f"output_tokens: {2**70} is more than {2**53}"),
    ("4000 digits", raw("input_tokens", "9" * 4000), [], None, INVALID, "input_tokens: 99999999"),
    ("5000 digits", raw("input_tokens", "9" * 5000), [], None, INVALID, "JSON: number out of range"),
    ("NaN", raw("input_tokens", "NaN"), [], None, INVALID, "input_tokens: nan is not an integer"),
    ("1e400", raw("input_tokens", "1e400"), [], None, INVALID, "input_tokens: inf is not an integer"),
    (
        "more cached than input",
        usage(cached_input_tokens=13),
        [],
        None,
        INVALID,
        "cached_input_tokens: 13 is more than input_tokens 12",
    ),
    ("an empty tenant", usage(tenant=""), [], None, INVALID, "tenant: '' is empty"),
    ("a long tenant", usage(tenant="é" * 65), [], None, INVALID, "is 130 bytes long, at most 128 are allowed"),
    ("a control character", usage(tenant="a\nb"), [], None, INVALID, "tenant: 'a\\nb' holds the control character U+000A"),
    ("NUL", usage(id="a\x00"), [], None, INVALID, "id: 'a\\x00' holds the control character U+0000"),
    ("a number for a tenant", usage(tenant=5), [], None, INVALID, "tenant: 5 is not text"),
    ("an object for a tenant", usage(tenant={"a": 1}), [], None, INVALID, "tenant: an object of 1 fields is not text"),
    ("a long model", usage(model="m" * 257), [], None, INVALID, "is longer than 256 characters"),
    ("a long value", usage(model="m" * 90_000), [], None, INVALID, "model: '" + "m" * 98 + "…"),
    ("no time", usage(time="yesterday"), [], None, INVALID, "time: 'yesterday' is neither an RFC 3339 time with an offset"),
    ("no offset", usage(time="2023-11-14T22:13:20"), [], None, INVALID, "time: '2023-11-14T22:13:20' is neither"),
    ("seconds", usage(time=1_700_000_000.5), [], None, INVALID, "time: 1700000000.5 is neither"),
    ("far future", usage(time=NOW + HOUR + 1), [], None, TIME_OUT_OF_RANGE, f"time: {NOW + HOUR + 1} is 3600001 ms ahead of"),
    (
        "far past",
        usage(time=NOW - 30 * DAY - 1),
        [],
        None,
        TIME_OUT_OF_RANGE,
        f"time: {NOW - 30 * DAY - 1} is 2592000001 ms behind",
    ),
    ("beyond all time", usage(time=10**30), [], None, TIME_OUT_OF_RANGE, f"time: {10**30} is "),
    ("year 1", usage(time="0001-01-01T00:00:00Z"), [], None, TIME_OUT_OF_RANGE, "time: -62135596800000 is "),
    ("a key of another", USAGE, [], b"x", INVALID, "key: 'x' differs from tenant 'acme'"),
    ("an empty key", USAGE, [], b"", INVALID, "key: '' differs from tenant 'acme'"),
    ("a key not UTF-8", USAGE, [], b"\xff", INVALID, "key: b'\\xff' differs from tenant 'acme'"),
    ("5 MB", b"[" + b"0," * 2_500_000 + b"0]", [], None, TOO_LARGE, "value: 5000003 bytes, at most 1048576 are taken"),
    ("truncated Avro", BODY[:-1], [], None, MALFORMED, "Avro: "),
    ("Avro and more", BODY + b"\x00", [], None, MALFORMED, "Avro: 1 bytes left over"),
    ("Avro without a body", BODY[:10], [], None, MALFORMED, "Avro: "),
    ("half a fingerprint", BODY[:7], [], None, MALFORMED, "schema fingerprint: "),
    ("another magic", b"\xc3\x02" + BODY[2:], [], None, MALFORMED, "value: begins with c302"),
    ("Avro not UTF-8", BODY.replace(b"acme", b"acm\xff"), [], None, MALFORMED, "Avro: 'utf-8' codec can't decode"),
    ("unknown Avro", avro(ELSEWHERE, USAGE_EVENT.__dict__), [], None, UNKNOWN_SCHEMA, "is of no schema that we know"),
    ("Avro of another topic", encode(LATENCY_EVENT), [], None, UNKNOWN_SCHEMA, "is of 'latency', which usage does not hold"),
    (
        "negative in Avro",
        encode(USAGE_EVENT.model_copy(update={"input_tokens": -5})),
        [],
        None,
        INVALID,
        "input_tokens: -5 is less than 0",
    ),
    ("Confluent", b"\x00\x00\x00\x00\x01" + BODY[10:], [], None, UNKNOWN_SCHEMA, "no schema registry is set"),
    (
        "a batch",
        b"[]",
        [("content-type", b"application/cloudevents-batch+json")],
        None,
        INVALID,
        "content-type: 'application/cloudevents-batch+json'",
    ),
    ("CloudEvents 0.3", envelope(specversion="0.3"), [], None, INVALID, "specversion: '0.3' is not '1.0'"),
    ("CloudEvent without data", envelope(data=None), [], None, INVALID, "data: missing"),
    ("text as data", envelope(data="x"), [], None, INVALID, "data: 'x' is not an object"),
    ("two data", envelope(data_base64="e30="), [], None, INVALID, "data_base64: stands beside data"),
    ("not base64", envelope(data=None, data_base64="%"), [], None, MALFORMED, "data_base64: '%'"),
    ("base64 beyond ASCII", envelope(data=None, data_base64="é"), [], None, MALFORMED, "data_base64: 'é'"),
    ("base64 of no text", envelope(data=None, data_base64=5), [], None, INVALID, "data_base64: 5 is not text"),
    ("base64 of no JSON", envelope(data=None, data_base64="aGk="), [], None, MALFORMED, "JSON: expected value"),
    ("a number as the subject", envelope(subject=5), [], None, INVALID, "tenant: 5 is not text"),
    ("structured but not JSON", b"hi", CLOUD, None, MALFORMED, "JSON: expected value"),
    ("structured but bare", USAGE, CLOUD, None, INVALID, "specversion: None is not '1.0'"),
    ("binary without a version", USAGE, [("ce_id", b"i")], None, INVALID, "specversion: None is not '1.0'"),
    ("a header not UTF-8", USAGE, [("ce_specversion", b"1.0"), ("ce_id", b"\xff")], None, INVALID, "ce_id: b'\\xff' is not UTF-8"),
    ("binary without data", b"", [("ce_specversion", b"1.0")], None, MALFORMED, "JSON: EOF"),
]


@pytest.mark.parametrize(("value", "headers", "key", "problem", "said"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_usage(value: Any, headers: list[tuple[str, bytes | None]], key: bytes | None, problem: Problem, said: str) -> None:
    found = read(value, "usage", headers, key)
    assert isinstance(found, Refusal), found
    assert (found.problem, said in found.detail) == (problem, True), found
    assert len(found.detail) <= 1000
    found.detail.encode()


BINARY: list[tuple[str, bytes | None]] = [
    ("ce_specversion", b"1.0"),
    ("ce_type", b"io.bourse.usage"),
    ("ce_id", b"i1"),
    ("ce_source", b"gw"),
    ("ce_time", b"2023-11-14T23:13:20+01:00"),
    ("ce_subject", b"acme"),
    ("ce_traceparent", None),
    ("content-type", b"application/json; charset=utf-8"),
]
REST = json.dumps({"pool": "llama", "input_tokens": 12, "output_tokens": 3}).encode()
OTEL = {"gen_ai.usage.input_tokens": 12, "gen_ai.usage.output_tokens": 3, "input_tokens": ..., "output_tokens": ...}

GOOD: list[tuple[str, bytes | dict[str, Any], list[tuple[str, bytes | None]]]] = [
    ("bare", USAGE, []),
    ("spaces before it", b" \n" + json.dumps(USAGE).encode(), []),
    ("RFC 3339", usage(time="2023-11-14T22:13:20.000Z"), []),
    ("more than we read", usage(gpu="h100", region={"a": [1]}), []),
    ("headers of others", USAGE, [("traceparent", b"00-1"), ("Content-Type", b"application/json"), ("x", None)]),
    ("OpenTelemetry's names", usage(**OTEL), []),
    ("Avro", BODY, []),
    ("Avro and a content type", BODY, [("content-type", b"application/avro")]),
    ("structured", envelope(), []),
    ("structured by header", envelope(), [("content-type", b"application/cloudevents+json; charset=UTF-8")]),
    ("structured, tenant in the data", envelope(usage(), subject=..., time=...), []),
    ("structured, the envelope wins", envelope(usage(id="other", tenant="other", source="other")), []),
    ("structured, base64", envelope(data=..., data_base64=base64.b64encode(REST).decode()) | {"data": None}, []),
    ("structured, Avro in base64", envelope(data=None, data_base64=base64.b64encode(BODY).decode()), []),
    ("the word elsewhere", usage(note={"specversion": "1.0"}), []),
    ("binary", REST, BINARY),
    ("binary with Avro", BODY, BINARY),
    ("the last of two", json.dumps(USAGE)[:-1].encode() + b', "input_tokens": 12}', []),
]


@pytest.mark.parametrize(("value", "headers"), [case[1:] for case in GOOD], ids=[case[0] for case in GOOD])
@pytest.mark.parametrize("key", [None, b"acme"])
def test_the_same_event_in_every_form(value: Any, headers: list[tuple[str, bytes | None]], key: bytes | None) -> None:
    assert read(value, "usage", headers, key) == USAGE_EVENT


def test_times_at_the_very_limits_are_taken() -> None:
    for time in (NOW + HOUR, NOW - 30 * DAY):
        assert isinstance(read(usage(time=time)), UsageEvent)


def test_the_longest_value_is_taken_and_one_byte_more_is_not() -> None:
    text = json.dumps(usage(extra="@")).encode()
    fitting = text.replace(b"@", b"x" * ((1 << 20) - len(text) + 1))
    assert len(fitting) == 1 << 20
    assert read(fitting) == USAGE_EVENT
    assert read(fitting + b" ") == Refusal(Problem.TOO_LARGE, "value: 1048577 bytes, at most 1048576 are taken")
