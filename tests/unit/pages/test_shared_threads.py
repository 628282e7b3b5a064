"""What an organisation has the API's threads do does not keep the requests of another one waiting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from api.errors import ApiError
from api.uploads.file_readers import OF_ONE_ORGANISATION, QUEUED, FileReaders
from api.web.services import Services
from tests.support.api.pages import OWN
from tests.support.api.stub import PEOPLE, ROW
from tests.support.api.world import UPLOAD, World

FILE = PEOPLE + ROW


class Connected:
    """A request whose client stays."""

    async def receive(self) -> dict[str, Any]:
        return await asyncio.Future()


class Gone:
    """A request whose client has closed its connection."""

    async def receive(self) -> dict[str, Any]:
        return {"type": "http.disconnect"}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    (tmp_path / "import").mkdir()
    (tmp_path / "import" / "a.csv").write_bytes(FILE)
    made = World(tmp_path)
    made.start(import_folders=str(tmp_path / "import"))
    with made.open:
        yield made


@contextmanager
def held(world: World, organisation: str) -> Iterator[None]:
    """Give each pool as many works of the organisation as it takes, none of which ends before this does."""
    services: Services = world.client.app.state.services  # type: ignore[attr-defined]
    pools = [pool for name in Services.__slots__ if isinstance(pool := getattr(services, name), FileReaders)]
    release = threading.Event()
    begun = threading.Semaphore(0)

    def hold(_stop: threading.Event) -> None:
        begun.release()
        release.wait()

    async def fill() -> list[asyncio.Task[None]]:
        request: Any = Connected()
        works = range(OF_ONE_ORGANISATION + QUEUED)
        return [asyncio.create_task(pool.run(request, organisation, hold)) for pool in pools for _ in works]

    async def end(tasks: list[asyncio.Task[None]]) -> None:
        await asyncio.gather(*tasks)

    portal = world.client.portal
    assert portal is not None
    tasks = portal.call(fill)
    try:
        for _ in range(OF_ONE_ORGANISATION * len(pools)):
            begun.acquire()
        yield
        assert not any(task.done() for task in tasks)
    finally:
        release.set()
        portal.call(end, tasks)


def test_short_requests_are_answered_while_another_organisations_reads_hold_all_they_may(world: World) -> None:
    old, wrong = world.completed(organisation="b"), world.completed(1, organisation="c")
    draft = world.draft(organisation="d")
    assert world.ask("appendFile", draft).is_success
    columns = {"dataset": (None, b"people"), "whole": (None, b"1"), "file": ("a.csv", FILE)}
    form = {**OWN, "HX-Request": "true"}
    named = {**UPLOAD, "file": str(world.folder / "import" / "a.csv"), "organisation": "e"}
    requests: dict[str, Callable[[], Any]] = {
        "columns of a file": lambda: world.client.post("/columns", files=columns, headers=form),
        "columns of a stored file": lambda: world.client.post(
            f"/jobs/{old}/columns", files={"x": (None, b"")}, headers=form
        ),
        "the form for a file again": lambda: world.client.get(f"/jobs/{old}/again"),
        "a file of the server": lambda: world.ask("createJob", json=named),
        "a file again": lambda: world.ask("createJob", json={"source": {"job": old}, "organisation": "f"}),
        "a draft's start": lambda: world.ask("startJob", draft),
        "corrected rows": lambda: world.ask("retryErrors", wrong),
    }
    with held(world, "a"):
        for name, request in requests.items():
            answer = request()
            assert answer.is_success, (name, answer.status_code, answer.text)


def test_an_organisation_learns_when_it_has_too_many_reads(world: World) -> None:
    named = {**UPLOAD, "file": str(world.folder / "import" / "a.csv"), "organisation": "a"}
    with held(world, "a"):
        answer = world.ask("createJob", json=named)
        assert (answer.status_code, "for this organisation" in answer.text) == (503, True)
    assert world.ask("createJob", json=named).is_success


def test_a_read_whose_client_has_gone_leaves_its_turn_to_the_next() -> None:
    async def story() -> None:
        readers, release, begun = FileReaders(), threading.Event(), threading.Semaphore(0)

        def hold(_stop: threading.Event) -> bool:
            begun.release()
            return release.wait()

        gone: Any = Gone()
        stays: Any = Connected()
        holding = [asyncio.create_task(readers.run(stays, "a", hold)) for _ in range(OF_ONE_ORGANISATION)]
        for _ in holding:
            await asyncio.to_thread(begun.acquire)
        for _ in range(2 * QUEUED):  # more than may wait
            with pytest.raises(ApiError) as refused:
                await readers.run(gone, "a", lambda _: None)
            assert refused.value.code == 400
        release.set()
        assert all(await asyncio.gather(*holding))
        assert await readers.run(stays, "a", lambda stop: stop.is_set()) is False
        readers.close()

    asyncio.run(story())
