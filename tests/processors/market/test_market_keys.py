"""Who may command for a tenant: keys, their times, revocation and sequences."""

import pytest
from journal_world import of_kind, pool
from market_world import KEY, OTHER_KEY, SIGNATURE, MarketWorld, fresh

from processors.market.dumping import dump_market, load_market
from schemas.facts import CommandRefused, Reason
from schemas.market import CancelCommand, KeyCommand, OrderCommand, TransferCommand
from schemas.market_facts import CommandTaken, KeySet
from schemas.trading import Reject

NOW = 10_000
"""What time it is in the world of these tests, ms."""


def world(**terms):
    here = MarketWorld(**{"allow_unsigned": False, **terms})
    here.register("a")
    here.register("b", OTHER_KEY)
    return here


def order(seq, *, tenant="a", key=KEY, signature=SIGNATURE, **fields):
    base = {"id": fresh("o"), "pool": "llm", "tenant": tenant, "period": 5, "side": "buy", "qty": 1, "price": 10}
    return OrderCommand(**{**base, "key": key, "seq": seq, "signature": signature, **fields})


def why(facts):
    """(reason, field) of the refusal; None where there is none."""
    taken, *rest = facts
    assert isinstance(taken, CommandTaken)
    (answer,) = [fact for fact in rest if hasattr(fact, "reason")]
    return (answer.reason[0], answer.field[0]) if answer.reason[0] else None


def test_a_signed_command_is_taken():
    here = world()
    facts = here.take(order(0))
    assert why(facts) is None
    assert (facts[0].key, facts[0].seq) == (KEY, 0)


REFUSED = [
    ("unsigned", order(None, key=None, signature=None), Reject.SIGNATURE_MISSING, "signature"),
    ("without its signature", order(1, signature=None), Reject.SIGNATURE_MISSING, "signature"),
    ("without its key", order(1, key=None), Reject.SIGNATURE_MISSING, "signature"),
    ("without its sequence", order(None), Reject.SIGNATURE_MISSING, "signature"),
    ("by a key of another", order(1, key=OTHER_KEY), Reject.KEY_UNKNOWN, "key"),
    ("for another", order(1, tenant="b"), Reject.KEY_UNKNOWN, "key"),
    ("by nobody's key", order(1, key="I" * 43 + "="), Reject.KEY_UNKNOWN, "key"),
    ("of a tenant that is not there", order(1, tenant="z"), Reject.UNKNOWN_TENANT, "tenant"),
]


@pytest.mark.parametrize(("command", "reason", "field"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED])
def test_what_its_tenant_has_not_signed_is_refused_and_uses_no_sequence_up(command, reason, field):
    here = world()
    facts = here.take(command)
    assert why(facts) == (reason, field)
    assert (facts[0].key, facts[0].seq) == (None, None)
    assert why(here.take(order(0))) is None


TIMES = [
    ({"valid_from": NOW + 1}, Reject.KEY_NOT_VALID),
    ({"valid_from": NOW}, None),
    ({"valid_until": NOW}, Reject.KEY_NOT_VALID),
    ({"valid_until": NOW + 1}, None),
    ({"valid_from": NOW - 1, "valid_until": NOW + 1}, None),
    ({"revoked": True}, Reject.KEY_REVOKED),
    ({"revoked": True, "valid_from": NOW + 1}, Reject.KEY_REVOKED),
]


@pytest.mark.parametrize(("fields", "reason"), TIMES)
def test_a_key_counts_from_its_first_moment_to_the_one_before_its_last(fields, reason):
    here = world()
    (told,) = here.register("a", **fields)
    assert isinstance(told, KeySet)
    assert why(here.take(order(1))) == ((reason, "key") if reason else None)


def test_time_makes_a_key_valid_and_invalid():
    here = world()
    here.register("a", valid_from=NOW + 1_000, valid_until=NOW + 2_000)
    assert why(here.take(order(1))) == (Reject.KEY_NOT_VALID, "key")
    here.tick(11)
    assert why(here.take(order(2))) is None
    here.tick(12)
    assert why(here.take(order(3))) == (Reject.KEY_NOT_VALID, "key")


def test_a_sequence_only_grows_for_each_key_by_itself():
    here = world()
    here.register("a", "I" * 43 + "=")
    assert why(here.take(order(5))) is None
    assert why(here.take(order(5))) == (Reject.SEQUENCE_REUSED, "seq")
    assert why(here.take(order(4))) == (Reject.SEQUENCE_REUSED, "seq")
    assert why(here.take(order(4, key="I" * 43 + "="))) is None
    assert why(here.take(order(2**63 - 1))) is None
    assert why(here.take(order(2**63 - 1))) == (Reject.SEQUENCE_REUSED, "seq")


@pytest.mark.parametrize("seq", [2, 3])
def test_what_is_refused_for_another_reason_uses_its_sequence_up(seq):
    """Else whoever overheard it could send it again when it would do."""
    here = world()
    dear = order(2, qty=2_000_000)
    assert why(here.take(dear)) == (Reject.INSUFFICIENT_MONEY, "price")
    assert here.take(dear) == [], "exactly repeated: silence"
    assert why(here.take(dear.model_copy(update={"seq": seq, "qty": 1}))) == ((Reject.SEQUENCE_REUSED, "seq") if seq == 2 else None)


def test_a_command_signed_too_early_is_not_taken_later():
    here = world()
    here.register("a", valid_from=NOW + 1_000)
    assert why(here.take(order(2))) == (Reject.KEY_NOT_VALID, "key")
    here.tick(11)
    assert why(here.take(order(2))) == (Reject.SEQUENCE_REUSED, "seq")
    assert why(here.take(order(3))) is None


def test_a_key_that_is_set_anew_goes_on_with_its_sequence():
    here = world()
    here.take(order(7))
    here.register("a", revoked=True)
    assert why(here.take(order(8))) == (Reject.KEY_REVOKED, "key")
    here.register("a")
    assert why(here.take(order(8))) == (Reject.SEQUENCE_REUSED, "seq")
    assert why(here.take(order(9))) is None


def test_all_commands_of_a_key_share_its_sequence():
    here = world()
    signed = {"pool": "llm", "tenant": "a", "period": 5, "key": KEY, "signature": SIGNATURE}
    assert why(here.take(order(1, id="mine"))) is None
    assert why(here.take(TransferCommand(id="t", to="b", money=1, seq=2, **signed))) is None
    assert why(here.take(CancelCommand(id="x", order="mine", seq=2, **signed))) == (Reject.SEQUENCE_REUSED, "seq")
    assert here.take(CancelCommand(id="x", order="mine", seq=3, **signed))[1].event == ["cancelled"]


@pytest.mark.parametrize("seq", [None, 3])
def test_a_pool_that_takes_unsigned_commands_looks_at_no_key_of_theirs(seq):
    """Also not where one is named: a tenant that can't sign with it uses no sequence up."""
    here = world(allow_unsigned=True)
    for key in (KEY, OTHER_KEY, "I" * 43 + "="):
        facts = here.take(order(seq, key=key, signature=None))
        assert why(facts) is None
        assert facts[0].key is None
    assert why(here.take(order(3))) is None
    assert why(here.take(order(3, key=OTHER_KEY))) == (Reject.KEY_UNKNOWN, "key"), "what is signed is judged"


def test_whether_unsigned_commands_are_taken_changes_with_the_period():
    here = world(allow_unsigned=True)
    unsigned = {"key": None, "signature": None}
    here.take(pool("p2", allow_unsigned=False))
    assert why(here.take(order(None, **unsigned))) is None
    here.period(5)
    assert why(here.take(order(None, period=6, **unsigned))) == (Reject.SIGNATURE_MISSING, "signature")


# Operators


def test_a_key_is_one_tenants():
    here = world()
    (refused,) = here.register("b", KEY)
    assert (refused.reason, refused.tenant, refused.detail) == (
        Reason.KEY_OF_ANOTHER,
        "b",
        f"key: {KEY} is registered to another tenant",
    )
    (refused,) = here.register("z", "I" * 43 + "=")
    assert refused.reason == Reason.UNKNOWN_TENANT
    (refused,) = here.take(KeyCommand(id="k", pool="ghost", tenant="a", key=KEY))
    assert refused.reason == Reason.UNKNOWN_POOL


def test_a_key_is_set_once_for_each_command():
    here = world()
    command = KeyCommand(id="once", pool="llm", tenant="a", key=KEY, revoked=True)
    assert of_kind(here.take(command), KeySet)
    here.register("a")
    assert here.take(command) == []
    assert why(here.take(order(1))) is None
    assert not of_kind(here.facts, CommandRefused)


def test_whose_keys_are_is_known_after_a_snapshot():
    here = world()
    here.register("a", "I" * 43 + "=", revoked=True, valid_until=NOW)
    here.take(order(7))
    found = load_market(dump_market(here.market))
    assert (found.keys, found.key_owners) == (here.market.keys, here.market.key_owners)
