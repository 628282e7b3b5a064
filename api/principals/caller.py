"""Who sends a request. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from control.principals.registry import Registry, end_of
from schemas.policies.principals import ApiKey, PrincipalKind, Role, Session, Vouched

Bucket = tuple[Literal["organisations", "caller"], str]
"""Whose requests count together: what kind of name it is, and the name."""


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller, and what it may do."""

    name: str
    organisations: frozenset[str] | None = None
    """None: every one."""
    role: Role = Role.ADMIN
    kind: PrincipalKind = "person"
    vouched: Vouched = "setting"
    """Set where it is found out who the caller is; a session keeps what the caller had that began it."""
    key_id: str | None = None
    session: str | None = None
    """SHA-256 of its session's token; None: it sends a key or a token with each request."""
    ends_at: int | None = None
    """When its key, token or session ends, milliseconds since 1970; None: not by itself."""

    def may_see(self, organisation: str) -> bool:
        """Whether the caller may see this organisation's jobs."""
        return self.organisations is None or organisation in self.organisations

    @property
    def scope(self) -> str:
        """The organisations as one text: two callers of the same scope see the same."""
        return "*" if self.organisations is None else ",".join(sorted(self.organisations))

    @property
    def bucket(self) -> Bucket:
        """Where its requests are counted: callers of the same organisations share a bucket, and one that may act for
        all has its own."""
        return ("caller", self.identity) if self.organisations is None else ("organisations", self.scope)

    @property
    def identity(self) -> str:
        """Identifies the caller for idempotency keys: another name or other organisations make another caller."""
        if self.vouched == "setting":
            return self.name
        return f"{self.name}\n{self.scope}" if self.vouched == "key" else f"{self.name}\n{self.scope}\nprovider"

    @property
    def own_organisation(self) -> str | None:
        """The one organisation that it acts for; None: there are several."""
        return next(iter(self.organisations)) if self.organisations and len(self.organisations) == 1 else None

    def holds(self, registry: Registry, now_ms: int) -> bool:
        """Whether it is still who it was when its request began."""
        if self.ends_at is not None and self.ends_at <= now_ms:
            return False
        if self.session is not None and self.session not in registry.sessions:
            return False
        if self.key_id is None:
            return True
        key = registry.keys.get(self.key_id)
        return key is not None and end_of(key, now_ms) is None


ADMIN: Final = Caller("admin")
"""The admin whose key is a setting; on a local stack, everyone without a key."""


def caller_by_key(key: ApiKey) -> Caller:
    """Who uses this key."""
    return Caller(
        key.name,
        None if key.organisations is None else frozenset(key.organisations),
        key.role,
        key.kind,
        "key",
        key_id=key.id,
        ends_at=key.expires_at,
    )


def caller_by_session(session: Session) -> Caller:
    """Who has this session."""
    return Caller(
        session.name,
        None if session.organisations is None else frozenset(session.organisations),
        session.role,
        session.kind,
        _vouched(session),
        key_id=session.key_id,
        session=session.sha256,
        ends_at=session.ends_at,
    )


def _vouched(session: Session) -> Vouched:
    if session.vouched is not msgspec.UNSET:
        return session.vouched
    return "key" if session.key_id else "setting" if session.proof else "provider"
