"""The indices of keys that dry runs have met: which are deleted, and how many of them one request names."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from control.jobtable import JobTable
from processor.elastic.bulk import BulkSink
from processor.operations.dry_run_keys import claims_index, sweep_claims
from schemas.job import ENDED, Job, Options, State
from schemas.topics import DAY_MS

NOW = 1_790_000_000_000


class Elasticsearch:
    """Indices by name, with the time at which each was made, and the names of each deletion."""

    def __init__(self, made: dict[str, int]) -> None:
        self.made = made
        self.deletions: list[Sequence[str]] = []
        self.indices = self

    async def get(self, *, index: str, filter_path: str) -> Any:
        assert index.endswith("*") and filter_path == "*.settings.index.creation_date"
        found = {name: str(at) for name, at in self.made.items() if name.startswith(index[:-1])}
        body = {name: {"settings": {"index": {"creation_date": at}}} for name, at in found.items()}
        return SimpleNamespace(body=body)

    async def delete(self, *, index: Sequence[str], ignore_unavailable: bool) -> Any:
        assert ignore_unavailable
        self.deletions.append(index)
        for name in index:
            self.made.pop(name, None)


def job(job_id: str, state: State) -> Job:
    return Job(
        id=job_id, operation="upload", dataset="people", organisation="a", created_by="a", state=state, created_at=1,
        command_offset=1, partitions=2, options=Options(dry_run=True),
    )  # fmt: skip


def sweep(client: Elasticsearch, *jobs: Job, prefix: str = "s") -> None:
    table = JobTable()
    for each in jobs:
        table.put(each)
    sink = BulkSink(client)  # type: ignore[arg-type]
    asyncio.run(sweep_claims(sink, prefix, table, lambda: None, NOW - DAY_MS))


@pytest.mark.parametrize("days_old", [0.5, 2])
@pytest.mark.parametrize("state", [*State, None])
def test_an_index_goes_with_its_job(state: State | None, days_old: float) -> None:
    """None: the control table has no such job. A young index is then of one that has not come to this worker yet."""
    name = claims_index("s", "one")
    client = Elasticsearch({name: NOW - round(days_old * DAY_MS), "s-data-people": 0, "t-claims-one": 0})
    sweep(client, *([] if state is None else [job("one", state)]))
    goes = state in ENDED or (state is None and days_old > 1)
    assert client.deletions == ([[name]] if goes else [])


@pytest.mark.parametrize(("prefix", "characters"), [("s", 1), ("sluice", 16), ("s" * 100, 64)])
def test_the_names_of_many_indices_fit_into_the_lines_of_their_deletions(prefix: str, characters: int) -> None:
    ids = {f"{number:0{characters}x}" for number in range(300)}
    client = Elasticsearch({claims_index(prefix, job_id): 0 for job_id in ids})
    sweep(client, *(job(job_id, State.COMPLETED) for job_id in sorted(ids)[:60]), prefix=prefix)
    assert client.made == {}
    lines = [f"DELETE /{'%2C'.join(names)}?ignore_unavailable=true HTTP/1.1" for names in client.deletions]
    assert max(map(len, lines)) < 4096
