"""Intake over a log of orders: signatures, a table of attacks, bad input; and what the engine then tells the tenant."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_world import World, pool, profile
from tenant_commands import commands, numbered

from schemas.dead_letters import DeadLetter
from schemas.market import CancelCommand, DepositCommand, KeyCommand, OrderCommand, TenantCommand, TransferCommand, TurnedAway
from schemas.market_facts import OrderEventKind, OrderEvents
from schemas.model import Event
from schemas.trading import Reject
from streams.codecs import decode, encode
from streams.door import Door, TopicKind
from streams.partitioning import home_partition
from streams.roles.intake import InputPartition, Targets
from streams.signatures import generate, sign
from streams.ticks import TICK_HEADER
from streams.transport import Outgoing

DOOR = Door(max_event_bytes=1 << 16, max_ahead_ms=1, max_age_ms=1)
TARGETS = Targets("x.journal", 8, "x.dead-letters", 8)
HERE = 5

PRIVATE, PUBLIC = generate()
THIEF, THIEFS_PUBLIC = generate()
ORDER = OrderCommand(id="o-1", pool="llm", tenant="acme", period=5, side="buy", qty=5, price=3, seq=7)
SIGNED = sign(ORDER, PRIVATE)
FIELDS = SIGNED.model_dump(mode="json")
HOME = home_partition(b"llm", 8)


@dataclass
class Record:
    offset: int
    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp: int = 1_700_000_000_000


def partition(kind: TopicKind = "orders") -> InputPartition:
    return InputPartition(kind, f"x.{kind}", HERE, DOOR, TARGETS, 1000)


def taken(*values: bytes | dict[str, Any] | Event | Record | None, kind: TopicKind = "orders") -> list[Outgoing]:
    return partition(kind).take([_record(offset, value) for offset, value in enumerate(values)])


def _record(offset: int, value: Any) -> Record:
    if isinstance(value, Record):
        return value
    if isinstance(value, Event):
        return Record(offset, encode(value))
    return Record(offset, json.dumps(value).encode() if isinstance(value, dict) else value)


def journal(outgoing: Sequence[Outgoing]) -> list[Event]:
    return [decode(out.value or b"") for out in outgoing if out.topic == "x.journal"]


def letters(outgoing: Sequence[Outgoing]) -> list[DeadLetter]:
    found = [decode(out.value or b"") for out in outgoing if out.topic == "x.dead-letters"]
    return [letter for letter in found if isinstance(letter, DeadLetter)]


@settings(max_examples=60, deadline=None)
@given(command=commands())
def test_signed_and_unsigned_commands_pass_as_they_are(command: TenantCommand) -> None:
    signed = sign(numbered(command), PRIVATE)
    outgoing = taken(command, signed)
    assert journal(outgoing) == [command, signed]
    home = command.pool.encode()
    assert {(out.topic, out.partition, out.key) for out in outgoing} == {("x.journal", home_partition(home, 8), home)}


def _resigned(**changes: Any) -> dict[str, Any]:
    """What a thief signs with a key of its own."""
    changed = ORDER.model_copy(update=changes)
    return sign(changed, THIEF).model_dump(mode="json")


RAW = b64decode(SIGNED.signature or "")
ORDER_OF_ED25519 = 2**252 + 27742317777372353535851937790883648493
SECOND_FORM = b64encode(RAW[:32] + (int.from_bytes(RAW[32:], "little") + ORDER_OF_ED25519).to_bytes(32, "little")).decode()
CANCEL = CancelCommand(id="o-1", pool="llm", tenant="acme", period=5, order="o", seq=7)
OF_A_CANCEL = sign(CANCEL, PRIVATE)
AS_A_CANCEL = CANCEL.model_dump() | {name: FIELDS[name] for name in ("key", "seq", "signature")}
ANYONES = {"key": "AQ" + "A" * 41 + "=", "signature": "AQ" + "A" * 84 + "=="}
WRONG, MISSING, MALFORMED = Reject.SIGNATURE_WRONG, Reject.SIGNATURE_MISSING, Reject.MALFORMED

# What a thief makes of a signed order that anyone may read in the topic. (what, message, reason, field)
ATTACKS: list[tuple[str, dict[str, Any], Reject, str]] = [
    *(
        (f"another {name}", FIELDS | {name: value}, WRONG, "signature")
        for name, value in {
            "id": "o-2",
            "tenant": "mallory",
            "pool": "gpt",
            "period": 6,
            "side": "sell",
            "qty": 6,
            "price": 4,
            "order_type": "market",
            "tif": "IOC",
            "post_only": True,
            "stp": "none",
            "expire": 1,
            "seq": (SIGNED.seq or 0) + 1,
            "key": THIEFS_PUBLIC,
        }.items()
    ),
    ("the signature of a cancel", FIELDS | {"signature": OF_A_CANCEL.signature}, WRONG, "signature"),
    ("as another type", AS_A_CANCEL, WRONG, "signature"),
    ("the thief's signature, the tenant's key", _resigned() | {"key": PUBLIC}, WRONG, "signature"),
    ("a signature of zeros", FIELDS | {"signature": "A" * 86 + "=="}, WRONG, "signature"),
    ("the signature's second form", FIELDS | {"signature": SECOND_FORM}, WRONG, "signature"),
    ("a key with which anyone can sign", FIELDS | ANYONES, WRONG, "signature"),
    ("without the signature", FIELDS | {"signature": None}, MISSING, "signature"),
    ("without the key", FIELDS | {"key": None}, MISSING, "key"),
    ("without the number", FIELDS | {"seq": None}, MISSING, "seq"),
    ("the number alone", FIELDS | {"key": None, "signature": None}, MISSING, "key"),
    ("the signature in another base64", FIELDS | {"signature": "-" + (SIGNED.signature or "")[1:]}, MALFORMED, "signature"),
    ("the signature cut", FIELDS | {"signature": (SIGNED.signature or "")[:-4]}, MALFORMED, "signature"),
    ("the key in hexadecimal", FIELDS | {"key": b64decode(PUBLIC).hex()}, MALFORMED, "key"),
    ("a negative number", FIELDS | {"seq": -1}, MALFORMED, "seq"),
]  # fmt: skip


@pytest.mark.parametrize(("message", "reason", "field"), [case[1:] for case in ATTACKS], ids=[case[0] for case in ATTACKS])
def test_attacks_are_turned_away(message: dict[str, Any], reason: Reject, field: str) -> None:
    outgoing = taken(SIGNED, message)
    first, second = journal(outgoing)
    assert first == SIGNED
    assert isinstance(second, TurnedAway)
    assert second.detail.startswith(f"{field}: ")
    expected = {name: message[name] for name in ("pool", "tenant", "id", "period")}
    where = {"source_topic": "x.orders", "source_partition": HERE, "source_offset": 1}
    assert second.__dict__ == {
        **expected,
        **where,
        "command": message["type"],
        "reason": reason.value,
        "field": field,
        "detail": second.detail,
    }
    assert len(letters(outgoing)) == (reason is MALFORMED)


@pytest.mark.parametrize(
    ("what", "command"),
    [
        ("sent again", SIGNED),
        ("of another tenant's key", sign(ORDER, THIEF)),
        ("for another tenant", sign(ORDER.model_copy(update={"tenant": "mallory"}), PRIVATE)),
        ("an old number", sign(ORDER.model_copy(update={"seq": 0}), PRIVATE)),
    ],
)
def test_what_only_the_engine_can_tell_passes(what: str, command: OrderCommand) -> None:
    assert journal(taken(command)) == [command]


NOBODY = {"pool": "", "tenant": "", "id": "", "command": "", "period": None}
KNOWN = {"pool": "llm", "tenant": "acme", "id": "o-1", "command": "order", "period": 5}
LONG = "ce_" + "x" * 500
ENVELOPE = {"specversion": "1.0", "id": "o-1", "subject": "acme", "type": "x.order"}
REGISTERED = KeyCommand(id="k", pool="llm", tenant="acme", key=PUBLIC)
BARE = ORDER.model_dump(mode="json", exclude_none=True, exclude={"seq"})

# (what, message, field, what can be read of it)
BAD: list[tuple[str, Any, str, dict[str, Any]]] = [
    ("not JSON", b"{", "JSON", NOBODY),
    ("no value", None, "value", NOBODY),
    ("a list", b"[]", "value", NOBODY),
    ("too large", b'{"pool": "llm", "x": "' + b"x" * (1 << 16) + b'"}', "value", NOBODY),
    ("it breaks off", json.dumps(BARE)[:-1].encode(), "JSON", KNOWN),
    ("quantity fractional", BARE | {"qty": 0.5}, "qty", KNOWN),
    ("quantity of text", BARE | {"qty": "5"}, "qty", KNOWN),
    ("quantity missing", {name: value for name, value in BARE.items() if name != "qty"}, "qty", KNOWN),
    ("quantity beyond int64", BARE | {"qty": 2**63}, "qty", KNOWN),
    ("price fractional", BARE | {"price": 1.25}, "price", KNOWN),
    ("side", BARE | {"side": "short"}, "side", KNOWN),
    ("type missing", {name: value for name, value in BARE.items() if name != "type"}, "type", KNOWN | {"command": ""}),
    ("type unknown", BARE | {"type": "bet"}, "type", KNOWN | {"command": ""}),
    ("an operator's type", BARE | {"type": "deposit", "amount": 1}, "type", KNOWN | {"command": ""}),
    ("pool missing", {name: value for name, value in BARE.items() if name != "pool"}, "pool", KNOWN | {"pool": ""}),
    ("pool of bytes that are no name", BARE | {"pool": "a\u0000"}, "pool", KNOWN | {"pool": ""}),
    ("pool of another type", BARE | {"pool": ["llm"]}, "pool", KNOWN | {"pool": ""}),
    ("tenant too long", BARE | {"tenant": "t" * 129}, "tenant", KNOWN | {"tenant": ""}),
    ("period negative", BARE | {"period": -1}, "period", KNOWN | {"period": None}),
    ("period of truth", BARE | {"period": True}, "period", KNOWN | {"period": None}),
    ("period beyond int64", BARE | {"period": 2**63}, "period", KNOWN | {"period": None}),
    ("an expiry that nothing can hold", BARE | {"expire": 10**30}, "expire", KNOWN),
    ("a key of another pool", Record(0, json.dumps(BARE).encode(), b"gpt"), "key", KNOWN),
    ("a header of any length", Record(0, b"{}", None, [("ce_id", b"1"), (LONG, b"\xff")]), LONG[:128], NOBODY),
    ("unknown Avro", b"\xc3\x01" + b"12345678" + b"x", "schema fingerprint", NOBODY),
    ("truncated Avro", encode(ORDER)[:-1], "Avro", NOBODY),
    ("Avro of an operator's", encode(REGISTERED), "schema fingerprint", NOBODY),
    ("CloudEvents", ENVELOPE | {"data": {"pool": "llm", "period": 5}}, "side", KNOWN),
]  # fmt: skip


@pytest.mark.parametrize(("message", "field", "known"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_what_the_door_refuses_is_a_dead_letter_and_is_told_to_the_engine(message: Any, field: str, known: dict[str, Any]) -> None:
    outgoing = taken(message)
    assert [out.topic for out in outgoing] == ["x.dead-letters", "x.journal"]
    (letter,), (away,) = letters(outgoing), journal(outgoing)
    assert isinstance(away, TurnedAway)
    assert away.__dict__ == known | {
        "source_topic": "x.orders",
        "source_partition": HERE,
        "source_offset": 0,
        "reason": "malformed",
        "field": field,
        "detail": letter.detail,
    }
    assert TurnedAway.model_validate(away.model_dump()) == away
    where = (HOME, b"llm") if known["pool"] else (HERE, None)
    assert (outgoing[1].partition, outgoing[1].key) == where


def test_what_is_refused_of_operators_is_only_a_dead_letter() -> None:
    outgoing = taken(b"{", BARE, {"type": "pool", "id": "p", "pool": "llm"}, kind="profiles")
    assert [out.topic for out in outgoing] == ["x.dead-letters"] * 3


def told(world: World, *records: Event) -> list[tuple[str, str, str, str, str]]:
    """(tenant, id, event, reason, field) of each order event that follows."""
    facts = [fact for fact in world.take(*records) if isinstance(fact, OrderEvents)]
    return [
        row
        for fact in facts
        for row in zip(fact.tenant, fact.order_id, fact.event, fact.reason, fact.field, strict=True)
        if row[2] is OrderEventKind.REJECTED
    ]


def a_world() -> World:
    """Period 5 is open; acme, whose key is registered, has money, and bob has none of both."""
    world = World()
    world.tick(8)
    deposit = DepositCommand(id="d", pool="llm", tenant="acme", amount=1000)
    world.take(pool(capacity=1000), profile("p-acme", "acme", base=100), profile("p-bob", "bob", base=100), REGISTERED, deposit)
    world.run(9, 10)
    return world


def test_the_engine_refuses_what_intake_can_not_tell() -> None:
    """Genuine signatures all, but of whom, when, and how often."""
    world = a_world()
    events = [kind for fact in world.take(*journal(taken(SIGNED))) if isinstance(fact, OrderEvents) for kind in fact.event]
    assert events == [OrderEventKind.ACCEPTED, OrderEventKind.RESTED]
    seq = SIGNED.seq or 0
    fresh = ORDER.model_copy(update={"id": "o-2", "seq": seq + 1})
    table: list[tuple[str, Event, tuple[Reject, str] | None]] = [
        ("sent again", SIGNED, None),
        ("sent again in another encoding", json_again(SIGNED), None),
        ("its number again", sign(fresh.model_copy(update={"seq": seq}), PRIVATE), (Reject.SEQUENCE_REUSED, "seq")),
        ("an older number", sign(fresh.model_copy(update={"seq": 0}), PRIVATE), (Reject.SEQUENCE_REUSED, "seq")),
        ("a key that nobody registered", sign(fresh, THIEF), (Reject.KEY_UNKNOWN, "key")),
        ("another tenant's key", sign(fresh.model_copy(update={"tenant": "bob"}), PRIVATE), (Reject.KEY_UNKNOWN, "key")),
        ("a tenant that is none", sign(fresh.model_copy(update={"tenant": "eve"}), PRIVATE), (Reject.UNKNOWN_TENANT, "tenant")),
        ("a pool that is none", sign(fresh.model_copy(update={"pool": "gpt"}), PRIVATE), (Reject.UNKNOWN_POOL, "pool")),
        ("the signature taken off", fresh.model_copy(update={"seq": None}), (Reject.SIGNATURE_MISSING, "signature")),
        ("revoked", REGISTERED.model_copy(update={"id": "k-2", "revoked": True}), None),
        ("a revoked key", sign(fresh, PRIVATE), (Reject.KEY_REVOKED, "key")),
    ]
    for what, message, expected in table:
        kind: TopicKind = "profiles" if isinstance(message, KeyCommand) else "orders"
        rejected = [row[3:] for row in told(world, *journal(taken(message, kind=kind)))]
        assert rejected == ([] if expected is None else [expected]), what
    assert len(world.pool().market.instruments[5].book.orders) == 1


def json_again(command: OrderCommand) -> OrderCommand:
    """The command as a door reads it from JSON."""
    (found,) = journal(taken(command.model_dump(mode="json")))
    assert isinstance(found, OrderCommand)
    return found


def test_all_that_is_turned_away_is_stated_once_however_often_it_is_taken_in() -> None:
    log = [_record(0, case[1]) for case in ATTACKS] + [_record(0, case[1]) for case in BAD]
    for offset, record in enumerate(log):
        record.offset = offset
    records = journal(partition().take(log))
    world = a_world()
    expected = [(reason.value, field) for _, _, reason, field in ATTACKS] + [("malformed", field) for _, _, field, _ in BAD]
    assert [row[3:] for row in told(world, *records)] == expected
    assert told(world, *records) == []
    # The one after a crash, which begins somewhere, and its next records, tell the same.
    assert told(world, *journal(partition().take(log[7:]))) == []


@settings(max_examples=50, deadline=None)
@given(cuts=st.lists(st.integers(0, len(ATTACKS) + len(BAD)), max_size=4))
def test_what_comes_out_is_a_function_of_the_log(cuts: list[int]) -> None:
    log = [_record(offset, case[1]) for offset, case in enumerate([*ATTACKS, *BAD])]
    whole = partition().take(log)
    edges = [0, *sorted(cuts), len(log)]
    parts = [partition().take(log[begin:end]) for begin, end in pairwise(edges)]
    assert [out for part in parts for out in part] == whole


def test_a_tick_is_passed_over_and_a_bad_one_is_no_command() -> None:
    outgoing = taken(Record(0, b"no tick", None, [TICK_HEADER]), SIGNED)
    assert [out.topic for out in outgoing] == ["x.dead-letters", "x.journal"]
    assert journal(outgoing) == [SIGNED]


def test_operators_commands_pass_unsigned() -> None:
    assert journal(taken(REGISTERED, kind="profiles")) == [REGISTERED]


def test_a_transfer_is_turned_away_like_an_order() -> None:
    gift = sign(TransferCommand(id="t", pool="llm", tenant="acme", to="bob", period=5, money=7, seq=7), PRIVATE)
    (away,) = journal(taken(gift.model_copy(update={"money": 70})))
    assert isinstance(away, TurnedAway)
    assert (away.command, away.id, away.reason) == ("transfer", "t", "signature_wrong")
