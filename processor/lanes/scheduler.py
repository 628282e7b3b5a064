"""Which blocks go into the next bulk request: organisations take turns by rows, jobs of one as well, lanes of a job by
blocks. No I/O, no clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

from control.creation.inspection import rows_within
from control.fair_turns import SharedTurns
from control.jobtable import JobTable
from processor.lanes.fairness import TokenBucket
from processor.lanes.lane import Lane, Loaded
from processor.lanes.owned_lanes import Lanes
from runtime.files.sealing import KeyAwayError, SealError, opened
from runtime.settings import Settings
from schemas.bounds import possible_rate
from schemas.job import Job
from schemas.messages.blocks import OpenBlock
from schemas.messages.codec import UndecodableError
from schemas.policies.quotas import QuotaBook

Batch = list[tuple[Lane, Loaded, OpenBlock]]


class Scheduler:
    """Chooses the blocks of a worker's next batch. Times are seconds of any steady clock."""

    def __init__(
        self,
        settings: Settings,
        quotas: QuotaBook,
        jobs: JobTable,
        lanes: Lanes,
        on_taken: Callable[[int], None],
        on_broken: Callable[[Lane, str], None],
        key_of: Callable[[str], bytes] = lambda _: b"",
        wants_first: Callable[[str], bool] = lambda _: True,
        held: Callable[[], Callable[[Job], bool] | None] = lambda: None,
        may_open: Callable[[Job], bool] = lambda _: True,
    ) -> None:
        """`on_taken(partition)`: a lane there has room. `on_broken(lane, reason)`: a block of it can't be read;
        the job is given up. `key_of(job id)`: what opens its blocks. `wants_first(job id)`: whether the first block of
        a job whose first rows are to be looked at is wanted for that now. `held()`: tells which jobs can't go on for
        now, as a server puts their requests off; None: all can. `may_open(job)`: whether its blocks can be opened now;
        one that can't has no turn.
        """
        self._may_open = may_open
        self._held = held
        self._wants_first = wants_first
        self._key_of = key_of
        self._settings = settings
        self._jobs = jobs
        self._lanes = lanes
        self._on_taken = on_taken
        self._on_broken = on_broken
        self._quotas = quotas
        self._turns = SharedTurns()
        self._buckets: dict[str, TokenBucket] = {}
        self._last_block: dict[str, tuple[int, int]] = {}
        """Job id -> rows and bytes of the block of it that was taken last."""

    def next(self, now: float) -> tuple[Job | None, float | None]:
        """The job whose turn it is, None if none has work; and how long until one held back by its rate may go on."""
        waiting: dict[str, str] = {}
        pause: float | None = None
        is_held = self._held()
        for job, lanes in self._lanes.at_work(self._jobs.runnable_of(self._lanes.memory.ready)):
            if is_held is not None and is_held(job):
                continue
            within = rows_within(job)
            if not any(_has_work(lane, job, within) for lane in lanes.values()) or self._gathers(job, lanes.values()):
                continue
            if not self._may_open(job):
                continue
            wait = self._wait_seconds(job, now)
            if wait <= 0:
                waiting[job.id] = job.organisation
            else:
                pause = min(wait, pause or wait)
        return self._jobs.get(self._turns.next(waiting) or ""), pause

    def order(self, now: float) -> tuple[list[str], int]:
        """The jobs that have blocks to do, in memory or not, in about the order of their turns; and how many of them,
        from the first one on, may have a turn. The others wait for their rate, those that are soonest due first, or for
        what is not theirs to do: the look at their first rows, the verdict on these, or a server's answer.
        """
        able: dict[str, str] = {}
        held: list[tuple[float, str]] = []
        is_held = self._held()
        for job, lanes in self._lanes.at_work(self._jobs.runnable()):
            own = [lane for lane in lanes.values() if lane.run == job.run and lane.waiting]
            if not own:
                continue
            within = rows_within(job)
            goes_on = self._wants_first(job.id) if within == 0 else any(lane.may_have_next(within) for lane in own)
            wait = self._wait_seconds(job, now) if goes_on and not (is_held and is_held(job)) else math.inf
            if wait <= 0:
                able[job.id] = job.organisation
            else:
                held.append((wait, job.id))
        return [*self._turns.order(able), *(job_id for _, job_id in sorted(held))], len(able)

    def _gathers(self, job: Job, lanes: Collection[Lane]) -> bool:
        """Whether the job's blocks wait for others to share a request with, as long as one of its requests is under
        way: where rows come more slowly than they are written, many small requests would cost more."""
        if not any(lane.flying for lane in lanes):
            return False
        ready = sum(len(lane.ready) for lane in lanes)
        block_rows, block_bytes = self._last_block.get(job.id, (1, 1))
        if ready * block_rows >= self._most_rows(job) or ready * block_bytes >= self._settings.bulk_bytes:
            return False
        return not job.current_input.ended or any(lane.parked for lane in lanes)

    def _wait_seconds(self, job: Job, now: float) -> float:
        """How long its rate holds the job back; 0: it does not."""
        bucket = self._buckets.get(job.id)
        return bucket.wait_seconds(now) if bucket else 0.0

    def take(self, job: Job, now: float) -> Batch:
        """Blocks of one job for one request, in the order of their offsets within each lane, lanes taking turns.

        What it raises belongs to this job; its lanes have their blocks then.
        """
        taken: Batch = []
        try:
            self._take(job, now, taken)
        except BaseException:
            put_back(taken)
            raise
        return taken

    def _take(self, job: Job, now: float, taken: Batch) -> None:
        rows = size = 0
        within = rows_within(job)
        lanes = [lane for lane in self._lanes.of(job.id) if _has_work(lane, job, within)]
        bucket = self._buckets.get(job.id)
        most = self._most_rows(job)
        while lanes and rows < most and size < self._settings.bulk_bytes:
            for lane in list(lanes):
                if rows >= most or size >= self._settings.bulk_bytes:
                    break
                loaded = lane.take(within)
                if loaded is None:
                    lanes.remove(lane)
                    continue
                try:
                    block, block_bytes = opened(loaded.value, self._key_of)
                except KeyAwayError:  # it left memory just now, and is asked for again
                    lane.put_back([loaded])
                    lanes.clear()
                    break
                except (UndecodableError, SealError) as error:
                    lane.put_back([loaded])
                    lanes.remove(lane)
                    self._lanes.give_up(job)
                    self._on_broken(lane, f"block {loaded.block} at offset {loaded.offset} can't be read: {error}")
                    continue
                taken.append((lane, loaded, block))
                self._last_block[job.id] = _rows(block), block_bytes
                rows += _rows(block)
                size += block_bytes
                self._on_taken(lane.partition)
        self._turns.charge(job.id, job.organisation, max(rows, 1), self._quotas.of(job.organisation).weight)
        if bucket:
            bucket.take(rows, now)

    def _most_rows(self, job: Job) -> int:
        """Rows of one request. Where documents are read first, or taken out, Elasticsearch has more to do for each."""
        most = self._settings.bulk_rows
        most = most if job.phase == "apply" and job.mode is None else max(1, most // 2)
        bucket = self._buckets.get(job.id)
        return min(most, int(bucket.rate) + 1) if bucket else most

    def set_rate(self, job: Job) -> None:
        """Take in the job's rate: this worker's share of it is that of its partitions."""
        rate = job.options.rows_per_second
        if rate is None or job.phase == "undo":  # a rollback has no rate: it is to end soon
            self._buckets.pop(job.id, None)
            return
        owned = sum(number < job.partitions for number in self._lanes.owned)  # the topic may have grown since
        share = possible_rate(rate) * max(1, owned) / job.partitions
        bucket = self._buckets.setdefault(job.id, TokenBucket(share))
        bucket.rate = share

    def forget(self, job_id: str) -> None:
        """The job is over."""
        self._turns.forget(job_id)
        self._buckets.pop(job_id, None)
        self._last_block.pop(job_id, None)


def put_back(taken: Batch) -> None:
    """Blocks that were not applied: each lane has them again, in their order."""
    for lane in {lane for lane, _, _ in taken}:
        lane.put_back(loaded for other, loaded, _ in taken if other is lane)


def _has_work(lane: Lane, job: Job, within: int | None) -> bool:
    """Whether the lane has blocks to take."""
    return lane.run == job.run and lane.has_next(within)


def _rows(block: OpenBlock) -> int:
    rows = getattr(block, "rows", None)
    return len(rows) if rows is not None else block.last_row - block.first_row + 1
