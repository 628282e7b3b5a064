"""What the client raises. Each class says whether a later try may help.

SluiceError
    Refused             the API has answered, and refuses: one class for each status
        BadRequest, NotAuthenticated, Forbidden, NotFound, Conflict, Gone, TooLarge, KeyReused
        TooManyRequests, ServerFailed, Unavailable, DiskFull
    Unreachable         the API does not answer
    UnreadableAnswer    what answers is not Sluice's API, or is one of a version with other answers
    FileProblem         a file here can't be read or written
        UnwritableFile
    WrongArgument       what no request can carry
    NotReached          `wait`: the job has ended in another state
    WaitTimeout         `wait`: the time is over
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

if TYPE_CHECKING:
    from client.answers import Job


class SluiceError(Exception):
    """Any error of this client. Its text is a sentence for a person, which says what to do."""


class Refused(SluiceError):
    """The API refuses. The text is the server's sentence."""

    def __init__(
        self, message: str, http_status: int, status: str, details: Mapping[str, Any], retry_after: float | None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.http_status = http_status
        """The HTTP status, such as 409."""
        self.status = status
        """The kind of refusal, such as FAILED_PRECONDITION; empty where a proxy has answered."""
        self.details = details
        """What the refusal is about, by name: the job in the way, the states that allow it."""
        self.retry_after = retry_after
        """Seconds after which the server says that a try may succeed; None: it does not say."""

    def with_advice(self, advice: str) -> Self:
        """The same refusal, which also says what the caller can do about it."""
        return type(self)(f"{self.message}; {advice}", self.http_status, self.status, self.details, self.retry_after)


class BadRequest(Refused):
    """400: something in the request does not fit."""


class NotAuthenticated(Refused):
    """401: the key is wrong, missing, expired or revoked."""


class Forbidden(Refused):
    """403: the key does not allow this."""


class NotFound(Refused):
    """404: there is no such job, or it is of an organisation that is not the key's."""


class Conflict(Refused):
    """409: not in this state, or another job is in the way. ``details`` names the states, or the job."""


class Gone(Refused):
    """410: a stored file that is to be read again is gone."""


class TooLarge(Refused):
    """413: a file, its rows or the request exceed a limit."""


class KeyReused(Refused):
    """422: the idempotency key belongs to another request."""


class TooManyRequests(Refused):
    """429: requests come too fast, or the organisation has as many of something as it may. A later try helps."""


class ServerFailed(Refused):
    """5xx: the server's log has the cause."""


class Unavailable(ServerFailed):
    """502, 503, 504: a server that the API needs does not answer. A later try helps."""


class DiskFull(ServerFailed):
    """507: the server's disk is full; nothing was made."""


class Unreachable(SluiceError):
    """The API does not answer. A later try may help.

    `sent`: whether the server may have taken the request in.
    """

    def __init__(self, message: str, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class UnreadableAnswer(SluiceError):
    """The answer is none that this client understands."""

    def __init__(self, message: str, http_status: int | None = None) -> None:
        super().__init__(message)
        self.http_status = http_status


class FileProblem(SluiceError):
    """A file here can't be read or written, or changes while it is sent."""


class UnwritableFile(FileProblem):
    """A file here can't be written."""


class WrongArgument(SluiceError, ValueError):
    """An argument that no request can carry."""


class _OfAJob(SluiceError):
    def __init__(self, message: str, job: Job) -> None:
        super().__init__(message)
        self.job = job
        """The job as the client last saw it."""


class NotReached(_OfAJob):
    """The job has ended, and not as it was waited for."""


class WaitTimeout(_OfAJob, TimeoutError):
    """The time is over; the job goes on."""


_BY_STATUS: Final[Mapping[int, type[Refused]]] = {
    400: BadRequest, 401: NotAuthenticated, 403: Forbidden, 404: NotFound, 409: Conflict, 410: Gone, 413: TooLarge,
    422: KeyReused, 429: TooManyRequests, 502: Unavailable, 503: Unavailable, 504: Unavailable, 507: DiskFull,
}  # fmt: skip


def refusal(http_status: int, headers: Mapping[str, str], content: bytes) -> SluiceError:
    """The error for an answer that is no success; `content` is its body, which a proxy may have written."""
    try:
        error = msgspec.json.decode(content)["error"]
        message, status, details = str(error["message"] or ""), str(error.get("status", "")), error.get("details")
    except (msgspec.DecodeError, LookupError, TypeError, AttributeError, RecursionError, UnicodeDecodeError):
        message, status, details = "", "", None
    kind = _BY_STATUS.get(http_status, ServerFailed if http_status >= 500 else Refused)
    if not message and not issubclass(kind, Unavailable | TooManyRequests):
        return UnreadableAnswer(f"the API answered {http_status} in a way that can't be read", http_status)
    message = message or f"the API answered {http_status} in a way that can't be read"
    return kind(message, http_status, status, details if isinstance(details, dict) else {}, retry_after(headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """What the header Retry-After says, in seconds; None: nothing, or a date."""
    text = headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None
