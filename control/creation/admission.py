"""Which jobs may be made, and which may run at the same time. REST, the page and the topic ask here. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from control.creation.limits import (
    columns_problem,
    format_problem,
    options_problem,
    source_problem,
    suspicions_problem,
)
from control.creation.quotas import size_problem
from control.errors import Rejected
from csvfile.text.encodings import encoding_named, is_utf8
from schemas.descriptors.datasets import Dataset
from schemas.descriptors.modes import MERGING, Mode
from schemas.ids import SHORT_NAME, SHORT_NAME_RULE
from schemas.job import COLUMN_OPTIONS, FORMAT_OPTIONS, BlockLimits, Options, given
from schemas.messages.commands import CreateJob
from schemas.policies.quotas import QuotaBook

_DAY = re.compile(r"^\d{4}-\d\d-\d\d\Z", re.ASCII)
_SOURCES: Final = {"file": "a file", "topic": "the inbox (topic)", "query": "the dataset (query)"}
"""Kind of source -> what a person calls it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What admission must know of an operation."""

    sources: frozenset[str]
    """The kinds of source it takes: file, topic, query."""
    exclusive: bool = True
    """Two jobs with the same exclusive key never run at once."""
    dataset: str | None = None
    """The one dataset it is for; None: any."""
    dated: bool = False
    """The operation needs a dataset with a date, and a date range."""
    repeatable: bool = False
    """Jobs may apply the same file twice without `if_same`: the operation refuses rows that are there already."""
    makes_file: bool = False
    """Its outcome is a file, made when every block is applied, and taken out as a whole."""
    modes: tuple[Mode, ...] = ()
    """Modes that a job may have where keys reach the organisation; empty: the operation deals with keys itself."""
    title: str = ""
    """What the operator's page calls its form, e.g. "Create teams"; empty: what its name says."""
    summary: str = ""
    """A sentence or two for the form: what becomes of the rows."""
    button: str = ""
    """What the form's button says; empty: Start."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """The operations and datasets of this installation."""

    operations: Mapping[str, Kind]
    datasets: Mapping[str, Dataset]
    quotas: QuotaBook = field(default_factory=QuotaBook)
    sealing: bool = False
    """The blocks of new jobs are encrypted, so that only processes that can open them may work on these jobs."""
    limits: BlockLimits | None = None
    """How the rows of new jobs are divided; only the control agent has to know."""


def is_organisation(name: str) -> bool:
    """Whether an organisation can be called so."""
    return organisation_problem(name) is None


def creation_problem(command: CreateJob, catalog: Catalog) -> Rejected | None:
    """Why this job can't be made; None: it can."""
    problem = _problem(command, catalog)
    if problem is not None:
        return Rejected(400, problem)
    return size_problem(command.source, command.organisation, catalog.quotas.of(command.organisation))


def _problem(command: CreateJob, catalog: Catalog) -> str | None:
    kind = catalog.operations.get(command.operation)
    if kind is None:
        return f"operation {command.operation[:80]!r} is not known; use one of {_listed(catalog.operations)}"
    wrong_name = organisation_problem(command.organisation)
    if wrong_name is not None:
        return wrong_name
    return (
        _dataset_problem(command, kind, catalog)
        or _source_problem(command, kind)
        or options_problem(command.options)
        or suspicions_problem(command.options, command.source)
        or format_problem(command.options, command.source)
        or columns_problem(command.options, catalog.datasets[command.dataset], command.source)
        or _mode_problem(command, kind, catalog.datasets[command.dataset])
        or _kind_problem(command, kind, catalog)
    )


def _dataset_problem(command: CreateJob, kind: Kind, catalog: Catalog) -> str | None:
    if kind.dataset not in (None, command.dataset):
        return f"operation {command.operation} is for dataset {kind.dataset} only, not {command.dataset[:80]!r}"
    if not command.dataset:
        return f"dataset is missing; use one of {_listed(catalog.datasets)}"
    if command.dataset not in catalog.datasets:
        return f"dataset {command.dataset[:80]!r} is not known; use one of {_listed(catalog.datasets)}"
    return None


def _source_problem(command: CreateJob, kind: Kind) -> str | None:
    source = command.source
    if source.kind not in kind.sources:
        taken = " or ".join(_SOURCES[name] for name in sorted(kind.sources))
        advice = "; send no file, and leave out file and source" if kind.sources == {"query"} else ""
        return f"operation {command.operation} takes its rows from {taken}, not from {_SOURCES[source.kind]}{advice}"
    if command.draft and (source.kind != "file" or source.path):
        return "a draft is of a job that reads a file, which comes later: leave source.path out"
    if source.kind == "file" and not source.path and not command.draft:
        return "a job that reads a file must name it: give its path (in a command: source.path)"
    return source_problem(source)


def _mode_problem(command: CreateJob, kind: Kind, dataset: Dataset) -> str | None:
    asked, plain = command.options, Options()
    if asked.mode is None and asked.empty == plain.empty:
        return None
    if not kind.modes:
        return f"mode and empty belong to operations that write by a key; leave them out of {command.operation}"
    if asked.mode is not None and dataset.key_scope == "job" and asked.mode != "create":
        return (
            f"mode {asked.mode} needs a dataset whose key reaches the organisation (primaryKey and sluice.key_scope), "
            f"and dataset {dataset.name} has none: its rows can be created only"
        )
    possible = [mode for mode in dataset.modes if mode in kind.modes]
    if asked.mode is not None and asked.mode not in possible:
        return (
            f"mode {asked.mode} is not allowed here; operation {command.operation} on dataset {dataset.name} takes "
            f"{' or '.join(possible) or 'none'}"
        )
    if asked.empty != plain.empty and write_mode(command, kind, dataset) not in MERGING:
        return "empty says what an empty cell does in the modes upsert and update; leave it out in the others"
    return None


def write_mode(command: CreateJob, kind: Kind, dataset: Dataset) -> Mode | None:
    """How the job writes under keys of the organisation; None: it does not, its documents are its own."""
    if not kind.modes or dataset.key_scope != "organisation":
        return None
    return command.options.mode or (dataset.mode if dataset.mode in kind.modes else kind.modes[0])


def _kind_problem(command: CreateJob, kind: Kind, catalog: Catalog) -> str | None:
    """What fits some kinds of operations and not others."""
    options = command.options
    if kind.makes_file and (options.dry_run or options.max_errors is not None):
        return "dry_run and max_errors belong to operations that write rows; leave them out"
    if kind.dated:
        return _range_problem(command, catalog.datasets[command.dataset])
    if command.date_from is not None or command.date_till is not None:
        dated = _listed(name for name, other in catalog.operations.items() if other.dated)
        return f"from and till belong to operation {dated or 'export'}; leave them out"
    return None


def recorded_problem(command: CreateJob, catalog: Catalog) -> Rejected | None:
    """Why readers could not tell how the job's file is written, or which column is which, if the command has no other
    problem; None: they can, or find out by the header alone. The API records it when the file has come; services do so
    themselves.
    """
    options, recorded = command.options, command.source.columns
    if command.draft:
        return None
    told = given(options, FORMAT_OPTIONS) if command.source.format is None else {}
    if told and not (options.encoding and len(told) == 1 and is_utf8(encoding_named(options.encoding))):
        return Rejected(400, f"a command with {', '.join(told)} says how its file is written: source.format")
    if recorded is None:
        if command.source.kind == "file" and given(options, COLUMN_OPTIONS):
            text = "a command with options of columns says which column of its file is which: source.columns"
            return Rejected(400, text)
        return None
    dataset = catalog.datasets[command.dataset]
    strange = next((meant for meant in recorded.values() if meant is not None and meant not in dataset.columns), None)
    if strange is None:
        return None
    return Rejected(400, f"source.columns names {strange[:80]!r}, which is no column of dataset {dataset.name}")


def _range_problem(command: CreateJob, dataset: Dataset) -> str | None:
    if dataset.date_field is None:
        return f"dataset {dataset.name} has no date (sluice.date_field), so it can't be exported by date"
    if command.date_from is None:
        return "from is missing; an export takes the days from and till, written YYYY-MM-DD (till may be left out)"
    days = {"from": command.date_from, "till": command.date_from if command.date_till is None else command.date_till}
    for name, text in days.items():
        if not _is_day(text):
            return f"{name} {text[:80]!r} is not a day; write it YYYY-MM-DD"
    if days["till"] < days["from"]:
        return f"the range is the wrong way round: from {days['from']} is after till {days['till']}"
    return None


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return _DAY.match(text) is not None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def organisation_problem(name: str) -> str | None:
    """Why this can't be the name of an organisation; None: it can."""
    if SHORT_NAME.match(name):
        return None
    return f"organisation {name[:80]!r} is not a name that can be used: {SHORT_NAME_RULE}"


def makes_file(operation: str, catalog: Catalog) -> bool:
    """Whether the outcome of this operation's jobs is a file."""
    kind = catalog.operations.get(operation)
    return kind is not None and kind.makes_file


def exclusive_key(command: CreateJob, catalog: Catalog) -> str | None:
    """What this job must have for itself, e.g. ``organisation=acme,dataset=people``; None: nothing."""
    if not catalog.operations[command.operation].exclusive or command.options.dry_run:
        return None
    parts = {"organisation": command.organisation, "dataset": command.dataset}
    return ",".join(f"{name}={parts[name]}" for name in catalog.datasets[command.dataset].exclusive_key)
