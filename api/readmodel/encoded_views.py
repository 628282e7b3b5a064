"""Views of jobs as JSON. Those of jobs that have ended are kept: of most pages of a list nothing has changed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from api.readmodel.job_index import JobIndex
from api.readmodel.seen import LaneState
from schemas.job import ENDED, Job

MOST_BYTES: Final = 8 * 1024 * 1024
"""Bytes of the views that are kept: some 4,000 views, and a page has at most 1,000."""


class _Kept(NamedTuple):
    job: Job
    """The object that `Jobs.brief` gave: a newer state is another object."""
    lanes: list[LaneState]
    view: msgspec.Raw


class EncodedViews:
    """Keeps the JSON of jobs' views. For use in one event loop."""

    def __init__(self, view: JobIndex, most_bytes: int = MOST_BYTES) -> None:
        self._view = view
        self._most = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def of(self, job: Job, encoded: Callable[[Job], bytes]) -> msgspec.Raw:
        """The view of a job, which may be given in brief; `encoded` makes it of the whole job and its lanes."""
        brief = self._view.jobs.brief(job.id)
        if brief is None or brief.state not in ENDED:  # its rate changes while nothing else does
            self._drop(job.id)
            return msgspec.Raw(encoded(brief or job))
        kept, lanes = self._kept.get(job.id), list(self._view.lanes(job.id))
        if kept is None or kept.job is not brief or kept.lanes != lanes:
            self._drop(job.id)
            kept = self._kept[job.id] = _Kept(brief, lanes, msgspec.Raw(encoded(self._view.jobs[job.id])))
            self._bytes += len(memoryview(kept.view))
        self._kept.move_to_end(job.id)
        while self._bytes > self._most:
            self._drop(next(iter(self._kept)))
        return kept.view

    def _drop(self, job_id: str) -> None:
        kept = self._kept.pop(job_id, None)
        if kept is not None:
            self._bytes -= len(memoryview(kept.view))
