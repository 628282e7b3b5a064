"""Security events (topic ``security-events``, key: the principal): who came in, was refused, or made keys."""

from __future__ import annotations

from typing import Literal

import msgspec

from schemas.bounds import Counter, Name, Timestamp
from schemas.policies.principals import KeyId, Organisations

Occurrence = Literal[
    "signed-in",
    "signed-out",
    "refused",
    "slowed",
    "role-refused",
    "organisation-refused",
    "key-created",
    "key-revoked",
    "purge-requested",
    "webhook-created",
    "webhook-deleted",
    "webhook-secret-made",
]


class SecurityEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened, never with a key, a token or a value of a row."""

    at: Timestamp
    event: Occurrence
    by: Name | None = None
    """The principal; None: it is not known who it is."""
    key_id: KeyId | None = None
    """The principal's key, or of a wrong key the one that it names."""
    organisations: Organisations = None
    """The principal's; None: every one, or not known."""
    address: str | None = None
    """Where the request came from."""
    about: str | None = None
    """The route, the job or the key that it is about."""
    why: str | None = None
    unlogged: Counter = 0
    """Refusals before this one that were not recorded, since there were too many."""
