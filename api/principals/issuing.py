"""Makes keys, lists them, and revokes them."""

from __future__ import annotations

import secrets
from typing import Any, Final

from msgspec.structs import replace

from api.errors import ApiError, invalid, refused
from api.models.principals import KeyMade, KeyRequest, KeyView
from api.principals.audit import Audit
from api.principals.caller import Caller
from api.principals.store import PrincipalStore
from control.creation.quotas import room_problem
from control.principals.keys import NewKey, new_key
from control.principals.registry import counted_for, end_of, ended_at
from control.principals.rules import WantedKey, key_problem, may_manage
from runtime.clock import now_ms
from runtime.text.formatting import iso_time
from schemas.policies.principals import ApiKey, KeyId, Organisations
from schemas.policies.quotas import QuotaBook
from schemas.topics import DAY_MS

MOST_KEYS: Final = 10_000
"""Keys that can be used, at most: every API process keeps them in memory. Of requests for different organisations at
the same moment each may find the last room."""
KEPT_DAYS: Final = 400
"""A revoked or expired key stays in the list for these days, or less if there are more than `MOST_KEYS` of them."""
_SWEPT_AT_ONCE: Final = 100


def wanted_key(body: KeyRequest) -> WantedKey:
    """The key that a request asks for.

    Raises:
        ApiError: 400, it does not say for which organisations, or says it twice.
    """
    named = [body.organisation] if body.organisation is not None else []
    named += body.organisations or []
    if bool(named) == body.all_organisations:
        raise invalid("say which organisations the key is for (organisations), or all_organisations: true")
    organisations = None if body.all_organisations else tuple(dict.fromkeys(named))
    return WantedKey(body.name, organisations, body.role, body.expires)


async def make_key(
    store: PrincipalStore,
    audit: Audit,
    quotas: QuotaBook,
    asking: Caller,
    address: str,
    body: KeyRequest,
    made: NewKey | None = None,
) -> KeyMade:
    """A new key, with its text. `made`: its id and text, where the caller has chosen them.

    Raises:
        ApiError: 400 or 403, there can be no such key; 409 or 429, there are too many; 503, Kafka does not answer.
    """
    wanted, now, key = wanted_key(body), now_ms(), made or new_key(secrets.token_bytes)
    problem = key_problem(wanted, asking.organisations)
    if problem is not None:
        raise refused(problem)
    _sweep(store, now)
    record = ApiKey(
        id=key.id,
        name=wanted.name,
        kind=body.kind,
        organisations=wanted.organisations,
        role=wanted.role,
        sha256=key.sha256,
        signing_key=key.signing_key,
        created_at=now,
        created_by=asking.name,
        expires_at=None if wanted.expires_days is None else now + int(wanted.expires_days * DAY_MS),
    )
    async with store.making.alone(record.organisations):
        _require_room(store, record.organisations, quotas)
        await store.put(record)
    audit.note("key-created", asking, address, record.id, f"{record.role} {record.name} of {_of(record.organisations)}")
    return KeyMade(**_fields(store, record), key=key.text)


def _require_room(store: PrincipalStore, organisations: Organisations, quotas: QuotaBook) -> None:
    usable = store.feed.registry.usable_keys(now_ms())
    if len(usable) >= MOST_KEYS:
        raise ApiError(409, f"there are {MOST_KEYS:,} keys, which is as many as there can be: revoke some")
    for organisation in organisations or ():
        full = room_problem("keys", organisation, counted_for(usable, organisation), quotas.of(organisation).keys)
        if full is not None:
            raise refused(full)


async def revoke_key(store: PrincipalStore, audit: Audit, asking: Caller, address: str, key_id: str) -> KeyView:
    """The key, which can't be used any more. One that was revoked before stays as it is.

    Raises:
        ApiError: 404, the caller knows no such key; 503, Kafka does not answer.
    """
    key = visible_key(store, asking, key_id)
    if key.revoked_at is None:
        await store.put(replace(key, revoked_at=now_ms(), revoked_by=asking.name))
        audit.note("key-revoked", asking, address, key.id, f"{key.role} {key.name} of {_of(key.organisations)}")
    return key_view(store, store.feed.registry.keys[key.id])


def _sweep(store: PrincipalStore, now: int) -> None:
    """Remove keys from the topic that ended long ago, or are too many; they are refused as before."""
    ended = sorted((at, key.id) for key in store.feed.registry.keys.values() if (at := ended_at(key, now)) is not None)
    surplus = max(0, len(ended) - MOST_KEYS)
    old = sum(at < now - KEPT_DAYS * DAY_MS for at, _ in ended)
    for _, key_id in ended[: min(max(surplus, old), _SWEPT_AT_ONCE)]:
        store.forget_later(f"use/{key_id}")
        store.forget_later(f"key/{key_id}")


def visible_key(store: PrincipalStore, asking: Caller, key_id: KeyId) -> ApiKey:
    """The key, if the caller may manage it.

    Raises:
        ApiError: 404.
    """
    key = store.feed.registry.keys.get(key_id)
    if key is None or not may_manage(key, asking.organisations):
        raise ApiError(404, f"there is no key {key_id[:20]}; GET /v1/keys lists those that you may see")
    return key


def keys_of(store: PrincipalStore, asking: Caller) -> list[KeyView]:
    """The keys that the caller may manage, newest first."""
    found = [key for key in store.feed.registry.keys.values() if may_manage(key, asking.organisations)]
    return [key_view(store, key) for key in sorted(found, key=lambda key: (-key.created_at, key.id))]


def key_view(store: PrincipalStore, key: ApiKey) -> KeyView:
    """A key as admins see it."""
    return KeyView(**_fields(store, key))


def _fields(store: PrincipalStore, key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "kind": key.kind,
        "organisations": None if key.organisations is None else list(key.organisations),
        "role": key.role,
        "created_at": iso_time(key.created_at),
        "created_by": key.created_by,
        "expires_at": iso_time(key.expires_at),
        "last_used_at": iso_time(store.feed.registry.uses.get(key.id)),
        "revoked_at": iso_time(key.revoked_at),
        "revoked_by": key.revoked_by,
        "usable": end_of(key, now_ms()) is None,
    }


def _of(organisations: Organisations) -> str:
    return "all organisations" if organisations is None else ", ".join(organisations)
