"""Golden messages: what other services write and read. A change that breaks one of these breaks those services."""

import json
import re
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator

from schemas.jsonschema import FOLDER, MESSAGES, as_text, json_schemas
from schemas.messages.codec import UndecodableError, decode, encode

JOB = """{"id": "j1", "operation": "upload", "dataset": "people", "organisation": "acme", "created_by": "ada",
    "state": "PAUSED", "created_at": 1767225600000, "command_offset": 7, "partitions": 2, "epoch": 2,
    "options": {"max_errors": "5%", "rows_per_second": 1000.0, "if_busy": "queue"},
    "source": {"name": "people.csv", "path": "uploads/j1.csv", "bytes": 812, "sha256": "ab12", "lines": 11},
    "exclusive_key": "organisation=acme,dataset=people",
    "input": {"blocks": 2, "rows": 10, "bytes": 812, "lines": 11, "ended": true, "blocks_per_partition": [1, 1]},
    "lanes_done": {"0": {"rows_applied": 5, "blocks": 1, "last_row": 5}},
    "lanes_rested": {"0": {"epoch": 2, "totals": {"rows_applied": 5, "blocks": 1, "last_row": 5}, "last_offset": 41},
                     "1": {"epoch": 2, "totals": {}, "parked_blocks": 1}},
    "started_at": 1767225600000}"""

GOLDEN: dict[str, list[str]] = {
    "commands": [
        """{"type": "CreateJob", "job_id": "j1", "by": "ada", "reason": "baseline", "operation": "upload",
            "dataset": "people", "organisation": "acme", "source": {"path": "uploads/j1.csv"},
            "options": {"dry_run": true}}""",
        '{"type": "PauseJob", "job_id": "j1", "by": "ada", "reason": "looks wrong"}',
        '{"type": "PauseJob", "job_id": "j1", "by": "ada", "resume_at": 1767247200000}',
        '{"type": "TimerDue", "job_id": "j1", "due_at": 1767247200000}',
        '{"type": "ResumeJob", "job_id": "j1", "by": "ada"}',
        '{"type": "TerminateJob", "job_id": "j1", "keep_rows": true}',
        '{"type": "StartDraft", "job_id": "j2", "source": {"path": "p.csv", "sha256": "a1"}}',
        '{"type": "StartDraft", "job_id": "j2", "source": {"path": "p.csv", "sha256": "a1"}, "start_at": 17672472}',
        '{"type": "StartJob", "job_id": "j2", "dry_run": "j1", "options": {"max_errors": 10}}',
        '{"type": "RollbackJob", "job_id": "j1"}',
        """{"type": "RetryErrors", "job_id": "j1", "by": "ada", "errors_of_run": 1,
            "source": {"name": "errors.csv", "path": "sources/j1/retry-1.csv", "bytes": 90, "sha256": "cd34"}}""",
        '{"type": "PurgeJob", "job_id": "j1", "by": "ada", "reason": "a person asked for it"}',
        '{"type": "PurgeEnded", "job_id": "j1", "epoch": 4, "problem": "the disk is read-only"}',
        '{"type": "StoresEmptied", "job_id": "j1", "stores": ["row_errors", "dead_letters"]}',
        '{"type": "StoresEmptied", "job_id": "j1", "epoch": 3, "stores": ["row_errors"]}',
        '{"type": "SetRate", "job_id": "j1", "rows_per_second": 500.0}',
        '{"type": "InputAdvanced", "job_id": "j1", "input": {"blocks": 3, "rows": 1500, "bytes": 9000, "lines": 1501}}',
        """{"type": "InputEnded", "job_id": "j1", "phase": "undo", "run": 1,
            "input": {"blocks": 3, "rows": 1100, "ended": true, "blocks_per_partition": [2, 1]}}""",
        '{"type": "InputEnded", "job_id": "j1", "rows": 250, "by": "billing"}',
        '{"type": "InputFailed", "job_id": "j1", "reason": "the file has been removed"}',
        '{"type": "InputFailed", "job_id": "j1", "run": 1, "epoch": 3, "reason": "the file has been removed"}',
        """{"type": "LanesRested", "job_id": "j1", "epoch": 2,
            "lanes": {"1": {"epoch": 2, "totals": {"rows_applied": 5}, "last_offset": 41, "parked_blocks": 3}}}""",
        '{"type": "LanesDone", "job_id": "j1", "lanes": {"0": {"rows_applied": 4, "rows_failed": 1, "blocks": 1}}}',
        '{"type": "WorkFailed", "job_id": "j1", "reason": "parked blocks are gone"}',
        '{"type": "WorkFailed", "job_id": "j1", "phase": "undo", "run": 2, "epoch": 5, "reason": "blocks are gone"}',
        '{"type": "LanesCounted", "job_id": "j1", "lanes": {"0": {"rows_applied": 4, "rows_failed": 1, "blocks": 1}}}',
        """{"type": "RowsInspected", "job_id": "j1", "epoch": 1, "own_rows": 1000, "suspicion": {"kind": "exchanged",
            "columns": ["email", "phone"], "fit": 1.0, "rows": 1000, "message": "email and phone look exchanged",
            "columns_option": {"Mail": "phone", "Fone": "email"}, "refused": true}}""",
        '{"type": "RowsInspected", "job_id": "j1", "epoch": 1}',
        '{"type": "FileFinished", "job_id": "j1", "epoch": 3}',
        '{"type": "UndoChecked", "job_id": "j1", "epoch": 4, "remaining": 2, "last_row": 120}',
    ],
    "job-events": [
        f"""{{"type": "event", "job_id": "j1", "command_offset": 7, "at": 1767225600000, "event": "PauseRequested",
            "details": {{"budget_spent": false}}, "state": "PAUSING", "by": "ada", "reason": "why", "job": {JOB}}}""",
        """{"type": "rejected", "job_id": "j1", "command_offset": 8, "at": 1767225600000, "command": "PauseJob",
            "code": 409, "message": "job j1 is PAUSED ...", "details": {"state": "PAUSED"}, "by": "ada"}""",
    ],
    "jobs": [JOB],
    "plans": [
        """{"type": "ReadFile", "job_id": "j1", "epoch": 1, "command_offset": 7, "partitions": 2, "dataset": "people",
            "source": {"path": "uploads/j1.csv"}, "checkpoint": {"blocks": 1, "rows": 5, "bytes": 400, "lines": 6}}""",
        """{"type": "ReadFile", "job_id": "j1", "epoch": 3, "command_offset": 9, "partitions": 2, "run": 1,
            "dataset": "people", "source": {"path": "sources/j1/retry-1.csv"}, "numbered": true}""",
        """{"type": "CutExport", "job_id": "j1", "epoch": 1, "command_offset": 7, "partitions": 2, "dataset": "people",
            "organisation": "acme", "date_from": "2026-01-01", "date_till": "2026-01-31"}""",
        """{"type": "UndoRows", "job_id": "j1", "epoch": 4, "command_offset": 9, "partitions": 2, "run": 1,
            "last_row": 1500}""",
    ],
    "rows": [
        '{"kind": "sealed", "job_id": "j1", "block": 2, "first_row": 11, "content": "AAAA"}',
        """{"kind": "rows", "job_id": "j1", "block": 3, "first_row": 7, "columns": ["name", "email"],
            "rows": [["Ada", "ada@example.org"], ["Bob"]], "first_line": 8, "lines": [8, 10],
            "unreadable": {"1": "a quote is not closed"}}""",
        """{"kind": "rows", "job_id": "j1", "block": 0, "first_row": 7, "run": 1, "columns": ["name"],
            "rows": [["Ada"], ["Bob"]], "numbers": [7, 90]}""",
        '{"kind": "undo", "job_id": "j1", "block": 0, "first_row": 1, "run": 1, "last_row": 500}',
        """{"kind": "slice", "job_id": "j1", "block": 0, "first_row": 1, "last_row": 9000,
            "frozen": "abc", "span": {"since": 1767225600000, "till": 1767225600000, "jobs": ["j0", "j0"],
            "rows": [1, 20000]}}""",
    ],
    "inbox": [
        '{"job_id": "j1", "row": 1, "values": {"name": "Ada", "size": 3, "new": true, "note": null}}',
        '{"job_id": "j1", "row": 2, "values": [{"name": "Bob"}, {"name": "Cy"}]}',
    ],
    "inbox-state": ['{"job_id": "j1", "blocks": 3, "rows": [[1, 1200], [1202, 1202]]}'],
    "lanes": [
        """{"job_id": "j1", "partition": 1, "partitions": 2, "phase": "undo", "run": 1,
            "totals": {"rows_undone": 500, "blocks": 1, "last_row": 500}, "applied": [[0, 0], [2, 4]],
            "todo": [[40, 42, 3]], "last_offset": 42, "at": 1767225600000, "error": "Elasticsearch is not answering"}"""
    ],
    "progress": [
        """{"job_id": "j1", "operation": "upload", "dataset": "people", "organisation": "acme", "partition": 1,
            "at": 1767225600000, "totals": {"rows_applied": 400, "blocks": 1, "last_row": 400}, "parked_blocks": 2}""",
        """{"job_id": "j1", "operation": "upload", "dataset": "people", "organisation": "acme", "partition": 1,
            "run": 1, "at": 1767225600000,
            "totals": {"rows_applied": 400, "rows_failed": 3, "blocks": 2, "last_row": 403},
            "added": {"rows_applied": 100, "blocks": 1}, "rows_total": 1000}""",
    ],
    "dead-letters": [
        """{"job_id": "j1", "row": 7, "line": 8, "column": "email", "value": "ada", "reason": "email is not an address",
            "columns": ["name", "email"], "values": ["Ada", "ada"], "organisation": "acme", "at": 1767225600000}"""
    ],
    "principals": [
        """{"type": "key", "id": "0123456789", "name": "loader", "kind": "service", "organisations": ["acme"],
            "role": "operator", "sha256": "ab12", "created_at": 1767225600000,
            "created_by": "admin", "expires_at": null, "revoked_at": 1767225600001, "revoked_by": "ada"}""",
        """{"type": "key", "id": "0123456789", "name": "crm", "kind": "service", "organisations": ["acme"],
            "role": "operator", "sha256": "ab12", "created_at": 1767225600000, "created_by": "admin",
            "expires_at": null, "revoked_at": null, "revoked_by": null, "signing_key": "cd34"}""",
        """{"type": "signer", "id": "0123456789", "signing_key": "cd34", "began_at": 1767225600000,
            "ends_at": 1767268800000}""",
        '{"type": "use", "id": "0123456789", "at": 1767225600000}',
        """{"type": "session", "sha256": "ab12", "name": "ada", "kind": "person", "organisations": null,
            "role": "viewer", "key_id": "0123456789", "proof": null, "issuer": null, "began_at": 1767225600000,
            "ends_at": 1767268800000}""",
        """{"type": "session", "sha256": "ab12", "name": "ada", "kind": "person", "organisations": ["acme"],
            "role": "viewer", "key_id": null, "proof": null, "issuer": "https://login.example",
            "began_at": 1767225600000, "ends_at": 1767268800000, "vouched": "provider"}""",
    ],
    "webhooks": [
        """{"type": "webhook", "id": "0123456789", "name": "on-call", "organisation": "acme",
            "url": "https://example.org/sluice", "states": ["FAILED"], "operations": ["upload"],
            "events": ["sluice.job.failed"], "secret": "whsec_c2VjcmV0", "old_secret": "whsec_b2xk",
            "old_until": 1767312000000, "created_at": 1767225600000, "created_by": "ada", "since": 42,
            "off_since": 1767225600001}"""
    ],
    "webhook-deliveries": [
        """{"type": "delivery", "webhook_id": "0123456789", "organisation": "acme", "event_id": "j1-7-Failed",
            "event_type": "sluice.job.failed", "job_id": "j1", "body": "{}", "created_at": 1767225600000, "place": 43,
            "begun_at": 1767225600000, "attempts": 1, "due_at": 1767225602000, "tried_at": 1767225600001,
            "answer": 500, "error": "the receiver answered 500"}"""
    ],
    "security-events": [
        """{"at": 1767225600000, "event": "key-created", "by": "ada", "key_id": "0123456789",
            "organisations": ["acme"], "address": "10.0.0.1", "about": "0123456780", "why": "loader", "unlogged": 2}"""
    ],
}
GOLDEN["reports"] = [
    *[text for text in GOLDEN["commands"] if not re.search(r'"type": "(?!TimerDue)\w+(Job|Draft|Errors|Rate)"', text)],
    '{"type": "NoOldReports"}',
]
EACH = [(topic, text) for topic, texts in GOLDEN.items() for text in texts]


def kinds(message: Any) -> tuple[type, ...]:
    return get_args(message) or (message,)


@pytest.mark.parametrize(("topic", "text"), EACH)
def test_a_golden_message_is_read_and_written_again_as_it_was(topic: str, text: str) -> None:
    message = decode(text.encode(), MESSAGES[topic][0])  # type: ignore[index]
    assert json.loads(encode(message)) == json.loads(text)


@pytest.mark.parametrize(("topic", "text"), EACH)
def test_a_golden_message_fits_its_published_schema(topic: str, text: str) -> None:
    Draft202012Validator(json_schemas()[f"{topic}.json"]).validate(json.loads(text))


@pytest.mark.parametrize("topic", MESSAGES)
def test_every_kind_of_message_has_a_golden_one(topic: str) -> None:
    message = MESSAGES[topic][0]  # type: ignore[index]
    shown = {type(decode(text.encode(), message)) for text in GOLDEN[topic]}
    assert shown == set(kinds(message))


@pytest.mark.parametrize(
    ("topic", "text"),
    [
        ("commands", '{"type": "PauseJob"}'),
        ("commands", '{"type": "Explode", "job_id": "j1"}'),
        ("rows", '{"kind": "rows", "job_id": "j1", "block": "three", "first_row": 7, "columns": [], "rows": []}'),
        ("plans", '{"type": "UndoRows", "job_id": "j1"}'),
        ("jobs", '{"id": "j1", "state": "SLEEPING"}'),
        ("inbox", '{"job_id": "j1", "row": 1, "values": {"name": ["a", "list"]}}'),
    ],
)
def test_what_the_code_refuses_the_schema_refuses_too(topic: str, text: str) -> None:
    with pytest.raises(UndecodableError):
        decode(text.encode(), MESSAGES[topic][0])  # type: ignore[index]
    assert not Draft202012Validator(json_schemas()[f"{topic}.json"]).is_valid(json.loads(text))


def test_a_message_from_a_newer_version_can_be_read() -> None:
    """A field that this version does not know is skipped, so that versions can be mixed while they are rolled out."""
    text = '{"type": "FileFinished", "job_id": "j1", "epoch": 3, "colour": "red"}'
    assert decode(text.encode(), MESSAGES["commands"][0]).job_id == "j1"
    assert Draft202012Validator(json_schemas()["commands.json"]).is_valid(json.loads(text))


def test_a_request_says_what_it_means_or_nothing() -> None:
    text = '{"type": "PauseJob", "job_id": "j1", "resaon": "looks wrong"}'
    with pytest.raises(UndecodableError, match="unknown field `resaon`; there are job_id, by, reason"):
        decode(text.encode(), MESSAGES["commands"][0])
    assert not Draft202012Validator(json_schemas()["commands.json"]).is_valid(json.loads(text))


@pytest.mark.parametrize(
    ("data", "problem"),
    [(None, "no value"), (b"", "truncated"), (b"hello", "malformed"), (b'{"type": "PauseJob"', "truncated")],
)
def test_bytes_that_are_no_message_are_refused_in_words(data: bytes | None, problem: str) -> None:
    with pytest.raises(UndecodableError, match=problem):
        decode(data, MESSAGES["commands"][0])


def test_bytes_that_are_not_utf_8_are_refused_in_words() -> None:
    with pytest.raises(UndecodableError):
        decode(b'{"type": "PauseJob", "job_id": "\xff"}', MESSAGES["commands"][0])


@pytest.mark.parametrize("name", json_schemas())
def test_a_schema_is_valid_and_says_what_it_is_for(name: str) -> None:
    document = json_schemas()[name]
    Draft202012Validator.check_schema(document)
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert document["title"] and document["description"]


def test_the_published_schemas_are_current() -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    current = {name: as_text(document) for name, document in json_schemas().items()}
    assert written == current, "schemas/json/ is out of date: run `python -m schemas.jsonschema` and commit the result"
