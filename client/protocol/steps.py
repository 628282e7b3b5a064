"""Steps: what a request consists of, as a generator that asks for each thing to be done and is told what came of it.

The generators are written once; `client/sync.py` and `client/asynchronous.py` do what they ask for, each in its way.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

from client.protocol.retrying import Retry

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One request, and the type of its answer."""

    method: str
    path: str
    answer: Any = None
    """A msgspec struct; None: the answer has no body that counts."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """The client leaves out parameters that are None."""
    json: Any = None
    """The body; None: there is none."""
    content: bytes | None = None
    """The body of a request that is no JSON."""
    form: Callable[[], Sequence[tuple[str, Any]]] | None = None
    """Makes the parts of a multipart body, for each try anew."""
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float | None = None
    """Without a byte; None: the client's own."""
    repeatable: bool = True
    """Made twice it does what it does once. Any other is made again only where the server has not taken it in."""
    records: bool = True
    """The API records a command or a setting because of it, unless its method is GET. Not so of a question, a trial, or
    a part of a file, which can be sent again.
    """
    read_once: bool = False
    """The body can be read only once, so that a second try would send what is left of it. The call is made again only
    where there was no connection to send it on."""


@dataclass(slots=True)
class Reply:
    """An answer: read as a whole, or open, in which case `content` is empty and `stream` is the shell's."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    stream: Any = None

    @property
    def success(self) -> bool:
        """Whether it is no refusal."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Coded(Generic[T]):
    """A value as it came: the shell decides what to make of it."""

    content: bytes
    kind: Any
    """The type of the decoded value; bytes: the content as it is; None: there is no value."""
    wrapped: Callable[[Any], T] | None = None
    """Makes the value of the decoded content; None: it is that."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Asks for the shell's `Retry`."""


@dataclass(frozen=True, slots=True)
class Send:
    """Asks for a `Reply` that is read."""

    call: Call[Any]


@dataclass(frozen=True, slots=True)
class Open:
    """Asks for a `Reply` that is open, or is a refusal and read."""

    call: Call[Any]


@dataclass(frozen=True, slots=True)
class Next:
    """Asks for the next bytes of an open reply; None: that was all."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Close:
    """Asks for an open reply to be closed."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Pause:
    """Asks the shell to wait for `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Now:
    """Asks for the monotonic clock, in seconds."""


@dataclass(frozen=True, slots=True)
class Emit:
    """Hands out one of several values."""

    value: Coded[Any]


Effect: TypeAlias = Policy | Send | Open | Next | Close | Pause | Now | Emit
Part: TypeAlias = Generator[Effect, Any, T]
"""Steps that end with something for other steps."""
Steps: TypeAlias = Generator[Effect, Any, Coded[T]]
"""Steps that end with a value for the caller. What is done for them is raised in them: see `client.errors`."""


@dataclass(frozen=True, slots=True)
class Flow(Generic[T]):
    """Steps that hand out any number of values."""

    steps: Generator[Effect, Any, None]


__all__ = [
    "Call", "Close", "Coded", "Effect", "Emit", "Flow", "Next", "Now", "Open", "Part", "Pause", "Policy", "Reply",
    "Retry", "Send", "Steps",
]  # fmt: skip
