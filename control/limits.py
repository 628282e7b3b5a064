"""The limits of a request's options and source, for REST, the page and the topic alike. Pure."""

from __future__ import annotations

import re

from control.errors import Rejected
from schemas.bounds import ERRORS_WORDS, LEAST_RATE, MOST_ERRORS, MOST_PATH, MOST_RATE, RATE_WORDS
from schemas.commands import Request, SetRate, StartJob
from schemas.job import Options, Source

_PERCENT = re.compile(r"(100(\.0{1,12})?|\d{1,2}(\.\d{1,12})?)%", re.ASCII)
_MOST_DIGEST = 128


def request_problem(request: Request) -> Rejected | None:
    """What is wrong with a request for a job, before the job is looked at; None: nothing. A creation's rules are in
    `control/admission.py`.
    """
    problem = None
    match request:
        case SetRate():
            problem = rate_problem(request.rows_per_second)
        case StartJob(options=Options(dry_run=True)):
            problem = "start makes the real job: leave dry_run out"
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
    return rate_problem(options.rows_per_second)


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
        ("sha256", source.sha256, _MOST_DIGEST),
    ):
        if text is not None and len(text) > most:
            return f"source.{name} has {len(text):,} characters; use at most {most:,}"
    return None
