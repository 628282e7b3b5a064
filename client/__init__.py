"""The typed client of Sluice's REST API. It needs httpx2 and msgspec, and nothing of the server.

    from client import Sluice

    with Sluice() as sluice:
        job = sluice.upload("people.csv", "people")
        print(sluice.wait(job).state)

`AsyncSluice` has the same methods for asyncio. docs/python.md has more.
"""

from typing import TYPE_CHECKING, Any

from client.answers import Job
from client.errors import (
    BadRequest,
    Conflict,
    DiskFull,
    FileProblem,
    Forbidden,
    Gone,
    KeyReused,
    NotAuthenticated,
    NotFound,
    NotReached,
    Refused,
    ServerFailed,
    SluiceError,
    TooLarge,
    TooManyRequests,
    Unavailable,
    Unreachable,
    UnreadableAnswer,
    UnwritableFile,
    WaitTimeout,
    WrongArgument,
)
from client.options import JobOptions
from client.protocol.retrying import Retry
from client.requests.following import Event
from client.sync import Sluice

if TYPE_CHECKING:
    from client.asynchronous import AsyncSluice

__all__ = [
    "AsyncSluice",
    "BadRequest",
    "Conflict",
    "DiskFull",
    "Event",
    "FileProblem",
    "Forbidden",
    "Gone",
    "Job",
    "JobOptions",
    "KeyReused",
    "NotAuthenticated",
    "NotFound",
    "NotReached",
    "Refused",
    "Retry",
    "ServerFailed",
    "Sluice",
    "SluiceError",
    "TooLarge",
    "TooManyRequests",
    "Unavailable",
    "Unreachable",
    "UnreadableAnswer",
    "UnwritableFile",
    "WaitTimeout",
    "WrongArgument",
]


def __getattr__(name: str) -> Any:
    """Imports asyncio only for those who use it: each command of the command line imports this package."""
    if name == "AsyncSluice":
        from client.asynchronous import AsyncSluice

        return AsyncSluice
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
