"""After a start the API reads the histories of ended and of old jobs last: only requests for these wait for that."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx2

from api.readmodel.job_feed import JobFeed
from schemas.job import ENDED, Job, State
from schemas.messages.commands import FileFinished
from tests.support.api.stub import complete, stub
from tests.support.api.world import EXPORT


def test_a_history_that_is_not_read_yet_holds_up_no_other(tmp_path: Path) -> None:
    async def run() -> None:
        app, log = stub(tmp_path, api_require_key=True)
        transport = httpx2.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client,
        ):
            acme, globex = (
                {"Authorization": f"Bearer {log.principals.key('operator', name)}"} for name in ("acme", "globex")
            )
            old, mine = [
                (await client.post("/v1/jobs", headers=one, json=EXPORT)).json()["id"] for one in (acme, globex)
            ]
            complete(log, old, frozen="a point in time", rows_total=4)
            log.report(FileFinished(job_id=old, epoch=log.live.view.jobs[old].epoch))
            assert log.live.view.jobs[old].state in ENDED
            log.live.set_history_incomplete()
            waiting = [asyncio.create_task(client.get(f"/v1/jobs/{old}/history", headers=acme)) for _ in range(3)]
            for _ in range(100):
                await asyncio.sleep(0)
            answer = await client.get(f"/v1/jobs/{mine}/history", headers=globex)
            assert answer.status_code == 200 and answer.json()["history"], answer.text
            assert not any(task.done() for task in waiting)
            log.live.set_history_complete()
            assert {one.status_code for one in await asyncio.gather(*waiting)} == {200}

    asyncio.run(run())


def test_the_history_of_an_old_job_that_has_not_ended_is_waited_for_as_well() -> None:
    async def run() -> None:
        live = JobFeed()
        live.set_history_incomplete(since=100)

        def waiting(created_at: int, state: State = State.FAILED) -> asyncio.Task[None]:
            job = Job(
                id="j1", operation="upload", dataset="people", organisation="acme", created_by="x", state=state,
                created_at=created_at, command_offset=1, partitions=2,
            )  # fmt: skip
            return asyncio.create_task(live.until_history_complete(job))

        old, young, ended = waiting(99), waiting(100), waiting(100, State.COMPLETED)
        await asyncio.sleep(0)
        assert [task.done() for task in (old, young, ended)] == [False, True, False]
        live.set_history_complete()
        await asyncio.gather(old, young, ended)

    asyncio.run(run())
