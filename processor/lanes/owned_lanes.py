"""All lanes of one worker: those of the partitions it owns. Which may run, which must stop, what is to be reported."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from control.budget import watched
from control.predicates import runnable
from processor.lanes.lane import Lane, Memory
from schemas.job import Job, LaneTotals, Phase, RestedLane, State
from schemas.messages.blocks import BlockHead

S = State
JOB_STEP_PARTITION = 0
"""The partition whose owner does what is done once for a job: its file, the count at the end of its rollback."""


@dataclass(slots=True)
class Lanes:
    """Lanes by job and partition. Only the newest run of a job has lanes."""

    by_job: dict[str, dict[int, Lane]] = field(default_factory=dict)
    owned: frozenset[int] = frozenset()
    open: bool = False
    """Whether blocks may be applied: the partitions are this worker's, and the control table is read to its end."""
    unquiesced: set[int] = field(default_factory=set)
    """Partitions on which a request of an earlier owner, or one without an answer, may still be in flight."""
    failed_in: dict[str, int] = field(default_factory=dict)
    """Job -> its epoch in which this worker has reported that it can't go on: until the next one it gets no turn."""
    lost: dict[tuple[str, int, Phase], str] = field(default_factory=dict)
    """Job, partition and phase of a lane whose record could not be read -> why the job can't go on."""
    lost_in: dict[tuple[str, int, Phase], int] = field(default_factory=dict)
    """The run of the job in which this worker has found that."""
    in_job_step: list[str] = field(default_factory=list)
    """Jobs whose file is being made or taken out, by the owner of partition 0."""
    memory: Memory = field(default_factory=Memory)
    """What the lanes have in memory."""
    purging: list[Job] = field(default_factory=list)
    """Jobs of which the owner of partition 0 removes everything that holds values. Their lanes are gone."""

    def __iter__(self) -> Iterator[Lane]:
        for lanes in self.by_job.values():
            yield from lanes.values()

    @property
    def does_job_steps(self) -> bool:
        """Whether this worker does what is done once for a job, and once for all."""
        return self.open and JOB_STEP_PARTITION in self.owned

    def get(self, job_id: str, partition: int) -> Lane | None:
        """The job's lane on a partition, if it has met a block there."""
        lanes = self.by_job.get(job_id)
        return None if lanes is None else lanes.get(partition)

    def is_current(self, lane: Lane) -> bool:
        """Whether this worker owns the lane's partition, and the lane is the one that counts."""
        return lane.partition in self.owned and self.get(lane.job_id, lane.partition) is lane

    def writes_record(self, lane: Lane) -> bool:
        """Whether this worker writes the lane's record. One that can't be read stays: replaced by the record of a lane
        that began anew, it would hide from the next owner that it is lost."""
        return self.is_current(lane) and (lane.job_id, lane.partition, lane.phase) not in self.lost

    def loss(self, job: Job) -> str | None:
        """Why the job can't go on in the run that it is in: the record of a lane is lost; None: none is.

        To be asked with each state of the job: a later run begins its lanes anew, and what is lost of the earlier one
        is void.
        """
        own = [lane for lane in self.lost if (lane[0], lane[2]) == (job.id, job.phase)]
        for lane in own:
            if self.lost_in.setdefault(lane, job.run) < job.run:
                del self.lost[lane]
        return next((self.lost[lane] for lane in own if lane in self.lost), None)

    def of(self, job_id: str) -> Iterable[Lane]:
        """The job's lanes."""
        return self.by_job.get(job_id, {}).values()

    def obtain(self, head: BlockHead, partition: int, partitions: int) -> Lane | None:
        """The lane for a block just met; None: the block is of an older run than the lane's."""
        lane = self.get(head.job_id, partition)
        if lane is not None and lane.run > head.run:
            return None
        if lane is None or lane.run < head.run:
            lane = Lane(head.job_id, partition, partitions, "undo" if head.kind == "undo" else "apply", head.run)
            self.put(lane)
        return lane

    def put(self, lane: Lane) -> None:
        """Take in a lane; of two runs the newer stays."""
        lanes = self.by_job.setdefault(lane.job_id, {})
        known = lanes.get(lane.partition)
        if known is None or known.run <= lane.run:
            if known is not None:
                known.count_in(Memory())
            lanes[lane.partition] = lane
            lane.count_in(self.memory)

    def drop_job(self, job_id: str, run: int | None = None) -> list[Lane]:
        """Drop the job's lanes up to this run (None: all of them); answers which they were.

        Blocks of a later run may be here before the state that begins it.
        """
        known = self.by_job.pop(job_id, {})
        self.failed_in.pop(job_id, None)
        later = {partition: lane for partition, lane in known.items() if run is not None and lane.run > run}
        if later:
            self.by_job[job_id] = later
        dropped = [lane for partition, lane in known.items() if partition not in later]
        for lane in dropped:
            lane.count_in(Memory())
        return dropped

    def drop_lost(self, job_id: str, phases: Collection[Phase]) -> list[tuple[int, Phase]]:
        """Forget which records of the job's lanes are lost, in these phases; answers their partitions and phases, those
        of partitions that are another worker's, or are not there, left out."""
        found = [lane for lane in self.lost if lane[0] == job_id and lane[2] in phases]
        for lane in found:
            del self.lost[lane]
            self.lost_in.pop(lane, None)
        return [(partition, phase) for _, partition, phase in found if partition in self.owned]

    def with_records(self) -> set[str]:
        """The jobs that have a lane record on the owned partitions, one that is lost perhaps."""
        return {*self.by_job, *(job_id for job_id, _, _ in self.lost)}

    def may_work(self, job: Job) -> bool:
        """Whether blocks of the job may be applied (or undone) by this worker now."""
        return runnable(job) and self.failed_in.get(job.id) != job.epoch

    def at_work(self, runnable: Iterable[Job]) -> Iterator[tuple[Job, Mapping[int, Lane]]]:
        """The jobs that may work here, and the lanes of each by their partitions; `runnable`: those of the control
        table. What is done for each batch goes through these, and never through all lanes: jobs that have failed keep
        theirs for any time."""
        for job in runnable:
            lanes = self.by_job.get(job.id)
            if lanes and self.may_work(job):
                yield job, lanes

    def give_up(self, job: Job) -> None:
        """The job can't go on here: it gets no turn in this epoch any more."""
        self.failed_in[job.id] = job.epoch

    def inherit(
        self, owned: Iterable[int], lost: Mapping[tuple[str, int, Phase], str], unclosed: Iterable[int]
    ) -> None:
        """Own these partitions from now on. `lost`: as the field; `unclosed`: their last owner did not close them."""
        self.owned = frozenset(owned)
        self.unquiesced = set(unclosed)
        self.lost = dict(lost)
        self.lost_in.clear()

    def clear(self) -> None:
        """Release everything: the partitions are another worker's."""
        for lane in self:
            lane.count_in(Memory())
        self.by_job.clear()
        self.failed_in.clear()
        self.inherit((), {}, ())

    def left_unanswered(self, partitions: Iterable[int]) -> None:
        """A write on these partitions was ended without an answer, and may still be carried out: no job has stopped on
        them, and their next owner waits. Partitions that this worker does not own any more it has left unclosed."""
        self.unquiesced |= self.owned.intersection(partitions)

    def rested(self, job: Job, reported: set[int]) -> dict[int, RestedLane]:
        """The quiesced partitions on which a halting job has nothing in flight, and that were not reported yet."""
        found = {}
        for partition in self.owned - self.unquiesced:
            if partition >= job.partitions or partition in reported or partition in job.lanes_rested:
                continue
            if partition == JOB_STEP_PARTITION and job.id in self.in_job_step:
                continue
            lane = self.get(job.id, partition)
            if lane is None or lane.run != job.run:
                found[partition] = RestedLane(epoch=job.epoch, totals=LaneTotals())
            elif not lane.flying:
                found[partition] = lane.rested(job.epoch)
        return found

    def proved(self, job: Job) -> bool:
        """Whether the control agent knows of all of this worker's partitions that nothing of the job is in flight."""
        return all(number in job.lanes_rested for number in self.owned if number < job.partitions)

    def counts(self, job: Job) -> dict[int, LaneTotals]:
        """The lanes whose counts the control agent does not know yet, for a job whose row errors have a limit."""
        if not watched(job):
            return {}
        return {
            lane.partition: lane.totals
            for lane in self.of(job.id)
            if lane.run == job.run and lane.totals != job.lanes_counted.get(lane.partition, LaneTotals())
        }

    def done(self, job: Job, reported: set[int]) -> dict[int, LaneTotals]:
        """The lanes that have dealt with all their blocks, and that were not reported yet."""
        if not job.current_input.ended:
            return {}
        return {
            lane.partition: lane.totals
            for lane in self.of(job.id)
            if lane.partition not in reported and self.is_done(lane, job)
        }

    def is_done(self, lane: Lane, job: Job) -> bool:
        """Whether the lane has dealt with all its blocks, and the control agent may not know so yet."""
        progress = job.current_input
        return (
            progress.ended
            and lane.run == job.run
            and lane.partition not in job.lanes_done
            and lane.partition < len(progress.blocks_per_partition)
            and lane.done(progress.blocks_per_partition[lane.partition])
        )
