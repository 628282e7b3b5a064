"""Pages of the list of jobs: filters, order, and the token that leads to the next page. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from heapq import nlargest
from itertools import chain

from api.errors import invalid
from api.web.auth import Caller
from control.creation.kinds import BUILT_IN
from schemas.job import Job, State

DEFAULT_LIMIT = 50
MOST = 1000


@dataclass(frozen=True, slots=True)
class Query:
    """Which jobs, and how many."""

    states: frozenset[State] = frozenset()
    operations: frozenset[str] = frozenset()
    organisations: frozenset[str] = frozenset()
    limit: int = DEFAULT_LIMIT
    after: tuple[int, str] | None = None
    scope: str = "*"
    """The caller's scope: a page token works only for lists of the same organisations."""


def query_of(parameters: Iterable[tuple[str, str]], operations: Collection[str] = BUILT_IN, scope: str = "*") -> Query:
    """The query that a request's parameters mean; each may be repeated or hold several values with commas.

    `operations` are those that this installation has, `scope` is the caller's.

    Raises:
        ApiError: 400, a name or a value is not known.
    """
    values: dict[str, list[str]] = {"state": [], "operation": [], "organisation": [], "limit": [], "after": []}
    for name, value in parameters:
        if name not in values:
            raise invalid(f"parameter {name[:80]!r} is not known; use {', '.join(values)}")
        values[name] += [part for part in value.split(",") if part]
    return Query(
        states=frozenset(State(name) for name in _known("state", values["state"], [str(state) for state in State])),
        operations=frozenset(_known("operation", values["operation"], sorted(operations))),
        organisations=frozenset(values["organisation"]),
        limit=whole_number("limit", values["limit"][-1], 1, MOST) if values["limit"] else DEFAULT_LIMIT,
        after=_position(values["after"][-1], scope) if values["after"] else None,
        scope=scope,
    )


def whole_number(name: str, value: str, least: int, most: int) -> int:
    """The number that a parameter holds.

    Raises:
        ApiError: 400, it holds none in this range.
    """
    if not value.isascii() or not value.isdigit() or len(value) > 18 or not least <= int(value) <= most:
        raise invalid(f"{name} is a number from {least} to {most}, not {value[:80]!r}")
    return int(value)


def page(jobs: Iterable[Job], query: Query, caller: Caller) -> tuple[list[Job], str | None]:
    """The jobs of one page, newest first, and the token of the page that follows (None: this is the last one)."""
    return page_of(newest((), jobs, query, caller), query)


def newest(best: Iterable[Job], more: Iterable[Job], query: Query, caller: Caller) -> list[Job]:
    """The jobs of a page and one beyond it, newest first: of the `best` so far and those of `more` that fit."""
    fitting = (job for job in more if fits(job, query, caller))
    return nlargest(query.limit + 1, chain(best, fitting), key=_place)


def page_of(best: list[Job], query: Query) -> tuple[list[Job], str | None]:
    """What `newest` has found, as `page` answers it."""
    shown = best[: query.limit]
    return shown, _token(shown[-1], query.scope) if len(best) > len(shown) else None


def fits(job: Job, query: Query, caller: Caller) -> bool:
    """Whether the job is one of those that the caller asks for, and may see."""
    return (
        caller.may_see(job.organisation)
        and (not query.states or job.state in query.states)
        and (not query.operations or job.operation in query.operations)
        and (not query.organisations or job.organisation in query.organisations)
        and (query.after is None or _place(job) < query.after)
    )


def _place(job: Job) -> tuple[int, str]:
    return job.created_at, job.id


def _token(job: Job, scope: str) -> str:
    text = f"{job.created_at}:{job.id}:{_scope_mark(scope)}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _position(token: str, scope: str) -> tuple[int, str]:
    try:
        at, job_id, mark = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode().split(":")
        position = int(at), job_id
    except (binascii.Error, ValueError) as error:
        raise invalid("after is not a token of this API; leave it out to get the first page") from error
    if mark != _scope_mark(scope):
        raise invalid("after is a token of another caller's list; leave it out to get the first page")
    return position


def _scope_mark(scope: str) -> str:
    return sha256(scope.encode()).hexdigest()[:16]


def _known(name: str, given: Sequence[str], allowed: Sequence[str]) -> Sequence[str]:
    for value in given:
        if value not in allowed:
            raise invalid(f"{name} {value[:80]!r} is not known; use one of {', '.join(allowed)}")
    return given
