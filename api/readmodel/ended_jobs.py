"""Jobs that have ended, in little memory: there may be a hundred thousand of them, and most are never looked at. Pure.

What many jobs have alike (options, columns, names) is kept once, and the totals of their lanes as bytes.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import replace

from schemas.job import ENDED, Job, LaneTotals

T = TypeVar("T")

_MOST_SHARED: Final = 10_000
"""Values that are kept for others to share, at most of each kind."""
_NONE: Final[dict[int, Any]] = {}
_lanes = msgspec.msgpack.Decoder(dict[int, LaneTotals])


class Shared:
    """Values that are equal become one."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def one(self, value: T) -> T:
        """An equal value that was given before, or this one."""
        if value is None or value == () or value == {}:
            return value
        key = value if isinstance(value, str) else (type(value), msgspec.msgpack.encode(value))
        if len(self._known) >= _MOST_SHARED:
            self._known.clear()
        return self._known.setdefault(key, value)  # type: ignore[no-any-return]

    def slim(self, job: Job) -> Job:
        """The same job, with what others have as well shared, and without `lanes_done` where `applied` is its sum."""
        source = job.source
        return replace(
            job,
            lanes_done=_NONE if job.applied is not None else job.lanes_done,
            lanes_rested=job.lanes_rested or _NONE,
            lanes_counted=job.lanes_counted or _NONE,
            operation=self.one(job.operation),
            dataset=self.one(job.dataset),
            organisation=self.one(job.organisation),
            created_by=self.one(job.created_by),
            exclusive_key=self.one(job.exclusive_key),
            options=self.one(job.options),
            source=replace(source, columns=self.one(source.columns), format=self.one(source.format)),
            input=replace(job.input, blocks_per_partition=self.one(job.input.blocks_per_partition)),
        )


class Jobs(Mapping[str, Job]):
    """Job id -> job. `values` leaves out the lanes' totals of jobs that have ended, which `get` has."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._lanes: dict[str, bytes] = {}
        self._shared = Shared()
        self.open: dict[str, Job] = {}
        """Those that have not ended."""

    def __getitem__(self, job_id: str) -> Job:
        job = self._jobs[job_id]
        packed = self._lanes.get(job_id)
        return job if packed is None else replace(job, lanes_done=_lanes.decode(zlib.decompress(packed)))

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
        """The jobs; of those that have ended without `lanes_done`."""
        return self._jobs.values()

    def put(self, job: Job) -> None:
        """Take in a state."""
        job_id = sys.intern(job.id)
        self._lanes.pop(job_id, None)
        self.open.pop(job_id, None)
        if job.state not in ENDED:
            self._jobs[job_id] = self.open[job_id] = job
            return
        if job.lanes_done and job.applied is not None:
            self._lanes[job_id] = zlib.compress(msgspec.msgpack.encode(job.lanes_done), 1)
        self._jobs[job_id] = self._shared.slim(job)

    def remove(self, job_id: str) -> Job | None:
        """Take out a job."""
        self._lanes.pop(job_id, None)
        self.open.pop(job_id, None)
        return self._jobs.pop(job_id, None)
