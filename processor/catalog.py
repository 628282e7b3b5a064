"""The operations of this installation: those that come with Sluice, and those that SLUICE_OPERATIONS names."""

from __future__ import annotations

from elasticsearch import AsyncElasticsearch

from control.creation.admission import Catalog
from control.creation.kinds import kinds, plugins
from processor.operations.base import Operation
from processor.operations.export import Export
from processor.operations.teams import Teams
from processor.operations.upload import Upload
from runtime.datasets import load_datasets
from runtime.files.storage import Storage
from runtime.settings import Settings
from schemas.job import BlockLimits


def operations(settings: Settings, storage: Storage, undecoded: AsyncElasticsearch) -> dict[str, Operation]:
    """Name -> operation. `undecoded` is a client whose answers are bytes."""
    made: tuple[Operation, ...] = (
        Upload(undecoded),
        Teams(undecoded),
        Export(storage, undecoded, settings.late_request_seconds),
    )
    return {operation.name: operation for operation in (*made, *plugins(settings.operations))}


def catalog(settings: Settings) -> Catalog:
    """The kinds of operations and the datasets, for admission."""
    return Catalog(
        operations=kinds(settings.operations),
        datasets=load_datasets(settings.datasets_folder),
        quotas=settings.quotas,
        sealing=settings.seal_blocks,
        limits=BlockLimits(rows=settings.block_rows, bytes=settings.block_bytes, slice_rows=settings.slice_rows),
    )
