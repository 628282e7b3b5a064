"""What the Python client does when answers fail, break off or come in pages; the same for both of its shells."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from client import (
    AsyncSluice,
    Conflict,
    Job,
    NotFound,
    NotReached,
    Refused,
    Retry,
    Sluice,
    TooManyRequests,
    Unavailable,
    Unreachable,
    UnreadableAnswer,
    WaitTimeout,
    errors,
)
from client.asynchronous import AsyncShell
from client.http import Connection
from client.protocol.event_stream import EventReader, Sent
from client.sync import Shell
from tests.support.api.answers import WHOLE
from tests.support.api.hostile import JOB_ID
from tests.support.api.stub import PEOPLE, ROW, stub

Answer = httpx2.Response | Exception
Handler = Callable[[httpx2.Request], httpx2.Response]


class Both:
    """A client of either kind; its clock is moved by its pauses alone."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.slept: list[float] = []
        self.asked: list[httpx2.Request] = []
        self.answers: list[Answer] = []
        self.retry = Retry(fraction=lambda: 1.0)

    def serve(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx2.Response(
            answer.status_code, headers=answer.headers, content=b"".join(answer.stream)  # type: ignore[arg-type]
        ) if answer.extensions.get("whole", True) else answer  # fmt: skip

    def clock(self) -> float:
        return sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def __call__(self, method: str, *arguments: Any, most: int | None = None, **more: Any) -> Any:
        """What a method returns, or a list of what it hands out, at most so many."""
        transport = httpx2.MockTransport(self.serve)
        if self.kind == "sync":
            sluice = Sluice("http://sluice", "key", retry=self.retry, transport=transport)
            sluice.shell = Shell(sluice.shell.connection, transport, self.clock, self.slept.append)
            found = getattr(sluice, method)(*arguments, **more)
            if not hasattr(found, "__next__"):
                return found
            return [one for _, one in zip(range(most or 10**6), found, strict=False)]

        async def ask() -> Any:
            async with AsyncSluice("http://sluice", "key", retry=self.retry, transport=transport) as sluice:
                sluice.shell = AsyncShell(sluice.shell.connection, transport, self.clock, self.sleep)
                found = getattr(sluice, method)(*arguments, **more)
                if not hasattr(found, "__anext__"):
                    return await found
                several: list[Any] = []
                async for one in found:
                    several.append(one)
                    if len(several) == most:
                        break
                return several

        return asyncio.run(ask())


@pytest.fixture(params=["sync", "async"])
def both(request: pytest.FixtureRequest) -> Both:
    return Both(request.param)


def answer(body: Any, code: int = 200, **headers: str) -> httpx2.Response:
    return httpx2.Response(code, json=body, headers=headers)


def refusal(code: int, **headers: str) -> httpx2.Response:
    error = {"code": code, "status": "S", "message": f"refused with {code}", "details": {"job_id": "other"}}
    return answer({"error": error}, code, **headers)


def job(**more: Any) -> dict[str, Any]:
    return {**WHOLE, **more}


def stream(*jobs: dict[str, Any], end: str = "") -> httpx2.Response:
    text = "".join(f"id: {n}\nevent: state\ndata: {json.dumps(one)}\n\n" for n, one in enumerate(jobs, 1))
    return httpx2.Response(200, content=(": hello\n\n" + text + end).encode())


class Breaking(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body whose connection is lost behind these bytes."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __iter__(self) -> Any:
        yield self.content
        raise httpx2.ReadError("lost")

    async def __aiter__(self) -> Any:
        yield self.content
        raise httpx2.ReadError("lost")


def broken(content: bytes, **headers: str) -> httpx2.Response:
    return httpx2.Response(200, headers=headers, stream=Breaking(content), extensions={"whole": False})


@pytest.mark.parametrize("failure", [refusal(503), refusal(429), refusal(502), refusal(504), httpx2.ReadError("lost")])
def test_a_job_is_made_once_however_often_it_is_asked_for(both: Both, failure: Answer) -> None:
    both.answers = [failure, failure, httpx2.ConnectError("refused"), answer(job(), 201)]
    assert both("upload", PEOPLE + ROW, "people", mode="create").id == JOB_ID
    keys = {request.headers["idempotency-key"] for request in both.asked}
    assert (len(both.asked), len(keys)) == (4, 1)
    assert both.slept == [0.5, 1.0, 2.0], "with a pause that grows"
    assert all(PEOPLE + ROW in request.content for request in both.asked), "the file is sent each time"


def test_a_server_that_stays_away_is_told_in_the_end(both: Both) -> None:
    both.answers = [refusal(503, **{"retry-after": "7"})]
    with pytest.raises(Unavailable, match="refused with 503") as told:
        both("jobs")
    assert (len(both.asked), told.value.retry_after, both.slept[0]) == (5, 7.0, 7.5)
    both.answers, both.asked = [httpx2.ConnectError("no route")], []
    with pytest.raises(Unreachable, match="http://sluice can't be reached"):
        both("job", JOB_ID)
    assert len(both.asked) == 5


def test_a_pause_that_is_too_long_is_not_waited_for(both: Both) -> None:
    both.answers = [refusal(429, **{"retry-after": "3600"})]
    with pytest.raises(TooManyRequests) as told:
        both("job", JOB_ID)
    assert (told.value.retry_after, both.slept) == (3600.0, [])


def test_what_must_not_be_done_twice_is_repeated_only_if_it_was_not_taken_in(both: Both) -> None:
    for failure, tries in ((httpx2.ReadError("lost"), 1), (refusal(503), 1), (httpx2.ConnectError("no"), 5)):
        both.answers, both.asked = [failure], []
        with pytest.raises(errors.SluiceError):
            both("create_key", "loader", "operator")
        assert len(both.asked) == tries


def sent_whole(both: Both) -> list[bool]:
    """For each try, whether the file was in it from its first byte to its last."""
    return [PEOPLE + ROW in request.content for request in both.asked]


@pytest.mark.parametrize("failure", [refusal(429), httpx2.ConnectError("refused")])
@pytest.mark.parametrize("how", ["path", "bytes", "corrected path", "corrected bytes", "part"])
def test_what_is_sent_again_is_sent_from_its_beginning(both: Both, how: str, failure: Answer, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(PEOPLE + ROW)
    content = file if "path" in how else PEOPLE + ROW
    both.answers = [failure, failure, answer(job(), 201)]
    if how == "part":
        offset = answer({"job_id": JOB_ID, "offset": 0, "bytes": None, "expires_at": ""})
        taken = httpx2.Response(204, headers={"upload-offset": str(len(PEOPLE + ROW))})
        both.answers = [offset, failure, failure, taken, answer(job())]
        both("continue_upload", JOB_ID, file)
        both.asked = [request for request in both.asked if request.method == "PATCH"]
    elif how.startswith("corrected"):
        both("retry_errors", JOB_ID, content)
    else:
        both("upload", content, "people")
    assert sent_whole(both) == [True, True, True]


class Unread(io.RawIOBase):
    """A stream that can't go back."""

    def __init__(self, content: bytes) -> None:
        self.content = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        return self.content.read(size)

    def seekable(self) -> bool:
        return False


@pytest.mark.parametrize("stream", [Unread, io.BytesIO])
def test_a_stream_is_never_sent_again_once_it_may_have_been_read(both: Both, stream: Callable[[bytes], Any]) -> None:
    for failure in (refusal(429), refusal(429, **{"retry-after": "0"}), refusal(503), httpx2.ReadError("lost")):
        both.answers, both.asked = [failure, answer(job(), 201)], []
        with pytest.raises(errors.SluiceError) as told:
            both("upload", stream(PEOPLE + ROW), "people")
        assert sent_whole(both) == [True]
        assert isinstance(told.value, TooManyRequests) == ("open it anew, or send a file" in str(told.value))
    assert both.slept == []
    both.answers, both.asked = [httpx2.ConnectError("refused"), answer(job(), 201)], []
    assert both("upload", stream(PEOPLE + ROW), "people").id == JOB_ID


@pytest.mark.parametrize(
    ("code", "kind"),
    [(400, "BadRequest"), (401, "NotAuthenticated"), (403, "Forbidden"), (404, "NotFound"), (409, "Conflict"),
     (410, "Gone"), (413, "TooLarge"), (422, "KeyReused"), (429, "TooManyRequests"), (500, "ServerFailed"),
     (503, "Unavailable"), (507, "DiskFull"), (418, "Refused")],
)  # fmt: skip
def test_a_refusal_has_the_class_of_its_status_and_the_servers_sentence(code: int, kind: str) -> None:
    both = Both("sync")
    both.retry = Retry(attempts=1)
    both.answers = [refusal(code)]
    with pytest.raises(Refused, match=f"^refused with {code}$") as told:
        both("pause", JOB_ID)
    assert (type(told.value).__name__, told.value.http_status) == (kind, code)
    assert told.value.details == {"job_id": "other"}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"NaN", b'{"id": 5}', b"\xff", b"[" * 100_000, b"<html>hello</html>"]
)
def test_an_answer_of_another_kind_is_told_as_such(content: bytes) -> None:
    both = Both("sync")
    both.answers = [httpx2.Response(200, content=content)]
    for method, arguments in (("job", (JOB_ID,)), ("datasets", ()), ("jobs", ())):
        with pytest.raises(UnreadableAnswer):
            both(method, *arguments)
    both.answers = [httpx2.Response(404, content=content)]
    with pytest.raises(UnreadableAnswer, match="answered 404"):
        both("job", JOB_ID)


def test_a_newer_server_may_say_more(both: Both) -> None:
    both.answers = [answer(job(state="FLOATING", news=[1], progress={**WHOLE["progress"], "rows_floating": 3}))]
    assert both("job", JOB_ID).state == "FLOATING"


def test_lists_come_in_pages_as_far_as_they_are_wanted(both: Both) -> None:
    jobs = [job(id=f"j{number}") for number in range(5)]
    first, second = {"jobs": jobs[:3], "next": "3"}, {"jobs": jobs[3:], "next": None}
    both.answers = [answer(first), answer(second)]
    assert [one.id for one in both("jobs", state="RUNNING")] == ["j0", "j1", "j2", "j3", "j4"]
    assert [dict(request.url.params).get("after") for request in both.asked] == [None, "3"]
    both.answers, both.asked = [answer(first), answer(second)], []
    assert [one.id for one in both("jobs", limit=4)] == ["j0", "j1", "j2", "j3"]
    both.answers, both.asked = [answer(first), answer(second)], []
    assert len(both("jobs", most=2)) == 2
    assert len(both.asked) == 1, "nobody asked for the second page"


def test_events_go_on_behind_the_last_one(both: Both) -> None:
    running = job(state="RUNNING", ended=False)
    both.answers = [
        stream(running, end="data: {half"),
        httpx2.ConnectError("refused"),
        refusal(503),
        stream(running, job(state="PAUSED", ended=False), job()),
    ]
    events = both("events", JOB_ID)
    assert [event.job.state for event in events] == ["RUNNING", "PAUSED", "COMPLETED"], "what was seen comes once"
    assert (events[0].name, events[0].id) == ("state", "1")
    assert [request.headers.get("last-event-id") for request in both.asked] == [None, "1", "1", "1"]


@given(st.lists(st.integers(1, 40)))
def test_events_are_the_same_however_their_bytes_come(cuts: list[int]) -> None:
    text = ': hello\r\n\nid: 7\nevent: state\ndata: {"a":\ndata: "é"}\r\n\r\n'
    text += "retry: 5\n\ndata:x\n\nid: 8\n\ndata: y\n\ndata: cut"
    left, reader, found = text.encode(), EventReader(), []
    for size in (*cuts, len(left)):
        found += reader.take(left[:size])
        left = left[size:]
    assert found == [Sent("state", '{"a":\n"é"}', "7"), Sent("message", "x", "7"), Sent("message", "y", "8")]


def test_events_end_with_an_api_that_stays_away_or_refuses(both: Both) -> None:
    both.answers = [stream(job(state="RUNNING")), httpx2.ConnectError("refused")]
    said: list[str] = []
    with pytest.raises(Unreachable):
        both("events", JOB_ID, say=said.append)
    assert 60 < sum(both.slept) < 80
    assert said == ["the API does not answer; the job goes on without it. Trying again for 60 s ..."]
    both.answers = [refusal(404)]
    with pytest.raises(NotFound):
        both("events", JOB_ID)


def test_waiting_ends_as_wanted_or_says_why_not(both: Both) -> None:
    running, paused = job(state="RUNNING", ended=False), job(state="PAUSED", ended=False)
    both.answers = [stream(running, paused, job())]
    assert both("wait", JOB_ID, "PAUSED").state == "PAUSED"
    assert both("wait", JOB_ID, ("FAILED", "COMPLETED")).state == "COMPLETED"
    assert both("wait", JOB_ID, lambda found: found.state.startswith("P")).state == "PAUSED"
    assert both("wait", JOB_ID, "resting").state == "PAUSED"
    assert both("wait", JOB_ID).ended
    with pytest.raises(NotReached, match="is COMPLETED") as told:
        both("wait", JOB_ID, "ROLLED_BACK")
    assert isinstance(told.value.job, Job)
    spent = job(state="PAUSED", ended=False, budget="spent", reason="too many row errors")
    both.answers = [stream(running, spent)]
    with pytest.raises(NotReached, match="too many row errors"):
        both("wait", JOB_ID)


def test_waiting_ends_with_its_time(both: Both) -> None:
    both.answers = [answer(job(state="RUNNING", ended=False))]
    with pytest.raises(WaitTimeout, match="still RUNNING after 3 s") as told:
        both("wait", JOB_ID, timeout=3.0)
    assert (sum(both.slept), told.value.job.state) == (3.0, "RUNNING")
    assert isinstance(told.value, TimeoutError)


@pytest.mark.parametrize("code", [429, 503])
def test_waiting_needs_no_stream_where_there_is_no_room_for_one(both: Both, code: int) -> None:
    class NoRoom(Both):
        def serve(self, request: httpx2.Request) -> httpx2.Response:
            return refusal(code) if request.url.path.endswith("/watch") else super().serve(request)

    crowded = NoRoom(both.kind)
    crowded.answers = [answer(job(state="RUNNING", ended=False)), answer(job())]
    assert crowded("wait", JOB_ID).state == "COMPLETED"


def test_a_download_goes_on_where_it_broke_off(both: Both, tmp_path: Path) -> None:
    tag = {"etag": '"a"'}
    both.answers = [broken(b"1234", **tag), httpx2.Response(206, content=b"56", headers=tag)]
    target = tmp_path / "out.csv"
    assert both("save_result", JOB_ID, target) == target
    assert target.read_bytes() == b"123456"
    assert [both.asked[1].headers[name] for name in ("range", "if-range")] == ["bytes=4-", '"a"']
    both.answers = [broken(b"1234", **tag), httpx2.Response(200, content=b"another", headers={"etag": '"b"'})]
    with pytest.raises(Unreachable):
        both("save_result", JOB_ID, target)
    both.answers = [broken(b"row,value\n")]
    with pytest.raises(Unreachable):
        both("save_errors", JOB_ID, target)
    assert target.read_bytes() == b"123456", "what was there stays"
    assert list(tmp_path.iterdir()) == [target]


def test_a_name_stays_a_name(both: Both) -> None:
    both.answers = [answer(job())]
    both("job", "a/../b?c#d")
    assert both.asked[0].url.raw_path == b"/v1/jobs/a%2F..%2Fb%3Fc%23d"
    for name in ("", "..", "\ud800"):
        with pytest.raises(errors.WrongArgument):
            both("job", name)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_does_not_have_is_the_callers_mistake(both: Both, number: float) -> None:
    both.answers = [answer(job())]
    for method, arguments, more in [
        ("set_rate", (JOB_ID, number), {}),
        ("create_key", ("k", "viewer"), {"expires_days": number}),
        ("create", ({"options": {"max_errors": number}},), {}),
        ("upload", (PEOPLE, "people"), {"rows_per_second": number}),
    ]:
        with pytest.raises(errors.WrongArgument, match="is not finite"):
            both(method, *arguments, **more)
    assert not both.asked


def test_the_key_of_a_local_stack_stays_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "admin.key").write_text("local\n")
    monkeypatch.delenv("SLUICE_API_KEY", raising=False)
    monkeypatch.delenv("SLUICE_API_URL", raising=False)
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path))
    assert Connection.of(None, None, None, 1, None).key == "local"
    assert Connection.of("https://elsewhere", None, None, 1, None).key is None
    monkeypatch.setenv("SLUICE_API_URL", "https://elsewhere")
    assert Connection.of(None, None, None, 1, None).key is None
    with pytest.raises(errors.WrongArgument, match="no key does"):
        Sluice("http://sluice", "two words")


def test_a_file_in_parts_and_a_conflict_on_the_api_itself(tmp_path: Path) -> None:
    app, _ = stub(tmp_path, draft_hours=1e6)
    file = tmp_path / "people.csv"
    file.write_bytes(PEOPLE + ROW)
    with TestClient(app) as served:
        sluice = Sluice("http://testserver", transport=served._transport)
        sent: list[int] = []
        made = sluice.upload(file, "people", in_parts=True, progress=sent.append)
        assert (made.state, made.source.bytes, sent[-1]) == ("RUNNING", len(PEOPLE + ROW), len(PEOPLE + ROW))
        with pytest.raises(Conflict) as told:
            sluice.upload(file, "people", idempotency_key="mine")
        assert told.value.details["job_id"] == made.id
        assert sluice.set_rate(made, 5).options.rows_per_second == 5.0
        assert [one.id for one in sluice.jobs(state="RUNNING")] == [made.id]
        assert sluice.act_on_many("pause", jobs=[made], preview=True).jobs == 1
        assert sluice.request("GET", "/v1/jobs", params={"limit": 1})["jobs"][0]["id"] == made.id
