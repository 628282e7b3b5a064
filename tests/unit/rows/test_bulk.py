"""Bulk requests: reading answers, and trying again what another try may change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from elastic_transport import ConnectionError as Unreachable
from elastic_transport import ConnectionTimeout

from processor.elastic.answers import Answer, decoded, read_answers
from processor.elastic.documents import bulk_item, document_lines
from processor.elastic.items import BulkItems
from processor.errors import CannotGoOnError, FencedError, PutOffError, StoppedError, UnansweredError
from runtime.clients import NotSentError
from runtime.network.retrying import RETRIED_STATUSES
from tests.support.stubs.bulk import StubClient, answers, api_error, run, sink

ITEMS = [b'{"create":{"_index":"i","_id":"j1:%d"}}\n{"n":%d}' % (row, row) for row in range(1, 4)]


def send(client: StubClient, items: list[bytes] = ITEMS, pauses: list[float] | None = None) -> list[Answer]:
    """The answers; `pauses` are told of the pauses between tries, which take no time here."""
    taken = [] if pauses is None else pauses
    return run(sink(client, paused=taken.append).send(items, lambda: None))


def ids(client: StubClient) -> list[list[str]]:
    return [[item.id for item in request] for request in client.requests]


# -- reading ---------------------------------------------------------------------------------------------------------


def entry(action: str, status: int, error: dict[str, Any] | None = None) -> dict[str, Any]:
    return {action: {"status": status, **({"error": error} if error else {})}}


def test_a_response_without_errors_is_a_yes_to_each_item() -> None:
    body = {"errors": False, "items": [entry("create", 201)] * 3}
    assert [answer.ok for answer in read_answers(body, 3)] == [True] * 3


def test_each_item_has_its_own_answer_with_the_reason_and_its_cause() -> None:
    error = {"type": "x", "reason": "failed to parse field [size]", "caused_by": {"reason": "not a number"}}
    body = {"errors": True, "items": [entry("create", 201), entry("create", 400, error), entry("create", 409, {})]}
    good, bad, conflict = read_answers(body, 3)
    assert good.ok
    assert (bad.ok, bad.status, bad.error) == (False, 400, "failed to parse field [size]: not a number")
    assert (conflict.ok, conflict.status) == (False, 409)


def test_an_error_without_a_reason_is_told_by_its_type() -> None:
    body = {"errors": True, "items": [entry("index", 400, {"type": "mapper_parsing_exception"})]}
    assert read_answers(body, 1)[0].error == "mapper_parsing_exception"


def test_a_deletion_that_found_nothing_has_deleted_nothing_though_it_is_no_error() -> None:
    body = {"errors": False, "items": [entry("delete", 200), entry("delete", 404)]}
    assert [answer.ok for answer in read_answers(body, 2)] == [True, False]


@pytest.mark.parametrize("errors", [True, False])
@pytest.mark.parametrize("count", [1, 4])
def test_a_response_with_another_number_of_answers_is_not_believed(errors: bool, count: int) -> None:
    body = {"errors": errors, "items": [entry("create", 201)] * count}
    with pytest.raises(ValueError, match=f"{count} of 3"):
        read_answers(body, 3)


def test_a_body_that_is_no_bulk_response_is_not_believed() -> None:
    with pytest.raises(ValueError, match="0 of 3"):
        read_answers({}, 3)


def test_bytes_are_read_as_what_they_decode_to() -> None:
    error = {"type": "x", "reason": "no", "caused_by": {"reason": '"status":'}}
    bodies: list[dict[str, Any]] = [
        {"errors": False, "items": [entry("create", 201), entry("index", 200), entry("create", 201)]},
        {"errors": True, "items": [entry("create", 201), entry("create", 400, error), entry("create", 409, error)]},
        {"errors": False, "items": [entry("delete", 200), entry("delete", 404), entry("index", 200)]},
    ]
    for body in bodies:
        assert read_answers(decoded(msgspec.json.encode(body)), 3) == read_answers(body, 3)
        with pytest.raises(ValueError, match="3 of 4"):
            read_answers(decoded(msgspec.json.encode(body)), 4)


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b"[]", b'{"errors":true,"items":[\xff]}'])
def test_an_answer_that_is_no_json_is_as_good_as_none(body: bytes) -> None:
    client = StubClient([lambda _: body])
    assert [answer.status for answer in send(client)] == [201] * 3
    assert ids(client) == [["j1:1", "j1:2", "j1:3"]] * 2


# -- sending ---------------------------------------------------------------------------------------------------------


def test_what_is_sent_is_what_was_given() -> None:
    client = StubClient()
    assert all(answer.ok for answer in send(client))
    ((first, *_),) = client.requests
    assert (first.action, first.index, first.id, first.document) == ("create", "i", "j1:1", {"n": 1})


def test_parts_are_sent_in_one_request_and_single_items_of_them_again() -> None:
    lines = document_lines("j1", "o", ["n"], range(1, 4), [["a\nb", 'c"d', "é%s"]])
    other = bulk_item("index", "e", "x:4", {"n": 4})
    assert len(lines) == 3 and [*lines] == [
        bulk_item(
            "create", None, f"j1:{row}", {"n": text, "sluice": {"job_id": "j1", "row_number": row, "organisation": "o"}}
        )
        for row, text in enumerate(["a\nb", 'c"d', "é%s"], 1)
    ]
    items = BulkItems(BulkItems(lines), [], [other])
    client = StubClient([answers([201, 429, 201, 429]), answers([429, 201])])
    assert [answer.status for answer in run(sink(client).send(items, lambda: None, "i"))] == [201] * 4
    assert ids(client) == [["j1:1", "j1:2", "j1:3", "x:4"], ["j1:2", "x:4"], ["j1:2"]]
    assert client.requests[0][1] == client.requests[1][0]
    assert [[item.index for item in request] for request in client.requests] == [
        ["i", "i", "i", "e"],
        ["i", "e"],
        ["i"],
    ]


@pytest.mark.parametrize("ids", [None, ["o:1", "o:2"]])
def test_lines_of_rows_without_columns_say_whose_they_are(ids: list[str] | None) -> None:
    lines = document_lines("j1", "o", [], [7, 9], [], ids)
    of = [{"sluice": {"job_id": "j1", "row_number": row, "organisation": "o"}} for row in (7, 9)]
    assert [*lines] == [
        bulk_item("create", None, name, doc) for name, doc in zip(ids or ["j1:7", "j1:9"], of, strict=True)
    ]
    assert not document_lines("j1", "o", ["n"], [], [])


def test_nothing_to_send_is_no_request() -> None:
    client = StubClient()
    assert send(client, []) == []
    assert not client.requests


def test_only_the_items_that_were_put_off_are_sent_again() -> None:
    pauses: list[float] = []
    client = StubClient([answers([201, 429, 201]), answers([429]), answers([201])])
    assert [answer.status for answer in send(client, pauses=pauses)] == [201, 201, 201]
    assert ids(client) == [["j1:1", "j1:2", "j1:3"], ["j1:2"], ["j1:2"]]
    assert pauses == [0.1, 0.2], "growing"


def test_answers_come_in_the_order_of_the_items_whatever_was_sent_again() -> None:
    client = StubClient([answers([429, 400, 503]), answers([409, 201])])
    assert [answer.status for answer in send(client)] == [409, 400, 201]


@pytest.mark.parametrize("status", sorted(RETRIED_STATUSES))
@pytest.mark.parametrize("encoded", [False, True])
def test_requests_are_counted_by_what_becomes_of_them(status: int, encoded: bool) -> None:
    def body_of(statuses: list[int]) -> Callable[[Any], Any]:
        return lambda items: msgspec.json.encode(answers(statuses)(items)) if encoded else answers(statuses)(items)

    client = StubClient(
        [body_of([201, status, 201]), api_error(status), Unreachable("x"), body_of([status]), body_of([409])]
    )
    outcomes: list[tuple[bool, str]] = []
    counting = sink(client)
    counting.on_request = lambda writes, outcome, _seconds: outcomes.append((writes, outcome))
    run(counting.send(ITEMS, lambda: None))
    assert outcomes == [(True, outcome) for outcome in ("put_off", "failed", "failed", "put_off", "answered")]


@pytest.mark.parametrize("status", [400, 404, 409, 413])
def test_a_refusal_is_not_tried_again(status: int) -> None:
    client = StubClient([answers([201, status, 201])])
    assert [answer.status for answer in send(client)] == [201, status, 201]
    assert len(client.requests) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (403, "cluster_block_exception"),
        (403, "security_exception"),
        (401, ""),
        (400, "index_closed_exception"),
        (404, "index_not_found_exception"),
        (500, "i_o_exception"),
    ],
)
def test_an_index_that_takes_no_documents_is_no_fault_of_a_row(status: int, kind: str) -> None:
    refused = {"index": {"status": status, "error": {"type": kind, "reason": "index write (api)"}}}
    body = {"errors": True, "items": [{"index": {"status": 201}}, refused, refused]}
    with pytest.raises(CannotGoOnError, match=r"takes no documents: index write \(api\)"):
        send(StubClient([lambda _: body]))


@pytest.mark.parametrize(
    "failure", [api_error(429), api_error(503), ConnectionTimeout("slow"), Unreachable("refused")], ids=repr
)
def test_a_request_that_is_not_answered_is_sent_again_whole(failure: Exception) -> None:
    pauses: list[float] = []
    client = StubClient([failure, failure])
    assert [answer.status for answer in send(client, pauses=pauses)] == [201, 201, 201]
    assert ids(client) == [["j1:1", "j1:2", "j1:3"]] * 3
    assert len(pauses) == 2


def test_pauses_grow_no_longer_than_five_seconds() -> None:
    pauses: list[float] = []
    send(StubClient([api_error(503) for _ in range(12)]), pauses=pauses)
    assert pauses == sorted(pauses) and pauses[-1] == 5.0


@pytest.mark.parametrize("status", [400, 401, 413])
def test_an_answer_that_another_try_would_not_change_fails_the_job(status: int) -> None:
    with pytest.raises(CannotGoOnError, match="refuses"):
        send(StubClient([api_error(status)]))


def test_what_is_wrong_is_told_while_it_lasts() -> None:
    told: list[str | None] = []
    client = StubClient([api_error(503), ConnectionTimeout("slow"), Unreachable("refused"), answers([429, 201, 201])])
    run(sink(client, told.append).send(ITEMS, lambda: None))
    *troubles, last = told
    assert last is None
    words = ["answers 503", "too long", "can't be reached", "puts off 1"]
    assert all(word in str(trouble) for word, trouble in zip(words, troubles, strict=True))


def test_the_gate_is_asked_before_every_try_and_can_stop_it() -> None:
    client = StubClient([api_error(503), api_error(503)])
    tries: list[int] = []

    def gate() -> None:
        if len(tries) == 2:
            raise FencedError
        tries.append(len(client.requests))

    with pytest.raises(FencedError):
        run(sink(client).send(ITEMS, gate))
    assert tries == [0, 1], "right before each request"
    assert len(client.requests) == 2


def gate_that_raises(error: Exception) -> Callable[[], None]:
    """A gate that is open for one try."""
    left = iter([0])

    def gate() -> None:
        if next(left, None) is None:
            raise error

    return gate


def test_a_request_that_took_too_long_is_made_again_though_the_job_was_stopped() -> None:
    """Elasticsearch may carry it out when it goes on: only an answer to the same request says that this is over."""
    client = StubClient([ConnectionTimeout("slow"), ConnectionTimeout("slow")])
    assert all(answer.ok for answer in run(sink(client).send(ITEMS, gate_that_raises(StoppedError()))))
    assert ids(client) == [["j1:1", "j1:2", "j1:3"]] * 3


@pytest.mark.parametrize("failure", [api_error(429), NotSentError("refused")], ids=repr)
def test_a_request_that_was_not_taken_is_not_made_again_once_the_job_was_stopped(failure: Exception) -> None:
    client = StubClient([failure])
    with pytest.raises(StoppedError):
        run(sink(client).send(ITEMS, gate_that_raises(StoppedError())))
    assert len(client.requests) == 1


@pytest.mark.parametrize(
    "failure", [api_error(429), api_error(503), ConnectionTimeout("slow"), PutOffError("busy")], ids=repr
)
def test_a_sink_that_asks_once_says_so_where_another_try_may_be_answered(failure: Exception) -> None:
    told: list[str | None] = []
    tries: list[Exception] = []

    async def read() -> None:
        tries.append(failure)
        raise failure

    with pytest.raises(PutOffError):
        run(sink(StubClient(), told.append).once().ask(read, lambda: None))
    assert (tries, told) == ([failure], [])


def test_a_sink_that_asks_once_repeats_what_it_writes() -> None:
    client = StubClient([api_error(503)])
    assert all(answer.ok for answer in run(sink(client).once().send(ITEMS, lambda: None)))
    assert len(client.requests) == 2


def test_a_worker_that_has_lost_its_partitions_does_not_ask_again_and_says_so() -> None:
    client = StubClient([ConnectionTimeout("slow")])
    with pytest.raises(UnansweredError):
        run(sink(client).send(ITEMS, gate_that_raises(FencedError())))
    assert len(client.requests) == 1
