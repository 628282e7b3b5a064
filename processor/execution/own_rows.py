"""The rows that an organisation has of a dataset already: a sample of bounded cost, to compare a file with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any, Final

from control.creation.inspection import OWN_ROWS
from control.jobtable import JobTable
from control.predicates import taken_out
from processor.execution.searching import Searches
from processor.operations.work import Work
from processor.suspicion.first_rows import FirstRows, OwnRows
from processor.suspicion.known_rows import LOOKED_UP, values_to_look_up
from schemas.job import Job

SAMPLE: Final = 500
"""Rows that are read."""
JOBS: Final = 8
"""The newest jobs, of which rows from all over their files are read, beside the oldest rows there are."""
_LATELY_MS = 15_000
"""Elasticsearch finds rows that were written longer ago than this without an extra refresh."""

Search = tuple[dict[str, Any] | None, int]
"""A filter, and how many hits."""
_NOTHING: Final = {"hits": [], "total": {"value": 0}}


def fields_of(work: Work) -> list[str]:
    """The fields that the job's file has columns for, as far as that is known before its first block has come."""
    columns = work.job.source.columns
    if columns is None:
        return list(work.dataset.columns)
    return [meant for meant in columns.values() if meant is not None]


async def own_rows(work: Work, jobs: JobTable, names: Sequence[str], searches: Searches) -> OwnRows:
    """The sample for this job, with these fields. A refresh is asked for only where too few of them are seen.

    Raises:
        FencedError: from the gate.
        PutOffError: Elasticsearch can't answer one now.
        CannotGoOnError: Elasticsearch refuses a request.
    """
    before = _before(work.job, jobs)
    found = await _sampled(work, jobs, names, before, searches)
    enough = found.known >= OWN_ROWS and found.rows >= SAMPLE // 2
    lately = any(job.ended_at is None or job.ended_at > work.at - _LATELY_MS for job in before)
    if enough or not lately:
        return found
    # Rows of a job that has just ended may not be seen yet. To refresh an index takes long where much was written.
    await work.sink.ask(
        lambda: work.sink.client.indices.refresh(index=work.data_index, ignore_unavailable=True), work.gate
    )
    return await _sampled(work, jobs, names, before, searches)


async def _sampled(
    work: Work, jobs: JobTable, names: Sequence[str], before: Sequence[Job], searches: Searches
) -> OwnRows:
    """The sample of what a search finds now, of the rows of these jobs."""
    written = [(job, rows) for job in before if (rows := _written(job))][:JOBS]
    picked = _picked(written, Random(work.job.id))  # noqa: S311
    wanted: list[Search] = [(None, SAMPLE if sum(rows for _, rows in written) < SAMPLE else 0)]
    if picked:
        wanted.append((_any_of(picked), SAMPLE))
    anywhere, *of_jobs = await _search(work, names, searches, *wanted)
    hits = {hit["_id"]: hit["_source"] for found in (*of_jobs, anywhere) for hit in found["hits"]}
    known: int = anywhere["total"]["value"]
    sample = list(hits.values())[:SAMPLE]
    made = {job_id: jobs.get(job_id) for job_id in {row["sluice"]["job_id"] for row in sample}}
    return OwnRows(
        columns={name: [row.get(name) for row in sample] for name in names},
        jobs_at=[job.created_at if (job := made[row["sluice"]["job_id"]]) else None for row in sample],
        known=known,
    )


async def with_found(work: Work, own: OwnRows, first_rows: FirstRows, searches: Searches) -> OwnRows:
    """The sample, with own rows that have values of the file where hardly two rows have the same one.

    Raises as `own_rows`.
    """
    if not own.rows:
        return own
    names = [name for name in first_rows.fields.values() if name in first_rows.stored]
    wanted = [{"terms": {name: values}} for name, values in values_to_look_up(first_rows, names).items()]
    if not wanted:
        return own
    (found,) = await _search(work, names, searches, (_any_of(wanted), LOOKED_UP))
    return replace(own, found=[hit["_source"] for hit in found["hits"]])


def _before(job: Job, jobs: JobTable) -> list[Job]:
    """The jobs that wrote rows of this organisation and dataset, the newest first."""
    others = (
        other
        for other in jobs.of(job.organisation)
        if other.dataset == job.dataset
        and other.id != job.id
        and other.source.kind != "query"
        and not other.options.dry_run
        and not taken_out(other)
    )
    return sorted(others, key=lambda other: other.created_at, reverse=True)


def _written(job: Job) -> int:
    return job.applied.rows_applied if job.applied is not None else 0


def _picked(written: Sequence[tuple[Job, int]], random: Random) -> list[dict[str, Any]]:
    """A filter for each job: rows from all over its file."""
    if not written:
        return []
    each = -(-SAMPLE // len(written))
    return [
        {
            "bool": {
                "filter": [
                    {"term": {"sluice.job_id": job.id}},
                    {"terms": {"sluice.row_number": random.sample(range(1, rows + 1), min(each, rows))}},
                ]
            }
        }
        for job, rows in written
    ]


def _any_of(filters: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"bool": {"should": list(filters), "minimum_should_match": 1}}


async def _search(work: Work, names: Sequence[str], searches: Searches, *wanted: Search) -> list[dict[str, Any]]:
    """The hits of each search, in the order of the index."""
    own = {"term": {"sluice.organisation": work.job.organisation}}
    not_this = {"term": {"sluice.job_id": work.job.id}}
    asked: list[dict[str, Any]] = []
    for query, size in wanted:
        asked.append({})
        asked.append(
            {
                "query": {"bool": {"filter": [own, *([query] if query else [])], "must_not": [not_this]}},
                "size": size,
                "sort": ["_doc"],
                "track_total_hits": OWN_ROWS,
                "_source": [*names, "sluice.job_id"],
            }
        )
    answers = await searches.search(work.data_index, asked, work.gate)
    return [answer.get("hits", _NOTHING) for answer in answers]
