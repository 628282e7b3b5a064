"""Which jobs may be made, and which may run at the same time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from control.errors import Rejected
from control.limits import columns_problem, options_problem, source_problem
from schemas.commands import CreateJob
from schemas.datasets import Dataset
from schemas.ids import JOB_ID
from schemas.job import BUSY, Job, State

_ORGANISATION = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_DAY = re.compile(r"^\d{4}-\d\d-\d\d\Z", re.ASCII)


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
    """It needs a dataset with a date, and a date range."""
    makes_file: bool = False
    """Its outcome is a file, made when every block is applied, and taken out as a whole."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """The operations and datasets of this installation."""

    operations: Mapping[str, Kind]
    datasets: Mapping[str, Dataset]


def creation_problem(command: CreateJob, catalog: Catalog) -> Rejected | None:
    """Why this job can't be made; None: it can."""
    if not JOB_ID.match(command.job_id):
        return Rejected(400, "a job id is 1 to 64 lower-case letters, digits, - and _, the first a letter or digit")
    kind = catalog.operations.get(command.operation)
    if kind is None:
        return Rejected(
            400, f"operation {command.operation!r} is not known; use one of {', '.join(sorted(catalog.operations))}"
        )
    dataset = catalog.datasets.get(command.dataset)
    if dataset is None:
        return Rejected(
            400, f"dataset {command.dataset!r} is not known; use one of {', '.join(sorted(catalog.datasets))}"
        )
    if kind.dataset not in (None, command.dataset):
        return Rejected(400, f"operation {command.operation} is for dataset {kind.dataset} only")
    if not _ORGANISATION.match(command.organisation):
        return Rejected(400, "an organisation is 1 to 64 letters, digits, dots, - and _")
    if command.source.kind not in kind.sources:
        return Rejected(400, f"operation {command.operation} takes its rows from: {', '.join(sorted(kind.sources))}")
    if command.source.kind == "file" and not command.source.path:
        return Rejected(400, "a job that reads a file must name it: source.path")
    if kind.makes_file and command.options.dry_run:
        return Rejected(400, f"operation {command.operation} changes no rows, so there is nothing to try: no dry_run")
    problem = (
        options_problem(command.options)
        or source_problem(command.source)
        or columns_problem(command.options, dataset, {command.source.kind})
    )
    if problem is not None:
        return Rejected(400, problem)
    return _range_problem(command, dataset) if kind.dated else None


def recorded_problem(command: CreateJob, catalog: Catalog) -> Rejected | None:
    """Why readers could not tell which column of the job's file is which, if the command has no other problem; None:
    they can, or find out by the names alone. The API records it when the file has come; services do so themselves."""
    options, recorded = command.options, command.source.columns
    if recorded is None:
        if command.source.kind == "file" and (options.columns or options.set or options.ignore_extra):
            text = "a command with columns, set or ignore_extra says which column of its file is which: source.columns"
            return Rejected(400, text)
        return None
    dataset = catalog.datasets[command.dataset]
    strange = next((meant for meant in recorded.values() if meant is not None and meant not in dataset.columns), None)
    if strange is None:
        return None
    return Rejected(400, f"source.columns names {strange[:80]!r}, which is no column of dataset {dataset.name}")


def _range_problem(command: CreateJob, dataset: Dataset) -> Rejected | None:
    if dataset.date_field is None:
        return Rejected(400, f"dataset {dataset.name} has no date, so it can't be exported by date range")
    try:
        if not all(_DAY.match(day) for day in (command.date_from or "", command.date_till) if day is not None):
            raise ValueError
        first = date.fromisoformat(command.date_from or "")
        last = date.fromisoformat(command.date_till) if command.date_till else None
    except ValueError:
        return Rejected(400, "from and till are dates written YYYY-MM-DD; from is needed, till may be left out")
    if last is not None and last < first:
        return Rejected(400, f"the range is the wrong way round: from {first} is after till {last}")
    return None


def exclusive_key(command: CreateJob, catalog: Catalog) -> str | None:
    """What this job must have for itself, e.g. ``organisation=acme,dataset=people``; None: nothing."""
    if not catalog.operations[command.operation].exclusive or command.options.dry_run:
        return None
    parts = {"organisation": command.organisation, "dataset": command.dataset}
    return ",".join(f"{name}={parts[name]}" for name in catalog.datasets[command.dataset].exclusive_key)


def holder(jobs: Iterable[Job], key: str) -> str | None:
    """The id of the job that holds this exclusive key; None: it is free."""
    return next((job.id for job in jobs if job.exclusive_key == key and job.state in BUSY), None)


def startable(jobs: Iterable[Job]) -> list[Job]:
    """The queued jobs that may start now, the oldest of each exclusive key."""
    known = list(jobs)
    taken = {job.exclusive_key for job in known if job.state in BUSY and job.exclusive_key}
    chosen = []
    for job in sorted((job for job in known if job.state is State.QUEUED), key=lambda job: (job.created_at, job.id)):
        if job.exclusive_key not in taken:
            chosen.append(job)
            if job.exclusive_key:
                taken.add(job.exclusive_key)
    return chosen
