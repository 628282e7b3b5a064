"""The datasets' descriptors, looked at before anything is started that would end because of them."""

from __future__ import annotations

from devstack.errors import StackError
from runtime.datasets import load_datasets
from runtime.settings import Settings
from schemas.datasets import Dataset, DatasetError


def usable_datasets(settings: Settings) -> dict[str, Dataset]:
    """Name -> dataset.

    Raises:
        StackError: a descriptor can't be used.
    """
    try:
        return load_datasets(settings.datasets_folder)
    except DatasetError as error:
        raise StackError(str(error)) from error
