"""The forms that start jobs, one for each operation, as its kind says. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from control.creation.admission import Catalog, Kind
from schemas.descriptors.datasets import Dataset
from schemas.descriptors.modes import Mode

_MODES: Final[dict[Mode, str]] = {
    "create": "a key that exists is a row error",
    "upsert": "columns of the file replace, others stay; a new key is a new document",
    "replace": "the document becomes the row",
    "update": "columns of the file replace; a key that is missing is a row error",
    "delete": "the document goes; a key that is missing is a row error",
}


@dataclass(frozen=True, slots=True)
class StartForm:
    """What the template needs of one form."""

    operation: str
    title: str
    button: str
    hint: str
    """What becomes of the rows; empty: nothing more is said."""
    source: str
    """Where its rows come from, as `source_of` says."""
    dataset: str
    """The one dataset that it is for; empty: one is to be chosen."""
    choices: tuple[tuple[str, str], ...]
    """The datasets to choose from, each with what is said of it; none: it is for one alone."""
    dated: bool
    makes_file: bool
    queues: bool
    """Another job may be in its way."""
    modes: tuple[tuple[Mode, str], ...] = ()
    """Modes to choose from, each with what it does; none: there is no choice."""


def start_forms(catalog: Catalog) -> list[StartForm]:
    """The forms of an installation, in the order of its operations."""
    return list(_forms(catalog))


def source_of(kind: Kind) -> str:
    """Where a job that a form starts has its rows from: the file that is sent along, else the topic, else a query."""
    return next(source for source in ("file", "topic", "query") if source in kind.sources)


def named(operation: str) -> str:
    """The name of an operation, as the beginning of a sentence."""
    words = operation.replace("_", " ").replace("-", " ")
    return words[:1].upper() + words[1:]


def _forms(catalog: Catalog) -> Iterator[StartForm]:
    for operation, kind in catalog.operations.items():
        only = catalog.datasets.get(kind.dataset) if kind.dataset is not None else None
        if kind.dataset is not None and only is None:
            continue  # every job of it would be refused
        datasets = [catalog.datasets[name] for name in sorted(catalog.datasets)] if only is None else []
        columns = f"Columns: {', '.join(only.columns)}." if only is not None and source_of(kind) != "query" else ""
        yield StartForm(
            operation=operation,
            title=kind.title or named(operation),
            button=kind.button or "Start",
            hint=" ".join(filter(None, (columns, kind.summary))),
            source=source_of(kind),
            dataset=only.name if only is not None else "",
            choices=tuple(
                (dataset.name, _described(dataset, kind))
                for dataset in datasets
                if dataset.date_field or not kind.dated
            ),
            dated=kind.dated,
            makes_file=kind.makes_file,
            queues=kind.exclusive,
            modes=tuple((mode, _MODES[mode]) for mode in kind.modes) if len(kind.modes) > 1 else (),
        )


def _described(dataset: Dataset, kind: Kind) -> str:
    if kind.dated:
        return f"{dataset.name}, by {dataset.date_field}"
    key = f"; key: {', '.join(dataset.primary_key)}" if dataset.key_scope == "organisation" else ""
    return f"{dataset.name}: {', '.join(dataset.columns)}{key}"
