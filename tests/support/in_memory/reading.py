"""A reader with its plans in memory: the real Reader, and stand-ins for its consumers and its producer."""

from __future__ import annotations

import itertools
import json
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from ingest.block_source import WAITING, Step
from ingest.metrics import ReaderMetrics
from ingest.pending_plan import PendingPlan
from ingest.reader import Reader
from ingest.sources import UNDO_BLOCK_ROWS, BlockSource, SourceContext, undo_rows
from runtime.readiness import Readiness
from runtime.settings import Settings
from schemas.job import Input, Job, State
from schemas.messages.blocks import UndoBlock
from schemas.messages.codec import decode
from schemas.messages.commands import InputAdvanced, InputEnded, Report
from schemas.messages.plans import UndoRows

MORE_THAN_ANY = 10_000
TICK = 0.25
"""Seconds of a round where time matters."""


class Kafka:
    """Takes blocks and reports, and confirms them when it is polled. It keeps the order in which they came."""

    has_room = True

    def __init__(self, told: Callable[[Report], None] = lambda _: None) -> None:
        self.blocks: list[tuple[str, int]] = []
        self.published: set[tuple[str, int]] = set()
        self.ended: Counter[str] = Counter()
        self._told = told
        self._unconfirmed: deque[Callable[[], None]] = deque()

    def has_partition(self, partition: int) -> bool:
        return True

    def block(self, partition: int, value: bytes, confirmed: Callable[[], None]) -> None:
        block: UndoBlock = decode(value, UndoBlock)
        assert (partition, block.first_row) == (block.block % 2, block.block * UNDO_BLOCK_ROWS + 1)
        self.blocks.append((block.job_id, block.block))
        self.published.add((block.job_id, block.block))
        self._unconfirmed.append(confirmed)

    def count(self, source: str, rows: int, size: int) -> None: ...

    def hurry(self) -> None: ...

    def report(self, report: Report, confirmed: Callable[[], None] | None = None) -> None:
        def deliver() -> None:
            self._told(report)
            if isinstance(report, InputEnded):
                self.ended[report.job_id] += 1
            if confirmed:
                confirmed()

        self._unconfirmed.append(deliver)

    def poll(self, _seconds: float = 0) -> None:
        for _ in range(len(self._unconfirmed)):
            self._unconfirmed.popleft()()


class View:
    """The control table's consumer, at its end."""

    def has_passed(self, offset: int) -> bool:
        return True

    def follow(self, _seconds: float = 0) -> None: ...


class Plans:
    """The plans' consumer: it hands out nothing, and notes what is acknowledged."""

    committed: dict[int, int]

    def receive(self, _seconds: float) -> tuple[Any, ...]:
        return ()

    def commit(self, positions: dict[int, int], wait: bool = False) -> None:
        self.committed = positions

    def measure(self) -> None: ...


class World:
    """The real reader, and plans of rollbacks, which need no file."""

    def __init__(
        self, slots: int, *, reported: bool = True, weights: dict[str, float] | None = None, tick: float = 1.0
    ) -> None:
        """`reported`: whether the control agent keeps up with the reports; else none of them shows in a job's state.

        `tick`: seconds of a round.
        """
        limits = {"organisations": {name: {"weight": weight} for name, weight in (weights or {}).items()}}
        self.now, self.tick = 0.0, tick
        self.answers = True
        """Of `waiting`: whether Elasticsearch answers."""
        self.counting: dict[str, float] = {}
        """Of `waiting`: job -> seconds in a slot before it publishes its first block there."""
        found = Settings(limits=json.dumps(limits))
        self.reader = Reader(found, lambda: False, Readiness(found), ReaderMetrics(), slots, lambda: self.now)
        self.kafka = Kafka(self._told if reported else lambda _: None)
        self.plans = Plans()
        parts: Any = {"_publisher": self.kafka, "_jobs": View(), "_plans": self.plans}
        for name, part in parts.items():
            setattr(self.reader, name, part)
        self._numbers = itertools.count()
        self.blocks_of: dict[str, int] = {}
        self.organisation_of: dict[str, str] = {}

    def add(self, organisation: str, blocks: int) -> str:
        number = next(self._numbers)
        rows = blocks * UNDO_BLOCK_ROWS
        job = Job(
            id=f"{organisation}-{number}", operation="upload", dataset="people", organisation=organisation,
            created_by="x", state=State.ROLLING_BACK, phase="undo", created_at=1, command_offset=number, partitions=2,
            epoch=1, run=1,
        )  # fmt: skip
        plan = UndoRows(job_id=job.id, epoch=1, command_offset=number, partitions=2, run=1, last_row=rows)
        self.reader._view.put(job)
        self.reader._offsets.received(0, number)
        self.reader._waiting.append(PendingPlan(plan, 0, number))
        self.blocks_of[job.id], self.organisation_of[job.id] = blocks, organisation
        return job.id

    def round(self) -> None:
        self.now += self.tick
        self.reader._round()

    def active(self) -> list[str]:
        return [taken.plan.job_id for taken in self.reader._active]

    def organisations_waiting(self) -> set[str]:
        """Those that have a plan that waits, and none in a slot."""
        waiting = {self.organisation_of[taken.plan.job_id] for taken in self.reader._waiting}
        return waiting - {self.organisation_of[job_id] for job_id in self.active()}

    def waiting(self, plan: UndoRows, start: Input, context: SourceContext) -> BlockSource:
        """The blocks of a plan that asks Elasticsearch before each, and counts anew in each slot, as exports do. A
        block takes a round."""
        due, after = self.now + self.counting.get(plan.job_id, 0.0), start
        for step in undo_rows(plan, start, context):
            assert isinstance(step, Step)
            while not self.answers or self.now < due:
                yield WAITING
            due, after = self.now + self.tick, step.after
            yield step
        return after

    def published(self, job_id: str) -> bool:
        """Whether Kafka has a block of a plan."""
        return (job_id, 0) in self.kafka.published

    def _told(self, report: Report) -> None:
        job = self.reader._view.get(report.job_id)
        if job is not None and isinstance(report, InputAdvanced | InputEnded):
            offset = MORE_THAN_ANY + len(self.kafka.blocks) + job.command_offset
            self.reader._view.put(replace(job, undo_input=report.input, command_offset=offset))
