"""The operations of this installation: those that come with Sluice, and those that SLUICE_OPERATIONS names."""

from __future__ import annotations

from control.admission import Catalog
from control.kinds import kinds, plugins
from processor.operations.base import Operation
from processor.operations.teams import Teams
from processor.operations.upload import Upload
from runtime.datasets import load_datasets
from runtime.settings import Settings

BUILT_IN: tuple[Operation, ...] = (Upload(), Teams())


def operations(settings: Settings) -> dict[str, Operation]:
    """Name -> operation."""
    return {operation.name: operation for operation in (*BUILT_IN, *plugins(settings.operations))}


def catalog(settings: Settings) -> Catalog:
    """What admission must know of the operations and datasets."""
    return Catalog(
        operations=kinds(settings.operations),
        datasets=load_datasets(settings.datasets_folder),
    )
