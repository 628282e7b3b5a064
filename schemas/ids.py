"""Job ids: short, sortable by time, safe in topics, paths and URLs."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

from schemas.bounds import JOB_ID_PATTERN

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
SHORT_ID_LENGTH: Final = 10
_HOUR_MS: Final = 3_600_000
JOB_ID = re.compile(JOB_ID_PATTERN)
"""What any job id must look like; services that produce CreateJob themselves may choose their own."""


def _base32(number: int, length: int) -> str:
    return "".join(_ALPHABET[(number >> (5 * place)) & 31] for place in reversed(range(length)))


def short_id(some_bytes: bytes) -> str:
    """The id of a key or a webhook, from `SHORT_ID_LENGTH` bytes that are random or a digest."""
    return "".join(_ALPHABET[byte % 32] for byte in some_bytes)


def new_job_id(at_ms: int, random_bits: int) -> str:
    """A new job's id: 16 characters, the first 9 of them the time in milliseconds, the rest from 35 random bits."""
    return _base32(at_ms, 9) + _base32(random_bits, 7)


def is_new(job_id: str, at_ms: int) -> bool:
    """Whether an id is like those that `new_job_id` makes at this time, give or take an hour.

    No job had it before. An id that follows from a key or a dry run, or that a service has chosen, may be an old one.
    """
    if len(job_id) != 16 or not set(job_id) <= set(_ALPHABET):
        return False
    made = 0
    for character in job_id[:9]:
        made = made * 32 + _ALPHABET.index(character)
    return abs(made - at_ms) < _HOUR_MS


def job_id_for_start(dry_run: str) -> str:
    """The id of the real job of this dry run: the same each time, so that a second start finds the first one's job."""
    return "s" + _base32(int.from_bytes(sha256(dry_run.encode()).digest()[:16], "big"), 25)


def job_id_for_key(caller: str, idempotency_key: str) -> str:
    """The id of the job that `caller` makes with this Idempotency-Key: the same each time, so a repeat finds it."""
    digest = sha256(f"{caller}\n{idempotency_key}".encode()).digest()
    return "k" + _base32(int.from_bytes(digest[:16], "big"), 25)


SHORT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
"""To be matched: the names of organisations, operations, mappings and webhooks."""
_SIGNS: Final = "1 to 64 letters, digits, dots, - and _"
SHORT_NAME_RULE: Final = f"{_SIGNS}, the first a letter or digit"
"""What a name that `SHORT_NAME` matches is."""


def short_name_problem(what: str, name: str) -> str | None:
    """Why something, such as "a mapping", can't be called so; None: it can."""
    if SHORT_NAME.match(name):
        return None
    return f"{what} can't be called {name[:80]!r}: it takes {_SIGNS}, and begins with a letter or a digit"


def mapping_name_problem(name: str) -> str | None:
    """Why a mapping of columns can't be called so; None: it can."""
    return short_name_problem("a mapping", name)
