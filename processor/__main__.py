"""``python -m processor``: one worker."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from functools import partial
from typing import Any

import uvloop

from control.agent import ControlAgent, Publish
from control.jobtable import JobTable
from processor.app import WorkerApp
from processor.assembly import make_engine
from processor.catalog import catalog, operations
from processor.elastic.bulk import BulkSink
from processor.engine import Engine
from processor.metrics import WorkerMetrics
from processor.reporter import Reporter
from processor.stream.lease import Lease
from processor.stream.log_reader import LogReader, read_lane_records
from processor.stream.publisher import Publisher
from processor.stream.tested_versions import untested_libraries
from runtime.clients import async_elasticsearch
from runtime.clock import now_ms
from runtime.datasets import require_datasets
from runtime.logs import configure_logging
from runtime.privacy import keep_files_private
from runtime.readiness import mark_ready
from runtime.settings import Settings, settings
from runtime.storage import open_storage
from schemas.topics import TopicName

log = logging.getLogger("processor")

STOP_SECONDS = 45.0
"""After a signal, at most: requests in flight have 35 s to be answered."""


async def work(config: Settings) -> int:
    """Run a worker until a signal stops it; answers its exit code."""
    jobs = JobTable()
    publisher = Publisher(config)
    await publisher.start()
    elastic = async_elasticsearch(config, once=True)
    undecoded = async_elasticsearch(config, once=True, undecoded=True)
    storage = open_storage(config)
    metrics = WorkerMetrics()
    if config.metrics_port is not None:
        metrics.serve(config.metrics_port, config.metrics_host)
    reader = LogReader(config, metrics)
    await reader.start()
    known = catalog(config)
    reporter = Reporter(config.prefix, BulkSink(elastic))
    lease = Lease(config.session_timeout_seconds * 0.8)
    publish = fenced(publisher.publish, lease)
    control = ControlAgent(jobs, known, config.topic_partitions, publish, config.job_retention_days, now_ms)
    worker = WorkerApp(config, jobs, control, reporter, lease, publisher.bury)
    engine = make_engine(
        config,
        jobs,
        operations(config, storage, undecoded),
        known.datasets,
        BulkSink(elastic, config.bulk_in_flight, config.late_request_seconds),
        publisher,
        reader,
        partial(read_lane_records, config),
        lease,
        metrics,
        storage,
    )
    worker.engine = engine
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    app = worker.app
    app.finalize()
    leased = asyncio.create_task(lease.run())
    await app.start()
    stopped = asyncio.create_task(stop.wait())
    parts = [leased, asyncio.create_task(engine.run()), asyncio.create_task(reporter.run())]
    tasks: list[asyncio.Task[Any]] = [*parts, stopped, asyncio.create_task(app.wait_until_stopped())]
    ready = asyncio.create_task(_announce(engine, config))
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    failed = not stopped.done()
    for task in parts:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            log.error("this worker stops after an error", exc_info=error)
    if app.crash_reason is not None:
        log.error("this worker stops after an error: %r", app.crash_reason)
    ready.cancel()
    end_at_once(lease)
    # Anything that hangs from here on (Kafka gone, Faust waiting for itself) must not keep the process alive.
    watchdog = threading.Timer(STOP_SECONDS, os._exit, (1,))
    watchdog.daemon = True
    watchdog.start()
    if not failed:
        await worker.release_partitions()
    await engine.close()
    await app.stop()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await reader.stop()
    await publisher.stop()
    await elastic.close()
    await undecoded.close()
    return 1 if failed else 0


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

    async def write(topic: TopicName, key: bytes, value: bytes | None) -> None:
        lease.require()
        await publish(topic, key, value)

    return write


async def _announce(engine: Engine, config: Settings) -> None:
    await engine.ready.wait()
    mark_ready(config)


def main() -> None:
    """Run until a signal comes; exits with 1 after an error, so that its supervisor starts another one."""
    config = settings()
    keep_files_private(config.home)
    configure_logging(config)
    require_datasets(config.datasets_folder)
    for sentence in untested_libraries():
        log.warning(sentence)
    # Blocks are short-lived lists without cycles: the collector's usual thresholds would walk them again and again.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(work(config)))


if __name__ == "__main__":
    main()
