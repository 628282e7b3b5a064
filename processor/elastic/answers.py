"""Elasticsearch's answers to the parts of a request: bulk items, documents that are read. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
from elastic_transport import SerializationError

from runtime.network.retrying import RETRIED_STATUSES

RequestOutcome = Literal["answered", "put_off", "failed"]
"""What becomes of a request: an answer, one that puts items off, or none, which a refusal counts as."""
FILTER: Final = "errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason"
"""The parts of a response that `read_answers` needs: the request's ``filter_path``."""
_OF_THE_INDEX: Final = frozenset(
    {"cluster_block_exception", "index_closed_exception", "index_not_found_exception", "security_exception"}
)
_PASSING: Final = frozenset(
    {
        "already_closed_exception",
        "circuit_breaking_exception",
        "connect_transport_exception",
        "es_rejected_execution_exception",
        "illegal_index_shard_state_exception",
        "index_shard_closed_exception",
        "index_shard_not_started_exception",
        "index_shard_recovering_exception",
        "no_shard_available_action_exception",
        "node_closed_exception",
        "node_disconnected_exception",
        "node_not_connected_exception",
        "receive_timeout_transport_exception",
        "send_request_transport_exception",
        "shard_not_found_exception",
        "unavailable_shards_exception",
    }
)
"""Errors of a shard or a node that is away, starting or overloaded. They stand for 503 where a part has no status."""
_UNTROUBLED: Final = b'{"errors":false'
_decode = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True)
class Answer:
    """Elasticsearch's answer to one part of a request."""

    status: int
    error: str = ""
    kind: str = ""
    """The error's type, as Elasticsearch names it."""

    @property
    def any_refused(self) -> bool:
        """Whether Elasticsearch would refuse any document, for longer than a request is repeated: the index is closed,
        read-only or gone, it is not permitted, or the server is in trouble."""
        lasting = self.status not in RETRIED_STATUSES
        return lasting and (self.kind in _OF_THE_INDEX or self.status in (401, 403) or self.status >= 500)

    @property
    def ok(self) -> bool:
        """Whether the item did what it was for."""
        return self.status < 300


DONE = Answer(201)


def answer_of(error: dict[str, Any], status: int | None = None) -> Answer:
    """The answer to a part that has an error; `status`: its own, None: Elasticsearch gives it none."""
    kind = str(error.get("type", ""))
    if status is None:
        status = 503 if kind in _PASSING else 500
    return Answer(status, _explain(error), kind)


def decoded(body: Any) -> dict[str, Any] | bytes:
    """A bulk response's body, decoded if there is more to read in it than how many answers it has.

    Without errors it says the same thousands of times.

    Raises:
        SerializationError: it is no JSON, or no response.
    """
    if not isinstance(body, bytes):
        found: dict[str, Any] = body
        return found
    # a deletion that finds nothing is no error
    if body.startswith(_UNTROUBLED) and (b'"delete"' not in body or b'"status":404' not in body):
        return body
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SerializationError(f"the answer to a bulk request can't be read: {error}", errors=(error,)) from error


def outcome_of(answer: object) -> RequestOutcome:
    """The outcome of a request with this answer. An overloaded Elasticsearch, or one whose disk is full, answers a bulk
    request with 200 and each of its items with 429."""
    entries = answer.get("items", ()) if isinstance(answer, dict) and answer.get("errors") else ()
    put_off = any(item.get("status") in RETRIED_STATUSES for entry in entries for item in entry.values())
    return "put_off" if put_off else "answered"


def read_answers(body: dict[str, Any] | bytes, items: int) -> list[Answer]:
    """The answers in a bulk response's body, as `decoded` gives it, one an item in order.

    Raises:
        ValueError: the response has not as many answers as the request had items.
    """
    if isinstance(body, bytes):
        return _all_done(body.count(b'"status":'), items)
    if not body.get("errors", True) and "delete" not in body["items"][0]:
        return _all_done(len(body["items"]), items)
    answers = []  # a deletion that finds nothing is no error, but it has not deleted anything
    for entry in body.get("items", ()):
        ((_, item),) = entry.items()
        error = item.get("error")
        answers.append(answer_of(error, item["status"]) if error else Answer(item["status"]))
    _require(len(answers), items)
    return answers


def all_done(answers: Sequence[Answer]) -> bool:
    """Whether each item did what it was for, and nothing more is to be told of any."""
    return answers.count(DONE) == len(answers)


def _all_done(answered: int, items: int) -> list[Answer]:
    _require(answered, items)
    return [DONE] * items


def _require(answered: int, items: int) -> None:
    if answered != items:
        raise ValueError(f"Elasticsearch answered {answered} of {items} items of a bulk request")


def _explain(error: dict[str, Any]) -> str:
    parts = [str(error.get("reason", error.get("type", "refused")))]
    cause = error.get("caused_by", {}).get("reason")
    return ": ".join([*parts, *([str(cause)] if cause else [])])
