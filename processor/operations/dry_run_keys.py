"""Keys that a dry run has met. It writes no rows: its keys stand in an index of their own until the job is over."""

from __future__ import annotations

from functools import partial
from typing import Final

from control.jobtable import JobTable
from processor.elastic.bulk import BulkSink, Gate
from processor.operations.work import Work
from schemas.indices import index_name
from schemas.job import ENDED

_NAMED_AT_ONCE: Final = 2500
"""Characters of the names in one request: Elasticsearch takes a line of 4 KiB, in which there are commas as well."""


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


async def sweep_claims(sink: BulkSink, prefix: str, jobs: JobTable, gate: Gate, made_before: int) -> None:
    """Delete the indices of jobs that are over, also those that another worker made before.

    `made_before`: those of jobs that are not in the control table go if they were made before this time, in
    milliseconds since 1970, which is so long ago that the states of their jobs have come to this worker.

    The index of a FAILED job stays: when the job goes on, it has the keys of the rows that are dealt with.
    """
    first, client = claims_index(prefix, ""), sink.client
    wanted = "*.settings.index.creation_date"
    found = await sink.ask(lambda: client.indices.get(index=f"{first}*", filter_path=wanted), gate)
    made = {name: int(answer["settings"]["index"]["creation_date"]) for name, answer in found.body.items()}

    def is_over(name: str) -> bool:
        job = jobs.get(name.removeprefix(first))
        return made[name] < made_before if job is None else job.state in ENDED

    some = max(1, _NAMED_AT_ONCE // max(map(len, made), default=1))
    left = [name for name in made if is_over(name)]
    while left := [name for name in left if is_over(name)]:  # a job may have come, with an id that was used before
        over, left = left[:some], left[some:]
        await sink.ask(partial(client.indices.delete, index=over, ignore_unavailable=True), gate, writes=True)
