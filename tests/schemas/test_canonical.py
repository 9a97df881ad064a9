"""What is signed of a command, byte by byte: a table of forms, what changes them and what doesn't."""

from typing import Any, ClassVar

import pytest

from schemas.canonical import PREFIX, canonical_form, digest
from schemas.market import (
    TENANT_COMMANDS,
    AcceptCommand,
    BotCommand,
    CancelCommand,
    OrderCommand,
    ReduceCommand,
    ReplaceCommand,
    TenantCommand,
    TransferCommand,
)
from schemas.model import Event
from schemas.units import Text

KEY, SIGNATURE = "A" * 43 + "=", "B" * 85 + "A=="
WHO = {"id": "o-1", "pool": "llama", "tenant": "acme"}
SIGNED = {**WHO, "key": KEY, "seq": 7, "signature": SIGNATURE}
ORDER = {**WHO, "period": 9, "side": "buy", "qty": 5}

FORMS: list[tuple[type[TenantCommand], dict[str, Any], str]] = [
    (OrderCommand, ORDER, '{"id":"o-1","period":9,"pool":"llama","qty":5,"side":"buy","tenant":"acme","type":"order"}'),
    (
        OrderCommand,
        {**SIGNED, **ORDER, "price": -3, "tif": "GTD", "expire": "1970-01-01T00:00:01.5Z", "post_only": True, "stp": "none"},
        (
            '{"expire":1500,"id":"o-1","key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","period":9,"pool":"llama","post_only":true,'
            '"price":-3,"qty":5,"seq":7,"side":"buy","stp":"none","tenant":"acme","tif":"GTD","type":"order"}'
        ),
    ),
    (
        OrderCommand,
        {**ORDER, "order_type": "market", "price": None, "qty": 2**63 - 1, "period": 0},
        (
            '{"id":"o-1","order_type":"market","period":0,"pool":"llama","qty":9223372036854775807,"side":"buy","tenant":"acme",'
            '"type":"order"}'
        ),
    ),
    (
        OrderCommand,  # defaults said aloud change nothing
        {**ORDER, "price": 0, "order_type": "limit", "post_only": False, "stp": "cancel_taker", "tif": None, "expire": None},
        '{"id":"o-1","period":9,"pool":"llama","price":0,"qty":5,"side":"buy","tenant":"acme","type":"order"}',
    ),
    (
        CancelCommand,
        {**SIGNED, "seq": 0, "period": 9, "order": "o-0"},
        (
            '{"id":"o-1","key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","order":"o-0","period":9,"pool":"llama","seq":0,'
            '"tenant":"acme","type":"cancel"}'
        ),
    ),
    (
        ReduceCommand,
        {**WHO, "period": 9, "order": "o-0", "by": 4},
        '{"by":4,"id":"o-1","order":"o-0","period":9,"pool":"llama","tenant":"acme","type":"reduce"}',
    ),
    (
        ReplaceCommand,
        {**WHO, "period": 9, "order": "o-0", "price": 0, "qty": 0},
        '{"id":"o-1","order":"o-0","period":9,"pool":"llama","price":0,"qty":0,"tenant":"acme","type":"replace"}',
    ),
    (
        TransferCommand,
        {**WHO, "to": "bob", "period": 9, "tokens": 0, "money": 5, "for_tokens": 3},
        '{"for_tokens":3,"id":"o-1","money":5,"period":9,"pool":"llama","tenant":"acme","to":"bob","type":"transfer"}',
    ),
    (
        AcceptCommand,
        {**WHO, "period": 9, "offered_by": "bob", "offer": "x"},
        '{"id":"o-1","offer":"x","offered_by":"bob","period":9,"pool":"llama","tenant":"acme","type":"accept"}',
    ),
    (
        BotCommand,
        {
            **WHO,
            "name": "night",
            "strategy": "schedule",
            "side": "sell",
            "qty": 5,
            "at": ["08:30", 0],
            "margin": "0.2",
            "tif": "GTC",
        }
        | {
            "conditions": [
                {"on": "time_of_day", "op": "between", "value": "22:00", "upper": 0},
                {"on": "price", "op": "above", "value": 9},
            ]
        },
        (
            '{"at":[30600,0],"conditions":[{"on":"time_of_day","op":"between","upper":0,"value":79200},{"on":"price","op":"above",'
            '"value":9}],"id":"o-1","margin":200000,"name":"night","pool":"llama","qty":5,"side":"sell","strategy":"schedule",'
            '"tenant":"acme","type":"bot"}'
        ),
    ),
    # The string of RFC 8785, section 3.2.2, and what only some writers of JSON escape.
    (
        CancelCommand,
        {**WHO, "period": 9, "order": "/ é \x7e\u00a0 \U0001f600 <&>"},
        '{"id":"o-1","order":"/ é ~\u00a0 😀 <&>","period":9,"pool":"llama","tenant":"acme","type":"cancel"}',
    ),
]


@pytest.mark.parametrize(("model", "fields", "expected"), FORMS)
def test_the_form_of_a_command(model: type[TenantCommand], fields: dict[str, Any], expected: str) -> None:
    assert canonical_form(model.model_validate(fields)) == b"tokenbourse\n" + expected.encode()


def test_strings_are_written_as_in_the_example_of_rfc_8785() -> None:
    # Section 3.2.2; no name of ours may hold a control character, but a field to come may.
    command = CancelCommand.model_construct(**WHO, period=9, order="\u20ac$\x0f\x0aA'\x42\x22\x5c\\\"/")
    assert b'"order":"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"' in canonical_form(command)
    controls = CancelCommand.model_construct(**WHO, period=9, order="".join(map(chr, range(0x20))) + "\x7f\u2028")
    expected = (
        r'"order":"\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f\u0010\u0011\u0012\u0013\u0014\u0015'
        r"\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f" + '\x7f\u2028"'
    )
    assert expected.encode() in canonical_form(controls)


def test_names_are_ascii_so_that_the_order_of_code_points_is_that_of_rfc_8785() -> None:
    assert all(name.isascii() for model in TENANT_COMMANDS for name in model.model_fields)


def test_every_command_of_a_tenant_is_in_the_table() -> None:
    assert {model for model, _, _ in FORMS} >= set(TENANT_COMMANDS)


class LaterOrder(OrderCommand):
    """An order of a later release."""

    hidden: bool = False
    display: int | None = None


def test_a_field_that_is_added_leaves_old_signatures_valid_and_is_itself_signed() -> None:
    before = canonical_form(OrderCommand.model_validate(ORDER))
    assert canonical_form(LaterOrder.model_validate(ORDER)) == before
    assert canonical_form(LaterOrder.model_validate({**ORDER, "hidden": True, "display": 0})) == before.replace(
        b'{"id"', b'{"display":0,"hidden":true,"id"'
    )


class Condition(Event):
    """Part of a command."""

    KIND: ClassVar[str] = "condition"

    above: int = 0
    note: Text = ""


class Conditional(TenantCommand):
    """A command with parts."""

    KIND: ClassVar[str] = "conditional"

    type: str = "conditional"
    when: list[Condition]
    unless: Condition | None = None
    words: list[Text]


def test_parts_of_a_command_are_signed_by_the_same_rule() -> None:
    command = Conditional(**WHO, when=[Condition(above=5), Condition()], unless=Condition(note="é"), words=["b", "a"])
    assert (
        canonical_form(command)
        == PREFIX
        + (
            '{"id":"o-1","pool":"llama","tenant":"acme","type":"conditional","unless":{"note":"é"},"when":[{"above":5},{}],'
            '"words":["b","a"]}'
        ).encode()
    )


def test_the_digest_tells_commands_and_signatures_apart() -> None:
    signed = OrderCommand.model_validate({**SIGNED, **ORDER})
    same = OrderCommand.model_validate({**SIGNED, **ORDER, "stp": "cancel_taker"})
    changes = [{"signature": None}, {"signature": "C" * 85 + "A=="}, {"seq": 8}, {"qty": 6}, {"tenant": "acm"}, {"id": "o-"}]
    others = [signed.model_copy(update=change) for change in changes]
    assert digest(signed) == digest(same)
    assert len({digest(signed), *map(digest, others)}) == 7
    assert [len(bytes.fromhex(digest(each))) for each in (signed, others[0])] == [16, 16]
    # Of the form and the signature's text, as anyone may compute it: `b2sum -l 128`.
    assert digest(OrderCommand.model_validate(ORDER)) == "3a2fcd385195bbd7c88f498deaa7da48"
