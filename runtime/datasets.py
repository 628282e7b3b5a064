"""The datasets this installation knows: those in schemas/datasets/ and those in the folder the settings name."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path

from schemas import datasets as _package
from schemas.datasets import Dataset, DatasetError, parse_dataset

_NAME = re.compile(r"^[a-z][a-z0-9_-]{0,63}\Z")
BUILT_IN = Path(_package.__file__).parent / "datasets"


@lru_cache(maxsize=4)
def load_datasets(folder: Path | None = None) -> dict[str, Dataset]:
    """Name -> dataset, from ``<name>.json`` files; a file in `folder` wins over a built-in of the same name.

    Raises:
        DatasetError: a file is not a usable Table Schema; the message names the file.
    """
    found: dict[str, Dataset] = {}
    for place in (BUILT_IN, *([folder] if folder else [])):
        for path in sorted(place.glob("*.json")):
            if not _NAME.match(path.stem):
                raise DatasetError(f"{path.name}: a dataset's file is named in lower case: letters, digits, - and _")
            try:
                found[path.stem] = parse_dataset(path.stem, json.loads(path.read_bytes()))
            except (OSError, json.JSONDecodeError) as error:
                raise DatasetError(f"dataset file {path}: {error}") from error
    return found
