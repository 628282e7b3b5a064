"""Keys that a dry run has met. It writes no rows: its keys stand in an index of their own until the job is over."""

from __future__ import annotations

from control.jobtable import JobTable
from processor.elastic.bulk import BulkSink, Gate
from processor.operations.work import Work
from schemas.indices import index_name
from schemas.job import ENDED


def claims_index(prefix: str, job_id: str) -> str:
    """The index of one job's claims."""
    return index_name(prefix, f"claims-{job_id}")


async def make_claims_index(work: Work) -> str:
    """The job's index of claims, made if it is not there. Nothing is searched in it, so it is never refreshed."""
    name = claims_index(work.prefix, work.job.id)
    client = work.sink.client.options(ignore_status=400)  # it is there already
    settings = {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "-1"}
    await work.sink.ask(
        lambda: client.indices.create(index=name, mappings={"dynamic": False}, settings=settings),
        work.gate,
        writes=True,
    )
    return name


async def sweep_claims(sink: BulkSink, prefix: str, jobs: JobTable, gate: Gate) -> None:
    """Delete the indices of jobs that are over, those included that an earlier worker has left."""
    first = claims_index(prefix, "")
    found = await sink.ask(lambda: sink.client.indices.get(index=f"{first}*", filter_path="*.aliases"), gate)
    over = [name for name in found.body if (job := jobs.get(name.removeprefix(first))) and job.state in ENDED]
    if over:
        await sink.ask(lambda: sink.client.indices.delete(index=over, ignore_unavailable=True), gate, writes=True)
