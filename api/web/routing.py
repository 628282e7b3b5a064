"""The declaration of a route of REST: its handler, its parameters and bodies, and every answer that it gives.

Starlette's routes and the description in OpenAPI are both made of these values.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.models.refusals import ErrorBody
from schemas.policies.principals import Role

Handler = Callable[[Request], Awaitable[Response]]
Struct = type[msgspec.Struct]

JSON: Final = "application/json"
FORM: Final = "multipart/form-data"
CSV: Final = "text/csv"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter, a header, or a part of the path of a request."""

    name: str
    meaning: str
    type: Any
    """A type of msgspec; its JSON Schema is the parameter's."""
    place: Literal["query", "header", "path"] = "query"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a multipart body."""

    content: Struct | str
    """A struct as JSON; or the media type of a file."""
    required: bool = True


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a request, in any one of the given forms."""

    json: Struct | None = None
    form: Mapping[str, Part] = field(default_factory=dict)
    """Name of a part -> the part; empty: no multipart body is taken."""
    text: str | None = None
    """The media type of a body that is a file alone."""
    required: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with one status."""

    code: int
    meaning: str
    content: Struct | str | None = None
    """A struct as JSON; the media type of something else; None: the answer has no body."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Name -> meaning, of those that each such answer has."""


def refusal(code: int, meaning: str, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer with an error body."""
    return Answer(code, meaning, ErrorBody, headers or {})


def unavailable(meaning: str) -> Answer:
    """503: a later try may succeed."""
    return refusal(503, meaning, {"Retry-After": "Seconds to wait before the next try"})


_UNKNOWN_HOST = refusal(400, "The Host is not known; the message says which are")
_MALFORMED = refusal(400, "Malformed; the message says what to change")
_NO_KEY = refusal(401, "The API key is wrong or missing", {"WWW-Authenticate": "How to send one"})
_FOREIGN = refusal(403, "The caller's role does not allow it, or a web page of another site sends this without a key")
_NO_ROLE = refusal(403, "The caller's role does not allow it")
_SLOWED = refusal(
    429,
    "There were too many wrong keys, requests come too fast, or the organisation has as many as it may",
    {"Retry-After": "Seconds to wait before the next try"},
)
_NO_JOB = refusal(404, "There is no such job")
_TOO_LARGE = refusal(413, "The JSON is too large")
_KEYS_UNKNOWN = unavailable("The API has just started, and does not know every key yet")
_JOBS_UNKNOWN = unavailable("Kafka, Elasticsearch or the workers do not answer, or the API has just started")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    """A route with GET answers HEAD, too."""
    path: str
    handler: Handler
    name: str
    """The operationId: what generated clients call it."""
    summary: str
    own_answers: tuple[Answer, ...]
    """Answers that do not follow from the other fields; one of the same status replaces an answer that does."""
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    description: str | None = None
    role: Role | None = Role.ADMIN
    """The least role that a caller needs; None: it needs no key."""

    @property
    def open(self) -> bool:
        """Whether it needs no key."""
        return self.role is None

    @property
    def of_a_job(self) -> bool:
        """Whether the path names a job."""
        return "{job_id}" in self.path

    @property
    def answers(self) -> dict[int, Answer]:
        """Status -> answer, of all that the route itself gives, in the order of their statuses.

        Not among them: 500, and the refusals of a connection before there is a request, which any route may have.
        """
        given = {answer.code: answer for answer in (*self._implied(), *self.own_answers)}
        return {code: given[code] for code in sorted(given)}

    def _implied(self) -> Iterator[Answer]:
        asks = self.body is not None or any(parameter.place == "query" for parameter in self.parameters)
        yield _MALFORMED if asks else _UNKNOWN_HOST
        if not self.open:
            yield _NO_KEY
            yield _SLOWED
            yield _KEYS_UNKNOWN
            if self.method != "GET":
                yield _FOREIGN
            elif self.role is not Role.VIEWER:
                yield _NO_ROLE
        if self.of_a_job:
            yield _NO_JOB
            yield _JOBS_UNKNOWN
        if self.body and self.body.json:
            yield _TOO_LARGE


def starlette_routes(endpoints: Iterable[Endpoint], guarded: Callable[[Endpoint], Handler]) -> list[Route]:
    """A route for each path; `guarded` makes the handler that lets only those in who may."""
    paths: dict[str, dict[str, Handler]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method] = guarded(endpoint)
    return [at(path, **handlers) for path, handlers in paths.items()]


def at(path: str, **handlers: Handler) -> Route:
    """The one route of a path, with a handler for each method.

    With a route for each method a 405 would list the methods of the first one only.
    """
    methods = {method.lower(): staticmethod(handler) for method, handler in handlers.items()}
    return Route(path, type("Methods", (HTTPEndpoint,), methods), methods=list(handlers))
