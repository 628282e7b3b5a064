"""Signatures of the records that services write to Sluice's topics. It needs `cryptography` alone.

    from signing import sign
    producer.produce("sluice.commands", value, job_id, headers=sign(api_key, "commands", job_id, value))

A key of Sluice (``sluice_<id>_<digits>``, as `sluice keys create` shows it) is also what its owner signs with: an
Ed25519 key is derived from it, and Sluice keeps the public half. docs/producing.md has the format, for other languages.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import time
from hashlib import sha256
from typing import Final, Literal, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

HEADER: Final = "sluice-signature"
"""The header that holds a record's signature."""
SignedTopic = Literal["commands", "inbox"]

_KEY: Final = re.compile(r"sluice_([0-9a-z]{10})_[0-9a-f]{64}")
_WORD: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")
MOST_HEADER_BYTES: Final = 512
"""A longer header is no signature."""


class Signature(NamedTuple):
    """What a header says."""

    signer: str
    """Id of the key."""
    at: int
    """When it was made, in milliseconds since 1970."""
    nonce: str
    """Different in each signature of a signer, so that a record that is written again can be told."""
    signature: bytes


def sign(
    key: str, topic: SignedTopic, job_id: str, value: bytes, at: int | None = None, nonce: str | None = None
) -> list[tuple[str, bytes]]:
    """The headers of a record with this value, signed with a key of Sluice.

    `topic`: without its prefix. `job_id`: the job that the value names. `at`: milliseconds since 1970; None: now.
    `nonce`: 1 to 64 letters, digits, hyphens and underscores that were not used before; None: random ones.

    Raises:
        ValueError: it is no key of Sluice, or the nonce has another form.
    """
    found = _KEY.fullmatch(key)
    if found is None:
        raise ValueError("this is no key of Sluice: it has the form sluice_<id>_<64 digits>")
    return signed_with(private_key_of(key), found[1], topic, job_id, value, at, nonce)


def signed_with(
    private: Ed25519PrivateKey,
    signer: str,
    topic: SignedTopic,
    job_id: str,
    value: bytes,
    at: int | None = None,
    nonce: str | None = None,
) -> list[tuple[str, bytes]]:
    """As `sign`, with a private key whose public half Sluice knows under the id `signer`."""
    at = time.time_ns() // 1_000_000 if at is None else at
    nonce = secrets.token_urlsafe(12) if nonce is None else nonce
    if not _WORD.fullmatch(nonce):
        raise ValueError("a nonce has 1 to 64 letters, digits, hyphens and underscores")
    signature = private.sign(_signed_bytes(topic, job_id, signer, at, nonce, value))
    text = f"v1;{signer};{at};{nonce};{base64.b64encode(signature).decode()}"
    return [(HEADER, text.encode())]


def private_key_of(key: str) -> Ed25519PrivateKey:
    """The key that is derived from the text of a key of Sluice."""
    return Ed25519PrivateKey.from_private_bytes(sha256(b"sluice-signing-v1\n" + key.encode()).digest())


def public_key_of(key: str) -> str:
    """The public half of the derived key, as 64 hexadecimal digits: what Sluice keeps."""
    return private_key_of(key).public_key().public_bytes_raw().hex()


def read_signature(header: bytes | None) -> Signature | None:
    """What a header says; None: it has another form."""
    if header is None or len(header) > MOST_HEADER_BYTES:
        return None
    parts = header.decode("ascii", "replace").split(";")
    if len(parts) != 5 or parts[0] != "v1" or not all(map(_WORD.fullmatch, parts[1:4])) or not parts[2].isdigit():
        return None
    try:
        signature = base64.b64decode(parts[4], validate=True)
    except (binascii.Error, ValueError):
        return None
    return Signature(parts[1], int(parts[2]), parts[3], signature) if len(parts[2]) < 16 else None


def verifies(public_key: str, signature: Signature, topic: SignedTopic, job_id: str, value: bytes) -> bool:
    """Whether the owner of this public key (hexadecimal digits) has signed this value, for this topic and job."""
    signed = _signed_bytes(topic, job_id, signature.signer, signature.at, signature.nonce, value)
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(signature.signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def _signed_bytes(topic: SignedTopic, job_id: str, signer: str, at: int, nonce: str, value: bytes) -> bytes:
    return f"sluice-signature-v1\n{topic}\n{job_id}\n{signer}\n{at}\n{nonce}\n".encode() + value
