"""Requests to receivers on this machine, as they go over the wire; and the receiver of docs/notifying.md."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from api.outgoing.lookups import Lookups
from api.webhooks.posting import Message
from api.webhooks.sending import connections_by
from control.webhooks.events import check_event, job_event
from control.webhooks.schedule import Outcome
from devstack.ports import free_port
from runtime.clock import now_ms
from runtime.settings import Settings
from schemas.job import Job, State
from schemas.messages.events import JobEvent
from tests.support.places import ROOT
from tests.support.stubs.web_source import web_source
from tests.support.stubs.webhook_receiver import Receiver, receiver
from tests.support.waiting import PATIENCE, wait_until

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def away() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def post(url: str, body: bytes = b'{"a": 1}', event_id: str = "e1", secret: str = SECRET, **settings: Any) -> Outcome:
    values: dict[str, Any] = {"webhook_allow_private": True, "webhook_seconds": PATIENCE, **settings}

    async def once() -> Outcome:
        connections = connections_by(Settings(**values), Lookups())()
        try:
            return await connections.post(Message("acme", url, event_id, body, (secret,)), now_ms())
        finally:
            await connections.close()

    return asyncio.run(once())


def test_a_request_is_signed_and_is_a_cloud_event(away: Receiver) -> None:
    body = check_event("test-1", now_ms(), "acme", "http://sluice")
    assert post(f"{away.url}/a/b?c=d", body, "test-1") == Outcome(204, None)
    (one,) = away.got
    assert one.path == "/a/b?c=d"
    assert one.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert one.headers["host"] == f"127.0.0.1:{away.port}"
    assert one.id == one.event["id"] == "test-1"
    Verifier(SECRET).verify(one.body, one.headers)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (500, "answered 500"),
        (404, "answered 404"),
        ((302, {"Location": "http://127.0.0.1:1/"}), "leads elsewhere"),
        ((429, {"Retry-After": "7"}), "answered 429"),
        (410, "wants no more"),
    ],
)
def test_what_is_no_2xx_is_a_failure(away: Receiver, answer: Any, words: str) -> None:
    away.answer = lambda _: answer
    outcome = post(away.url)
    assert words in (outcome.error or "")
    assert outcome.gone is (answer == 410)
    assert outcome.retry_after_ms == (7000 if "429" in words else 0)
    assert len(away.got) == 1, "a redirect is not followed"


def test_a_slow_receiver_is_not_waited_for(away: Receiver) -> None:
    release = threading.Event()

    def wait(_: Any) -> int:
        release.wait(PATIENCE)
        return 200

    away.answer = wait
    outcome = post(away.url, webhook_seconds=0.3)
    release.set()
    assert outcome == Outcome(None, "the receiver has not answered within 0.3 s")
    assert outcome.unreachable


def test_a_receiver_that_is_not_there(away: Receiver) -> None:
    away.stop()
    assert "can't be reached" in (post(away.url).error or "")
    assert "can't be found" in (post("http://nobody.invalid/").error or "")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"])
def test_this_machine_is_not_reached_without_the_setting(away: Receiver, host: str) -> None:
    for scheme in ("http", "https"):
        outcome = post(f"{scheme}://{host}:{away.port}/", webhook_allow_private=False)
        assert outcome.error
    assert away.got == []


def test_a_name_that_leads_to_this_machine_is_not_reached(away: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the name was public when the webhook was made. It is looked up once, and that is looked at."""
    asked: list[str] = []

    def look_up(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        address = "8.8.8.8" if len(asked) % 2 == 0 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    outcome = post(f"https://rebound.example.org:{away.port}/", webhook_allow_private=False)
    assert "private network address" in (outcome.error or "")
    assert asked == ["rebound.example.org"]
    assert away.got == []


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate by openssl")
def test_https_needs_a_certificate_of_an_authority_that_is_trusted(test_home: Path) -> None:
    with web_source(test_home / "webhook-tls") as web:
        outcome = post(f"{web.url}/x", webhook_ca_file=web.ca)
        assert outcome.answer == 501, "it speaks TLS with us, and takes no POST"
        assert "certificate verify failed" in (post(f"{web.url}/x").error or "")
        by_address = f"https://127.0.0.1:{web.port}/x"
        assert "certificate verify failed" in (post(by_address, webhook_ca_file=web.ca).error or "")


# -- the receiver of the documentation --------------------------------------------------------------------------------


def documented() -> str:
    found = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "notifying.md").read_text("utf-8"), re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def test_the_documented_receiver_posts_into_a_chat(away: Receiver, tmp_path: Path) -> None:
    program = documented()
    assert len([line for line in program.splitlines() if line.strip()]) <= 20
    (tmp_path / "receiver.py").write_text(program)
    port = free_port()
    settings = {"SECRET": SECRET, "PORT": str(port), "CHAT": f"{away.url}/chat"}
    with (tmp_path / "log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, str(tmp_path / "receiver.py")], env={**os.environ, **settings}, stderr=log
        )
    job = Job(
        id="j1", operation="upload", dataset="people", organisation="acme", created_by="me", state=State.FAILED,
        created_at=0, command_offset=7, partitions=4, reason="the file is gone",
    )  # fmt: skip
    record = JobEvent(job_id="j1", command_offset=7, at=0, event="Failed", state=State.FAILED, job=job)
    body, url = job_event(record, "sluice.job.failed", "http://sluice"), f"http://127.0.0.1:{port}/"
    try:
        wait_until(lambda: post(url, body, "j1-7-Failed").delivered, "the receiver takes an event")
        assert post(url, body, "j1-7-Failed").delivered, "once more, as after a crash of its sender"
        assert [one.event for one in away.got] == [{"text": "Job j1 is FAILED: the file is gone"}]
        test = check_event("test-1", now_ms(), "acme", "http://sluice")
        assert post(url, test, "test-1").delivered
        other = body.replace(b"j1-7", b"j1-8")
        assert not post(url, other, "j1-8-Failed", secret="whsec_b3RoZXI=").delivered, "another one has signed it"
        away.answer = lambda _: 500
        assert not post(url, other, "j1-8-Failed").delivered, "the chat is away"
        away.answer = lambda _: 200
        assert post(url, other, "j1-8-Failed").delivered, "so it comes again"
        assert len(away.got) == 4
        assert away.got[-1].event == away.got[0].event
    finally:
        child.kill()
        child.wait()
