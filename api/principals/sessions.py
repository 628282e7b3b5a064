"""Sessions of the page: begun with a key, or by an OpenID provider, and ended in every API process at once."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import Final

from api.errors import refused
from api.principals.caller import Caller, caller_by_session
from api.principals.store import PrincipalStore
from control.creation.quotas import room_problem
from control.principals.keys import digest
from control.principals.registry import counted_for
from runtime.clock import now_ms
from schemas.policies.principals import Session
from schemas.policies.quotas import QuotaBook

SESSION_SECONDS: Final = 12 * 3600
_TOKEN_BYTES: Final = 32
_COOKIE: Final = re.compile(r"(\d{1,18})\.([\w-]{43})", re.ASCII)
"""The offset of the session's record, and the token."""
_NEWS_SECONDS: Final = 1.0
"""A session that another API process has begun may take this long to arrive in this one."""
_SWEPT_AT_ONCE: Final = 100


async def begin_session(
    store: PrincipalStore, quotas: QuotaBook, caller: Caller, admin_key: str | None, issuer: str | None
) -> tuple[str, Session]:
    """The cookie of a new session of this caller, and the session.

    It ends with the caller's key or token at the latest, and one that was begun with `admin_key` once that is another.
    `issuer`: the OpenID provider that vouches for callers here.

    Raises:
        ApiError: 429, there are too many; as `PrincipalStore.put` and `OrganisationLocks.alone`.
    """
    now, token = now_ms(), secrets.token_urlsafe(_TOKEN_BYTES)
    end = now + SESSION_SECONDS * 1000
    _sweep(store, now)
    session = Session(
        sha256=digest(token),
        name=caller.name,
        kind=caller.kind,
        organisations=None if caller.organisations is None else tuple(sorted(caller.organisations)),
        role=caller.role,
        key_id=caller.key_id,
        proof=_proof(token, admin_key) if caller.vouched == "setting" else None,
        issuer=issuer if caller.vouched == "provider" else None,
        vouched=caller.vouched,
        began_at=now,
        ends_at=end if caller.ends_at is None else min(end, caller.ends_at),
    )
    async with store.making.alone(session.organisations):
        _require_room(open_sessions(store, now_ms()), caller, quotas)
        return f"{await store.put(session)}.{token}", session


async def caller_of_session(store: PrincipalStore, cookie: str, admin_key: str | None) -> Caller | None:
    """The caller of a cookie's session; None: no session that holds."""
    found = _COOKIE.fullmatch(cookie)
    if found is None:
        return None
    registry, token = store.feed.registry, found[2]
    # Another API process may have begun it just now.
    await store.feed.until_offset(int(found[1]), _NEWS_SECONDS)
    session = registry.session_of(token)
    if session is None:
        return None
    caller = caller_by_session(session)
    if caller.vouched == "setting" and not hmac.compare_digest(session.proof or "none", _proof(token, admin_key) or ""):
        return None
    return caller if caller.holds(registry, now_ms()) else None


def open_sessions(store: PrincipalStore, now: int) -> list[Session]:
    """The sessions that can be used, of everyone."""
    registry = store.feed.registry
    return [one for one in registry.sessions.values() if caller_by_session(one).holds(registry, now)]


def _require_room(sessions: list[Session], caller: Caller, quotas: QuotaBook) -> None:
    """Sessions for all organisations have a limit of their own, so that no organisation keeps the admin out."""
    if caller.organisations is None:
        found = {"": (sum(one.organisations is None for one in sessions), quotas.default.sessions)}
    else:
        found = {one: (counted_for(sessions, one), quotas.of(one).sessions) for one in sorted(caller.organisations)}
    for organisation, (had, most) in found.items():
        problem = room_problem("sessions", organisation, had, most)
        if problem is not None:
            raise refused(problem)


async def end_session(store: PrincipalStore, caller: Caller) -> None:
    """End the caller's session in every API process. Raises as `PrincipalStore.remove`."""
    if caller.session is not None:
        await store.remove(f"session/{caller.session}")


def _proof(token: str, admin_key: str | None) -> str | None:
    """What tells later whether the admin's key is the same still. The token is kept nowhere, so it tells no key."""
    return None if admin_key is None else hmac.new(token.encode(), admin_key.encode(), hashlib.sha256).hexdigest()


def _sweep(store: PrincipalStore, now: int) -> None:
    """Remove sessions and signers whose time is over from the topic: without it, it would keep each one forever."""
    for name in list(store.feed.registry.sessions_over(now))[:_SWEPT_AT_ONCE]:
        store.forget_later(f"session/{name}")
    for name in list(store.feed.registry.signers_over(now))[:_SWEPT_AT_ONCE]:
        store.forget_later(f"signer/{name}")
