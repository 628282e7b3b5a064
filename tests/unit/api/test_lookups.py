"""Names that callers give are looked up apart from those of our own servers, and few at once for each organisation."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from starlette.testclient import TestClient

from api.errors import ApiError
from api.outgoing.lookups import OF_ONE_ORGANISATION, THREADS, WAITING, HostNotFoundError, Lookups
from runtime.network.addresses import Address
from tests.support.api.stub import stub
from tests.support.api.world import EXPORT
from tests.support.places import ROOT
from tests.support.waiting import PATIENCE, wait_until

PUBLIC = "93.184.216.34"


class NameServers:
    """The name server of silent.example says nothing until `go_on` is set."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.asked: list[str] = []
        self.running = 0
        self.most = 0
        self._lock = threading.Lock()

    def look_up(self, host: str, port: int) -> list[str]:
        with self._lock:
            self.asked.append(host)
            self.running += 1
            self.most = max(self.most, self.running)
        if host.endswith("silent.example"):
            self.go_on.wait(PATIENCE)
        with self._lock:
            self.running -= 1
        return [PUBLIC]


@pytest.fixture
def servers() -> Iterator[NameServers]:
    found = NameServers()
    yield found
    found.go_on.set()


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """What runs a coroutine, in the event loop of production as well."""
    found: Callable[[Any], Any] = request.param
    return found


def named(number: int, domain: str = "silent.example") -> Address:
    return Address("https", f"h{number}.{domain}", 443, "/", "")


@asynccontextmanager
async def asking(lookups: Lookups, number: int, organisation: str) -> AsyncIterator[list[asyncio.Task[str]]]:
    """Lookups of silent names that have begun, or wait."""
    tasks = [
        asyncio.create_task(lookups.network_address(named(each), organisation, allow_private=False))
        for each in range(number)
    ]
    await asyncio.sleep(0)
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def test_silent_names_of_one_organisation_hold_up_no_other_name(
    run: Callable[[Any], Any], servers: NameServers
) -> None:
    async def main() -> None:
        lookups = Lookups(servers.look_up, turn_seconds=0.05, answer_seconds=PATIENCE)
        async with asking(lookups, 20, "acme") as tasks:
            ended = await asyncio.gather(*tasks[OF_ONE_ORGANISATION:], return_exceptions=True)
            assert {one.code if isinstance(one, ApiError) else one for one in ended} == {503}
            await asyncio.to_thread(wait_until, lambda: servers.running == OF_ONE_ORGANISATION, "they have threads")
        # Nobody waits for them any more, and their threads are not free: there are no others for more of them.
        with pytest.raises(ApiError, match="for this organisation"):
            await lookups.network_address(named(21), "acme", allow_private=False)
        other = named(1, "globex.example")
        assert await lookups.network_address(other, "globex", allow_private=False) == PUBLIC
        async with asyncio.timeout(PATIENCE):
            assert await asyncio.get_running_loop().getaddrinfo("localhost", 9200)
        assert len(servers.asked) == OF_ONE_ORGANISATION + 1
        servers.go_on.set()
        assert await lookups.network_address(named(22), "acme", allow_private=False, patient=True) == PUBLIC
        lookups.close()

    run(main())


def test_of_one_organisation_a_bounded_number_waits(run: Callable[[Any], Any], servers: NameServers) -> None:
    async def main() -> None:
        lookups = Lookups(servers.look_up, PATIENCE, PATIENCE)
        async with asking(lookups, OF_ONE_ORGANISATION + WAITING, "acme") as tasks:
            with pytest.raises(ApiError, match="for this organisation") as refused:
                await lookups.network_address(named(99), "acme", allow_private=False)
            assert (refused.value.code, "Retry-After" in refused.value.headers) == (503, True)
            delivery = asyncio.create_task(
                lookups.network_address(named(100), "acme", allow_private=False, patient=True)
            )
            await asyncio.sleep(0)
            assert not delivery.done()
            servers.go_on.set()
            assert await asyncio.gather(*tasks, delivery) == [PUBLIC] * (len(tasks) + 1)
        assert servers.most <= OF_ONE_ORGANISATION

    run(main())


def test_a_name_that_has_no_thread_is_not_called_silent(run: Callable[[Any], Any], servers: NameServers) -> None:
    async def main() -> None:
        lookups = Lookups(servers.look_up, answer_seconds=0.05)
        told: list[BaseException | str] = []
        async with asyncio.timeout(PATIENCE):
            while servers.running < THREADS:
                async with asking(lookups, OF_ONE_ORGANISATION, f"o{len(told)}") as tasks:
                    told += await asyncio.gather(*tasks, return_exceptions=True)
        assert any(isinstance(one, HostNotFoundError) and "silent" in str(one) for one in told)
        with pytest.raises(ApiError, match="all together"):
            await lookups.network_address(named(1, "globex.example"), "globex", allow_private=False)
        async with asyncio.timeout(PATIENCE):
            assert await asyncio.get_running_loop().getaddrinfo("localhost", 9200)

    run(main())


def test_an_unknown_host_is_told_as_such(run: Callable[[Any], Any]) -> None:
    def fails(host: str, port: int) -> list[str]:
        raise OSError("no such name") if host.startswith("h1.") else UnicodeError("label too long")

    async def main() -> None:
        for number in (1, 2):
            with pytest.raises(HostNotFoundError, match="can't be found"):
                await Lookups(fails).network_address(named(number), "acme", allow_private=False)

    run(main())


def test_a_webhook_and_a_job_of_another_organisation_do_not_wait_for_silent_names(
    tmp_path: Path, servers: NameServers
) -> None:
    app, log = stub(tmp_path, api_require_key=True)
    with TestClient(app) as client, ThreadPoolExecutor(OF_ONE_ORGANISATION) as threads:
        app.state.services.lookups = Lookups(servers.look_up, turn_seconds=0.05, answer_seconds=PATIENCE)
        acme = {"Authorization": f"Bearer {log.principals.key('operator', 'acme')}"}
        globex = {"Authorization": f"Bearer {log.principals.key('operator', 'globex')}"}

        def hook(url: str, headers: dict[str, str]) -> int:
            return client.post("/v1/webhooks", json={"url": url}, headers=headers).status_code

        def told(url: str, headers: dict[str, str]) -> int:
            body = {**EXPORT, "options": {"notify": url}}
            return client.post("/v1/jobs", json=body, headers=headers).status_code

        silent = "https://h.silent.example/"
        made = [threads.submit(hook, f"{silent}{number}", acme) for number in range(OF_ONE_ORGANISATION)]
        wait_until(lambda: servers.running == OF_ONE_ORGANISATION, "acme's threads are taken")
        assert (hook(silent, acme), told(silent, acme)) == (503, 503)
        assert (hook("https://globex.example/", globex), told("https://globex.example/", globex)) == (201, 201)
        servers.go_on.set()
        assert [one.result() for one in made] == [201] * OF_ONE_ORGANISATION
        wait_until(lambda: hook("https://acme.example/", acme) == 201, "acme has its threads again")


def test_nothing_else_looks_up_names_that_callers_give() -> None:
    """A client that is given a name would have the event loop look it up."""
    for folder in ("api", "control", "runtime"):
        for file in (ROOT / folder).rglob("*.py"):
            name, text = str(file.relative_to(ROOT)), file.read_text("utf-8")
            if name != "api/outgoing/lookups.py":
                assert "getaddrinfo" not in text and "gethostby" not in text, name
            if "httpx2.AsyncClient(" in text and not name.startswith("api/principals/oidc/"):
                assert "request_to(" in text and ".network_address(" in text, name
