"""Every gate of a worker, against everything that must close it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import pytest

from control.jobtable import JobTable
from processor.elastic.bulk import Gate
from processor.errors import FencedError, StoppedError
from processor.gates import Gates
from processor.lanes.lane import Lane
from processor.lanes.owned_lanes import Lanes
from processor.stream.lease import Lease
from schemas.job import Job, State
from tests.support.in_memory.control import world_in
from tests.support.places import ROOT

PROCESSOR = ROOT / "processor"


@dataclass
class Worker:
    """One that owns partitions 0 and 1, and has a job at work on partition 1."""

    now: float = 0.0
    jobs: JobTable = field(default_factory=JobTable)
    lanes: Lanes = field(default_factory=lambda: Lanes(owned=frozenset({0, 1}), open=True))
    job: Job = field(default_factory=lambda: world_in(State.RUNNING).job())

    def __post_init__(self) -> None:
        self.jobs.put(self.job)
        self.lane = Lane(self.job.id, 1, 4)
        self.lanes.put(self.lane)
        self.gates = Gates(Lease(10, lambda: self.now), self.jobs, self.lanes)

    def later(self, **changes: object) -> None:
        offset = self.job.command_offset + 1
        self.jobs.put(msgspec.structs.replace(self.job, command_offset=offset, **changes))


MAKERS: dict[str, Callable[[Worker], Gate]] = {
    "of_blocks": lambda worker: worker.gates.of_blocks(worker.job, [worker.lane]),
    "of_second_half": lambda worker: worker.gates.of_second_half(worker.gates.of_blocks(worker.job, [worker.lane])),
    "of_job_step": lambda worker: worker.gates.of_job_step(worker.job),
    "of_sweep": lambda worker: worker.gates.of_sweep(),
}


def outlast_the_lease(worker: Worker) -> None:
    worker.now = 11


def close(worker: Worker) -> None:
    worker.lanes.open = False


def lose(worker: Worker) -> None:
    worker.lanes.owned = frozenset()


def replace_the_lane(worker: Worker) -> None:
    worker.lanes.put(Lane(worker.job.id, 1, 4))


def pause(worker: Worker) -> None:
    worker.later(state=State.PAUSING, epoch=worker.job.epoch + 1)


def resume(worker: Worker) -> None:
    worker.later(epoch=worker.job.epoch + 2)


def forget(worker: Worker) -> None:
    worker.jobs.remove(worker.job.id)


EVENTS = [outlast_the_lease, close, lose, replace_the_lane, pause, resume, forget]
OPEN_AFTER = {
    "of_job_step": {replace_the_lane},
    "of_sweep": {replace_the_lane, pause, resume, forget},
    "of_second_half": {close, lose, replace_the_lane, pause, resume, forget},
}
"""What is all the same to a gate. The second half of a write is open once, whatever has come of the job."""


def test_every_gate_is_looked_at() -> None:
    assert {name for name in vars(Gates) if name.startswith("of_")} == set(MAKERS)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
@pytest.mark.parametrize("name", MAKERS)
def test_a_gate_closes_after_what_makes_a_write_void(name: str, event: Callable[[Worker], None]) -> None:
    worker = Worker()
    gate = MAKERS[name](worker)
    if name != "of_second_half":
        gate()
    event(worker)
    if event in OPEN_AFTER.get(name, ()):
        gate()
        return
    with pytest.raises(FencedError) as closed:
        gate()
    # Only a worker that still has the partition may find out what became of a write.
    moved_on = event in (pause, resume, forget)
    assert isinstance(closed.value, StoppedError) == moved_on


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_the_second_half_of_a_write_is_tried_again_only_as_the_first(event: Callable[[Worker], None]) -> None:
    worker = Worker()
    gate = MAKERS["of_second_half"](worker)
    gate()
    gate()
    event(worker)
    with pytest.raises(FencedError):
        gate()


def test_gates_are_made_in_one_place() -> None:
    closing = re.compile(r"raise (FencedError|StoppedError)\b|lambda: None\)")
    found = {file.name for file in PROCESSOR.rglob("*.py") if closing.search(file.read_text("utf-8"))}
    assert found == {"gates.py", "lease.py"}
