"""Every place that holds values of jobs, in one list: a new one is added here, and in `StoreName`.

A purge removes a job from all of them; housekeeping from each of `EXPIRING` after its retention.
"""

from __future__ import annotations

import asyncio

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


def stores(settings: Settings, storage: Storage, sink: BulkSink, keys: JobKeys, clock: Clock) -> tuple[Store, ...]:
    """The stores, in the order in which a purge empties them."""
    prefix, root, turn = settings.prefix, settings.storage_root, asyncio.Lock()
    return (
        UploadedFiles(root),
        CorrectedFiles(root),
        Parts(storage),
        Results(storage),
        Documents("previews", index_name(prefix, "previews"), sink, clock, lambda job: job.options.dry_run),
        Documents("row_errors", index_name(prefix, "errors"), sink, clock, _may_have_errors),
        Documents("changes", index_name(prefix, "changes"), sink, clock, lambda job: job.options.dry_run),
        Documents("before_images", index_name(prefix, "images"), sink, clock, lambda job: job.mode is not None),
        Documents("undone", index_name(prefix, "undone"), sink, clock, lambda job: job.mode is not None),
        Blocks(keys),
        DeadLetters(settings, settings.retentions.longest("dead_letters"), turn),
        InboxRecords(settings, turn),
    )


def _may_have_errors(job: Job) -> bool:
    return job.source.kind != "query" and (job.applied is None or job.applied.rows_failed > 0 or job.retry is not None)
