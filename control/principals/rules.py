"""Which keys may be made, and who may see and revoke which. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from control.creation.admission import organisation_problem
from control.errors import Rejected
from schemas.policies.principals import ApiKey, Organisations, Role

RESERVED: Final = frozenset({"admin", "sluice", "topic", "unknown"})
"""Names that the history gives to the admin whose key is a setting, to Sluice itself, and to no one known."""
MOST_NAME: Final = 64
MOST_ORGANISATIONS: Final = 100
MOST_DAYS: Final = 3650


@dataclass(frozen=True, slots=True)
class WantedKey:
    """What a new key is to be."""

    name: str
    organisations: Organisations
    role: Role
    expires_days: float | None = None


def key_problem(wanted: WantedKey, asking_for: frozenset[str] | None) -> Rejected | None:
    """Why this key can't be made by someone who acts for these organisations (None: for all); None: it can."""
    problem = (
        _name_problem(wanted.name)
        or _organisations_problem(wanted.organisations)
        or _expiry_problem(wanted.expires_days)
    )
    if problem is not None:
        return Rejected(400, problem)
    if asking_for is not None and (wanted.organisations is None or not asking_for.issuperset(wanted.organisations)):
        own = sorted(asking_for)
        text = f"your key may make keys for {', '.join(own)} only; leave out the other organisations"
        return Rejected(403, text, {"organisation": own})
    return None


def within(organisations: Organisations, asking_for: frozenset[str] | None) -> bool:
    """Whether all these organisations are among those that someone acts for (None: all): such keys they may see."""
    return asking_for is None or (organisations is not None and asking_for.issuperset(organisations))


def may_manage(key: ApiKey, asking_for: frozenset[str] | None) -> bool:
    """Whether an admin of these organisations may see and revoke this key."""
    return within(key.organisations, asking_for)


def _name_problem(name: str) -> str | None:
    if not name.strip() or name != name.strip() or not name.isprintable() or len(name) > MOST_NAME:
        return f"name {name[:80]!r} can't be used: 1 to {MOST_NAME} characters that can be seen, no spaces at its ends"
    if name.casefold() in RESERVED:
        return f"name {name!r} is taken by Sluice itself; use another one"
    return None


def _organisations_problem(organisations: Organisations) -> str | None:
    if organisations is None:
        return None
    if not organisations:
        return "a key needs an organisation; name at least one, or say that it is for all of them"
    if len(organisations) > MOST_ORGANISATIONS:
        return f"a key has at most {MOST_ORGANISATIONS} organisations; make it for all of them, or make several keys"
    return next(filter(None, map(organisation_problem, organisations)), None)


def _expiry_problem(days: float | None) -> str | None:
    if days is None or 0 < days <= MOST_DAYS:
        return None
    return f"expires is a number of days, more than 0 and at most {MOST_DAYS:,}; without it a key does not expire"
