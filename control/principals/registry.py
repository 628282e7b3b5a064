"""The principals as a process knows them from their topic: keys, their last uses, sessions. Pure."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Any

from control.principals.keys import digest, key_id_in
from schemas.messages.codec import UndecodableError, decode
from schemas.policies.principals import ApiKey, KeyUse, PrincipalRecord, Session, Signer, record_key


def read_principal(key: bytes | None, value: bytes | None) -> tuple[str, PrincipalRecord | None]:
    """The key and the record that the topic has; None: a tombstone.

    Raises:
        UndecodableError: it can't be read, or lies under another key than its own.
    """
    name = (key or b"").decode("utf-8", "replace")
    if value is None:
        return name, None
    record: PrincipalRecord = decode(value, PrincipalRecord)
    if record_key(record) != name:
        raise UndecodableError(f"the record lies under the key {name[:80]!r}, not under its own")
    return name, record


class Registry:
    """The newest record of each key."""

    def __init__(self) -> None:
        self.keys: dict[str, ApiKey] = {}
        """Key id -> key, the revoked and the expired included."""
        self.uses: dict[str, int] = {}
        """Key id -> when it was used last, milliseconds since 1970."""
        self.sessions: dict[str, Session] = {}
        """SHA-256 of the token -> session."""
        self.signers: dict[str, Signer] = {}
        """Id -> what a process of the API signs with."""

    def put(self, name: str, record: PrincipalRecord | None) -> None:
        """Take in a record."""
        match record:
            case ApiKey():
                self.keys[record.id] = record
            case KeyUse():
                self.uses[record.id] = max(record.at, self.uses.get(record.id, 0))
            case Session():
                self.sessions[record.sha256] = record
            case Signer():
                self.signers[record.id] = record
            case None:
                kind, _, rest = name.partition("/")
                tables: dict[str, dict[str, Any]] = {
                    "key": self.keys,
                    "use": self.uses,
                    "session": self.sessions,
                    "signer": self.signers,
                }
                tables.get(kind, {}).pop(rest, None)

    def key_of(self, text: str) -> ApiKey | None:
        """The key whose text this is, whether it may still be used or not; None: there is none."""
        found = self.keys.get(key_id_in(text) or "")
        return found if found is not None and hmac.compare_digest(found.sha256, digest(text)) else None

    def session_of(self, token: str) -> Session | None:
        """The session whose token this is, whether it has ended or not; None: there is none."""
        return self.sessions.get(digest(token))

    def usable_keys(self, now_ms: int) -> list[ApiKey]:
        """The keys that were neither revoked nor have expired."""
        return [key for key in self.keys.values() if end_of(key, now_ms) is None]

    def sessions_over(self, now_ms: int) -> Iterable[str]:
        """The SHA-256 of the sessions whose time is over."""
        return [name for name, session in self.sessions.items() if session.ends_at <= now_ms]

    def signers_over(self, now_ms: int) -> Iterable[str]:
        """The ids of the signers whose time is over."""
        return [name for name, signer in self.signers.items() if signer.ends_at <= now_ms]


def ended_at(key: ApiKey, now_ms: int) -> int | None:
    """Since when a key can't be used any more, milliseconds since 1970; None: it can."""
    expired_at = key.expires_at if key.expires_at is not None and key.expires_at <= now_ms else None
    return min((at for at in (key.revoked_at, expired_at) if at is not None), default=None)


def counted_for(held: Iterable[ApiKey | Session], organisation: str) -> int:
    """How many of these keys or sessions count against the limit of an organisation: those that name it."""
    return sum(organisation in (one.organisations or ()) for one in held)


def end_of(key: ApiKey, now_ms: int) -> str | None:
    """Why a key may not be used any more, as the end of a sentence; None: it may."""
    if key.revoked_at is not None:
        return "was revoked"
    if key.expires_at is not None and key.expires_at <= now_ms:
        return "has expired"
    return None
