"""The view of every job, folded from the topics ``jobs``, ``lanes`` and ``job-events``. Pure."""

from __future__ import annotations

from array import array
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from control.predicates import is_newer
from schemas.job import Job, LaneTotals, Phase
from schemas.messages.events import CommandRejected
from schemas.messages.lanes import LaneRecord

RATE_WINDOW_MS = 3000
ANSWERS_KEPT = 1000


class LaneState(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a lane record that the API needs; it leaves out the intervals, which are large in a long job."""

    partition: int
    phase: Phase
    run: int
    totals: LaneTotals
    parked_blocks: int
    last_offset: int
    at: int
    error: str | None


class JobSeen(msgspec.Struct, frozen=True):
    """A record of ``jobs``; no job: a tombstone."""

    job_id: str
    job: Job | None


class LaneSeen(msgspec.Struct, frozen=True):
    """A record of ``lanes``; no lane: a tombstone."""

    job_id: str
    partition: int
    phase: Phase
    lane: LaneState | None


class EventSeen(msgspec.Struct, frozen=True):
    """A record of ``job-events``: its offset, and the rejection if a request may be waiting for it."""

    job_id: str
    offset: int
    rejection: CommandRejected | None = None


Seen = JobSeen | LaneSeen | EventSeen


def lane_state(record: LaneRecord) -> LaneState:
    """The part of a lane record that the view keeps."""
    return LaneState(
        partition=record.partition,
        phase=record.phase,
        run=record.run,
        totals=record.totals,
        parked_blocks=sum(blocks for _, _, blocks in record.todo),
        last_offset=record.last_offset,
        at=record.at,
        error=record.error,
    )


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


class JobIndex:
    """Every job, its lanes, and the offsets of its history. Folding the same records twice changes nothing."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self._lanes: dict[str, dict[tuple[Phase, int], LaneState]] = {}
        self._rates: dict[str, _Rate] = {}
        self._events: dict[str, array[int]] = {}
        self._answers: OrderedDict[tuple[str, int], Job | CommandRejected] = OrderedDict()

    def fold(self, seen: Seen) -> None:
        """Apply one record."""
        match seen:
            case JobSeen(job_id, None):
                for table in (self.jobs, self._lanes, self._rates, self._events):
                    table.pop(job_id, None)
            case JobSeen(job_id, job):
                assert job is not None
                if is_newer(job, self.jobs.get(job_id)):
                    self.jobs[job_id] = job
                    self._remember(job_id, job.command_offset, job)
            case LaneSeen(job_id, partition, phase, lane):
                self._fold_lane(job_id, (phase, partition), lane)
            case EventSeen(job_id, offset, rejection):
                offsets = self._events.setdefault(job_id, array("q"))
                if not offsets or offset > offsets[-1]:
                    offsets.append(offset)
                if rejection is not None:
                    self._remember(job_id, rejection.command_offset, rejection)

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
        return list(self._events.get(job_id, ()))


def dealt_with(totals: LaneTotals) -> int:
    """Rows that a lane has dealt with, in either phase."""
    return totals.rows_applied + totals.rows_failed + totals.rows_undone + totals.rows_kept + totals.rows_not_restored
