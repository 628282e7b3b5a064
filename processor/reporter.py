"""Puts progress and jobs into Elasticsearch, for Kibana and other readers. No job waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable
from typing import Any

import msgspec

from control.newer_states import read_history
from processor.elastic.bulk import BulkSink
from processor.errors import CannotGoOnError
from processor.gates import unguarded
from processor.stream.acknowledgement import Acknowledgeable
from runtime.telemetry.log_events import as_event
from schemas.indices import index_name
from schemas.job import MODE_COUNTS, UNDO_COUNTS, Job, LaneTotals
from schemas.messages.codec import decode, encode
from schemas.messages.events import CommandRejected
from schemas.messages.progress import LaneProgress

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.5
BATCH = 500


def progress_item(prefix: str, partition: int, offset: int, value: bytes | None) -> bytes:
    """The bulk lines of one progress record; its place in the topic is its id, so that a repeat is the same document.

    Raises:
        UndecodableError: the record is no progress event.
    """
    document = progress_document(decode(value, LaneProgress))
    return b'{"index":{"_index":"%b","_id":"%d-%d"}}\n%b' % (
        index_name(prefix, "progress").encode(),
        partition,
        offset,
        encode(document),
    )


def progress_document(progress: LaneProgress) -> dict[str, Any]:
    """A progress record as the reports show it: every count, the zeros included.

    `lane` names what `totals` is cumulative of, among all jobs; `share` is what this lane has dealt with of its job's
    rows, so that the sum over a job's lanes is what the job has done, from 0 to 1. The sum of `refused` is the rows of
    the job that stand as refused: each row that a retry applies is one less, as in `LaneTotals.corrected`.
    """
    run = f"/{progress.run}" if progress.run else ""
    totals = progress.totals
    document = {
        **msgspec.to_builtins(progress),
        "phase": progress.phase,
        "run": progress.run,
        "lane": f"{progress.job_id}/{progress.partition}{run}",
        "totals": totals_document(totals),
        "refused": -totals.rows_applied if progress.run else totals.rows_failed,
        "added": added_document(progress.added),
        "parked_blocks": progress.parked_blocks,
    }
    if progress.rows_total:
        document["share"] = (totals.rows_applied + totals.rows_failed) / progress.rows_total
    return document


def totals_document(totals: LaneTotals) -> dict[str, int]:
    """Every count of a lane, the zeros included."""
    return {name: getattr(totals, name) for name in totals.__struct_fields__}


def added_document(added: LaneTotals) -> dict[str, int]:
    """What a lane has counted since the record before; a highest row has no difference."""
    return {name: count for name, count in totals_document(added).items() if name != "last_row"}


def job_item(prefix: str, job: Job) -> bytes:
    """The bulk lines of a job's document; its version is the control offset: a late write can't go backwards."""
    head = {
        "index": {
            "_index": index_name(prefix, "jobs"),
            "_id": job.id,
            "version": job.command_offset + 1,
            "version_type": "external_gte",
        }
    }
    return encode(head) + b"\n" + encode(job_document(job))


def job_document(job: Job) -> dict[str, Any]:
    """A job as the reports show it."""
    totals = job.applied or sum(job.lanes_done.values(), LaneTotals())
    last = job.ended_at
    return {
        **{
            name: getattr(job, name)
            for name in (
                "id",
                "operation",
                "dataset",
                "organisation",
                "created_by",
                "state",
                "phase",
                "reason",
                "created_at",
                "started_at",
                "ended_at",
                "command_offset",
            )
        },
        "rows_total": job.rows_total,
        "rows_applied": totals.rows_applied,
        "rows_failed": totals.rows_failed,
        "rows_undone": job.undone.rows_undone if job.undone else 0,
        "mode": job.mode,
        **({name: getattr(totals, name) for name in MODE_COUNTS} if job.mode else {}),
        **({name: getattr(job.undone, name) for name in UNDO_COUNTS} if job.mode and job.undone else {}),
        "duration_seconds": (last - job.started_at) / 1000 if last and job.started_at else None,
        "source": msgspec.to_builtins(job.source),
        "options": msgspec.to_builtins(job.options),
    }


class Reporter:
    """Gathers documents and sends them in batches; what was sent is acknowledged, in order."""

    def __init__(self, prefix: str, sink: BulkSink) -> None:
        self._prefix = prefix
        self._sink = sink
        self._waiting: list[tuple[Hashable, bytes | None, Acknowledgeable]] = []
        self._some = asyncio.Event()
        """Whether something waits."""
        self._room = asyncio.Event()
        self._room.set()

    async def progress(self, partition: int, offset: int, value: bytes | None, event: Acknowledgeable) -> None:
        """Take in one record of the progress topic; waits while Elasticsearch can't keep up.

        Raises:
            UndecodableError: it is none. It is to be skipped.
        """
        await self._take_in((partition, offset), progress_item(self._prefix, partition, offset, value), event)

    async def job_event(self, value: bytes | None, event: Acknowledgeable) -> None:
        """Take in one record of the job-events topic. Raises as `progress`."""
        record = read_history(value)
        item = None if isinstance(record, CommandRejected) else job_item(self._prefix, record.job)
        await self._take_in(record.job_id, item, event)

    async def skip(self, event: Acknowledgeable) -> None:
        """Acknowledge a record that is no report, in its turn."""
        await self._take_in(None, None, event)

    def forget(self) -> None:
        """The partitions may be another worker's: what was not sent yet comes again, to that worker."""
        self._waiting.clear()
        self._room.set()

    async def run(self) -> None:
        """Send what has been gathered, again and again."""
        while True:
            await self._some.wait()
            await asyncio.sleep(FLUSH_SECONDS)
            self._some.clear()
            batch, self._waiting = self._waiting, []
            self._room.set()
            # of a job's states the last one stands for all
            items = list({key: item for key, item, _ in batch if item is not None}.values())
            if items:
                await self._send(items)
            for *_, event in batch:
                event.ack()

    async def _send(self, items: list[bytes]) -> None:
        try:
            answers = await self._sink.send(items, unguarded)
        except CannotGoOnError as error:
            log.error(
                "%d reports are lost until they are rebuilt: %s",
                len(items),
                error,
                extra=as_event("report.lost", reports=len(items)),
            )
            return
        for answer in answers:
            if not answer.ok and answer.status != 409:
                log.warning("Elasticsearch refused a report: %s", answer.error, extra=as_event("report.lost"))

    async def _take_in(self, key: Hashable, item: bytes | None, event: Acknowledgeable) -> None:
        await self._room.wait()
        self._waiting.append((key, item, event))
        self._some.set()
        if len(self._waiting) >= BATCH:
            self._room.clear()
