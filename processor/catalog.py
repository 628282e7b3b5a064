"""The operations of this installation. A new one is one more line here."""

from __future__ import annotations

from control.admission import Catalog
from processor.operations.base import Operation
from processor.operations.teams import Teams
from processor.operations.upload import Upload
from runtime.datasets import load_datasets
from runtime.settings import Settings

OPERATIONS: tuple[Operation, ...] = (Upload(), Teams())


def operations() -> dict[str, Operation]:
    """Name -> operation."""
    return {operation.name: operation for operation in OPERATIONS}


def catalog(settings: Settings) -> Catalog:
    """What admission must know of the operations and datasets."""
    return Catalog(
        operations={name: operation.kind for name, operation in operations().items()},
        datasets=load_datasets(settings.datasets_folder),
    )
