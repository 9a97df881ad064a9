"""Who may command for a tenant: whose key it is, and when. (Intake has verified the signature itself.)."""

from typing import NamedTuple

from processors.market.state import Key
from processors.state import PoolState
from schemas.market import TenantCommand
from schemas.trading import Reject


class Refusal(NamedTuple):
    """Why a command is refused, and the field that it is refused for."""

    reason: Reject
    field: str
    detail: str


def authenticate(pool: PoolState, command: TenantCommand, now_ms: int) -> Refusal | None:
    """None where the command is its tenant's own, and newer than what its key has signed so far."""
    slot = pool.tenants.slots.get(command.tenant)
    if slot is None or not pool.tenants["declared_version"][slot]:
        return Refusal(Reject.UNKNOWN_TENANT, "tenant", f"{command.tenant!r} has no profile in {pool.name!r}")
    if command.signature is None or command.key is None or command.seq is None:
        if pool.terms.market.allow_unsigned:
            return None
        return Refusal(Reject.SIGNATURE_MISSING, "signature", "this pool takes signed commands only")
    key = pool.market.keys.get(command.tenant, {}).get(command.key)
    if key is None:
        return Refusal(Reject.KEY_UNKNOWN, "key", f"{command.key} is no key of {command.tenant!r}")
    if command.seq <= key.seq:
        return Refusal(Reject.SEQUENCE_REUSED, "seq", f"{command.seq} is not above {key.seq}, which this key has used")
    return _refuse_key(key, command.key, now_ms)


def spent_sequence(pool: PoolState, command: TenantCommand) -> tuple[str, int] | None:
    """(key, sequence) that the command uses up; None where it is unsigned, or its signature is no new one of its tenant's.

    Whatever a tenant really signed uses its sequence up, also where it is refused: nobody can send it again when it would do.
    """
    if command.signature is None or command.key is None or command.seq is None:
        return None
    key = pool.market.keys.get(command.tenant, {}).get(command.key)
    return None if key is None or command.seq <= key.seq else (command.key, command.seq)


def _refuse_key(key: Key, name: str, now_ms: int) -> Refusal | None:
    if key.revoked:
        return Refusal(Reject.KEY_REVOKED, "key", f"{name} was revoked")
    if key.valid_from is not None and now_ms < key.valid_from:
        return Refusal(Reject.KEY_NOT_VALID, "key", f"{name} is valid from {key.valid_from}, it is {now_ms}")
    if key.valid_until is not None and now_ms >= key.valid_until:
        return Refusal(Reject.KEY_NOT_VALID, "key", f"{name} was valid until {key.valid_until}, it is {now_ms}")
    return None
