"""The datasets this installation knows: those in schemas/datasets/ and those in the folder the settings name."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any

import schemas
from schemas.descriptors.datasets import Dataset, DatasetError, parse_dataset

_NAME = re.compile(r"^[a-z][a-z0-9_-]{0,63}\Z")
BUILT_IN = Path(schemas.__file__).parent / "datasets"
MOST_BYTES = 1024 * 1024
"""Bytes of a descriptor, at most: each process reads all of them at its start, and keeps them."""


@lru_cache(maxsize=4)
def load_datasets(folder: Path | None = None) -> dict[str, Dataset]:
    """Name -> dataset, from ``<name>.json`` files; a file in `folder` wins over a built-in of the same name.

    Raises:
        DatasetError: a file is not a usable Table Schema; the message names the file.
    """
    found: dict[str, Dataset] = {}
    for place in (BUILT_IN, *([folder] if folder else [])):
        for path in _files(place):
            if not _NAME.match(path.stem):
                raise DatasetError(
                    f"{path.name!r}: a dataset's file is named in lower case: letters, digits, - and _, at most 64"
                )
            found[path.stem] = parse_dataset(path.stem, _descriptor(path))
    return found


def require_datasets(folder: Path | None) -> None:
    """End the process with a sentence and exit code 1 if a descriptor can't be used. Call this at its start."""
    try:
        load_datasets(folder)
    except DatasetError as error:
        sys.exit(f"sluice: {error}")


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.name.endswith(".json"))
    except OSError as error:
        reason = error.strerror or error
        raise DatasetError(f"SLUICE_DATASETS_FOLDER {folder} can't be read: {reason}; name a folder") from error


def _descriptor(path: Path) -> Any:
    """A file's JSON, read strictly: a text that two programs could read in two ways is refused."""
    where = f"dataset {path.stem}, file {path}"
    try:
        if not path.is_file():  # reading a pipe would wait for its writer
            raise DatasetError(f"{where}: it is no file")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise DatasetError(f"{where}: it has more than {MOST_BYTES:,} bytes, the most of a descriptor")
        text = data.decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except DatasetError:
        raise
    except OSError as error:
        raise DatasetError(f"{where}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{where}: it is not of UTF-8 from byte {error.start + 1} on; save it as UTF-8") from error
    except RecursionError as error:
        raise DatasetError(f"{where}: lists and objects lie too deep in each other") from error
    except ValueError as error:
        raise DatasetError(f"{where}: it is not of JSON: {error}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        named = f", in field {made['name']!r}" if isinstance(made.get("name"), str) else ""
        raise ValueError(f"{twice!r} stands twice in one object{named}; take one out")
    return made


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is no number")
