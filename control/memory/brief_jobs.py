"""Jobs that have ended, in little memory: there may be a hundred thousand of them, and most are never looked at. Pure.

What many jobs have alike (options, columns, names) is kept once, and what only a look at the job itself needs as bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, MutableMapping
from typing import Any, Final, NamedTuple, TypeVar

import cramjam
import msgspec
from msgspec.structs import replace

from schemas.job import BUSY_OR_QUEUED, ENDED, FileIdentity, Input, Job, LaneTotals, State

T = TypeVar("T")

_MOST_SHARED: Final = 10_000
"""Values that are kept for others to share, at most of each kind."""
_NONE: Final[dict[int, Any]] = {}
_NO_INPUT: Final = Input()
_COLD: Final = frozenset({State.COMPLETED, State.COMPLETED_WITH_ERRORS, State.ROLLED_BACK})
"""Jobs in these states are kept in brief. Terminated jobs are not: the rules need to know how far they have read."""


class _Cold(msgspec.Struct, array_like=True):
    """What `Jobs.values` leaves out."""

    lanes_done: dict[int, LaneTotals]
    input: Input
    request: str | None
    digest: bytes
    """Instead of `request`, if that is hexadecimal: half as many bytes."""
    identity: FileIdentity | None
    """The identity of the job's source file."""
    origin: bytes
    """The digest of its place, if it has one."""


_encoder = msgspec.msgpack.Encoder()
_cold = msgspec.msgpack.Decoder(_Cold)


class Brief(NamedTuple):
    """A job that has ended."""

    job: Job
    """Without `lanes_done`, `input`, `request`, and the identity and origin of its source."""
    cold: bytes
    """The fields that `job` is without, a compact `_Cold`."""


class Shared:
    """Values that are equal become one. For one thread."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def brief(self, job: Job) -> Brief | None:
        """The job in brief, with what others have as well shared; None: all of it has to be at hand."""
        if job.state not in _COLD or job.applied is None:
            return None
        source = job.source
        other_origin, origin = _digest(source.origin)
        slim = replace(
            job,
            id=sys.intern(job.id),
            lanes_done=_NONE,
            request=None,
            lanes_rested=job.lanes_rested or _NONE,
            lanes_counted=job.lanes_counted or _NONE,
            expired=job.expired or _NONE,
            operation=sys.intern(job.operation),
            dataset=sys.intern(job.dataset),
            organisation=sys.intern(job.organisation),
            created_by=sys.intern(job.created_by),
            exclusive_key=job.exclusive_key and sys.intern(job.exclusive_key),
            options=self._one(job.options),
            source=replace(
                source,
                columns=self._one(source.columns),
                format=self._one(source.format),
                identity=None,
                origin=source.origin if other_origin else None,
            ),
            limits=self._one(job.limits),
            input=_NO_INPUT,
            started_at=job.created_at if job.started_at == job.created_at else job.started_at,
            state_since=job.ended_at if job.state_since == job.ended_at else job.state_since,
        )
        cold = _encoder.encode(_Cold(job.lanes_done, job.input, *_digest(job.request), source.identity, origin))
        return Brief(slim, bytes(cramjam.lz4.compress_block(cold)))

    def _one(self, value: T) -> T:
        """An equal value that was given before, or this one."""
        if not value:
            return value
        key = type(value), _encoder.encode(value)
        if len(self._known) >= _MOST_SHARED:
            self._known.clear()
        return self._known.setdefault(key, value)  # type: ignore[no-any-return]


def _digest(text: str | None) -> tuple[str | None, bytes]:
    """The text, or the bytes that it is hexadecimal for, which give back the same text."""
    try:
        found = bytes.fromhex(text or "")
    except ValueError:
        return text, b""
    return (None, found) if found and found.hex() == text else (text, b"")


class Jobs(MutableMapping[str, Job]):
    """Job id -> job. Of ended jobs `values` and `brief` leave out what is in `Brief.cold`, which `get` has.

    A job that was terminated has all of them.
    """

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._packed: dict[str, bytes] = {}
        self._shared = Shared()
        self.open: dict[str, Job] = {}
        """The jobs that have not ended."""
        self.busy_or_queued: dict[str, Job] = {}

    def __getitem__(self, job_id: str) -> Job:
        job = self._jobs[job_id]
        packed = self._packed.get(job_id)
        if packed is None:
            return job
        cold = _cold.decode(bytes(cramjam.lz4.decompress_block(packed)))
        request = cold.digest.hex() if cold.digest else cold.request
        source = job.source if cold.identity is None else replace(job.source, identity=cold.identity)
        source = replace(source, origin=cold.origin.hex()) if cold.origin else source
        return replace(job, lanes_done=cold.lanes_done, input=cold.input, request=request, source=source)

    def __setitem__(self, job_id: str, job: Job) -> None:
        """Take in a state."""
        brief = self._shared.brief(job)
        if brief is not None:
            self._put_brief(sys.intern(job_id), *brief)
            return
        job_id = sys.intern(job_id)
        self._packed.pop(job_id, None)
        self.open.pop(job_id, None)
        self.busy_or_queued.pop(job_id, None)
        if job.state not in ENDED:
            self.open[job_id] = job
        if job.state in BUSY_OR_QUEUED:
            self.busy_or_queued[job_id] = job
        self._jobs[job_id] = job

    def __delitem__(self, job_id: str) -> None:
        if self.remove(job_id) is None:
            raise KeyError(job_id)

    def __iter__(self) -> Iterator[str]:
        return iter(self._jobs)

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._jobs

    def brief(self, job_id: str) -> Job | None:
        """As `values` has it; None: there is no such job."""
        return self._jobs.get(job_id)

    def values(self) -> Any:
        """The jobs, those that have ended in brief."""
        return self._jobs.values()

    def put(self, job: Job) -> None:
        """Take in a state."""
        self[job.id] = job

    def put_brief(self, job: Job, cold: bytes) -> None:
        """Take in the state of a job that has ended, as `Shared.brief` has made it."""
        self._put_brief(job.id, job, cold)

    def _put_brief(self, job_id: str, job: Job, cold: bytes) -> None:
        self.open.pop(job_id, None)
        self.busy_or_queued.pop(job_id, None)
        self._packed[job_id] = cold
        self._jobs[job_id] = job

    def remove(self, job_id: str) -> Job | None:
        """Take out a job; answers it in brief."""
        self._packed.pop(job_id, None)
        self.open.pop(job_id, None)
        self.busy_or_queued.pop(job_id, None)
        return self._jobs.pop(job_id, None)
