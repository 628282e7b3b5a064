"""The inbox's reader: rows that upstream services produce become blocks, each row exactly once.

It runs beside the file reader, in its own thread with its own connections. A round takes the records that have come,
has the partitions make blocks of them, and writes all blocks in one transaction; after that it reports to the control
agent. If anything fails in between, the transaction is aborted, and the next round begins at the committed offsets.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing

from confluent_kafka import KafkaException

from control.authorization.principals import FollowedPrincipals
from control.jobtable import JobTable
from control.memory.packed_jobs import PackedJobs
from control.predicates import understood
from csvfile.cutter import Limits
from ingest.blocks.sealer import BlockSealer
from ingest.consumers import ViewConsumer, wait_for_topics
from ingest.errors import PublishError
from ingest.inbox.acceptance import takes_rows
from ingest.inbox.batch import Batch
from ingest.inbox.given_up import GivenUpJobs
from ingest.inbox.intake import InboxContext
from ingest.inbox.partition import GivenUpError, home_partition
from ingest.inbox.reports import REPORT_SECONDS, Announcer, report_on
from ingest.inbox.row_buffer import RowBuffer
from ingest.inbox.senders import Senders
from ingest.inbox.transactions import InboxConsumer, InterruptedSessionError, Transactions
from ingest.metrics import ReaderMetrics
from ingest.publisher import BlockPublisher
from runtime.datasets import load_datasets
from runtime.files.sealing import JobKeys
from runtime.settings import Settings
from runtime.telemetry.log_events import as_event
from schemas.job import EVEN_BLOCK_ROWS, Job
from schemas.messages.commands import InputEnded, Report
from schemas.messages.inbox import InboxRecord

log = logging.getLogger(__name__)

ROUND_SECONDS = 0.05
"""How long a round gathers records, and so how long a row waits, at most, before it is in a block."""
RESTS_AFTER_SECONDS = 2.0
"""An idle reader that has received no record for this time waits for one record: the first ends the wait."""
RESTING_SECONDS = 0.5
ROUND_RECORDS = 10_000
ROUND_BYTES = 8 * 1024 * 1024
_PAUSE_SECONDS = 1.0


class Inbox:
    """One process's share of the inbox."""

    def __init__(self, settings: Settings, stopping: Callable[[], bool], metrics: ReaderMetrics) -> None:
        self._metrics = metrics
        self._settings = settings
        self._stopping = stopping
        self._datasets = load_datasets(settings.datasets_folder)
        self._limits = Limits(min(settings.block_rows, EVEN_BLOCK_ROWS), settings.block_bytes)
        self._quotas = settings.quotas
        self._sealer = BlockSealer(JobKeys(settings.storage_root), lambda job_id: self._view.get(job_id))
        self._open: dict[str, Job] = {}  # jobs whose rows are still to become blocks
        self._moved: set[str] = set()  # jobs that may have all their rows since the last round
        self._given_up = GivenUpJobs()
        self._principals = FollowedPrincipals(settings)
        self._view = JobTable(PackedJobs())
        self._view.listen(self._job_changed)
        self._announcer = Announcer()
        self._rests_at = 0.0
        self._next_reports = 0.0
        self._most = ROUND_RECORDS

    def run(self) -> None:
        """Work until told to stop.

        Raises:
            PublishError: Kafka refused a report. The process must end; starting it again is safe.
        """
        wait_for_topics(self._settings, self._stopping, say=False)
        if self._stopping():
            return
        self._jobs = ViewConsumer(self._settings, self._view)
        self._publisher = BlockPublisher(self._settings, self._metrics)
        try:
            while not self._stopping():
                try:
                    self._session()
                except (InterruptedSessionError, GivenUpError, KafkaException) as error:
                    log.warning(
                        "inbox: the reader restarts its Kafka session after: %s",
                        error,
                        extra=as_event("inbox.restarted"),
                    )
                    time.sleep(_PAUSE_SECONDS)
        finally:
            self._publisher.flush(1.0)
            self._jobs.close()
            self._principals.close()

    def _session(self) -> None:
        self._refresh()
        with (
            closing(Transactions(self._settings)) as transactions,
            closing(InboxConsumer(self._settings, self._context, self._refresh, self._metrics)) as consumer,
        ):
            while not self._stopping():
                self._round(consumer, transactions)

    def _refresh(self) -> None:
        self._jobs.catch_up(self._stopping)

    def _context(self, partitions: int) -> InboxContext:
        patience = self._settings.unknown_job_seconds
        return InboxContext(
            self._view.get,
            self._datasets,
            self._limits,
            patience,
            partitions,
            self._sealer.encoded,
            self._quotas,
            Senders(self._principals.registry, self._settings.require_signed_commands).problem,
            self._given_up,
            self._sealer.storage_problem,
        )

    def _round(self, consumer: InboxConsumer, transactions: Transactions) -> None:
        resting = time.monotonic() >= self._rests_at and all(
            partition.at_rest for partition in consumer.assigned.values()
        )
        count, size = consumer.receive(1, RESTING_SECONDS) if resting else consumer.receive(self._most, ROUND_SECONDS)
        if count:
            self._rests_at = time.monotonic() + RESTS_AFTER_SECONDS
            self._most = max(1, min(ROUND_RECORDS, ROUND_BYTES * count // max(size, 1)))
        self._jobs.follow()
        if count and (consumer.signed or self._settings.require_signed_commands):
            self._principals.be_current()
        now = time.monotonic()
        for partition in consumer.assigned.values():
            partition.work(now)
        consumer.read_again(now)
        consumer.hold()
        batches = {number: batch for number, partition in consumer.assigned.items() if (batch := partition.gather())}
        if batches:
            try:
                transactions.write(batches, consumer.group)
            except InterruptedSessionError:
                self._metrics.transactions.labels("aborted").inc()
                raise
            self._count(batches)
            self._moved |= {job_id for batch in batches.values() for job_id, _ in batch.states}
            dead_letters = [letter for batch in batches.values() for letter in batch.dead_letters]
            if dead_letters:
                told = as_event("record.refused", records=len(dead_letters))
                log.warning(
                    "inbox: %d records refused, the first because: %s",
                    len(dead_letters),
                    dead_letters[0].reason,
                    extra=told,
                )
        self._publisher.poll()
        if now >= self._next_reports:
            self._next_reports = now + REPORT_SECONDS
            consumer.measure()
            for report in self._announcer.due(self._reports(consumer, self._open), now):
                self._publisher.report(report)
        self._tell_ends(consumer, now)

    def _tell_ends(self, consumer: InboxConsumer, now: float) -> None:
        """Report at once which of the jobs that have moved have all their rows: somebody may wait for that."""
        moved = {job_id: self._open[job_id] for job_id in self._moved if job_id in self._open}
        self._moved.clear()
        reports = [report for report in self._reports(consumer, moved) if isinstance(report, InputEnded)]
        news = [report for report in reports if self._announcer.is_due(report, now)]
        for report in news:
            self._publisher.report(report)
        if news:
            self._publisher.hurry()

    def _count(self, batches: dict[int, Batch]) -> None:
        self._metrics.transactions.labels("committed").inc()
        for batch in batches.values():
            rows = sum(len(block.rows) for _, block in batch.blocks)
            self._metrics.published("inbox", len(batch.blocks), rows, sum(map(len, batch.values)))
            self._metrics.refused.inc(len(batch.dead_letters))

    def _reports(self, consumer: InboxConsumer, jobs: Mapping[str, Job]) -> Iterator[Report]:
        for job in jobs.values():
            partition = consumer.assigned.get(home_partition(job.id, consumer.partitions))
            if partition is not None:
                buffer = partition.buffers.get(job.id) or RowBuffer(InboxRecord(job_id=job.id))
                storage_problem = partition.passed_over.problem(job.id)
                report = report_on(job, buffer, self._given_up.get(job.id), storage_problem)
                if report is not None:
                    yield report

    def _job_changed(self, job_id: str, job: Job | None) -> None:
        if job is not None and understood(job) and takes_rows(job):
            self._open[job_id] = job
            if job.announced_rows is not None:
                self._moved.add(job_id)
        else:
            self._open.pop(job_id, None)
        self._given_up.changed(job_id, job)


class InboxThread:
    """The reader of the inbox in a thread; when it fails, the process has to end."""

    def __init__(self, settings: Settings, stopping: Callable[[], bool], metrics: ReaderMetrics) -> None:
        self.failed = False
        self._inbox = Inbox(settings, stopping, metrics)
        self._thread = threading.Thread(target=self._run, name="inbox")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self) -> None:
        """Wait until it has stopped."""
        self._thread.join()

    def _run(self) -> None:
        try:
            self._inbox.run()
        except PublishError as error:
            log.critical(
                "inbox: the reader ends and must be started again: %s", error, extra=as_event("process.failed")
            )
            self.failed = True
        except Exception:
            log.exception("inbox: the reader can't go on", extra=as_event("process.failed"))
            self.failed = True
