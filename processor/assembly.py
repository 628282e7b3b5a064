"""Puts the parts of a worker's engine together: what each is given, and which of the others it calls."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence

from control.jobtable import JobTable
from processor.blocked import Blocked
from processor.elastic.bulk import BulkSink
from processor.elastic.generations import Generations
from processor.engine import Engine
from processor.erasure.base import Store
from processor.erasure.housekeeping import Housekeeping
from processor.erasure.purging import Purging
from processor.erasure.stores import stores
from processor.execution.batches import Batches
from processor.execution.failures import JobFailures
from processor.execution.inspections import Inspections
from processor.execution.job_keys import WorkerKeys
from processor.execution.job_states import JobStates
from processor.execution.job_steps import JobSteps
from processor.execution.maintenance import Duties, Maintenance
from processor.execution.searching import SharedSearches
from processor.execution.tasks import WorkerTasks
from processor.execution.troubles import Troubles
from processor.execution.work_factory import WorkFactory
from processor.gates import Gates
from processor.lanes.checkpoints import Checkpoints
from processor.lanes.owned_lanes import Lanes
from processor.lanes.ownership import Ownership, ReadLaneRecords
from processor.lanes.refill import Refill
from processor.lanes.room import Room
from processor.lanes.scheduler import Scheduler
from processor.metrics import WorkerMetrics
from processor.operations.base import Operation
from processor.stream.lease import Lease
from processor.stream.log_reader import LogReader
from processor.stream.publisher import RecordPublisher
from runtime.clock import SYSTEM_CLOCK, Clock
from runtime.files.sealing import JobKeys
from runtime.files.storage import Storage
from runtime.settings import Settings
from schemas.descriptors.datasets import Dataset
from schemas.messages.codec import encode
from schemas.messages.commands import StoresEmptied
from schemas.policies.quotas import QuotaBook


def make_engine(
    settings: Settings,
    jobs: JobTable,
    operations: Mapping[str, Operation],
    datasets: Mapping[str, Dataset],
    sink: BulkSink,
    publisher: RecordPublisher,
    reader: LogReader,
    read_lane_records: ReadLaneRecords,
    lease: Lease,
    metrics: WorkerMetrics,
    storage: Storage,
    clock: Clock = SYSTEM_CLOCK,
) -> Engine:
    """An engine that owns no partitions yet. To be called inside the event loop.

    `reader` reads parked blocks again; `read_lane_records` reads what the last owners of partitions have left.
    """
    quotas, keys = settings.quotas, JobKeys(settings.storage_root, patience=0)
    lanes, blocked = Lanes(), Blocked()
    sink.blocked = blocked
    woken = asyncio.Event()
    tasks = WorkerTasks(woken.set)
    gates = Gates(lease, jobs, lanes)

    # Blocks come in, and find room or wait in Kafka.
    failures = JobFailures(jobs, lanes, publisher, tasks.reports)
    checkpoints = Checkpoints(jobs, lanes, publisher, clock, lease, f"{socket.gethostname()}:{os.getpid()}")
    room = Room(jobs, lanes, settings.lane_blocks, lambda: scheduler.order(clock.monotonic()))
    refill = Refill(jobs, lanes, reader, room, woken.set, failures.lane_broken)
    scheduler = Scheduler(
        settings,
        quotas,
        jobs,
        lanes,
        on_taken=refill.taken,
        on_broken=failures.lane_broken,
        key_of=keys.find,
        wants_first=lambda job_id: inspections.wants_first(job_id),
        held=lambda: batches.held(),
        may_open=lambda job: worker_keys.may_open(job),
    )
    ownership = Ownership(lanes, publisher, read_lane_records, clock)

    # They are looked at and applied.
    troubles = Troubles(jobs, lanes, checkpoints, blocked)
    works = _works(settings, quotas, operations, datasets, sink, gates, troubles, clock)

    def first_block_wanted(job_id: str) -> None:
        woken.set()
        refill.job_changed(job_id)

    worker_keys = WorkerKeys(
        keys=keys,
        jobs=jobs,
        lanes=lanes,
        troubles=troubles,
        failures=failures,
        tasks=tasks.of_partitions,
        clock=clock,
        on_come=woken.set,
    )
    inspections = Inspections(
        jobs=jobs,
        lanes=lanes,
        works=works,
        failures=failures,
        publisher=publisher,
        searches=SharedSearches(sink),
        tasks=tasks.of_partitions,
        keys=worker_keys,
        on_wanted=first_block_wanted,
    )
    batches = Batches(
        in_flight=settings.bulk_in_flight,
        jobs=jobs,
        lanes=lanes,
        scheduler=scheduler,
        refill=refill,
        checkpoints=checkpoints,
        works=works,
        failures=failures,
        inspections=inspections,
        publisher=publisher,
        metrics=metrics,
        tasks=tasks.batches,
        clock=clock,
        blocked=blocked,
        woken=woken,
    )

    # What is done once for a job, and what is done again and again.
    kept = stores(settings, storage, sink, keys, clock)
    job_steps = JobSteps(
        lanes=lanes,
        checkpoints=checkpoints,
        works=works,
        failures=failures,
        publisher=publisher,
        tasks=tasks.job_steps,
        purging=Purging(kept),
    )
    housekeeping = _housekeeping(settings, jobs, kept, storage, keys, publisher, clock)
    duties = Duties(
        jobs=jobs, works=works, failures=failures, clock=clock, housekeeping=housekeeping, settings=settings
    )
    maintenance = Maintenance(lanes, gates.of_sweep(), clock, duties.periodic, duties.claims)

    def others_may_go_on() -> None:
        woken.set()
        room.look_again()
        refill.wake()

    blocked.on_told = lambda who, reason: troubles.of_elasticsearch(reason, who)
    blocked.on_changed = others_may_go_on
    sink.on_degraded = troubles.of_elasticsearch
    sink.on_request = metrics.request_done
    return Engine(
        settings,
        jobs,
        lanes,
        reader,
        ownership,
        room,
        refill,
        checkpoints,
        batches,
        job_steps,
        maintenance,
        JobStates(
            jobs,
            lanes,
            scheduler,
            refill,
            checkpoints,
            batches,
            job_steps,
            maintenance,
            failures,
            inspections,
            background=tasks.reports,
        ),
        tasks,
        clock,
    )


def _works(
    settings: Settings,
    quotas: QuotaBook,
    operations: Mapping[str, Operation],
    datasets: Mapping[str, Dataset],
    sink: BulkSink,
    gates: Gates,
    troubles: Troubles,
    clock: Clock,
) -> WorkFactory:
    """What the work on a job is made of."""

    def most_characters(organisation: str) -> int | None:
        most = quotas.of(organisation).field_characters
        return most if most < settings.block_bytes else None

    return WorkFactory(
        operations,
        datasets,
        settings.prefix,
        sink,
        gates,
        Generations(settings.prefix, sink, clock),
        clock.now_ms,
        most_characters,
        troubles=troubles.of_job,
    )


def _housekeeping(
    settings: Settings,
    jobs: JobTable,
    kept: Sequence[Store],
    storage: Storage,
    keys: JobKeys,
    publisher: RecordPublisher,
    clock: Clock,
) -> Housekeeping:
    """What empties stores, and reports it to the control agent."""

    async def report_emptied(report: StoresEmptied) -> None:
        await publisher.publish("reports", report.job_id.encode(), encode(report))

    return Housekeeping(jobs, kept, settings.retentions, storage, settings.storage_root, keys, clock, report_emptied)
