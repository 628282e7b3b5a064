"""Answers the questions of `slicing` from Elasticsearch, in a point in time of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from logging import getLogger
from typing import Any, Final, TypeVar, assert_never

from elasticsearch import ApiError, Elasticsearch, NotFoundError, TransportError

from ingest.block_source import WAITING, Waiting
from ingest.errors import SourceError
from ingest.export.slicing import Bounds, Dates, Jobs, Question, Rows
from runtime.network.retrying import RETRIED_STATUSES, Backoff
from runtime.telemetry.log_events import as_event
from schemas.exports import GONE, KEEP_ALIVE, range_query, span_query
from schemas.messages.blocks import Span

T = TypeVar("T")

log = getLogger(__name__)

_THREADS = 4
_PAGE = 1000
BACKOFF: Final = Backoff(first=0.2, longest=5.0)


class BackgroundQueries:
    """Asks Elasticsearch in threads, so that the reader's other plans go on meanwhile."""

    def __init__(self, make_client: Callable[[], Elasticsearch], backoff: Backoff = BACKOFF) -> None:
        """`make_client` is called when there is something to ask for the first time."""
        self._make_client = make_client
        self._backoff = backoff
        self._client: Elasticsearch | None = None
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="asking")

    def answer_to(self, question: Callable[[Elasticsearch], T]) -> Generator[Waiting, None, T]:
        """The answer; the request is repeated until Elasticsearch answers it.

        Raises:
            SourceError: Elasticsearch refuses it, and would refuse it again.
        """
        if self._client is None:
            self._client = self._make_client()
        pauses = self._backoff.pauses()
        while True:
            answer = self._threads.submit(question, self._client)
            yield from _until(answer.done)
            try:
                return answer.result()
            except NotFoundError as error:
                raise SourceError(GONE) from error
            except ApiError as error:
                if error.status_code not in RETRIED_STATUSES:
                    raise SourceError(f"Elasticsearch refuses to count the rows: {error}") from error
                trouble = f"answers {error.status_code}"
            except TransportError as error:
                trouble = f"does not answer ({type(error).__name__})"
            pause = next(pauses)
            log.warning(
                "Elasticsearch %s; trying again in %.1f s", trouble, pause, extra=as_event("elasticsearch.trouble")
            )
            again = time.monotonic() + pause
            yield from _until(lambda at=again: time.monotonic() >= at)  # type: ignore[misc]

    def forget(self, question: Callable[[Elasticsearch], Any]) -> Future[Any] | None:
        """Send a request once and ignore its outcome."""
        return self._threads.submit(question, self._client) if self._client is not None else None


def _until(condition: Callable[[], bool]) -> Iterator[Waiting]:
    while not condition():
        yield WAITING


def freeze(client: Elasticsearch, index: str) -> str:
    """A point in time of the index as it is now, with everything that was written before."""
    client.indices.refresh(index=index)
    return str(client.open_point_in_time(index=index, keep_alive=KEEP_ALIVE)["id"])


def release(client: Elasticsearch, frozen: str) -> None:
    """Close a point in time."""
    client.close_point_in_time(id=frozen)


@dataclass(frozen=True, slots=True)
class Counting:
    """An export's rows in its point in time."""

    frozen: str
    date_field: str
    organisation: str

    def whole(self, client: Elasticsearch, first_day: str, last_day: str | None) -> tuple[Span, int]:
        """The span of the rows of a range of days, and how many rows there are; without rows the span means nothing."""
        query = range_query(self.date_field, self.organisation, first_day, last_day)
        body = self._search(client, query, self._extremes(), track_total_hits=True)
        rows = int(body["hits"]["total"]["value"])
        first, last = _extremes_of(body) if rows else (0, 0)
        return Span(since=first, till=last), rows

    def answer(self, client: Elasticsearch, question: Question) -> Any:
        """What `slicing` asks for."""
        query = span_query(self.date_field, self.organisation, question.span)
        match question:
            case Bounds():
                return _extremes_of(self._search(client, query, self._extremes()))
            case Dates(span, width):
                dates = {"field": self.date_field, "fixed_interval": f"{width}ms", "min_doc_count": 1}
                dates["offset"] = f"{span.since % width}ms"
                return _counts(self._search(client, query, {"found": {"date_histogram": dates}}))
            case Rows(_, width):
                rows = {"field": "sluice.row_number", "interval": width, "min_doc_count": 1}
                return _counts(self._search(client, query, {"found": {"histogram": rows}}))
            case Jobs():
                return list(self._jobs(client, query))
            case _:
                assert_never(question)

    def _jobs(self, client: Elasticsearch, query: dict[str, Any]) -> Iterator[tuple[str, int]]:
        pages: dict[str, Any] = {"size": _PAGE, "sources": [{"job": {"terms": {"field": "sluice.job_id"}}}]}
        while True:
            found = self._search(client, query, {"found": {"composite": pages}})["aggregations"]["found"]
            for bucket in found["buckets"]:
                yield str(bucket["key"]["job"]), int(bucket["doc_count"])
            if "after_key" not in found:
                return
            pages["after"] = found["after_key"]

    def _extremes(self) -> dict[str, Any]:
        return {"first": {"min": {"field": self.date_field}}, "last": {"max": {"field": self.date_field}}}

    def _search(
        self, client: Elasticsearch, query: dict[str, Any], aggregations: dict[str, Any], track_total_hits: bool = False
    ) -> Any:
        # By default Elasticsearch would silently leave out a shard that has lost its part of the point in time.
        return client.search(
            pit={"id": self.frozen, "keep_alive": KEEP_ALIVE},
            query=query,
            aggs=aggregations,
            size=0,
            track_total_hits=track_total_hits,
            allow_partial_search_results=False,
        ).body


def _extremes_of(body: Any) -> tuple[int, int]:
    found = body["aggregations"]
    return int(found["first"]["value"]), int(found["last"]["value"])


def _counts(body: Any) -> list[tuple[int, int]]:
    return [(int(bucket["key"]), int(bucket["doc_count"])) for bucket in body["aggregations"]["found"]["buckets"]]
