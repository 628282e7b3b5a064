"""Principals (topic ``principals``, compacted): keys, when each was used last, and the sessions of the page.

The key of a record is what `record_key` makes of it. No record holds a key or a session's token: only their SHA-256.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from schemas.bounds import Digest, Name, Timestamp


class Role(StrEnum):
    """What a principal may do; each role may do what those before it may."""

    VIEWER = "viewer"
    """Reads."""
    OPERATOR = "operator"
    """Makes jobs and sends commands to them."""
    ADMIN = "admin"
    """Makes and revokes keys as well."""

    def covers(self, needed: Role) -> bool:
        """Whether who has this role may do what `needed` may."""
        return _ORDER.index(self) >= _ORDER.index(needed)


_ORDER: Final = (Role.VIEWER, Role.OPERATOR, Role.ADMIN)
PrincipalKind = Literal["person", "service"]
Vouched = Literal["setting", "key", "provider"]
"""How a caller's name is known: by the admin's key, which is a setting; by a key; by an OpenID provider."""
Organisations = tuple[Name, ...] | None
"""None: every one."""
KEY_ID_PATTERN: Final = r"^[0-9a-z]{10}\Z"
KeyId = Annotated[str, Meta(pattern=KEY_ID_PATTERN, description="a key's id: 10 lower-case letters and digits")]


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, tag="key", tag_field="type"):
    """A key of a principal (key of the record: ``key/<id>``). It stays when it is revoked."""

    id: KeyId
    name: Name
    """The principal's, as the history of jobs shows it."""
    kind: PrincipalKind
    organisations: Organisations
    role: Role
    sha256: Digest
    """SHA-256 of the whole key, as hexadecimal digits."""
    created_at: Timestamp
    created_by: Name
    expires_at: Timestamp | None = None
    revoked_at: Timestamp | None = None
    revoked_by: Name | None = None
    signing_key: Digest | msgspec.UnsetType = msgspec.UNSET
    """The Ed25519 key by which what this principal signs is told, as hexadecimal digits; unset: it can't sign."""


class KeyUse(msgspec.Struct, frozen=True, kw_only=True, tag="use", tag_field="type"):
    """When a key was used last, give or take an hour (key of the record: ``use/<id>``).

    It is a record of its own: written into the key's, it could undo a revocation that comes at the same time.
    """

    id: KeyId
    at: Timestamp


class Session(msgspec.Struct, frozen=True, kw_only=True, tag="session", tag_field="type"):
    """Someone is signed in to the page (key of the record: ``session/<sha256>``); a tombstone ends it."""

    sha256: Digest
    """SHA-256 of the cookie's token, as hexadecimal digits."""
    name: Name
    kind: PrincipalKind = "person"
    organisations: Organisations
    role: Role
    key_id: KeyId | None = None
    """The key that it was begun with: it ends with it. None: the admin's by setting, or a provider vouches."""
    proof: Digest | None = None
    """For a session that was begun with the admin's key by setting: the key's HMAC, made with the token."""
    issuer: str | None = None
    """The OpenID provider that vouches for it."""
    began_at: Timestamp
    ends_at: Timestamp
    vouched: Vouched | msgspec.UnsetType = msgspec.UNSET
    """Who vouches for it; unset: the session is of a version that did not say so."""


class Signer(msgspec.Struct, frozen=True, kw_only=True, tag="signer", tag_field="type"):
    """What a process of the API signs its commands with (key of the record: ``signer/<id>``)."""

    id: KeyId
    signing_key: Digest
    """The public Ed25519 key, as hexadecimal digits; the private one is in the memory of that process alone."""
    began_at: Timestamp
    ends_at: Timestamp


PrincipalRecord = ApiKey | KeyUse | Session | Signer


def record_key(record: PrincipalRecord) -> str:
    """The key under which the topic has a record."""
    match record:
        case ApiKey():
            return f"key/{record.id}"
        case KeyUse():
            return f"use/{record.id}"
        case Session():
            return f"session/{record.sha256}"
        case Signer():
            return f"signer/{record.id}"
