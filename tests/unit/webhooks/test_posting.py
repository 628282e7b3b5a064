"""What a receiver is asked for, byte for byte."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from api.outgoing.lookups import Lookups
from api.webhooks.posting import Message
from api.webhooks.sending import connections_by
from control.webhooks.schedule import Outcome
from runtime.settings import Settings
from tests.support.stubs.wire import Wire

LOOKUPS = Lookups(lambda host, port: ["93.184.216.34"])


@pytest.mark.parametrize(
    ("url", "host", "target"),
    [
        ("https://Chat.example.org", "chat.example.org", b"/"),
        ("https://chat.example.org:8443/a?b=c", "chat.example.org:8443", b"/a?b=c"),
        ("HTTPS://chat.example.org:443/a//b/%2F%zz|{x}?q=[1]&r=\"'^`", "chat.example.org",
         b"/a//b/%2F%zz|{x}?q=[1]&r=\"'^`"),
        ("https://[2606:2800:220:1::1946]:8443/x", "[2606:2800:220:1::1946]:8443", b"/x"),
    ],
)  # fmt: skip
def test_a_receiver_is_asked_for_the_path_as_it_was_given(
    monkeypatch: pytest.MonkeyPatch, url: str, host: str, target: bytes
) -> None:
    wire = Wire()

    async def send(_: object, request: httpx2.Request) -> httpx2.Response:
        return await wire.handle(request)

    monkeypatch.setattr(httpx2.AsyncHTTPTransport, "handle_async_request", send)

    async def post() -> Outcome:
        connections = connections_by(Settings(), LOOKUPS)()
        try:
            return await connections.post(Message("acme", url, "e1", b"{}", ("whsec_c2VjcmV0",)), 0)
        finally:
            await connections.close()

    assert asyncio.run(post()) == Outcome(204, None)
    assert (wire.host, wire.target, wire.hosts[-1][0]) == (host, target, "93.184.216.34")
    assert wire.names == [host.partition(":8443")[0].strip("[]")]
