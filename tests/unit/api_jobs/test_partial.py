"""When a rollback is refused since some of what its job wrote over is not kept any more."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from msgspec.structs import replace

from api.elastic.documents import Documents
from api.jobs.reading.undone import partial_problem
from schemas.job import Job, LaneTotals, State
from tests.support.in_memory.control import world_in


class KeepsNothing:
    """Stands for an Elasticsearch without before-images."""

    indices: Any

    def __init__(self) -> None:
        self.indices = self

    async def refresh(self, **_: Any) -> None: ...

    async def search(self, **_: Any) -> dict[str, Any]:
        return {"aggregations": {}}


def problem(job: Job) -> str | None:
    parts: Any = SimpleNamespace(
        view=SimpleNamespace(lanes=lambda _: ()),
        settings=SimpleNamespace(prefix="sluice"),
        documents=Documents(cast(Any, KeepsNothing())),
    )
    return asyncio.run(partial_problem(parts, job))


def test_a_rollback_that_would_give_back_a_part_is_told_so_before_it_begins_and_not_when_it_begins_anew() -> None:
    """How much a rollback that failed has given back is not known to the last row: a worker may have died."""
    applied = LaneTotals(rows_applied=5, rows_updated=5, last_row=5)
    job = replace(world_in(State.COMPLETED).job(), mode="upsert", applied=applied)
    assert "of the 5 documents" in (problem(job) or "")
    rolled_back = replace(job, state=State.ROLLED_BACK, phase="undo", run=1, undone=LaneTotals(rows_kept=5))
    assert problem(rolled_back), "of those that it kept the images may have gone since"
    assert problem(replace(rolled_back, state=State.FAILED)) is None
