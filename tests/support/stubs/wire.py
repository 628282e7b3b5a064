"""Stands for the network below httpx2: what a request's bytes are, with every host answering the same."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any

import httpcore2
import httpx2

NOTHING = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


class _Stream(httpcore2.AsyncNetworkStream):
    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._left = [wire.answer]
        self._sent = bytearray()
        wire.sent.append(self._sent)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._left.pop() if self._left else b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._sent += buffer

    async def aclose(self) -> None:
        return

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        self._wire.names.append(server_hostname or "")
        return self

    def get_extra_info(self, info: str) -> Any:
        return None


class _Network(httpcore2.AsyncNetworkBackend):
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        self._wire.hosts.append((host, port))
        return _Stream(self._wire)


class Wire:
    """In place of `AsyncHTTPTransport.handle_async_request`."""

    def __init__(self, answer: bytes = NOTHING) -> None:
        self.answer = answer
        self.sent: list[bytearray] = []
        """A request each."""
        self.hosts: list[tuple[str, int]] = []
        """Network addresses and ports that were connected to."""
        self.names: list[str] = []
        """Hosts whose certificate was asked for."""

    @property
    def target(self) -> bytes:
        """What the last request has asked for."""
        return bytes(self.sent[-1].split(b"\r\n")[0].split(b" ")[1])

    @property
    def host(self) -> str:
        """The last request's host."""
        lines = self.sent[-1].split(b"\r\n")
        return next(line[6:].decode() for line in lines if line.lower().startswith(b"host: "))

    async def handle(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request as httpx2's own transport does, over this wire."""
        url = httpcore2.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        asked = httpcore2.Request(
            method=request.method, url=url, headers=request.headers.raw, content=request.stream,
            extensions=request.extensions,
        )  # fmt: skip
        async with httpcore2.AsyncConnectionPool(network_backend=_Network(self)) as pool:
            answer = await pool.handle_async_request(asked)
            await answer.aread()
        return httpx2.Response(answer.status, headers=answer.headers, stream=httpx2.ByteStream(answer.content))
