"""What a write that had no answer may still do, and that nobody is told that it is over before it is."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from elastic_transport import ConnectionError as Unreachable
from elastic_transport import ConnectionTimeout, SerializationError
from elasticsearch import ApiError
from hypothesis import example, given
from hypothesis import strategies as st

import runtime.files.storage as storage_module
from processor.elastic.answers import Answer
from processor.elastic.bulk import BACKOFF, BulkSink
from processor.elastic.unanswered import Fate, fate_of
from processor.errors import CannotGoOnError, FencedError, StoppedError, UnansweredError
from processor.operations.export import Export
from runtime.clients import NotSentError, async_elasticsearch
from runtime.clock import Clock
from runtime.files.shared_folder import mark
from runtime.files.storage import Storage, open_storage
from runtime.settings import Settings
from tests.support.stubs.bulk import StubClient, answers, api_error, run

LATE_SECONDS = 30.0
REQUEST_SECONDS = 20.0
ITEMS = [b'{"create":{"_index":"i","_id":"j1:1"}}\n{"n":1}', b'{"create":{"_index":"i","_id":"j1:2"}}\n{"n":2}']

ERRORS: dict[str, Callable[[], Exception]] = {
    "timeout": lambda: ConnectionTimeout("slow"),
    "reset": lambda: Unreachable("server disconnected"),
    "no JSON": lambda: SerializationError("not what was expected"),
    "refused": lambda: NotSentError("connection refused"),
    "a bug": lambda: KeyError("of a library"),
    **{f"{status}": lambda status=status: api_error(status) for status in (400, 401, 408, 413, 429, 500, 502, 504)},  # type: ignore[misc]
    "503 of a proxy": lambda: api_error(503),
    "503 of Elasticsearch": lambda: api_error(503, {"error": {"type": "cluster_block_exception"}, "status": 503}),
}
LATE = {"timeout", "reset", "no JSON", "a bug", "408", "500", "502", "504", "503 of a proxy"}
"""After these the request may still be carried out."""
FINAL = {"400", "401", "413", "500", "a bug"}
"""Another try would not change these."""
GATES = {"open": None, "stopped": StoppedError, "lost": FencedError}


@dataclass
class World:
    """A clock, a job's gate, and a server that ends each try as the story says; after its end it answers."""

    story: list[str]
    gates: list[str]
    """What the gate says, each time it is asked; at the end the last of them, for ever."""
    now: float = 0.0
    late_until: float = -math.inf
    """Until then Elasticsearch may still carry out some try. An answer to the same items leaves it nothing to do."""
    answered: bool = False
    told: list[str | None] = field(default_factory=list)
    sent: list[tuple[float, str]] = field(default_factory=list)

    async def bulk(self, **_: Any) -> Any:
        step = self.story.pop(0) if self.story else "answer"
        self.sent.append((self.now, step))
        if step in ERRORS:
            self.now += REQUEST_SECONDS if step == "timeout" else 0.01
            if step in LATE:
                self.late_until = self.now + LATE_SECONDS
            raise ERRORS[step]()
        self.now += 0.01
        self.answered = True
        return await StubClient([answers([201, 201])]).bulk(operations=b"\n".join(ITEMS), filter_path="")

    def gate(self) -> None:
        kind = self.gates[0]
        if len(self.gates) > 1:
            self.gates.pop(0)
        error = GATES[kind]
        if error is not None:
            raise error

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        assert self.now < 24 * 3600, "a write of a job that goes on is never tried again"

    def send(self) -> list[Answer]:
        clock = Clock(monotonic=lambda: self.now, sleep=self.sleep)
        backoff = replace(BACKOFF, fraction=lambda: 1.0)
        sink = BulkSink(cast(Any, self), late_seconds=LATE_SECONDS, clock=clock, backoff=backoff)
        sink.on_degraded = self.told.append
        return run(sink.send(ITEMS, self.gate))

    @property
    def may_come(self) -> bool:
        return not self.answered and self.now < self.late_until


@pytest.mark.parametrize("name", sorted(ERRORS.keys() - {"a bug"}))
def test_an_error_is_taken_for_an_end_only_where_it_is_one(name: str) -> None:
    error = ERRORS[name]()
    assert isinstance(error, ApiError | NotSentError | Unreachable | ConnectionTimeout | SerializationError)
    assert (fate_of(error) is not Fate.NOT_TAKEN) == (name in LATE)


@given(
    st.lists(st.sampled_from(sorted(ERRORS)), max_size=12),
    st.lists(st.sampled_from(["open", "open", "stopped"]), max_size=12),
    st.sampled_from(sorted(GATES)),
)
@example(["timeout", "refused"], ["open"], "stopped")
@example(["timeout", *["refused"] * 12], ["open"], "stopped")
@example(["502"] * 12, ["open"], "stopped")
@example(["timeout", "401"], ["open"], "open")
@example(["reset", "429"], ["open"], "lost")
@example(["502"] * 12, ["open", *["stopped"] * 12], "open")  # paused for longer than a write may come late, and resumed
def test_nothing_is_said_to_be_over_while_a_write_may_still_come(story: list[str], gates: list[str], last: str) -> None:
    world = World(list(story), [*gates, last])
    try:
        assert all(answer.ok for answer in world.send())
    except UnansweredError:
        assert last == "lost"
        assert world.may_come, "the next owner waits for nothing"
    except (StoppedError, FencedError):
        assert not world.may_come
    except (CannotGoOnError, KeyError):
        assert world.sent[-1][1] in FINAL
        assert not world.may_come
    else:
        assert world.answered


@pytest.mark.parametrize("name", sorted(LATE - FINAL))
def test_a_job_that_is_to_stop_has_a_bound_where_nothing_stands_behind_the_proxy(name: str) -> None:
    """However often the write is cut off, at some time no more are sent. A server that is silent answers one day."""
    world = World([name] * 500, ["open", "stopped"])
    if name == "timeout":
        assert all(answer.ok for answer in world.send())
        assert len(world.sent) == 501
        return
    with pytest.raises(StoppedError):
        world.send()
    last, _ = world.sent[-1]
    assert LATE_SECONDS < world.now - last < LATE_SECONDS + 6
    assert last < LATE_SECONDS + 6


def test_a_job_that_waits_for_it_says_so_and_no_longer_than_it_does() -> None:
    world = World(["timeout", *["refused"] * 500], ["open", "stopped"])
    with pytest.raises(StoppedError):
        world.send()
    *waiting, last = [str(told) for told in world.told]
    assert all("has not answered a request that may still be carried out" in told for told in waiting)
    assert "until 30 s after the last try" in waiting[0]
    assert "carried out" not in str(last) and "can't be reached" in str(last)


def test_a_stopped_job_s_write_is_tried_until_it_has_an_answer() -> None:
    world = World(["timeout", "refused", "504", "refused"], ["open", "stopped"])
    assert all(answer.ok for answer in world.send())
    assert world.told[-1] is None


async def _ends(told: list[str], how: str) -> type[Exception]:
    """What a bulk request of the worker's client comes to with a server that ends the connection `how`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if how == "no TLS":
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()
            return
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            told.append(how)
        if how == "cut in the answer":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
            await writer.drain()
        if how != "silent":
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    scheme = "https" if how == "no TLS" else "http"
    settings = Settings(elasticsearch_url=f"{scheme}://127.0.0.1:{port}", request_timeout_seconds=0.5)
    client = async_elasticsearch(settings, once=True)
    if how == "refused":
        server.close()
        await server.wait_closed()
    try:
        await client.bulk(operations=b"{}\n")
    except Exception as error:
        return type(error)
    finally:
        await client.close()
        server.close()
    raise AssertionError("answered")


@pytest.mark.parametrize(
    ("how", "error", "requests"),
    [
        ("reset", Unreachable, 1),
        ("cut in the answer", Unreachable, 1),
        ("silent", ConnectionTimeout, 1),
        ("refused", NotSentError, 0),
        ("no TLS", NotSentError, 0),
    ],
)
def test_the_worker_s_client_sends_once_and_knows_whether_it_has(
    how: str, error: type[Exception], requests: int
) -> None:
    told: list[str] = []
    assert asyncio.run(_ends(told, how)) is error
    assert len(told) == requests


def test_a_storage_folder_that_is_not_mounted_is_waited_for(tmp_path: Path) -> None:
    """What were written into the empty mount point would be lost; what were looked for there would seem to be gone."""
    root, away = tmp_path / "storage", tmp_path / "away"
    mark(root)
    told: list[str | None] = []

    async def sleep(_: float) -> None:
        if away.exists():
            root.rmdir()
            away.rename(root)

    @contextlib.contextmanager
    def trouble(reason: str) -> Iterator[None]:
        told.append(reason)
        yield
        told.append(None)

    storage = open_storage(Settings(storage=root))
    export = Export(storage, cast(Any, None), LATE_SECONDS, sleep)
    work: Any = SimpleNamespace(trouble=trouble, gate=lambda: None)
    path = "parts/j1/1.csv"

    async def story() -> None:
        for action in (lambda: storage.put(path, b"x"), lambda: storage.find(path), lambda: storage.paths("parts")):
            told.clear()
            root.rename(away)
            root.mkdir()
            assert await export._stored(work, action) != []
            assert len(told) == 2 and "it is not mounted" in (told[0] or "") and told[1] is None
        assert await storage.find(path) is not None

    asyncio.run(story())


@pytest.mark.parametrize(("bucket", "waited"), [(True, [LATE_SECONDS]), (False, [])])
def test_a_job_fails_only_when_a_bucket_can_not_write_its_part_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket: bool, waited: list[float]
) -> None:
    """Else a rollback could be over, with nothing left, before the part appears."""
    slept: list[float] = []
    told: list[str | None] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def put(*_: Any) -> None:
        raise OSError("no answer")

    monkeypatch.setattr(storage_module.obstore, "put_async", put)
    storage = Storage(cast(Any, None), None if bucket else tmp_path)
    mark(tmp_path)
    export = Export(storage, cast(Any, None), LATE_SECONDS, sleep)

    @contextlib.contextmanager
    def trouble(reason: str) -> Iterator[None]:
        told.append(reason)
        yield
        told.append(None)

    work: Any = SimpleNamespace(trouble=trouble)
    with pytest.raises(CannotGoOnError, match="no answer"):
        asyncio.run(export._stored(work, lambda: storage.put("parts/j1/1.csv", b"x")))
    assert slept == waited
    assert [f"for {LATE_SECONDS:g} s" in str(each) for each in told] == [True, False] * len(waited)
