"""The view of every job, folded from the topics ``jobs``, ``lanes`` and ``job-events``. Pure."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from api.readmodel.seen import EventSeen, JobSeen, LaneSeen, LaneState, OldEventSeen, Seen
from api.readmodel.totals import applied_totals
from control.creation.exclusive import KeyHolders
from control.creation.quotas import Usages
from control.machine.totals import dealt_with
from control.memory.brief_jobs import Jobs
from control.predicates import is_newer
from schemas.job import ENDED, Job, Phase, State
from schemas.messages.events import CommandRejected

RATE_WINDOW_MS = 3000
ANSWERS_KEPT = 1000
EARLY_KEPT = 10_000
"""Jobs without a state whose history is kept: a job's first records may come before its state. Most are refused
creations, and histories of jobs that have left the control table."""
_OFFSET = 6
"""Bytes of an offset that is packed."""


@dataclass(slots=True)
class EndedTotals:
    """What jobs that have ended add up to: they are too many to be counted again and again."""

    states: Counter[State] = field(default_factory=Counter)
    applied: int = 0
    failed: int = 0

    def join(self, job: Job) -> None:
        """Count a job, if it has ended."""
        self._count(job, 1)

    def leave(self, job: Job | None) -> None:
        """Count it no more."""
        if job is not None:
            self._count(job, -1)

    def _count(self, job: Job, sign: int) -> None:
        if job.state in ENDED:
            self.states[job.state] += sign
            rows = applied_totals(job, ())
            self.applied += sign * rows.rows_applied
            self.failed += sign * rows.rows_failed


@dataclass(slots=True)
class _Rate:
    """Samples (milliseconds, rows dealt with) of the last seconds, in one run of a job."""

    run: int
    samples: deque[tuple[int, int]] = field(default_factory=deque)

    def add(self, at: int, rows: int) -> None:
        if self.samples and at <= self.samples[-1][0]:
            at, _ = self.samples.pop()
        self.samples.append((at, rows))
        while len(self.samples) > 2 and self.samples[1][0] <= at - RATE_WINDOW_MS:
            self.samples.popleft()

    def per_second(self, now: int) -> float | None:
        if len(self.samples) < 2:
            return None
        (first, before), (last, after) = self.samples[0], self.samples[-1]
        # When no report comes any more the rate falls: the time since the last one counts as well.
        end = now if now - last > RATE_WINDOW_MS else last
        return round(max(0, after - before) * 1000 / max(1, end - first), 1)


def with_offset(packed: bytes, offset: int) -> bytes:
    """Offsets of six bytes each, in rising order, and this one among them; each is there once."""
    entry = offset.to_bytes(_OFFSET, "big")
    if packed[-_OFFSET:] < entry:
        return packed + entry
    # Older records, which lie before those that are read at the start, come after these.
    places = range(0, len(packed), _OFFSET)
    at = places[bisect_left(places, entry, key=lambda place: packed[place : place + _OFFSET])]
    return packed if packed[at : at + _OFFSET] == entry else packed[:at] + entry + packed[at:]


class JobIndex:
    """Every job, its lanes, and the offsets of its history. Folding the same records twice changes nothing."""

    def __init__(self) -> None:
        self.jobs = Jobs()
        self.ended = EndedTotals()
        self.usages = Usages()
        """What organisations use of their limits."""
        self.holders = KeyHolders()
        self._lanes: dict[str, dict[tuple[Phase, int], LaneState]] = {}
        self._rates: dict[str, _Rate] = {}
        self._events: dict[str, array[int]] = {}
        self._early: OrderedDict[str, array[int]] = OrderedDict()  # the same of jobs without a state
        self._older: dict[str, bytes] = {}
        self._answers: OrderedDict[tuple[str, int], Job | CommandRejected] = OrderedDict()

    def fold(self, seen: Seen) -> None:
        """Apply one record."""
        match seen:
            case JobSeen(job_id, None):
                removed = self.jobs.remove(job_id)
                self.ended.leave(removed)
                self.usages.leave(removed)
                self.holders.remove(removed)
                for table in (self._lanes, self._rates, self._events, self._early, self._older):
                    table.pop(job_id, None)
            case JobSeen(job_id, job, cold):
                assert job is not None
                before = self.jobs.brief(job_id)
                if before is None and (early := self._early.pop(job_id, None)) is not None:
                    self._events[job_id] = early
                if is_newer(job, before):
                    self.ended.leave(before)
                    self.usages.leave(before)
                    if cold is None:
                        self.jobs.put(job)
                        self._remember(job_id, job.command_offset, job)
                    else:
                        self.jobs.put_brief(job, cold)
                    self.ended.join(job)
                    self.usages.join(job)
                    self.holders.put(job)
            case LaneSeen(job_id, partition, phase, lane):
                self._fold_lane(job_id, (phase, partition), lane)
            case OldEventSeen(job_id, offset):
                if job_id in self.jobs:
                    self._older[sys.intern(job_id)] = with_offset(self._older.get(job_id, b""), offset)
            case EventSeen(job_id, offset, None) if self._is_over(job_id):
                self.fold(OldEventSeen(job_id, offset))
            case EventSeen(job_id, offset, rejection):
                offsets = self._noted(job_id)
                if not offsets or offset > offsets[-1]:
                    offsets.append(offset)
                if rejection is not None:
                    self._remember(job_id, rejection.command_offset, rejection)

    def _noted(self, job_id: str) -> array[int]:
        """The offsets that were noted of a job since the start, to be added to."""
        if job_id in self.jobs:
            return self._events.setdefault(job_id, array("q"))
        offsets = self._early.setdefault(job_id, array("q"))
        self._early.move_to_end(job_id)
        if len(self._early) > EARLY_KEPT:
            self._early.popitem(last=False)
        return offsets

    def _is_over(self, job_id: str) -> bool:
        """Whether the job had ended when its history was read: that is kept packed, as of most jobs."""
        job = self.jobs.brief(job_id)
        return job is not None and job.state in ENDED and job_id not in self._events

    def _fold_lane(self, job_id: str, key: tuple[Phase, int], lane: LaneState | None) -> None:
        lanes = self._lanes.setdefault(job_id, {})
        if lane is None:
            lanes.pop(key, None)
            if not lanes:
                del self._lanes[job_id]
                self._rates.pop(job_id, None)
            return
        lanes[key] = lane
        rate = self._rates.get(job_id)
        if rate is None or rate.run < lane.run:
            rate = self._rates[job_id] = _Rate(lane.run)
        if rate.run == lane.run:
            rate.add(lane.at, sum(dealt_with(other.totals) for other in lanes.values() if other.run == lane.run))

    def _remember(self, job_id: str, offset: int, answer: Job | CommandRejected) -> None:
        earlier = self._answers.get((job_id, offset))
        if isinstance(earlier, CommandRejected):
            return
        self._answers[job_id, offset] = answer
        if len(self._answers) > ANSWERS_KEPT:
            self._answers.popitem(last=False)

    def answer(self, job_id: str, offset: int) -> Job | CommandRejected | None:
        """The outcome of the command at this offset; None: there is none yet, or it is no longer kept."""
        return self._answers.get((job_id, offset))

    def lanes(self, job_id: str) -> Iterator[LaneState]:
        """The lane records of a job, of both phases."""
        return iter(self._lanes.get(job_id, {}).values())

    def rows_per_second(self, job_id: str, now: int) -> float | None:
        """Rows a second over the last few seconds; None: there is nothing to measure. `now` in milliseconds."""
        rate = self._rates.get(job_id)
        return rate.per_second(now) if rate else None

    def event_offsets(self, job_id: str) -> list[int]:
        """Offsets of a job's records in ``job-events``, oldest first."""
        newer = self._events.get(job_id)
        packed = self._older.get(job_id, b"")
        older = (int.from_bytes(packed[at : at + _OFFSET], "big") for at in range(0, len(packed), _OFFSET))
        return [*(offset for offset in older if not newer or offset < newer[0]), *(newer or ())]
