"""Requests that look at jobs: lists, row errors, the audit trail, previews, reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from client.answers import (
    Change,
    ErrorGroups,
    HistoryPage,
    Job,
    JobReport,
    Preview,
    RowError,
    RowErrorPage,
    Series,
    UndonePage,
    UndoneRow,
)
from client.protocol.exchange import asked, pages, path
from client.protocol.steps import Call, Flow, Steps
from client.requests.naming import JobLike, id_of

T = TypeVar("T")
MOST: Final = 1000
"""Items on a page, at most."""


def job(job: JobLike) -> Steps[Job]:
    """A job as it is now.

    Raises:
        NotFound: there is none of this id that the key may see.
    """
    return _of(job, "", Job)


def jobs(
    *,
    state: str | None = None,
    operation: str | None = None,
    organisation: str | None = None,
    limit: int | None = None,
) -> Flow[Job]:
    """Jobs, newest first, at most `limit`. Several states, operations or organisations: with commas between."""
    filters = {"state": state, "operation": operation, "organisation": organisation}

    def page(after: str | None, size: int | None) -> Call[Any]:
        return Call(method="GET", path="/v1/jobs", params={**filters, "limit": size, "after": after})

    return Flow(pages(page, "jobs", Job, limit, MOST))


def errors(job: JobLike, *, like: int | None = None, limit: int | None = None) -> Flow[RowError]:
    """The rows that a job refused, and why, by row number, at most `limit`.

    `like`: only those with the column and the reason of this row.

    Raises:
        Unavailable: Elasticsearch does not answer.
    """
    return _rows(job, "errors", "errors", RowError, limit, {"like": like})


def error_page(job: JobLike, *, like: int | None = None, limit: int = 100) -> Steps[RowErrorPage]:
    """The first rows that a job refused, with how many there are."""
    return _of(job, "errors", RowErrorPage, {"like": like, "limit": limit})


def error_groups(job: JobLike) -> Steps[ErrorGroups]:
    """Row errors by column and reason, the largest group first."""
    return _of(job, "errors/groups", ErrorGroups)


def history(job: JobLike) -> Steps[HistoryPage]:
    """What happened to a job, who asked for it, and why: newest last."""
    return _of(job, "history", HistoryPage)


def preview(job: JobLike) -> Steps[Preview]:
    """What a dry run has found: counts, the first row errors, the first rows as they would be stored.

    Raises:
        NotFound: it is no dry run.
    """
    return _of(job, "preview", Preview)


def changes(job: JobLike, *, limit: int | None = None) -> Flow[Change]:
    """What a dry run would change, by row. Raises as `preview`."""
    return _rows(job, "changes", "changes", Change, limit, {})


def undone(job: JobLike, *, outcome: str | None = None, limit: int | None = None) -> Flow[UndoneRow]:
    """What a rollback has done with each row. `outcome`: of restored, kept and failed, with commas between.

    Raises:
        NotFound: it was not rolled back, or its rows are all its own.
    """
    return _rows(job, "undone", "rows", UndoneRow, limit, {"outcome": outcome})


def undone_page(job: JobLike, *, outcome: str | None = None, limit: int = 100) -> Steps[UndonePage]:
    """The first of what a rollback has done, with how many there are of each outcome."""
    return _of(job, "undone", UndonePage, {"outcome": outcome, "limit": limit})


def report(job: JobLike) -> Steps[JobReport]:
    """What was asked, by whom, what happened, counts, row errors by reason, times."""
    return _of(job, "report", JobReport)


def series(job: JobLike) -> Steps[Series]:
    """Rows a second and rows done over time, and what happened meanwhile."""
    return _of(job, "series", Series)


def _of(job: JobLike, what: str, kind: type[T], params: Mapping[str, Any] | None = None) -> Steps[T]:
    parts = [part for part in what.split("/") if part]
    return asked(Call(method="GET", path=path("jobs", id_of(job), *parts), answer=kind, params=params or {}))


def _rows(job: JobLike, what: str, items: str, kind: type[T], limit: int | None, params: Mapping[str, Any]) -> Flow[T]:
    def page(after: int | None, size: int | None) -> Call[Any]:
        asking = {**params, "limit": size, "after": after}
        return Call(method="GET", path=path("jobs", id_of(job), what), params=asking)

    return Flow(pages(page, items, kind, limit, MOST))
