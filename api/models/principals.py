"""Keys, callers, and events of security."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from schemas import bounds
from schemas.policies.principals import PrincipalKind, Role


class KeyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new key is to be."""

    name: bounds.Name
    """The principal's, as the history of jobs is to show it."""
    role: Role
    kind: PrincipalKind = "person"
    organisation: bounds.Name | None = None
    """The one it is for; or `organisations`, or `all_organisations`."""
    organisations: Annotated[list[bounds.Name], Meta(max_length=100)] | None = None
    all_organisations: bool = False
    expires: float | None = None
    """Days until it expires; null: it does not."""


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key, without its text."""

    id: str
    name: str
    kind: PrincipalKind
    organisations: list[str] | None
    """Null: all of them."""
    role: Role
    created_at: str
    created_by: str
    expires_at: str | None
    last_used_at: str | None
    """Give or take an hour."""
    revoked_at: str | None
    revoked_by: str | None
    usable: bool
    """Neither revoked nor expired."""


class KeyMade(KeyView, frozen=True, kw_only=True):
    """A new key, with its text: this answer alone has it."""

    key: str


class KeyList(msgspec.Struct, frozen=True, kw_only=True):
    """The keys that the caller may manage, newest first."""

    keys: list[KeyView]


class SecurityEventView(msgspec.Struct, frozen=True, kw_only=True):
    """Who came in, was refused, or made or revoked a key."""

    at: str
    event: str
    by: str | None
    key_id: str | None
    organisations: list[str] | None
    address: str | None
    about: str | None
    why: str | None
    unlogged: int
    """Refusals before this one that were not recorded, since there were too many."""


class SecurityEventList(msgspec.Struct, frozen=True, kw_only=True):
    """The newest security events, newest first."""

    events: list[SecurityEventView]


class PrincipalView(msgspec.Struct, frozen=True, kw_only=True):
    """Who the caller is."""

    name: str
    kind: PrincipalKind
    role: Role
    organisations: list[str] | None
    """Null: all of them."""
    key_id: str | None
    expires_at: str | None
