"""Ed25519 signatures of commands (RFC 8032), over their canonical form (schemas/canonical.py).

    private, public = generate()                   # an operator registers `public` for the tenant
    signed = sign(OrderCommand(..., seq=1), private)
    assert verify(signed)

A signature says that the command is the key's. Whose the key is, from when to when, and whether `seq` is new, the engine judges.

To verify one costs 0.15 to 0.2 ms, of which the library holds Python's lock for next to nothing: at 1,000 commands/s a fifth of a
core, beside the event loop, not in it (streams/roles/intake.py). Parsing the key is 2.5 µs of it: keys are not kept. To sign costs
0.07 ms.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from schemas.canonical import canonical_form
from schemas.market import TenantCommand
from schemas.trading import Reject
from streams.complaints import shown
from streams.errors import BadInput

Command = TypeVar("Command", bound=TenantCommand)

SIGNING: Final = ("key", "seq", "signature")
"""Fields of a signed command: all are there, or none."""

ONLY_OWNER = 0o600

_SIGN_BIT = 2**255
_PRIME = 2**255 - 19
_WEAK_Y = frozenset(
    {
        *(0, 1, _PRIME - 1, _PRIME, _PRIME + 1),
        int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"),
        int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"),
    }
)
"""The y of all points of order 1, 2, 4 and 8, in each way to write them. With such a key one signature fits any command, or one of
eight: if an operator were talked into registering it, anyone could sign for its tenant. OpenSSL takes them."""


class Objection(NamedTuple):
    """Why a command's signature is not accepted."""

    reason: Reject
    field: str
    detail: str


def generate() -> tuple[Ed25519PrivateKey, str]:
    """A new private key, and its public key as commands name it (base64)."""
    private_key = Ed25519PrivateKey.generate()
    return private_key, public_key(private_key)


def public_key(private_key: Ed25519PrivateKey) -> str:
    """The public key that goes with it, base64."""
    return b64encode(private_key.public_key().public_bytes_raw()).decode()


def sign(command: Command, private_key: Ed25519PrivateKey) -> Command:
    """The command with `key` and `signature`.

    Args:
        command: what to sign. Its `seq` is greater than any that was published with this key (streams/sequence.py).
        private_key: of its tenant.

    Raises:
        ValueError: the command has no `seq`.
    """
    if command.seq is None:
        raise ValueError("seq: missing; a signed command has a number that its key has not used yet")
    keyed = command.model_copy(update={"key": public_key(private_key), "signature": None})
    signature = b64encode(private_key.sign(canonical_form(keyed))).decode()
    return keyed.model_copy(update={"signature": signature})


def verify(command: TenantCommand) -> bool:
    """Whether `signature` is that of `key` over everything else that the command says. False if one of them is missing."""
    if command.key is None or command.seq is None or command.signature is None:
        return False
    # The door has checked that both are base64 of 32 and 64 bytes; any 32 bytes parse, and fail below if they are no key.
    key = b64decode(command.key)
    if int.from_bytes(key, "little") % _SIGN_BIT in _WEAK_Y:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(b64decode(command.signature), canonical_form(command))
    except InvalidSignature:
        return False
    return True


def object_to(command: TenantCommand) -> Objection | None:
    """What is wrong with a command's signature; None for a good one, and where there is none at all: the pool's terms rule that."""
    missing = [name for name in SIGNING if getattr(command, name) is None]
    if len(missing) == len(SIGNING):
        return None
    if missing:
        there = " and ".join(name for name in SIGNING if name not in missing)
        return Objection(Reject.SIGNATURE_MISSING, missing[0], f"{missing[0]}: missing beside {there}")
    if verify(command):
        return None
    detail = f"signature: {shown(command.signature)} is not what the key {shown(command.key)} gives for this command"
    return Objection(Reject.SIGNATURE_WRONG, "signature", detail)


def write_private_key(path: Path, private_key: Ed25519PrivateKey) -> None:
    """Writes a new file that only its owner may read: PEM, PKCS #8, not encrypted.

    Raises:
        BadInput: the file exists (a key that is overwritten is lost for ever), or can't be written.
    """
    text = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        # Created with its mode: there is no moment at which others may open it.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, ONLY_OWNER), "wb") as file:
            file.write(text)
    except FileExistsError:
        raise BadInput(f"{path}: exists already; a private key is never overwritten") from None
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """The key of a file that `write_private_key`, or `openssl genpkey -algorithm ed25519`, has written.

    Raises:
        BadInput: the file can't be read, or holds something else.
    """
    try:
        found = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: it is encrypted
        raise BadInput(f"{path}: no private key in PEM without a password: {error}") from error
    if not isinstance(found, Ed25519PrivateKey):
        raise BadInput(f"{path}: an Ed25519 key is needed, this is {type(found).__name__}")
    return found
