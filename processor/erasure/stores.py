"""Every place that holds values of jobs, in one list: a new one is added here, and in `StoreName`.

A purge removes a job from all of them; housekeeping from each of `EXPIRING` after its retention.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from processor.elastic.bulk import BulkSink
from processor.erasure.base import Store
from processor.erasure.documents import Documents
from processor.erasure.files import Blocks, CorrectedFiles, Parts, Results, UploadedFiles
from processor.erasure.topics import DeadLetters, InboxRecords
from runtime.clock import Clock
from runtime.files.sealing import JobKeys
from runtime.files.storage import Storage
from runtime.settings import Settings
from schemas.indices import index_name
from schemas.job import Job
from schemas.policies.retention import StoreName


def stores(settings: Settings, storage: Storage, sink: BulkSink, keys: JobKeys, clock: Clock) -> tuple[Store, ...]:
    """The stores, in the order in which a purge empties them."""
    prefix, root, turn, merging = settings.prefix, settings.storage_root, asyncio.Lock(), asyncio.Lock()

    def documents(name: StoreName, index: str, holds: Callable[[Job], bool]) -> Documents:
        return Documents(name, index_name(prefix, index), sink, clock, holds, merging)

    return (
        UploadedFiles(root),
        CorrectedFiles(root),
        Parts(storage),
        Results(storage),
        documents("previews", "previews", lambda job: job.options.dry_run),
        documents("row_errors", "errors", _may_have_errors),
        documents("changes", "changes", lambda job: job.options.dry_run),
        documents("before_images", "images", lambda job: job.mode is not None),
        documents("undone", "undone", lambda job: job.mode is not None),
        Blocks(keys),
        DeadLetters(settings, settings.retentions.longest("dead_letters"), turn),
        InboxRecords(settings, turn),
    )


def _may_have_errors(job: Job) -> bool:
    return job.source.kind != "query" and (job.applied is None or job.applied.rows_failed > 0 or job.retry is not None)
