"""What a request names as the place of its job's file: its repeat is known without a look at that place. Pure."""

from __future__ import annotations

import os.path
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal
from urllib.parse import unquote

from runtime.network.addresses import Address

Kind = Literal["url", "file", "job"]


@dataclass(frozen=True, slots=True)
class _Signature:
    """How one kind of signed address is written. Names are in lower case."""

    shown_by: frozenset[str]
    """Parameters of which any shows that the address is signed in this way; none: a name tells by itself."""
    names: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()


_SIGNATURES: Final = (
    _Signature(frozenset(), prefixes=("x-amz-", "x-goog-", "x-oss-")),
    # AWS before version 4, Google before version 4, CloudFront, Alibaba
    _Signature(
        frozenset({"signature"}),
        frozenset(
            {"signature", "expires", "awsaccesskeyid", "googleaccessid", "ossaccesskeyid", "key-pair-id", "policy"}
            | {"security-token", "hash-algorithm"}
        ),
    ),
    # Azure's shared access signatures
    _Signature(
        frozenset({"sig"}),
        frozenset(
            {"sv", "ss", "srt", "sp", "st", "se", "sr", "sig", "sip", "spr", "si", "ses", "sdd"}
            | {"skoid", "sktid", "skt", "ske", "sks", "skv", "saoid", "suoid", "scid"}
        ),
    ),
)
"""Parameters that sign an address are other ones each time that it is signed. Short names that may mean anything count
only beside the signature itself."""


def origin(job_id: str, kind: Kind, name: str) -> str:
    """A digest of the place that the request for this job names. It shows nothing of an address's query, which may hold
    a secret: the same place has another digest for another job.
    """
    return sha256(f"{job_id}\0{kind}\0{name}".encode("utf-8", "surrogatepass")).hexdigest()


def place_of(address: Address) -> str:
    """An address without what signs it."""
    query = unsigned(address.query)
    return f"{address.shown}?{query}" if query else address.shown


def path_of(name: str) -> str:
    """The path of a file of the server; links are not followed, so that a file that is gone has it still."""
    return os.path.normpath(name)


def unsigned(query: str) -> str:
    """A query without the parameters of known signatures, in the order of their names."""
    pairs = [(unquote(pair.partition("=")[0]).lower(), pair) for pair in query.split("&") if pair]
    named = {name for name, _ in pairs}
    signing = [one for one in _SIGNATURES if not one.shown_by or one.shown_by & named]
    kept = (
        (name, pair)
        for name, pair in pairs
        if not any(name in one.names or name.startswith(one.prefixes) for one in signing)
    )
    return "&".join(pair for _, pair in sorted(kept, key=lambda kept: kept[0]))
