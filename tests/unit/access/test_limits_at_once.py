"""Limits and names that only one may have, when many requests come at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from api.errors import ApiError
from api.locks import NamedLocks, OrganisationLocks
from api.webhooks.intake import Intake
from control.webhooks.registry import Webhooks
from schemas.messages.webhooks import Webhook
from schemas.policies.quotas import LIMITS
from tests.support.api.pages import OWN
from tests.support.api.stub import StubLog, stub

Ask = Callable[[httpx2.AsyncClient, StubLog, int], Coroutine[Any, Any, httpx2.Response]]
MOST, AT_ONCE = 3, 30


async def webhook(client: httpx2.AsyncClient, log: StubLog, number: int, **body: Any) -> httpx2.Response:
    asked = {"url": "https://8.8.8.8/h", "organisation": "acme", "name": f"w{number}", **body}
    return await client.post("/v1/webhooks", headers=ADMIN, json={k: v for k, v in asked.items() if v is not None})


async def key(client: httpx2.AsyncClient, log: StubLog, number: int) -> httpx2.Response:
    """For one, two or three organisations, in either order."""
    organisations = [["acme"], ["acme", "b"], ["b", "acme"], ["c", "acme", "b"]][number % 4]
    body = {"name": f"k{number}", "organisations": organisations, "role": "viewer"}
    return await client.post("/v1/keys", headers=ADMIN, json=body)


async def session(client: httpx2.AsyncClient, log: StubLog, number: int) -> httpx2.Response:
    given = log.principals.key("viewer", *(("acme",), ("b", "acme"))[number % 2])
    return await client.post("/sign-in", data={"key": given}, headers=OWN)


async def admins_session(client: httpx2.AsyncClient, log: StubLog, number: int) -> httpx2.Response:
    return await client.post("/sign-in", data={"key": "secret"}, headers=OWN)


ADMIN = {"X-API-Key": "secret"}
MADE: dict[str, tuple[Ask, ...]] = {"webhooks": (webhook,), "keys": (key,), "sessions": (session, admins_session)}
ELSEWHERE = {
    "the control agent": {"rows", "export_rows", "stored_bytes", "jobs_running", "jobs_queued", "drafts", "inbox_rows"},
    "each request or file by itself": {"body_bytes", "columns", "field_characters", "line_bytes"},
    "a bucket of tokens": {"requests_per_second"},
    "test_event_streams.py": {"event_streams"},
    "nothing, as docs/limits.md says": {"mappings"},
}
"""Who judges the other limits."""


def test_every_limit_is_judged_somewhere() -> None:
    assert set(LIMITS) == set(MADE).union(*ELSEWHERE.values())


@contextmanager
def slow(*topics: Any) -> Iterator[None]:
    """Stubs of topics that answer only after the event loop has turned some times, as Kafka does."""
    for topic in topics:

        async def append(*given: Any, at_once: Any = topic.append) -> Any:
            for _ in range(20):
                await asyncio.sleep(0)
            return await at_once(*given)

        topic.append = append
    yield


def at_once(folder: Path, test: Callable[[httpx2.AsyncClient, StubLog, Starlette], Coroutine[Any, Any, None]]) -> None:
    """Run a test in one event loop with the API, where records take a while to be written."""
    limits = f'{{"webhooks": {MOST}, "keys": {MOST}, "sessions": {MOST}}}'

    async def run() -> None:
        app, log = stub(folder, api_require_key=True, limits=limits)
        transport = httpx2.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client,
        ):
            assert (await client.get("/v1/principal", headers=ADMIN)).status_code == 200
            with slow(log.webhook_topics, log.principals):
                await test(client, log, app)
            stores = app.state.services.principals, app.state.services.webhooks
            assert not any(store.making._locks for store in stores), "locks do not pile up"

    asyncio.run(run())


@pytest.mark.parametrize(("name", "ask"), [(name, ask) for name, asks in MADE.items() for ask in asks])
def test_a_limit_is_one_for_requests_that_come_at_once(tmp_path: Path, name: str, ask: Ask) -> None:
    async def test(client: httpx2.AsyncClient, log: StubLog, app: Starlette) -> None:
        answers = await asyncio.gather(*(ask(client, log, number) for number in range(AT_ONCE)))
        codes = Counter(answer.status_code for answer in answers)
        assert (codes[201] + codes[303], codes[429]) == (MOST, AT_ONCE - MOST), codes
        limits = (await client.get("/v1/limits?organisation=acme", headers=ADMIN)).json()["limits"]
        if ask is not admins_session:
            assert next(limit["used"] for limit in limits if limit["name"] == name) == MOST

    at_once(tmp_path, test)


@pytest.mark.parametrize("body", [{"name": "same"}, {"url": None, "name": None}])
def test_a_name_is_had_once_by_requests_that_come_at_once(tmp_path: Path, body: dict[str, Any]) -> None:
    async def test(client: httpx2.AsyncClient, log: StubLog, app: Starlette) -> None:
        answers = await asyncio.gather(*(webhook(client, log, number, **body) for number in range(AT_ONCE)))
        codes = Counter(answer.status_code for answer in answers)
        assert codes == {201: 1, 409: AT_ONCE - 1}
        assert len(log.webhooks.webhooks.of("acme")) == 1

    at_once(tmp_path, test)


def test_webhooks_without_a_name_get_different_ones(tmp_path: Path) -> None:
    async def test(client: httpx2.AsyncClient, log: StubLog, app: Starlette) -> None:
        await asyncio.gather(*(webhook(client, log, number, name=None) for number in range(AT_ONCE)))
        assert len({one.name for one in log.webhooks.webhooks.of("acme")}) == MOST

    at_once(tmp_path, test)


def test_a_form_that_is_sent_twice_at_once_makes_one_webhook(tmp_path: Path) -> None:
    async def test(client: httpx2.AsyncClient, log: StubLog, app: Starlette) -> None:
        await admins_session(client, log, 0)
        form = {"once": "0123456789", "url": "https://8.8.8.8/h", "organisation": "acme"}
        answers = await asyncio.gather(*(client.post("/webhooks", data=form, headers=OWN) for _ in range(5)))
        assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
        assert len(log.webhooks.webhooks.of("acme")) == 1

    at_once(tmp_path, test)


def test_the_secret_that_a_request_shows_is_the_one_that_addresses_are_signed_with(tmp_path: Path) -> None:
    """An event that needs the webhook for addresses comes while a request makes it."""

    async def test(client: httpx2.AsyncClient, log: StubLog, app: Starlette) -> None:
        own = Intake(log.webhooks, "http://testserver")._make_own
        made, *_ = await asyncio.gather(
            webhook(client, log, 0, url=None, name=None), *(own("acme", 5) for _ in range(5))
        )
        (kept,) = log.webhooks.webhooks.of("acme")
        assert made.json().get("secret") == (kept.secret if kept.created_by == "admin" else None)
        assert len(log.webhook_topics.records) == 1

    at_once(tmp_path, test)


def test_an_organisation_whose_requests_wait_holds_up_no_other() -> None:
    async def refusal(locks: OrganisationLocks, organisations: tuple[str, ...] | None) -> int:
        try:
            async with locks.alone(organisations, seconds=0):
                return 200
        except ApiError as error:
            return error.code

    async def test() -> None:
        locks, done = OrganisationLocks(), []
        async with locks.alone(("acme", "globex")), locks.alone(None):
            async with locks.alone(("initech",)):
                done.append("initech")
            for held in (("acme",), ("globex", "initech"), None):
                assert await asyncio.create_task(refusal(locks, held)) == 503
        async with locks.alone(("acme", "globex", "initech")), locks.alone(None):
            done.append("all")
        assert (done, dict(locks._locks)) == (["initech", "all"], {})

    asyncio.run(test())


def test_locks_of_several_names_are_taken_in_one_order() -> None:
    async def test() -> None:
        locks, done = NamedLocks(), []

        async def hold(*names: str) -> None:
            async with locks.held(*names):
                await asyncio.sleep(0)
                done.append(names)

        await asyncio.gather(*(hold(*names) for names in (("a", "b"), ("b", "a"), ("b",), ("a", "a"), ("b", "c", "a"))))
        assert len(done) == 5

    asyncio.run(test())


def test_what_an_organisation_has_does_not_change_while_it_is_looked_at() -> None:
    """Also where it has none."""
    known = Webhooks()
    for number in range(3):
        before, had = known.of("acme"), len(known.of("acme"))
        made = Webhook(
            id=f"{number:010}", name=str(number), organisation="acme", secret="s", created_at=1, created_by="a"
        )
        known.put(made.id, made)
        assert (len(before), len(known.of("acme"))) == (had, had + 1)
