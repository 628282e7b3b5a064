"""Who a token's claims say that the caller is, by the settings' mapping. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from api.principals.caller import Caller
from control.creation.admission import organisation_problem
from control.principals.rules import MOST_NAME, MOST_ORGANISATIONS, RESERVED
from runtime.settings import Settings
from schemas.policies.principals import Role


class ClaimsError(ValueError):
    """The claims make no caller of this installation; the message says what is missing."""


def caller_in(claims: Mapping[str, Any], settings: Settings, ends_at: int) -> Caller:
    """The caller, until `ends_at` (milliseconds since 1970).

    Raises:
        ClaimsError: a claim is missing, or names nothing that is known here.
    """
    return Caller(
        _name(claims, settings.oidc_name_claim),
        _organisations(claims, settings),
        _role(claims, settings),
        "person",
        "provider",
        ends_at=ends_at,
    )


def _name(claims: Mapping[str, Any], claim: str) -> str:
    found = [text for text in _texts(claims, claim) if text.strip() == text and text.isprintable()]
    if len(found) != 1 or not 0 < len(found[0]) <= MOST_NAME:
        raise ClaimsError(f"its claim {claim} holds no name of 1 to {MOST_NAME} characters")
    if found[0].casefold() in RESERVED:
        raise ClaimsError(f"the name {found[0]!r} in its claim {claim} is taken by Sluice itself")
    return found[0]


def _organisations(claims: Mapping[str, Any], settings: Settings) -> frozenset[str] | None:
    found = _texts(claims, settings.oidc_organisations_claim)
    if settings.oidc_all_organisations and settings.oidc_all_organisations in found:
        return None
    known = frozenset(name for name in found if organisation_problem(name) is None)
    if not known or len(known) > MOST_ORGANISATIONS:
        raise ClaimsError(f"its claim {settings.oidc_organisations_claim} names no organisation that can be used")
    return known


def _role(claims: Mapping[str, Any], settings: Settings) -> Role:
    roles = settings.oidc_role_names
    found = [roles[text] for text in _texts(claims, settings.oidc_role_claim) if text in roles]
    if not found:
        raise ClaimsError(f"its claim {settings.oidc_role_claim} names no role; known are {', '.join(sorted(roles))}")
    return max(found, key=list(Role).index)


def _texts(claims: Mapping[str, Any], claim: str) -> list[str]:
    """The texts of a claim: one, or a list. A dot leads into an object, unless a claim has that very name."""
    value: Any = claims.get(claim)
    if value is None and "." in claim:
        value = claims
        for part in claim.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    values: Iterable[Any] = value if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str)]
