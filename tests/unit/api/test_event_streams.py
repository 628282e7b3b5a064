"""What holds connections for long: event streams, and requests that wait for jobs. Neither takes the other's room."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from api.errors import ApiError
from api.jobs.reading.event_stream import event_source
from api.web.waiting_requests import WaitingRequests
from tests.support.api.stub import StubLog, stub
from tests.support.api.world import EXPORT, World


async def turns(count: int = 30) -> None:
    """Let the tasks go on that can."""
    for _ in range(count):
        await asyncio.sleep(0)


def served(folder: Path, test: Callable[[httpx2.AsyncClient, StubLog, Starlette], Coroutine[Any, Any, None]]) -> None:
    """Run a test in one event loop with an API of 40 connections: 20 event streams, and 10 requests that wait."""

    async def run() -> None:
        app, log = stub(folder, api_require_key=True, api_connections=40, limits='{"event_streams": 4}')
        transport = httpx2.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client,
        ):
            await test(client, log, app)

    asyncio.run(run())


async def jobs(client: httpx2.AsyncClient, headers: dict[str, str], count: int) -> list[str]:
    made = [await client.post("/v1/jobs", headers=headers, json=EXPORT) for _ in range(count)]
    return [one.json()["id"] for one in made]


def operator(log: StubLog, organisation: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {log.principals.key('operator', organisation)}"}


def test_requests_that_wait_take_no_room_of_event_streams(tmp_path: Path) -> None:
    """However many jobs they wait for."""

    async def test(client: httpx2.AsyncClient, log: StubLog, app: Starlette) -> None:
        acme, globex = operator(log, "acme"), operator(log, "globex")
        await jobs(client, acme, 30)
        (mine,) = await jobs(client, globex, 1)
        body = {"action": "pause", "all": True}
        waiting = [asyncio.create_task(client.post("/v1/jobs/actions?wait=600", headers=acme, json=body))]
        await turns(300)
        parts = app.state.services
        assert not waiting[0].done() and sum(map(len, parts.live._watches.values())) == 30
        assert not parts.streams
        event_source(parts, parts.view.jobs[mine])
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert not parts.waiting._waiting

    served(tmp_path, test)


def test_an_organisation_without_a_request_that_waits_finds_a_place_and_others_are_answered_at_once(
    tmp_path: Path,
) -> None:
    async def test(client: httpx2.AsyncClient, log: StubLog, app: Starlette) -> None:
        acme, globex = operator(log, "acme"), operator(log, "globex")
        ours, (theirs,) = await jobs(client, acme, 12), await jobs(client, globex, 1)

        def pause(job_id: str, headers: dict[str, str]) -> asyncio.Task[httpx2.Response]:
            return asyncio.create_task(client.post(f"/v1/jobs/{job_id}/pause?wait=600", headers=headers))

        asked = [pause(job_id, acme) for job_id in ours]
        await turns(300)
        answered = [task.result() for task in asked if task.done()]
        assert len(answered) == 12 - 5, "five of ten places are its own, five are left"
        assert {(one.status_code, one.json()["state"]) for one in answered} == {(202, "PAUSING")}
        assert all(one.json()["waiting_for"] for one in answered), "as after the time is over"
        other = pause(theirs, globex)
        await turns(100)
        assert not other.done()
        for task in (other, *asked):
            task.cancel()
        await asyncio.gather(other, *asked, return_exceptions=True)
        assert not app.state.services.waiting._waiting

    served(tmp_path, test)


@pytest.mark.parametrize("most", [1, 2, 10, 125])
def test_places_to_wait_are_shared(most: int) -> None:
    places = WaitingRequests(most)
    with ExitStack() as held:

        def grant(whose: str) -> bool:
            return held.enter_context(places.granted(("organisations", whose), 5)) == 5

        first = sum(grant("acme") for _ in range(2 * most))
        assert first == (most + 1) // 2
        for number in range(most):  # each newcomer finds one while there is one
            assert grant(f"o{number}") == (first + number < most)
        assert places._waiting.total() == most
        with places.granted(("caller", "x"), None) as seconds, places.granted(("caller", "x"), 0) as none:
            assert (seconds, none) == (0, 0)
    assert not places._waiting


def test_event_streams_that_are_asked_for_at_once_keep_to_their_limit(tmp_path: Path) -> None:
    """None of them has sent anything yet."""
    world = World(tmp_path)
    world.start(api_connections=40, limits='{"event_streams": 4}')
    parts, view = world.client.app.state.services, world.log.live.view  # type: ignore[attr-defined]
    codes: Counter[int] = Counter()
    answers = []
    for number in range(30):
        whose = "acme" if number < 10 else f"o{number}"
        made = world.ask("createJob", json={**EXPORT, "organisation": whose}).json()["id"]
        try:
            answers.append(event_source(parts, view.jobs[made]))
        except ApiError as error:
            codes[error.code] += 1
    assert (len(answers), codes) == (20, {429: 6, 503: 4})
    assert parts.streams["acme"] == 4 and parts.streams.total() == 20
    del answers
    gc.collect()
    assert not parts.streams, "what is never sent is not counted any more"
    world.open.close()


@pytest.mark.parametrize("end", ["the job", "the caller"])
def test_an_event_stream_counts_until_it_ends(tmp_path: Path, end: str) -> None:
    async def test(client: httpx2.AsyncClient, log: StubLog, app: Starlette) -> None:
        acme, parts = operator(log, "acme"), app.state.services
        (job_id,) = await jobs(client, acme, 1)
        watching = [asyncio.create_task(client.get(f"/v1/jobs/{job_id}/watch", headers=acme)) for _ in range(9)]
        await turns(200)
        assert parts.streams == {"acme": 4}
        assert [task.result().status_code for task in watching if task.done()] == [429] * 5
        if end == "the caller":
            for task in watching:
                task.cancel()
        else:
            parts.view.jobs.pop(job_id, None)
            for watch in parts.live._watches[job_id]:
                watch.wake()
        await asyncio.gather(*watching, return_exceptions=True)
        gc.collect()
        await turns()
        assert parts.streams == {}

    served(tmp_path, test)
