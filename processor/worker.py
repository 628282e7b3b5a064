"""A worker from its start to its end: what it is made of, and in which order its parts begin and stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import uvloop
from elasticsearch import AsyncElasticsearch

from control.agent import ControlAgent
from control.authorization.authorizer import Authorizer
from control.authorization.principals import FollowedPrincipals
from control.authorization.senders import Headers, kept_headers
from control.creation.admission import Catalog
from control.jobtable import JobTable
from control.outbox import Publish, Written
from processor.app import WorkerApp
from processor.assembly import make_engine
from processor.catalog import catalog, operations
from processor.elastic.bulk import BulkSink
from processor.engine import Engine
from processor.execution.timers import Timers
from processor.metrics import WorkerMetrics
from processor.reporter import Reporter
from processor.stream.any_headers import read_any_headers
from processor.stream.faust_app import pass_over_stopped_tasks
from processor.stream.lease import Lease
from processor.stream.log_reader import LogReader, read_lane_records
from processor.stream.publisher import RecordPublisher
from processor.stream.report_copies import KafkaReportLog, ReportCopies
from processor.stream.tested_versions import untested_libraries
from runtime.clients import async_elasticsearch
from runtime.clock import SYSTEM_CLOCK, now_ms
from runtime.datasets import require_datasets
from runtime.files.shared_folder import wait_for_shared_folder
from runtime.files.storage import open_storage
from runtime.process import collect_seldom, end_soon, return_freed_memory
from runtime.readiness import Readiness
from runtime.settings import Settings
from runtime.telemetry.exporter import serve
from runtime.telemetry.log_events import as_event
from runtime.topics.headers import headers_of
from runtime.topics.reading import TopicReading
from schemas.topics import topic_name

log = logging.getLogger("processor")

SHUTDOWN_DRAIN_SECONDS = 10.0
"""Seconds that a stopping worker waits for requests in flight, at most. If Elasticsearch has not answered all of them
by then, the worker leaves its partitions unclosed, and their next owner waits for the late requests."""


MEASURE_SECONDS = 2.0
"""How old the gauges are, at most."""


async def work(config: Settings, readiness: Readiness) -> int:
    """Run a worker until a signal stops it; answers its exit code."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    pass_over_stopped_tasks(asyncio.get_running_loop())
    stopped = asyncio.create_task(stop.wait())
    worked = asyncio.create_task(_work(config, readiness, stopped))
    await asyncio.wait([stopped, worked], return_when=asyncio.FIRST_COMPLETED)
    if not worked.done():
        readiness.clear()
        # Anything that hangs from here on (Kafka gone, Faust waiting for itself) must not keep the process alive.
        end_soon()
    return await worked


async def _work(config: Settings, readiness: Readiness, stopped: asyncio.Task[Any]) -> int:
    jobs, known, storage = JobTable(), catalog(config), open_storage(config)
    metrics = WorkerMetrics(lambda: readiness.ready, known.operations)
    serve(config, metrics.registry, lambda: readiness.ready)
    await asyncio.to_thread(wait_for_shared_folder, config.storage_root, stopped.done)
    if stopped.done():
        return 0
    connections = await _connect(config, metrics)
    publisher, lease = connections.publisher, Lease(config.session_timeout_seconds * 0.8)
    publish = fenced(publisher.write, lease)
    reporter = Reporter(config.prefix, BulkSink(connections.elastic))
    copies = ReportCopies(publisher, connections.report_log, lease, config.old_reports_hours)
    control = _control_agent(config, jobs, known, publish, copies, connections.principals, metrics)
    worker = WorkerApp(config, jobs, control, reporter, lease, publisher.bury, metrics, copies)
    engine = worker.engine = make_engine(
        config,
        jobs,
        operations(config, storage, connections.undecoded),
        known.datasets,
        _rows_sink(config, connections),
        publisher,
        connections.reader,
        partial(read_lane_records, config),
        lease,
        metrics,
        storage,
    )
    app = worker.app
    app.finalize()
    await asyncio.to_thread(worker.read_ahead, stopped.done)
    collect_seldom()  # the garbage collector need not look through the control table's jobs either
    return_freed_memory()

    leased = asyncio.create_task(lease.run())
    await app.start()
    timers = Timers(jobs, publish, lambda: worker.commands, SYSTEM_CLOCK)
    announcing = asyncio.create_task(_announce(engine, readiness))
    running = (engine, reporter, timers, copies, worker.intake)
    parts = [leased, *(asyncio.create_task(part.run()) for part in running), announcing]
    parts.append(asyncio.create_task(_measure(worker)))
    tasks: list[asyncio.Task[Any]] = [*parts, stopped, asyncio.create_task(app.wait_until_stopped())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    failed = not stopped.done()
    _log_errors(parts, app.crash_reason)

    announcing.cancel()
    readiness.clear()
    end_at_once(lease)
    end_soon()
    if not failed:
        await worker.release_partitions(patience=SHUTDOWN_DRAIN_SECONDS)
    await engine.close()
    await app.stop()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await connections.close()
    return 1 if failed else 0


@dataclass(frozen=True, slots=True)
class _Connections:
    """What a worker has open from its start to its end, besides what Faust has."""

    publisher: RecordPublisher
    reader: LogReader
    report_log: KafkaReportLog
    principals: FollowedPrincipals
    elastic: AsyncElasticsearch
    undecoded: AsyncElasticsearch
    """Its answers to bulk requests are bytes."""

    async def close(self) -> None:
        await self.reader.stop()
        await self.report_log.close()
        self.principals.close()
        await self.publisher.stop()
        await self.elastic.close()
        await self.undecoded.close()


async def _connect(config: Settings, metrics: WorkerMetrics) -> _Connections:
    elastic = async_elasticsearch(config, once=True)
    undecoded = async_elasticsearch(config, once=True, undecoded=True)
    publisher = RecordPublisher(config)
    await publisher.start()
    reader = LogReader(config, metrics)
    await reader.start()
    return _Connections(publisher, reader, KafkaReportLog(config), FollowedPrincipals(config), elastic, undecoded)


def _control_agent(
    config: Settings,
    jobs: JobTable,
    known: Catalog,
    publish: Publish,
    copies: ReportCopies,
    principals: FollowedPrincipals,
    metrics: WorkerMetrics,
) -> ControlAgent:
    """The agent that is at work while this worker owns the commands."""
    authorizer = Authorizer(
        copies,
        principals,
        partial(recent_commands, config),
        required=config.require_signed_commands,
        window_seconds=config.signed_command_seconds,
        roots=map(str, config.import_roots),
    )
    return ControlAgent(
        jobs,
        known,
        config.topic_partitions,
        publish,
        config.job_retention_days,
        now_ms,
        metrics.history,
        authorizer=authorizer,
    )


def _rows_sink(config: Settings, connections: _Connections) -> BulkSink:
    """Where the engine sends rows to."""
    return BulkSink(
        connections.elastic,
        config.bulk_in_flight,
        config.late_request_seconds,
        writer=connections.undecoded,
        batch_bytes=config.bulk_bytes,
        shard_seconds=config.request_timeout_seconds / 2,
    )


def _log_errors(parts: Iterable[asyncio.Task[Any]], crash_reason: BaseException | None) -> None:
    """Say which parts have ended by an error. `crash_reason`: Faust's own."""
    for task in parts:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            log.error("this worker stops after an error", exc_info=error, extra=as_event("process.failed"))
    if crash_reason is not None:
        log.error("this worker stops after an error: %r", crash_reason, extra=as_event("process.failed"))


async def recent_commands(config: Settings, since: int) -> list[tuple[int, Headers]]:
    """The offsets and signatures of the commands since a time. Raises KafkaException."""

    def read() -> list[tuple[int, Headers]]:
        reading = TopicReading(config, topic_name(config.prefix, "commands"), since_ms=max(1, since))
        return [(record.offset() or 0, kept_headers(headers_of(record))) for record in reading]

    return await asyncio.to_thread(read)


def end_at_once(lease: Lease) -> None:
    """End the process at once if its lease is over, without closing any connection in good order.

    Records that the producers have not sent yet must not be sent any more: an orderly stop would send them as soon as
    Kafka can be reached again, and a checkpoint among them would replace one of the next owner's.
    """
    if not lease.valid:
        logging.shutdown()
        os._exit(1)


def fenced(publish: Publish, lease: Lease) -> Publish:
    """The same, but only while the lease is valid: a control agent that was replaced must not write states."""

    async def write(records: Sequence[Written]) -> None:
        lease.require()
        await publish(records)

    return write


async def _announce(engine: Engine, readiness: Readiness) -> None:
    """Say that the worker is ready, once it is. Ends with an error alone: the worker ends then as well."""
    await engine.ready.wait()
    readiness.mark()
    log.info("ready", extra=as_event("process.ready"))
    await asyncio.Event().wait()


async def _measure(worker: WorkerApp) -> None:
    while True:
        worker.measure()
        await asyncio.sleep(MEASURE_SECONDS)


def run_worker(config: Settings) -> int:
    """Run a worker until a signal stops it; answers the exit code.

    Raises:
        CannotStartError, DatasetError: starting it again does not help.
        aiokafka.errors.KafkaError, OSError: it may help later.
    """
    readiness = Readiness(config)
    require_datasets(config.datasets_folder)
    for sentence in untested_libraries():
        log.warning(sentence, extra=as_event("process.untested_library"))
    collect_seldom()
    read_any_headers()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work(config, readiness))
