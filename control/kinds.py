"""The kinds of operations in this installation: those that come with Sluice, and those that the settings name.

The API and the control agent need only the kind of an operation; workers load the operations themselves.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from control.admission import Kind

BUILT_IN: Final[Mapping[str, Kind]] = {
    "upload": Kind(sources=frozenset({"file", "topic"})),
    "teams": Kind(sources=frozenset({"file", "topic"}), dataset="teams"),
    "export": Kind(sources=frozenset({"query"}), exclusive=False, dated=True, makes_file=True),
}


class OperationError(ValueError):
    """An operation that can't be used; the message names it and says what to change."""


@lru_cache(maxsize=4)
def plugins(named: str) -> tuple[Any, ...]:
    """The operations that `named` lists as ``module:Class``, with commas between; each class is called once.

    Raises:
        OperationError: one can't be loaded, or is no operation.
    """
    found: dict[str, Any] = {}
    for reference in filter(None, (part.strip() for part in named.split(","))):
        operation = _loaded(reference)
        if operation.name in {*BUILT_IN, *found}:
            raise OperationError(f"SLUICE_OPERATIONS: {reference}: there is an operation {operation.name!r} already")
        found[operation.name] = operation
    return tuple(found.values())


def kinds(named: str) -> dict[str, Kind]:
    """Name -> kind of every operation; `named` as for `plugins`, which raises."""
    return {**BUILT_IN, **{operation.name: operation.kind for operation in plugins(named)}}


def _loaded(reference: str) -> Any:
    module, _, name = reference.partition(":")
    try:
        operation = getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise OperationError(
            f"SLUICE_OPERATIONS: {reference!r} can't be loaded: {error}; write module:Class, the module on PYTHONPATH"
        ) from error
    if not (isinstance(getattr(operation, "kind", None), Kind) and isinstance(getattr(operation, "name", None), str)):
        raise OperationError(f"SLUICE_OPERATIONS: {reference} is no operation: it needs a name and a kind")
    return operation
