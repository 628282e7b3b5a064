"""Rows over time, from the documents of the index ``progress``, in stretches of equal length. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

from api.glance.models import Mark, Point
from runtime.text.formatting import iso_time
from schemas.job import ENDED, Job
from schemas.messages.events import History, JobEvent

_INTERVALS: Final = tuple(
    1000 * seconds
    for seconds in (
        *(2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 4 * 3600, 12 * 3600),
        *(86_400 * days for days in (1, 2, 7, 30, 90, 365)),
    )
)
_COUNTS: Final = ("rows_applied", "rows_failed", "rows_undone")
_LATE_MS: Final = 10_000
"""Records are found so late at most; the stretches behind the newest one are not known before."""
_MARKED: Final = frozenset(
    {"Paused", "Resumed", "Failed", "RateSet", "TerminationRequested", "RollbackStarted", "RetryStarted"}
)
_MOST_WORKERS: Final = 50
_MOST_PARTITIONS: Final = 64
_ONE_CHANGE_MS: Final = 5000
"""Partitions that go to other workers within this time do so for one reason."""


@dataclass(frozen=True, slots=True)
class Span:
    """A job's time, in milliseconds since 1970, and how it is divided."""

    since: int
    until: int
    interval: int

    @property
    def first(self) -> int:
        """Where the first stretch begins: as Elasticsearch divides time, at a multiple of the interval."""
        return self.since - self.since % self.interval


def span_of(job: Job, now: int, most: int) -> Span | None:
    """The time from the job's start to its end, in at most `most` stretches; None: it has not started."""
    if job.started_at is None:
        return None
    until = job.ended_at if job.state in ENDED and job.ended_at is not None else now
    until = max(until, job.started_at + 1)
    length = until - job.started_at
    interval = next((known for known in _INTERVALS if length <= known * (most - 1)), _INTERVALS[-1])
    return Span(job.started_at, until, interval)


def aggregation(span: Span) -> dict[str, Any]:
    """The aggregation of Elasticsearch that counts what was dealt with in each stretch."""
    sums = {name: {"sum": {"field": f"added.{name}"}} for name in _COUNTS}
    # Rows of a retry count for the rate, though the job has dealt with them before.
    first = {"filter": {"term": {"run": 0}}, "aggs": {name: sums[name] for name in _COUNTS[:2]}}
    stretches = {"field": "at", "fixed_interval": f"{span.interval}ms", "min_doc_count": 1}
    return {"date_histogram": stretches, "aggs": {**sums, "first": first}}


def known_part(span: Span, buckets: Sequence[Mapping[str, Any]]) -> Span:
    """The span up to the newest record, if that is new enough to have followers that are not found yet."""
    newest = int(buckets[-1]["key"]) + span.interval if buckets else span.since
    late = span.until - newest < _LATE_MS
    return replace(span, until=max(newest, span.since + 1)) if late and newest < span.until else span


def owners_aggregation() -> dict[str, Any]:
    """The aggregation that says since when which worker has reported on which partition."""
    since = {"since": {"min": {"field": "at"}}}
    partitions = {"terms": {"field": "partition", "size": _MOST_PARTITIONS}, "aggs": since}
    return {"terms": {"field": "worker", "size": _MOST_WORKERS}, "aggs": {"partitions": partitions}}


def points(span: Span, buckets: Iterable[Mapping[str, Any]]) -> list[Point]:
    """Every stretch of the span, those without records included, from the buckets of `aggregation`.

    The last rows of a job are reported around its end, perhaps after it: they count in the last stretch, whose rate may
    be too high by that.
    """
    counted = {
        int(bucket["key"]): (
            _rows(bucket, _COUNTS),
            _rows(bucket["first"], _COUNTS[:2]),
            _rows(bucket, _COUNTS[2:]),
        )
        for bucket in buckets
    }
    found: list[Point] = []
    done = undone = 0
    for begins, ends in _stretches(span):
        added = [counted.pop(key) for key in [*counted] if key < ends or ends == span.until]
        rows = sum(every for every, _, _ in added)
        done += sum(first for _, first, _ in added)
        undone += sum(out for _, _, out in added)
        seconds = (ends - begins) / 1000
        found.append(
            Point(
                at=iso_time(begins) or "",
                seconds=round(seconds, 3),
                rows_per_second=round(rows / seconds, 1),
                rows_done=done,
                rows_undone=undone,
            )
        )
    return found


def _stretches(span: Span) -> list[tuple[int, int]]:
    """Beginnings and ends. One at an edge that is short is part of its neighbour: its rate would be mere chance."""
    cuts = [*range(span.first + span.interval, span.until, span.interval)]
    if cuts and span.until - cuts[-1] < span.interval / 2:
        cuts.pop()
    if cuts and cuts[0] - span.since < span.interval / 2:
        cuts.pop(0)
    edges = [span.since, *cuts, span.until]
    return list(pairwise(edges))


def rates(span: Span, buckets: Iterable[Mapping[str, Any]]) -> list[float]:
    """Rows a second of every stretch."""
    return [point.rows_per_second for point in points(span, buckets)]


def _rows(bucket: Mapping[str, Any], names: Iterable[str]) -> int:
    return sum(max(0, int(bucket[name]["value"] or 0)) for name in names)


def marks(history: Iterable[History]) -> list[Mark]:
    """What happened to a job on its way, from its history. A pause has the words of the request for it."""
    events = {(record.command_offset, record.event): record for record in history if isinstance(record, JobEvent)}
    found: list[Mark] = []
    asked: JobEvent | None = None
    for record in events.values():
        if record.event == "PauseRequested":
            asked = record
        if record.event in _MARKED:
            told = asked if record.event == "Paused" and asked is not None else record
            found.append(Mark(at=iso_time(record.at) or "", event=record.event, by=told.by, reason=told.reason))
    return found


def owner_changes(buckets: Iterable[Mapping[str, Any]]) -> list[Mark]:
    """When partitions went to other workers, from the buckets of `owners_aggregation`; once for those of one time."""
    since: dict[int, list[int]] = {}
    for worker in buckets:
        for partition in worker["partitions"]["buckets"]:
            since.setdefault(int(partition["key"]), []).append(int(partition["since"]["value"]))
    changes = sorted(at for times in since.values() for at in sorted(times)[1:])
    found: list[int] = []
    for at in changes:
        if not found or at - found[-1] > _ONE_CHANGE_MS:
            found.append(at)
    return [Mark(at=iso_time(at) or "", event="WorkersChanged") for at in found]
