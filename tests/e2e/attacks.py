"""Commands that must be refused, each with its reason: forged, foreign, replayed, unsigned, revoked, and of bad content."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from trading import BASE, MONEY, POOL, private_key

from schemas.market import CancelCommand, DepositCommand, KeyCommand, OperatorCommand, OrderCommand, TenantCommand, TransferCommand
from schemas.published import ProfileCommand
from streams.codecs import encode
from streams.outbox import Letter, Outbox
from streams.settings import Settings
from streams.signatures import public_key, sign

VICTIM, ROGUE = "victim", "rogue"
DAY_MS = 86_400_000
SILENT = ""
"""In place of a reason: exactly what was taken before, so that nothing more may come of it."""


@dataclass(frozen=True)
class Attack:
    """What is published, and what must become of it.

    Attributes:
        name: of the row in the table.
        tenant: in whose name.
        id: of the command, or of the order that it would change.
        value: its bytes.
        reason: of the one refusal that there must be; SILENT: none.
        pool: under which it is published.
    """

    name: str
    tenant: str
    id: str
    value: bytes
    reason: str
    pool: str = POOL


@dataclass
class Attacks:
    """The table, to be published in its order, a few at a time.

    Attributes:
        good: commands that are all right, whose copies are among the attacks.
        published: so far.
    """

    table: list[Attack]
    good: list[str]
    settings: Settings
    published: list[Attack] = field(default_factory=list)

    def publish(self, most: int | None = None) -> None:
        """The next ones, acknowledged; without a number all that are left."""
        outbox: Outbox[Attack] = Outbox(self.settings, linger_ms=0)
        due = self.table[len(self.published) :][:most]
        for attack in due:
            outbox.put(Letter(self.settings.topic("orders"), attack.pool.encode(), attack.value), attack)
        outbox.close()
        self.published += due


class _Keys:
    """Of the victim in all conditions, and of the attacker."""

    def __init__(self, seed: int) -> None:
        self.good, self.revoked, self.expired, self.early, self.rogue, self.nobodys = (
            private_key(seed, name) for name in ("good", "revoked", "expired", "early", "rogue", "nobody's")
        )


def registered(seed: int) -> list[ProfileCommand | OperatorCommand]:
    """What operators publish for victim and attacker."""
    keys, now = _Keys(seed), time.time_ns() // 1_000_000
    commands: list[ProfileCommand | OperatorCommand] = []
    for tenant in (VICTIM, ROGUE):
        commands += [
            ProfileCommand(id=f"profile-{tenant}", pool=POOL, tenant=tenant, base=BASE, elasticity="1.5"),
            DepositCommand(id=f"deposit-{tenant}", pool=POOL, tenant=tenant, amount=MONEY),
        ]
    named = {
        "good": (VICTIM, keys.good, {}),
        "revoked": (VICTIM, keys.revoked, {"revoked": True}),
        "expired": (VICTIM, keys.expired, {"valid_until": now - DAY_MS}),
        "early": (VICTIM, keys.early, {"valid_from": now + DAY_MS}),
        "rogue": (ROGUE, keys.rogue, {}),
    }
    limits: dict[str, Any]
    for name, (tenant, key, limits) in named.items():
        commands.append(KeyCommand(id=f"key-{name}", pool=POOL, tenant=tenant, key=public_key(key), **limits))
    return commands


def attacks(settings: Settings, seed: int, present: int) -> Attacks:
    """The table.

    Args:
        settings: of the system.
        seed: of the keys.
        present: the open period.
    """
    keys, good = _Keys(seed), []
    period = present + 50  # closed long after the last of them is decided

    def order(name: str, tenant: str = VICTIM, **fields: Any) -> OrderCommand:
        rest = {"pool": POOL, "period": period, "side": "sell", "qty": 1, "price": 5_000}
        return OrderCommand(**{"id": name, "tenant": tenant, **rest, **fields})

    def numbered(command: TenantCommand, seq: int) -> TenantCommand:
        return command.model_copy(update={"seq": seq})

    def taken(name: str, seq: int) -> TenantCommand:
        good.append(name)
        return sign(numbered(order(name), seq), keys.good)

    first, second = taken("good-1", 100), taken("good-2", 200)

    def rows() -> Iterator[tuple[str, TenantCommand | bytes, str]]:
        yield "good", first, SILENT
        yield "unsigned", order("unsigned"), "signature_missing"
        yield "half signed", first.model_copy(update={"id": "half-signed", "signature": None}), "signature_missing"
        yield "quantity changed", first.model_copy(update={"id": "good-1b", "qty": 999}), "signature_wrong"
        yield "sent on to another pool", _moved(first), "signature_wrong"
        forged = sign(numbered(order("forged"), 101), keys.rogue)
        yield "signed by the attacker in the victim's name", _as_key(forged, public_key(keys.good)), "signature_wrong"
        weak = b64encode(bytes([1]) + bytes(31)).decode()
        signature = b64encode(bytes([1]) + bytes(63)).decode()
        yield (
            "a key of small order",
            numbered(order("weak"), 1).model_copy(update={"key": weak, "signature": signature}),
            "signature_wrong",
        )
        yield "the attacker's own key", sign(numbered(order("foreign"), 1), keys.rogue), "key_unknown"
        yield "a key that nobody registered", sign(numbered(order("nobodys"), 1), keys.nobodys), "key_unknown"
        yield "a key that was taken back", sign(numbered(order("revoked"), 1), keys.revoked), "key_revoked"
        yield "a key that has expired", sign(numbered(order("expired"), 1), keys.expired), "key_not_valid"
        yield "a key of tomorrow", sign(numbered(order("early"), 1), keys.early), "key_not_valid"
        yield "replayed, byte by byte", first, SILENT
        yield "replayed in JSON", first.model_dump_json(exclude_none=True).encode(), SILENT
        yield "good", second, SILENT
        yield "replayed behind a later one", first, SILENT
        yield "a number that was used", sign(numbered(order("same-seq"), 200), keys.good), "sequence_reused"
        yield "a lower number", sign(numbered(order("lower-seq"), 150), keys.good), "sequence_reused"
        contents = {
            "an id that was used": (order("good-1", qty=2), "duplicate_id"),
            "nobody's pool": (order("nowhere", pool="nowhere"), "unknown_pool"),
            "a tenant without a profile": (order("stranger", "stranger"), "unknown_tenant"),
            "a period that is over": (order("over", period=present - 2), "period_closed"),
            "a period too far ahead": (order("far", period=present + 100_000), "unknown_instrument"),
            "quantity 0": (order("zero", qty=0), "invalid_qty"),
            "a negative quantity": (order("negative", qty=-5), "invalid_qty"),
            "price 0": (order("free", price=0), "invalid_price"),
            "beyond int64": (order("beyond", side="buy", qty=2**62, price=2**62), "exceeds_money"),
            "more than it has": (order("poor", side="buy", qty=1_000_000, price=MONEY), "insufficient_money"),
            "more tokens than it has": (order("empty", qty=10 * BASE), "insufficient_tokens"),
            "another's order": (
                CancelCommand(id="thief", pool=POOL, tenant=ROGUE, period=period, order="good-1"),
                "unknown_order",
            ),
            "to itself": (
                TransferCommand(id="self", pool=POOL, tenant=VICTIM, to=VICTIM, period=period, tokens=1),
                "self_transfer",
            ),
        }
        for seq, (name, (command, reason)) in enumerate(contents.items(), 300):
            yield name, sign(numbered(command, seq), keys.rogue if command.tenant == ROGUE else keys.good), reason
        text = json.loads(sign(numbered(order("broken"), 400), keys.good).model_dump_json(exclude_none=True))
        yield "fractional", json.dumps({**text, "id": "fractional", "qty": 1.5}).encode(), "malformed"
        yield "an unknown side", json.dumps({**text, "id": "sideways", "side": "both"}).encode(), "malformed"
        yield "a text that breaks off", json.dumps({**text, "id": "broken"})[:-20].encode(), "malformed"

    return Attacks([_attack(*row) for row in rows()], good, settings)


def _attack(name: str, said: TenantCommand | bytes, reason: str) -> Attack:
    if isinstance(said, bytes):
        found = json.loads(said) if said.endswith(b"}") else {"id": "broken"}
        return Attack(name, VICTIM, found["id"], said, reason)
    known = said.order if isinstance(said, CancelCommand) else said.id
    return Attack(name, said.tenant, known, encode(said), reason, said.pool)


def _moved(command: TenantCommand) -> TenantCommand:
    return command.model_copy(update={"id": "moved", "pool": "elsewhere"})


def _as_key(command: TenantCommand, key: str) -> TenantCommand:
    return command.model_copy(update={"key": key})
