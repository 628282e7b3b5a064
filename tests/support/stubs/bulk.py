"""Elasticsearch's bulk request as a script of answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from elastic_transport import ApiResponseMeta, HttpHeaders, NodeConfig
from elasticsearch import ApiError

from control.jobtable import JobTable
from processor.elastic.bulk import BACKOFF, BulkSink
from processor.lanes.lane import Lane, Loaded
from processor.lanes.owned_lanes import Lanes
from processor.lanes.scheduler import Scheduler
from runtime.clock import Clock
from runtime.settings import Settings
from schemas.job import Job, Options, State
from schemas.messages.blocks import RowBlock
from schemas.messages.codec import encode
from schemas.policies.quotas import QuotaBook

T = TypeVar("T")
Step = Exception | Callable[[list["Item"]], dict[str, Any] | bytes]
"""What one bulk request leads to: an error, or a body made from its items."""


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that at most lets others have their turn."""
    while True:
        try:
            coroutine.send(None)
        except StopIteration as end:
            result: T = end.value
            return result


@dataclass(frozen=True)
class Item:
    """One action of a bulk request."""

    action: str
    index: str
    id: str
    document: dict[str, Any] | None


def items_of(body: bytes, index: str | None = None) -> list[Item]:
    """The actions in a bulk request's body; `index` is that of those that name none."""
    lines = iter(body.splitlines())
    items = []
    for line in lines:
        ((action, target),) = json.loads(line).items()
        document = None if action == "delete" else json.loads(next(lines))
        items.append(Item(action, target.get("_index", index), target["_id"], document))
    return items


@dataclass
class StubClient:
    """Answers bulk requests as the script says; beyond its end everything is fine."""

    script: list[Step] = field(default_factory=list)
    requests: list[list[Item]] = field(default_factory=list)

    async def bulk(self, *, operations: bytes, filter_path: str, index: str | None = None) -> Any:
        items = items_of(operations, index)
        self.requests.append(items)
        step = self.script.pop(0) if self.script else answers()
        if isinstance(step, Exception):
            raise step
        return _Response(step(items))


@dataclass
class _Response:
    body: dict[str, Any] | bytes


def answers(statuses: Sequence[int] = (), **by_id: tuple[int, str]) -> Callable[[list[Item]], dict[str, Any]]:
    """A body with these statuses, in order, or by document id (``_7=(400, "reason")``: that of row 7); others 201."""

    def body(items: list[Item]) -> dict[str, Any]:
        entries, errors = [], False
        for position, item in enumerate(items):
            row = "_" + item.id.rpartition(":")[2]
            status, reason = by_id.get(row, (statuses[position] if statuses else 201, "no"))
            entry: dict[str, Any] = {"status": status}
            # A deletion that finds nothing is no error to Elasticsearch.
            if status >= 300 and not (item.action == "delete" and status == 404):
                errors = True
                entry["error"] = {"type": "some_exception", "reason": reason}
            entries.append({item.action: entry})
        return {"errors": errors, "items": entries}

    return body


def api_error(status: int, body: Any = None) -> ApiError:
    """The whole request is answered with this status."""
    meta = ApiResponseMeta(status, "1.1", HttpHeaders(), 0.1, NodeConfig("http", "localhost", 9200))
    return ApiError("no", meta, body or {})


def sink(
    client: StubClient,
    told: Callable[[str | None], None] = lambda _: None,
    paused: Callable[[float], None] = lambda _: None,
) -> BulkSink:
    """A sink without jitter, whose pauses take no time: `paused` is given each of them, in seconds."""

    async def sleep(seconds: float) -> None:
        paused(seconds)

    made = BulkSink(cast(Any, client), clock=Clock(sleep=sleep), backoff=replace(BACKOFF, fraction=lambda: 1.0))
    made.on_degraded = told
    return made


ROWS = 100


class Worker:
    """A scheduler with the lanes it takes from."""

    def __init__(self, bulk_rows: int = 300, quotas: QuotaBook | None = None, bulk_bytes: int = 1024**2) -> None:
        self.jobs, self.lanes = JobTable(), Lanes(owned=frozenset({0, 1}))
        self.broken: list[str] = []
        self.scheduler = Scheduler(
            Settings(bulk_rows=bulk_rows, bulk_bytes=bulk_bytes),
            quotas or QuotaBook(),
            self.jobs,
            self.lanes,
            lambda _: None,
            lambda _, reason: self.broken.append(reason),
        )

    def add(self, job_id: str, blocks: int, rate: float | None = None, organisation: str = "a") -> None:
        job = Job(
            id=job_id, operation="upload", dataset="people", organisation=organisation, created_by="a",
            state=State.RUNNING, created_at=1, command_offset=len(self.jobs), partitions=2,
            options=Options(rows_per_second=rate),
        )  # fmt: skip
        self.jobs.put(job)
        self.scheduler.set_rate(job)
        for partition in (0, 1):
            self.lanes.put(Lane(job_id, partition, 2))
        for number in range(blocks):
            self.meet(job_id, number)

    def meet(self, job_id: str, number: int, value: str = "x") -> None:
        """A block of a job comes, of `ROWS` rows that have this value."""
        lane = self.lanes.get(job_id, number % 2)
        assert lane is not None
        block = RowBlock(job_id=job_id, block=number, first_row=number * ROWS + 1, columns=["a"], rows=[[value]] * ROWS)
        lane.meet(Loaded(number, number, encode(block)), 100)

    def turn(self, now: float = 0.0) -> tuple[str, list[int]] | None:
        job, _ = self.scheduler.next(now)
        return None if job is None else (job.id, [loaded.block for _, loaded, _ in self.scheduler.take(job, now)])
