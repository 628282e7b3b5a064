"""Writes lane records, then acknowledges what they cover, then reports what the control agent waits for."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from control.budget import overspent, watched
from control.creation.inspection import rows_within
from control.jobtable import JobTable
from control.predicates import quiescing, run_over, runnable
from processor.lanes.lane import Lane
from processor.lanes.owned_lanes import Lanes
from processor.stream.acknowledgement import Acknowledgeable
from processor.stream.lease import Lease
from processor.stream.publisher import RecordPublisher
from runtime.clock import Clock
from schemas.job import Job, LaneTotals, Phase
from schemas.messages.codec import encode
from schemas.messages.commands import LanesCounted, LanesDone, LanesRested
from schemas.messages.lanes import lane_key
from schemas.messages.progress import LaneProgress
from schemas.topics import TopicName

Record = tuple[TopicName, bytes, bytes | None, int | None]
FLUSH_SECONDS = 0.05
"""How long changes are gathered that a job's end or its limit of errors waits for, or a person who waits for its first
rows. What a pause or a probe waits for is written at once."""
STEADY_SECONDS = 0.25
"""How long changes are gathered that nothing waits for: each checkpoint costs this worker, Kafka and all followers."""
PROGRESS_SECONDS = 0.5


@dataclass(slots=True)
class _Reported:
    """Partitions that were reported of one job, in one epoch or run."""

    number: int = -1
    partitions: set[int] = field(default_factory=set)

    def within(self, number: int) -> set[int]:
        """The partitions of this epoch or run; none yet, if it has just begun."""
        if self.number != number:
            self.number, self.partitions = number, set()
        return self.partitions


class Checkpoints:
    """Writes a worker's lane records. `touch` and `acknowledge_later` note what has to be written; `run` writes it."""

    def __init__(
        self,
        jobs: JobTable,
        lanes: Lanes,
        publisher: RecordPublisher,
        clock: Clock,
        lease: Lease,
        worker: str = "",
    ) -> None:
        """`worker`: what progress calls this process."""
        self._jobs = jobs
        self._lanes = lanes
        self._publisher = publisher
        self._clock = clock
        self._lease = lease
        self._worker = worker
        self._due = asyncio.Event()
        self._soon = asyncio.Event()
        self._urgent = asyncio.Event()
        self._writing = asyncio.Lock()
        self._dirty: set[Lane] = set()
        self._unacknowledged: list[Acknowledgeable] = []
        self._tombstones: list[Record] = []
        self._rested: defaultdict[str, _Reported] = defaultdict(_Reported)
        self._done: defaultdict[str, _Reported] = defaultdict(_Reported)
        self._counted: defaultdict[str, dict[int, LaneTotals]] = defaultdict(dict)
        self._stopping: set[str] = set()
        """Jobs whose lanes have stopped, or are about to, as far as the control agent waits for the proof from here. A
        job that has failed stays so for any time: there may be thousands."""
        self._changed: set[str] = set()
        """Jobs of which there may be something to report besides that their lanes have stopped."""
        self._progress: set[Lane] = set()
        self._progress_at = -math.inf

    def touch(self, lane: Lane) -> None:
        """The lane has changed."""
        self._dirty.add(lane)
        self._progress.add(lane)
        self._changed.add(lane.job_id)
        job = self._jobs.get(lane.job_id)
        if lane.job_id in self._stopping or (job is not None and rows_within(job)):
            self._hurry()
        elif job is not None and (not lane.recorded.blocks or watched(job) or self._lanes.is_done(lane, job)):
            self._soon.set()
        self._due.set()

    def _hurry(self) -> None:
        self._urgent.set()
        self._soon.set()

    def show(self, lane: Lane) -> None:
        """What the lane shows has changed, and nothing that it counts: that is neither progress nor to be reported."""
        self._dirty.add(lane)
        self._due.set()

    def acknowledge_later(self, event: Acknowledgeable) -> None:
        """Acknowledge `event` once everything noted so far is written; events come in the order of their offsets."""
        self._unacknowledged.append(event)
        self._due.set()

    def report_soon(self) -> None:
        """Report at once: a state that the control agent waits for may have come about."""
        self._hurry()
        self._due.set()

    def job_changed(self, job: Job) -> None:
        """A job may have to be reported on; at once, if the control agent waits for it."""
        self._changed.add(job.id)
        if self._to_be_proved(job):
            self._stopping.add(job.id)
            self._hurry()
        else:
            self._stopping.discard(job.id)
            if self._lanes.done(job, self._done[job.id].within(job.run)):
                self._hurry()
        self._due.set()

    def drop(self, job_id: str, lanes: Iterable[Lane], lost: Iterable[tuple[int, Phase]] = ()) -> None:
        """The job has ended, or has left the table: delete the records of these lanes, and forget what was reported.
        `lost`: partitions and phases of its lanes whose records can't be read.

        Its id may come again.
        """
        self._rested.pop(job_id, None)
        self._done.pop(job_id, None)
        for lane in lanes:
            self._dirty.discard(lane)
            self._counted.pop(lane.job_id, None)
        for partition, phase in dict.fromkeys([*_places(lanes), *lost]):
            self._tombstones.append(("lanes", lane_key(job_id, partition, phase), None, partition))
        self._due.set()

    def forget(self) -> None:
        """The partitions are another worker's: this one writes, acknowledges and reports nothing more about them."""
        self._dirty.clear()
        self._progress.clear()
        self._unacknowledged.clear()
        self._tombstones.clear()
        self._rested.clear()
        self._done.clear()
        self._counted.clear()
        self._stopping.clear()
        self._changed.clear()

    async def run(self) -> None:
        """Write what is due, for ever. Raises KafkaError when Kafka does not take it: the process should end then."""
        while True:
            if await _set_within(PROGRESS_SECONDS if self._progress else None, self._due):
                urgent = await _set_within(FLUSH_SECONDS, self._urgent)
                if not urgent and not self._soon.is_set():
                    await _set_within(STEADY_SECONDS - FLUSH_SECONDS, self._soon)
            await self.flush()

    async def flush(self) -> None:
        """Write everything noted so far, acknowledge it, and report."""
        async with self._writing:
            self._lease.require()  # a checkpoint of a worker that has lost the partition would hide its owner's
            for event in (self._due, self._soon, self._urgent):
                event.clear()
            events, self._unacknowledged = self._unacknowledged, []
            records, self._tombstones = self._tombstones, []
            now = self._clock.now_ms()
            for lane in self._dirty:
                if self._lanes.writes_record(lane):
                    key = lane_key(lane.job_id, lane.partition, lane.phase)
                    records.append(("lanes", key, encode(lane.record(now)), lane.partition))
                    lane.recorded = lane.totals
            self._dirty.clear()
            progress = self._progress_records(now)
            await self._publisher.publish_all([*records, *progress])
            for acknowledged in events:
                acknowledged.ack()
            await self._report(counts_due=bool(progress))

    def _progress_records(self, now: int) -> list[Record]:
        since = self._clock.monotonic()
        if since - self._progress_at < PROGRESS_SECONDS:
            return []
        self._progress_at = since
        lanes, self._progress = self._progress, set()
        records: list[Record] = []
        for lane in lanes:
            job = self._jobs.get(lane.job_id)
            if job is not None and runnable(job) and lane.fresh:
                self._progress.add(lane)  # its blocks have just come, and will have their turn
            elif job is not None:
                progress = LaneProgress(
                    job_id=job.id,
                    operation=job.operation,
                    dataset=job.dataset,
                    organisation=job.organisation,
                    partition=lane.partition,
                    phase=lane.phase,
                    run=lane.run,
                    at=now,
                    totals=lane.totals,
                    added=lane.take_unreported(),
                    parked_blocks=len(lane.todo),
                    worker=self._worker,
                    rows_total=job.rows_total if lane.run == 0 else None,
                )
                records.append(("progress", job.id.encode(), encode(progress), None))
        return records

    async def _report(self, counts_due: bool) -> None:
        reports: list[Record] = []
        for job_id in list(self._stopping):
            job = self._jobs.get(job_id)
            if job is None or not self._to_be_proved(job):
                self._stopping.discard(job_id)
                self._rested.pop(job_id, None)
                continue
            seen = self._rested[job.id].within(job.epoch)
            # A lane that has changed since its record was written waits for the next one: the proof must not be ahead
            # of the record.
            behind = {lane.partition for lane in self._dirty if lane.job_id == job_id}
            rested = self._lanes.rested(job, seen | behind)
            if rested:
                seen.update(rested)
                report = LanesRested(job_id=job.id, phase=job.phase, run=job.run, epoch=job.epoch, lanes=rested)
                reports.append(("reports", job.id.encode(), encode(report), None))
        changed, self._changed = self._changed, set()
        for job_id in changed:
            job = self._jobs.get(job_id)
            if job is None or job_id not in self._lanes.by_job:
                continue
            counts, held_back = self._news_of_counts(job, counts_due)
            if held_back and not run_over(job):
                self._changed.add(job_id)
            if counts:
                self._counted[job.id].update(counts)
                reports.append(("reports", job.id.encode(), encode(LanesCounted(job_id=job.id, lanes=counts)), None))
            seen = self._done[job.id].within(job.run)
            done = self._lanes.done(job, seen)
            if done:
                seen.update(done)
                finished = LanesDone(job_id=job.id, phase=job.phase, run=job.run, lanes=done)
                reports.append(("reports", job.id.encode(), encode(finished), None))
        await self._publisher.publish_all(reports)

    def _to_be_proved(self, job: Job) -> bool:
        return quiescing(job) and not self._lanes.proved(job)

    def _news_of_counts(self, job: Job, due: bool) -> tuple[dict[int, LaneTotals], bool]:
        """Counts to report of a job with `max_errors`: at once in a probe or beyond the limit, else when it is
        time; and whether there are some whose time is still to come."""
        sent = self._counted.get(job.id, {})
        news = {lane: totals for lane, totals in self._lanes.counts(job).items() if totals != sent.get(lane)}
        if not news or due or rows_within(job):
            return news, False
        known = {**job.lanes_counted, **sent, **news}
        over = overspent(job, sum(known.values(), LaneTotals())) is not None
        return (news, False) if over else ({}, True)


def _places(lanes: Iterable[Lane]) -> Iterator[tuple[int, Phase]]:
    """Partition and phase of every record that the lanes may have left: a later run has taken the place of another one,
    whose record, if it was of the other phase, is still there."""
    for lane in lanes:
        yield lane.partition, lane.phase
        if lane.run > 0:
            yield lane.partition, "apply" if lane.phase == "undo" else "undo"


async def _set_within(seconds: float | None, event: asyncio.Event) -> bool:
    """Wait until the event is set, at most so many seconds; whether it is."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
