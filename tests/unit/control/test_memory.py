"""Jobs in little memory: what is kept of those that have ended is all of it, whichever way it is kept."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from control.jobtable import JobTable
from control.memory.brief_jobs import Jobs
from control.memory.packed_jobs import PackedJobs
from schemas.job import ENDED, BlockLimits, FileIdentity, Input, Job, LaneTotals, Options, RestedLane, Source, State
from schemas.messages.codec import encode
from schemas.messages.formats import FORMAT

REQUESTS = ["0f" * 32, "F" * 64, "a digest", None]
KINDS = [("upload", "people"), ("upload", "teams"), ("export", "people")]


def jobs() -> list[Job]:
    """One of each state and kind, with texts that are not ASCII, large counts, and a state of a newer version."""
    totals = LaneTotals(rows_applied=10**11, rows_failed=3, blocks=7, last_row=10**11)
    made = []
    for number, state in enumerate(State):
        for operation, dataset in KINDS:
            job_id = f"{number}-{operation}-{dataset}"
            made.append(
                Job(
                    id=job_id, operation=operation, dataset=dataset, organisation=f"Größe-{number % 3}", state=state,
                    created_by="ada", created_at=number, command_offset=number, partitions=3, epoch=2,
                    request=REQUESTS[number % 4],
                    options=Options(max_errors="5%", set={"color": "naïve"}), started_at=5, ended_at=9, state_since=9,
                    source=Source(name="ä.csv", path=f"sources/{job_id}/ä.csv", sha256="a" * 64, columns={"n": None},
                                  identity=FileIdentity(inode=number, modified_ns=10**18 + number, changed_ns=7)),
                    limits=BlockLimits(rows=500, bytes=10**6, slice_rows=10_000),
                    input=Input(blocks=7, rows=10**11, ended=True, blocks_per_partition=(3, 2, 2)),
                    lanes_done=dict.fromkeys(range(3), totals), applied=totals,
                    lanes_rested={1: RestedLane(epoch=1, totals=totals)}, reason="because 🙂",
                )
            )  # fmt: skip
    return [*made, replace(made[0], id="newer", needs=FORMAT + 1, state=State.COMPLETED)]


@pytest.mark.parametrize("kept", [Jobs, PackedJobs])
def test_every_job_comes_back_whole(kept: type[Jobs] | type[PackedJobs]) -> None:
    table = JobTable(kept())
    for job in jobs():
        assert table.apply(job.id.encode(), encode(job)) == job
    assert len(table) == len(jobs())
    assert {job.id: table.get(job.id) for job in jobs()} == {job.id: job for job in jobs()}
    assert {job.id for job in table} == {job.id for job in jobs()}
    assert table.not_ended() == [job for job in jobs() if job.state not in ENDED]
    assert table.not_understood == {"newer"}


@pytest.mark.parametrize("kept", [Jobs, PackedJobs])
def test_a_job_that_has_ended_takes_up_work_again_and_goes(kept: type[Jobs] | type[PackedJobs]) -> None:
    """A rollback, corrected rows, an older state that comes late, another organisation, a tombstone."""
    table = JobTable(kept())
    for ended in (job for job in jobs() if job.state in ENDED):
        assert table.put(ended)
        assert not table.put(replace(ended, state=State.RUNNING, epoch=1)), "an older state"
        assert table.get(ended.id) == ended
        again = replace(ended, state=State.ROLLING_BACK, epoch=3, organisation="other")
        assert table.put(again)
        assert table.get(ended.id) == again and table.not_ended() == [again] and table.of("other") == [again]
        assert table.put(replace(again, state=State.ROLLED_BACK, epoch=4))
        assert not table.not_ended()
        table.remove(ended.id)
        assert table.get(ended.id) is None and len(table) == 0 and not table.of("other") and not list(table)


def test_what_is_left_out_of_a_brief_job_is_what_the_table_says() -> None:
    table = JobTable()
    for job in jobs():
        table.put(job)
    whole = {job.id: job for job in jobs()}
    for brief in table:
        job = whole[brief.id]
        source = replace(brief.source, identity=job.source.identity)
        assert replace(brief, lanes_done=job.lanes_done, input=job.input, request=job.request, source=source) == job
        if job.state not in ENDED or job.state is State.TERMINATED:
            assert brief == job


def test_a_table_of_ended_jobs_stays_small() -> None:
    packed = PackedJobs()
    states = [replace(job, id=f"{number:032}", state=State.COMPLETED) for number, job in enumerate(jobs() * 20)]
    for job in states:
        packed.put(job)
    assert sum(map(len, packed._packed.values())) < sum(len(encode(job)) for job in states) / 4
