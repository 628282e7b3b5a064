"""Extremes in every number, text and option: REST, the page and the topic say the same, and what is taken can be used.

`unbounded` walks the types of all messages and requests, so that a new number without bounds is found by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from elastic_transport import ApiResponseMeta, HttpHeaders, NodeConfig
from elasticsearch import NotFoundError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import inspect
from starlette.testclient import TestClient

from api.jobs.reading.job_view import job_view
from api.models.requests import ActionRequest, InputEnd, JobRequest, Rate, Start
from api.readmodel.job_index import JobIndex
from api.readmodel.seen import LaneSeen, lane_state
from control.budget import overspent
from processor.lanes.fairness import TokenBucket
from schemas.bounds import possible_rate
from schemas.job import Job, LaneTotals, Options, State
from schemas.jsonschema import MESSAGES
from schemas.messages.blocks import BlockHead
from schemas.messages.codec import UndecodableError, decode, encode
from schemas.messages.commands import Command, CreateJob, Request, SetRate
from schemas.messages.events import CommandRejected
from schemas.messages.lanes import LaneRecord, OwnerRecord
from tests.support.api.pages import HTMX, OWN
from tests.support.api.stub import PEOPLE, ROW, StubElasticsearch, StubLog, make_job, stub
from tests.support.in_memory.control import World, at, run, upload, world_in
from tests.support.strategies import fuzzing
from tests.support.stubs.bulk import Worker

REQUESTS = (JobRequest, ActionRequest, InputEnd, Start, Rate)
CASES = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
FREE = {"InboxRow.values", "JobEvent.details", "CommandRejected.details"}
"""Not ours to bound: values of rows are texts in the end, and details are written by the control agent alone."""
CHECKED = {
    *("Options.max_errors", "Options.columns", "Options.set"),
    *("Source.name", "Source.url", "Source.path", "Source.sha256", "Source.origin", "Source.columns"),
}
"""Texts of requests that stand in states too: control/creation/limits.py has their rules."""
Served = tuple[TestClient, StubLog]


def unbounded(kind: Any, texts: bool = False) -> set[str]:
    """Names (``Struct.field``) of numbers without bounds on both sides; with `texts`, of texts without a length too."""
    return set(_unbounded(inspect.type_info(kind), "", texts, set()))


def _unbounded(kind: inspect.Type, name: str, texts: bool, seen: set[str]) -> Iterator[str]:
    match kind:
        case inspect.Metadata():
            yield from _unbounded(kind.type, name, texts, seen)
        case inspect.IntType() | inspect.FloatType():
            if (kind.ge is None and kind.gt is None) or (kind.le is None and kind.lt is None):
                yield name
        case inspect.StrType() if texts and kind.max_length is None and kind.pattern is None:
            yield name
        case inspect.StructType():
            if kind.cls.__name__ not in seen:
                seen.add(kind.cls.__name__)
                for field in kind.fields:
                    yield from _unbounded(field.type, f"{kind.cls.__name__}.{field.name}", texts, seen)
        case inspect.UnionType():
            for one in kind.types:
                yield from _unbounded(one, name, texts, seen)
        case inspect.DictType():
            yield from _unbounded(kind.key_type, name, texts, seen)
            yield from _unbounded(kind.value_type, name, texts, seen)
        case inspect.ListType() | inspect.VarTupleType():
            yield from _unbounded(kind.item_type, name, texts, seen)
        case inspect.TupleType():
            for one in kind.item_types:
                yield from _unbounded(one, name, texts, seen)


@pytest.mark.parametrize(
    "kind", [*(kind for kind, _, _ in MESSAGES.values()), OwnerRecord, BlockHead, *REQUESTS], ids=str
)
def test_every_number_of_every_message_has_bounds(kind: Any) -> None:
    assert unbounded(kind) - FREE == set()


@pytest.mark.parametrize("kind", [Request, *REQUESTS], ids=str)
def test_every_text_of_every_request_has_a_length(kind: Any) -> None:
    assert unbounded(kind, texts=True) - CHECKED == set()


def test_a_number_without_bounds_would_be_found() -> None:
    new = msgspec.defstruct("New", [("rows", int), ("of", dict[int, tuple[float, ...]]), ("texts", list[str])])
    assert unbounded(new) == {"New.rows", "New.of"}
    assert unbounded(new, texts=True) == {"New.rows", "New.of", "New.texts"}


class NoMappings(StubElasticsearch):
    """Elasticsearch that answers, as far as mappings of columns are concerned: there are none."""

    async def get(self, **_: Any) -> Any:
        raise NotFoundError(
            "not found", ApiResponseMeta(404, "1.1", HttpHeaders(), 0.0, NodeConfig("http", "es", 1)), {}
        )


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    app, log = stub(tmp_path, elasticsearch=NoMappings())
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client, log


INTEGERS = (-1, 0, 1, 5, 10**9, 10**9 + 1, 2**31 - 1, 2**31, 10**12, 10**12 + 1, 2**63, 2**64, 10**400)
FLOATS = (0.0, -0.0, 5e-324, 1e-6, 0.0009, 0.001, 0.5, 1e9, 1e9 + 1, 1e15, 1e16, 1e308, -1e308)
SHARES = (
    "5%",
    "0%",
    "100%",
    "100.0%",
    "100.1%",
    "250%",
    "1e9%",
    "%",
    "-1%",
    "0.5%",
    "٥%",
    f"{'9' * 400}%",
    "5 %",
    "nan%",
)
TEXTS = ("", "five", "x" * 1000, "ü" * 1001, "x" * 60_000, "\0")
NUMBERS = st.sampled_from((*INTEGERS, *FLOATS)) | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
LIMITS = st.sampled_from((*INTEGERS, *SHARES, *TEXTS)) | st.integers(-5, 10**20)
ODD = st.sampled_from((None, True, [], {}, "1", "nan", "inf", [[[]]]))


def told(answer: Any) -> bool:
    """Whether a request was taken; a refusal is one in words, and never an error of the program."""
    assert answer.status_code < 500, answer.text
    assert answer.status_code < 300 or answer.status_code in (303, 400, 403, 404, 409, 413, 422), answer.text
    return bool(answer.status_code < 400)


def on_topic(world: World, command: dict[str, Any]) -> bool:
    """Whether the control agent takes this command; if not it says why, and it never fails by itself."""
    before = len(world.history)
    world.send(json.dumps(command).encode())
    refusals = [record for record in world.history[before:] if isinstance(record, CommandRejected)]
    assert all(record.code < 500 and record.message for record in refusals)
    return not refusals


def assert_usable(job: Job) -> None:
    """Whatever a job's state holds, it is read again, scheduled, judged and shown."""
    assert decode(encode(job), Job) == job
    worker = Worker()
    worker.add("j1", 4, job.options.rows_per_second)
    now = 0.0
    for _ in range(5):
        _, pause = worker.scheduler.next(now)
        worker.turn(now)
        assert pause is None or 0 <= pause < 1e12
        now += pause or 0.1
    for rows in (0, 1, 999, 1000, 10**12):
        overspent(job, LaneTotals(rows_applied=rows, rows_failed=rows))
    msgspec.json.encode(job_view(job, JobIndex(), 10**13))


@CASES
@given(rate=NUMBERS | ODD)
def test_a_rate_has_the_same_answer_everywhere(rate: Any) -> None:
    world = world_in(State.RUNNING)
    taken = on_topic(world, {"type": "SetRate", "job_id": "j1", "rows_per_second": rate})
    with suppress(UndecodableError):
        body = decode(json.dumps({"rows_per_second": rate}).encode(), Rate)
        assert (
            on_topic(
                world_in(State.RUNNING), json.loads(encode(SetRate(job_id="j1", rows_per_second=body.rows_per_second)))
            )
            is taken
        )
    if taken:
        assert_usable(world.job())


@pytest.mark.parametrize("rate", [*FLOATS, *INTEGERS[:-1]])
def test_rest_and_the_page_take_the_rates_that_the_topic_takes(served: Served, rate: float) -> None:
    client, _ = served
    path = make_job(client).headers["location"]
    taken = on_topic(world_in(State.RUNNING), {"type": "SetRate", "job_id": "j1", "rows_per_second": rate})
    assert told(client.put(f"{path}/rate", json={"rows_per_second": rate})) is taken
    page = client.post(f"{path.removeprefix('/v1')}/rate", data={"rows_per_second": repr(rate)}, headers=HTMX)
    assert told(page) is taken
    assert taken is (0.001 <= rate <= 1e9)


@pytest.mark.parametrize("rate", ["1e400", "NaN", "Infinity", "-Infinity", "9" * 5000, "1e308", "5e-324"])
def test_what_is_no_json_number_or_no_rate_is_refused_in_a_sentence(served: Served, rate: str) -> None:
    client, _ = served
    path = make_job(client).headers["location"]
    body = f'{{"rows_per_second": {rate}}}'
    answer = client.put(f"{path}/rate", content=body, headers={"Content-Type": "application/json"})
    assert not told(answer)
    if "a" not in rate.lower() and "y" not in rate:
        assert "a number from 0.001 to 1,000,000,000" in answer.json()["error"]["message"]
    assert not on_topic(world_in(State.RUNNING), {"type": "x"})
    world = world_in(State.RUNNING)
    world.send(f'{{"type": "SetRate", "job_id": "j1", "rows_per_second": {rate}}}'.encode())
    assert world.rejection().code == 400
    assert world.job().options.rows_per_second is None


def test_options_have_the_same_answer_on_rest_and_on_the_topic(served: Served) -> None:
    client, _ = served
    number = 0

    @CASES
    @given(
        options=st.fixed_dictionaries(
            {},
            optional={
                "rows_per_second": NUMBERS | ODD,
                "max_errors": LIMITS | ODD,
                "raw": st.booleans() | ODD,
                "if_busy": st.sampled_from(("queue", "later", 3)),
                "surplus": ODD,
            },
        ),
        reason=st.none() | st.sampled_from(TEXTS),
    )
    def check(options: dict[str, Any], reason: str | None) -> None:
        nonlocal number
        number += 1
        asked = {"operation": "upload", "dataset": "people", "organisation": f"o{number}", "options": options}
        world = World()
        command = {"type": "CreateJob", "job_id": "j1", "source": {"kind": "topic"}, "reason": reason, **asked}
        taken = on_topic(world, command)
        assert told(client.post("/v1/jobs", json={**asked, "source": "topic", "reason": reason})) is taken
        if taken:
            assert_usable(world.job())

    check()


@pytest.mark.parametrize(
    "wrong",
    [
        {"operation": "fly"},
        {"organisation": "a b"},
        {"dataset": "cats"},
        {"dataset": ""},
        {"operation": "teams"},
        {"operation": "export"},
        {"options": {"max_errors": "five"}},
        {"from": "2026-01-01"},
        {"source": "query", "operation": "export", "from": "1 January"},
        {"source": "query", "operation": "export", "from": "2026-01-02", "till": "2026-01-01"},
        {"source": "query", "operation": "export", "from": "2026-01-01", "options": {"max_errors": 1}},
    ],
)
def test_a_wrong_job_is_refused_in_the_same_words_on_rest_and_on_the_topic(served: Served, wrong: Any) -> None:
    client, _ = served
    asked = {"operation": "upload", "dataset": "people", "source": "topic", **wrong}
    command = {
        "date_from" if name == "from" else "date_till" if name == "till" else name: asked[name] for name in asked
    }
    world = World()
    assert not on_topic(world, {"type": "CreateJob", "job_id": "j1", **command, "source": {"kind": asked["source"]}})
    if asked["source"] == "query":
        del asked["source"]  # REST knows it of the operation
    answer = client.post("/v1/jobs", json=asked)
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, world.rejection().message)


@pytest.mark.parametrize("limit", [*map(str, INTEGERS), *SHARES, *TEXTS[1:]])
def test_the_page_takes_the_limits_that_the_topic_takes(served: Served, limit: str) -> None:
    client, _ = served
    parts = [
        ("dataset", (None, "people")),
        ("max_errors", (None, limit)),
        ("file", ("a.csv", PEOPLE + ROW, "text/csv")),
    ]
    taken = told(client.post("/start/upload", files=parts, headers=HTMX))
    value: Any = int(limit) if limit.isascii() and limit.isdigit() else limit.strip() or None
    source = {"kind": "file", "path": "a.csv"}
    command = {"type": "CreateJob", "job_id": "j1", "operation": "upload", "dataset": "people", "source": source}
    assert on_topic(World(), {**command, "options": {"max_errors": value}}) is taken


@pytest.mark.parametrize("rows", [*INTEGERS, 1.5, "7", True])
def test_an_end_has_the_same_answer_on_rest_and_on_the_topic(served: Served, rows: Any) -> None:
    client, _ = served
    made = client.post("/v1/jobs", json={"operation": "upload", "dataset": "people", "source": "topic"})
    world = World()
    world.send(encode(CreateJob(job_id="j1", operation="upload", dataset="people")))
    taken = on_topic(world, {"type": "InputEnded", "job_id": "j1", "rows": rows})
    assert told(client.post(f"{made.headers['location']}/end", content=json.dumps({"rows": rows}))) is taken
    assert taken is (type(rows) is int and 0 <= rows < 2**31)
    assert_usable(world.job())


@pytest.mark.parametrize("length", [1000, 1001, 60_000])
def test_a_reason_has_at_most_a_thousand_characters(served: Served, length: int) -> None:
    client, _ = served
    path, reason, fits = make_job(client).headers["location"], "x" * length, length <= 1000
    answer = client.post(f"{path}/pause", json={"reason": reason})
    assert told(answer) is fits
    assert fits or "`reason` has to be a text of at most 1,000 characters" in answer.json()["error"]["message"]
    page = client.post(f"{path.removeprefix('/v1')}/pause", data={"reason": reason}, headers=HTMX)
    assert told(page) is fits
    assert on_topic(world_in(State.RUNNING), {"type": "PauseJob", "job_id": "j1", "reason": reason}) is fits
    for name in ("by", "reason"):
        assert not on_topic(world_in(State.RUNNING), {"type": "PauseJob", "job_id": "j1", name: "x" * 1001})


def test_a_workers_reason_is_cut_and_an_old_states_reason_is_read() -> None:
    world = world_in(State.RUNNING)
    world.send(json.dumps({"type": "WorkFailed", "job_id": "j1", "reason": "x" * 60_000}).encode())
    assert world.state is State.FAILED
    assert len(world.job().reason or "") == 1000
    old = msgspec.structs.replace(world.job(), reason="x" * 60_000)
    assert decode(encode(old), Job) == old


@pytest.mark.parametrize("kind", REQUESTS)
def test_whatever_is_sent_to_rest_is_taken_or_refused(served: Served, kind: Any) -> None:
    client, _ = served
    path = make_job(client).headers["location"]
    route = {
        JobRequest: "POST /v1/jobs", ActionRequest: f"POST {path}/pause", InputEnd: f"POST {path}/end",
        Start: f"POST {path}/start", Rate: f"PUT {path}/rate",
    }[kind]  # fmt: skip
    method, address = route.split()

    @CASES
    @given(body=fuzzing.messages(kind) | st.sampled_from(fuzzing.GARBAGE))
    def check(body: bytes) -> None:
        told(client.request(method, address, content=body, headers={"Content-Type": "application/json"}))

    check()
    told(client.get("/v1/jobs"))


@settings(CASES, max_examples=300)
@given(
    records=st.lists(fuzzing.messages(Command) | st.sampled_from(fuzzing.GARBAGE) | st.none(), min_size=1, max_size=6),
    key=st.sampled_from((None, b"", b"\xff", b"k" * 5000, b"fuzz-a")),
    time=st.sampled_from((-(2**63), -1, 0, 10**12, 2**62, 9_223_372_036_854_775)),
)
def test_whatever_is_on_the_topic_of_commands_is_answered(records: list[bytes | None], key: Any, time: int) -> None:
    world = World()
    world.send(upload("fuzz-a"))
    view = JobIndex()
    for offset, record in enumerate(records, start=1):
        before = len(world.history)
        with suppress(UndecodableError):
            run(world.agent.handle(offset, time, key, record))
        for answer in world.history[before:]:
            assert decode(encode(answer), type(answer)) == answer
            assert not isinstance(answer, CommandRejected) or answer.code < 500
            assert len(answer.job_id) <= 64
    world.send(
        encode(
            CreateJob(
                job_id="fuzz-last", operation="export", dataset="people", date_from="2026-01-01", source=upload().source
            )
        )
    )
    for job in world.jobs:
        assert_usable(job)
        msgspec.json.encode(job_view(job, view, time))


@settings(CASES, max_examples=300)
@given(data=fuzzing.messages(Job), lane=fuzzing.messages(LaneRecord))
def test_each_state_that_can_be_read_can_be_used_and_shown(data: bytes, lane: bytes) -> None:
    view = JobIndex()
    with suppress(UndecodableError):
        record = decode(lane, LaneRecord)
        view.fold(LaneSeen(record.job_id, record.partition, record.phase, lane_state(record)))
    with suppress(UndecodableError):
        job = decode(data, Job)
        assert decode(encode(job), Job) == job
        msgspec.json.encode(job_view(job, view, 1))


@pytest.mark.parametrize("rate", [5e-324, 1e-6, 0.001, 1e9, 1e15, 1.7e308])
def test_a_bucket_bears_every_rate_that_a_state_may_have(rate: float) -> None:
    """A job that was made with such a rate, by a version that took it, can be terminated and rolled back."""
    assert decode(f'{{"rows_per_second":{rate!r}}}'.encode(), Options).rows_per_second == rate
    bucket = TokenBucket(possible_rate(rate))
    for second in range(3):
        bucket.take(1000, second)
        assert 0 <= bucket.wait_seconds(second) < 1e12


IDENTITY = {"inode": 1, "modified_ns": 1, "changed_ns": 1}
STRICT: tuple[tuple[str, dict[str, Any]], ...] = (
    ("resaon", {"type": "PauseJob", "resaon": "x"}),
    ("max_erors", {"type": "CreateJob", "operation": "upload", "dataset": "people", "options": {"max_erors": 3}}),
    ("pth", {"type": "CreateJob", "operation": "upload", "dataset": "people", "source": {"kind": "topic", "pth": "x"}}),
    ("inod", {"type": "RetryErrors", "source": {"identity": {**IDENTITY, "inod": 1}}}),
    ("row", {"type": "InputEnded", "rows": 3, "row": 3}),
)  # fmt: skip


@pytest.mark.parametrize(("name", "command"), STRICT)
def test_an_unknown_field_of_a_request_is_refused_by_its_name(name: str, command: dict[str, Any]) -> None:
    world = World()
    assert not on_topic(world, {"job_id": "j1", **command})
    assert world.rejection().code == 400
    assert f"unknown field `{name}`" in world.rejection().message
    assert not list(world.jobs)


FORMAT = {"sha256": "a", "bytes": 3}
NESTED: tuple[dict[str, Any], ...] = (
    {"type": "InputEnded", "rows": 3},
    {
        "type": "CreateJob",
        "operation": "upload",
        "dataset": "people",
        "source": {"kind": "topic", "columns": {"a": "b"}},
    },
    {"type": "StartDraft", "source": {"path": "x", "identity": IDENTITY, "format": FORMAT}},
    {"type": "RetryErrors", "source": {"path": "x", "identity": IDENTITY, "format": FORMAT}},
    {"type": "PauseJob"},
)


@pytest.mark.parametrize("raw", fuzzing.RAW, ids=lambda raw: raw[:10])
@pytest.mark.parametrize("command", NESTED, ids=lambda command: command["type"])
def test_bytes_in_an_unknown_field_that_no_decoder_takes_refuse_their_command(
    command: dict[str, Any], raw: bytes
) -> None:
    """A decoder of the command's type passes over them: what looks for unknown fields is the first to meet them."""
    world = World()
    for place in range(fuzzing.objects_in(command)):
        world.send(fuzzing.with_raw({"job_id": "j1", **command}, raw, place))
        assert len(world.history) == place + 1
        assert world.rejection().code == 400
    assert not list(world.jobs)


def test_a_report_of_a_newer_worker_is_taken() -> None:
    world = world_in(State.RUNNING)
    report = {"type": "InputAdvanced", "job_id": "j1", "speed": 3, "input": {"blocks": 1, "rows": 5, "shape": "round"}}
    assert on_topic(world, report)
    assert world.job().input.blocks == 1


def test_an_error_that_nobody_thought_of_refuses_one_command(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    world = world_in(State.RUNNING)

    def broken(*_: Any) -> None:
        raise KeyError("nobody thought of this")

    with monkeypatch.context() as patch:
        patch.setattr("control.agent.react", broken)
        world.pause()
    assert (world.rejection().code, world.rejection().command) == (500, "PauseJob")
    assert "nobody thought of this" in caplog.text, "the log has the traceback"
    world.pause()
    assert world.state is State.PAUSING


def test_errors_of_kafka_are_not_taken_for_errors_of_a_command() -> None:
    world = world_in(State.RUNNING)

    async def lost(*_: Any) -> None:
        raise ConnectionError("no broker")

    world.publish = lost
    with pytest.raises(ConnectionError):
        world.pause()


@pytest.mark.parametrize("time", [-(2**63), -1, 9_223_372_036_854_775_807, 292_278_994 * 31_556_952_000])
def test_a_record_of_an_impossible_time_does_no_harm(time: int) -> None:
    world = World()
    world.send(upload("ended"))
    ended = msgspec.structs.replace(world.job("ended"), state=State.COMPLETED, ended_at=at(1), command_offset=1)
    world.jobs.put(ended)
    world.clock = lambda: at(10)
    run(world.agent.handle(5, time, b"j1", encode(upload())))
    assert world.jobs.get("ended") is not None, "a time to come is no reason to remove jobs"
    assert_usable(world.job())


KEYED: Callable[..., dict[str, Any]] = lambda **more: {"operation": "upload", "dataset": "people", **more}  # noqa: E731


@pytest.mark.parametrize(
    "other",
    [
        {"options": {"raw": True}}, {"options": {"max_errors": 4}}, {"options": {"rows_per_second": 7}},
        {"reason": "b"}, {"options": {"rows_per_second": 5, "if_busy": "queue"}}, {"organisation": "else"},
        {"options": {}},
    ],
)  # fmt: skip
def test_another_request_under_the_same_key_is_refused(served: Served, other: dict[str, Any]) -> None:
    client, log = served
    asked = {"options": {"rows_per_second": 5}, "reason": "a"}
    first = make_job(client, key="k", **asked)
    client.put(f"{first.headers['location']}/rate", json={"rows_per_second": 7})
    client.post(f"{first.headers['location']}/pause", json={"reason": "now"})
    sent = len(log.sent)
    again = make_job(client, key="k", **asked)
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"]), "a repeat, whatever happened since"
    refused = make_job(client, key="k", **{**asked, **other})
    assert refused.status_code == 422
    assert "use a new key" in refused.json()["error"]["message"]
    topic = client.post("/v1/jobs", json=KEYED(source="topic", **asked), headers={"Idempotency-Key": "k"})
    assert topic.status_code == 422
    assert len(log.sent) == sent


def test_another_file_of_the_server_under_the_same_key_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "import"
    folder.mkdir()
    for name in ("a.csv", "b.csv"):
        (folder / name).write_bytes(PEOPLE + ROW)
    app, _ = stub(tmp_path, import_folders=str(folder))
    with TestClient(app) as client:
        answers = [
            client.post("/v1/jobs", json=KEYED(file=str(folder / name)), headers={"Idempotency-Key": "k", **OWN})
            for name in ("a.csv", "a.csv", "b.csv")
        ]
    assert [answer.status_code for answer in answers] == [201, 201, 422]


def test_a_file_name_that_no_file_system_takes_is_refused(tmp_path: Path) -> None:
    app, _ = stub(tmp_path, import_folders=str(tmp_path))
    with TestClient(app, raise_server_exceptions=False) as client:
        for name in ("x" * 300, "x/" * 2000, "a\0b"):
            assert not told(client.post("/v1/jobs", json=KEYED(file=f"{tmp_path}/{name}"), headers=OWN))


@pytest.mark.parametrize(
    "options", [{"rows_per_second": 1e10}, {"rows_per_second": 1e-5}, {"max_errors": "250%"}, {"max_errors": 10**18}]
)
def test_what_an_older_version_took_can_still_be_read(options: dict[str, Any]) -> None:
    world = world_in(State.RUNNING)
    state = {**json.loads(encode(world.job())), "options": options}
    state.pop("request")
    job = decode(json.dumps(state).encode(), Job)
    assert_usable(job)
    world.jobs.remove("j1")
    world.jobs.put(job)
    world.pause()
    assert world.state is State.PAUSING


def test_a_creation_on_the_topic_that_is_another_one_is_refused() -> None:
    world = World()
    first = CreateJob(job_id="j1", operation="upload", dataset="people")
    world.send(first)
    assert on_topic(world, json.loads(encode(first)))
    assert not on_topic(world, {**json.loads(encode(first)), "options": {"raw": True}})
    assert "another one" in world.rejection().message
