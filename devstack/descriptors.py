"""Checks the datasets' descriptors before the start of processes that would end because of a bad one."""

from __future__ import annotations

from devstack.errors import StackError
from runtime.datasets import load_datasets
from runtime.settings import Settings
from schemas.descriptors.datasets import Dataset, DatasetError


def usable_datasets(settings: Settings) -> dict[str, Dataset]:
    """Name -> dataset.

    Raises:
        StackError: a descriptor can't be used.
    """
    try:
        return load_datasets(settings.datasets_folder)
    except DatasetError as error:
        raise StackError(str(error)) from error
