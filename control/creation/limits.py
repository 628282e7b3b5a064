"""The limits of a request's options and source, for REST, the page and the topic alike. Pure."""

from __future__ import annotations

import re

from control.errors import Rejected
from control.webhooks.rules import notify_problem
from csvfile.columns import columns_size_problem
from csvfile.layout import layout_problem, recorded_format_problem
from schemas.bounds import (
    ERRORS_WORDS,
    LEAST_RATE,
    MOST_COLUMN_TEXT,
    MOST_COLUMNS,
    MOST_ERRORS,
    MOST_PATH,
    MOST_RATE,
    RATE_WORDS,
)
from schemas.descriptors.datasets import Dataset
from schemas.job import FILE_OPTIONS, FORMAT_OPTIONS, MODE_OPTIONS, Options, Source, given
from schemas.messages.commands import Request, SetRate, StartJob

_PERCENT = re.compile(r"(100(\.0{1,12})?|\d{1,2}(\.\d{1,12})?)%", re.ASCII)
_MOST_DIGEST = 128


def request_problem(request: Request) -> Rejected | None:
    """What is wrong with a request for a job, before the job is looked at; None: nothing. A creation's rules are in
    `control/creation/admission.py`.
    """
    problem = None
    match request:
        case SetRate():
            problem = rate_problem(request.rows_per_second)
        case StartJob(options=Options(dry_run=True)):
            problem = "start makes the real job: leave dry_run out"
        case StartJob(options=Options() as options) if told := given(options, MODE_OPTIONS):
            problem = f"start writes as the dry run would have: leave {', '.join(told)} out"
        case StartJob(options=Options() as options) if told := given(options, FILE_OPTIONS):
            problem = f"start takes the file and its columns as the dry run had them: leave {', '.join(told)} out"
        case StartJob(options=Options() as options):
            problem = options_problem(options)
    return None if problem is None else Rejected(400, problem)


def options_problem(options: Options) -> str | None:
    """Why a job can't be run with these options; None: it can."""
    limit = options.max_errors
    if isinstance(limit, str):
        fits = _PERCENT.fullmatch(limit) is not None
    else:
        fits = limit is None or 0 <= limit <= MOST_ERRORS
    if not fits:
        return f"max_errors {repr(limit)[:80]} can't be used; give {ERRORS_WORDS}"
    return rate_problem(options.rows_per_second) or notify_problem(options)


def suspicions_problem(options: Options, source: Source) -> str | None:
    """Why a job with this source can't have what its options say of suspicions; None: it can."""
    if options.suspicions in (None, "off") or source.kind == "file":
        return None
    return "suspicions are about the first rows of a file; leave it out"


def format_problem(options: Options, source: Source) -> str | None:
    """Why a job with this source can't have what its options say of how its file is written; None: it can."""
    told = given(options, FORMAT_OPTIONS)
    if told and source.kind != "file":
        return f"{', '.join(told)} belong to jobs that read a file; leave them out"
    return layout_problem(options)


def columns_problem(options: Options, dataset: Dataset, source: Source) -> str | None:
    """Why a job with this dataset and source can't have what its options say of columns; None: it can."""
    if (options.columns or options.ignore_extra or options.mapping) and source.kind != "file":
        return (
            "columns, ignore_extra and mapping are for the columns of a file; rows that come otherwise name fields "
            "themselves"
        )
    if options.set and source.kind == "query":
        return "set belongs to operations that write rows; leave it out"
    for name, entries in (("columns", options.columns), ("set", options.set)):
        if (
            len(entries) > MOST_COLUMNS
            or sum(len(key) + len(text or "") for key, text in entries.items()) > MOST_COLUMN_TEXT
        ):
            return f"{name} has at most {MOST_COLUMNS:,} entries, and {MOST_COLUMN_TEXT:,} characters in them"
    if len(options.set) == len(dataset.columns):
        return "set has every field of the dataset, so that the rows would have none; leave one out"
    known = frozenset(dataset.columns)
    named = [("columns", name) for name in options.columns.values() if name is not None]
    for name, meant in (*named, *(("set", name) for name in options.set)):
        if meant not in known:
            return (
                f"{name} names {meant[:80]!r}, which is no column of dataset {dataset.name}; "
                f"there are {', '.join(dataset.columns)}"
            )
        if name == "columns" and meant in options.set:
            return f"{meant} is given twice: by a column of the file (columns) and for every row (set); leave one out"
    return None


def rate_problem(rows_per_second: float | None) -> str | None:
    """Why this can't be a limit of rows a second; None: it can be, or it stands for no limit."""
    if rows_per_second is None or LEAST_RATE <= rows_per_second <= MOST_RATE:
        return None
    return f"rows_per_second is {RATE_WORDS}; null, or nothing, is no limit"


def source_problem(source: Source) -> str | None:
    """Why this source's texts can't be kept in a job's state; None: they can."""
    for name, text, most in (
        ("path", source.path, MOST_PATH),
        ("name", source.name, MOST_PATH),
        ("url", source.url, MOST_PATH),
        ("sha256", source.sha256, _MOST_DIGEST),
        ("origin", source.origin, _MOST_DIGEST),
    ):
        if text is not None and len(text) > most:
            return f"source.{name} has {len(text):,} characters; use at most {most:,}"
    return recorded_format_problem(source.format) or columns_size_problem(source.columns or {})
