"""The market's commands at the doors of `orders` and `profiles`: what is taken, what is refused in which words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tenant_commands import commands, encodings

from schemas.dead_letters import Problem
from schemas.market import INT64_MAX, MAX_MOMENT, TENANT_COMMANDS, CallCommand, DepositCommand, KeyCommand, OrderCommand
from schemas.model import Event
from schemas.published import PoolCommand
from schemas.trading import OrderType, SelfTrade, Side, TimeInForce
from streams.codecs import decode, encode
from streams.complaints import Refusal
from streams.door import Door, TopicKind

DOOR = Door(max_event_bytes=1 << 20, max_ahead_ms=1, max_age_ms=1)
INVALID, UNKNOWN_SCHEMA = Problem.INVALID, Problem.UNKNOWN_SCHEMA
KEY, SIGNATURE = "A" * 43 + "=", "B" * 85 + "A=="

WHO = {"id": "1", "pool": "llama", "tenant": "acme"}
ORDER = {"type": "order", **WHO, "period": 9, "side": "buy", "qty": 5, "price": 3}
CANCEL = {"type": "cancel", **WHO, "period": 9, "order": "o"}
TRANSFER = {"type": "transfer", **WHO, "period": 9, "to": "bob"}
DEPOSIT = {"type": "deposit", **WHO, "amount": 5}
KEYS = {"type": "key", **WHO, "key": KEY}
CALL = {"type": "call", "id": "1", "pool": "llama", "period": 9, "action": "uncross"}


def read(kind: TopicKind, value: Any, headers: Any = (), key: bytes | None = None) -> Event | Refusal:
    return DOOR.read(kind, value if isinstance(value, bytes) else json.dumps(value).encode(), headers, key, 0)


ACCEPTED: list[tuple[TopicKind, dict[str, Any], Event]] = [
    (
        "orders",
        ORDER | {"order_type": "market", "price": None, "tif": "FOK", "stp": "decrement", "post_only": True, "expire": 5},
        OrderCommand(
            **{**ORDER, "price": None},
            order_type=OrderType.MARKET,
            tif=TimeInForce.FOK,
            stp=SelfTrade.DECREMENT,
            post_only=True,
            expire=5,
        ),
    ),
    ("orders", ORDER | {"side": "sell", "more": [1]}, OrderCommand(**ORDER).model_copy(update={"side": Side.SELL})),
    ("orders", ORDER | {"key": KEY, "seq": 0, "signature": SIGNATURE}, OrderCommand(**ORDER, key=KEY, seq=0, signature=SIGNATURE)),
    # What the book judges passes the door: it is refused with the book's own reason.
    *(
        ("orders", ORDER | {name: value}, OrderCommand(**ORDER).model_copy(update={name: value}))  # type: ignore[misc]  # a table of JSON
        for name in ("qty", "price")
        for value in (0, -1, INT64_MAX, -INT64_MAX - 1)
    ),
    ("profiles", DEPOSIT, DepositCommand(**WHO, amount=5)),
    ("profiles", DEPOSIT | {"amount": -INT64_MAX}, DepositCommand(**WHO, amount=-INT64_MAX)),
    ("profiles", KEYS, KeyCommand(**WHO, key=KEY)),
    (
        "profiles",
        KEYS | {"valid_from": "1970-01-01T00:00:00Z", "valid_until": MAX_MOMENT, "revoked": True},
        KeyCommand(**WHO, key=KEY, valid_from=0, valid_until=MAX_MOMENT, revoked=True),
    ),
    ("profiles", CALL, CallCommand(id="1", pool="llama", period=9, action="uncross")),
]


@pytest.mark.parametrize(("kind", "value", "expected"), ACCEPTED)
def test_taken(kind: TopicKind, value: dict[str, Any], expected: Event) -> None:
    assert read(kind, value, key=b"llama") == expected
    assert read(kind, encode(expected)) == expected


def test_a_cloud_event_names_type_id_and_tenant_in_its_envelope() -> None:
    envelope = {"specversion": "1.0", "id": "1", "source": "s", "subject": "acme", "time": "2026-01-01T00:00:00Z"}
    data = {"pool": "llama", "period": 9, "side": "buy", "qty": 5, "price": 3}
    deposit, call = DepositCommand(**WHO, amount=5), CallCommand(id="1", pool="llama", period=9, action="uncross")
    assert read("orders", envelope | {"type": "io.bourse.order", "data": data}) == OrderCommand(**ORDER)
    binary = [(f"ce_{name}", value.encode()) for name, value in envelope.items()] + [("ce_type", b"order")]
    assert read("orders", data, binary) == OrderCommand(**ORDER)
    assert read("profiles", envelope | {"type": "x.deposit", "data": {"pool": "llama", "amount": 5}}) == deposit
    assert read("profiles", envelope | {"type": "call", "data": CALL}) == call


@settings(max_examples=60, deadline=None)
@given(command=commands())
def test_every_command_comes_through_in_every_encoding(command: Event) -> None:
    for name, value, headers in encodings(command):
        assert read("orders", value, headers) == command, name


BAD: list[tuple[TopicKind, Any, Problem, str]] = [
    ("orders", {"type": "order"}, INVALID, "id: missing; pool: missing; tenant: missing; and 3 more"),
    (
        "orders",
        {**ORDER, "type": "sell"},
        INVALID,
        "type: 'sell' is none that orders holds (order, cancel, reduce, replace, ",
    ),
    ("orders", DEPOSIT, INVALID, "type: 'deposit' is none that orders holds"),
    ("orders", KEYS, INVALID, "type: 'key' is none that orders holds"),
    ("orders", {**ORDER, "type": "turned_away"}, INVALID, "type: 'turned_away' is none that orders holds"),
    ("orders", encode(DepositCommand(**WHO, amount=5)), UNKNOWN_SCHEMA, "is of 'deposit', which orders does not hold"),
    ("profiles", ORDER, INVALID, "type: 'order' is none that profiles holds (pool, profile, replicas, deposit, key, call, "),
    ("profiles", encode(OrderCommand(**ORDER)), UNKNOWN_SCHEMA, "is of 'order', which profiles does not hold"),
    ("orders", ORDER | {"qty": 1.5}, INVALID, "qty: 1.5 is not an integer"),
    ("orders", ORDER | {"qty": 5.0}, INVALID, "qty: 5.0 is not an integer"),
    ("orders", ORDER | {"qty": "5"}, INVALID, "qty: '5' is not an integer"),
    ("orders", ORDER | {"qty": None}, INVALID, "qty: None is not an integer"),
    ("orders", ORDER | {"qty": True}, INVALID, "qty: True is not an integer"),
    ("orders", ORDER | {"qty": INT64_MAX + 1}, INVALID, f"qty: {INT64_MAX + 1} is more than {INT64_MAX}"),
    ("orders", ORDER | {"price": -INT64_MAX - 2}, INVALID, f"price: {-INT64_MAX - 2} is less than {-INT64_MAX - 1}"),
    ("orders", ORDER | {"price": 0.5}, INVALID, "price: 0.5 is not an integer"),
    ("orders", ORDER | {"period": -1}, INVALID, "period: -1 is less than 0"),
    ("orders", ORDER | {"period": 2**63}, INVALID, f"period: {2**63} is more than"),
    ("orders", ORDER | {"side": "BUY"}, INVALID, "side: 'BUY' is not 'buy' or 'sell'"),
    ("orders", ORDER | {"order_type": "stop"}, INVALID, "order_type: 'stop' is not 'limit' or 'market'"),
    ("orders", ORDER | {"tif": "gtc"}, INVALID, "tif: 'gtc' is not 'GTC', 'IOC', 'FOK' or 'GTD'"),
    ("orders", ORDER | {"stp": "maybe"}, INVALID, "stp: 'maybe' is not"),
    ("orders", ORDER | {"stp": None}, INVALID, "stp: None is not"),
    ("orders", ORDER | {"post_only": "perhaps"}, INVALID, "post_only: 'perhaps'"),
    ("orders", ORDER | {"expire": "soon"}, INVALID, "expire: 'soon' is neither an RFC 3339 time"),
    ("orders", ORDER | {"expire": MAX_MOMENT + 1}, INVALID, f"expire: {MAX_MOMENT + 1} is more than {MAX_MOMENT}"),
    ("orders", ORDER | {"expire": 10**30}, INVALID, "expire: 1000000000000000000000000000000 is more than"),
    ("orders", ORDER | {"expire": "9999-12-31T00:00:00Z"}, INVALID, "expire: '9999-12-31T00:00:00Z' is more than"),
    ("orders", ORDER | {"expire": -1}, INVALID, "expire: -1 is less than 0"),
    ("orders", ORDER | {"tenant": ""}, INVALID, "tenant: '' is empty"),
    ("orders", ORDER | {"id": "a\nb"}, INVALID, "id: 'a\\nb' holds the control character U+000A"),
    ("orders", ORDER | {"pool": "p" * 129}, INVALID, "is 129 bytes long"),
    ("orders", CANCEL | {"order": ""}, INVALID, "order: '' is empty"),
    ("orders", TRANSFER | {"to": None}, INVALID, "to: None is not text"),
    ("orders", TRANSFER | {"tokens": 1e3}, INVALID, "tokens: 1000.0 is not an integer"),
    ("orders", ORDER | {"seq": -1}, INVALID, "seq: -1 is less than 0"),
    ("orders", ORDER | {"seq": "7"}, INVALID, "seq: '7' is not an integer"),
    ("orders", ORDER | {"key": "A" * 44}, INVALID, "key: '"),
    ("orders", ORDER | {"key": "A" * 42 + "B="}, INVALID, "key: '"),  # bits that mean nothing are set
    ("orders", ORDER | {"key": KEY + "\n"}, INVALID, "key: '"),
    ("orders", ORDER | {"key": "-" * 43 + "="}, INVALID, "key: '"),  # base64url
    ("orders", ORDER | {"signature": "B" * 85 + "B=="}, INVALID, "signature: '"),
    ("orders", ORDER | {"signature": "B" * 88}, INVALID, "signature: '"),
    ("orders", ORDER | {"signature": ""}, INVALID, "signature: ''"),
    ("profiles", DEPOSIT | {"amount": 0.1}, INVALID, "amount: 0.1 is not an integer"),
    ("profiles", DEPOSIT | {"amount": 2**63}, INVALID, f"amount: {2**63} is more than {INT64_MAX}"),
    ("profiles", KEYS | {"valid_until": 10**30}, INVALID, "valid_until: 1000000000000000000000000000000 is more than"),
    ("profiles", KEYS | {"key": "x"}, INVALID, "key: 'x'"),
    ("profiles", CALL | {"action": "open"}, INVALID, "action: 'open' is not 'to_auction' or 'uncross'"),
]


@pytest.mark.parametrize(("kind", "value", "problem", "said"), BAD)
def test_refused(kind: TopicKind, value: Any, problem: Problem, said: str) -> None:
    found = read(kind, value)
    assert isinstance(found, Refusal), found
    assert (found.problem, said in found.detail) == (problem, True), found
    assert found.field == (said.partition(":")[0] if said[0].isalpha() and ":" in said else found.field)


def test_a_key_of_another_pool_is_refused() -> None:
    found = read("orders", ORDER, key=b"acme")
    assert isinstance(found, Refusal)
    assert (found.field, found.detail) == ("key", "key: 'acme' differs from pool 'llama'")


GLIMPSES: list[tuple[str, Any, Any, dict[str, Any]]] = [
    ("whole", ORDER | {"qty": 0.5}, (), ORDER | {"qty": 0.5}),
    (
        "it breaks off",
        json.dumps(ORDER)[: json.dumps(ORDER).index('"buy"') + 2].encode(),
        (),
        {**ORDER, "side": ..., "qty": ..., "price": ...},
    ),
    ("it breaks off in a name", b'{"type": "order", "pool": "lla', (), {"type": "order"}),
    ("it breaks off behind a number", b'{"type": "order", "period": 1,', (), {"type": "order", "period": 1}),
    ("it breaks off behind a name with a digit", b'{"period": 1, "id": "7', (), {"period": ...}),
    ("it breaks off in a number", b'{"type": "order", "period": 1', (), {"type": "order", "period": ...}),
    ("no value", None, (), {}),
    ("empty", b"", (), {}),
    ("not JSON", b"hello", (), {}),
    ("not an object", b'["llama"]', (), {}),
    ("a fault in the middle", b'{"pool": "llama", "qty": abc, "tenant": "acme"}', (), {}),
    ("too large", b'{"pool": "llama", "x": "' + b"x" * (1 << 20) + b'"}', (), {}),
    ("Avro", encode(OrderCommand(**ORDER).model_copy(update={"seq": -5})), (), OrderCommand(**ORDER).model_dump() | {"seq": -5}),
    ("Avro of another topic", encode(PoolCommand(id="1", pool="llama", capacity=1)), (), {}),
    ("Avro, cut", encode(OrderCommand(**ORDER))[:-3], (), {}),
    (
        "CloudEvents",
        {"specversion": "1.0", "id": "7", "subject": "acme", "type": "x.order", "data": {"pool": "llama"}},
        (),
        {"id": "7", "tenant": "acme", "type": "order", "pool": "llama"},
    ),
    ("CloudEvents, cut", b'{"specversion": "1.0", "id": "7", "data": {"pool": "llama", "pe', (), {"id": "7"}),
]


@pytest.mark.parametrize(("value", "headers", "expected"), [case[1:] for case in GLIMPSES], ids=[case[0] for case in GLIMPSES])
def test_what_of_a_refused_message_can_be_read(value: Any, headers: Any, expected: dict[str, Any]) -> None:
    raw = json.dumps(value).encode() if isinstance(value, dict) else value
    found = DOOR.glimpse("orders", raw, headers)
    named = {name: found.get(name, ...) for name in {"type", "pool", "tenant", "id", *expected}}
    assert named == dict.fromkeys(named, ...) | expected


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**65), 2**65),
    st.sampled_from([10**30, -(10**30), 2**63, MAX_MOMENT, "1969-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
FIELDS = sorted({name for model in (*TENANT_COMMANDS, DepositCommand, KeyCommand, CallCommand) for name in model.model_fields})


@settings(max_examples=400, deadline=None)
@given(
    base=st.sampled_from([ORDER, CANCEL, TRANSFER, DEPOSIT, KEYS, CALL]),
    odd=st.dictionaries(st.sampled_from(FIELDS), ODD, max_size=4),
    gone=st.sets(st.sampled_from(FIELDS), max_size=1),
)
def test_what_is_taken_can_be_written_and_what_is_not_has_a_field(
    base: dict[str, Any], odd: dict[str, Any], gone: set[str]
) -> None:
    value = {name: field for name, field in {**base, **odd}.items() if name not in gone}
    for kind in ("orders", "profiles"):
        found = read(kind, value)  # type: ignore[arg-type]  # the two of TopicKind that hold commands
        if isinstance(found, Refusal):
            assert found.field
        else:
            assert decode(encode(found)) == found
