"""Questions about an export's rows are asked until they have an answer, and other work goes on meanwhile."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, cast

import pytest
from elastic_transport import ConnectionTimeout
from elasticsearch import NotFoundError

from ingest.block_source import WAITING, Waiting
from ingest.errors import SourceError
from ingest.export.counting import BackgroundQueries
from runtime.network.retrying import RETRIED_STATUSES, Backoff
from schemas.exports import GONE
from tests.support.stubs.bulk import api_error


def asked(*script: Any) -> tuple[Any, int]:
    """The answer to a question that leads to each of `script` in turn, and how often it was asked."""
    left = list(script)

    def question(_: Any) -> Any:
        step = left.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    queries = BackgroundQueries(lambda: cast(Any, None), Backoff(first=0.0, longest=0.0))
    return answer_of(queries.answer_to(question)), len(script) - len(left)


def answer_of(asking: Generator[Waiting, None, Any]) -> Any:
    while True:
        try:
            assert next(asking) is WAITING
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("status", sorted(RETRIED_STATUSES))
def test_a_question_that_can_not_be_answered_now_is_asked_again(status: int) -> None:
    assert asked(api_error(status), api_error(status), 7) == (7, 3)


def test_a_question_that_is_not_answered_is_asked_again() -> None:
    assert asked(ConnectionTimeout("slow"), ConnectionTimeout("slow"), 7) == (7, 3)


@pytest.mark.parametrize("status", [400, 403, 500])
def test_a_refusal_fails_the_job(status: int) -> None:
    with pytest.raises(SourceError, match="refuses to count"):
        asked(api_error(status))


def test_a_point_in_time_that_is_gone_fails_the_job() -> None:
    with pytest.raises(SourceError, match=GONE[:20]):
        asked(NotFoundError("no", api_error(404).meta, {}))
