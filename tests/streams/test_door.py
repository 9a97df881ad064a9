"""What the door takes and what it refuses, with which words: tables, and arbitrary bytes."""

import base64
import io
import json
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.avro import avro_fingerprint, record
from schemas.dead_letters import Problem
from schemas.model import Event
from schemas.published import AdmissionEvent, Budget, LatencyEvent, Policy, PoolCommand, ProfileCommand, Tier, UsageEvent
from streams.codecs import MAGIC, encode
from streams.complaints import Refusal
from streams.door import Door, TopicKind

NOW = 1_700_000_000_000
HOUR, DAY = 3_600_000, 86_400_000
DOOR = Door(max_event_bytes=1 << 20, max_ahead_ms=HOUR, max_age_ms=30 * DAY)

USAGE = {"id": "i1", "source": "gw", "time": NOW, "tenant": "acme", "pool": "llama", "input_tokens": 12, "output_tokens": 3}
LATENCY = {"id": "i1", "source": "gw", "time": NOW, "tenant": "acme", "pool": "llama", "latency_ms": 250, "ttft_ms": 40}
POOL = {"type": "pool", "id": "c1", "pool": "llama", "capacity": 1000, "policy": "max_min", "cached_weight": 0.25}
PROFILE = {"type": "profile", "id": "c2", "pool": "llama", "tenant": "acme", "base": 10, "elasticity": 2.5, "tier": "spot"}
PROFILE |= {"budget": {"amount": 5, "window_s": 60}, "weight": "1.5"}

USAGE_EVENT = UsageEvent(**USAGE)  # type: ignore[arg-type]  # a table of JSON
ADMISSION = {"id": "i1", "source": "gw", "time": NOW, "tenant": "acme", "pool": "llama", "interval_ms": 1000, "admitted": 3}
LATENCY_EVENT = LatencyEvent(**LATENCY)  # type: ignore[arg-type]  # a table of JSON


def read(
    value: bytes | dict[str, Any] | None,
    kind: TopicKind = "usage",
    headers: list[tuple[str, bytes | None]] | None = None,
    key: bytes | None = None,
    door: Door = DOOR,
) -> Event | Refusal:
    return door.read(kind, json.dumps(value).encode() if isinstance(value, dict) else value, headers or [], key, NOW)


def usage(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**USAGE, **changes}.items() if value is not ...}


def raw(field: str, text: str) -> bytes:
    """The usage event with `text` as it is in the place of the field's value."""
    return json.dumps(usage(**{field: "@"})).replace('"@"', text).encode()


def envelope(data: object = ..., **changes: Any) -> dict[str, Any]:
    rest = {name: USAGE[name] for name in ("pool", "input_tokens", "output_tokens")}
    made = {"specversion": "1.0", "type": "io.bourse.usage", "id": "i1", "source": "gw", "time": "2023-11-14T22:13:20Z"}
    made |= {"subject": "acme", "data": rest if data is ... else data, **changes}
    return {name: value for name, value in made.items() if value is not ...}


def avro(schema: dict[str, Any], fields: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    schemaless_writer(stream, parse_schema(schema), fields)
    return MAGIC + avro_fingerprint(schema) + stream.getvalue()


ELSEWHERE = record(UsageEvent) | {"name": "elsewhere.Usage"}
BODY = encode(USAGE_EVENT)

MALFORMED, INVALID, UNKNOWN_SCHEMA = Problem.MALFORMED, Problem.INVALID, Problem.UNKNOWN_SCHEMA
TOO_LARGE, TIME_OUT_OF_RANGE = Problem.TOO_LARGE, Problem.TIME_OUT_OF_RANGE
CLOUD = [("content-type", b"application/cloudevents+json")]

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


BAD_COMMANDS: list[tuple[str, TopicKind, Any, bytes | None, Problem, str]] = [
    ("no type", "profiles", {"id": "x"}, None, INVALID, "type: missing"),
    (
        "unknown type",
        "profiles",
        {"type": "poool"},
        None,
        INVALID,
        "type: 'poool' is none that profiles holds (pool, profile, replicas, deposit, key, call, priors, rebalance)",
    ),
    ("type is no text", "profiles", {"type": ["pool"]}, None, INVALID, "type: a list is none that profiles holds"),
    ("a pool set by a tenant", "orders", POOL, None, INVALID, "type: 'pool' is none that orders holds (order, cancel, "),
    ("a pool in Avro by a tenant", "orders", encode(PoolCommand(**POOL)), None, UNKNOWN_SCHEMA, "which orders does not hold"),
    (
        "unknown policy",
        "profiles",
        POOL | {"policy": "luck"},
        None,
        INVALID,
        "policy: 'luck' is not 'seed', 'uniform_price', 'max_min' or 'proportional'",
    ),
    ("seven places", "profiles", PROFILE | {"elasticity": "0.0000001"}, None, INVALID, "elasticity: '0.0000001' has more than six"),
    (
        "a huge decimal",
        "profiles",
        PROFILE | {"elasticity": "1e999999999"},
        None,
        INVALID,
        "elasticity: '1e999999999' is more than",
    ),
    ("NaN elasticity", "profiles", PROFILE | {"elasticity": float("nan")}, None, INVALID, "elasticity: nan is not a finite number"),
    ("weight above one", "profiles", POOL | {"cached_weight": 1.1}, None, INVALID, "cached_weight: 1.1 is more than 1"),
    ("a budget of text", "profiles", PROFILE | {"budget": "5"}, None, INVALID, "budget: '5' is not an object"),
    ("a budget without window", "profiles", PROFILE | {"budget": {"amount": 5}}, None, INVALID, "budget.window_s: missing"),
    ("a key of another pool", "profiles", POOL, b"acme", INVALID, "key: 'acme' differs from pool 'llama'"),
    ("a type like a name of Python", "profiles", {"type": "__class__"}, None, INVALID, "type: '__class__' is none that"),
]


@pytest.mark.parametrize(
    ("kind", "value", "key", "problem", "said"), [c[1:] for c in BAD_COMMANDS], ids=[c[0] for c in BAD_COMMANDS]
)
def test_bad_commands(kind: TopicKind, value: Any, key: bytes | None, problem: Problem, said: str) -> None:
    found = read(value, kind, key=key)
    assert isinstance(found, Refusal), found
    assert (found.problem, said in found.detail) == (problem, True), found


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


def test_commands() -> None:
    pool = PoolCommand(id="c1", pool="llama", capacity=1000, policy=Policy.MAX_MIN, cached_weight=250_000 / 1_000_000)  # type: ignore[arg-type]  # a published decimal
    assert pool.cached_weight == 250_000
    for value in (json.dumps(POOL).encode(), encode(pool)):
        assert read(value, "profiles", key=b"llama") == pool
    profile = read(PROFILE, "profiles", key=b"llama")
    assert isinstance(profile, ProfileCommand)
    assert (profile.elasticity, profile.weight, profile.tier) == (2_500_000, 1_500_000, Tier.SPOT)
    assert profile.budget == Budget(amount=5, window_s=60)
    assert read(encode(profile), "profiles") == profile
    assert read(LATENCY, "latency") == read(encode(LATENCY_EVENT), "latency") == LATENCY_EVENT


def test_reports_of_admission_are_read() -> None:
    event = AdmissionEvent(**ADMISSION, refused_own_kv=1, refused_pool_concurrency=2)  # type: ignore[arg-type]  # a table of JSON
    said = ADMISSION | {"refused_own_kv": 1, "refused_pool_concurrency": 2}
    assert read(said, "admissions") == read(encode(event), "admissions") == event
    assert isinstance(event, AdmissionEvent)
    assert event.refused == 3


TOKEN_POOL = {"replicas": 2, "replica_tokens_per_s": 1000, "replica_kv_blocks": 500, "replica_concurrency": 8}
ENTITLEMENTS: list[tuple[dict[str, Any], str]] = [
    (POOL | {"replicas": 2}, "replica_tokens_per_s: missing, but replicas is 2"),
    (POOL | {"replica_kv_blocks": 2}, "replicas: missing, but replica_kv_blocks is 2"),
    (POOL | TOKEN_POOL | {"replicas": -1}, "replicas: -1 is less than 0"),
    (POOL | TOKEN_POOL | {"replica_kv_blocks": 0}, "replica_kv_blocks: 0 is less than 1"),
    (POOL | TOKEN_POOL | {"replica_kv_blocks": 1.5}, "replica_kv_blocks: 1.5 is not an integer"),
    (POOL | TOKEN_POOL | {"replicas": 10**9}, "replicas: 1000000000 is more than 100000"),
    (POOL | TOKEN_POOL | {"debt_gain": 11}, "debt_gain: 11 is more than 10"),
    (PROFILE | {"tier": "gold"}, "tier: 'gold' is not 'dedicated', 'guaranteed', 'elastic', 'spot' or 'preemptible'"),
    (PROFILE | {"kv": {"nominal_quota": 0}}, "kv.nominal_quota: 0 is less than 1"),
    (PROFILE | {"kv": {"nominalQuota": -5}}, "kv.nominalQuota: -5 is less than 1"),
    (PROFILE | {"kv": {"nominal_quota": 1.5}}, "kv.nominal_quota: 1.5 is not an integer"),
    (
        PROFILE | {"concurrency": {"nominal_quota": 10**15}},
        "concurrency.nominal_quota: 1000000000000000 is more than 100000000000000",
    ),
    (PROFILE | {"kv": {"nominal_quota": 5, "borrowing_limit": -1}}, "kv.borrowing_limit: -1 is less than 0"),
    (PROFILE | {"kv": {"nominal_quota": 5, "lending_limit": 6}}, "kv.lending_limit: 6 is more than nominal_quota 5"),
    (PROFILE | {"kv": {"lending_limit": 6}}, "kv.lending_limit: 6, but no nominal_quota is given to lend of"),
    (
        PROFILE | {"throughput": {"nominalQuota": 6}},
        "throughput.nominalQuota: 6, but throughput is what the period allocates: set the profile's base",
    ),
    (
        PROFILE | {"tier": "dedicated", "throughput": {"lendingLimit": 6}},
        "throughput.lending_limit: 6, but what is dedicated is never lent",
    ),
    (PROFILE | {"kv": 5}, "kv: 5 is not an object"),
]


@pytest.mark.parametrize(("said", "detail"), ENTITLEMENTS, ids=[detail for _, detail in ENTITLEMENTS])
def test_entitlements_that_nobody_can_have_are_refused_by_field_and_value(said: dict[str, Any], detail: str) -> None:
    refusal = read(said, "profiles")
    assert isinstance(refusal, Refusal)
    assert (refusal.problem, refusal.detail) == (Problem.INVALID, detail)


def test_entitlements_are_read_by_our_names_and_by_kueues() -> None:
    ours = {"kv": {"nominal_quota": 5, "borrowing_limit": 3, "lending_limit": 2}, "throughput": {"borrowing_limit": 7}}
    kueues = {"kv": {"nominalQuota": 5, "borrowingLimit": 3, "lendingLimit": 2}, "throughput": {"borrowingLimit": 7}}
    assert read(PROFILE | ours, "profiles") == read(PROFILE | kueues, "profiles")
    assert isinstance(read(POOL | TOKEN_POOL | {"burst": [{"fill": 0.5, "scale": 1}]}, "profiles"), PoolCommand)


@pytest.mark.parametrize("kind", ["profile", "io.bourse.profile"])
def test_a_command_names_its_type_in_the_envelope_or_the_data(kind: str) -> None:
    data = {name: value for name, value in PROFILE.items() if name not in {"type", "id", "tenant"}}
    cloud = {"specversion": "1.0", "type": kind, "id": "c2", "source": "ops", "subject": "acme", "data": data}
    assert read(cloud, "profiles") == read(PROFILE, "profiles")
    assert read(cloud | {"type": "com.example.set", "data": data | {"type": "profile"}}, "profiles") == read(PROFILE, "profiles")


KINDS: st.SearchStrategy[TopicKind] = st.sampled_from(["usage", "latency", "admissions", "orders", "profiles"])
NAMES = ["content-type", "ce_id", "ce_specversion", "ce_time", "ce_subject", "ce_type", "x"]
HEADERS = st.lists(st.tuples(st.sampled_from(NAMES) | st.text(), st.none() | st.binary() | st.just(b"1.0")), max_size=5)
JSONS = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.dictionaries(st.sampled_from([*USAGE, *PROFILE, *POOL, *envelope(), "data_base64"]), JSONS, max_size=4)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    good = draw(st.sampled_from([USAGE, LATENCY, POOL, PROFILE, envelope()]))
    text = json.dumps({**good, **draw(FIELDS)}).encode()
    body = draw(
        st.sampled_from([text, BODY, encode(LATENCY_EVENT), encode(PoolCommand(**POOL)), b"\xc3\x01", b"\x00\x00\x00\x00\x01"])
    )
    at, until = sorted((draw(st.integers(0, len(body))), draw(st.integers(0, len(body)))))
    mutated = body[:at] + draw(st.binary(max_size=8)) + body[until:]
    return draw(st.sampled_from([text, mutated, body[:at] + body[until:]]) | st.binary(max_size=60))


@settings(max_examples=800, deadline=None)
@given(kind=KINDS, value=messages(), headers=HEADERS, key=st.none() | st.binary(max_size=8), append_ms=st.integers(0, 2**63 - 1))
def test_the_door_answers_whatever_stands_before_it(
    kind: TopicKind, value: bytes, headers: list[tuple[str, bytes | None]], key: bytes | None, append_ms: int
) -> None:
    found = DOOR.read(kind, value, headers, key, append_ms)
    if isinstance(found, Refusal):
        assert found.detail
        found.detail.encode()
    else:
        encode(found)  # what is taken can be written


TEXTS = st.text(min_size=1, max_size=30).filter(lambda text: len(text.encode("utf-8", "ignore")) in range(1, 129))


@st.composite
def usages(draw: st.DrawFn) -> UsageEvent | None:
    tokens = st.integers(0, 2**53)
    values = {name: draw(TEXTS) for name in ("id", "source", "tenant", "pool")}
    counts = {"input_tokens": draw(tokens), "output_tokens": draw(tokens)}
    cached = draw(st.integers(0, counts["input_tokens"]))
    try:
        return UsageEvent(
            **values,
            **counts,
            time=NOW + draw(st.integers(-DAY, HOUR)),
            cached_input_tokens=cached,
            model=draw(st.text(max_size=9)),
        )
    except ValueError:
        return None


@settings(max_examples=300, deadline=None)
@given(event=usages())
def test_valid_events_come_through_in_every_encoding(event: UsageEvent | None) -> None:
    if event is None:
        return
    fields = event.model_dump()
    data = {name: value for name, value in fields.items() if name not in {"id", "source", "time", "tenant"}}
    attributes = {"specversion": "1.0", "id": event.id, "source": event.source, "subject": event.tenant}
    binary: list[tuple[str, bytes | None]] = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
    key = event.tenant.encode()
    assert read(fields, key=key) == event
    assert read(encode(event), key=key) == event
    assert read({**attributes, "data": data | {"time": event.time}}, key=key) == event
    assert read(json.dumps(data | {"time": event.time}).encode(), headers=binary, key=key) == event
    assert read(encode(event), headers=binary, key=key) == event
