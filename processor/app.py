"""The Faust app of a worker: agents on commands, rows, progress and job events, and the control table they watch."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import faust
from confluent_kafka import KafkaException
from faust.types import TP, EventT, Message

from control.agent import ControlAgent
from control.jobtable import JobTable
from processor.engine import Engine
from processor.metrics import WorkerMetrics
from processor.reporter import Reporter
from processor.stream.acknowledgement import Acknowledgeable
from processor.stream.command_intake import CommandIntake
from processor.stream.control_table import read_ahead
from processor.stream.faust_app import make_app
from processor.stream.job_records import JobRecords
from processor.stream.lease import Lease
from processor.stream.report_copies import NO_OLD_REPORTS, ReportCopies
from runtime.clock import now_ms
from runtime.settings import Settings
from runtime.telemetry.log_events import as_event
from runtime.telemetry.tracing import parent_in
from schemas.messages.codec import UndecodableError, decode
from schemas.messages.commands import Command
from schemas.messages.dead_letters import DeadLetter, RejectedRecord
from schemas.topics import TopicName, topic_name

log = logging.getLogger(__name__)

CATCH_UP_SECONDS = 10.0
"""How long the control table may stand still before the worker logs it."""


class Acknowledgement:
    """A record's acknowledgement, to be given once what the record led to is durable."""

    __slots__ = ("_app", "_message")

    def __init__(self, app: faust.App, message: Message) -> None:
        self._app = app
        self._message = message

    def ack(self) -> bool:
        """Let Faust commit up to this record."""
        done: bool = self._app.consumer.acknowledge(self._message)
        return done


def _headers(message: Message) -> Any:
    """A record's headers as pairs; Faust gives some versions of a mapping."""
    headers = message.headers
    return list(headers.items()) if hasattr(headers, "items") else headers


def rejected(message: Message, error: UndecodableError) -> RejectedRecord:
    """A record that can't be read, with its place and the reason."""
    return RejectedRecord(message.topic, message.partition, message.offset, message.key, message.value, str(error))


CONSUMED: tuple[TopicName, ...] = ("commands", "reports", "rows", "progress", "job-events")

Handler = Callable[[EventT, Acknowledgement], Awaitable[None]]
Skip = Callable[[Acknowledgeable], Awaitable[None]]


class WorkerApp:
    """Binds the Faust app to the parts that do the work. Each handler decodes, calls, and acknowledges."""

    def __init__(
        self,
        settings: Settings,
        jobs: JobTable,
        control: ControlAgent,
        reporter: Reporter,
        lease: Lease,
        bury: Callable[[list[DeadLetter]], Awaitable[None]],
        metrics: WorkerMetrics | None = None,
        copies: ReportCopies | None = None,
    ) -> None:
        """`bury` writes dead letters, and returns once Kafka has them."""
        self.app = make_app(settings)
        self._settings = settings
        self._jobs = jobs
        self._control = control
        self._reporter = reporter
        self._lease = lease
        self._bury = bury
        self._copies = copies
        self._metrics = metrics or WorkerMetrics()
        self._table = TP(topic_name(settings.prefix, "jobs"), 0)
        self._records = JobRecords(jobs, self._table.topic)
        self.intake = CommandIntake(control, self._metrics.commands.observe)
        self._begun = False
        """Whether the control table has been read to its end once."""
        lease.last_heartbeat = lambda: self.app.consumer.last_heartbeat
        self.engine: Engine | None = None
        self._rows = topic_name(settings.prefix, "rows")
        self._commands = topic_name(settings.prefix, "commands")
        self._command_log = TP(self._commands, 0)
        self._table_moved = asyncio.Event()
        self._table_read = asyncio.Event()
        self._catching_up: asyncio.Task[None] | None = None
        self._held = asyncio.Event()
        self._taking_over: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._bind()

    def _topic(self, name: TopicName) -> Any:
        return self.app.topic(topic_name(self._settings.prefix, name), key_type=bytes, value_type=bytes)

    def _bind(self) -> None:
        app = self.app
        table = app.GlobalTable(
            "jobs",
            partitions=1,
            recovery_buffer_size=1,
            changelog_topic=self._topic("jobs"),
            on_changelog_event=self._on_job_record,
            key_type=bytes,
            value_type=bytes,
        )
        table.reads_from(lambda: self._records.next)
        agents: tuple[tuple[TopicName, str, Handler, Skip, Callable[[], asyncio.Event]], ...] = (
            ("commands", "control", self._on_command, self.intake.skip, lambda: self._table_read),
            ("reports", "reports", self._on_report, self._skip_report, lambda: self._held),
            ("rows", "dispatcher", self._on_block, self._skip_block, self._engine_ready),
            ("progress", "progress-reports", self._on_progress, self._reporter.skip, lambda: self._held),
            ("job-events", "job-reports", self._on_job_event, self._reporter.skip, lambda: self._held),
        )
        for topic, name, handle, skip, when in agents:
            app.agent(self._topic(topic), name=name)(self._agent(handle, skip, when))
        app.on_partitions_revoked.connect(self._on_revoked, weak=False)
        app.on_partitions_assigned.connect(self._on_assigned, weak=False)
        app.on_rebalance_complete.connect(self._on_recovered, weak=False)

    def _engine_ready(self) -> asyncio.Event:
        assert self.engine is not None
        return self.engine.ready

    def _agent(self, handle: Handler, skip: Skip, when: Callable[[], asyncio.Event]) -> Any:
        """An agent that acknowledges nothing by itself, and ends the worker on an error: the next owner tries again.

        A record that can't be read (UndecodableError of `handle`) is no such error: it becomes a dead letter, and
        `skip` acknowledges it in its turn. An error of one job fails that job, see `JobFailures` and `ControlAgent`.
        `when()` is set while its records may be handled; never between a revocation and the next assignment.
        """

        async def agent(stream: Any) -> None:
            async for event in stream.noack().events():
                try:
                    await when().wait()
                    # Records that were fetched before a rebalance come again to the worker that now owns the partition.
                    if event.message.generation_id != self.app.consumer_generation_id:
                        continue
                    self._lease.require()
                    acknowledgement = Acknowledgement(self.app, event.message)
                    try:
                        await handle(event, acknowledgement)
                    except UndecodableError as error:
                        await self._reject(rejected(event.message, error))
                        await skip(acknowledgement)
                except Exception as error:
                    log.exception("this worker can't go on", extra=as_event("process.failed"))
                    await self.app.crash(error)
                    return

        return agent

    async def _reject(self, record: RejectedRecord) -> None:
        log.error("this record is a dead letter now: %s", record, extra=as_event("record.unreadable"))
        await self._bury([record.dead_letter()])

    def read_ahead(self, stopping: Callable[[], bool]) -> None:
        """Read the control table to its end, before Faust starts; to be called once, in a thread. Return early when
        `stopping`. Where Kafka does not answer, Faust has more to read.
        """
        try:
            read_ahead(self._settings, self._records.take, stopping)
        except KafkaException as error:
            log.warning("the control table can't be read ahead: %s", error, extra=as_event("kafka.trouble"))
        self._records.apply()

    async def _on_job_record(self, event: EventT) -> None:
        message = event.message
        self._records.take(message.offset, message.key, message.value)
        if self._begun:
            self._records.apply()
            if self._table_read.is_set():
                await self._reject_states()
        self._table_moved.set()

    async def _reject_states(self) -> None:
        """Make dead letters of records of the control table, as the owner of the commands; every worker reads them.

        A worker that takes the commands over finds records that its predecessor has reported as well: a repeat names
        the same place.
        """
        for record in self._records.rejected():
            if self._owns_commands:
                await self._reject(record)
            else:
                log.error("this record is left out: %s", record, extra=as_event("record.unreadable"))

    def measure(self) -> None:
        """Bring the gauges up to date. To be called in the event loop."""
        metrics, consumer = self._metrics, self.app.consumer
        metrics.not_understood.set(len(self._jobs.not_understood))
        metrics.controls.set(self._owns_commands)
        if self.engine is not None:
            self.engine.measure(metrics)
        lags: dict[str, int] = {topic_name(self._settings.prefix, name): 0 for name in CONSUMED}
        for tp in consumer.assignment():
            noted = consumer._committed_offset.get(tp)
            end = consumer.highwater(tp) if tp.topic in lags else None
            if end is not None and noted is not None:
                lags[tp.topic] += max(0, end - noted)
        for topic, records in lags.items():
            metrics.lag.labels(topic).set(records)

    @property
    def commands(self) -> bool:
        """Whether this worker carries out the commands, and has read every job's state."""
        return self._table_read.is_set() and self._owns_commands

    @property
    def _owns_commands(self) -> bool:
        return any(tp.topic == self._commands for tp in self.app.consumer.assignment())

    async def _on_command(self, event: EventT, acknowledgement: Acknowledgement) -> None:
        message = event.message
        at, headers = int(message.timestamp * 1000), _headers(message) or ()
        await self.intake.take(message.offset, at, message.key, message.value, headers, acknowledgement)

    async def _on_report(self, event: EventT, acknowledgement: Acknowledgement) -> None:
        assert self._copies is not None
        message = event.message
        if message.value != NO_OLD_REPORTS:
            decode(message.value or b"", Command)  # a record that is no report becomes a dead letter here, and no copy
        at, headers = int(message.timestamp * 1000), _headers(message) or ()
        await self._copies.take(message.offset, at, message.key, message.value, headers, acknowledgement)

    async def _on_block(self, event: EventT, acknowledgement: Acknowledgement) -> None:
        assert self.engine is not None
        message = event.message
        await self.engine.dispatch(
            message.partition, message.offset, message.value, acknowledgement, parent_in(_headers(message))
        )

    async def _on_progress(self, event: EventT, acknowledgement: Acknowledgement) -> None:
        await self._reporter.progress(
            event.message.partition, event.message.offset, event.message.value, acknowledgement
        )

    async def _skip_report(self, acknowledgement: Acknowledgeable) -> None:
        assert self._copies is not None
        await self._copies.skip(acknowledgement)

    async def _skip_block(self, acknowledgement: Acknowledgeable) -> None:
        assert self.engine is not None
        await self.engine.skip(acknowledgement)

    async def _on_job_event(self, event: EventT, acknowledgement: Acknowledgement) -> None:
        await self._reporter.job_event(event.message.value, acknowledgement)

    async def _on_revoked(self, _app: Any, revoked: set[TP], **_: Any) -> None:
        self._held.clear()
        await self.release_partitions(self.app.consumer.lost)

    async def release_partitions(self, lost: bool = False, patience: float | None = None) -> None:
        """Stop, finish what is under way, and close the partitions for their next owner.

        `lost`: they may have another owner already, and are not closed. `patience`: see `Engine.revoked`.
        """
        self._rebalancing()
        if self._taking_over is not None:
            self._taking_over.cancel()
        async with self._lock:
            self._reporter.forget()
            if self.engine is not None:
                await self.engine.revoked(lost, patience)
        await self.intake.release(lost)  # the commands under way are carried out: another worker may get the next one

    async def _on_assigned(self, _app: Any, assigned: set[TP], **_: Any) -> None:
        self._rebalancing()  # a recovery of the time before may have ended since
        self._held.set()
        for topic in {tp.topic for tp in assigned}:
            self._metrics.rebalances.labels(topic).inc()
        if self._taking_over is not None:
            self._taking_over.cancel()
        # In the background: this worker sends Kafka no heartbeat until this method has returned.
        self._taking_over = asyncio.create_task(
            self._take_over([tp.partition for tp in assigned if tp.topic == self._rows])
        )

    async def _take_over(self, partitions: list[int]) -> None:
        try:
            async with self._lock:
                if self.engine is not None:
                    await self.engine.revoked()
                    await self.engine.assigned(partitions)
        except Exception as error:
            log.exception("this worker can't go on", extra=as_event("process.failed"))
            await self.app.crash(error)

    def _rebalancing(self) -> None:
        """The control table may be behind from now on."""
        self._table_read.clear()
        if self._catching_up is not None:
            self._catching_up.cancel()
        if self.engine is not None:
            self.engine.rebalancing()

    async def _on_recovered(self, _app: Any, **_: Any) -> None:
        if not self._held.is_set():
            return  # the recovered partitions are revoked by now; the next assignment has a recovery of its own
        # In the background: Faust reads on only once this method has returned.
        if self._catching_up is not None:
            self._catching_up.cancel()
        self._catching_up = asyncio.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        """Read the control table to the end that it has now; then the worker begins."""
        try:
            end = (await self.app.consumer.highwaters(self._table))[self._table]
            logged_at = time.monotonic()
            while self._records.next < end:
                self._table_moved.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(CATCH_UP_SECONDS):
                        await self._table_moved.wait()
                if time.monotonic() - logged_at > CATCH_UP_SECONDS:
                    logged_at = time.monotonic()
                    log.warning(
                        "this worker waits for the control table: it is at offset %d of %d",
                        self._records.next,
                        end,
                        extra=as_event("table.behind"),
                    )
            self._records.apply()
            self._begun = True
            if self.engine is not None:
                self.engine.recovered()
            if self._owns_commands:
                async with self.intake.commanding:
                    end = (await self.app.consumer.highwaters(self._command_log))[self._command_log]
                    if self._copies is not None:
                        await self._copies.begin(self._records.next)
                    await self.intake.take_over(now_ms(), end)
            await self._reject_states()
            self._table_read.set()
        except Exception as error:
            log.exception("this worker can't go on", extra=as_event("process.failed"))
            await self.app.crash(error)
