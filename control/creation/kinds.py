"""The kinds of operations in this installation: those that come with Sluice, and those that the settings name.

The API and the control agent need only the kind of an operation; workers load the operations themselves.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from control.creation.admission import Kind
from runtime.process import CannotStartError
from schemas.descriptors.modes import MODES
from schemas.ids import SHORT_NAME, SHORT_NAME_RULE

BUILT_IN: Final[Mapping[str, Kind]] = {
    "upload": Kind(sources=frozenset({"file", "topic"}), modes=MODES, title="Upload a CSV", button="Upload"),
    "export": Kind(
        sources=frozenset({"query"}),
        exclusive=False,
        dated=True,
        makes_file=True,
        title="Export by date",
        button="Export",
    ),
    "teams": Kind(
        sources=frozenset({"file", "topic"}),
        dataset="teams",
        repeatable=True,
        modes=("create",),
        title="Create teams",
        summary="A team that exists already is a row error.",
        button="Create teams",
    ),
}
INTERFACE: Final = 1
"""The version of what an operation of one's own is given and has to offer; see extensions/__init__.py."""
_SOURCES: Final = frozenset({"file", "topic", "query"})
_METHODS: Final = ("apply", "undo", "left_over")
_FILE_METHODS: Final = ("finish", "discard", "keep")


class OperationError(CannotStartError, ValueError):
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
    problem = _problem(operation)
    if problem is not None:
        raise OperationError(f"SLUICE_OPERATIONS: {reference} can't be used: {problem}")
    return operation


def _problem(operation: Any) -> str | None:
    """What keeps an operation with a name and a kind from being used."""
    if not SHORT_NAME.match(operation.name):
        return f"its name is {operation.name!r}; a name is {SHORT_NAME_RULE}"
    interface = getattr(operation, "interface", 1)
    if type(interface) is not int or interface < 1:
        return f"its interface is {interface!r}; write the number of the version that it is written for"
    if interface > INTERFACE:
        return f"it is written for interface {interface}, and this version of Sluice has {INTERFACE}; update Sluice"
    sources = operation.kind.sources
    if not sources or not sources <= _SOURCES:
        return f"its kind has the sources {sorted(sources)}; use one or more of {', '.join(sorted(_SOURCES))}"
    methods = (*_METHODS, *(_FILE_METHODS if operation.kind.makes_file else ()))
    missing = [name for name in methods if not callable(getattr(operation, name, None))]
    return f"it lacks {', '.join(missing)}" if missing else None
