"""Signatures: against the vectors and the formulas of RFC 8032, in every encoding, and whatever a forger may try."""

from __future__ import annotations

import subprocess
from base64 import b64decode, b64encode
from hashlib import sha512
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from tenant_commands import SIGNING, commands, encodings, numbered, values_of

from schemas.canonical import canonical_form, digest
from schemas.market import AcceptCommand, CancelCommand, OrderCommand, TenantCommand
from schemas.trading import Reject
from streams.codecs import decode, encode
from streams.door import Door
from streams.errors import BadInput
from streams.signatures import (
    generate,
    object_to,
    public_key,
    read_private_key,
    sign,
    verify,
    write_private_key,
)

DOOR = Door(max_event_bytes=1 << 20, max_ahead_ms=1, max_age_ms=1)
ORDER = OrderCommand(id="o-1", pool="llama", tenant="acme", period=9, side="buy", qty=5, price=3, seq=7)
PRIVATE, PUBLIC = generate()
SIGNED = sign(ORDER, PRIVATE)

# RFC 8032, section 7.1: secret key, public key, message, signature.
VECTORS = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


class Formulas:
    """Ed25519 by the formulas of RFC 8032, section 5.1: slow and plain, in affine coordinates."""

    P = 2**255 - 19
    D = -121665 * pow(121666, -1, P) % P
    L = 2**252 + 27742317777372353535851937790883648493
    BASE = (15112221349535400772501151409588531511454012693041857206046113283949847762202, 4 * pow(5, -1, P) % P)

    @classmethod
    def add(cls, one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
        (x1, y1), (x2, y2) = one, other
        k = cls.D * x1 * x2 * y1 * y2 % cls.P
        x = (x1 * y2 + x2 * y1) * pow(1 + k, -1, cls.P)
        y = (y1 * y2 + x1 * x2) * pow(1 - k, -1, cls.P)
        return x % cls.P, y % cls.P

    @classmethod
    def times(cls, number: int, point: tuple[int, int]) -> tuple[int, int]:
        found = (0, 1)
        for bit in f"{number:b}":
            found = cls.add(found, found)
            if bit == "1":
                found = cls.add(found, point)
        return found

    @staticmethod
    def written(point: tuple[int, int]) -> bytes:
        return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")

    @classmethod
    def signature(cls, secret: bytes, message: bytes) -> tuple[bytes, bytes]:
        """Public key and signature."""
        hashed = sha512(secret).digest()
        scalar = int.from_bytes(hashed[:32], "little") & ((1 << 254) - 8) | (1 << 254)
        public = cls.written(cls.times(scalar, cls.BASE))
        r = int.from_bytes(sha512(hashed[32:] + message).digest(), "little") % cls.L
        commitment = cls.written(cls.times(r, cls.BASE))
        k = int.from_bytes(sha512(commitment + public + message).digest(), "little") % cls.L
        return public, commitment + ((r + k * scalar) % cls.L).to_bytes(32, "little")


@pytest.mark.parametrize(("secret", "public", "message", "signature"), VECTORS)
def test_signatures_are_those_of_rfc_8032(secret: str, public: str, message: str, signature: str) -> None:
    raw = bytes.fromhex(secret)
    assert Formulas.signature(raw, bytes.fromhex(message)) == (bytes.fromhex(public), bytes.fromhex(signature))
    # The formulas give what the RFC prints; now ours must give what the formulas give, over a command's form.
    private = Ed25519PrivateKey.from_private_bytes(raw)
    signed = sign(ORDER, private)
    assert signed.signature is not None
    assert signed.key is not None
    expected = Formulas.signature(raw, canonical_form(signed.model_copy(update={"signature": None})))
    assert (b64decode(signed.key), b64decode(signed.signature)) == expected
    assert public_key(private) == signed.key == b64encode(bytes.fromhex(public)).decode()
    assert verify(signed)


@settings(max_examples=100, deadline=None)
@given(command=commands())
def test_a_signature_holds_in_every_encoding(command: TenantCommand) -> None:
    signed = sign(numbered(command), PRIVATE)
    assert verify(signed)
    for name, value, headers in encodings(signed):
        read = DOOR.read("orders", value, headers, signed.pool.encode(), 0)
        assert read == signed, name
        assert isinstance(read, TenantCommand)
        assert canonical_form(read) == canonical_form(signed)
        assert digest(read) == digest(signed)
        assert verify(read), name
    again = decode(encode(signed))
    assert isinstance(again, TenantCommand)
    assert canonical_form(again) == canonical_form(signed)


@settings(max_examples=150, deadline=None)
@given(command=commands(), data=st.data())
def test_a_command_of_which_any_field_was_changed_is_not_the_signed_one(command: TenantCommand, data: st.DataObject) -> None:
    signed = sign(numbered(command), PRIVATE)
    for name in type(command).model_fields:
        was = getattr(signed, name)
        if name not in SIGNING:
            to = data.draw(values_of(type(command), name).filter(lambda value, was=was: value != was), label=name)
            assert not verify(signed.model_copy(update={name: to})), name
    for change in ({"seq": (signed.seq or 0) + 1}, {"key": generate()[1]}):
        assert not verify(signed.model_copy(update=change)), change


def test_a_command_of_another_type_is_not_the_signed_one() -> None:
    accept = sign(AcceptCommand(id="1", pool="p", tenant="t", period=9, offered_by="o", offer="x", seq=7), PRIVATE)
    as_cancel = CancelCommand(id="1", pool="p", tenant="t", period=9, order="x", key=accept.key, seq=accept.seq)
    assert not verify(as_cancel.model_copy(update={"signature": accept.signature}))
    assert b'"type":"accept"' in canonical_form(accept)


def _with(raw: bytes) -> OrderCommand:
    return SIGNED.model_copy(update={"signature": b64encode(raw).decode()})


RAW = b64decode(SIGNED.signature or "")


def test_every_bit_of_a_signature_counts() -> None:
    for bit in range(0, 512, 3):
        changed = bytearray(RAW)
        changed[bit // 8] ^= 1 << bit % 8
        assert not verify(_with(bytes(changed))), bit


@pytest.mark.parametrize(
    ("what", "forged"),
    [
        # RFC 8032, section 5.1.7: S must be below L, else one signature would have two forms and one command two digests.
        ("S + L", _with(RAW[:32] + (int.from_bytes(RAW[32:], "little") + Formulas.L).to_bytes(32, "little"))),
        ("zeros", _with(bytes(64))),
        ("R alone", _with(RAW[:32] + bytes(32))),
        ("halves swapped", _with(RAW[32:] + RAW[:32])),
        ("of another command of the key", SIGNED.model_copy(update={"signature": sign(numbered(ORDER, 8), PRIVATE).signature})),
        ("of another key", sign(ORDER, generate()[0]).model_copy(update={"key": PUBLIC})),
        ("over the bytes of a rival format", _with(PRIVATE.sign(canonical_form(SIGNED)[len("tokenbourse\n") :]))),
        ("a key that is no point", SIGNED.model_copy(update={"key": b64encode(b"\x02" + bytes(31)).decode()})),
    ],
)
def test_forged(what: str, forged: OrderCommand) -> None:
    assert forged.signature != SIGNED.signature or forged.key != SIGNED.key
    assert not verify(forged)
    objection = object_to(forged)
    assert objection is not None
    assert objection[:2] == (Reject.SIGNATURE_WRONG, "signature")
    assert "signature: '" in objection.detail


WEAK = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


@pytest.mark.parametrize("sign_bit", [0, 0x80])
@pytest.mark.parametrize("y", WEAK)
def test_a_key_with_which_anyone_can_sign_is_none(y: str, sign_bit: int) -> None:
    raw = bytearray.fromhex(y)
    raw[31] |= sign_bit
    forged = _with(b"\x01" + bytes(63)).model_copy(update={"key": b64encode(raw).decode()})  # R neutral, S zero: no secret needed
    fits = 0
    for seq in range(40):
        tried = forged.model_copy(update={"seq": seq})
        try:
            Ed25519PublicKey.from_public_bytes(bytes(raw)).verify(b"\x01" + bytes(63), canonical_form(tried))
            fits += 1
        except InvalidSignature:
            pass
        assert not verify(tried)
    assert fits or y in WEAK[5:] or sign_bit, "the attack that this wards off is real"


@pytest.mark.parametrize(
    ("missing", "field", "detail"),
    [
        ((), None, None),
        (("key", "seq", "signature"), None, None),
        (("signature",), "signature", "signature: missing beside key and seq"),
        (("key",), "key", "key: missing beside seq and signature"),
        (("seq",), "seq", "seq: missing beside key and signature"),
        (("key", "signature"), "key", "key: missing beside seq"),
        (("seq", "signature"), "seq", "seq: missing beside key"),
        (("key", "seq"), "key", "key: missing beside signature"),
    ],
)
def test_a_signature_is_there_whole_or_not_at_all(missing: tuple[str, ...], field: str | None, detail: str | None) -> None:
    command = SIGNED.model_copy(update=dict.fromkeys(missing))
    assert verify(command) == (not missing)
    assert object_to(command) == (None if field is None else (Reject.SIGNATURE_MISSING, field, detail))


def test_signing_again_replaces_the_signature_and_keeps_the_number() -> None:
    other, public = generate()
    again = sign(SIGNED, other)
    assert (again.key, again.seq, verify(again)) == (public, SIGNED.seq, True)
    assert sign(SIGNED, PRIVATE) == SIGNED


def test_a_command_without_a_number_is_not_signed() -> None:
    with pytest.raises(ValueError, match="seq: missing"):
        sign(ORDER.model_copy(update={"seq": None}), PRIVATE)


def test_a_key_file_is_its_owners_alone_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "acme.pem"
    write_private_key(path, PRIVATE)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert sign(ORDER, read_private_key(path)) == SIGNED
    before = path.read_bytes()
    with pytest.raises(BadInput, match="exists already"):
        write_private_key(path, generate()[0])
    assert path.read_bytes() == before
    with pytest.raises(BadInput, match="No such file or directory"):
        write_private_key(tmp_path / "nowhere" / "x.pem", PRIVATE)


def test_a_key_of_openssl_is_read(tmp_path: Path) -> None:
    path = tmp_path / "openssl.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(path)], check=True)
    assert verify(sign(ORDER, read_private_key(path)))


@pytest.mark.parametrize("what", ["missing", "empty", "public", "another kind", "encrypted"])
def test_what_is_no_key_file_is_told(what: str, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    secret = BestAvailableEncryption(b"x")
    texts = {
        "empty": b"",
        "public": PRIVATE.public_key().public_bytes_raw(),
        "another kind": generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "encrypted": PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret),
    }
    if what in texts:
        path.write_bytes(texts[what])
    said = {"missing": "No such file", "another kind": "an Ed25519 key is needed"}
    with pytest.raises(BadInput, match=said.get(what, "no private key in PEM without a password")):
        read_private_key(path)
